/*
 * operate: one operator's action on everything that is meant, from the store's envelopes to the
 * last answer; in batches, so that neither queue nor store is held up.
 *
 * Way       256 messages are read; recipients are chosen and their new states computed here, on the
 *           caller's loop; the queue records them (act.h); what was between two states is looked at
 *           again, for about a second in all.
 * Owns      Nothing; all is the caller's.
 * Errors    The store's; ERR_CONFIG when the expression failed, with *failed. What was done until
 *           then is done, and counted.
 */
#pragma once

#include "queue/act.h"
#include "queue/select.h"

struct store;

struct operation {
    struct queue *queue;
    struct store *store;
    const struct action *action;
    const struct selection *selection;
    const uint64_t *ids; /* only these messages; NULL: all */
    size_t id_count;
    bool dry_run; /* changes nothing: `done` is what would be changed */
    /* After each batch; may suspend. NULL: nobody looks. */
    void (*progress)(void *ctx, const struct operation *o);
    void *ctx;
    void (*missing)(void *ctx, uint64_t id); /* an id that is not stored; or NULL */

    /* Answers. Recipients; those that are meant are done, requested, running, held, unchanged,
     * ended or failed. */
    uint64_t messages, recipients;
    uint64_t done;
    uint64_t requested; /* an attempt runs: its result first */
    uint64_t running;   /* a retry of what is being tried */
    uint64_t held;      /* not touched: it is held */
    uint64_t unchanged; /* it was so already */
    uint64_t ended;     /* it was delivered, or failed, before it could be done */
    uint64_t failed_to; /* could not be stored, or has no new schedule: a look-up failed */
    const char *failed;
};

struct err queue_operate(struct operation *o, struct when by);
