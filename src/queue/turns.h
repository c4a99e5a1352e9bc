/*
 * turns: who is next. Lanes take turns by their weight, and in a lane its sites; both by the slot
 * time that they use, charged when it was used. In a lane, mail of the highest priority goes first.
 *
 * Berth     One site's place in one lane, for one priority; it holds the jobs that wait there,
 *           oldest first. The queue keeps two of these for each virtual queue: jobs that are due,
 *           and jobs that are prepared.
 * Time      Each lane has a clock of the slot time it has used, divided by its weight, and each
 *           berth one inside its lane; the one furthest behind is next. The common clock says what
 *           a fair share would have used by now; whoever comes begins there, so nobody saves up
 *           credit, and nobody is made to pay for time that no other wanted. docs/decisions/
 *           tells why this stands in for a ring of deficits.
 * Priority  Within a lane the highest that waits is served; what waits below it rises by a step for
 *           each `aging_ms` since it was due, and then takes turns with the highest.
 * Rest      A site that rests has its berths parked: they keep their jobs and take no turns. So
 *           does a berth that is blocked, because its site or its class holds all that it may.
 * Owns      Its berths, which live while they hold a job or somebody's claim (a slot that will
 *           still be charged). Not the jobs: they are links; nor the lanes.
 * Cost      Each function O(log n).
 */
#pragma once

#include "base/date.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/places.h"
#include "base/slab.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* What a turn is taken to cost until it is known. */
enum { TURN_MS = 100 };

struct site;

/* A lane of a virtual queue, as its jobs know it. */
struct lane {
    struct str name;         /* empty: that without a name; there is one such in a queue */
    struct turn_lane *in[2]; /* its place in the turns that hold jobs, and in those of works */
    uint32_t jobs;
    uint32_t weight;   /* at least 1 */
    uint64_t weighed;  /* the number of the plan that said so */
    uint16_t share_no; /* of a shared one: its place, from 1; else 0 */
};

/* Why a berth takes no turns although its site serves. */
enum berth_block {
    BERTH_OPEN,
    BERTH_SITE_FULL, /* its site holds all that it may */
    BERTH_CLASS_FULL /* the share of sites that are not proven is taken */
};

/* The berths of one priority in one lane. */
struct turn_level {
    struct turn_lane *lane;
    struct turn_level *lower;
    struct heap by_turn, by_age; /* of berths that take turns */
    uint32_t berths;
    int priority;
};

/* A lane's place among the others. */
struct turn_lane {
    struct lane *lane; /* NULL: it has ended, or is that without a name and never had a berth */
    struct link in_turns;
    struct heap_node turn;
    int64_t used_us, clock_us;
    uint32_t active; /* berths that take turns */
    uint32_t berths;
    uint32_t weight;                   /* as counted in turns->weights */
    struct turn_level *levels, level0; /* the highest first; 0 is always there */
};

struct turns {
    struct heap active; /* lanes with a berth that takes turns */
    struct list lanes;  /* that have a name and a berth */
    struct turn_lane unnamed;
    struct places berths; /* all, by level and site */
    struct slab *slab;    /* the queue's: of berths, whose they ever are */
    int64_t clock_us;
    uint64_t weights;
    int64_t aging_ms;
    uint32_t jobs; /* in all, parked ones too */
    uint32_t parked;
    struct list blocked; /* all that are, whatever the reason */
    struct list blocked_class;
    struct date (*since)(struct link *job); /* when it came to be due */
    bool holds_works; /* the links are of works, not of jobs: for whoever walks a berth */
};

struct berth { /* what each turn reads first, in two lines of memory */
    struct list jobs;
    struct turns *turns;
    struct turn_level *level;
    struct site *site;
    int64_t used_us;
    uint32_t count;
    uint32_t claims;
    struct heap_node turn, age; /* in its level while it takes turns */
    struct link in_site;        /* in site->berths for its life */
    struct link in_blocked, in_why;
    enum berth_block blocked;
    bool parked;
};

_Static_assert(sizeof(struct berth) <= 128, "P7: there may be one for each queued job");

/* `slab`: of struct berth; it may be shared, and outlives them. */
void turns_init(struct turns *t, struct slab *slab, bool holds_works,
                struct date (*since)(struct link *job));
/* All must have been taken out. */
void turns_done(struct turns *t);

/* Where the job now waits. */
struct berth *turns_add(struct turns *t, struct lane *lane, int priority, struct site *site,
                        struct link *job);
/* The same for one that had its turn and could not use it: before all others. */
struct berth *turns_add_first(struct turns *t, struct lane *lane, int priority, struct site *site,
                              struct link *job);
/* The berth whose turn it is, or NULL when none takes turns; changes nothing. Its first job is
 * list_first(&b->jobs). */
struct berth *turns_next(const struct turns *t, struct date now);
/* Takes a job out of the berth it waits in; the berth may be gone afterwards. */
void turns_remove(struct berth *b, struct link *job);
/* The lane ends; slots that were of it may still have to be charged. */
void turns_lane_ends(struct lane *lane);
/* The berth of a lane, priority and site, or NULL. */
struct berth *turns_find(const struct turns *t, const struct lane *lane, int priority,
                         const struct site *site);

/* Its first job has its turn: out of the berth, which is claimed. */
void turns_start(struct berth *b);
/* It has its turn: keeps the berth for the charge, and counts TURN_MS until then. */
void berth_claim(struct berth *b);
void berth_charge(struct berth *b, int64_t ms); /* drops one claim */

void berth_park(struct berth *b);
void berth_unpark(struct berth *b);
/* `at`: the list of those that wait for the same; NULL: those of the class. */
void berth_block(struct berth *b, enum berth_block why, struct list *at);
void berth_unblock(struct berth *b);
static inline bool berth_is_active(const struct berth *b)
{
    return heap_holds(&b->turn);
}
static inline struct lane *berth_lane(const struct berth *b)
{
    return b->level->lane->lane;
}
