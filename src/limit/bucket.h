/*
 * bucket: a token bucket, as the one number it comes to: the time at which it would be full again
 * (the generic cell rate algorithm). No timer fills it.
 *
 * Source    PY-31: no window edges. Check all, then consume: bucket_ready asks, bucket_take takes.
 * Owns      Nothing. A zeroed bucket is full.
 * Limits    Intervals are whole nanoseconds, so a rate above a thousand million a second is that.
 *
 * Pure: the caller brings the time.
 */
#pragma once

#include "base/date.h"
#include "config/setting.h"

struct bucket {
    struct when full; /* again at that time */
};

/* From when on one may be taken: at or before `now`: at once. `burst`, at least 1: how many a full
 * bucket gives at once. A rate of count 0 is no limit. */
struct when bucket_ready(const struct bucket *b, const struct rate *r, uint64_t burst,
                         struct when now);
/* Takes one, whether or not it was ready. */
void bucket_take(struct bucket *b, const struct rate *r, struct when now);
/* What one second brings, at least 1: the burst of a rate that is meant to be even. */
uint64_t bucket_burst(const struct rate *r);
