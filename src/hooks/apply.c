/*
 * What a transaction looks like when edits were made. Nothing is checked here: hook_outcome_check
 * was asked before, and asks this file how large it all would be.
 */
#include "base/check.h"
#include "hooks/model.h"
#include "mail/header.h"

struct applying {
    struct hook_view *view;
    struct arena *arena;
    struct hook_rcpt *to; /* ours; NULL while they are the view's own */
    uint32_t to_size;
    uint32_t *next_id;
    bool is_rewritten; /* the message */
};

/* ---- the envelope ---- */

static struct hook_rcpt *own_recipients(struct applying *p, uint32_t more)
{
    if (p->to == NULL || p->view->to_count + more > p->to_size) {
        p->to_size = 2 * p->view->to_count + more;
        p->to = arena_array(p->arena, p->to_size, sizeof(*p->to));
        if (p->view->to_count > 0) {
            memcpy(p->to, p->view->to, p->view->to_count * sizeof(*p->to));
        }
        p->view->to = p->to;
    }
    return p->to;
}

static struct hook_rcpt *recipient(struct applying *p, uint32_t id)
{
    struct hook_rcpt *to = own_recipients(p, 0);

    for (uint32_t i = 0; i < p->view->to_count; i++) {
        if (to[i].id == id) {
            return &to[i];
        }
    }
    never("the check has found the recipient");
}

static void add_recipient(struct applying *p, const struct hook_edit *e)
{
    struct hook_rcpt *to = own_recipients(p, 1);

    to[p->view->to_count++] = (struct hook_rcpt){.address = e->text,
                                                 .params = e->params,
                                                 .id = (*p->next_id)++,
                                                 .last = {.text = STR_EMPTY},
                                                 .queue = STR_EMPTY};
}

static void remove_recipient(struct applying *p, uint32_t id)
{
    struct hook_rcpt *at = recipient(p, id);
    size_t behind = p->view->to_count - (size_t)(at - p->to) - 1;

    memmove(at, at + 1, behind * sizeof(*at));
    p->view->to_count--;
}

static void change_sender(struct hook_view *v, const struct hook_edit *e)
{
    v->sender = e->text;
    if (!e->has_params) {
        return;
    }
    v->sender_params = e->params;
    for (uint32_t i = 0; i < e->params.count; i++) {
        v->smtputf8 = v->smtputf8 || str_eq_nocase(e->params.items[i].key, STR("SMTPUTF8"));
    }
}

static void change_times(struct hook_rcpt *r, const struct hook_edit *e)
{
    if (e->has_attempt) {
        r->next_attempt = e->next_attempt;
    }
    if (e->has_notice) {
        r->next_notice = e->next_notice;
    }
}

/* ---- the message ---- */

/* A field that is new gets its bytes: the name, a colon, a blank unless the value begins with one
 * or is exact, the value. */
static struct hook_field written(const struct hook_field *f, bool is_exact, struct arena *a)
{
    struct hook_field w = *f;
    bool has_blank = is_exact ||
                     (f->value.len > 0 && (f->value.ptr[0] == ' ' || f->value.ptr[0] == '\t'));
    struct buf out BUF_LOCAL = {0};

    if (str_ends(f->whole, STR("\r\n"))) {
        return w;
    }
    if (f->whole.len > 0) {
        buf_put(&out, f->whole); /* the last of a message that ended without an end of line */
    } else {
        buf_put(&out, f->name);
        buf_put(&out, has_blank ? STR(":") : STR(": "));
        buf_put(&out, f->value);
    }
    buf_put(&out, STR("\r\n"));
    w.whole = arena_dup(a, buf_str(&out));
    if (f->whole.len == 0) {
        w.value = str_skip(str_head(w.whole, w.whole.len - 2), f->name.len + 1);
    }
    return w;
}

static void set_fields(struct applying *p, const struct hook_field *fields, uint32_t count,
                       bool is_exact)
{
    struct hook_field *list = arena_array(p->arena, count, sizeof(*list));

    for (uint32_t i = 0; i < count; i++) {
        list[i] = written(&fields[i], is_exact, p->arena);
    }
    p->view->fields = list;
    p->view->field_count = count;
    p->view->no_separator = false;
    p->is_rewritten = true;
}

static void set_body(struct applying *p, struct str body)
{
    if (p->view->no_separator) {
        /* Without an empty line before it a new body could become header fields. */
        set_fields(p, p->view->fields, p->view->field_count, false);
    }
    p->view->body = (struct hook_bytes){.size = body.len, .whole = body};
    p->is_rewritten = true;
}

static void set_message(struct applying *p, struct str message)
{
    struct header_walk w = {message, 0};
    struct header_field f;
    struct hook_field *list;
    uint32_t count = 0;

    while (header_next(&w, &f)) {
        count++;
    }
    list = arena_array(p->arena, count, sizeof(*list));
    w = (struct header_walk){message, 0};
    for (uint32_t i = 0; header_next(&w, &f); i++) {
        list[i] = (struct hook_field){f.name, f.value, f.whole};
    }
    p->view->fields = list;
    p->view->field_count = count;
    p->view->no_separator = w.at == (count > 0 ? f.at + f.whole.len : 0);
    p->view->body = (struct hook_bytes){.size = message.len - w.at,
                                        .whole = str_skip(message, w.at)};
    p->is_rewritten = true;
}

/* The later word counts. */
static void say_policy(struct applying *p, const struct hook_edit *e)
{
    const struct hook_policy *old = p->view->policy;
    struct hook_policy *list = arena_array(p->arena, p->view->policy_count + 1, sizeof(*list));
    uint32_t at = 0;

    for (uint32_t i = 0; i < p->view->policy_count; i++) {
        if (!str_eq(old[i].name, e->name)) {
            list[at++] = old[i];
        }
    }
    list[at++] = (struct hook_policy){e->name, e->text, e->policy_kind};
    p->view->policy = list;
    p->view->policy_count = at;
}

static uint64_t message_bytes(const struct hook_view *v)
{
    uint64_t sum = v->body.size + (v->no_separator ? 0 : 2);

    for (uint32_t i = 0; i < v->field_count; i++) {
        sum += v->fields[i].whole.len;
    }
    return sum;
}

static void apply(struct applying *p, const struct hook_edit *e)
{
    switch (e->kind) {
    case HOOK_EDIT_SENDER:
        change_sender(p->view, e);
        break;
    case HOOK_EDIT_RCPT_ADD:
        add_recipient(p, e);
        break;
    case HOOK_EDIT_RCPT_REMOVE:
        remove_recipient(p, e->target);
        break;
    case HOOK_EDIT_FIELDS:
        set_fields(p, e->fields, e->field_count, e->is_exact);
        break;
    case HOOK_EDIT_BODY:
        set_body(p, e->text);
        break;
    case HOOK_EDIT_MESSAGE:
        set_message(p, e->text);
        break;
    case HOOK_EDIT_RCPT_STATUS:
        recipient(p, e->target)->status = e->status;
        break;
    case HOOK_EDIT_RCPT_TIMES:
        change_times(recipient(p, e->target), e);
        break;
    case HOOK_EDIT_RCPT_ROUTE:
        if (e->queue.len > 0) {
            recipient(p, e->target)->queue = e->queue;
        }
        break;
    case HOOK_EDIT_POLICY:
        say_policy(p, e);
        break;
    case HOOK_EDIT_RCPT_VARIANT:
    case HOOK_EDIT_DSN_DROP:
    case HOOK_EDIT_KINDS:
        break; /* a view does not show them */
    }
}

void hook_view_apply(const struct hook_view *view, const struct hook_outcome *o, uint32_t *next_id,
                     struct arena *a, struct hook_view *ret)
{
    struct applying p = {.view = ret, .arena = a, .next_id = next_id};

    *ret = *view;
    ret->action = o->action;
    if (o->reply.code != 0 || o->action != view->action) {
        ret->reply = o->reply;
    }
    for (uint32_t i = 0; i < o->edit_count; i++) {
        apply(&p, &o->edits[i]);
    }
    if (p.is_rewritten) {
        ret->message_bytes = message_bytes(ret);
    }
}
