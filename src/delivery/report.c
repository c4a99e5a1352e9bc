/*
 * report: one delivery status notification for all recipients of a message whose sender is owed
 * one. The notification and "nothing is owed any more" are stored in one batch, so each is told
 * exactly once, over any crash.
 */
#include "base/check.h"
#include "base/mem.h"
#include "delivery/events.h"
#include "delivery/filters.h"
#include "delivery/part.h"
#include "hooks/insert.h"
#include "mail/content.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"

enum { TRY_AGAIN_MS = 10 * 1000, STALE_MS = 100 };

/* What one try needs; everything lives in the arena but the parcels. */
struct telling {
    struct delivery_loop *l;
    struct arena arena;
    struct parcel *original, *notice;
    struct store_body *rest; /* of the notice, beyond what a parcel holds */
    struct store_change *changes;
    uint32_t change_count;
    struct dsn_facts facts;
    struct str dropped_by; /* a filter; empty: it is to be made */
};

/* Content from `from` to `to` into out. */
static struct err content_read(struct store *s, const struct parcel *p, uint64_t from, uint64_t to,
                               struct buf *out, struct when by)
{
    struct buf room BUF_LOCAL = {0};

    while (from < to) {
        struct str run;
        struct err e = store_content(s, p, from, &room, &run, by);

        if (e.code) {
            return e;
        }
        run = str_head(run, to - from);
        buf_put(out, run);
        from += run.len;
    }
    return ERR_OK;
}

/* The states without their debt; `only`: where that is the debt. */
static void settle(struct telling *t, const enum report_owed *only)
{
    const struct message *m = &t->original->message;
    struct rcpt_state *states = arena_array(&t->arena, m->to_count, sizeof *states);

    t->changes = arena_array(&t->arena, m->to_count, sizeof *t->changes);
    t->change_count = 0;
    for (uint32_t i = 0; i < m->to_count; i++) {
        const struct rcpt_state *old = &m->to[i].state;

        if (old->owed == OWED_NONE || (only != NULL && old->owed != only[i])) {
            continue;
        }
        states[i] = *old;
        states[i].version++;
        states[i].owed = OWED_NONE;
        t->changes[t->change_count++] = (struct store_change){m->id, i, old->version, &states[i]};
    }
}

/* The text, and the envelope around it. */
static struct err write_notice(struct telling *t, struct buf *text, struct when by)
{
    const struct delivery_options *o = &t->l->d->options;
    const struct message *m = &t->original->message;
    struct buf header BUF_LOCAL = {0}, body BUF_LOCAL = {0};
    struct dsn d = {.message = m,
                    .reporting_mta = o->hostname,
                    .from_name = STR("Mail Delivery System"),
                    .at = clock_date(),
                    .whole_bytes_max = DSN_WHOLE_BYTES_MAX};
    struct err e = content_read(o->store, t->original, 0, m->header_bytes, &header, by);

    if (e.code == OK && dsn_wants_body(m, d.whole_bytes_max)) {
        d.has_body = true;
        e = content_read(o->store, t->original, m->header_bytes, m->size, &body, by);
    }
    if (e.code) {
        return e;
    }
    t->notice = parcel_new();

    struct arena *a = &t->notice->arena;
    struct message *n = &t->notice->message;

    n->id = store_new_id(o->store);
    d.from_address = arena_printf(&t->arena, "mailer-daemon@%.*s", STR_ARG(o->hostname));
    d.message_id = arena_printf(&t->arena, "%016llx.%016llx@%.*s", (unsigned long long)n->id,
                                (unsigned long long)random_u64(), STR_ARG(o->hostname));
    d.boundary = arena_printf(&t->arena, "report-%016llx", (unsigned long long)random_u64());
    d.header = buf_str(&header);
    d.body = buf_str(&body);
    dsn_write(text, &d, &t->facts);
    n->arrived = d.at;
    n->source = SOURCE_DSN;
    n->is_trusted = true;
    n->priority = m->priority; /* RFC 6710 section 6: news travels as its cause did */
    n->sender = STR_EMPTY;
    n->envid = n->client_ip = n->client_name = n->listener = n->authenticated_as = STR_EMPTY;
    n->smtputf8 = n->utf8_headers = t->facts.smtputf8;
    n->body = t->facts.body;
    n->size = text->len;
    n->header_bytes = t->facts.header_bytes;
    n->to = ARENA_NEW(a, struct recipient);
    n->to_count = 1;
    n->to[0].address = arena_dup(a, m->sender);
    n->to[0].orcpt = STR_EMPTY;
    n->to[0].state.deadline = DATE_NEVER;
    return ERR_OK;
}

/* ---- filters ---- */

/* What a filter made of it; its envelope stays: the null sender, and whom it was for. */
static void rewrite(struct telling *t, const struct hook_view *view, struct buf *text)
{
    struct message *n = &t->notice->message;
    struct header_scan scan = {0};
    struct content c = {0};
    struct buf out BUF_LOCAL = {0};

    insert_header(view, &out);
    n->header_bytes = (uint32_t)out.len;
    header_scan_add(&scan, buf_str(&out));
    header_scan_end(&scan);
    buf_put(&out, view->body.whole);
    content_add(&c, buf_str(&out));
    n->size = out.len;
    n->body = content_class(&c);
    n->utf8_headers = scan.has_8bit;
    n->smtputf8 = n->smtputf8 || scan.has_8bit;
    buf_clear(text);
    buf_put(text, buf_str(&out));
}

/* The recipients it tells of, as they were before it settled their debt. */
static void show_told(struct telling *t, struct hook_view *view, struct when by)
{
    const struct message *m = &t->original->message;
    struct filters_reader reader = {t->l->d->options.store, t->original};
    uint32_t *to = arena_array(&t->arena, t->change_count, sizeof *to);
    struct rcpt_state *states = arena_array(&t->arena, t->change_count, sizeof *states);

    for (uint32_t i = 0; i < t->change_count; i++) {
        to[i] = t->changes[i].index;
        states[i] = m->to[to[i]].state;
    }
    filters_view(t->l, HOOK_DSN, &reader, to, states, t->change_count, &t->arena, view, by);
    view->sender = STR_EMPTY;
    view->sender_params = (struct hook_params){0};
    view->smtputf8 = t->notice->message.smtputf8;
}

/* Filters hear of it before it is accepted, again after a crash. False: it is not to be made. */
static bool is_wanted(struct telling *t, struct buf *text, struct when by)
{
    static const unsigned of_content = 1U << HOOK_EDIT_FIELDS | 1U << HOOK_EDIT_BODY |
                                       1U << HOOK_EDIT_MESSAGE;
    struct filters *f = filters_share(t->l->filters);
    struct hook_view view;
    struct verdict v = {.by = STR_EMPTY};
    bool is_dropped = false;

    show_told(t, &view, by);
    filters_view_text(arena_dup(&t->arena, buf_str(text)), t->notice->message.header_bytes,
                      &t->arena, &view);
    if (filters_ask(f, &view, t->original->message.is_trusted, &t->arena, &v, by)) {
        is_dropped = v.action == HOOK_CANCEL;
        for (uint32_t i = 0; i < v.edit_count && !is_dropped; i++) {
            is_dropped = v.edits[i].edit->kind == HOOK_EDIT_DSN_DROP;
            v.by = v.edits[i].by;
        }
        if (!is_dropped && (v.changed & of_content) != 0) {
            rewrite(t, &v.view, text);
        }
    }
    t->dropped_by = is_dropped ? arena_dup(&t->arena, v.by) : STR_EMPTY;
    filters_drop(f);
    return !is_dropped;
}

/* The first of it into the parcel, the rest into the log. */
static struct err put_content(struct telling *t, struct str text, struct when by)
{
    struct err e = ERR_OK;

    buf_put(&t->notice->head, str_head(text, PARCEL_HEAD_MAX));
    text = str_skip(text, PARCEL_HEAD_MAX);
    if (text.len > 0) {
        t->rest = store_body_open(t->l->d->options.store);
        e = store_body_add(t->rest, text, by);
    }
    return e;
}

/* Nobody is told: only the debt is removed. */
static struct err forgive(struct telling *t, struct when by)
{
    struct store_commit c = {.changes = t->changes, .change_count = t->change_count};

    return store_commit(t->l->d->options.store, &c, by);
}

/* The debts of `asked`, one for each recipient, as far as they are still those. */
static struct err settle_again(struct telling *t, const enum report_owed *asked, struct when by)
{
    struct parcel *now;
    struct err e = store_fetch(t->l->d->options.store, t->original->message.id, &now, by);

    if (e.code != OK) {
        return e;
    }
    parcel_drop(t->original);
    t->original = now;
    settle(t, asked);
    return ERR_OK;
}

/* What a filter has dropped is not told of, whatever became of a recipient while it thought; a debt
 * that came meanwhile is another one, and is told of. */
static struct err drop(struct telling *t, struct when by)
{
    const struct message *m = &t->original->message;
    enum report_owed *asked = arena_array(&t->arena, m->to_count, sizeof *asked);
    uint32_t count = t->change_count;
    struct err e = forgive(t, by);

    for (uint32_t i = 0; i < m->to_count; i++) {
        asked[i] = m->to[i].state.owed;
    }
    while (e.code == ERR_STALE) {
        e = fiber_sleep(when_after(STALE_MS), by);
        e = e.code ? e : settle_again(t, asked, by);
        if (e.code == OK && t->change_count > 0) {
            e = forgive(t, by);
        }
    }
    if (e.code == OK) {
        m = &t->original->message;
        event_raise(&ev_report_dropped, f_message(m->id), f_rcpt(m->sender), f_name(t->dropped_by),
                    f_recipients(count));
    }
    return e;
}

static struct err tell_sender(struct telling *t, struct when by)
{
    struct delivery *d = t->l->d;
    struct buf text BUF_LOCAL = {0};
    struct store_body *rest;
    struct err e = write_notice(t, &text, by);

    if (e.code == OK && filters_ask_at(t->l, HOOK_DSN) && !is_wanted(t, &text, by)) {
        return drop(t, by);
    }
    e = e.code ? e : put_content(t, buf_str(&text), by);
    if (e.code) {
        return e;
    }
    rest = t->rest;
    t->rest = NULL; /* the queue takes it, whatever the result */
    e = queue_accept(d->queue, t->l->plan, t->notice, rest, t->changes, t->change_count, by);
    if (e.code == OK) {
        event_raise(
            &ev_report_made, f_message(t->notice->message.id),
            f_rcpt(t->notice->message.to[0].address),
            f_name(arena_printf(&t->arena, "%016llx", (unsigned long long)t->original->message.id)),
            f_recipients(t->change_count));
    }
    return e;
}

static struct err report_once(struct telling *t, uint64_t message, struct when by)
{
    struct err e = store_fetch(t->l->d->options.store, message, &t->original, by);

    if (e.code) {
        return e;
    }
    settle(t, NULL);
    if (t->change_count == 0) {
        return ERR_OK;
    }
    return t->original->message.sender.len > 0 ? tell_sender(t, by) : forgive(t, by);
}

static void telling_done(struct telling *t)
{
    parcel_drop(t->original);
    parcel_drop(t->notice);
    if (t->rest != NULL) {
        store_body_abandon(t->rest);
    }
    arena_done(&t->arena);
}

void report_given_up(struct report *r)
{
    queue_reported(r->l->d->queue, r->message);
    mem_free(r);
}

void report_fiber(void *arg)
{
    struct report *r = arg;

    for (;;) {
        struct telling t = {.l = r->l};
        char why[160];
        struct err e = report_once(&t, r->message, WHEN_NEVER);

        telling_done(&t);
        if (e.code == OK || e.code == ERR_NOT_FOUND || e.code == ERR_CANCELLED) {
            break;
        }
        /* A state that moved meanwhile is read anew: it is nobody's fault. */
        if (e.code != ERR_STALE) {
            event_raise(&ev_report_failed, f_message(r->message),
                        f_text(err_say(e, why, sizeof why)));
        }
        if (fiber_sleep(when_after(e.code == ERR_STALE ? STALE_MS : TRY_AGAIN_MS), WHEN_NEVER)
                .code) {
            break;
        }
    }
    report_given_up(r);
}
