#include "base/mem.h"
#include "queue/claims.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"

/*
 * Quotas: what waits counts against them from before it is stored until it has ended.
 *
 *  1. What a message counts is worked out where it comes in (a claim), and taken here, on the
 *     queue's loop, by all of its quotas or by none. Only then is it committed; when that fails,
 *     what was taken is given back.
 *  2. A recipient gives back its part when its end is recorded, a message the rest when its last
 *     job is gone.
 *  3. A claim is made under a plan. When the queue has another one by then, it is made again.
 *  4. At the start everything is counted while it is loaded, and whom a quota counts waits for
 * that. When other quotas come with a reload, what is stored is counted again in steps, and mail
 * comes in meanwhile: what is not counted yet lets in more.
 *  5. What is read of the store for that may be past when it is here: recipients that ended
 *     meanwhile are known (`ended`), and so are messages without jobs, which are over or on their
 *     way in, and then are counted when they are here.
 */

enum { RECOUNT_MAX = 256, RECOUNT_AGAIN_MS = 1000, UNMATCHED_TOLD_MS = 60 * 1000 };

static const char *const class_names[] = {
    [QUOTA_SENDERS] = "Sender", [QUOTA_DOMAINS] = "Domain", [QUOTA_RECIPIENTS] = "Recipient"};

static void tell_unmatched(struct queue *q, const struct claim *c)
{
    const struct plan_quota *quota = c->unmatched;

    if (quota != NULL && is_news(q, quota->name, UNMATCHED_TOLD_MS)) {
        event_raise(&ev_quota_unmatched, f_message(c->claim.message), f_name(quota->name));
    }
}

/* ---- at the door ---- */

enum answer { TAKEN, NO_ROOM, OTHER_PLAN, LOADING, STOPPING };

/* Both loops have it, one after the other; whoever finds that the asker has gone frees it. */
struct reservation {
    struct post post;
    struct queue *queue;
    struct plan *plan; /* `claim` is of it; a reference */
    struct claim claim;
    enum answer answer;
    uint32_t part;    /* NO_ROOM */
    struct plan *now; /* OTHER_PLAN: a reference */
    struct loop *back;
    struct fiber *fiber; /* NULL: it has gone */
    bool is_answered;
};

static void reservation_free(struct reservation *r)
{
    claim_done(&r->claim);
    plan_give(r->plan);
    plan_give(r->now);
    mem_free(r);
}

static void reservation_answered(struct post *p)
{
    struct reservation *r = CONTAINER_OF(p, struct reservation, post);

    if (r->fiber == NULL) {
        reservation_free(r);
        return;
    }
    r->is_answered = true;
    fiber_wake(r->fiber);
}

static void reserve_here(struct post *p)
{
    struct reservation *r = CONTAINER_OF(p, struct reservation, post);
    struct queue *q = r->queue;

    if (q->stopping) {
        r->answer = STOPPING;
    } else if (r->plan != q->plan) {
        r->answer = OTHER_PLAN;
        r->now = plan_take(q->plan);
    } else if (!q->loaded) {
        r->answer = LOADING;
    } else {
        r->claim.claim.version = q->quota_version;
        r->answer = quotas_take(q->quotas, &r->claim.claim, &r->part) ? TAKEN : NO_ROOM;
    }
    p->run = reservation_answered;
    loop_post(r->back, p);
}

struct dropping {
    struct post post;
    struct queue *queue;
    uint64_t message;
};

static void drop_here(struct post *p)
{
    struct dropping *d = CONTAINER_OF(p, struct dropping, post);

    if (d->queue->quotas != NULL) {
        quotas_drop(d->queue->quotas, d->message);
    }
    mem_free(d);
}

void quotas_cancel(struct queue *q, uint64_t message)
{
    struct dropping *d = MEM_NEW(struct dropping);

    d->post.run = drop_here;
    d->queue = q;
    d->message = message;
    loop_post(q->home, &d->post);
}

/* Asks for what was claimed. ERR_CANCELLED, ERR_TIMEOUT: whatever comes of it is given back. */
static struct err ask(struct queue *q, struct reservation *r, struct when by)
{
    struct err e = ERR_OK;

    r->post.run = reserve_here;
    r->queue = q;
    r->back = loop_self();
    r->fiber = fiber_self();
    loop_post(q->home, &r->post);
    while (!r->is_answered && e.code == OK) {
        e = fiber_wait("room in its quotas", by);
    }
    if (!r->is_answered) {
        r->fiber = NULL;
        quotas_cancel(q, r->claim.claim.message);
        return e;
    }
    return ERR_OK;
}

static void tell_exceeded(const struct claim *c, uint32_t part, const struct message *m)
{
    const struct plan_quota *quota = c->quotas[part];

    event_raise(&ev_quota_exceeded, f_message(m->id), f_name(quota->name),
                f_type(str_of(class_names[quota->class])), f_sender(m->sender),
                f_recipients(m->to_count), f_size((int64_t)m->size));
}

/* One round under one plan; *next: a reference to the plan of the next one, or NULL. */
static struct err reserve_under(struct queue *q, struct plan *plan, const struct message *m,
                                struct plan **next, bool *again, struct when by)
{
    struct reservation *r = MEM_NEW(struct reservation);
    struct err e = ERR_OK;

    r->plan = plan_take(plan);
    claim_make(&r->claim, plan, m);
    tell_unmatched(q, &r->claim);
    if (r->claim.claim.part_count > 0) {
        e = ask(q, r, by);
        if (e.code != OK) {
            return e; /* r is freed when it comes back */
        }
        switch (r->answer) {
        case TAKEN:
            break;
        case NO_ROOM:
            tell_exceeded(&r->claim, r->part, m);
            e = err_of(ERR_QUOTA);
            break;
        case OTHER_PLAN:
            *next = r->now;
            r->now = NULL;
            break;
        case LOADING:
            e = queue_ready(q, by);
            *again = e.code == OK;
            break;
        case STOPPING:
            e = err_of(ERR_CANCELLED);
            break;
        }
    }
    reservation_free(r);
    return e;
}

struct err quotas_reserve(struct queue *q, struct plan *plan, const struct message *m,
                          struct plan **ret, struct when by)
{
    struct plan *now = plan_take(plan);
    bool again = true;
    struct err e = ERR_OK;

    while (again && e.code == OK && now->quota_count > 0) {
        struct plan *next = NULL;

        again = false;
        e = reserve_under(q, now, m, &next, &again, by);
        if (next != NULL) {
            plan_give(now);
            now = next;
            again = true;
        }
    }
    if (e.code == OK && now->quota_count > 0) {
        *ret = now;
    } else {
        plan_give(now);
    }
    return e;
}

/* ---- on the queue's loop ---- */

void quotas_count(struct queue *q, const struct message *m)
{
    struct claim c;

    claim_make(&c, q->plan, m);
    tell_unmatched(q, &c);
    if (c.claim.part_count > 0) {
        c.claim.version = q->quota_version;
        quotas_put(q->quotas, &c.claim);
    } else {
        quotas_drop(q->quotas, m->id);
    }
    claim_done(&c);
}

static void ended(struct queue *q, uint64_t message, uint32_t index)
{
    quotas_end(q->quotas, message, index);
    if (q->is_recounting) {
        q->ended = mem_grow(q->ended, (size_t)q->ended_count + 1, sizeof *q->ended);
        q->ended[q->ended_count++] = (struct ended){message, index};
    }
}

void quotas_recorded(struct queue *q, uint64_t message, const uint32_t *to,
                     const struct rcpt_state *results, uint32_t count)
{
    for (uint32_t i = 0; i < count && q->quotas != NULL; i++) {
        if (results[i].status != RCPT_WAITING) {
            ended(q, message, to[i]);
        }
    }
}

void quotas_over(struct queue *q, uint64_t message)
{
    if (q->quotas != NULL && jobs_of(q, message) == NULL) {
        quotas_drop(q->quotas, message);
    }
}

static void ended_clear(struct queue *q)
{
    mem_free(q->ended);
    q->ended = NULL;
    q->ended_count = 0;
}

/* ---- counting again ---- */

static void recount_message(struct queue *q, struct message *m)
{
    uint64_t version;

    if (jobs_of(q, m->id) == NULL ||
        (quotas_holds(q->quotas, m->id, &version) && version == q->quota_version)) {
        return;
    }
    for (uint32_t i = 0; i < q->ended_count; i++) {
        const struct ended *e = &q->ended[i];

        if (e->message == m->id && e->index < m->to_count) {
            m->to[e->index].state.status = RCPT_DELIVERED;
        }
    }
    quotas_count(q, m);
}

static bool may_recount(const struct queue *q)
{
    return !q->stopping && !q->recount && q->quotas != NULL;
}

/* All that is stored, from the beginning; ends early when it must begin anew. */
static void recount(struct queue *q)
{
    struct arena a ARENA_LOCAL = {0};
    struct when start = clock_read();
    struct message *messages;
    uint32_t count = 1;
    uint64_t at = 0, seen = 0;

    while (may_recount(q) && count > 0) {
        struct err e;

        arena_reset(&a);
        ended_clear(q);
        e = store_walk(q->store, at, RECOUNT_MAX, &a, &messages, &count, WHEN_NEVER);
        if (e.code != OK) {
            count = 1;
            (void)fiber_sleep(when_after(RECOUNT_AGAIN_MS), WHEN_NEVER);
            continue;
        }
        for (uint32_t i = 0; i < count && may_recount(q); i++) {
            recount_message(q, &messages[i]);
            at = messages[i].id;
            seen++;
        }
    }
    if (may_recount(q)) {
        event_raise(&ev_quotas_counted, f_count((int64_t)seen),
                    f_duration((clock_read().ns - start.ns) / 1000));
    }
}

static void recount_run(void *queue)
{
    struct queue *q = queue;

    while (q->recount && !q->stopping) {
        q->recount = false;
        recount(q);
    }
    q->is_recounting = false;
    ended_clear(q);
}

void quotas_recount(struct queue *q)
{
    if (q->recount && q->loaded && !q->is_recounting && !q->stopping && q->quotas != NULL) {
        q->is_recounting = true;
        if (group_spawn_now(&q->loads, "counting for quotas", recount_run, q).code != OK) {
            q->is_recounting = false; /* no fiber to be had: at the next tick then */
        }
    }
}

/* ---- plans ---- */

void quotas_use_plan(struct queue *q, const struct plan *plan)
{
    bool same = q->plan != NULL && plan_same_quotas(q->plan, plan);
    struct quota_rule *rules;

    if (plan->quota_count == 0) {
        quotas_free(q->quotas);
        q->quotas = NULL;
        return;
    }
    rules = mem_array(plan->quota_count, sizeof *rules);
    for (uint32_t i = 0; i < plan->quota_count; i++) {
        const struct plan_quota *quota = &plan->quotas[i];

        rules[i] = (struct quota_rule){.name = quota->name,
                                       .messages_max = quota->settings->messages_max,
                                       .bytes_max = quota->settings->bytes_max};
    }
    if (q->quotas == NULL) {
        q->quotas = quotas_new(random_u64());
    }
    quotas_use(q->quotas, rules, plan->quota_count);
    mem_free(rules);
    if (!same) {
        q->quota_version++;
        q->recount = q->serving; /* before, everything is still to be loaded */
    }
}

/* ---- looking ---- */

struct sums {
    struct arena *arena;
    struct quota_sum *items;
    uint32_t count;
};

static void sums_here(struct queue *q, void *ctx)
{
    struct sums *s = ctx;
    const struct quota_sum *sums;

    s->count = q->quotas != NULL ? quotas_sums(q->quotas, &sums) : 0;
    s->items = arena_array(s->arena, (size_t)s->count + 1, sizeof *s->items);
    for (uint32_t i = 0; i < s->count; i++) {
        s->items[i] = sums[i];
        s->items[i].rule = arena_dup(s->arena, sums[i].rule);
    }
}

struct err queue_quotas(struct queue *q, struct arena *a, struct quota_sum **ret, uint32_t *count,
                        struct when by)
{
    struct sums s = {.arena = a};
    struct err e = queue_call(q, sums_here, &s, by);

    *ret = s.items;
    *count = s.count;
    return e;
}

struct visit {
    void (*fn)(void *ctx, const struct quota_use *use);
    void *ctx;
};

static void visit_here(struct queue *q, void *ctx)
{
    const struct visit *v = ctx;

    if (q->quotas != NULL) {
        quotas_each(q->quotas, v->fn, v->ctx);
    }
}

struct err queue_quota_visit(struct queue *q, void (*fn)(void *ctx, const struct quota_use *use),
                             void *ctx, struct when by)
{
    struct visit v = {fn, ctx};

    return queue_call(q, visit_here, &v, by);
}
