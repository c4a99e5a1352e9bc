/* Whether Valgrind runs the test: it has an allocator of its own and does not know every call. */
#pragma once

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD"); /* it puts itself there */

    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}
