/*
 * action: what an operator does to queued recipients, as arithmetic on their states: no clock, no
 * queue. The same function answers a dry run, changes what waits, and changes what comes back from
 * an attempt. Only MOVE and RESCHEDULE may wait, for the answers of look-ups, and only where a
 * strategy makes some.
 *
 * Source    Design section 7, "Operator actions"; PY-25.
 * Owns      Nothing: texts of the new state are views of the action, the plan and the message.
 * Errors    None: an effect.
 *
 * Rules
 * 1. Only recipients that wait are touched; what has ended stays as it ended.
 * 2. A hold stops all clocks. Its release moves them by the time held, and the base of later ones
 *    with them; a DELIVERBY deadline does not move.
 * 3. Neither a retry nor a move gives a recipient more time or more attempts.
 * 4. What is held is released before it is tried or scheduled anew.
 * 5. A schedule that cannot be decided changes nothing: at acceptance mail must be stored
 *    somewhere, here it is.
 */
#pragma once

#include "base/arena.h"
#include "mail/envelope.h"

struct asker;
struct plan;

enum action_kind {
    ACTION_HOLD,
    ACTION_RELEASE,
    ACTION_RETRY,
    ACTION_CANCEL,
    ACTION_MOVE,
    ACTION_RESCHEDULE,
    ACTION_COUNT
};

struct action {
    enum action_kind kind;
    struct str who, why;     /* HOLD, CANCEL: stored with the recipient */
    struct date drop;        /* HOLD: a quarantine, dropped then; 0: a hold without end */
    struct date at;          /* RETRY: then; 0: now */
    bool is_silent;          /* CANCEL: the sender is not told */
    struct str queue, route; /* MOVE: where to; empty: as it is */
    struct plan *plan;       /* MOVE, RESCHEDULE: decides by this one */
};

enum action_effect {
    EFFECT_CHANGES,
    EFFECT_NONE,      /* it is so already */
    EFFECT_HELD,      /* not while it is held */
    EFFECT_UNDECIDED, /* there is no new schedule: a look-up failed, or a rule has no value */
    EFFECT_COUNT
};

const char *action_name(enum action_kind k); /* "hold" */
bool action_by_name(struct str name, enum action_kind *ret);

/* Where an action is done. */
struct acting {
    const struct asker *asker; /* performs look-ups (strategy/ask.h); NULL: nobody */
    struct date now;
    struct arena *arena; /* for texts of new states */
};

/* *state is that of m->to[index], or what became of it since; written when it changes, all but its
 * version. */
enum action_effect action_apply(const struct action *act, const struct message *m, uint32_t index,
                                const struct acting *k, struct rcpt_state *state, struct when by);
