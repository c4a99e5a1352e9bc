#include "inbound/events.h"

#define EVENT EVENT_DEFINE
#include "inbound/events.def"
#undef EVENT
