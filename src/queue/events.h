/* events: what the queue tells (events.def). */
#pragma once

#include "base/event.h"

#define EVENT EVENT_DECLARE
#include "queue/events.def"
#undef EVENT
