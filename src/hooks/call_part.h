/*
 * call_part: one call of a hook, as call.c makes it and call_draft.c needs it.
 */
#pragma once

#include "hooks/call.h"

struct hook_call {
    const struct hook *hook;
    const struct hook_view *view;
    const struct hook_terms *terms;
    const struct fetch_target *target;
    const struct fetch_field *fields;
    size_t field_count, response_max;
    struct arena *a;
    struct buf *why;
};

/* How much of the message a function of the view can look at. */
uint64_t hook_bytes_at_hand(const struct hook_view *v);
/* Foreign input is gone through with much stack, and away from the loop when it is large. */
void hook_work(const char *what, uint64_t bytes, void (*fn)(void *), void *arg, struct when by);
/* The view in the hook's dialect. */
void hook_encode(const struct hook_call *c, struct hook_request *ret, struct when by);
/* The request there, the message put in, and the answer back, whatever its status. */
struct err hook_exchange(const struct hook_call *c, const struct hook_request *request,
                         struct fetch_answer *ret, struct when by);
/* An answer of 2xx as an outcome. */
struct err hook_decode(const struct hook_call *c, const struct fetch_answer *answer,
                       struct hook_pending *pending, struct hook_outcome *ret, struct when by);

/* call_draft.c */

/* The rest of hook_compile: what is offered to the scanner, and allowed to it. */
void hook_compile_draft(struct hook *h, const struct chain_source *source, struct arena *a);
struct err hook_ask_draft(const struct hook *h, const struct hook_view *view, struct arena *a,
                          struct hook_outcome *ret, struct buf *why, struct when by);
