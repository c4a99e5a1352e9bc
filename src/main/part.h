/*
 * part: the server's inside, shared by server.c (who lives where), life.c (start, end) and
 * reload.c.
 */
#pragma once

#include "admin/admin.h"
#include "delivery/delivery.h"
#include "dns/dns.h"
#include "hooks/engine.h"
#include "inbound/inbound.h"
#include "main/events.h"
#include "main/server.h"
#include "main/stage.h"
#include "queue/queue.h"
#include "runtime/disk.h"
#include "store/store.h"
#include "strategy/ask.h"
#include "tls/tls.h"

#include <stdatomic.h>

enum { WORKERS_MAX = 128, THREADS_APART_MIN = 4, GRACE_MS = 30 * 1000 };

struct server;

struct worker {
    struct server *server;
    unsigned index;
    struct loop *loop;
    struct stage start, stop, last;
};

/* Who we are, for whoever asks whether a host is ourselves: our name and where we listen. Replaced
 * whole at a reload; old ones are kept to the end, because a reader may still look. */
struct ourselves {
    struct ourselves *older;
    struct arena arena;
    struct str hostname;
    const struct addr *bound; /* an address for all is spelled out as those this machine has */
    size_t bound_count;
};

struct server {
    struct server_options options;
    struct snapshot now; /* the configuration that holds */
    struct world *world;
    struct loop *home, *store_loop, *queue_loop;
    struct worker workers[WORKERS_MAX];
    unsigned worker_count;

    struct disk *disk;
    struct store *store;
    struct queue *queue;
    struct dns *dns;
    struct lookups *lookups;
    struct asker asker; /* both, for the strategies */
    struct tls_trust *trust;
    struct delivery *delivery;
    struct engine *engine; /* of filters */
    struct inbound *inbound;
    struct admin *admin;
    _Atomic(struct ourselves *) ourselves;

    struct stage queue_start, queue_end, store_end;
    struct err store_result;
    struct buf store_why;

    struct group life, signals;
    struct signal wake; /* of the life fiber */
    bool stop, want_reload, reloading, is_up;
    int exit_status;
};

void life(void *server); /* home's fiber from start to end */

/* Reads the configuration again and, if it is good, makes it hold everywhere. What is wrong with
 * it, and what needs a restart, goes to `lines`. On home. ERR_CONFIG: the old one stays. */
struct err reload(struct server *s, struct buf *lines, struct when by);
void note_ourselves(struct server *s);
