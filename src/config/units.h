/*
 * units: durations and sizes as people write them.
 *
 * Source    PY-47 and reference 2.1 for the units; compound durations (1d12h) are ours.
 * Errors    Parsers answer what was wrong; *ret is written only for UNITS_OK.
 */
#pragma once

#include "base/buf.h"

#include <stdint.h>

enum units_result {
    UNITS_OK,
    UNITS_MALFORMED, /* not a number with a unit, or units not from large to small */
    UNITS_MISSING,   /* a number alone */
    UNITS_UNKNOWN,   /* a number with a unit that there is not */
    UNITS_TOO_LARGE
};

/* "90s", "5m", "1d12h", "250ms"; units w d h m s ms, of either case, blanks between parts. */
enum units_result duration_parse(struct str s, int64_t *ret_ms);
/* "64KiB", "25MB", "100B"; units B kB MB GB TB and KiB MiB GiB TiB, of either case. */
enum units_result size_parse(struct str s, uint64_t *ret);
/* "100/1m": a count from 1 to a thousand million in 1s to 366d; "none", "unlimited" and "false"
 * give count 0. */
enum units_result rate_parse(struct str s, uint64_t *ret_count, int64_t *ret_ms);

void duration_print(int64_t ms, struct buf *out); /* "1d12h"; "0s" */
void size_print(uint64_t bytes, struct buf *out); /* in the largest unit that divides it */
