/*
 * Before the way of a job is chosen: filters may choose it for each recipient, by the names that the
 * configuration knows, or say that one is not to be tried now, or ever.
 *
 * A choice of route, connection and tls holds for this attempt, and is asked for again at the next.
 * Where routes differ the job is divided as it is when a strategy divides it; each part is prepared
 * and asked about again. A queue is kept with the recipient, as an operator's move is.
 */
#include "base/check.h"
#include "delivery/events.h"
#include "delivery/filters.h"
#include "queue/operate.h"
#include "runtime/clock.h"
#include "runtime/log.h"

enum { PUT_OFF_MS = 60 * 1000 };

struct routing {
    struct job *j;
    struct filters *filters;
    struct rcpt_state *states; /* new ones; made when the first changes */
    bool *changes;
    bool is_answered;
};

static void tell(const struct job *j, uint32_t at, const struct event_kind *kind, struct str by,
                 struct str text)
{
    event_raise(kind, f_message(j->work->message), f_rcpt_index(j->work->to[at]),
                f_rcpt(job_recipient(j, at)->address), f_name(by), f_text(text));
}

/* The position in the job of the recipient with that index in the message. */
static bool find(const struct job *j, uint32_t index, uint32_t *ret)
{
    for (uint32_t i = 0; i < j->work->to_count; i++) {
        if (j->work->to[i] == index) {
            *ret = i;
            return true;
        }
    }
    return false; /* one that an earlier filter has added */
}

/* ---- states ---- */

static struct rcpt_state *change(struct routing *r, uint32_t at)
{
    r->is_answered = true;
    if (!r->changes[at]) {
        r->changes[at] = true;
        r->states[at].version++;
    }
    return &r->states[at];
}

/* As queue/action.c does it after an attempt. */
static void wish(struct routing *r, uint32_t at, const struct action_change *c)
{
    const struct message *m = &r->j->work->parcel->message;
    struct action action = {
        .kind = ACTION_FILTER, .filter = STR_EMPTY, .changes = c, .change_count = 1};
    struct acting k = {NULL, clock_date(), &r->j->work->arena};
    struct rcpt_state s = r->states[at];

    if (action_apply(&action, m, c->index, &k, &s, WHEN_NEVER) == EFFECT_CHANGES) {
        r->states[at] = s;
        (void)change(r, at);
        tell(r->j, at, &ev_filter_routed, c->by,
             c->wish == WISH_TIMES  ? STR("not now")
             : c->wish == WISH_FAIL ? STR("given up")
                                    : STR("given up, and the sender is not told"));
    }
}

static void take_status(struct routing *r, uint32_t at, const struct verdict_edit *v)
{
    const struct hook_edit *e = v->edit;
    struct action_change c = {
        .index = r->j->work->to[at], .version = r->states[at].version, .by = v->by};

    if (e->kind == HOOK_EDIT_RCPT_TIMES) {
        c.next = e->has_attempt ? e->next_attempt : c.next;
        c.notice = !e->has_notice ? c.notice : e->next_notice.ms == 0 ? DATE_NEVER : e->next_notice;
    } else if (e->status == HOOK_DEFERRED) {
        c.next = date_add(clock_date(), PUT_OFF_MS);
    } else {
        c.wish = e->status == HOOK_FAILED ? WISH_FAIL : WISH_DROP;
    }
    wish(r, at, &c);
}

/* ---- ways ---- */

static void unknown(struct routing *r, uint32_t at, const char *what, struct str name,
                    struct str by)
{
    tell(r->j, at, &ev_filter_unmade, by,
         arena_printf(&r->j->work->arena, "there is no %s \"%.*s\"", what, STR_ARG(name)));
}

static void take_queue(struct routing *r, uint32_t at, struct str name, struct str by)
{
    struct job *j = r->j;
    struct recipient changed = *job_recipient(j, at);
    struct subject subject = {.message = &j->work->parcel->message,
                              .recipient = &changed,
                              .facts = {.now = clock_date(), .mx = STR_EMPTY}};
    struct rcpt_state *s;

    if (plan_queue(j->work->plan, name) == NULL) {
        unknown(r, at, "virtual queue", name, by);
    } else if (!str_eq(r->states[at].queue, name)) {
        s = change(r, at);
        s->queue = arena_dup(&j->work->arena, name);
        changed.state = *s;
        s->lane = decide_lane(j->work->plan, &subject, &j->work->arena);
        tell(j, at, &ev_filter_routed, by,
             arena_printf(&j->work->arena, "queue %.*s", STR_ARG(name)));
    }
}

#define TAKE(what)                                                                                 \
    if (e->what.len > 0) {                                                                         \
        const struct plan_##what *found = plan_##what(plan, e->what);                              \
                                                                                                   \
        if (found == NULL) {                                                                       \
            unknown(r, at, #what, e->what, v->by);                                                 \
        } else {                                                                                   \
            p->what = found;                                                                       \
            buf_printf(&text, "%s" #what " %.*s", text.len > 0 ? ", " : "", STR_ARG(e->what));     \
        }                                                                                          \
    }

static void take_way(struct routing *r, uint32_t at, const struct verdict_edit *v)
{
    struct job *j = r->j;
    const struct plan *plan = j->work->plan;
    const struct hook_edit *e = v->edit;
    struct buf text BUF_LOCAL = {0};
    struct pick *p;

    if (j->picks == NULL) {
        j->picks = arena_array(&j->work->arena, j->work->to_count, sizeof *j->picks);
    }
    p = &j->picks[at];
    p->by = arena_dup(&j->work->arena, v->by);
    TAKE(route)
    TAKE(connection)
    TAKE(tls)
    if (text.len > 0) {
        tell(j, at, &ev_filter_routed, v->by, buf_str(&text));
    }
    if (e->queue.len > 0) {
        take_queue(r, at, e->queue, v->by);
    }
}

/* ---- all of it ---- */

static void take(struct routing *r, const struct verdict_edit *v)
{
    uint32_t at;

    if (v->edit->kind == HOOK_EDIT_RCPT_ADD) {
        filters_add(r->j->l, r->filters, r->j->work->parcel, v->edit, v->by, WHEN_NEVER);
        return;
    }
    if (!find(r->j, v->edit->target, &at)) {
        return;
    }
    switch (v->edit->kind) {
    case HOOK_EDIT_RCPT_STATUS:
    case HOOK_EDIT_RCPT_TIMES:
        take_status(r, at, v);
        break;
    case HOOK_EDIT_RCPT_ROUTE:
        take_way(r, at, v);
        break;
    case HOOK_EDIT_RCPT_VARIANT:
        tell(r->j, at, &ev_filter_unmade, v->by,
             STR("a message of its own for one recipient cannot be kept"));
        break;
    case HOOK_EDIT_SENDER:
    case HOOK_EDIT_RCPT_ADD:
    case HOOK_EDIT_RCPT_REMOVE:
    case HOOK_EDIT_FIELDS:
    case HOOK_EDIT_BODY:
    case HOOK_EDIT_MESSAGE:
    case HOOK_EDIT_DSN_DROP:
    case HOOK_EDIT_POLICY:
    case HOOK_EDIT_KINDS:
        break; /* none of this stage, or of a recipient */
    }
}

/* All that waits of the message, this job among it. */
static void cancel(struct routing *r, struct str by)
{
    struct job *j = r->j;
    struct delivery *d = j->l->d;
    struct arena a ARENA_LOCAL = {0};
    uint64_t id = j->work->message;
    struct action action = {.kind = ACTION_CANCEL,
                            .who = arena_dup(&a, by),
                            .why = STR_EMPTY,
                            .is_silent = true,
                            .queue = STR_EMPTY,
                            .route = STR_EMPTY,
                            .filter = arena_dup(&a, by)};
    struct operation o = {
        .queue = d->queue, .store = d->options.store, .action = &action, .ids = &id, .id_count = 1};

    event_raise(&ev_filter_cancelled, f_message(id), f_name(by));
    for (uint32_t i = 0; i < j->work->to_count; i++) {
        struct action_change c = {.index = j->work->to[i],
                                  .version = r->states[i].version,
                                  .wish = WISH_DROP,
                                  .by = action.filter};

        wish(r, i, &c);
    }
    j->work->results = r->states;
    queue_prepared(j->work, PREPARED_RESULTS, STR_EMPTY, WAIT_NOT_DUE, DATE_NEVER, STR_EMPTY);
    (void)queue_operate(&o, WHEN_NEVER);
}

static void begin(struct routing *r)
{
    struct work *w = r->j->work;

    r->states = arena_array(&w->arena, w->to_count, sizeof *r->states);
    r->changes = arena_array(&w->arena, w->to_count, sizeof *r->changes);
    for (uint32_t i = 0; i < w->to_count; i++) {
        r->states[i] = job_recipient(r->j, i)->state;
    }
}

static void answer(struct routing *r)
{
    struct work *w = r->j->work;

    for (uint32_t i = 0; i < w->to_count; i++) {
        r->states[i].version += !r->changes[i];
    }
    w->results = r->states;
    queue_prepared(w, PREPARED_RESULTS, STR_EMPTY, WAIT_NOT_DUE, DATE_NEVER, STR_EMPTY);
}

bool filters_route(struct job *j, struct when by)
{
    struct work *w = j->work;
    struct routing r = {.j = j, .filters = filters_share(j->l->filters)};
    struct filters_reader reader = {j->l->d->options.store, w->parcel};
    struct hook_view view;
    struct verdict v;
    bool is_cancelled = false;

    begin(&r);
    filters_view(j->l, HOOK_ROUTE, &reader, w->to, r.states, w->to_count, &w->arena, &view, by);
    if (filters_ask(r.filters, &view, w->parcel->message.is_trusted, &w->arena, &v, by)) {
        is_cancelled = v.action == HOOK_CANCEL;
        if (is_cancelled) {
            cancel(&r, v.by);
        }
        for (uint32_t i = 0; i < v.edit_count && !is_cancelled; i++) {
            take(&r, &v.edits[i]);
        }
        if (r.is_answered && !is_cancelled) {
            answer(&r);
        }
    }
    filters_drop(r.filters);
    return !r.is_answered && !is_cancelled;
}
