#include "hooks/draft.h"

struct err draft_wrong(struct draft *d, const char *what)
{
    buf_put(d->why, str_of(what));
    return err_of(ERR_PROTOCOL);
}

void draft_leave(struct draft *d)
{
    *d->outcome = (struct hook_outcome){.action = d->view->action};
}

/* The media type without its parameters. */
static bool is_type(struct str content_type, const char *type)
{
    struct str rest = content_type, head;

    str_cut(&rest, ';', &head);
    return str_eq_nocase(str_trim(head), str_of(type));
}

struct err draft_read(struct draft *d, const struct hook_answer *answer, struct doc *ret,
                      bool *is_silent)
{
    struct doc_limits limits = {
        .bytes_max = d->terms->answer_bytes_max ? d->terms->answer_bytes_max
                                                : DRAFT_ANSWER_BYTES_MAX,
        .nodes_max = DRAFT_NODES_MAX,
        .depth_max = DRAFT_DEPTH_MAX,
        .key_bytes_max = DRAFT_KEY_BYTES_MAX,
    };
    struct err e;

    *is_silent = answer->status == 204;
    if (*is_silent) {
        return ERR_OK;
    }
    if (answer->status != 200) {
        buf_printf(d->why, "status %d is neither 200 nor 204", answer->status);
        return err_of(ERR_PROTOCOL);
    }
    if (is_type(answer->content_type, "application/json") ||
        (d->is_patched && is_type(answer->content_type, "application/json-patch+json"))) {
        e = doc_read_json(answer->body, &limits, d->a, ret, d->why);
    } else if (d->terms->is_cbor && is_type(answer->content_type, "application/cbor")) {
        e = doc_read_cbor(answer->body, &limits, d->a, ret, d->why);
    } else {
        return draft_wrong(d, "the type of the answer is not the one agreed on");
    }
    return e.code ? err_of(ERR_PROTOCOL) : ERR_OK; /* an answer beyond limits is a bad one too */
}

struct err draft_may_change(struct draft *d, const struct pointer *p, struct str text)
{
    bool is_early = d->view->stage < HOOK_DATA;

    if (is_early && (p->count == 0 || (!str_eq(p->tokens[0], STR("action")) &&
                                       !str_eq(p->tokens[0], STR("response"))))) {
        buf_printf(d->why, "a change of \"%.*s\", which can only be changed from data on",
                   STR_ARG(str_head(text, 64)));
        return err_of(ERR_PROTOCOL);
    }
    if (!draft_is_in(p, &d->terms->updates, d->a)) {
        buf_printf(d->why, "a change of \"%.*s\", which is not allowed to it",
                   STR_ARG(str_head(text, 64)));
        return err_of(ERR_PROTOCOL);
    }
    return ERR_OK;
}
