/*
 * sim: runs one scenario under many seeds and says which failed and how to see it again.
 *
 *     build/tests/sim/sim-NAME [--seeds N] [--first N] [--seed N] [--replay] [--verbose] [SWITCH…]
 *
 * --seed N is one seed; --verbose also prints its log. Every seventeenth seed (with --replay: every
 * one) runs twice, and what it recorded must be the same byte for byte. A SWITCH is the scenario's
 * own: mostly a thing to break, to prove that the scenario sees it. With --expect-failure the run
 * succeeds only when a seed fails.
 */
#pragma once

#include "base/buf.h"
#include "runtime/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct sim_run {
    uint64_t seed;
    bool verbose;
    bool failed;
    struct buf record; /* what must be the same at the second run: logs, results */
    struct buf why;
    const char *const *switches;
    unsigned switch_count;
};

/* A point or fault that so many seeds must have met so many times. */
struct sim_need {
    const char *point;
    uint64_t times;
};

struct sim_scenario {
    const char *name;
    void (*run)(struct sim_run *r);
    const struct sim_need *needs; /* looked at when at least needs_from seeds ran */
    unsigned need_count;
    uint64_t needs_from;
};

int sim_main(int argc, char **argv, const struct sim_scenario *s);

bool sim_switched(const struct sim_run *r, const char *name);
/* The first failure is the one reported; the scenario goes on and must still end in order. */
void sim_fail(struct sim_run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds the world's log to the record; after world_run. */
void sim_record(struct sim_run *r, const struct world *w);
