/*
 * Whether an outcome may be applied: asked once, here, whatever the dialect was. In this order:
 *
 *   1. the action is one of the stage;
 *   2. the reply fits the action (fields.c);
 *   3. each edit is one of the stage, and good by itself; what is merely of no use (a recipient
 * that is there already, a status that cannot be) is left out with a note;
 *   4. all of them together leave a message and an envelope within the bounds.
 */
#include "base/check.h"

#include "hooks/model.h"
#include "mail/header.h"
#include "mail/path.h"
#include "mail/xtext.h"

#include <stdlib.h>

#define ON(stage) (1u << HOOK_##stage)
enum {
    ON_INBOUND = ON(CONNECT) | ON(EHLO) | ON(AUTH) | ON(MAIL) | ON(RCPT) | ON(DATA),
    ON_TRANSACTION = ON(MAIL) | ON(RCPT) | ON(DATA),
    ON_OUTBOUND = ON(ROUTE) | ON(DELIVERY) | ON(DEFER) | ON(DSN),
    ON_QUEUED = ON(ROUTE) | ON(DELIVERY) | ON(DEFER),
    NAME_BYTES_MAX = 255,
    POLICY_BYTES_MAX = 1024
};

/* Before there is a transaction nothing can be taken from a client that is then held or thrown
 * away, so that a good reply would be a lie. */
static const unsigned action_stages[HOOK_ACTIONS] = {
    [HOOK_ACCEPT] = ON_INBOUND,     [HOOK_QUARANTINE] = ON_TRANSACTION,
    [HOOK_REJECT] = ON_INBOUND,     [HOOK_DISCARD] = ON_TRANSACTION,
    [HOOK_DISCONNECT] = ON_INBOUND, [HOOK_CONTINUE] = ON_OUTBOUND,
    [HOOK_CANCEL] = ON_OUTBOUND,
};

struct checking {
    const struct hook_view *view;
    const struct hook_bounds *bounds;
    struct hook_outcome *outcome;
    struct arena *arena;
    struct buf *why;
    bool *gone;    /* for each recipient of the view */
    uint32_t left; /* recipients, after the edits so far */
    bool smtputf8;
    struct str
        *raw; /* names of fields that came with bytes beyond ASCII, in order; NULL: not yet */
    size_t raw_count;
};

enum verdict { GOOD, USELESS, BAD };

static enum verdict bad(struct checking *c, const char *why)
{
    buf_put(c->why, str_of(why));
    return BAD;
}

/* ---- the envelope ---- */

static bool names_smtputf8(const struct hook_params *params)
{
    for (uint32_t i = 0; i < params->count; i++) {
        if (str_eq_nocase(params->items[i].key, STR("SMTPUTF8"))) {
            return true;
        }
    }
    return false;
}

static enum verdict check_sender(struct checking *c, struct hook_edit *e)
{
    struct path path;

    if (e->has_params) {
        c->smtputf8 = c->smtputf8 || names_smtputf8(&e->params);
    }
    if (e->text.len > 0) {
        if (path_parse_address(e->text, c->smtputf8, c->arena, &path) != REFUSAL_NONE) {
            return bad(c, "the new sender is not a good address");
        }
        e->text = path.address;
    }
    if (e->has_params && !hook_params_fit(e->text, &e->params, false, c->smtputf8)) {
        return bad(c, "the new sender's parameters are not those of MAIL");
    }
    return GOOD;
}

static const struct hook_rcpt *find(const struct checking *c, uint32_t id, uint32_t *index)
{
    for (uint32_t i = 0; i < c->view->to_count; i++) {
        if (c->view->to[i].id == id && !c->gone[i]) {
            *index = i;
            return &c->view->to[i];
        }
    }
    return NULL;
}

static bool is_there(const struct checking *c, struct str address, const struct hook_edit *before)
{
    for (uint32_t i = 0; i < c->view->to_count; i++) {
        if (!c->gone[i] && str_eq_nocase(c->view->to[i].address, address)) {
            return true;
        }
    }
    for (const struct hook_edit *e = c->outcome->edits; e < before; e++) {
        if (e->kind == HOOK_EDIT_RCPT_ADD && str_eq_nocase(e->text, address)) {
            return true;
        }
    }
    return false;
}

static enum verdict check_added(struct checking *c, struct hook_edit *e,
                                const struct hook_edit *end)
{
    struct path path;

    /* First, since what follows costs time for each recipient, and an answer may add very many. */
    if (c->left >= c->bounds->recipients_max) {
        hook_note(c->outcome, c->arena, "recipient %.*s would be one too many",
                  STR_ARG(str_head(e->text, 80)));
        return USELESS;
    }
    if (path_parse_address(e->text, c->smtputf8, c->arena, &path) != REFUSAL_NONE) {
        return bad(c, "an added recipient is not a good address");
    }
    e->text = path.address;
    if (!hook_params_fit(e->text, &e->params, true, c->smtputf8)) {
        return bad(c, "an added recipient's parameters are not those of RCPT");
    }
    if (is_there(c, e->text, end)) {
        hook_note(c->outcome, c->arena, "recipient %.*s is there already", STR_ARG(e->text));
        return USELESS;
    }
    c->left++;
    return GOOD;
}

static enum verdict check_removed(struct checking *c, const struct hook_edit *e)
{
    uint32_t index;

    if (find(c, e->target, &index) == NULL) {
        return bad(c, "a recipient is removed who is not there");
    }
    c->gone[index] = true;
    c->left--;
    return GOOD;
}

/* ---- what becomes of a recipient ---- */

static enum hook_rcpt_status status_now(const struct checking *c, const struct hook_rcpt *r,
                                        const struct hook_edit *before)
{
    enum hook_rcpt_status status = r->status;

    for (const struct hook_edit *e = c->outcome->edits; e < before; e++) {
        status = e->kind == HOOK_EDIT_RCPT_STATUS && e->target == r->id ? e->status : status;
    }
    return status;
}

static bool is_name(struct str s)
{
    return s.len <= NAME_BYTES_MAX && text_is_printable(s, false) && str_find(s, ' ') == STR_NONE;
}

/* A message of its own: within the same bounds as any. */
static enum verdict check_message(struct checking *c, struct str message)
{
    struct header_scan scan = {0};

    (void)header_scan_add(&scan, message);
    header_scan_end(&scan);
    if (message.len > c->bounds->message_bytes_max) {
        return bad(c, "the message becomes too large");
    }
    if (scan.fields > c->bounds->fields_max || scan.bytes > c->bounds->header_bytes_max) {
        return bad(c, "the header section becomes too large");
    }
    return scan.has_nul ? bad(c, "the header section has a NUL") : GOOD;
}

static enum verdict check_of_rcpt(struct checking *c, const struct hook_edit *e,
                                  const struct hook_edit *end)
{
    uint32_t index;
    const struct hook_rcpt *r = find(c, e->target, &index);

    if (r == NULL) {
        return bad(c, "a recipient is changed who is not there");
    }
    if (e->kind == HOOK_EDIT_RCPT_VARIANT) {
        return check_message(c, e->text);
    }
    if (e->kind == HOOK_EDIT_RCPT_ROUTE) {
        return is_name(e->route) && is_name(e->connection) && is_name(e->tls) && is_name(e->queue)
                   ? GOOD
                   : bad(c, "a route, connection, tls or queue is not a name");
    }
    if (e->kind == HOOK_EDIT_RCPT_STATUS &&
        !hook_status_may_become(c->view, status_now(c, r, end), e->status)) {
        hook_note(c->outcome, c->arena, "%.*s cannot be given that status", STR_ARG(r->address));
        return USELESS;
    }
    if (e->kind == HOOK_EDIT_RCPT_TIMES && status_now(c, r, end) != HOOK_DEFERRED) {
        hook_note(c->outcome, c->arena, "%.*s is not to be tried again: it has no times",
                  STR_ARG(r->address));
        return USELESS;
    }
    return GOOD;
}

/* ---- the message ---- */

static int by_name(const void *left, const void *right)
{
    const struct str *a = left, *b = right;
    int difference = (a->len > b->len) - (a->len < b->len);

    for (size_t i = 0; i < a->len && difference == 0; i++) {
        difference = byte_lower(a->ptr[i]) - byte_lower(b->ptr[i]);
    }
    return difference;
}

/* Sorted, since an answer may change as many fields as came. */
static bool came_raw(struct checking *c, struct str name)
{
    const struct hook_view *v = c->view;

    if (c->raw == NULL) {
        c->raw = arena_array(c->arena, v->field_count + 1, sizeof(*c->raw));
        for (uint32_t i = 0; i < v->field_count; i++) {
            if (!str_is_ascii(v->fields[i].value)) {
                c->raw[c->raw_count++] = v->fields[i].name;
            }
        }
        qsort(c->raw, c->raw_count, sizeof(*c->raw), by_name);
    }
    return bsearch(&name, c->raw, c->raw_count, sizeof(*c->raw), by_name) != NULL;
}

/* A field that came with raw 8-bit text keeps that right when it is changed: the message needs it
 * already, and a filter that puts a word before it shall not fail over it. */
static bool field_is_good(struct checking *c, struct hook_field *f)
{
    return hook_field_is_good(f->name, &f->value, c->smtputf8) ||
           (!str_is_ascii(f->value) && came_raw(c, f->name) &&
            hook_field_lines_are_good(f->name, &f->value)) ||
           hook_field_fit(f->name, &f->value, c->smtputf8, c->arena);
}

static enum verdict check_fields(struct checking *c, struct hook_edit *e)
{
    struct hook_field *list = arena_array(c->arena, e->field_count, sizeof(*list));

    if (e->field_count > c->bounds->fields_max) {
        return bad(c, "there would be too many header fields");
    }
    for (uint32_t i = 0; i < e->field_count; i++) {
        list[i] = e->fields[i];
        if (list[i].whole.len == 0 && !field_is_good(c, &list[i])) {
            return bad(c, "a header field is not one good field");
        }
    }
    e->fields = list;
    return GOOD;
}

static enum verdict check_policy(struct checking *c, const struct hook_edit *e)
{
    return e->name.len > 0 && is_name(e->name) && e->text.len <= POLICY_BYTES_MAX &&
                   text_is_printable(e->text, true)
               ? GOOD
               : bad(c, "what is said about queueing is not one line of text");
}

/* ---- all of it ---- */

static unsigned edit_stages(enum hook_edit_kind kind)
{
    static const unsigned stages[HOOK_EDIT_KINDS] = {
        [HOOK_EDIT_SENDER] = ON(DATA),         [HOOK_EDIT_RCPT_ADD] = ON(DATA) | ON_QUEUED,
        [HOOK_EDIT_RCPT_REMOVE] = ON(DATA),    [HOOK_EDIT_FIELDS] = ON(DATA) | ON(DSN),
        [HOOK_EDIT_BODY] = ON(DATA) | ON(DSN), [HOOK_EDIT_MESSAGE] = ON(DATA) | ON(DSN),
        [HOOK_EDIT_RCPT_STATUS] = ON_QUEUED,   [HOOK_EDIT_RCPT_TIMES] = ON_QUEUED,
        [HOOK_EDIT_RCPT_ROUTE] = ON(ROUTE),    [HOOK_EDIT_RCPT_VARIANT] = ON(ROUTE),
        [HOOK_EDIT_DSN_DROP] = ON(DSN),        [HOOK_EDIT_POLICY] = ON_TRANSACTION | ON(ROUTE),
    };

    must(kind < HOOK_EDIT_KINDS);
    return stages[kind];
}

/* `end`: behind the edits that are kept so far; e is at it or behind. */
static enum verdict check_edit(struct checking *c, struct hook_edit *e, const struct hook_edit *end)
{
    if (!(edit_stages(e->kind) & (1u << c->view->stage))) {
        return bad(c, "the answer changes what cannot be changed at this stage");
    }
    switch (e->kind) {
    case HOOK_EDIT_SENDER:
        return check_sender(c, e);
    case HOOK_EDIT_RCPT_ADD:
        return check_added(c, e, end);
    case HOOK_EDIT_RCPT_REMOVE:
        return check_removed(c, e);
    case HOOK_EDIT_FIELDS:
        return check_fields(c, e);
    case HOOK_EDIT_MESSAGE:
        return check_message(c, e->text);
    case HOOK_EDIT_RCPT_STATUS:
    case HOOK_EDIT_RCPT_TIMES:
    case HOOK_EDIT_RCPT_ROUTE:
    case HOOK_EDIT_RCPT_VARIANT:
        return check_of_rcpt(c, e, end);
    case HOOK_EDIT_POLICY:
        return check_policy(c, e);
    case HOOK_EDIT_BODY:
    case HOOK_EDIT_DSN_DROP:
    case HOOK_EDIT_KINDS:
        break;
    }
    return GOOD;
}

static bool check_edits(struct checking *c)
{
    struct hook_outcome *o = c->outcome;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < o->edit_count; i++) {
        enum verdict v = check_edit(c, &o->edits[i], &o->edits[kept]);

        if (v == BAD) {
            return false;
        }
        if (v == GOOD) {
            o->edits[kept++] = o->edits[i];
        }
    }
    o->edit_count = kept;
    return true;
}

static bool changes_message(const struct hook_outcome *o)
{
    for (uint32_t i = 0; i < o->edit_count; i++) {
        if (o->edits[i].kind == HOOK_EDIT_FIELDS || o->edits[i].kind == HOOK_EDIT_BODY ||
            o->edits[i].kind == HOOK_EDIT_MESSAGE) {
            return true;
        }
    }
    return false;
}

static bool check_sum(struct checking *c)
{
    struct hook_view after;
    uint32_t next_id = 0;

    if (!changes_message(c->outcome)) {
        return true;
    }
    hook_view_apply(c->view, c->outcome, &next_id, c->arena, &after);
    if (after.message_bytes - after.body.size > c->bounds->header_bytes_max) {
        return bad(c, "the header section becomes too large") == GOOD;
    }
    if (after.message_bytes > c->bounds->message_bytes_max) {
        return bad(c, "the message becomes too large") == GOOD;
    }
    return true;
}

static uint64_t with_room(uint64_t bound, uint64_t came, uint64_t room)
{
    uint64_t most = bound > came ? bound : came;

    return __builtin_add_overflow(most, room, &most) ? UINT64_MAX : most;
}

struct hook_bounds hook_bounds_over(const struct hook_bounds *bounds, const struct hook_view *view)
{
    enum { FIELDS_ROOM = 4096, HEADER_ROOM = 64 * 1024, CONTENT_ROOM = 1024 * 1024 };
    uint64_t header = view->message_bytes - view->body.size, all = view->message_bytes;
    uint64_t fields = with_room(bounds->fields_max, view->field_count, FIELDS_ROOM);
    uint64_t half = with_room(bounds->message_bytes_max, all, 0) / 2;
    struct hook_bounds ret = *bounds;

    ret.fields_max = fields < UINT32_MAX ? (uint32_t)fields : UINT32_MAX;
    ret.header_bytes_max = with_room(bounds->header_bytes_max, header, HEADER_ROOM);
    ret.message_bytes_max = with_room(bounds->message_bytes_max, all, half + CONTENT_ROOM);
    return ret;
}

struct err hook_outcome_check(struct hook_outcome *o, const struct hook_view *view,
                              const struct hook_bounds *bounds, struct arena *a, struct buf *why)
{
    struct checking c = {.view = view,
                         .bounds = bounds,
                         .outcome = o,
                         .arena = a,
                         .why = why,
                         .gone = arena_array(a, view->to_count, sizeof(bool)),
                         .left = view->to_count,
                         .smtputf8 = view->smtputf8};

    must(o->action < HOOK_ACTIONS);
    if (!(action_stages[o->action] & (1u << view->stage))) {
        buf_printf(why, "%.*s cannot be the answer at stage %.*s",
                   STR_ARG(hook_action_name(o->action)), STR_ARG(hook_stage_name(view->stage)));
        return err_of(ERR_PROTOCOL);
    }
    hook_reply_check(o, view, a);
    if (hook_action_is_last(o->action)) {
        o->edit_count = 0;
    }
    if (!check_edits(&c) || !check_sum(&c)) {
        return err_of(ERR_PROTOCOL);
    }
    if (view->stage == HOOK_DATA && view->to_count > 0 && c.left == 0) {
        hook_note(o, a, "no recipient is left");
        o->action = HOOK_DISCARD;
        o->edit_count = 0;
    }
    return ERR_OK;
}
