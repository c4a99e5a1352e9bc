#include "hooks/events.h"

#define EVENT EVENT_DEFINE
#include "hooks/events.def"
#undef EVENT
