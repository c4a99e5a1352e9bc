#include "store/events.h"

#define EVENT(event, level, text) EVENT_DEFINE(event, level, text)
#include "store/events.def"
#undef EVENT
