/*
 * turns: who is next. Lanes take turns, and in a lane its sites (design section 7, "Fair turns"):
 * deficit round robin, where the unit is slot time in milliseconds, charged when it was used.
 *
 * A *berth* is one site's place in one lane; it holds the jobs that wait there, oldest first. A
 * lane or a berth that was empty starts with one quantum, never with credit. The queue keeps two of
 * these for each virtual queue: jobs that are due, and jobs that are prepared.
 *
 * Owns      Lanes and berths, which live while they hold a job or somebody's claim (a slot that
 * will still be charged). Not the jobs: they are links. Cost      Each function O(1), but for a
 * turn that finds overdrawn lanes: a lane that used n quanta is passed over n times. Rest      A
 * site that rests has its berths parked: they keep their jobs and take no turns.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { TURN_QUANTUM_MS = 100 };

struct lane;
struct site;

/* Why a berth takes no turns although its site serves. */
enum berth_block {
    BERTH_OPEN,
    BERTH_SITE_FULL,  /* its site holds all that it may */
    BERTH_CLASS_FULL, /* the share of sites that are not proven is taken */
    BERTH_BLOCK_COUNT
};

struct turns {
    struct list active; /* lanes with a berth that takes turns */
    struct map lanes;   /* by name */
    uint32_t jobs;      /* in all, parked ones too */
    uint32_t parked;
    struct list blocked[BERTH_BLOCK_COUNT]; /* berths, by why; [BERTH_OPEN] is unused */
    bool holds_works; /* the links are of works, not of jobs: for whoever walks a berth */
};

struct berth {
    struct turns *turns;
    struct lane *lane;
    struct site *site;
    struct list jobs;
    uint32_t count;
    uint32_t claims;
    int64_t deficit_ms;
    struct link in_lane; /* in the lane's ring while it takes turns */
    struct link in_site; /* in site->berths for its life */
    bool parked;
    enum berth_block blocked;
    struct link in_blocked;
    bool holds_works; /* copied from its turns */
};

void turns_init(struct turns *t, bool holds_works);
/* All must have been taken out. */
void turns_done(struct turns *t);

void turns_add(struct turns *t, struct str lane, struct site *site, struct link *job);
/* The same for one that had its turn and could not use it: before all others. */
void turns_add_first(struct turns *t, struct str lane, struct site *site, struct link *job);
/* The berth whose turn it is, or NULL when none is active. Its first job is list_first(&b->jobs).
 */
struct berth *turns_next(struct turns *t);
/* Some berth that takes turns, or NULL; changes nothing. */
struct berth *turns_peek(const struct turns *t);
/* Takes a job out of the berth it waits in; the berth may be gone afterwards. */
void turns_remove(struct berth *b, struct link *job);
/* The berth of a lane and site, or NULL. */
struct berth *turns_find(struct turns *t, struct str lane, const struct site *site);

/* Keeps a berth for a later charge. */
void berth_claim(struct berth *b);
void berth_charge(struct berth *b, int64_t ms); /* drops one claim */

void berth_park(struct berth *b);
void berth_unpark(struct berth *b);
void berth_block(struct berth *b, enum berth_block why);
void berth_unblock(struct berth *b);
