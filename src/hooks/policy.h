/*
 * policy: what a filter says about queueing a message, as one object: the schedule, the virtual
 * queue, the priority, a hold, and named values.
 *
 *     {"schedule": "slow", "queue": "bulk", "priority": -3, "hold": "2h", "meta": {"campaign": "x"}}
 *
 * Source    Ours: the member `policy` of a classic answer, and POLICY_NAMESPACE below /ext in the
 *           draft dialects.
 * Owns      Nothing; edits live in the arena given.
 * Errors    None: what is no word of queueing is left out with a note. Whether there is such a
 *           schedule, queue or name knows who applies it (inbound/queueing.h).
 */
#pragma once

#include "doc/doc.h"
#include "hooks/model.h"

#define POLICY_NAMESPACE "org.postyard.queueing"

/* An edit for each word; null says nothing. False: `d` is no object. */
bool hook_policy_read(const struct doc *d, struct arena *a, struct hook_outcome *ret);
/* What filters have said so far, every word present: what nobody has said is null, `meta` an
 * object. */
struct doc hook_policy_tree(const struct hook_view *view, struct arena *a);
/* What of `is` differs from `was`, to be read; false: something was taken back, or is no object. */
bool hook_policy_changes(const struct doc *was, const struct doc *is, struct arena *a,
                         struct doc *ret);
