/*
 * audit: looks at everything that is queued, as `queue why` would, and judges P4: nothing waits
 * without a reason, a recipient is in one job, and none that waits is in none.
 *
 * Owns      Nothing between two looks but struct audit, which the caller zeroes.
 */
#pragma once

#include "machine.h"

enum { AUDIT_JOBS_MAX = 256 };

struct audit {
    uint64_t looks, jobs;         /* so far */
    uint64_t reasons[WAIT_COUNT]; /* how often each was given */
    uint64_t
        idle_ids[AUDIT_JOBS_MAX]; /* jobs that waited for a slot while one was free, last time */
    unsigned idle_count;
};

/* One look. Jobs that say that no slot is free while one is, twice in a row, fail the run; so looks
 * should be further apart than a turn takes. */
void audit_look(struct audit *a, struct machine *m, struct when by);
