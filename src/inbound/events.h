/*
 * events: what inbound/ raises; events.def has a row for each.
 */
#pragma once

#include "base/event.h"

#define EVENT EVENT_DECLARE
#include "inbound/events.def"
#undef EVENT
