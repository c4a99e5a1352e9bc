/*
 * site: a destination as the queue sees it: route and next hop. Connections, failures in a row, and
 * rest are counted here, over all virtual queues.
 *
 * Rest      After SITE_FAILURES_MAX connections in a row that failed before a transaction was
 *           accepted the site rests; its due jobs wait, spending no attempt. When the rest is over
 *           one connection may probe; success ends it, failure lengthens it.
 * Owns      Its name. Forgotten when it has no job, no connection and no rest; but that a site is
 *           proven is remembered beyond that, for SITES_KNOWN of them at a time.
 */
#pragma once

#include "base/date.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/places.h"
#include "base/slab.h"
#include "base/str.h"
#include "config/setting.h"

#include <stdbool.h>
#include <stdint.h>

enum { SITE_FAILURES_MAX = 3, SITE_PROVEN_MS = 3600 * 1000, SITE_TEXT_MAX = 200 };
enum { SITES_KNOWN_WAYS = 4, SITES_KNOWN_SETS = 16 * 1024 };
enum { SITES_KNOWN = SITES_KNOWN_WAYS * SITES_KNOWN_SETS };

enum { SITE_NAME_NEAR = 40 };

/* What each job reads comes first, in one line of memory; its name begins in the next. */
struct site {
    char *name;           /* `near`, or apart when it is longer */
    uint64_t name_hash;   /* with sites->seed */
    struct list berths;   /* of all virtual queues */
    uint32_t jobs;        /* that name it, whatever their state */
    uint32_t connections; /* slots that run for it now */
    struct date proven_until;
    uint32_t failures;     /* in a row */
    uint32_t rests;        /* in a row: which of the rest times is next */
    struct heap_node wake; /* in sites->waking while it rests */
    bool paused;           /* by an operator */
    bool resting, probing;
    /* The job that shall probe is being prepared, or waits for a slot. */
    bool scouting : 1;
    /* It rests because it was slow when its queue's share for such was taken. */
    bool rests_slow : 1;
    char near[SITE_NAME_NEAR];
    char *text; /* the last failure, for `why`; NULL: none. Apart, because most have none (P7) */
    struct date rest_until;
    uint32_t rest_ms; /* how long this rest is: a day with its jitter at most */
};

_Static_assert(sizeof(struct site) <= 128, "P7: there may be 100,000 of them");

/* When its rest began. */
static inline struct date site_rest_since(const struct site *site)
{
    return date_add(site->rest_until, -(int64_t)site->rest_ms);
}

static inline const char *site_text(const struct site *site)
{
    return site->text ? site->text : "";
}

/* A site that was forgotten while it was proven, by a hash of its name. */
struct known_site {
    uint64_t hash;
    struct date proven_until;
};

struct sites {
    struct slab slab; /* of struct site */
    struct places by_name;
    uint64_t seed;            /* of names' hashes: from runtime/random.h, strangers choose them */
    struct heap waking;       /* by rest_until */
    struct known_site *known; /* SITES_KNOWN, once there is one */
};

struct site *site_take(struct sites *s, struct str name); /* found or made */
/* Frees it when nothing is left to remember. */
void site_forget(struct sites *s, struct site *site);
void sites_done(struct sites *s);

/* A connection failed before a transaction was accepted. True when the site begins to rest: park
 * its berths. `rests` says how long, the first time and each time a probe failed again (the last
 * repeats); empty: 1, 2, 5, 10, 15 minutes. `jitter` is 0 to 99: up to 10 % more. */
bool site_failed(struct sites *s, struct site *site, struct str why, struct duration_list rests,
                 struct date now, unsigned jitter);
/* The site rests at once: a connection of it was closed for being slow. */
void site_rest(struct sites *s, struct site *site, struct str why, struct duration_list rests,
               struct date now, unsigned jitter);
/* A transaction was accepted. `is_quick`: no wait in it was slow, so the site is proven for an
 * hour; else it is new again. True when this ends a rest: unpark its berths. */
bool site_proved(struct sites *s, struct site *site, bool is_quick, struct date now);
static inline bool site_is_proven(const struct site *site, struct date now)
{
    return now.ms < site->proven_until.ms;
}
/* The site whose rest is over by now, or NULL: unpark its berths; it probes with one connection. */
struct site *site_rested(struct sites *s, struct date now);
/* Ends the rest at once (an operator's retry). True when it rested. */
bool site_wake(struct sites *s, struct site *site);
/* May one more connection start? While not, its berths are parked. */
bool site_admits(const struct site *site);
