/*
 * machine: the whole server in a simulated world (main/rig.h), and what is around it: scripted
 * destinations, names that resolve, and a loop for whoever plays the outside.
 *
 * Life      machine_live runs one life of the machine: start on what the disk holds, the scenario's
 *           `outside` fiber, and an orderly stop when that returns; or a crash at any instant. The
 *           disk outlives it, so the next life begins with what it remembers.
 * Loops     home, store, queue and two workers, as in life; and `outside` for clients and hosts.
 *           Only home hears of a crash at once: it takes the others down in order, as at a stop.
 * Names     "any-7.example" has the address 198.51.100.7, no MX, and host 7 listens there.
 * Owns      Everything of one life. Not the disk, the hosts' table or the scenario's context.
 */
#pragma once

#include "../sim.h"
#include "base/event.h"
#include "main/rig.h"
#include "play/server.h"
#include "queue/queue.h"
#include "runtime/sim.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_net.h"
#include "store/store.h"
#include "strategy/ask.h"

enum { MACHINE_WORKERS = 2, MACHINE_PORT = 2525 };

struct config;
struct delivery;
struct dns;
struct inbound;
struct machine;
struct policy;

/* A destination, by play/: words as for `postyard sink`, one blank between. */
struct yard_host {
    unsigned number;
    const char *behaviour;
    /* The machine's: */
    struct machine *machine;
    struct listener *listener;
    struct play_lane lane;
    struct play_counts counts;
};

struct machine_options {
    uint64_t seed;
    const char *config; /* YAML; must be good */
    struct sim_disk *folder;
    struct store_options store;
    struct date start;   /* of the wall clock; 0: 2026-01-01 */
    int64_t crash_ns;    /* 0: it stops in order */
    int64_t time_max_ms; /* of a life; beyond it the run fails. 0: 400 days */
    struct yard_host *hosts;
    unsigned host_count;
    /* Before anything runs: the weather to begin with. */
    void (*before)(struct machine *m);
    /* On the outside loop, once the server is up: clients, weather, questions. */
    void (*outside)(struct machine *m);
    /* A host has taken a message, on the outside loop; and an event was raised, on any. */
    void (*took)(struct machine *m, struct yard_host *h, const struct play_message *mail);
    void (*told)(struct machine *m, const char *event, const struct event_field *fields,
                 size_t count);
    struct lookup_sim lookup; /* answers for all stores; ask NULL: there are none */
    void *ctx;
};

struct machine {
    struct sim_run *run;
    struct machine_options options;
    struct rig rig;
    /* The rig's. */
    struct world *world;
    struct loop *home, *outside_loop;
    struct disk *disk;
    struct store *store;
    struct queue *queue;
    struct delivery *delivery;
    struct inbound *inbound;
    struct config *config;
    struct plan *plan;
    struct policy *policy;
    uint64_t config_number;
    bool is_up;
    enum sim_end end; /* how this life ended */
    struct date ended;
};

/* One life. What the log says is added to the run's record. */
void machine_live(struct machine *m, struct sim_run *run, const struct machine_options *o);
/* Another configuration from now on, as a reload does it. From the outside loop. */
void machine_reload(struct machine *m, const char *config, struct when by);
/* How the run reached this many messages, jobs …; the watchdog must not have barked. */
struct queue_counts machine_counts(struct machine *m, struct when by);
/* Waits until no job is left, at most so long; false then. */
bool machine_drain(struct machine *m, int64_t ms, struct when by);

/* "any-7.example": 7; 0 when there is no number. */
unsigned yard_number(struct str domain);
struct addr yard_addr(unsigned number);
/* How connections to this host fare from now on. */
void yard_weather(struct machine *m, unsigned number, enum sim_net_way way);

/* A field of an event: its text or number; empty or 0 when it has none of that name. */
struct str field_str(const struct event_field *fields, size_t count, const char *name);
int64_t field_num(const struct event_field *fields, size_t count, const char *name);
