/*
 * ask: decides, performs the look-up that is needed, decides again: the decisions of strategy.h for
 * those who may wait.
 *
 * Source    Design section 8; PY-46; promises P5 and P8.
 * Owns      Answers live in the arena of the struct asking; keep one for one recipient at one
 *           moment (acceptance, an attempt, its result), so that its strategies hear the same
 *           answers, and what is asked once counts once.
 * Errors    A look-up that fails is an answer; what then follows is the strategy's (PY-46).
 *           `is_cancelled`: the fiber was cancelled while it waited: there is no decision, and
 *           nothing may be concluded from that.
 *
 * A list without look-ups is decided at once and never waits.
 */
#pragma once

#include "lookup/lookup.h"
#include "strategy/strategy.h"

struct dns;

/* Who performs look-ups. NULL: none of that kind is performed here, and each fails. */
struct asker {
    struct lookups *lookups;
    struct dns *dns;
};

struct asking {
    const struct asker *asker; /* NULL: nobody */
    struct arena *arena;
    struct expr_answers answers;
    bool is_cancelled;
};

/* s->answers is set to those of `k`. A schedule is always found, unless k->is_cancelled. */
const struct schedule *ask_schedule(const struct plan *p, struct subject *s, struct asking *k,
                                    struct arena *a, struct decision *ret, struct when by);
const struct plan_route *ask_route(const struct plan *p, struct subject *s, struct asking *k,
                                   struct arena *a, struct decision *ret, struct when by);
const struct plan_connection *ask_connection(const struct plan *p, struct subject *s,
                                             struct asking *k, struct arena *a,
                                             struct decision *ret, struct when by);
const struct plan_tls *ask_tls(const struct plan *p, struct subject *s, struct asking *k,
                               struct arena *a, struct decision *ret, struct when by);

/* Performs one look-up and adds its answer, good or bad. False: there is none (cancelled, or too
 * many for one decision). */
bool ask_perform(struct asking *k, const struct expr_lookup *lookup, struct when by);

/* What can be performed at all: EXPR_LOOKUP_BITs. */
unsigned ask_offers(void);
/* The question to a store that a look-up is; false: it is none. */
bool ask_verb(enum expr_lookup_kind kind, enum lookup_verb *ret);
/* The name of the store: `default` for '*' and ''. */
struct str ask_store(struct str given);
