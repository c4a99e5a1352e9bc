/*
 * chain: the filters of one configuration, compiled, in the order in which they are asked. Never
 * changed once it is in use, but for what engine_use puts in before.
 *
 * Source    Design section 9: milters in their order, then hooks in theirs; `order` mixes them.
 * Owns      Its filters, programs and patterns, and a reference of the snapshot, until the last
 *           reference is given back, on any thread.
 * Errors    chain_load tells in *faults; false then.
 */
#pragma once

#include "base/arena.h"
#include "expr/expr.h"
#include "hooks/breaker.h"
#include "hooks/dialect.h"
#include "hooks/filter.h"
#include "hooks/settings.h"

#include <stdatomic.h>

struct config;
struct faults;
struct filter_state;

struct filter_limits {
    uint32_t concurrency, queue;
    struct breaker_limits breaker;
};

struct chain_item {
    struct str name;
    const struct filter_kind *kind;
    void *filter;                       /* the kind's, as compiled; lives in the chain's arena */
    const struct hook_dialect *dialect; /* NULL: none of HTTP */
    unsigned stages;
    const struct program *enable; /* NULL: always */
    int64_t timeout_ms;
    enum filter_failure on_failure[HOOK_STAGES];
    bool may_weaken;      /* what an earlier filter decided */
    bool bears_malformed; /* an answer that cannot be used counts as none */
    bool shadow;
    int64_t order;
    struct filter_limits limits;
    struct filter_state *state; /* engine_use */
};

struct chain {
    atomic_uint references;
    struct config *config;
    struct arena arena;
    struct patterns patterns;
    struct expr_services services; /* without look-ups */
    struct chain_item *items;
    uint32_t count;
    unsigned stages; /* at which anybody is asked */
};

struct chain_source {
    struct config *config;
    const struct expr_services *expr; /* NULL: none */
    uint64_t message_bytes_max;
    struct str hostname; /* who we say we are */
};

/* *ret NULL: there are no filters. Wants a thread's stack. */
bool chain_load(const struct chain_source *source, struct faults *faults, struct chain **ret);
struct chain *chain_share(struct chain *c); /* NULL is harmless in both */
void chain_drop(struct chain *c);

static inline bool chain_asks(const struct chain *c, enum hook_stage s)
{
    return c != NULL && (c->stages >> s & 1) != 0;
}

/* call.c: what a filter over HTTP comes from. Errors are in *faults, and it is not to be asked. */
struct hook_trusts;
void *hook_compile(const struct hook_settings *s, const struct chain_source *source,
                   struct hook_trusts *trusts, struct arena *a, struct faults *faults);

const struct hook_dialect *hook_dialect_of(enum hook_dialect_name name);

/* enable.c. What `enable` may read, and its value. */
struct enable_facts {
    const struct hook_view *view;
    bool is_trusted;
};
void enable_scope(const struct expr_services *services, struct expr_scope *ret);
/* False: it has no value, and *why says so. */
bool enable_is_true(const struct chain *c, const struct program *p,
                    const struct enable_facts *facts, struct arena *a, bool *ret, const char **why);
