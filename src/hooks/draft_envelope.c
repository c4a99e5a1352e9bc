#include "hooks/draft.h"
#include "mail/address.h"

enum { ATTEMPT_MS_MIN = 1000 };

static struct err diff_sender(struct draft *d, const struct doc *was, const struct doc *is)
{
    const struct doc *address, *params;
    struct hook_edit *edit;

    if (is == NULL || !draft_is_address(is, true)) {
        return draft_wrong(d, "a sender that is none");
    }
    address = doc_get(is, "address");
    params = doc_get(is, "parameters");
    if (doc_equal(was, is)) {
        return ERR_OK;
    }
    edit = hook_edit_add(d->outcome, d->a, HOOK_EDIT_SENDER);
    edit->text = address != NULL && address->kind == DOC_TEXT ? address->text : STR_EMPTY;
    if (params != NULL && params->kind == DOC_OBJECT &&
        !doc_equal(params, doc_get(was, "parameters"))) {
        edit->has_params = true;
        edit->params = draft_to_params(params, d->a);
    }
    return ERR_OK;
}

/* Recipients. */

struct rcpts {
    struct draft *d;
    const struct doc *was, *is; /* the lists */
    uint32_t *of;               /* for each of `is`: which of `was` it is, from 1; 0: a new one */
    bool *is_kept;              /* for each of `was` */
};

static struct str address_of(const struct doc *rcpt)
{
    return doc_get(rcpt, "address")->text;
}

static bool has_params_of(const struct doc *a, const struct doc *b)
{
    const struct doc *of_a = doc_get(a, "parameters"), *of_b = doc_get(b, "parameters");

    if (of_a == NULL || of_b == NULL || of_a->kind == DOC_NULL || of_b->kind == DOC_NULL) {
        return true; /* left out: as they are */
    }
    return doc_equal(of_a, of_b);
}

static bool is_same(const struct doc *a, const struct doc *b)
{
    return str_eq(address_of(a), address_of(b)) && has_params_of(a, b);
}

static bool keep(struct rcpts *r, uint32_t i, uint32_t old)
{
    if (r->is_kept[old] || !is_same(&r->was->members[old].value, &r->is->members[i].value)) {
        return false;
    }
    r->is_kept[old] = true;
    r->of[i] = old + 1;
    return true;
}

/* By tag; and then those that were written anew with the address they had. */
static void match(struct rcpts *r)
{
    uint32_t first = 0; /* of `was` that is not kept yet */

    for (uint32_t i = 0; i < r->is->count; i++) {
        uint32_t tag = r->is->members[i].value.tag;

        if (tag > 0 && tag <= r->was->count) {
            keep(r, i, tag - 1);
        }
    }
    for (uint32_t i = 0; i < r->is->count; i++) {
        while (first < r->was->count && r->is_kept[first]) {
            first++; /* mostly they stand in the order they had */
        }
        for (uint32_t old = first; r->of[i] == 0 && old < r->was->count; old++) {
            keep(r, i, old);
        }
    }
}

static bool stands_before(const struct rcpts *r, uint32_t i)
{
    struct str address = address_of(&r->is->members[i].value);

    for (uint32_t k = 0; k < r->is->count; k++) {
        if ((k < i || r->of[k] > 0) && k != i &&
            address_eq(address, address_of(&r->is->members[k].value))) {
            return true;
        }
    }
    return false;
}

static struct date clamp(const struct hook_view *view, struct date when)
{
    struct date low = date_add(view->at, ATTEMPT_MS_MIN);

    if (when.ms < low.ms) {
        when = low;
    }
    if (view->expires.ms != 0 && when.ms > view->expires.ms) {
        when = view->expires;
    }
    return when;
}

static bool differs(const struct doc *was, const struct doc *is, const char *key)
{
    const struct doc *a = doc_get(was, key), *b = doc_get(is, key);

    if (b == NULL) {
        return false; /* left out: as it is */
    }
    return a == NULL ? b->kind != DOC_NULL : !doc_equal(a, b);
}

static struct err diff_status(struct draft *d, const struct hook_rcpt *old, const struct doc *is,
                              const struct doc *was, enum hook_rcpt_status *ret)
{
    struct hook_edit *edit;

    *ret = old->status;
    if (!differs(was, is, "status")) {
        return ERR_OK;
    }
    if (!draft_to_status(doc_get(is, "status"), ret) ||
        (*ret != old->status && !hook_status_may_become(d->view, old->status, *ret))) {
        return draft_wrong(d, "a status that a recipient cannot have after the one it has");
    }
    edit = hook_edit_add(d->outcome, d->a, HOOK_EDIT_RCPT_STATUS);
    edit->target = old->id;
    edit->status = *ret;
    return ERR_OK;
}

static struct err diff_times(struct draft *d, const struct hook_rcpt *old, const struct doc *is,
                             const struct doc *was, enum hook_rcpt_status status)
{
    bool has_attempt = differs(was, is, "nextAttemptAt"),
         has_notice = differs(was, is, "nextDsnAt");
    struct date attempt = {0}, notice = {0};
    struct hook_edit *edit;

    if ((has_attempt && (!draft_to_date(doc_get(is, "nextAttemptAt"), &attempt))) ||
        (has_notice && !draft_to_date(doc_get(is, "nextDsnAt"), &notice))) {
        return draft_wrong(d, "a time that is none");
    }
    has_attempt = has_attempt && attempt.ms != 0;
    if ((has_attempt || has_notice) && status != HOOK_DEFERRED) {
        hook_note(d->outcome, d->a, "skipped: times of a recipient that is not deferred");
        return ERR_OK;
    }
    if (has_attempt || has_notice) {
        edit = hook_edit_add(d->outcome, d->a, HOOK_EDIT_RCPT_TIMES);
        edit->target = old->id;
        edit->has_attempt = has_attempt;
        edit->has_notice = has_notice;
        edit->next_attempt = has_attempt ? clamp(d->view, attempt) : attempt;
        edit->next_notice = notice.ms != 0 ? clamp(d->view, notice) : notice;
    }
    return ERR_OK;
}

static const char *const route_names[] = {"route", "connection", "tls", "queue"};

/* What is not known is not left out: it may be what was to keep the mail safe (P8). */
static bool is_route(const struct doc *route)
{
    if (route->kind != DOC_OBJECT) {
        return false;
    }
    for (uint32_t i = 0; i < route->count; i++) {
        bool is_known = false;

        for (int k = 0; k < 4; k++) {
            is_known = is_known || str_eq(route->members[i].key, str_of(route_names[k]));
        }
        if (!is_known || route->members[i].value.kind != DOC_TEXT) {
            return false;
        }
    }
    return true;
}

/* What only -02 knows: the names of a route, and a message of one's own. */
static struct err diff_route(struct draft *d, const struct hook_rcpt *old, const struct doc *is)
{
    const struct doc *route = doc_get(is, "route"), *raw = doc_get(is, "rawMessage");
    struct str names[4];
    struct str bytes;
    struct hook_edit *edit;

    if (route != NULL && route->kind != DOC_NULL) {
        if (!is_route(route)) {
            return draft_wrong(d, "a route that is none, or asks for what is not known here");
        }
        for (int i = 0; i < 4; i++) {
            const struct doc *name = doc_get(route, route_names[i]);

            names[i] = name != NULL ? name->text : STR_EMPTY;
        }
        edit = hook_edit_add(d->outcome, d->a, HOOK_EDIT_RCPT_ROUTE);
        edit->target = old->id;
        edit->route = names[0];
        edit->connection = names[1];
        edit->tls = names[2];
        edit->queue = names[3];
    }
    if (raw != NULL && raw->kind != DOC_NULL) {
        if (!draft_to_message(raw, d->a, &bytes)) {
            return draft_wrong(d, "a message of a recipient that is none");
        }
        edit = hook_edit_add(d->outcome, d->a, HOOK_EDIT_RCPT_VARIANT);
        edit->target = old->id;
        edit->text = bytes;
    }
    return ERR_OK;
}

static struct err diff_kept(struct rcpts *r, uint32_t i)
{
    static const char *const known[] = {"address",       "parameters", "status",
                                        "nextAttemptAt", "nextDsnAt",  NULL};
    static const char *const known_routing[] = {"address",       "parameters", "status",
                                                "nextAttemptAt", "nextDsnAt",  "route",
                                                "rawMessage",    NULL};
    struct draft *d = r->d;
    const struct hook_rcpt *old = &d->view->to[r->of[i] - 1];
    const struct doc *was = &r->was->members[r->of[i] - 1].value, *is = &r->is->members[i].value;
    enum hook_rcpt_status status;
    struct err e;

    if (!hook_stage_is_outbound(d->view->stage)) {
        return ERR_OK; /* what is said beyond address and parameters says nothing here */
    }
    if (is->tag == r->of[i] && !draft_same_but(was, is, d->is_patched ? known_routing : known)) {
        return draft_wrong(d, "a change of a recipient in a place that cannot be changed");
    }
    e = diff_status(d, old, is, was, &status);
    if (!e.code) {
        e = diff_times(d, old, is, was, status);
    }
    if (!e.code && d->is_patched) {
        e = diff_route(d, old, is);
    }
    return e;
}

static void add_new(struct rcpts *r, uint32_t i)
{
    struct draft *d = r->d;
    const struct doc *is = &r->is->members[i].value, *params = doc_get(is, "parameters");
    struct hook_edit *edit;

    if (stands_before(r, i)) {
        hook_note(d->outcome, d->a, "skipped: a recipient that is there already");
        return;
    }
    edit = hook_edit_add(d->outcome, d->a, HOOK_EDIT_RCPT_ADD);
    edit->text = address_of(is);
    edit->has_params = params != NULL && params->kind == DOC_OBJECT;
    edit->params = draft_to_params(params, d->a);
}

/* What is queued is not forgotten but given up, which leaves a trace. */
static void remove_old(struct draft *d, const struct hook_rcpt *old)
{
    struct hook_edit *edit;

    if (!hook_stage_is_outbound(d->view->stage)) {
        hook_edit_add(d->outcome, d->a, HOOK_EDIT_RCPT_REMOVE)->target = old->id;
        return;
    }
    if (old->status == HOOK_DELIVERED || old->status == HOOK_FAILED_SILENT) {
        hook_note(d->outcome, d->a, "skipped: a recipient that is done with cannot be removed");
        return;
    }
    edit = hook_edit_add(d->outcome, d->a, HOOK_EDIT_RCPT_STATUS);
    edit->target = old->id;
    edit->status = HOOK_FAILED_SILENT;
}

static struct err diff_rcpts(struct draft *d, const struct doc *was, const struct doc *is)
{
    struct rcpts r = {.d = d, .was = was, .is = is};

    if (is == NULL || is->kind != DOC_LIST) {
        return draft_wrong(d, "recipients that are no list");
    }
    if (is->count > was->count && is->count - was->count > DRAFT_OPERATIONS_MAX) {
        return draft_wrong(d, "more new recipients than one answer may add");
    }
    for (uint32_t i = 0; i < is->count; i++) {
        if (!draft_is_address(&is->members[i].value, false)) {
            return draft_wrong(d, "a recipient that is none");
        }
    }
    r.of = arena_array(d->a, is->count, sizeof(*r.of));
    r.is_kept = arena_array(d->a, was->count, sizeof(*r.is_kept));
    match(&r);
    for (uint32_t i = 0; i < was->count; i++) {
        if (!r.is_kept[i]) {
            remove_old(d, &d->view->to[i]);
        }
    }
    for (uint32_t i = 0; i < is->count; i++) {
        if (r.of[i] == 0) {
            add_new(&r, i);
        } else {
            struct err e = diff_kept(&r, i);

            if (e.code) {
                return e;
            }
        }
    }
    return ERR_OK;
}

struct err draft_diff_envelope(struct draft *d)
{
    static const char *const known[] = {"from", "to", NULL};
    const struct doc *was = doc_get(&d->before, "envelope"), *is = doc_get(&d->after, "envelope");
    struct err e;

    if (was->kind == DOC_NULL) {
        return is != NULL && is->kind == DOC_NULL
                   ? ERR_OK
                   : draft_wrong(d, "a change of an envelope that is not there yet");
    }
    if (is == NULL || is->kind != DOC_OBJECT || !draft_same_but(was, is, known)) {
        return draft_wrong(d, "an envelope that is none");
    }
    e = diff_sender(d, doc_get(was, "from"), doc_get(is, "from"));
    return e.code ? e : diff_rcpts(d, doc_get(was, "to"), doc_get(is, "to"));
}
