/*
 * events: what admin/ raises; events.def has a row for each.
 */
#pragma once

#include "base/event.h"

#define EVENT EVENT_DECLARE
#include "admin/events.def"
#undef EVENT
