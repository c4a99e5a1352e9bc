/*
 * engine: asks the filters of a chain, one after the other, and says what comes of it all: one
 * action, one reply, and the mail as it is after their edits.
 *
 * Source    Design section 9; P9; reference of MTA Hooks, sections 2.9, 2.10 and 4.4.
 * Rules     1. A filter sees the mail as those before it left it; the edits of classic hooks wait
 *              and are applied together, before the next filter of another kind or at the end.
 *           2. What one has decided no later one weakens, but one that `may-weaken`. Reject,
 *              discard and disconnect end the chain, and all edits are forgotten.
 *           3. An answer is applied whole or not at all. One that cannot be is a failure.
 *           4. A failure does what the configuration says for that filter at that stage; an answer
 *              that cannot be used may count as none (on-malformed).
 *           5. STAGE_EARLY_MS for all of a stage before the data, STAGE_DATA_MS at its end,
 *              whatever the filters may have each.
 *           6. A filter in shadow is asked and its answer logged; nothing follows from it.
 *           7. When mail goes out a failure always means to go on, and the verdict names each edit
 *              with the filter that made it: who asked makes them, since they meet running work.
 * Threads   An engine is for all loops; engine_new, engine_use and engine_each are for home. A talk
 *           belongs to one session's fiber.
 * Owns      The engine its states and pools; a talk a reference of its chain, and what filters keep
 *           for the session. What a verdict says lives in the arena given, or in the view.
 * Errors    engine_ask: ERR_CANCELLED when the fiber was; all else is a verdict.
 */
#pragma once

#include "hooks/chain.h"
#include "hooks/registry.h"
#include "hooks/state.h"
#include "http/fetch.h"

enum { STAGE_EARLY_MS = 60000, STAGE_DATA_MS = 120000 };

struct engine;

struct engine_options {
    struct loop *home;
    struct loop *const *loops; /* on which filters are asked; copied */
    unsigned loop_count;
    registry_told_fn *told; /* what becomes of registrations; NULL: events say it */
    void *told_ctx;
};

struct engine *engine_new(const struct engine_options *o);
/* Before the first chain is used: names of hosts. */
void engine_use_dns(struct engine *e, struct dns *dns);
/* Makes a chain ready to be asked, before any session has it; NULL is harmless. */
void engine_use(struct engine *e, struct chain *c);
/* On home, before the loops stop: gives registrations back, and waits for that a few seconds. */
void engine_home_stop(struct engine *e, struct when by);
/* On each of the loops, when nobody there asks any more. */
void engine_loop_stop(struct engine *e, struct when by);
void engine_free(struct engine *e);
/* All filters there have been, for metrics. */
void engine_each(const struct engine *e, void (*fn)(void *ctx, const struct filter_state *s),
                 void *ctx);
/* Registrations kept of all configurations, on home: for tests. */
unsigned engine_registrations(const struct engine *e);
/* The connections of this loop to where `options` leads, kept under `key`, which says all that is
 * in the options; in use until engine_pool_give. What they trust, `trust` (may be NULL), is kept as
 * long. NULL: *why says why there are none. For call.c. */
struct tls_trust;
struct engine_pool;
struct engine_pool *engine_pool_take(struct engine *e, struct str name, struct str key,
                                     const struct fetch_pool_options *options,
                                     struct tls_trust *trust, struct fetch_pool **ret,
                                     struct buf *why, struct when by);
void engine_pool_give(struct engine_pool *p);

struct talk;
/* `view`: of the session as it begins. */
struct talk *talk_new(struct engine *e, struct chain *c, const struct hook_view *view);
const struct chain *talk_chain(const struct talk *t);
void talk_reset(struct talk *t); /* the transaction is over */
void talk_free(struct talk *t);  /* NULL is harmless */

struct engine_question {
    const struct hook_view *view;
    struct hook_bounds bounds; /* of what a client may send; answers have room over it */
    bool is_trusted;
    bool may_be_binary; /* the content may be of class BODY_BINARY */
};

/* Outbound: one change, and who wants it. */
struct verdict_edit {
    const struct hook_edit *edit;
    struct str by;
};

struct verdict {
    enum hook_action action;    /* HOOK_ACCEPT to HOOK_DISCONNECT; outbound the other two */
    bool disconnect;            /* after the reply */
    struct hook_reply reply;    /* code 0: the usual one */
    bool is_failure;            /* the failure policy of `by` speaks */
    struct str by;              /* the filter that decided; empty: none did */
    struct str reason;          /* its own for a quarantine; empty: none */
    struct str edited_by;       /* the last that changed anything */
    unsigned changed;           /* bits of hook_edit_kind */
    struct hook_view view;      /* after the edits */
    struct verdict_edit *edits; /* outbound, in their order; none when it is cancelled */
    uint32_t edit_count, edit_size;
};

struct err engine_ask(struct talk *t, const struct engine_question *q, struct arena *a,
                      struct verdict *ret, struct when by);
