#include "base/mem.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"

/* Start, timers and end of the queue. */

enum {
    WALK_MAX = 256,
    TICK_MS = 1000,
    IDLE_TICK_MS = 10 * 1000,
    EMPTY_TICK_MS = 300 * 1000,
    STEP_MS = 1000,
    OVERDUE_MS = 2000,
    HELD_LOOK_MS = 60 * 1000,
    TIMERS_MAX = 256
};

struct queue *queue_new(struct loop *home, struct store *store, const struct queue_ops *ops,
                        const struct queue_options *o)
{
    struct queue *q = MEM_NEW(struct queue);

    q->home = home;
    q->store = store;
    q->ops = *ops;
    q->options = *o;
    q->slab.item = sizeof(struct job);
    q->berths.item = sizeof(struct berth);
    signal_init(&q->changed);
    list_init(&q->paused);
    list_init(&q->waking);
    return q;
}

/* ---- plans ---- */

struct new_plan {
    struct post post;
    struct queue *queue;
    struct plan *plan;
};

static void use_plan(struct queue *q, struct plan *plan)
{
    quotas_use_plan(q, plan);
    plan_give(q->plan);
    q->plan = plan;
    limits_use_plan(q);
    quotas_recount(q);
    for (uint16_t i = 0; i < q->vqueue_count; i++) {
        vqueue_orphan(q->vqueues[i]);
    }
    for (size_t i = 0; i < plan->queue_count; i++) {
        vqueue_set(vqueue_take(q, plan->queues[i].name), &plan->queues[i],
                   plan->queues[i].settings);
    }
    for (uint16_t i = 0; i < q->vqueue_count; i++) {
        struct vqueue *v = q->vqueues[i];

        heap_remove(&q->rate_timers, &v->rate_timer); /* the pump sets it anew */
        vqueue_forget(q, v);
        unblock_all(&v->due);
        unblock_all(&v->ready);
    }
    pump_all(q);
}

static void new_plan_here(struct post *p)
{
    struct new_plan *n = CONTAINER_OF(p, struct new_plan, post);

    use_plan(n->queue, n->plan);
    mem_free(n);
}

void queue_use_plan(struct queue *q, struct plan *plan)
{
    struct new_plan *n;

    if (loop_self() == NULL) {
        use_plan(q, plan); /* before the world runs */
        return;
    }
    n = MEM_NEW(struct new_plan);
    n->post.run = new_plan_here;
    n->queue = q;
    n->plan = plan;
    loop_post(q->home, &n->post);
}

/* ---- loading ---- */

/* How many jobs it has. */
static uint32_t load_message(struct queue *q, const struct message *m, struct arena *a)
{
    struct job_spec *specs;
    uint32_t count = job_group(m, NULL, 0, a, &specs);
    bool owed = false;

    for (uint32_t i = 0; i < count; i++) {
        job_place(q, job_new(q, m->id, &specs[i]));
    }
    for (uint32_t i = 0; i < m->to_count; i++) {
        owed = owed || m->to[i].state.owed != OWED_NONE;
    }
    if (owed) {
        owe(q, m->id);
    }
    if (q->quotas != NULL) {
        quotas_count(q, m);
    }
    return count;
}

/* What was stored at the start, oldest first; what is accepted meanwhile has greater ids and comes
 * by itself (accept.c). The jobs of a batch are all made before anything else runs here, and a
 * message changes only when its jobs have run or were asked: so nothing that is read is stale. */
static struct err load(struct queue *q)
{
    struct arena a ARENA_LOCAL = {0};
    struct when start = clock_read();
    uint64_t loaded = 0;
    struct err e = ERR_OK;

    while (e.code == OK && q->load_at < q->load_upto) {
        struct message *messages;
        uint32_t count;

        arena_reset(&a);
        e = store_walk(q->store, q->load_at, WALK_MAX, &a, &messages, &count, WHEN_NEVER);
        if (q->stopping) {
            e = err_of(ERR_CANCELLED);
        }
        if (e.code != OK || count == 0) {
            break;
        }
        for (uint32_t i = 0; i < count && messages[i].id <= q->load_upto; i++) {
            loaded += load_message(q, &messages[i], &a);
        }
        q->load_at = messages[count - 1].id;
        pump_all(q);
    }
    if (e.code == OK) {
        event_raise(&ev_queue_loaded, f_count((int64_t)loaded),
                    f_duration((clock_read().ns - start.ns) / 1000));
    }
    return e;
}

/* Who waits for the end of loading. */
struct reader {
    struct post post;
    struct queue *queue;
    struct loop *back;
    struct fiber *fiber;
    struct err result;
    bool answered;
};

static void reader_answered(struct post *p)
{
    struct reader *r = CONTAINER_OF(p, struct reader, post);

    r->answered = true;
    fiber_wake(r->fiber);
}

static void answer_reader(struct queue *q, struct reader *r)
{
    r->result = q->load_result;
    r->post.run = reader_answered;
    loop_post(r->back, &r->post);
}

static void reader_here(struct post *p)
{
    struct reader *r = CONTAINER_OF(p, struct reader, post);

    if (r->queue->loaded) {
        answer_reader(r->queue, r);
    } else {
        p->next = r->queue->readers;
        r->queue->readers = p;
    }
}

static void answer_readers(struct queue *q)
{
    q->loaded = true;
    while (q->readers != NULL) {
        struct post *p = q->readers;

        q->readers = p->next;
        answer_reader(q, CONTAINER_OF(p, struct reader, post));
    }
}

static void load_run(void *queue)
{
    struct queue *q = queue;

    q->load_result = load(q);
    if (q->load_result.code == OK) {
        debts_consider(q); /* what a crash left between the result and its report */
    } else {
        fiber_cancel(q->server); /* half a queue is none */
    }
    answer_readers(q);
    quotas_recount(q); /* others came meanwhile */
}

struct err queue_ready(struct queue *q, struct when by)
{
    struct reader r = {
        .post.run = reader_here, .queue = q, .back = loop_self(), .fiber = fiber_self()};

    loop_post(q->home, &r.post);
    while (!r.answered) {
        fiber_wait_firm("the queue to load", by);
    }
    return r.result;
}

/* ---- timers ---- */

/* Its note has come in a queue that is held, where nothing is told and nothing given up: a notice
 * is looked at again, and what is over its time gets one attempt when the queue goes on. */
static void held_note(struct queue *q, struct job *j)
{
    if (j->flags & JOB_NOTE_IS_END) {
        j->flags |= JOB_EXPIRING;
        if (j->state == JOB_READY) {
            j->work->expiring = true;
        }
        job_timer(q, j);
    } else {
        heap_put(&q->timers, &j->timer, clock_date().ms + HELD_LOOK_MS);
    }
}

static void rates_due(struct queue *q)
{
    struct heap_node *n;

    while ((n = heap_due(&q->rate_timers, clock_now().ns)) != NULL) {
        heap_remove(&q->rate_timers, n);
        pump(q, CONTAINER_OF(n, struct vqueue, rate_timer));
    }
}

static void fire(struct queue *q)
{
    int64_t now = clock_date().ms;
    struct site *site;
    int left = TIMERS_MAX;

    while ((site = site_rested(&q->sites, (struct date){now})) != NULL) {
        if (site_admits(site)) { /* else a connection from before is at work: it decides */
            site_unpark(q, site);
        }
        site_forget(&q->sites, site);
    }
    debts_due(q);
    rates_due(q);
    pauses_due(q);
    limits_call(q);
    while (left-- > 0) {
        struct heap_node *n = heap_due(&q->timers, now);
        struct job *j;

        if (n == NULL) {
            return;
        }
        j = CONTAINER_OF(n, struct job, timer);
        if (j->flags & JOB_HELD) {
            job_note(q, j);
        } else if (j->state == JOB_WAITING && j->act.ms <= now &&
                   (j->note.ms > now || vqueue_of(q, j)->held)) {
            job_place(q, j);
            pump(q, vqueue_of(q, j));
        } else if (vqueue_of(q, j)->held) {
            held_note(q, j);
        } else {
            job_note(q, j);
        }
    }
}

static struct date next_timer(const struct queue *q)
{
    struct date next = q->changing ? DATE_NEVER : pauses_end(q->pauses);

    next = date_earlier(next, (struct date){heap_least_key(&q->timers)});
    next = date_earlier(next, (struct date){heap_least_key(&q->sites.waking)});
    return date_earlier(next, debt_next(q));
}

/* The job whose turn it would be, if it could go on at this moment; rule 6 of queue.c says that
 * there is none. */
static const struct job *idle_job(const struct vqueue *v)
{
    bool starts = v->running < v->slots && !heap_holds(&v->rate_timer);
    struct berth *b = starts ? turns_next(&v->ready, clock_date()) : NULL;

    if (v->held || v->paused) {
        return NULL;
    }
    if (b != NULL) {
        return queue_work_of(CONTAINER_OF(list_first(&b->jobs), struct work, link))->job;
    }
    b = v->in_hand < hand_max(v) ? turns_next(&v->due, clock_date()) : NULL;
    return b ? CONTAINER_OF(list_first(&b->jobs), struct job, link) : NULL;
}

static void watch(struct queue *q)
{
    for (uint16_t i = 0; i < q->vqueue_count; i++) {
        struct vqueue *v = q->vqueues[i];
        const struct job *j = q->store_stopped ? NULL : idle_job(v);

        if (j == NULL || j != v->suspect) {
            v->suspect = j;
            v->suspect_since = clock_now();
        } else if (clock_now().ns - v->suspect_since.ns >= OVERDUE_MS * NS_PER_MS) {
            q->counts.watchdog++;
            event_raise(&ev_watchdog_job, f_message(j->message), f_rcpt_index(j->first),
                        f_queue(str_of(v->name)), f_site(str_of(j->site->name)));
        }
    }
}

/* A queue that has had mail for one site only for a while keeps no shares (shares.h, rule 5). */
static void relax_shares(struct queue *q)
{
    for (uint16_t i = 0; i < q->vqueue_count; i++) {
        struct vqueue *v = q->vqueues[i];

        v->is_overfull = true; /* an hour of being proven may be over */
        if (!shares_hold(&v->shares, clock_date())) {
            unblock_all(&v->due);
            unblock_all(&v->ready);
        }
    }
}

/* How far the wall clock has moved away from the monotonic one since the last look. */
static void watch_clock(int64_t *apart_ms)
{
    int64_t apart = clock_date().ms - clock_now().ns / NS_PER_MS;
    int64_t step = apart - *apart_ms;

    if (*apart_ms != 0 && (step > STEP_MS || step < -STEP_MS)) {
        event_raise(&ev_clock_stepped, f_duration(step * 1000));
    }
    *apart_ms = apart;
}

/* When to look again: the next timer or the next tick, whichever is first. */
static struct when next_look(const struct queue *q, struct when tick)
{
    struct date next = next_timer(q);
    int64_t ms = next.ms - clock_date().ms;

    tick = when_earlier(tick, (struct when){heap_least_key(&q->rate_timers)});
    tick = when_earlier(tick, limits_next_time(q->limits));
    return date_is_never(next) ? tick : when_earlier(tick, when_after(ms > 0 ? ms : 0));
}

/* Until the next tick. Where every job waits for its time, ticks only see whether the clock steps;
 * where there is none they are rare, and the first job that comes wakes us (job_new). */
static int64_t tick_ms(const struct queue *q)
{
    bool idle = q->busy == 0;

    for (uint16_t i = 0; i < q->vqueue_count && idle; i++) {
        idle = q->vqueues[i]->due.jobs == 0;
    }
    return !idle ? TICK_MS : q->counts.jobs > 0 ? IDLE_TICK_MS : EMPTY_TICK_MS;
}

static void serve_timers(struct queue *q)
{
    int64_t apart_ms = 0;
    struct when ticked = clock_now();
    struct err e;

    do {
        struct when tick = when_add(ticked, tick_ms(q) * NS_PER_MS);
        struct when wake;

        q->counts.looks++;
        fire(q);
        if (clock_now().ns >= tick.ns) {
            watch_clock(&apart_ms);
            watch(q);
            relax_shares(q);
            pump_all(q); /* the store may have room again */
            quotas_recount(q);
            ticked = clock_now();
            tick = when_add(ticked, tick_ms(q) * NS_PER_MS);
        }
        wake = next_look(q, tick);
        if (wake.ns <= clock_now().ns) {
            e = fiber_yield(WHEN_NEVER); /* more is due than one round takes */
            continue;
        }
        e = signal_wait(&q->changed, "the next timer", wake);
    } while (e.code == OK || e.code == ERR_TIMEOUT);
}

void queue_serve(struct queue *q)
{
    group_init(&q->repairs, "repairs", 0);
    group_init(&q->loads, "loading", 2);
    q->server = fiber_self();
    q->load_result = store_ready(q->store, WHEN_NEVER);
    if (q->load_result.code == OK) {
        q->load_result = pauses_load(q); /* before anything starts */
    }
    if (q->load_result.code == OK) {
        q->load_upto = store_id_at_start(q->store);
        q->serving = true;
        pump_all(q); /* mail may have been quicker than we */
        must(group_spawn_now(&q->loads, "loading", load_run, q).code == OK);
        serve_timers(q);
    } else {
        answer_readers(q);
    }
    /* Cancelled: nothing new starts; what is out comes home by itself. */
    q->stopping = true;
    q->joiner = fiber_self();
    while (q->busy > 0) {
        fiber_wait_firm("what is under way", WHEN_NEVER);
    }
    q->joiner = NULL;
    (void)group_join(&q->loads, WHEN_NEVER);
    (void)group_join(&q->repairs, WHEN_NEVER);
}

/* ---- the end ---- */

void queue_free(struct queue *q)
{
    size_t at = 0;
    struct job *j;
    struct debt *d;

    must(q->busy == 0);
    /* A place that is emptied is filled by the next of its run, if at all: `at` never goes back. */
    while ((j = chains_any(&q->messages, &at)) != NULL) {
        job_unberth(q, j);
        job_free(q, j);
    }
    must(q->messages.table.count == 0);
    at = 0;
    while ((d = map_each(&q->debts, &at)) != NULL) {
        mem_free(d);
    }
    for (uint16_t i = 0; i < q->vqueue_count; i++) {
        turns_done(&q->vqueues[i]->due);
        turns_done(&q->vqueues[i]->ready);
        lanes_done(&q->vqueues[i]->lanes);
        shares_done(&q->vqueues[i]->shares);
        mem_free(q->vqueues[i]->name);
        mem_free(q->vqueues[i]);
    }
    sites_done(&q->sites);
    slab_done(&q->slab);
    slab_done(&q->berths);
    mem_free(q->vqueues);
    map_done(&q->vqueue_names);
    chains_done(&q->messages);
    map_done(&q->texts);
    map_done(&q->debts);
    map_done(&q->told);
    asks_done(q);
    pauses_give(q->pauses);
    heap_done(&q->timers);
    heap_done(&q->debt_timers);
    heap_done(&q->rate_timers);
    map_done(&q->limited);
    limits_free(q->limits);
    quotas_free(q->quotas);
    mem_free(q->ended);
    plan_give(q->plan);
    mem_free(q);
}
