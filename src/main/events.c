#include "main/events.h"

#define EVENT EVENT_DEFINE
#include "main/events.def"
#undef EVENT
