/*
 * action: what an operator does to queued recipients, as arithmetic on their states: no clock, no
 * queue. The same function answers a dry run, changes what waits, and changes what comes back from
 * an attempt. Only MOVE and RESCHEDULE may wait, for the answers of look-ups, and only where a
 * strategy makes some.
 *
 * A filter's wishes about what came of an attempt go the same way (FILTER).
 *
 * Source    Design section 7, "Operator actions"; PY-25; for FILTER the reference of MTA Hooks,
 *           section 3.16.
 * Owns      Nothing: texts of the new state are views of the action, the plan and the message.
 * Errors    None: an effect.
 *
 * Rules
 * 1. Only recipients that wait are touched; what has ended stays as it ended. A filter
 *    may have one that failed dropped or tried again.
 * 2. A hold stops all clocks. Its release moves them by the time held, and the base of later ones
 *    with them; a DELIVERBY deadline does not move.
 * 3. Neither a retry nor a move gives a recipient more time or more attempts.
 * 4. What is held is released before it is tried or scheduled anew.
 * 5. A schedule that cannot be decided changes nothing: at acceptance mail must be stored
 *    somewhere, here it is.
 * 6. A filter speaks about the state that it was shown: any change since then stands.
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
    ACTION_COUNT, /* of those that an operator may ask for */
    ACTION_FILTER
};

/* What a filter wants of one recipient. */
enum action_wish {
    WISH_TIMES, /* it waits, and shall wait until then */
    WISH_AGAIN, /* it failed, and shall be tried again */
    WISH_FAIL,
    WISH_DROP, /* the sender is not told */
};
struct action_change {
    uint32_t index, version; /* of the state that the filter was shown */
    enum action_wish wish;
    struct date next;   /* 0: as it is; AGAIN: soon */
    struct date notice; /* 0: as it is; DATE_NEVER: none */
    struct str by;      /* the filter */
    bool is_done;       /* queue_filter's: it is stored, and the times are those stored */
};
enum { WISH_MS_MIN = 1000 };                                /* the soonest from now on */
static const int64_t wish_ms_max = 30LL * 24 * 3600 * 1000; /* without an end of its time */

struct action {
    enum action_kind kind;
    struct str who, why;     /* HOLD, CANCEL: stored with the recipient */
    struct date drop;        /* HOLD: a quarantine, dropped then; 0: a hold without end */
    struct date at;          /* RETRY: then; 0: now */
    bool is_silent;          /* CANCEL: the sender is not told */
    struct str queue, route; /* MOVE: where to; empty: as it is */
    struct plan *plan;       /* MOVE, RESCHEDULE: decides by this one */
    struct str filter;       /* CANCEL: whose wish it is; empty: an operator's */
    const struct action_change *changes; /* FILTER */
    uint32_t change_count;
};

enum action_effect {
    EFFECT_CHANGES,
    EFFECT_NONE,      /* it is so already */
    EFFECT_HELD,      /* not while it is held */
    EFFECT_UNDECIDED, /* there is no new schedule: a look-up failed, or a rule has no value */
    EFFECT_COUNT
};

const char *action_name(enum action_kind k); /* "hold" */
/* FILTER: what it wants of that recipient; NULL: nothing. */
const struct action_change *action_change_of(const struct action *act, uint32_t index);
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
