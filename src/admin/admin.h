/*
 * admin: the interface for operators and their programs: health, metrics, the queue, events, over
 * HTTP on loopback and on the local socket.
 *
 * Source    Design section 10 (HTTP); promises P4 and P5; PY-25. docs/api.md lists what is
 *           served.
 * Threads   Lives on the home loop; asks queue and store by their own ways. admin_watch, before
 *           world_run, makes it count events from all threads.
 * Owns      Its server and what it counts. Settings, queue and store are the caller's.
 * Rights    Through the local socket everything may be done. Over TCP: reading from loopback, or
 *           anything with the token (Authorization: Bearer).
 * Errors    admin_open: ERR_CONFIG, with a line in *why.
 */
#pragma once

#include "admin/settings.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"

struct admin;
struct delivery;
struct engine;
struct inbound;
struct loop;
struct lookups;
struct queue;
struct store;

struct admin_options {
    struct loop *const *loops; /* all of them, for the census of fibers; copied */
    unsigned loop_count;
    struct queue *queue;
    struct store *store;
    const struct inbound *inbound;   /* or NULL: nothing is said of it */
    struct str hostname;             /* of Message-IDs; copied */
    const struct lookups *lookups;   /* may come later: admin_use_lookups */
    const struct engine *engine;     /* of filters; NULL: none */
    const struct delivery *delivery; /* comes later: admin_use_delivery */
    /* Reads the configuration again. Faults and notes go to `lines`; not OK: the old one holds. */
    struct err (*reload)(void *ctx, struct buf *lines, struct when by);
    void *ctx;
};

struct admin *admin_new(const struct admin_options *o);
/* Counts events from now on: once in a process, before world_run. */
void admin_watch(struct admin *ad);
/* Before admin_open: what look-ups there were, for /metrics. */
void admin_use_delivery(struct admin *ad, const struct delivery *delivery);
void admin_use_lookups(struct admin *ad, const struct lookups *lookups);
/* On the home loop. */
struct err admin_open(struct admin *ad, const struct admin_settings *settings, struct buf *why);
void admin_close(struct admin *ad, struct when by);
/* After all loops have ended. */
void admin_free(struct admin *ad);
