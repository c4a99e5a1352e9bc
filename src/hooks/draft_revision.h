/*
 * draft_revision: what the files of single revisions share: an answer read, applied in a revision's
 * own form, and compared. For draft_01.c and draft_02.c alone.
 */
#pragma once

#include "hooks/draft.h"

struct draft_call {
    const struct hook_answer *answer;
    const struct hook_view *view;
    const struct hook_terms *terms;
    struct arena *a;
    struct hook_outcome *ret;
    struct buf *why;
    bool is_patched;
};

struct err draft_decode(const struct draft_call *call,
                        struct err (*apply)(struct draft *d, const struct doc *answer));
/* Fills before and after with the tree of the view; `parsed` as in draft_tree. */
void draft_state(struct draft *d, bool parsed);
/* {"set", "add", "delete"}. */
struct err draft_old_form(struct draft *d, const struct doc *answer);
