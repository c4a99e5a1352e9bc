#include "hooks/draft.h"
#include "hooks/draft_revision.h"

struct err draft_old_form(struct draft *d, const struct doc *answer)
{
    static const char *const lists[] = {"set", "add", "delete"};
    bool is_empty = true;
    struct err e;

    if (answer->kind != DOC_OBJECT) {
        return draft_wrong(d, "an answer that is no object");
    }
    for (int i = 0; i < 3; i++) {
        const struct doc *list = doc_get(answer, lists[i]);

        is_empty = is_empty && (list == NULL || list->kind == DOC_NULL ||
                                (list->kind == DOC_LIST && list->count == 0));
    }
    if (is_empty) {
        return ERR_OK;
    }
    draft_state(d, false);
    e = draft_apply(d, answer);
    return e.code ? e : draft_diff(d);
}

void draft_state(struct draft *d, bool parsed)
{
    struct doc *message;

    draft_tree(d->view, parsed, NULL, d->a, &d->before);
    doc_put(&d->before, d->a, STR("rawMessage"), doc_null());
    if (doc_get(&d->before, "ext") == NULL) {
        doc_put(&d->before, d->a, STR("ext"), doc_object());
    }
    message = doc_get(&d->before, "message");
    if (message->kind == DOC_OBJECT && doc_get(message, "subject") == NULL) {
        doc_put(message, d->a, STR("subject"), doc_null());
    }
    d->after = doc_copy(&d->before, d->a);
}

struct err draft_decode(const struct draft_call *call,
                        struct err (*apply)(struct draft *d, const struct doc *answer))
{
    struct draft d = {.view = call->view,
                      .terms = call->terms,
                      .a = call->a,
                      .why = call->why,
                      .outcome = call->ret,
                      .is_patched = call->is_patched};
    struct doc answer;
    bool is_silent;
    struct err e;

    draft_leave(&d);
    e = draft_read(&d, call->answer, &answer, &is_silent);
    return e.code || is_silent ? e : apply(&d, &answer);
}

static struct err decode(const struct hook_answer *answer, const struct hook_view *view,
                         const struct hook_terms *terms, struct hook_pending *pending,
                         struct arena *a, struct hook_outcome *ret, struct buf *why)
{
    struct draft_call call = {answer, view, terms, a, ret, why, false};

    (void)pending;
    return draft_decode(&call, draft_old_form);
}

const struct hook_dialect hook_draft_01 = {
    .name = "draft-01", .is_registered = true, .encode = draft_encode, .decode = decode};
