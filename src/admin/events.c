#include "admin/events.h"

#define EVENT EVENT_DEFINE
#include "admin/events.def"
#undef EVENT
