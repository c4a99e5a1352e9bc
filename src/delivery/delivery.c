#include "delivery/delivery.h"

#include "base/mem.h"
#include "delivery/filters.h"
#include "delivery/part.h"
#include "delivery/peer.h"
#include "runtime/clock.h"
#include "tls/tls.h"

/* ---- work arrives on a loop of delivery ---- */

static struct job *job_of_post(struct post *p)
{
    return job_of(CONTAINER_OF(p, struct work, post));
}

/* Decides at once where nothing must be waited for, which is the common case: no fiber then. */
static void prepare_arrives(struct post *p)
{
    struct job *j = job_of_post(p);

    if (j->work->plan != NULL) {
        plan_give(j->work->plan);
    }
    j->work->plan = plan_take(j->l->plan);
    if (!prepare_at_once(j) &&
        group_spawn_now(&j->l->group, "prepare", prepare_fiber, j).code != OK) {
        job_waits(j, WAIT_PREPARING, 1000, STR("no fiber to be had"));
    }
}

static void note_arrives(struct post *p)
{
    struct job *j = job_of_post(p);

    if (j->work->plan == NULL) {
        j->work->plan = plan_take(j->l->plan);
    }
    if (!note_at_once(j) && group_spawn_now(&j->l->group, "note", note_fiber, j).code != OK) {
        note_given_up(j);
    }
}

static void run_arrives(struct post *p)
{
    struct job *j = job_of_post(p);

    if (group_spawn_now(&j->l->group, "deliver", run_fiber, j).code != OK) {
        slot_failed(j->slot, j->work, STR("no fiber to be had"));
    }
}

static void report_arrives(struct post *p)
{
    struct report *r = CONTAINER_OF(p, struct report, post);

    if (group_spawn_now(&r->l->group, "report", report_fiber, r).code != OK) {
        report_given_up(r);
    }
}

static void recorded_arrives(struct post *p)
{
    struct job *j = job_of_post(p);

    j->l->asking++;
    if (j->l->asking > FILTERS_ASKING_MAX ||
        group_spawn_now(&j->l->group, "filters", filters_after_fiber, j).code != OK) {
        filters_left_out(j);
    }
}

/* ---- the queue's loop ---- */

static struct delivery_loop *next_loop(struct delivery *d)
{
    d->turn = (d->turn + 1) % d->options.loop_count;
    return &d->loops[d->turn];
}

static void nothing_to_free(void *prepared)
{
    (void)prepared; /* a job lives in the arena of its work */
}

static void job_post(struct delivery *d, struct work *w, void (*run)(struct post *))
{
    struct job *j = ARENA_NEW(&w->arena, struct job);

    j->l = next_loop(d);
    j->work = w;
    w->prepared = j;
    w->prepared_free = nothing_to_free;
    w->post.run = run;
    loop_post(j->l->loop, &w->post);
}

static void op_prepare(void *ctx, struct work *w)
{
    job_post(ctx, w, prepare_arrives);
}

static void op_note(void *ctx, struct work *w)
{
    job_post(ctx, w, note_arrives);
}

static void op_run(void *ctx, struct slot *s, struct work *w)
{
    struct job *j = job_of(w);

    j->slot = s;
    w->post.run = run_arrives;
    loop_post(j->l->loop, &w->post);
    (void)ctx;
}

static void op_report(void *ctx, uint64_t message)
{
    struct delivery *d = ctx;
    struct report *r = MEM_NEW(struct report);

    r->l = next_loop(d);
    r->message = message;
    r->post.run = report_arrives;
    loop_post(r->l->loop, &r->post);
}

static void op_recorded(void *ctx, struct work *w)
{
    w->post.run = recorded_arrives;
    loop_post(job_of(w)->l->loop, &w->post);
    (void)ctx;
}

/* ---- life ---- */

struct delivery *delivery_new(const struct delivery_options *o, struct plan *plan)
{
    struct delivery *d = MEM_NEW(struct delivery);

    must(o->loop_count > 0);
    d->options = *o;
    d->options.hostname = str_make(mem_dup_z(o->hostname.ptr, o->hostname.len), o->hostname.len);
    d->ops = (struct queue_ops){d, op_prepare, op_run, op_note, op_report, op_recorded};
    d->loops = mem_array(o->loop_count, sizeof *d->loops);
    for (uint32_t i = 0; i < o->loop_count; i++) {
        struct delivery_loop *l = &d->loops[i];

        l->d = d;
        l->loop = o->loops[i];
        l->plan = plan_take(plan);
        list_init(&l->idle);
        list_init(&l->runs);
    }
    return d;
}

const struct queue_ops *delivery_ops(struct delivery *d)
{
    return &d->ops;
}

void delivery_use_queue(struct delivery *d, struct queue *q)
{
    d->queue = q;
}

struct plan_news {
    struct post post;
    struct delivery_loop *l;
    struct plan *plan;
};

static void plan_arrives(struct post *p)
{
    struct plan_news *n = CONTAINER_OF(p, struct plan_news, post);

    plan_give(n->l->plan);
    n->l->plan = n->plan;
    mem_free(n);
}

void delivery_use_plan(struct delivery *d, struct plan *plan)
{
    for (uint32_t i = 0; i < d->options.loop_count; i++) {
        struct plan_news *n = MEM_NEW(struct plan_news);

        n->l = &d->loops[i];
        n->plan = plan_take(plan);
        n->post.run = plan_arrives;
        loop_post(n->l->loop, &n->post);
    }
}

struct filters_news {
    struct post post;
    struct delivery_loop *l;
    struct filters *filters;
};

static void filters_arrive(struct post *p)
{
    struct filters_news *n = CONTAINER_OF(p, struct filters_news, post);

    filters_drop(n->l->filters);
    n->l->filters = n->filters;
    mem_free(n);
}

void delivery_use_filters(struct delivery *d, const struct delivery_filters *f)
{
    struct filters *all = filters_new(f);

    for (uint32_t i = 0; i < d->options.loop_count; i++) {
        struct filters_news *n = MEM_NEW(struct filters_news);

        n->l = &d->loops[i];
        n->filters = filters_share(all);
        n->post.run = filters_arrive;
        loop_post(n->l->loop, &n->post);
    }
    filters_drop(all);
}

void delivery_loop_start(struct delivery *d, uint32_t index)
{
    struct delivery_loop *l = &d->loops[index];

    must(l->loop == loop_self());
    group_init(&l->group, "delivery", 0);
}

void delivery_loop_stop(struct delivery *d, uint32_t index, struct when by)
{
    struct delivery_loop *l = &d->loops[index];

    group_cancel(&l->group);
    while (group_join(&l->group, WHEN_NEVER).code != OK) {
        /* children first; the join is not refused to a cancelled fiber */
    }
    peer_end_all(l);
    (void)by;
}

void delivery_free(struct delivery *d)
{
    for (uint32_t i = 0; i < d->options.loop_count; i++) {
        struct delivery_loop *l = &d->loops[i];

        plan_give(l->plan);
        filters_drop(l->filters);
        if (l->opportunistic != NULL) {
            tls_client_drop(l->opportunistic);
        }
        if (l->verified != NULL) {
            tls_client_drop(l->verified);
        }
    }
    mem_free((void *)(uintptr_t)d->options.hostname.ptr);
    mem_free(d->loops);
    mem_free(d);
}

struct delivery_counts delivery_counts(const struct delivery *d)
{
    struct delivery_counts sum = {0};

    for (uint32_t i = 0; i < d->options.loop_count; i++) {
        const struct delivery_loop *l = &d->loops[i];

        sum.connections += l->connections;
        sum.reuses += l->reuses;
        sum.transactions += l->transactions;
        sum.delivered += l->delivered;
        sum.deferred += l->deferred;
        sum.failed += l->failed;
        sum.idle += l->idle_now;
        sum.unasked += l->unasked;
    }
    return sum;
}
