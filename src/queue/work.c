#include "base/mem.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"

/* Works: jobs in delivery's hands, how they get there (the pump) and what comes back. */

struct work *work_new(struct queue *q, struct job *j)
{
    struct queue_work *w = MEM_NEW(struct queue_work);

    w->job = j;
    w->work.queue = q;
    w->work.message = j->message;
    w->work.first = j->first;
    w->work.expiring = j->flags & JOB_EXPIRING;
    if (j->parcel != NULL) {
        w->work.parcel = parcel_share(j->parcel);
        job_drop_parcel(q, j);
    }
    return &w->work;
}

void work_unprepare(struct work *w)
{
    if (w->prepared != NULL) {
        w->prepared_free(w->prepared);
        w->prepared = NULL;
    }
    if (w->plan != NULL) {
        plan_give(w->plan);
        w->plan = NULL;
    }
    pauses_give(w->pauses);
    w->pauses = NULL;
}

void work_free(struct work *w)
{
    if (queue_work_of(w)->holds_limits) {
        limits_work_over(w->queue, w);
    }
    settle(queue_work_of(w), 0);
    work_unprepare(w);
    parcel_drop(w->parcel);
    arena_done(&w->arena);
    mem_free(queue_work_of(w));
}

void settle(struct queue_work *w, int64_t ms)
{
    if (w->due != NULL) {
        berth_charge(w->due, ms);
        w->due = NULL;
    }
}

/* ---- scouts ---- */

/* The site is to be probed: by this job, and nothing else of it is prepared meanwhile. */
static void scout(struct queue *q, struct job *j)
{
    j->flags |= JOB_SCOUT;
    j->site->scouting = true;
    site_park(q, j->site);
}

void scout_runs(struct job *j)
{
    if (j->flags & JOB_SCOUT) {
        j->flags &= (uint8_t)~JOB_SCOUT;
        j->site->scouting = false;
    }
}

/* It will not probe after all: another one may. */
static void scout_ends(struct queue *q, struct job *j)
{
    if (j->flags & JOB_SCOUT) {
        scout_runs(j);
        if (site_admits(j->site)) {
            site_unpark(q, j->site);
        }
    }
}

/* ---- in hand and out of it ---- */

void put_back(struct queue *q, struct job *j)
{
    bool was_scout = j->flags & JOB_SCOUT;

    scout_runs(j);
    work_free(j->work);
    j->work = NULL;
    j->link = (struct link){0};
    job_place_first(q, j);
    if (was_scout && site_admits(j->site)) {
        site_unpark(q, j->site); /* it did not probe: another one may */
    }
}

void job_unberth(struct queue *q, struct job *j)
{
    pause_leave(j);
    if (j->state == JOB_DUE || j->state == JOB_READY) {
        struct vqueue *v = vqueue_of(q, j);

        unberth(q, j);
        /* Had it been the one to be asked for a place that became free, others are. */
        shares_ask_others(&v->shares, j->site);
        unblock_class(&v->due);
        unblock_class(&v->ready);
    }
    if (j->state == JOB_READY) {
        work_free(j->work);
        j->work = NULL;
        scout_ends(q, j);
    }
}

void prepare(struct queue *q, struct job *j, struct work *w)
{
    j->work = w;
    j->state = JOB_PREPARING;
    j->reason = WAIT_PREPARING;
    hand_enter(q, j);
    job_timer(q, j);
    w->pauses = pauses_take(pauses_to_ask(q));
    busy_begin(q);
    q->ops.prepare(q->ops.ctx, w);
}

/* ---- the ready set ---- */

enum { HAND_RATE_S = 10 };

uint32_t hand_max(const struct vqueue *v)
{
    uint32_t most = 2 * v->slots + 64;
    uint64_t soon = v->rate.count > 0
                        ? HAND_RATE_S * bucket_burst(&v->rate) + 1
                        : most; /* what is prepared long before its turn is prepared in vain */

    return soon < most ? (uint32_t)soon : most;
}

void hand_enter(struct queue *q, struct job *j)
{
    struct vqueue *v = vqueue_of(q, j);

    v->in_hand++;
    if (shares_take_hand(&v->shares, j->site, clock_date())) {
        j->flags |= JOB_COUNTED_NEW;
    }
}

void hand_leave(struct queue *q, struct job *j)
{
    struct vqueue *v = vqueue_of(q, j);
    bool counted_new = j->flags & JOB_COUNTED_NEW;

    v->in_hand--;
    shares_give_hand(&v->shares, j->site, counted_new);
    j->flags &= (uint8_t)~JOB_COUNTED_NEW;
    if (counted_new) {
        unblock_class(&v->due);
    }
}

bool unblock_class(struct turns *t)
{
    struct link *k;

    while ((k = list_first(&t->blocked_class)) != NULL) {
        struct berth *b = CONTAINER_OF(k, struct berth, in_why);

        berth_unblock(b);
        if (berth_is_active(b)) {
            return true;
        }
    }
    return false;
}

void unblock_all(struct turns *t)
{
    struct link *k;

    while ((k = list_first(&t->blocked)) != NULL) {
        berth_unblock(CONTAINER_OF(k, struct berth, in_blocked));
    }
}

bool may_start(struct queue *q, struct vqueue *v)
{
    struct when at;

    if (v->held || v->paused) {
        return false;
    }
    if (v->rate.count == 0) {
        return true;
    }
    at = bucket_ready(&v->bucket, &v->rate, bucket_burst(&v->rate), clock_now());
    if (at.ns <= clock_now().ns) {
        return true;
    }
    heap_put(&q->rate_timers, &v->rate_timer, at.ns);
    signal_raise(&q->changed);
    return false;
}

/* ---- the pump ---- */

/* The berth whose turn it is to have a place in the ready set. One that was let out of the class of
 * new sites may have had no use for the place that was free: then it is the next one's. */
static struct berth *next_due(struct vqueue *v)
{
    struct date now = clock_date();

    for (;;) {
        struct berth *b = turns_next(&v->due, now);
        enum berth_block block;

        if (b == NULL && shares_has_hand(&v->shares, now) && unblock_class(&v->due)) {
            continue;
        }
        block = b ? shares_ask_hand(&v->shares, b->site, now) : BERTH_OPEN;
        if (block == BERTH_OPEN) {
            return b;
        }
        shares_keep_hand(&v->shares, b, block);
    }
}

static struct berth *next_ready(struct vqueue *v)
{
    struct date now = clock_date();

    for (;;) {
        struct berth *b = turns_next(&v->ready, now);
        enum berth_block block;

        if (b == NULL && shares_has_slot(&v->shares, now) && unblock_class(&v->ready)) {
            continue;
        }
        block = b ? shares_ask_slot(&v->shares, b->site, now) : BERTH_OPEN;
        if (block == BERTH_OPEN) {
            return b;
        }
        shares_keep_slot(&v->shares, b, block);
    }
}

/* A ready job that has no right to its place any more goes back: it came when there was mail for
 * one site only, or when there was more room. False: there is none, or none that its share holds
 * up. */
static bool make_room(struct queue *q, struct vqueue *v)
{
    LIST_EACH (&v->ready.blocked, k) {
        struct berth *b = CONTAINER_OF(k, struct berth, in_blocked);
        struct link *last = list_last(&b->jobs);

        if (last != NULL && shares_is_over_hand(&v->shares, b->site, clock_date())) {
            struct job *j = queue_work_of(CONTAINER_OF(last, struct work, link))->job;

            unberth(q, j);
            put_back(q, j);
            return true;
        }
    }
    return false;
}

/* Whose turn it is to have a place, where there is one. */
static struct berth *due_with_room(struct queue *q, struct vqueue *v)
{
    struct berth *b = v->in_hand < hand_max(v) || v->is_overfull ? next_due(v) : NULL;

    while (b != NULL && v->in_hand >= hand_max(v)) {
        v->is_overfull = make_room(q, v);
        b = v->is_overfull ? next_due(v) : NULL;
    }
    return b;
}

static void fill_ready_set(struct queue *q, struct vqueue *v)
{
    struct berth *b;

    while ((b = due_with_room(q, v)) != NULL) {
        struct job *j = CONTAINER_OF(list_first(&b->jobs), struct job, link);
        struct work *w;

        lane_weigh(q, v, j->lane);
        turns_start(b);
        w = work_new(q, j);
        queue_work_of(w)->due = b;
        if (j->site->probing) {
            scout(q, j);
        }
        prepare(q, j, w);
    }
}

/* Out of the ready set, where it would keep a place from others. */
static void wait_for_limit(struct queue *q, struct work *w, const struct limit_refusal *why)
{
    struct job *j = queue_work_of(w)->job;

    unberth(q, j);
    scout_ends(q, j);
    settle(queue_work_of(w), 0);
    j->state = JOB_DUE;
    limited_begin(q, w, why);
    work_free(w);
    j->work = NULL;
    j->link = (struct link){0};
    job_timer(q, j);
}

static void fill_slots(struct queue *q, struct vqueue *v)
{
    struct limit_refusal why;
    struct berth *b;

    while (v->running < v->slots && (b = next_ready(v)) != NULL && may_start(q, v)) {
        struct work *w = CONTAINER_OF(list_first(&b->jobs), struct work, link);

        if (w->plan == q->plan && w->pauses == pauses_to_ask(q)) {
            if (!limits_let_start(q, w, &why)) {
                wait_for_limit(q, w, &why);
                continue;
            }
            slot_start(q, v, b);
        } else {
            /* Prepared under an older configuration: a changed route holds for all waiting mail. */
            struct job *j = queue_work_of(w)->job;

            unberth(q, j);
            work_unprepare(w);
            prepare(q, j, w);
        }
    }
}

/* Whether results can be written. Jobs that were not started for that say so until all queues have
 * been looked at again. */
static bool store_serves(struct queue *q)
{
    bool was_stopped = q->store_stopped;

    q->store_stopped = store_room(q->store) == STORE_STOPPED;
    q->pump_again = q->pump_again || (was_stopped && !q->store_stopped);
    return !q->store_stopped;
}

static void pump_one(struct queue *q, struct vqueue *v)
{
    if (!q->serving || q->stopping || v->held || v->paused || !store_serves(q)) {
        return;
    }
    fill_slots(q, v);
    fill_ready_set(q, v);
}

/* What a pump sets going may make room elsewhere (a site that is probed parks its jobs): then all
 * are pumped once more, after this one and not inside of it. */
static void pump_rest(struct queue *q)
{
    while (q->pump_again) {
        q->pump_again = false;
        for (uint16_t i = 0; i < q->vqueue_count; i++) {
            pump_one(q, q->vqueues[i]);
        }
    }
    q->pumping = false;
}

void pump(struct queue *q, struct vqueue *v)
{
    if (q->pumping) {
        q->pump_again = true;
        return;
    }
    q->pumping = true;
    pump_one(q, v);
    pump_rest(q);
}

void pump_all(struct queue *q)
{
    q->pump_again = true;
    if (!q->pumping) {
        q->pumping = true;
        pump_rest(q);
    }
}

/* ---- delivery's answers ---- */

/* The job belongs to another site than its hint said. */
static void move_to_site(struct queue *q, struct job *j, struct str name)
{
    struct site *old = j->site;

    if (str_eq(str_of(old->name), name)) {
        return;
    }
    hand_leave(q, j);
    scout_ends(q, j);
    settle(queue_work_of(j->work), 0);
    j->site = site_for(q, name);
    j->flags |= JOB_ELSEWHERE;
    j->site->jobs++;
    old->jobs--;
    site_forget(&q->sites, old);
    hand_enter(q, j);
}

static bool may_go_on(const struct job *j)
{
    return site_admits(j->site) || (j->flags & JOB_SCOUT && !j->site->paused && !j->site->resting &&
                                    j->site->connections == 0);
}

static void is_ready(struct queue *q, struct queue_work *w)
{
    struct job *j = w->job;
    struct vqueue *v = vqueue_of(q, j);

    move_to_site(q, j, w->site);
    if (j->flags & JOB_ASKED) {
        hand_leave(q, j);
        put_back(q, j);
        return;
    }
    if (!may_go_on(j)) {
        hand_leave(q, j);
        limited_end(q, j); /* what limits kept for it is others' while it waits */
        put_back(q, j);
        j->reason = WAIT_BACKOFF;
        return;
    }
    if (j->site->probing && !(j->flags & JOB_SCOUT)) {
        scout(q, j); /* its hint had named another site */
    }
    j->state = JOB_READY;
    j->reason = WAIT_NO_SLOT;
    w->work.link = (struct link){0};
    w->berth = turns_add(&v->ready, j->lane, j->priority, j->site, &w->work.link);
    if (j->flags & JOB_SCOUT) {
        berth_unpark(w->berth);
    }
    job_timer(q, j);
}

static void must_wait(struct queue *q, struct queue_work *w)
{
    struct job *j = w->job;
    uint8_t reason = (uint8_t)w->reason;

    if (reason == WAIT_PAUSED && w->work.pauses != pauses_to_ask(q)) {
        put_back(q, j); /* they have changed meanwhile: it is asked again */
        return;
    }
    job_set_text(q, j, w->text);
    if (w->reason != WAIT_PAUSED) { /* the pause itself was told */
        event_raise(&ev_job_waits, f_message(j->message), f_rcpt_index(j->first),
                    f_reason(str_of(wait_reason_name(w->reason))), f_text(w->text),
                    f_until(w->until));
    }
    j->act = w->until;
    j->flags |= JOB_ELSEWHERE;
    put_back(q, j); /* w is no more */
    j->reason = reason;
    if (reason == WAIT_PAUSED) {
        pause_wait(q, j);
    }
}

static void prepared_here(struct post *p)
{
    struct queue_work *w = queue_work_of(CONTAINER_OF(p, struct work, post));
    struct queue *q = w->work.queue;
    struct job *j = w->job;
    struct vqueue *v = vqueue_of(q, j);

    switch (w->how) {
    case PREPARED_READY:
        job_set_text(q, j, STR_EMPTY);
        is_ready(q, w);
        break;
    case PREPARED_RESULTS:
        hand_leave(q, j);
        scout_ends(q, j);
        record(q, j);
        break;
    case PREPARED_WAIT:
        hand_leave(q, j);
        scout_ends(q, j);
        must_wait(q, w);
        break;
    }
    pump(q, v);
    busy_end(q);
}

void queue_prepared(struct work *work, enum prepared how, struct str site, enum wait_reason reason,
                    struct date until, struct str text)
{
    struct queue_work *w = queue_work_of(work);

    w->how = how;
    w->reason = reason;
    w->until = until;
    w->site = arena_dup(&work->arena, site);
    w->text = arena_dup(&work->arena, text);
    work->post.run = prepared_here;
    loop_post(work->queue->home, &work->post);
}

void job_note(struct queue *q, struct job *j)
{
    bool was_limited = j->flags & JOB_LIMITED; /* waiting for a limit is no reason to be tried */
    bool is_due = j->act.ms <= clock_date().ms;
    /* A pause, or a look-up that failed, may have put off the first attempt. */
    bool untried = !(j->flags & JOB_HELD) && j->attempts == 0 && !was_limited &&
                   (is_due || j->flags & JOB_ELSEWHERE);

    must(j->state == JOB_WAITING || j->state == JOB_DUE || j->state == JOB_READY);
    if (j->flags & JOB_NOTE_IS_END && untried) {
        j->flags |= JOB_EXPIRING; /* PY-20: one attempt first */
        if (j->state == JOB_READY) {
            j->work->expiring = true;
        }
        if (j->state == JOB_WAITING && is_due) {
            job_place(q, j);
            pump(q, vqueue_of(q, j));
        } else {
            job_timer(q, j);
        }
        return;
    }
    job_unberth(q, j);
    j->work = work_new(q, j);
    j->work->was_limited = was_limited;
    j->state = JOB_NOTING;
    job_timer(q, j);
    busy_begin(q);
    q->ops.note(q->ops.ctx, j->work);
    pump(q, vqueue_of(q, j)); /* it may have left room */
}

static void noted_here(struct post *p)
{
    struct work *w = CONTAINER_OF(p, struct work, post);
    struct queue *queue = w->queue;

    record(queue, queue_work_of(w)->job);
    busy_end(queue);
}

void queue_noted(struct work *w)
{
    w->post.run = noted_here;
    loop_post(w->queue->home, &w->post);
}
