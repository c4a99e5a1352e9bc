/*
 * limits: how often, and how many at once, counted by key; and who waits for it.
 *
 * Source    PY-23, PY-31; promise P2 (a limit across queues is shared by turns).
 * Threads   One owner. Pure: the caller brings the time.
 * Owns      Its buckets, with copies of their keys. Not the waiters.
 * Rules     1. All keys are asked first, and only if all have room is anything taken.
 *           2. Who is refused may wait at the bucket that refused: in a line for each group (a
 *              virtual queue), and the lines take turns. Waiters are called one by one as room
 *              comes, so nothing becomes due in a herd; newcomers do not overtake them.
 *           3. A bucket that is as good as new is forgotten.
 * Limits    LIMIT_BUCKETS_MAX keys at a time; what comes beyond is not counted (limits_uncounted).
 * Errors    None.
 */
#pragma once

#include "base/date.h"
#include "base/list.h"
#include "base/str.h"
#include "config/setting.h"

enum { LIMIT_BUCKETS_MAX = 1000000 };

struct limit_rule {
    struct str name;
    struct rate rate;     /* count 0: none */
    uint32_t concurrency; /* at work at a time; 0: any number */
};

struct limits;

/* `seed` from runtime/random.h: strangers choose the keys. */
struct limits *limits_new(uint64_t seed);
void limits_free(struct limits *l);
/* The rules from now on. What was counted for a rule that stays as it is counts on, and so does
 * what is at work for one whose numbers change; those who wait at that, or at one that is gone, are
 * called by limits_next. */
void limits_use(struct limits *l, const struct limit_rule *rules, uint32_t count);

/* A rule, and the values that are counted, as one text. A rule that is gone limits nothing. */
struct limit_key {
    struct str rule;
    struct str values;
    uint64_t since; /* limits_take's, for limits_give: the count that it is in; 0: it is in none */
};

struct limit_refusal {
    uint32_t key;      /* which of those asked for */
    struct when until; /* about; WHEN_NEVER: when something that is at work ends */
};

/* One of each, or false and why. `was_called`: limits_next has called it, so it passes the lines.
 */
bool limits_take(struct limits *l, struct limit_key *keys, uint32_t count, bool was_called,
                 struct when now, struct limit_refusal *ret);
/* What took these is no longer at work. Copies of them will do. */
void limits_give(struct limits *l, const struct limit_key *keys, uint32_t count, struct when now);

struct limit_line;
struct limit_waiter { /* zeroed: waits nowhere */
    struct link link;
    struct limit_line *line;
};

/* Behind those of its group at the bucket that refused. */
void limits_wait(struct limits *l, struct limit_waiter *w, const struct limit_key *at,
                 uint32_t group, struct when now);
void limits_leave(struct limits *l, struct limit_waiter *w,
                  struct when now); /* harmless when it waits nowhere */
/* Who may ask again now, taken out of its line; NULL: nobody. */
struct limit_waiter *limits_next(struct limits *l, struct when now);
/* When limits_next has somebody, as far as time decides; WHEN_NEVER: it does not. */
struct when limits_next_time(const struct limits *l);

/* How often each rule has refused, in their order; a rule keeps that while its name stays. Names
 * are the rules' own, until the next limits_use. */
struct limit_count {
    struct str rule;
    uint64_t refused;
};
uint32_t limits_counts(const struct limits *l, const struct limit_count **ret);

uint64_t limits_uncounted(const struct limits *l);
size_t limits_buckets(const struct limits *l);
