/*
 * events: what delivery/ raises; events.def has a row for each.
 */
#pragma once

#include "base/event.h"

#define EVENT EVENT_DECLARE
#include "delivery/events.def"
#undef EVENT
