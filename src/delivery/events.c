#include "delivery/events.h"

#define EVENT EVENT_DEFINE
#include "delivery/events.def"
#undef EVENT
