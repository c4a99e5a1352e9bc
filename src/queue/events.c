#include "queue/events.h"

#define EVENT EVENT_DEFINE
#include "queue/events.def"
#undef EVENT
