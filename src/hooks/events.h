/*
 * events: what hooks/ raises; events.def has a row for each.
 */
#pragma once

#include "base/event.h"

#define EVENT EVENT_DECLARE
#include "hooks/events.def"
#undef EVENT
