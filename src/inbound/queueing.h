/*
 * queueing: what filters have said about queueing a message, checked against the configuration and
 * put into the intake before the queue sees it.
 *
 * Source    hooks/policy.h says how it is said.
 * Owns      Nothing; what is taken lives in the parcel's arena.
 * Errors    None: what there is not, or is of another type than declared, is refused alone, with
 *           the event filter_policy_refused.
 */
#pragma once

#include "base/str.h"

struct hook_view;
struct session;

/* `by`: the filter that events name. */
void queueing_take(struct session *s, const struct hook_view *view, struct str by);
