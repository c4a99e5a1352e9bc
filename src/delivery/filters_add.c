/*
 * A recipient that a filter adds to mail under way. What was accepted never changes, so it gets a
 * message of its own: the same sender and bytes, and a life as if it had just come in.
 */
#include "base/check.h"
#include "delivery/events.h"
#include "delivery/filters.h"
#include "mail/params.h"
#include "runtime/clock.h"
#include "runtime/log.h"

static const unsigned offers = OFFER_SIZE | OFFER_8BITMIME | OFFER_SMTPUTF8 | OFFER_DSN;

struct adding {
    struct delivery_loop *l;
    const struct parcel *from;
    struct parcel *parcel;
    struct store_body *rest;
    struct str filter, address;
    struct rcpt_args args;
    struct str_list stands_for;
    struct arena arena;
};

static void refused(const struct adding *t, struct str why)
{
    event_raise(&ev_rcpt_add_refused, f_message(t->from->message.id), f_rcpt(t->address),
                f_name(t->filter), f_text(why));
}

/* ---- whether it may be ---- */

/* The address with its parameters, as the argument of RCPT. */
static struct str argument(const struct hook_edit *e, struct arena *a)
{
    struct buf out BUF_LOCAL = {0};

    buf_printf(&out, "<%.*s>", STR_ARG(e->text));
    for (uint32_t i = 0; i < e->params.count; i++) {
        buf_printf(&out, " %.*s%s", STR_ARG(e->params.items[i].key),
                   e->params.items[i].has_value ? "=" : "");
        buf_put(&out, e->params.items[i].value);
    }
    return arena_dup(a, buf_str(&out));
}

static bool is_allowed(struct adding *t, const struct filters *f, const struct hook_edit *e)
{
    const struct message *m = &t->from->message;
    struct str why = STR_EMPTY;

    if (m->is_added) {
        refused(t, STR("a filter has added this message itself"));
        return false;
    }
    if (m->source == SOURCE_DSN) {
        refused(t, STR("the message is a delivery status notification"));
        return false;
    }
    if (rcpt_args_parse(argument(e, &t->arena), offers, m->smtputf8, &t->arena, &t->args) !=
        REFUSAL_NONE) {
        refused(t, STR("it is no address with parameters"));
        return false;
    }
    if (!f->f.may_add(f->f.ctx, m->is_trusted, &t->args.to, &t->arena, &t->stands_for, &why)) {
        refused(t, why);
        return false;
    }
    return t->stands_for.count > 0;
}

/* ---- the message ---- */

static struct err copy_content(struct adding *t, struct when by)
{
    struct store *s = t->l->d->options.store;
    struct buf room BUF_LOCAL = {0};
    uint64_t at = t->from->head.len;
    struct err e = ERR_OK;

    buf_put(&t->parcel->head, buf_str(&t->from->head));
    if (at < t->from->message.size) {
        t->rest = store_body_open(s);
    }
    while (e.code == OK && at < t->from->message.size) {
        struct str run;

        e = store_content(s, t->from, at, &room, &run, by);
        if (e.code == OK) {
            at += run.len;
            e = store_body_add(t->rest, run, by);
        }
    }
    return e;
}

static void copy_envelope(struct adding *t)
{
    const struct message *from = &t->from->message;
    struct arena *a = &t->parcel->arena;
    struct message *m = &t->parcel->message;

    *m = *from;
    m->id = store_new_id(t->l->d->options.store);
    m->arrived = clock_date();
    m->is_added = true;
    m->sender = arena_dup(a, from->sender);
    m->envid = arena_dup(a, from->envid);
    m->client_ip = arena_dup(a, from->client_ip);
    m->client_name = arena_dup(a, from->client_name);
    m->listener = arena_dup(a, from->listener);
    m->authenticated_as = arena_dup(a, from->authenticated_as);
    m->to = arena_array(a, t->stands_for.count, sizeof *m->to);
    m->to_count = (uint32_t)t->stands_for.count;
    for (uint32_t i = 0; i < m->to_count; i++) {
        m->to[i].address = arena_dup(a, t->stands_for.items[i]);
        m->to[i].orcpt = arena_dup(a, t->args.orcpt);
        m->to[i].notify = t->args.notify;
        m->to[i].state.deadline = DATE_NEVER;
    }
}

static struct err accept(struct adding *t, struct when by)
{
    struct store_body *rest;
    struct err e;

    t->parcel = parcel_new();
    copy_envelope(t);
    e = copy_content(t, by);
    if (e.code != OK) {
        return e;
    }
    rest = t->rest;
    t->rest = NULL; /* the queue takes it, whatever the result */
    return queue_accept(t->l->d->queue, t->l->plan, t->parcel, rest, NULL, 0, by);
}

void filters_add(struct delivery_loop *l, const struct filters *f, const struct parcel *p,
                 const struct hook_edit *edit, struct str filter, struct when by)
{
    struct adding t = {.l = l, .from = p, .filter = filter, .address = edit->text};
    char why[160];

    if (is_allowed(&t, f, edit)) {
        struct err e = accept(&t, by);

        if (e.code == OK) {
            event_raise(&ev_rcpt_added, f_message(p->message.id), f_rcpt(edit->text),
                        f_sender(p->message.sender), f_name(filter),
                        f_text(arena_printf(&t.arena, "message %016llx",
                                            (unsigned long long)t.parcel->message.id)));
        } else {
            refused(&t, arena_dup(&t.arena, err_say(e, why, sizeof why)));
        }
    }
    parcel_drop(t.parcel);
    if (t.rest != NULL) {
        store_body_abandon(t.rest);
    }
    arena_done(&t.arena);
}
