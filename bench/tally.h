/*
 * tally: what the load generator and the bench sink count: messages by tenths of a second of the
 * monotonic clock, which both share on one machine, and latencies in a histogram.
 *
 * Limits    An hour of tenths; latencies up to 4,000 s, exact to 1.6 %.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TALLY_TENTHS = 36000, TALLY_STEPS = 64, TALLY_POWERS = 36 };

struct tally {
    uint64_t start_ns;
    uint32_t tenths[TALLY_TENTHS];
    uint64_t steps[TALLY_POWERS * TALLY_STEPS]; /* latencies, in microseconds */
    uint64_t count, latencies, max_us;
};

static inline uint64_t tally_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void tally_count(struct tally *t, uint64_t now_ns)
{
    uint64_t tenth = (now_ns - t->start_ns) / 100000000u;

    t->tenths[tenth < TALLY_TENTHS ? tenth : TALLY_TENTHS - 1]++;
    t->count++;
}

/* The lower half of the steps of the first power are exact; each later power has half as many new
 * ones, as wide as its own scale. */
static inline unsigned tally_step(uint64_t us)
{
    unsigned power = 0;

    while (us >= TALLY_STEPS && power < TALLY_POWERS - 1) {
        us >>= 1;
        power++;
    }
    return power * TALLY_STEPS + (unsigned)(us < TALLY_STEPS ? us : TALLY_STEPS - 1);
}

static inline void tally_latency(struct tally *t, uint64_t ns)
{
    uint64_t us = ns / 1000;

    t->steps[tally_step(us)]++;
    t->latencies++;
    t->max_us = us > t->max_us ? us : t->max_us;
}

static inline void tally_forget_latencies(struct tally *t)
{
    memset(t->steps, 0, sizeof t->steps);
    t->latencies = t->max_us = 0;
}

/* In microseconds: below which a share of all latencies stood, in thousandths. */
static inline uint64_t tally_below(const struct tally *t, unsigned thousandths)
{
    uint64_t want = (t->latencies * thousandths + 999) / 1000, seen = 0;

    for (unsigned i = 0; i < TALLY_POWERS * TALLY_STEPS; i++) {
        seen += t->steps[i];
        if (seen >= want && seen > 0) {
            return ((uint64_t)(i % TALLY_STEPS) + 1) << (i / TALLY_STEPS);
        }
    }
    return 0;
}

static inline void tally_print(const struct tally *t, FILE *out)
{
    uint64_t last = TALLY_TENTHS;

    while (last > 0 && t->tenths[last - 1] == 0) {
        last--;
    }
    fprintf(out, "\"start_ns\":%llu,\"count\":%llu,\"latency_us\":{\"count\":%llu,\"p50\":%llu,",
            (unsigned long long)t->start_ns, (unsigned long long)t->count,
            (unsigned long long)t->latencies, (unsigned long long)tally_below(t, 500));
    fprintf(out, "\"p90\":%llu,\"p99\":%llu,\"p999\":%llu,\"max\":%llu},\"tenths\":[",
            (unsigned long long)tally_below(t, 900), (unsigned long long)tally_below(t, 990),
            (unsigned long long)tally_below(t, 999), (unsigned long long)t->max_us);
    for (uint64_t i = 0; i < last; i++) {
        fprintf(out, "%s%u", i > 0 ? "," : "", t->tenths[i]);
    }
    fputs("]", out);
}
