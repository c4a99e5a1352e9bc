/*
 * quota: how much of the mail that waits counts against each quota, by key; and what each message
 * holds of them.
 *
 * Source    PY-24.
 * Threads   One owner.
 * Owns      What is used, with copies of keys; and for each message what it holds.
 * Rules     1. A message is let in by all that count it, or uses nothing of any.
 *           2. What it uses it holds in parts. A part is held for some recipients and released
 *              once, when the last of these has ended; or for the message, until quotas_drop.
 *           3. What is used is the sum of what is held: so it is never negative, and nothing is
 *              left when the last message has ended.
 *           4. What is used up is found out before, never after: only quotas_put goes beyond.
 * Limits    None of its own: it grows with what waits.
 * Errors    None.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quota_rule {
    struct str name;
    uint64_t messages_max, bytes_max; /* 0: any number */
};

struct quotas;

/* `seed` from runtime/random.h: strangers choose the keys. */
struct quotas *quotas_new(uint64_t seed);
void quotas_free(struct quotas *q); /* NULL is harmless */
/* The rules from now on. What is used of one stays while its name stays; what is held of one that
 * is gone counts no longer. */
void quotas_use(struct quotas *q, const struct quota_rule *rules, uint32_t count);

enum { QUOTA_NO_PART = UINT32_MAX };

/* One message, as its quotas count it. A rule that is not there counts nothing. */
struct quota_part {
    struct str rule, values;
    bool is_whole; /* held until quotas_drop; else for the recipients that `of` gives it */
};
struct quota_claim {
    uint64_t message, bytes;
    uint64_t version; /* the caller's: under which rules it was made */
    const struct quota_part *parts;
    uint32_t part_count;
    const uint32_t *of; /* for each recipient `width` parts, or QUOTA_NO_PART */
    uint32_t to_count, width;
};

/* False: *ret is the part that has no room, and nothing is used. The message holds nothing yet. */
bool quotas_take(struct quotas *q, const struct quota_claim *c, uint32_t *ret);
/* In place of what it may hold, whether there is room or not. */
void quotas_put(struct quotas *q, const struct quota_claim *c);
/* Whether it holds something, and since which version. */
bool quotas_holds(const struct quotas *q, uint64_t message, uint64_t *version);
/* One of its recipients has ended; all of it has. Harmless where nothing is held. */
void quotas_end(struct quotas *q, uint64_t message, uint32_t recipient);
void quotas_drop(struct quotas *q, uint64_t message);

/* What is used of each rule, by all its keys together, in the order of the rules. Names are the
 * rules' own, until the next quotas_use. */
struct quota_sum {
    struct str rule;
    uint64_t messages, bytes, keys;
    uint64_t refused; /* how often; kept while the name stays */
};
uint32_t quotas_sums(const struct quotas *q, const struct quota_sum **ret);

/* Each key that is in use. */
struct quota_use {
    struct str rule, values;
    uint64_t messages, bytes;
};
void quotas_each(const struct quotas *q, void (*fn)(void *ctx, const struct quota_use *use),
                 void *ctx);
