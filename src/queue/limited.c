#include "base/mem.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/random.h"

/*
 * Limits on leaving mail. A job is asked for when its slot is there: all its limits have room and
 * are used, or it leaves the ready set, where it would keep a place from others, and waits at the
 * limit that refused. When it is called its limits are used at once, in its name; it is then
 * prepared anew and starts without being asked again. (docs/decisions/ tells why it is not counted
 * when it starts.) If it cannot start then, because its site rests or its queue is stopped, nothing
 * is used, and it is asked again when its slot is there.
 *
 * What counts as being at work does so until the work is over (work_free). No attempt is spent by
 * any of this, and the job's notes stay armed.
 */

/* A job that waits at a limit (JOB_LIMITED), or that was called and did not start yet. */
struct limited {
    struct limit_waiter waiter;
    struct job *job;
    struct limit_key *keys;
    uint32_t count, at; /* at: the key whose limit it waits for */
    struct date since, until;
    bool at_work_only; /* what it waits for is the end of something, not time */
    struct arena arena;
};

static struct limited *limited_of(const struct queue *q, const struct job *j)
{
    return q->limited.count > 0 ? map_get_num(&q->limited, (uint64_t)(uintptr_t)j) : NULL;
}

static void wait_at(struct queue *q, struct limited *l, const struct limit_refusal *why)
{
    struct when now = clock_now();

    l->at = why->key;
    l->at_work_only = when_is_never(why->until);
    l->until = l->at_work_only
                   ? DATE_NEVER
                   : date_add(clock_date(), (why->until.ns - now.ns + NS_PER_MS - 1) / NS_PER_MS);
    limits_wait(q->limits, &l->waiter, &l->keys[l->at], l->job->queue, now);
    signal_raise(&q->changed);
}

static void forget(struct queue *q, struct limited *l)
{
    map_take_num(&q->limited, (uint64_t)(uintptr_t)l->job);
    arena_done(&l->arena);
    mem_free(l);
}

static bool same_keys(const struct limited *l, const struct work *w)
{
    for (uint32_t i = 0; i < l->count; i++) {
        if (i >= w->limit_count || !str_eq(l->keys[i].rule, w->limits[i].rule) ||
            !str_eq(l->keys[i].values, w->limits[i].values)) {
            return false;
        }
    }
    return l->count == w->limit_count;
}

bool limits_let_start(struct queue *q, struct work *w, struct limit_refusal *ret)
{
    struct queue_work *inner = queue_work_of(w);
    struct limited *l = limited_of(q, inner->job);

    if (l != NULL && same_keys(l, w)) {
        for (uint32_t i = 0; i < l->count; i++) {
            w->limits[i].since = l->keys[i].since;
        }
        forget(q, l); /* used already, in its name */
        inner->holds_limits = true;
        return true;
    }
    limited_end(q, inner->job);
    if (w->limit_count == 0) {
        return true;
    }
    inner->holds_limits = limits_take(q->limits, w->limits, w->limit_count, false, clock_now(),
                                      ret);
    return inner->holds_limits;
}

void limited_begin(struct queue *q, struct work *w, const struct limit_refusal *why)
{
    struct limited *l = MEM_NEW(struct limited);

    l->job = queue_work_of(w)->job;
    l->count = w->limit_count;
    l->keys = arena_array(&l->arena, l->count, sizeof *l->keys);
    for (uint32_t i = 0; i < l->count; i++) {
        l->keys[i].rule = arena_dup(&l->arena, w->limits[i].rule);
        l->keys[i].values = arena_dup(&l->arena, w->limits[i].values);
    }
    map_put_num(&q->limited, (uint64_t)(uintptr_t)l->job, l);
    l->job->flags |= JOB_LIMITED;
    l->since = clock_date();
    wait_at(q, l, why);
}

void limited_end(struct queue *q, struct job *j)
{
    struct limited *l = limited_of(q, j);

    if (l == NULL) {
        return;
    }
    if (j->flags & JOB_LIMITED) {
        limits_leave(q->limits, &l->waiter, clock_now());
        j->flags &= (uint8_t)~JOB_LIMITED;
    } else {
        limits_give(q->limits, l->keys, l->count, clock_now());
        signal_raise(&q->changed);
    }
    forget(q, l);
}

void limits_work_over(struct queue *q, const struct work *w)
{
    limits_give(q->limits, w->limits, w->limit_count, clock_now());
    if (limits_next_time(q->limits).ns <= clock_now().ns) {
        signal_raise(&q->changed);
    }
}

static bool can_start(const struct queue *q, const struct job *j)
{
    const struct vqueue *v = vqueue_of(q, j);

    return site_admits(j->site) && !v->held && !v->paused;
}

void limits_call(struct queue *q)
{
    struct when now = clock_now();
    struct limit_waiter *waiter;

    while (!q->stopping && (waiter = limits_next(q->limits, now)) != NULL) {
        struct limited *l = CONTAINER_OF(waiter, struct limited, waiter);
        struct job *j = l->job;
        struct limit_refusal why;

        if (!can_start(q, j)) {
            forget(q, l);
        } else if (!limits_take(q->limits, l->keys, l->count, true, now, &why)) {
            wait_at(q, l, &why);
            continue;
        }
        j->flags &= (uint8_t)~JOB_LIMITED;
        job_place_first(q, j);
        pump(q, vqueue_of(q, j));
    }
}

enum wait_reason limited_reason(const struct queue *q, const struct job *j)
{
    return limited_of(q, j)->at_work_only ? WAIT_SITE_LIMIT : WAIT_RATE_LIMIT;
}

void limited_note(const struct queue *q, const struct job *j, struct arena *a, struct job_note *ret)
{
    const struct limited *l = limited_of(q, j);

    ret->since = l->since;
    ret->until = l->until;
    ret->text = arena_printf(a, "queue.limiter.outbound.%.*s", STR_ARG(l->keys[l->at].rule));
}

void limits_use_plan(struct queue *q)
{
    const struct plan *p = q->plan;
    struct limit_rule *rules = mem_array((size_t)p->limiter_count + 1, sizeof *rules);

    if (q->limits == NULL) {
        q->limits = limits_new(random_u64());
    }
    for (uint32_t i = 0; i < p->limiter_count; i++) {
        rules[i] = (struct limit_rule){.name = p->limiters[i].name,
                                       .rate = p->limiters[i].settings->rate,
                                       .concurrency = p->limiters[i].settings->concurrency};
    }
    limits_use(q->limits, rules, p->limiter_count);
    mem_free(rules);
    signal_raise(&q->changed); /* those who waited at a limit that is gone are called */
}

/* ---- connections to hosts, asked for by delivery ---- */

struct asking {
    struct limit_key *keys;
    uint32_t count;
    struct limit_refusal *why;
    bool taken;
};

static void ask_here(struct queue *q, void *ctx)
{
    struct asking *a = ctx;

    /* For connections nobody stands in line: who is refused tries another address. */
    a->taken = limits_take(q->limits, a->keys, a->count, true, clock_now(), a->why);
}

bool queue_limits_take(struct queue *q, struct limit_key *keys, uint32_t count,
                       struct limit_refusal *why, struct when by)
{
    struct asking a = {keys, count, why, false};

    (void)queue_call(q, ask_here, &a, by);
    return a.taken;
}

struct refusals {
    struct arena *arena;
    struct limit_count *items;
    uint32_t count;
};

static void refusals_here(struct queue *q, void *ctx)
{
    struct refusals *r = ctx;
    const struct limit_count *counts;

    r->count = limits_counts(q->limits, &counts);
    r->items = arena_array(r->arena, (size_t)r->count + 1, sizeof *r->items);
    for (uint32_t i = 0; i < r->count; i++) {
        r->items[i] = (struct limit_count){arena_dup(r->arena, counts[i].rule), counts[i].refused};
    }
}

struct err queue_refusals(struct queue *q, struct arena *a, struct limit_count **ret,
                          uint32_t *count, struct when by)
{
    struct refusals r = {.arena = a};
    struct err e = queue_call(q, refusals_here, &r, by);

    *ret = r.items;
    *count = r.count;
    return e;
}

struct giving {
    struct post post;
    struct queue *queue;
    struct limit_key *keys;
    uint32_t count;
    struct arena arena;
};

static void give_here(struct post *p)
{
    struct giving *g = CONTAINER_OF(p, struct giving, post);

    limits_give(g->queue->limits, g->keys, g->count, clock_now());
    arena_done(&g->arena);
    mem_free(g);
}

void queue_limits_give(struct queue *q, const struct limit_key *keys, uint32_t count)
{
    struct giving *g = MEM_NEW(struct giving);

    g->queue = q;
    g->count = count;
    g->keys = arena_array(&g->arena, count, sizeof *g->keys);
    for (uint32_t i = 0; i < count; i++) {
        g->keys[i].rule = arena_dup(&g->arena, keys[i].rule);
        g->keys[i].values = arena_dup(&g->arena, keys[i].values);
        g->keys[i].since = keys[i].since;
    }
    g->post.run = give_here;
    loop_post(q->home, &g->post);
}
