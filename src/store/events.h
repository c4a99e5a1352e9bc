/*
 * events: what the store tells, one row each in events.def. Raised here and nowhere else.
 */
#pragma once

#include "base/event.h"

#define EVENT(event, level, text) EVENT_DECLARE(event, level, text)
#include "store/events.def"
#undef EVENT
