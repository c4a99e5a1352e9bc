#include "queue/part.h"
#include "runtime/clock.h"

/* The admin's questions and actions: a call runs on the queue's loop while the asker waits. */

struct call {
    struct post post;
    struct queue *queue;
    void (*fn)(struct queue *q, void *ctx);
    void *ctx;
    struct loop *back;
    struct fiber *fiber;
    bool answered;
};

static void answered(struct post *p)
{
    struct call *c = CONTAINER_OF(p, struct call, post);

    c->answered = true;
    fiber_wake(c->fiber);
}

static void call_here(struct post *p)
{
    struct call *c = CONTAINER_OF(p, struct call, post);

    c->fn(c->queue, c->ctx);
    p->run = answered;
    loop_post(c->back, p);
}

struct err queue_call(struct queue *q, void (*fn)(struct queue *, void *), void *ctx,
                      struct when by)
{
    struct call c = {.post.run = call_here,
                     .queue = q,
                     .fn = fn,
                     .ctx = ctx,
                     .back = loop_self(),
                     .fiber = fiber_self()};

    loop_post(q->home, &c.post);
    while (!c.answered) {
        fiber_wait_firm("the queue's answer", by);
    }
    return ERR_OK;
}

struct notes {
    const uint64_t *ids;
    uint32_t id_count;
    struct arena *a;
    struct job_note *notes;
    uint32_t count;
};

static enum wait_reason blocked_reason(const struct vqueue *v, const struct berth *b)
{
    if (v->held) {
        return WAIT_HELD;
    }
    if (v->paused || b->site->paused) {
        return WAIT_PAUSED;
    }
    if (b->blocked == BERTH_OPEN && v->running < v->slots && heap_holds(&v->rate_timer)) {
        return WAIT_RATE_LIMIT;
    }
    switch (b->blocked) {
    case BERTH_SITE_FULL:
        return WAIT_SITE_LIMIT;
    case BERTH_CLASS_FULL:
        return WAIT_SLOW_LIMIT;
    case BERTH_OPEN:
        break;
    }
    return WAIT_NO_SLOT;
}

/* A due job that nothing keeps but a ready set without a place, which its queue's rate made small:
 * then it is the rate that it waits for, and not slots, of which there are. */
static enum wait_reason due_reason(const struct vqueue *v, const struct job *j)
{
    enum wait_reason r = blocked_reason(v, turns_find(&v->due, j->lane, j->priority, j->site));
    bool by_rate = v->rate.count > 0 && v->running < v->slots && v->in_hand >= hand_max(v);

    return r == WAIT_NO_SLOT && by_rate ? WAIT_RATE_LIMIT : r;
}

static enum wait_reason reason_of(const struct queue *q, const struct job *j)
{
    const struct vqueue *v = q->vqueues[j->queue];

    switch ((enum job_state)j->state) {
    case JOB_WAITING:
        if (j->flags & JOB_HELD) {
            return WAIT_HELD;
        }
        return j->reason == WAIT_NOT_DUE || job_text(q, j).len == 0 ? WAIT_NOT_DUE : j->reason;
    case JOB_DUE:
        if (j->flags & JOB_LIMITED) {
            return limited_reason(q, j);
        }
        if (q->store_stopped) {
            return WAIT_STORE;
        }
        if (!v->held && !v->paused && !j->site->paused && !site_admits(j->site)) {
            return j->site->rests_slow ? WAIT_SLOW_LIMIT : WAIT_BACKOFF;
        }
        return due_reason(v, j);
    case JOB_PREPARING:
        return WAIT_PREPARING;
    case JOB_READY:
        if (q->store_stopped) {
            return WAIT_STORE;
        }
        return blocked_reason(v, queue_work_of(j->work)->berth);
    case JOB_RUNNING:
        return WAIT_RUNNING;
    case JOB_NOTING:
    case JOB_ACTING:
    case JOB_RECORDING:
    case JOB_STATE_COUNT:
        break;
    }
    return WAIT_RECORDING;
}

static void note_job(const struct queue *q, const struct job *j, struct arena *a,
                     struct job_note *ret)
{
    *ret = (struct job_note){.message = j->message,
                             .first = j->first,
                             .to_count = j->to_count,
                             .queue = arena_dup(a, str_of(q->vqueues[j->queue]->name)),
                             .lane = arena_dup(a, j->lane->name),
                             .site = arena_dup(a, str_of(j->site->name)),
                             .act = j->act,
                             .note = j->note,
                             .attempts = j->attempts,
                             .state = job_state_name(j->state),
                             .reason = reason_of(q, j),
                             .until = DATE_NEVER};
    if (j->state == JOB_WAITING) {
        ret->until = j->flags & JOB_HELD ? j->note : j->act;
        ret->text = arena_dup(a, job_text(q, j));
    } else if (j->flags & JOB_LIMITED) {
        limited_note(q, j, a, ret);
    } else if (ret->reason == WAIT_RATE_LIMIT) {
        ret->text = arena_printf(a, "the rate of virtual queue %s", q->vqueues[j->queue]->name);
        if (heap_holds(&q->vqueues[j->queue]->rate_timer)) {
            int64_t at_ns = heap_key(&q->rate_timers, &q->vqueues[j->queue]->rate_timer);

            ret->until = date_add(clock_date(), (at_ns - clock_now().ns) / NS_PER_MS);
        }
    } else if (ret->reason == WAIT_PAUSED) {
        const struct pause *p = pauses_queue(q->pauses, ret->queue, clock_date());

        p = p != NULL ? p : pauses_site(q->pauses, ret->site, clock_date());
        ret->text = p != NULL ? pause_text(p, a) : STR_EMPTY;
        ret->until = p != NULL ? p->until : DATE_NEVER;
        ret->since = p != NULL ? p->since : ret->since;
    } else if (ret->reason == WAIT_HELD) {
        ret->text = arena_printf(a, "virtual queue %s is held", q->vqueues[j->queue]->name);
        ret->since = q->vqueues[j->queue]->held_since;
    } else if (ret->reason == WAIT_BACKOFF || j->site->resting) {
        ret->since = j->site->resting ? site_rest_since(j->site) : ret->since;
        ret->until = j->site->resting ? j->site->rest_until : DATE_NEVER;
        ret->text = arena_dup(a, str_of(site_text(j->site)));
    }
}

struct visit {
    void (*fn)(void *ctx, const struct job_sight *sight);
    void *ctx;
};

static void visit_here(struct queue *q, void *ctx)
{
    const struct visit *v = ctx;
    const struct job *first;
    size_t at = 0;

    for (; (first = chains_any(&q->messages, &at)) != NULL; at++) {
        for (const struct job *j = first; j != NULL; j = j->sibling) {
            struct job_sight sight = {.message = j->message,
                                      .first = j->first,
                                      .to_count = j->to_count,
                                      .queue = j->queue,
                                      .reason = reason_of(q, j)};

            v->fn(v->ctx, &sight);
        }
    }
}

struct err queue_visit(struct queue *q, void (*fn)(void *ctx, const struct job_sight *sight),
                       void *ctx, struct when by)
{
    struct visit v = {fn, ctx};

    return queue_call(q, visit_here, &v, by);
}

static bool is_loading(const struct queue *q, uint64_t message)
{
    return !q->loaded && message > q->load_at && message <= q->load_upto;
}

static void notes_here(struct queue *q, void *ctx)
{
    struct notes *n = ctx;
    uint32_t count = 0;

    for (uint32_t i = 0; i < n->id_count; i++) {
        count += is_loading(q, n->ids[i]);
        for (struct job *j = jobs_of(q, n->ids[i]); j != NULL; j = j->sibling) {
            count++;
        }
    }
    n->notes = arena_array(n->a, count, sizeof *n->notes);
    for (uint32_t i = 0; i < n->id_count; i++) {
        if (is_loading(q, n->ids[i])) {
            n->notes[n->count++] = (struct job_note){.message = n->ids[i],
                                                     .state = "loading",
                                                     .reason = WAIT_LOADING,
                                                     .until = DATE_NEVER,
                                                     .is_loading = true};
        }
        for (struct job *j = jobs_of(q, n->ids[i]); j != NULL; j = j->sibling) {
            note_job(q, j, n->a, &n->notes[n->count++]);
        }
    }
}

struct err queue_notes(struct queue *q, const uint64_t *ids, uint32_t id_count, struct arena *a,
                       struct job_note **ret, uint32_t *count, struct when by)
{
    struct notes n = {.ids = ids, .id_count = id_count, .a = a};
    struct err e = queue_call(q, notes_here, &n, by);

    *ret = n.notes;
    *count = n.count;
    return e;
}

static void plan_here(struct queue *q, void *ctx)
{
    *(struct plan **)ctx = plan_take(q->plan);
}

struct plan *queue_plan(struct queue *q, struct when by)
{
    struct plan *p = NULL;

    (void)queue_call(q, plan_here, &p, by);
    return p;
}

static void count_here(struct queue *q, void *ctx)
{
    struct queue_counts *c = ctx;

    *c = q->counts;
    c->owed = q->debts.count;
    c->loading = !q->loaded;
    for (uint16_t i = 0; i < q->vqueue_count; i++) {
        const struct vqueue *v = q->vqueues[i];

        c->running += v->running;
        c->ready += v->ready.jobs;
        c->preparing += v->in_hand - v->ready.jobs;
        c->due += v->due.jobs;
    }
}

struct err queue_count(struct queue *q, struct queue_counts *ret, struct when by)
{
    return queue_call(q, count_here, ret, by);
}

struct queue_depths {
    struct arena *arena;
    struct queue_depth *items;
    uint32_t count;
};

static void depths_here(struct queue *q, void *ctx)
{
    struct queue_depths *d = ctx;

    d->items = arena_array(d->arena, q->vqueue_count, sizeof *d->items);
    for (uint16_t i = 0; i < q->vqueue_count; i++) {
        const struct vqueue *v = q->vqueues[i];

        if (v->name == NULL) {
            continue;
        }
        d->items[d->count++] = (struct queue_depth){.name = arena_dup(d->arena, str_of(v->name)),
                                                    .slots = v->slots,
                                                    .running = v->running,
                                                    .due = v->due.jobs,
                                                    .ready = v->ready.jobs,
                                                    .orphan = v->orphan,
                                                    .held = v->held};
    }
}

struct err queue_each(struct queue *q, struct arena *a, struct queue_depth **ret, uint32_t *count,
                      struct when by)
{
    struct queue_depths d = {.arena = a};
    struct err e = queue_call(q, depths_here, &d, by);

    *ret = d.items;
    *count = d.count;
    return e;
}
