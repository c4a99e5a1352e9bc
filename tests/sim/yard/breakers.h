/*
 * breakers: what the breaker of each filter must do, computed from what became of its questions:
 * it opens with the last of so many failures in a row; then nobody asks until the pause is over,
 * to the millisecond; then one does, alone; and with its answer it closes, or opens again.
 *
 * Source    hooks/breaker.h, rules 1 to 3; P9.
 * Time      Home hears of an answer a moment after the loop that asked: SLACK_MS.
 * Owns      Nothing. Zeroed but for the scenario's part at the begin of each life.
 */
#pragma once

#include "machine.h"

enum breakers_state { BREAKERS_CLOSED, BREAKERS_OPENS, BREAKERS_OPEN, BREAKERS_CLOSES };

struct breakers {
    /* The scenario's. */
    const char *name; /* of the filter */
    unsigned failures_max;
    int64_t pause_ms;
    /* Its own. */
    enum breakers_state state;
    unsigned failures;                     /* in a row */
    int64_t changes_by_ns;                 /* OPENS, CLOSES: it is said until then */
    int64_t until_ns;                      /* OPEN: nobody asks before */
    int64_t quiet_from_ns, quiet_until_ns; /* only the probe asked, from the last opening on */
    int64_t turned_away_ns; /* the first after the pause that was not let in; 0: none */
    unsigned opened, closed;
};

void breakers_begin(struct breakers *b);
void breakers_told(struct breakers *b, struct sim_run *run, const char *event,
                   const struct event_field *f, size_t n);
