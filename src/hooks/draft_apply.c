/*
 * set, add and delete of -01.
 *
 * 1. All paths are looked at before anything is applied: one that is not allowed spoils the answer.
 * 2. An operation that cannot be applied is skipped with a note, or spoils the answer when the
 *    terms are strict; an unknown action always does.
 * 3. A path is one of the table's, at a stage where it has a meaning, with a value that its place
 *    may hold. So the tree stays one that the comparison understands.
 */
#include "base/check.h"
#include "hooks/draft.h"
#include "hooks/policy.h"

enum op { OP_SET = 1, OP_ADD = 2, OP_DELETE = 4 };
static const char *const op_names[] = {[OP_SET] = "set", [OP_ADD] = "add", [OP_DELETE] = "delete"};

enum place {
    PLACE_ACTION,
    PLACE_RESPONSE,
    PLACE_CODE,
    PLACE_ENHANCED,
    PLACE_TEXT,
    PLACE_TEXT_OR_NULL,
    PLACE_SENDER,
    PLACE_RCPTS,
    PLACE_RCPT,
    PLACE_RCPT_ADDRESS,
    PLACE_PARAMS,
    PLACE_STATUS,
    PLACE_DATE,
    PLACE_DATE_OR_NULL,
    PLACE_HEADERS,
    PLACE_HEADER,
    PLACE_MESSAGE, /* can only be taken away */
    PLACE_RAW,
    PLACE_POLICY,
    PLACE_WORD
};

#define AT(stage)   (1u << HOOK_##stage)
#define AT_INBOUND  (AT(CONNECT) | AT(EHLO) | AT(AUTH) | AT(MAIL) | AT(RCPT) | AT(DATA))
#define AT_OUTBOUND (AT(ROUTE) | AT(DELIVERY) | AT(DEFER) | AT(DSN))
#define AT_QUEUED   (AT(ROUTE) | AT(DELIVERY) | AT(DEFER))
#define AT_MESSAGE  (AT(DATA) | AT(DSN))

/* A star is an index; a percent sign any member. */
static const struct rule {
    const char *pattern;
    enum place place;
    unsigned ops, stages;
} rules[] = {
    {"/action", PLACE_ACTION, OP_SET, AT_INBOUND | AT_OUTBOUND},
    {"/response", PLACE_RESPONSE, OP_SET, AT_INBOUND},
    {"/response/code", PLACE_CODE, OP_SET | OP_ADD, AT_INBOUND},
    {"/response/enhancedCode", PLACE_ENHANCED, OP_SET | OP_ADD | OP_DELETE, AT_INBOUND},
    {"/response/message", PLACE_TEXT, OP_SET | OP_ADD, AT_INBOUND},
    {"/envelope/from", PLACE_SENDER, OP_SET, AT(DATA)},
    {"/envelope/from/address", PLACE_TEXT_OR_NULL, OP_SET, AT(DATA)},
    {"/envelope/from/parameters", PLACE_PARAMS, OP_SET | OP_ADD, AT(DATA)},
    {"/envelope/from/parameters/%", PLACE_TEXT, OP_SET | OP_ADD | OP_DELETE, AT(DATA)},
    {"/envelope/to", PLACE_RCPTS, OP_SET | OP_ADD, AT(DATA) | AT_QUEUED},
    {"/envelope/to/*", PLACE_RCPT, OP_SET | OP_DELETE, AT(DATA) | AT_QUEUED},
    {"/envelope/to/*/address", PLACE_RCPT_ADDRESS, OP_SET, AT(DATA)},
    {"/envelope/to/*/parameters", PLACE_PARAMS, OP_SET | OP_ADD, AT(DATA)},
    {"/envelope/to/*/parameters/%", PLACE_TEXT, OP_SET | OP_ADD | OP_DELETE, AT(DATA)},
    {"/envelope/to/*/status", PLACE_STATUS, OP_SET, AT_QUEUED},
    {"/envelope/to/*/nextAttemptAt", PLACE_DATE, OP_SET | OP_ADD, AT_QUEUED},
    {"/envelope/to/*/nextDsnAt", PLACE_DATE_OR_NULL, OP_SET | OP_ADD | OP_DELETE, AT_QUEUED},
    {"/message", PLACE_MESSAGE, OP_DELETE, AT(DSN)},
    {"/message/headers", PLACE_HEADERS, OP_SET | OP_ADD, AT_MESSAGE},
    {"/message/headers/*", PLACE_HEADER, OP_SET | OP_DELETE, AT_MESSAGE},
    {"/message/headers/*/name", PLACE_TEXT, OP_SET, AT_MESSAGE},
    {"/message/headers/*/value", PLACE_TEXT, OP_SET, AT_MESSAGE},
    {"/message/subject", PLACE_TEXT, OP_SET | OP_ADD, AT_MESSAGE},
    {"/rawMessage", PLACE_RAW, OP_SET, AT_MESSAGE},
    {"/rawMessage", PLACE_MESSAGE, OP_DELETE, AT(DSN)},
    {"/ext/" POLICY_NAMESPACE, PLACE_POLICY, OP_SET | OP_ADD, AT(DATA)},
    {"/ext/" POLICY_NAMESPACE "/meta", PLACE_POLICY, OP_SET | OP_ADD, AT(DATA)},
    {"/ext/" POLICY_NAMESPACE "/meta/%", PLACE_WORD, OP_SET | OP_ADD, AT(DATA)},
    {"/ext/" POLICY_NAMESPACE "/%", PLACE_WORD, OP_SET | OP_ADD, AT(DATA)},
};

static bool matches(const char *pattern, const struct pointer *p)
{
    struct str rest = str_skip(str_of(pattern), 1), token;
    uint32_t index, i = 0;
    bool has_more = true;

    while (has_more) {
        has_more = str_cut(&rest, '/', &token);
        if (i == p->count) {
            return false;
        }
        if (str_eq(token, STR("*")) ? !pointer_index(p->tokens[i], &index)
                                    : !str_eq(token, STR("%")) && !str_eq(token, p->tokens[i])) {
            return false;
        }
        i++;
    }
    return i == p->count;
}

static const struct rule *find_rule(const struct draft *d, const struct pointer *p, enum op op)
{
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        if ((rules[i].ops & op) && (rules[i].stages & 1u << d->view->stage) &&
            matches(rules[i].pattern, p)) {
            return &rules[i];
        }
    }
    return NULL;
}

static bool are_all(const struct doc *list, bool (*is_one)(const struct doc *d))
{
    bool is_good = list->kind == DOC_LIST;

    for (uint32_t i = 0; is_good && i < list->count; i++) {
        is_good = is_one(&list->members[i].value);
    }
    return is_good;
}

static bool is_rcpt(const struct doc *d)
{
    return draft_is_address(d, false);
}

static const char *check_status(struct draft *d, const struct pointer *p, const struct doc *value)
{
    struct pointer rcpt = {p->tokens, 3};
    const struct doc *at = pointer_find(&d->after, &rcpt);
    enum hook_rcpt_status was = HOOK_PENDING, will_be;

    if (at == NULL) {
        return "names what does not exist";
    }
    if (at->tag > 0) {
        was = d->view->to[at->tag - 1].status;
    }
    if (!draft_to_status(value, &will_be)) {
        return "is no status";
    }
    return will_be == was || hook_status_may_become(d->view, was, will_be)
               ? NULL
               : "is a status it cannot have after its";
}

/* What is wrong with a value at its place; NULL: nothing. */
static const char *check_value(struct draft *d, enum place place, const struct pointer *p,
                               const struct doc *v)
{
    struct enhanced esc;
    struct date date;
    uint16_t code;
    bool is_good = false;

    switch (place) {
    case PLACE_STATUS:
        return check_status(d, p, v);
    case PLACE_ACTION:
        is_good = true; /* looked at before */
        break;
    case PLACE_RESPONSE:
        is_good = draft_is_response(v);
        break;
    case PLACE_CODE:
        is_good = draft_to_code(v, &code);
        break;
    case PLACE_ENHANCED:
        is_good = v->kind == DOC_NULL || draft_to_enhanced(v, &esc);
        break;
    case PLACE_TEXT:
        is_good = v->kind == DOC_TEXT;
        break;
    case PLACE_TEXT_OR_NULL:
        is_good = v->kind == DOC_NULL || (v->kind == DOC_TEXT && v->text.len > 0);
        break;
    case PLACE_SENDER:
        is_good = draft_is_address(v, true);
        break;
    case PLACE_RCPTS:
        is_good = are_all(v, is_rcpt);
        break;
    case PLACE_RCPT:
        is_good = draft_is_address(v, false);
        break;
    case PLACE_RCPT_ADDRESS:
        is_good = v->kind == DOC_TEXT && v->text.len > 0;
        break;
    case PLACE_PARAMS:
        is_good = draft_is_params(v);
        break;
    case PLACE_DATE:
        is_good = v->kind == DOC_TEXT && draft_to_date(v, &date);
        break;
    case PLACE_DATE_OR_NULL:
        is_good = draft_to_date(v, &date);
        break;
    case PLACE_HEADERS:
        is_good = are_all(v, draft_is_header);
        break;
    case PLACE_HEADER:
        is_good = draft_is_header(v);
        break;
    case PLACE_POLICY:
        is_good = v->kind == DOC_OBJECT;
        break;
    case PLACE_WORD:
        is_good = v->kind == DOC_TEXT || v->kind == DOC_INT || v->kind == DOC_BOOL;
        break;
    case PLACE_RAW:
    case PLACE_MESSAGE:
        is_good = true; /* RAW: looked at when it is decoded */
        break;
    }
    return is_good ? NULL : "is not what this place can hold";
}

/* The three operations: what says why it cannot be done, or NULL. */

static const char *set(struct draft *d, const struct pointer *p, struct doc value)
{
    struct doc *parent = pointer_parent(&d->after, p);
    struct doc *response = doc_get(&d->after, "response");
    struct str last = p->tokens[p->count - 1];
    uint32_t index;

    if (p->count == 2 && response != NULL && parent == response && parent->kind == DOC_NULL) {
        *parent = doc_object();
    }
    if (parent == NULL) {
        return "names what does not exist";
    }
    if (parent->kind == DOC_OBJECT) {
        doc_put(parent, d->a, last, value);
    } else if (parent->kind == DOC_LIST && pointer_member(parent, last, &index)) {
        parent->members[index].value = value;
    } else {
        return "names what does not exist";
    }
    return NULL;
}

static const char *add(struct draft *d, const struct pointer *p, const struct doc *index,
                       struct doc value)
{
    struct doc *list = pointer_find(&d->after, p);
    uint32_t at;

    if (list == NULL || list->kind != DOC_LIST) {
        return "names no list";
    }
    at = list->count;
    if (index != NULL && index->kind != DOC_NULL) {
        if (index->kind != DOC_INT || index->number < 0 || index->number > list->count) {
            return "has an index that its list has not";
        }
        at = (uint32_t)index->number;
    }
    doc_insert(list, d->a, at, value);
    return NULL;
}

/* Words that an object does not name stay as they are. */
static const char *join(struct draft *d, const struct pointer *p, const struct doc *value)
{
    struct doc *at = pointer_find(&d->after, p);

    if (at == NULL || at->kind != DOC_OBJECT) {
        return "names what does not exist";
    }
    for (uint32_t i = 0; i < value->count; i++) {
        const struct doc_member *m = &value->members[i];
        struct doc *old = doc_at(at, m->key);

        for (uint32_t k = 0; old != NULL && old->kind == DOC_OBJECT &&
                             m->value.kind == DOC_OBJECT && k < m->value.count;
             k++) {
            doc_put(old, d->a, m->value.members[k].key, m->value.members[k].value);
        }
        if (old == NULL || old->kind != DOC_OBJECT || m->value.kind != DOC_OBJECT) {
            doc_put(at, d->a, m->key, doc_copy(&m->value, d->a));
        }
    }
    return NULL;
}

static const char *delete_at(struct draft *d, const struct rule *rule, const struct pointer *p)
{
    struct doc *parent = pointer_parent(&d->after, p);
    uint32_t index;

    if (parent == NULL || !pointer_member(parent, p->tokens[p->count - 1], &index)) {
        return "names what does not exist";
    }
    if (rule->place == PLACE_DATE_OR_NULL) {
        parent->members[index].value = doc_null();
    } else {
        doc_remove(parent, index);
    }
    return NULL;
}

static const char *apply_op(struct draft *d, enum op op, const struct pointer *p,
                            const struct doc *what)
{
    const struct rule *rule = find_rule(d, p, op);
    const struct doc *value = doc_get(what, "value");
    bool is_into_list = op == OP_ADD && rule != NULL &&
                        (rule->place == PLACE_RCPTS || rule->place == PLACE_HEADERS);
    const char *fault;
    enum place place;

    if (rule == NULL) {
        return "names what cannot be changed so at this stage";
    }
    if (op == OP_DELETE) {
        return delete_at(d, rule, p);
    }
    place = !is_into_list ? rule->place : rule->place == PLACE_RCPTS ? PLACE_RCPT : PLACE_HEADER;
    fault = check_value(d, place, p, value);
    if (fault != NULL) {
        return fault;
    }
    if (place == PLACE_RAW) {
        struct doc raw = {.kind = DOC_BYTES};

        return draft_to_message(value, d->a, &raw.text) ? set(d, p, raw) : "is no message";
    }
    if (place == PLACE_POLICY) {
        return join(d, p, value);
    }
    return is_into_list ? add(d, p, doc_get(what, "index"), doc_copy(value, d->a))
                        : set(d, p, doc_copy(value, d->a));
}

static struct err run_op(struct draft *d, enum op op, const struct pointer *p,
                         const struct doc *what)
{
    struct str path = doc_get(what, "path")->text;
    const char *fault = apply_op(d, op, p, what);

    if (fault == NULL) {
        return ERR_OK;
    }
    if (d->terms->strict) {
        buf_printf(d->why, "%s \"%.*s\" %s", op_names[op], STR_ARG(str_head(path, 64)), fault);
        return err_of(ERR_PROTOCOL);
    }
    hook_note(d->outcome, d->a, "skipped: %s \"%.*s\" %s", op_names[op],
              STR_ARG(str_head(path, 64)), fault);
    return ERR_OK;
}

/* Rule 1, and that it is an operation at all. */
static struct err check_op(struct draft *d, enum op op, const struct doc *what, struct pointer *ret)
{
    const struct doc *path = doc_get(what, "path"), *value = doc_get(what, "value");
    enum hook_action action;

    if (what->kind != DOC_OBJECT || path == NULL || path->kind != DOC_TEXT ||
        !pointer_parse(path->text, d->a, ret) || ret->count == 0) {
        return draft_wrong(d, "an operation without a good path");
    }
    if (op != OP_DELETE && value == NULL) {
        return draft_wrong(d, "an operation without a value");
    }
    if (op == OP_SET && str_eq(path->text, STR("/action")) &&
        !draft_to_action(value, d->view->stage, &action)) {
        return draft_wrong(d, "an action that does not exist at this stage");
    }
    return draft_may_change(d, ret, path->text);
}

struct err draft_apply(struct draft *d, const struct doc *answer)
{
    static const enum op ops[] = {OP_SET, OP_ADD, OP_DELETE};
    struct pointer *paths = arena_array(d->a, DRAFT_OPERATIONS_MAX, sizeof(*paths));
    struct err e = ERR_OK;
    uint32_t n = 0;

    for (size_t k = 0; k < COUNT_OF(ops); k++) {
        const struct doc *list = doc_get(answer, op_names[ops[k]]);

        if (list == NULL || list->kind == DOC_NULL) {
            continue;
        }
        if (list->kind != DOC_LIST) {
            return draft_wrong(d, "operations that are no list");
        }
        if (list->count > DRAFT_OPERATIONS_MAX - n) {
            return draft_wrong(d, "too many operations");
        }
        for (uint32_t i = 0; i < list->count; i++) {
            e = check_op(d, ops[k], &list->members[i].value, &paths[n++]);
            if (e.code) {
                return e;
            }
        }
    }
    n = 0;
    for (size_t k = 0; k < COUNT_OF(ops); k++) {
        const struct doc *list = doc_get(answer, op_names[ops[k]]);

        for (uint32_t i = 0; !e.code && list != NULL && list->kind == DOC_LIST && i < list->count;
             i++) {
            e = run_op(d, ops[k], &paths[n++], &list->members[i].value);
        }
    }
    return e;
}
