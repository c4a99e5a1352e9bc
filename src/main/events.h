/* events: what the process tells of itself (events.def). */
#pragma once

#include "base/event.h"

#define EVENT EVENT_DECLARE
#include "main/events.def"
#undef EVENT
