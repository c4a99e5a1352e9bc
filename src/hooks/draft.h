/*
 * draft: the dialects of draft-degennaro-mta-hooks, as pure functions: a view as a tree of values,
 * and the changes of such a tree as an outcome.
 *
 * Source    draft-degennaro-mta-hooks-01 sections 5 and 6; of -02 what is known; RFC 8621 section 4
 *           for the message, RFC 6902 for patches.
 * Owns      Nothing: trees live in the arena of the call.
 * Limits    DRAFT_* below; hook_terms.answer_bytes_max for an answer.
 * Errors    ERR_PROTOCOL: an answer of which nothing is applied; `why` says why.
 *
 * An answer is applied to a tree of the view whose headers and recipients carry tags; what came of
 * it is compared with what was. So indices end here, and fields nobody changed keep their bytes.
 */
#pragma once

#include "doc/doc.h"
#include "doc/pointer.h"
#include "hooks/dialect.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    DRAFT_OPERATIONS_MAX = 1000,
    DRAFT_NODES_MAX = 50000,
    DRAFT_DEPTH_MAX = 32,
    DRAFT_KEY_BYTES_MAX = 256,
    DRAFT_ANSWER_BYTES_MAX = 1024 * 1024, /* where the terms say nothing */
    DRAFT_COPIES_MAX = 4, /* a patch copies no more than so many answers of the largest size */
};

/* One answer being made an outcome. */
struct draft {
    const struct hook_view *view;
    const struct hook_terms *terms;
    struct arena *a;
    struct buf *why;
    struct hook_outcome *outcome;
    struct doc before, after; /* the tree as it was, and as the answer leaves it */
    bool is_patched; /* -02: a patch; recipients may have a route and a message of their own */
};

/* draft_tree.c */

/* Pointers that were agreed on, taken apart. */
struct draft_wanted {
    struct pointer *items;
    uint32_t count;
};

/* Everything of the view that its stage has; rawMessage is left out. With `parsed` the message is
 * taken apart, as far as its body is at hand. `w` not NULL: members of the root that it does not
 * touch are left out too, and the header's list. */
void draft_tree(const struct hook_view *view, bool parsed, const struct draft_wanted *w,
                struct arena *a, struct doc *ret);
/* The header section as it stands on the wire. */
void draft_put_headers(struct buf *out, const struct hook_view *view);
/* draft_message.c: members for a message taken apart. */
void draft_put_message(struct doc *to, const struct hook_view *view, struct arena *a);

/* draft_encode.c */

void draft_encode(const struct hook_view *view, const struct hook_terms *terms, struct arena *a,
                  struct hook_request *ret);
/* Whether one of them is, lies above or below the member of the root; `below` not NULL: this one of
 * its members. */
bool draft_touches(const struct draft_wanted *w, const char *member, const char *below);
/* The message is wanted taken apart, so its body should be in memory when the view is encoded. */
bool draft_wants_body(const struct hook_terms *terms);
/* Pointers that a registration may offer, of one direction; NULL ends it. */
const char *const *draft_properties(bool is_outbound);
/* `p` or one above it is in the set. */
bool draft_is_in(const struct pointer *p, const struct str_set *set, struct arena *a);

/* draft_values.c: whether a value is what a place may hold. */

bool draft_to_action(const struct doc *d, enum hook_stage stage, enum hook_action *ret);
bool draft_to_code(const struct doc *d, uint16_t *ret);
bool draft_to_enhanced(const struct doc *d, struct enhanced *ret);
bool draft_to_date(const struct doc *d, struct date *ret); /* null: 0 */
bool draft_to_status(const struct doc *d, enum hook_rcpt_status *ret);
struct str draft_status_name(enum hook_rcpt_status s);
bool draft_is_params(const struct doc *d);
bool draft_is_address(const struct doc *d, bool may_be_null);
bool draft_is_header(const struct doc *d);
bool draft_is_response(const struct doc *d);
/* Bytes, or their base64, that are a message: fields, an empty line, a body. */
bool draft_to_message(const struct doc *d, struct arena *a, struct str *ret);
struct hook_params draft_to_params(const struct doc *d, struct arena *a);

/* draft_answer.c: what all revisions have in common. */

/* Status, type and syntax; *is_silent: nothing is to be changed and *ret is not set. */
struct err draft_read(struct draft *d, const struct hook_answer *answer, struct doc *ret,
                      bool *is_silent);
/* Nothing was said: the outcome is what the request said. */
void draft_leave(struct draft *d);
/* Whether a change there may be asked for at all; of such an answer nothing is applied (K1, K9). */
struct err draft_may_change(struct draft *d, const struct pointer *p, struct str text);

/* draft_apply.c: set, add and delete of -01, on d->after. */
struct err draft_apply(struct draft *d, const struct doc *answer);

/* draft_diff.c: what differs between before and after, as the outcome. */
struct err draft_diff(struct draft *d);
/* draft_envelope.c, its part. */
struct err draft_diff_envelope(struct draft *d);
struct err draft_wrong(struct draft *d, const char *what);
/* Nothing differs but the named members; `names` ends with NULL. */
bool draft_same_but(const struct doc *a, const struct doc *b, const char *const *names);
