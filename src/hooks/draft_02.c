/*
 * What is known of revision -02, and nothing else is here: its text could not be read, so each line
 * may have to change. Known is that a request says as much as in -01, that the answer is a JSON
 * Patch of RFC 6902, and that recipients may be given a route and a message of their own.
 *
 * Taken for now: the patch is the whole body; 204, [] and {} change nothing; an operation that
 * fails voids the patch, as RFC 6902 says; an object with set, add or delete is -01's form.
 */
#include "doc/patch.h"
#include "hooks/draft.h"
#include "hooks/draft_revision.h"

/* Whether the op reads or changes a part of the message that only taking it apart gives. */
static bool is_parsed(const struct pointer *p)
{
    return p->count >= 2 && str_eq(p->tokens[0], STR("message")) &&
           !str_eq(p->tokens[1], STR("headers"));
}

static struct err may_read(struct draft *d, const struct pointer *p)
{
    if (draft_is_in(p, &d->terms->properties, d->a) || draft_is_in(p, &d->terms->updates, d->a)) {
        return ERR_OK;
    }
    return draft_wrong(d, "an operation reads what it was not sent");
}

static struct str last_of(const struct pointer *p)
{
    return p->count > 0 ? p->tokens[p->count - 1] : STR_EMPTY;
}

static struct err check_op(struct draft *d, const struct patch_op *op)
{
    struct err e = ERR_OK;

    if (op->kind == PATCH_TEST) {
        return may_read(d, &op->path);
    }
    if (op->kind == PATCH_COPY) {
        e = may_read(d, &op->from);
    } else if (op->kind == PATCH_MOVE) {
        e = draft_may_change(d, &op->from, last_of(&op->from));
    }
    return e.code ? e : draft_may_change(d, &op->path, last_of(&op->path));
}

static struct err apply(struct draft *d, const struct doc *answer)
{
    uint64_t bytes_max = d->terms->answer_bytes_max ? d->terms->answer_bytes_max
                                                    : DRAFT_ANSWER_BYTES_MAX;
    /* An answer's own values fit once; the rest is for what it copies. */
    struct patch_limits limits = {DRAFT_NODES_MAX, DRAFT_COPIES_MAX * bytes_max};
    bool parsed = false;
    struct patch patch;
    struct err e;

    if (answer->kind == DOC_OBJECT) {
        if (answer->count > 0 && doc_get(answer, "set") == NULL && doc_get(answer, "add") == NULL &&
            doc_get(answer, "delete") == NULL) {
            return draft_wrong(d, "an answer that is no patch");
        }
        if (answer->count > 0) {
            hook_note(d->outcome, d->a, "answered in the form of draft-01");
        }
        return draft_old_form(d, answer);
    }
    e = patch_parse(answer, DRAFT_OPERATIONS_MAX, d->a, &patch, d->why);
    if (e.code || patch.count == 0) {
        return e.code ? err_of(ERR_PROTOCOL) : ERR_OK;
    }
    for (uint32_t i = 0; i < patch.count; i++) {
        e = check_op(d, &patch.ops[i]);
        if (e.code) {
            return e;
        }
        parsed = parsed || is_parsed(&patch.ops[i].path) || is_parsed(&patch.ops[i].from);
    }
    draft_state(d, parsed);
    e = patch_apply(&patch, &d->before, &limits, d->a, &d->after, d->why);
    if (e.code) {
        return err_of(ERR_PROTOCOL);
    }
    return draft_diff(d);
}

static struct err decode(const struct hook_answer *answer, const struct hook_view *view,
                         const struct hook_terms *terms, struct hook_pending *pending,
                         struct arena *a, struct hook_outcome *ret, struct buf *why)
{
    struct draft_call call = {answer, view, terms, a, ret, why, true};

    (void)pending;
    return draft_decode(&call, apply);
}

const struct hook_dialect hook_draft_02 = {
    .name = "draft-02", .is_registered = true, .encode = draft_encode, .decode = decode};
