/*
 * course: what would become of a recipient whose every attempt fails in the same way: its attempts,
 * its notices, its end, each at its time. For `explain`; the same pure functions decide as in
 * delivery (P5).
 *
 * Source    Rules of schedule.h; delivery/result.c and note.c, which do the same when it is real.
 * Owns      Nothing: texts live in the arena or in the plan.
 * Limits    An attempt takes no time here and the jitter is left out, so real times are a little
 *           later. A schedule that never ends does not end here either: the caller stops.
 */
#pragma once

#include "strategy/strategy.h"

enum course_kind { COURSE_ATTEMPT, COURSE_NOTICE, COURSE_END };

struct course_step {
    enum course_kind kind;
    struct date at;
    uint32_t number; /* of the attempt or notice, from 1 */
    struct str queue;
    struct str schedule;  /* in force when it comes */
    struct position rule; /* that chose the schedule */
};

struct course {
    const struct plan *plan;
    struct subject subject;     /* message, answers */
    struct recipient recipient; /* its state moves on */
    struct last_result failure; /* of each attempt */
    struct arena *arena;
    /* The latest decision of a schedule, and what it was about, to be made again under a watch. */
    struct decision decision;
    struct recipient decided;
    struct date decided_at;
    bool is_tried; /* the attempt that was told is to fail when the next step is asked for */
    bool is_over;
};

/* At acceptance, the message's `arrived`. Of `s` message, recipient and answers are taken. */
void course_begin(struct course *c, const struct plan *p, const struct subject *s,
                  const struct last_result *failure, struct arena *a);
/* False: it is over. After an attempt was told, c->recipient is as that attempt finds it. */
bool course_next(struct course *c, struct course_step *ret);
