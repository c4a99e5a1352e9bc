/*
 * delivery: mail goes out. It prepares jobs (strategies, look-ups), runs them (connect or reuse,
 * transactions), says what became of each recipient, and tells the sender.
 *
 * Source    Design sections 2, 6 (results) and 7; promises P1 P4 P6 P8 P12; PY-07 to PY-09, PY-15,
 *           PY-16, PY-20 to PY-22, PY-34, PY-42, PY-44.
 * Threads   delivery_ops are called on the queue's loop and post to the loops of delivery, in turn.
 *           Everything of one loop (fibers, idle connections, TLS sessions) stays on it.
 * Owns      Its loops' fibers and idle connections. Not the queue, the store, the resolver or the
 *           trusted authorities, which must outlive it.
 * Errors    None: what goes wrong is the state of a recipient, or a wait with its reason.
 */
#pragma once

#include "base/addr.h"
#include "base/date.h"
#include "base/str.h"
#include "hooks/model.h"

#include <stdbool.h>
#include <stdint.h>

struct asker;
struct buf;
struct chain;
struct dns;
struct engine;
struct path;
struct str_list;
struct loop;
struct plan;
struct process_end;
struct queue;
struct queue_ops;
struct store;
struct tls_trust;

/* What takes mail in the place of maildirs and programs in a simulated world: one recipient, as
 * long as that would take. A program's end goes to *end, what it printed to *output; for a maildir
 * both are NULL, and what failed is returned. */
typedef struct err delivery_take_fn(void *ctx, struct str route, struct process_end *end,
                                    struct buf *output, struct when by);
struct delivery_taker {
    delivery_take_fn *fn; /* NULL: maildirs and programs themselves */
    void *ctx;
};

struct delivery_options {
    struct loop *const *loops;
    uint32_t loop_count;
    struct store *store;
    struct dns *dns;
    const struct asker *asker; /* who performs look-ups (strategy/ask.h); NULL: nobody */
    struct tls_trust *trust;   /* for verified TLS; NULL: there is no verified TLS to be had */
    struct str hostname;       /* ours: in reports, in file names of maildirs */
    /* Whether a host's name, or an address and port, is ourselves (a listener's). From any loop. */
    bool (*is_own_name)(void *ctx, struct str host);
    bool (*is_own_address)(void *ctx, const struct addr *at);
    void *ctx;
    uint32_t idle_max; /* idle connections in all */
    struct delivery_taker taker;
};

struct delivery;

/* Copies the options; `plan` is the one to begin with: a reference is taken. */
struct delivery *delivery_new(const struct delivery_options *o, struct plan *plan);
const struct queue_ops *delivery_ops(struct delivery *d);
/* Before the loops start. */
void delivery_use_queue(struct delivery *d, struct queue *q);
/* What is prepared from now on is prepared under this plan. From the loop that reloads. */
void delivery_use_plan(struct delivery *d, struct plan *plan);

/* The filters of a configuration, for the stages of leaving mail (filters.h). */
struct delivery_filters {
    struct engine *engine;
    struct chain *chain;       /* NULL: nobody is asked; the caller's, until `ended` */
    struct hook_bounds bounds; /* of what they answer */
    /* Whether a recipient that one adds may be had, and for whom it is; *why is a sentence. From
     * any loop. */
    bool (*may_add)(void *ctx, bool is_trusted, const struct path *to, struct arena *a,
                    struct str_list *ret, struct str *why);
    void (*ended)(void *ctx); /* nobody uses them any more; on any thread */
    void *ctx;
};

/* Who is asked from now on: once engine_use has made the chain ready. From the loop that reloads.
 */
void delivery_use_filters(struct delivery *d, const struct delivery_filters *f);

/* On each of the loops: before the queue serves; and after it has ended, or to cut short what still
 * runs (whatever sent no end of data by then is not delivered). stop waits until all has ended. */
void delivery_loop_start(struct delivery *d, uint32_t index);
void delivery_loop_stop(struct delivery *d, uint32_t index, struct when by);
/* After all loops have stopped. */
void delivery_free(struct delivery *d);

struct delivery_counts {
    uint64_t connections; /* opened */
    uint64_t reuses;      /* of idle ones */
    uint64_t transactions;
    uint64_t delivered, deferred, failed; /* recipients */
    uint64_t idle;                        /* connections now */
    uint64_t unasked; /* attempts about which no filter was asked: too many questions were open */
};
/* From any thread; not all of one instant. */
struct delivery_counts delivery_counts(const struct delivery *d);
