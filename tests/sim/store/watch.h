/*
 * watch: a disk that passes every call on and watches invariant 2: no 4 KiB block of a log file
 * that was flushed is written again, unless the file has got another name since.
 */
#pragma once

#include "runtime/disk.h"

struct disk *watch_new(struct disk *inner); /* owns inner */
uint64_t watch_violations(void);            /* since the last call */
