/*
 * retry: whether a call of a draft hook is made once more, and when. Pure.
 *
 * Source    draft-degennaro-mta-hooks-01 section 7.5.3.
 * Rule      Twice at most, after 100 ms and 200 ms and a little more by chance, for what may pass
 *           by itself: no connection, 429, 5xx. Not after a time-out: the first call may still be
 *           at work, and the time is shared. What the scanner says in Retry-After is heard, up to
 *           five seconds. One that could not end before the deadline is not begun.
 */
#pragma once

#include "base/date.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { RETRIES_MAX = 2, RETRY_MS_FIRST = 100, RETRY_MS_MAX = 5000, RETRY_MS_CHANCE = 100 };

struct retry_said {
    enum err_code code; /* OK: there was an answer */
    int status;
    struct str retry_after; /* as sent; empty: not said */
};

/* `sent`: how often it was sent so far, at least once. */
bool retry_is_due(const struct retry_said *said, unsigned sent, struct when now, struct when by,
                  uint64_t chance, int64_t *ms);
