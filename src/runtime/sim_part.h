/*
 * sim_part: what the files of the simulated world share; for sim*.c only.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "runtime/sim.h"
#include "runtime/world.h"

/* ---- chance: splitmix64 (Steele, Lea, Flood 2014), 64 bits of state, good enough and tiny ---- */

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 to below - 1; the bias of a modulus over 64 bits does not matter here. below 0: 0. */
static inline uint64_t rng_below(struct rng *r, uint64_t below)
{
    return below == 0 ? 0 : rng_next(r) % below;
}

/* True so many times in a million. */
static inline bool rng_ppm(struct rng *r, uint32_t ppm)
{
    return ppm > 0 && rng_below(r, 1000000) < ppm;
}

/* 0 to spread - 1. */
static inline int64_t rng_time(struct rng *r, int64_t spread_ns)
{
    return spread_ns <= 0 ? 0 : (int64_t)rng_below(r, (uint64_t)spread_ns);
}

/* ---- the world ---- */

/* Something that will happen at a virtual instant, between turns. */
struct alarm {
    struct heap_node node;
    void (*ring)(struct alarm *a);
};

struct pause {
    struct alarm alarm;
    struct link link; /* in sim_world.pauses */
    struct fiber *fiber;
    bool over;
};

struct sim_loop {
    struct rng rng;
    struct when busy_until; /* its CPU time of the last turn */
    struct when heard;      /* when it notices that something was posted */
    int64_t bill;           /* of this turn */
    bool started;
};

enum { SERVICES_MAX = 16, ARMED_MAX = 16 };

struct sim_world {
    struct world world;
    struct sim_options options;
    struct rng rng;
    struct when now;
    int64_t stepped_ms;
    struct heap alarms;
    struct list pauses;
    struct alarm crash;
    enum sim_end end;
    bool dead; /* crashed: what still runs only unwinds */
    uint64_t turns, digest;
    struct buf log;
    struct {
        const char *name;
        void *service;
    } services[SERVICES_MAX];
    unsigned service_count;
    struct {
        const char *point;
        uint64_t left;
    } armed[ARMED_MAX];
    unsigned armed_count;
    struct list connections, listeners; /* sim_net.c */
    struct sim_rule *rules;             /* newest first */
    uint16_t next_port;
    struct list mounts; /* sim_disk.c */
};

struct sim_world *sim_of(struct world *w);
struct sim_world *sim_here(void); /* the running loop's */

void alarm_set(struct sim_world *w, struct alarm *a, struct when at);
void alarm_clear(struct sim_world *w, struct alarm *a);
/* Time passes; waits firmly. Ends early, and false, when the world crashes. */
bool sim_pause(struct sim_world *w, const char *what, int64_t ns);
struct date sim_date(const struct sim_world *w);
void sim_log_event(const struct event_kind *kind, const struct event_field *fields, size_t count);
void sim_log_end(struct sim_world *w);
void sim_bill(struct sim_world *w, size_t bytes); /* one call that moves bytes */

void sim_count_up(const char *name);

void net_init(struct sim_world *w);
void net_done(struct sim_world *w);
struct err net_connect(struct addr to, struct addr from, struct transport **ret, struct addr *local,
                       struct when by);
struct err net_listen(struct addr at, struct listener **ret);

void mounts_done(struct sim_world *w);
struct err mounts_open(struct str path, struct disk **ret, struct when by);
