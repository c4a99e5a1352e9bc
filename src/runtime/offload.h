/*
 * offload: what blocks (flushes, name look-ups of the C library, big parses) runs on a small pool
 * of threads while the fiber waits. In a simulation it runs at once.
 *
 * The wait is firm: fn may use the caller's frame, and a cancelled fiber still waits for it.
 */
#pragma once

#include "base/date.h"

void offload(const char *what, void (*fn)(void *), void *arg, struct when by);
