/*
 * claims: what a message claims of the quotas of a plan, worked out from its envelope.
 *
 * Source    PY-24, Q-096; queue.quota.
 * Owns      A claim owns all but the names of its rules, which are the plan's; until claim_done.
 * Limits    One part for each recipient and quota at most.
 * Errors    A match that gives no value leaves its quota out: `unmatched`.
 *
 * The same message gives the same claim whenever it is asked, but for the recipients that have
 * ended since: so what is used can be counted again from the store at any time.
 */
#pragma once

#include "limit/quota.h"
#include "mail/envelope.h"
#include "strategy/strategy.h"

struct claim {
    struct quota_claim claim;
    struct quota_part *parts;         /* claim.parts */
    const struct plan_quota **quotas; /* of each part */
    uint32_t size;
    uint32_t *of; /* claim.of */
    struct arena arena, scratch;
    const struct plan_quota *unmatched; /* the last one whose match gave no value, or NULL */
};

/* What counts a message as it is now: its recipients that wait. Reports claim nothing. */
void claim_make(struct claim *ret, const struct plan *p, const struct message *m);
void claim_done(struct claim *c);
