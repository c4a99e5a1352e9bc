/*
 * visitors: the limits on arriving mail: which of them count a client, a sender or a recipient, and
 * by which values.
 *
 * Source    queue.limiter.inbound; PY-31.
 * Owns      Nothing: a decision's texts live in the caller's arena.
 * Errors    None: a match that gives no value leaves its limiter out, and is told to the caller.
 *
 * A limiter's class is the earliest point at which all that its key and match read is known. Like
 * all of strategy/ this neither suspends nor looks at a clock.
 */
#pragma once

#include "strategy/strategy.h"

/* What is known of a client in session, and of its transaction. */
struct visitor {
    struct str listener;
    struct addr remote, local;
    bool is_trusted, is_tls;
    struct str helo, authenticated_as; /* empty: none */
    struct str sender, rcpt;           /* addresses as given */
    int8_t priority;
};

struct visitor_use {
    const struct plan_visitor_limiter *limiter; /* of the plan */
    struct str values;
};

/* Those of a class into an array of at least p->visitor_limiter_count; how many. `failed`: the name
 * of one whose match gave no value and which was left out, else empty. */
uint32_t decide_visitor(const struct plan *p, enum visitor_class class, const struct visitor *g,
                        struct arena *a, struct visitor_use *ret, struct str *failed);
