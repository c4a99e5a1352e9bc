#include "limit/bucket.h"

#include "base/check.h"

/* One token takes so long to come. */
static int64_t interval_ns(const struct rate *r)
{
    int64_t period_ns, ns;

    if (__builtin_mul_overflow(r->period_ms, NS_PER_MS, &period_ns)) {
        period_ns = INT64_MAX;
    }
    must(r->count > 0);
    ns = r->count > INT64_MAX ? 1 : period_ns / (int64_t)r->count;
    return ns > 0 ? ns : 1;
}

struct when bucket_ready(const struct bucket *b, const struct rate *r, uint64_t burst,
                         struct when now)
{
    int64_t slack_ns;

    if (r->count == 0 || b->full.ns <= now.ns) {
        return now;
    }
    must(burst > 0);
    if (burst - 1 > INT64_MAX ||
        __builtin_mul_overflow(interval_ns(r), (int64_t)(burst - 1), &slack_ns)) {
        return now;
    }
    return (struct when){b->full.ns - slack_ns};
}

void bucket_take(struct bucket *b, const struct rate *r, struct when now)
{
    if (r->count > 0) {
        struct when from = b->full.ns > now.ns ? b->full : now;

        b->full = when_add(from, interval_ns(r));
    }
}

uint64_t bucket_burst(const struct rate *r)
{
    uint64_t a_second = r->period_ms > 0 ? r->count * 1000 / (uint64_t)r->period_ms : 0;

    return a_second > 0 ? a_second : 1;
}
