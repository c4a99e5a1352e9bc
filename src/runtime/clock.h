/*
 * clock: what time it is, on the loop that asks. In a simulation both clocks are virtual.
 *
 * clock_now and clock_date are the loop's time, read once a turn: cheap, and equal for all that
 * happens in one turn. clock_read asks anew, for measuring inside a turn.
 * Outside any loop (command line, tests) all ask the system.
 */
#pragma once

#include "base/date.h"

struct when clock_now(void);
struct when clock_read(void);
struct date clock_date(void);

/* A deadline so many milliseconds from now, and the earlier of it and `by`. */
struct when when_after(int64_t ms);
struct when when_within(struct when by, int64_t ms);
