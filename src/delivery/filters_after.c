/*
 * After an attempt: filters hear what came of it, and what they want is made. The order is that of
 * filters.h: recorded, asked at `delivery`, made, asked at `defer` when somebody has to wait, made.
 */
#include "base/check.h"
#include "base/mem.h"
#include "delivery/events.h"
#include "delivery/filters.h"
#include "queue/operate.h"
#include "runtime/clock.h"
#include "runtime/log.h"

struct after {
    struct job *j;
    struct delivery_loop *l;
    struct filters *filters;
    struct arena arena;
    struct filters_reader reader;
    uint32_t *to; /* indices in the message */
    struct rcpt_state *states;
    uint32_t count;
};

static const struct message *message_of(const struct after *t)
{
    return &t->j->work->parcel->message;
}

/* ---- who was in the attempt ---- */

static void collect(struct after *t)
{
    const struct job *j = t->j;
    const struct work *w = j->work;

    t->to = arena_array(&t->arena, (size_t)w->to_count + j->part_count, sizeof *t->to);
    t->states = arena_array(&t->arena, (size_t)w->to_count + j->part_count, sizeof *t->states);
    for (uint32_t i = 0, p = 0; i < w->to_count || p < j->part_count;) {
        if (p == j->part_count || (i < w->to_count && w->to[i] < j->part_to[p])) {
            t->to[t->count] = w->to[i];
            t->states[t->count++] = w->results[i++];
        } else {
            t->to[t->count] = j->part_to[p];
            t->states[t->count++] = j->part_states[p++];
        }
    }
}

static struct rcpt_state *state_of(struct after *t, uint32_t index)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->to[i] == index) {
            return &t->states[i];
        }
    }
    return NULL;
}

static bool is_waited_for(const struct after *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->states[i].status == RCPT_WAITING) {
            return true;
        }
    }
    return false;
}

/* ---- what is wanted ---- */

struct wishes {
    struct action_change *items;
    uint32_t count;
};

/* The one of this recipient, or a new one. */
static struct action_change *wish_for(struct after *t, struct wishes *w, uint32_t index,
                                      struct str by)
{
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->items[i].index == index) {
            w->items[i].by = by;
            return &w->items[i];
        }
    }
    w->items[w->count] = (struct action_change){
        .index = index, .version = state_of(t, index)->version, .wish = WISH_TIMES, .by = by};
    return &w->items[w->count++];
}

static void add_wish(struct after *t, struct wishes *w, const struct verdict_edit *v)
{
    const struct hook_edit *e = v->edit;
    struct action_change *c;

    if (state_of(t, e->target) == NULL) {
        return; /* one that an earlier filter of the chain has added */
    }
    c = wish_for(t, w, e->target, v->by);
    if (e->kind == HOOK_EDIT_RCPT_TIMES) {
        c->next = e->has_attempt ? e->next_attempt : c->next;
        if (e->has_notice) {
            c->notice = e->next_notice.ms > 0 ? e->next_notice : DATE_NEVER;
        }
        return;
    }
    switch (e->status) {
    case HOOK_DEFERRED:
        c->wish = WISH_AGAIN;
        break;
    case HOOK_FAILED:
        c->wish = WISH_FAIL;
        break;
    case HOOK_FAILED_SILENT:
        c->wish = WISH_DROP;
        break;
    case HOOK_PENDING:
    case HOOK_DELIVERED:
        break; /* the check leaves none of these */
    }
}

/* ---- and made ---- */

static void tell_unmade(const struct after *t, const struct action_change *c, struct err e)
{
    event_raise(&ev_filter_unmade, f_message(message_of(t)->id),
                f_rcpt(message_of(t)->to[c->index].address), f_name(c->by),
                f_text(e.code == ERR_NOT_FOUND ? STR("the message has ended")
                                               : STR("its state is another by now")));
}

/* As queue/action.c changes the state that is stored. */
static void follow(struct rcpt_state *s, const struct action_change *c)
{
    s->version++;
    switch (c->wish) {
    case WISH_AGAIN:
    case WISH_TIMES:
        s->status = RCPT_WAITING;
        s->next = c->next;
        s->notice = c->notice;
        break;
    case WISH_FAIL:
        s->status = RCPT_FAILED;
        break;
    case WISH_DROP:
        s->status = RCPT_DROPPED;
        break;
    }
}

static void make(struct after *t, struct wishes *w)
{
    struct delivery *d = t->l->d;
    struct err e;

    if (w->count == 0) {
        return;
    }
    e = queue_filter(d->queue, d->options.store, message_of(t)->id, w->items, w->count, WHEN_NEVER);
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->items[i].is_done) {
            follow(state_of(t, w->items[i].index), &w->items[i]);
        } else {
            tell_unmade(t, &w->items[i], e);
        }
    }
}

/* All that still waits of the message, in whatever job: one that is being tried is cancelled when
 * its attempt leaves it waiting. What of this attempt has failed is not told of. */
static void cancel(struct after *t, struct str by)
{
    struct delivery *d = t->l->d;
    const struct message *m = message_of(t);
    struct action action = {.kind = ACTION_CANCEL,
                            .who = by,
                            .why = STR_EMPTY,
                            .is_silent = true,
                            .queue = STR_EMPTY,
                            .route = STR_EMPTY,
                            .filter = by};
    struct operation o = {.queue = d->queue,
                          .store = d->options.store,
                          .action = &action,
                          .ids = &m->id,
                          .id_count = 1};
    struct wishes w = {.items = arena_array(&t->arena, t->count, sizeof *w.items)};

    event_raise(&ev_filter_cancelled, f_message(m->id), f_name(by));
    (void)queue_operate(&o, WHEN_NEVER);
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->states[i].status == RCPT_FAILED && t->states[i].owed != OWED_NONE) {
            wish_for(t, &w, t->to[i], by)->wish = WISH_DROP;
        }
    }
    make(t, &w);
}

static void obey(struct after *t, const struct verdict *v)
{
    struct wishes w = {.items = arena_array(&t->arena, v->edit_count, sizeof *w.items)};

    for (uint32_t i = 0; i < v->edit_count; i++) {
        const struct hook_edit *e = v->edits[i].edit;

        if (e->kind == HOOK_EDIT_RCPT_STATUS || e->kind == HOOK_EDIT_RCPT_TIMES) {
            add_wish(t, &w, &v->edits[i]);
        } else if (e->kind == HOOK_EDIT_RCPT_ADD) {
            filters_add(t->l, t->filters, t->j->work->parcel, e, v->edits[i].by, WHEN_NEVER);
        }
    }
    make(t, &w);
}

/* False: nothing more is to be asked. */
static bool ask(struct after *t, enum hook_stage stage)
{
    struct hook_view view;
    struct verdict v;

    if (!chain_asks(t->filters->f.chain, stage)) {
        return true;
    }
    filters_view(t->l, stage, &t->reader, t->to, t->states, t->count, &t->arena, &view, WHEN_NEVER);
    if (!filters_ask(t->filters, &view, message_of(t)->is_trusted, &t->arena, &v, WHEN_NEVER)) {
        return false;
    }
    if (v.action == HOOK_CANCEL) {
        cancel(t, v.by);
        return false;
    }
    obey(t, &v);
    return true;
}

/* ---- from the queue, and back ---- */

static void give_back(struct job *j)
{
    j->l->asking--;
    queue_told(j->work);
}

void filters_after_fiber(void *arg)
{
    struct job *j = arg;
    struct after t = {.j = j,
                      .l = j->l,
                      .filters = filters_share(j->l->filters),
                      .reader = {j->l->d->options.store, j->work->parcel}};

    if (t.filters != NULL && j->work->parcel != NULL) {
        collect(&t);
    }
    if (t.count > 0 && ask(&t, HOOK_DELIVERY) && is_waited_for(&t)) {
        (void)ask(&t, HOOK_DEFER);
    }
    filters_drop(t.filters);
    arena_done(&t.arena);
    give_back(j);
}

void filters_left_out(struct job *j)
{
    j->l->unasked++;
    event_raise(&ev_filters_unasked, f_message(j->work->message), f_rcpt_index(j->work->first));
    give_back(j);
}
