/*
 * part: what the files of lookup/ share; nobody else includes it.
 *
 * A question is made in the asker's fiber and carried to the home loop. There it is answered at
 * once (file, cache, breaker), joins a flight that asks the same, or becomes a flight of its own.
 * Flights wait for a worker fiber of their store, which holds one connection. The question belongs
 * to the home until `answered` has run on the asker's loop, then to the asker, or to nobody when
 * the asker has given up: then `answered` frees it.
 */
#pragma once

#include "base/buf.h"
#include "lookup/answer.h"
#include "lookup/cache.h"
#include "lookup/file.h"
#include "lookup/settings.h"
#include "runtime/loop.h"

#include <stdatomic.h>

enum {
    BREAK_FIRST_MS = 1000,
    BREAK_MAX_MS = 30 * 1000,
    IDLE_MS = 60 * 1000,
    FILE_LOOK_MS = 1000,
    BLOCKING_MAX = 2, /* of the few threads that also flush */
};

struct store;

/* One type of store. Connections are the backend's own structs. */
struct backend {
    /* Errors: *why says it. */
    struct err (*open)(struct store *s, void **ret, struct buf *why, struct when by);
    /* ERR_SYNTAX: the store refuses, and the connection is as good as before. After any other error
     * the connection is closed. On an error ret->why is set. */
    struct err (*ask)(struct store *s, void *connection, const struct lookup_question *q,
                      struct arena *a, struct lookup_answer *ret, struct when by);
    void (*close)(void *connection);
};
extern const struct backend redis_backend, sqlite_backend, postgresql_backend;

struct lookups {
    struct loop *home;
    struct lookup_options options;
    struct map names;        /* struct store, of the configuration that holds */
    struct list stores;      /* these, and older ones that still have work */
    struct group group;      /* workers and keepers */
    unsigned blocking;       /* fibers in offload */
    struct signal unblocked; /* one of them is out again */
    struct {
        atomic_ullong asked, cached, joined, refused, failed;
    } counts;
};

struct store {
    struct lookups *lookups;
    struct link link;
    struct config *config; /* one reference: name and settings live there */
    struct str name;
    const struct lookup_settings *settings;
    const struct backend *backend; /* NULL: a file */
    struct cache cache;
    struct map flights; /* by question_key: those that others may join */
    struct list waiting;
    uint32_t waiting_count, worker_count, fiber_count;
    struct list idle; /* struct idle */
    bool is_old;      /* of an earlier configuration */

    bool is_away, is_probing;
    struct when away_until, last_good;
    int64_t pause_ms;
    struct buf why; /* it is away, or the file is bad */

    struct table *table; /* of a file; NULL: never read */
    struct file_mark mark;
    bool is_marked;
};

struct idle {
    struct link link;
    void *connection;
    struct when since;
};

/* watch.c: keeps a file's table at what the file says; a fiber for each. */
void keeper_start(struct store *s);
/* Reads the file now. */
void keeper_read(struct store *s, struct when by);

/* The worker's turn in offload: at most BLOCKING_MAX at once. */
struct err blocking_begin(struct lookups *l, struct when by);
void blocking_end(struct lookups *l);

void store_tell(struct store *s, enum lookup_news news, struct str text);
