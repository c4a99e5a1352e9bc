/*
 * gate: how many ask one filter at the same time, and who waits for it, first come first served.
 *
 * Owns      Nothing: waiters belong to who waits. A gate must be gate_init'ed.
 * Limits    `width` at a time, `queue_max` that wait: who comes then is turned away at once, since
 *           a line that only grows helps nobody.
 *
 * Pure, of one owner. Deadlines are the waiters' own: they leave the line with gate_withdraw.
 */
#pragma once

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct gate {
    uint32_t busy, waiting_count;
    struct list waiting;
};

struct gate_waiter { /* zeroed: waits nowhere */
    struct link link;
};

enum gate_answer { GATE_IN, GATE_WAIT, GATE_FULL };

void gate_init(struct gate *g);
/* width 0: any number at a time. */
enum gate_answer gate_enter(struct gate *g, struct gate_waiter *w, uint32_t width,
                            uint32_t queue_max);
void gate_withdraw(struct gate *g, struct gate_waiter *w);
/* One that was in has left. */
void gate_leave(struct gate *g);
/* The next who comes in, counted as being in; NULL: nobody, or no room. */
struct gate_waiter *gate_next(struct gate *g, uint32_t width);
