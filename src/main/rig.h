/*
 * rig: the whole server on a simulated world, wired as server.c wires it in life, and loops outside
 * of it for those who play clients and destinations.
 *
 * Life      rig_run: starts on what the disk holds; `open` on each outside loop before the server
 *           is up; `act` on the first one once it is; an orderly stop when that has returned, or a
 *           crash at any instant: then home alone hears of it and takes the others down in order.
 * Loops     home, store, queue and the workers, as in life; then the outside ones.
 * Owns      Everything of one life, and references of plan and configuration's parts that the
 *           queue and delivery take. Not the disk, and nothing in the options.
 */
#pragma once

#include "delivery/delivery.h"
#include "dns/dns.h"
#include "hooks/engine.h"
#include "inbound/inbound.h"
#include "lookup/lookup.h"
#include "main/stage.h"
#include "queue/queue.h"
#include "runtime/sim.h"
#include "runtime/sim_disk.h"
#include "store/store.h"
#include "strategy/ask.h"

enum { RIG_WORKERS_MAX = 16, RIG_OUTSIDE_MAX = 32 };

struct rig;

struct rig_options {
    struct sim_options sim;
    struct sim_disk *folder;
    struct store_options store;
    uint64_t cache_bytes;
    unsigned workers, outsides;
    struct plan *plan;
    struct policy *policy; /* for listeners and sessions; NULL: there are none */
    struct str hostname;
    struct dns_sim names;
    struct config *config; /* for look-ups, which `answers` gives; ask NULL: there are none */
    struct lookup_sim answers;
    int64_t dns_timeout_ms;
    struct delivery_taker taker; /* for maildirs and programs */
    struct tls_trust *trust;
    uint32_t idle_max;
    int64_t grace_ms;   /* for sessions at the end */
    int64_t cut_ms;     /* for deliveries then */
    int64_t act_max_ms; /* 0: no limit */
    void (*open)(struct rig *r, unsigned outside);
    void (*act)(struct rig *r);
    void *ctx;
};

struct rig_worker {
    struct rig *rig;
    unsigned index;
    struct loop *loop;
    struct group sessions;
    struct stage start, stop, end;
};

struct rig_outside {
    struct rig *rig;
    unsigned index;
    struct loop *loop;
    struct group group; /* whoever lives there: cancelled at the end */
    struct stage opened, act, acted, leave, left;
};

struct rig {
    struct rig_options options;
    struct world *world;
    struct loop *home, *store_loop, *queue_loop;
    struct rig_worker workers[RIG_WORKERS_MAX];
    struct rig_outside outsides[RIG_OUTSIDE_MAX];
    struct disk *disk;
    struct store *store;
    struct queue *queue;
    struct delivery *delivery;
    struct engine *engine;   /* of filters */
    struct inbound *inbound; /* NULL without policy */
    struct dns *dns;
    struct lookups *lookups;
    struct asker asker;
    struct stage store_stop, store_end, queue_start, queue_stop, queue_end;
    struct group store_group, queue_group, home_group;
    struct err opened;
    struct buf why; /* the store's, when it could not start */
    bool is_up;
    struct date ended; /* when act had returned, or the crash came */
};

/* Before rig_run the world may be given its weather. */
void rig_build(struct rig *r, const struct rig_options *o);
void rig_run(struct rig *r);
void rig_free(struct rig *r);
