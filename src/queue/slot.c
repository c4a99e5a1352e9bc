#include "base/mem.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"

/* Slots: the right to have one connection at work; and what connections tell of their site. */

/* ---- rest ---- */

void site_park(struct queue *q, struct site *site)
{
    struct link *k;

    LIST_EACH (&site->berths, each) {
        struct berth *b = CONTAINER_OF(each, struct berth, in_site);

        berth_park(b);
        unblock_class(b->turns); /* had it been unblocked for a place, that goes to another */
    }
    /* Ready jobs go back to due: they shall take no room in the ready set while their site rests.
     * The berths change under our hands, so each step begins anew. */
    k = list_first(&site->berths);
    while (k != NULL) {
        struct berth *b = CONTAINER_OF(k, struct berth, in_site);
        struct link *last = b->turns->holds_works ? list_last(&b->jobs) : NULL;
        struct job *j;

        if (last == NULL) {
            k = list_next(&site->berths, k);
            continue;
        }
        j = queue_work_of(CONTAINER_OF(last, struct work, link))->job;
        unberth(q, j);
        limited_end(q, j); /* what limits kept for it is others' while it waits */
        put_back(q, j);
        k = list_first(&site->berths);
    }
    pump_all(q);
}

void site_unpark_only(struct site *site)
{
    if (site->paused) {
        return; /* its rest is over; the pause is not */
    }
    LIST_EACH (&site->berths, k) {
        berth_unpark(CONTAINER_OF(k, struct berth, in_site));
    }
}

void site_unpark(struct queue *q, struct site *site)
{
    site_unpark_only(site);
    pump_all(q);
}

static void tell_rest(struct queue *q, struct site *site)
{
    event_raise(&ev_site_rests, f_site(str_of(site->name)), f_text(str_of(site_text(site))),
                f_until(site->rest_until));
    site_park(q, site);
    signal_raise(&q->changed); /* its end may be the next thing to wake for */
}

/* A site is new again, so it may hold more of a ready set than a new one's share. */
static void look_at_shares(struct queue *q)
{
    for (uint16_t i = 0; i < q->vqueue_count; i++) {
        q->vqueues[i]->is_overfull = true;
    }
}

/* The connection that ends here failed before a transaction was accepted. */
static void note_failure(struct queue *q, struct slot *s)
{
    struct duration_list rests = s->done ? s->done->rests : (struct duration_list){0};

    look_at_shares(q);
    if (site_failed(&q->sites, s->site, str_of(s->why), rests, clock_date(),
                    (unsigned)random_below(100))) {
        tell_rest(q, s->site);
    }
}

/* It was closed for being slow: nothing was attempted, and the site rests at once. */
static void note_cut(struct queue *q, struct slot *s)
{
    struct duration_list rests = s->done ? s->done->rests : (struct duration_list){0};
    bool rested = s->site->resting;

    look_at_shares(q);
    site_rest(&q->sites, s->site,
              STR("it was slow while the queue's share for slow ones was taken"), rests,
              clock_date(), (unsigned)random_below(100));
    if (!rested) {
        tell_rest(q, s->site);
    }
}

/* The site may hold more than before: whatever its shares kept back is asked again. */
static void unblock_everywhere(struct queue *q, struct site *site)
{
    LIST_EACH (&site->berths, k) {
        berth_unblock(CONTAINER_OF(k, struct berth, in_site));
    }
    pump_all(q);
}

static void note_success(struct queue *q, struct slot *s)
{
    struct shares *shares = &s->vqueue->shares;
    bool is_quick = !s->slow && s->slowest_ms <= shares->slow_after_ms;
    bool was_proven = site_is_proven(s->site, clock_date());
    bool rested = site_proved(&q->sites, s->site, is_quick, clock_date());

    s->accepted = false;
    s->slowest_ms = 0;
    if (!is_quick) {
        look_at_shares(s->queue);
    }
    if (is_quick && s->counted_new) {
        s->counted_new = false;
        shares_prove_slot(shares);
        unblock_class(&s->vqueue->ready);
    }
    if (rested) {
        event_raise(&ev_site_serves, f_site(str_of(s->site->name)));
        site_unpark(q, s->site);
    }
    if (is_quick && !was_proven) {
        unblock_everywhere(q, s->site);
    }
}

/* ---- slots ---- */

/* What the slot used since it was last charged goes on the bill of its lane and site, where the
 * work at hand was due and where it was ready. */
static int64_t used_ms(struct slot *s, const struct work *done)
{
    struct when now = clock_now();
    int64_t ms = (now.ns - s->charged.ns) / NS_PER_MS, least = done ? (int64_t)done->to_count : 0;

    s->charged = now;
    return ms > least ? ms : least;
}

void slot_start(struct queue *q, struct vqueue *v, struct berth *b)
{
    struct queue_work *w = queue_work_of(CONTAINER_OF(list_first(&b->jobs), struct work, link));
    struct slot *s = MEM_NEW(struct slot);

    s->queue = q;
    s->vqueue = v;
    s->site = b->site;
    s->berth = b;
    s->since = s->charged = clock_now();
    s->slow_after_ms = v->shares.slow_after_ms;
    s->turn_messages = w->work.turn_messages ? w->work.turn_messages : SLOT_MESSAGES_MAX;
    s->turn_ms = w->work.turn_ms ? w->work.turn_ms : SLOT_MS_MAX;
    bucket_take(&v->bucket, &v->rate, clock_now());
    berth_claim(b);
    unberth(q, w->job);
    scout_runs(w->job);
    w->slot = s;
    w->job->state = JOB_RUNNING;
    w->job->reason = WAIT_RUNNING;
    job_timer(q, w->job);
    v->running++;
    s->counted_new = shares_take_slot(&v->shares, s->site, clock_date());
    busy_begin(q);
    s->site->connections++;
    if (!site_admits(s->site)) {
        site_park(q, s->site); /* this one probes; the others wait for what it finds */
    }
    q->ops.run(q->ops.ctx, s, &w->work);
}

/* The slot is free again; s is not freed. */
static void give_back(struct slot *s)
{
    struct queue *q = s->queue;
    struct vqueue *v = s->vqueue;
    struct site *site = s->site;

    v->running--;
    site->connections--;
    shares_give_slot(&v->shares, site, s->counted_new);
    if (s->slow) {
        shares_quick(&v->shares);
    }
    if (s->counted_new) {
        unblock_class(&v->ready);
    }
    if (site->probing && site_admits(site)) {
        /* The probe ended neither way (a refusal at MAIL, say): the next one may try. */
        site_unpark(q, site);
    }
    site_forget(&q->sites, site);
    vqueue_forget(q, v);
    pump(q, v);
    busy_end(q);
}

static bool turn_is_over(const struct slot *s)
{
    const struct turns *t = &s->vqueue->ready;
    bool spent = s->messages >= s->turn_messages ||
                 clock_now().ns - s->since.ns >= s->turn_ms * NS_PER_MS;

    /* Others wait: ready jobs that are neither parked nor of our own berth. */
    return spent && t->jobs - t->parked > s->berth->count;
}

static struct queue_work *more_for(struct slot *s)
{
    struct queue *q = s->queue;
    struct link *first = list_first(&s->berth->jobs);
    struct queue_work *w;
    struct limit_refusal why;

    if (first == NULL || s->berth->parked || q->stopping || turn_is_over(s) ||
        s->vqueue->running > s->vqueue->slots || !may_start(q, s->vqueue)) {
        return NULL;
    }
    w = queue_work_of(CONTAINER_OF(first, struct work, link));
    /* One that a limit refuses is put aside when a slot is looked for. */
    return w->work.plan == q->plan && w->work.pauses == pauses_to_ask(q) &&
                   limits_let_start(q, &w->work, &why)
               ? w
               : NULL;
}

static void give_more(struct slot *s, struct queue_work *w)
{
    struct queue *q = s->queue;

    bucket_take(&s->vqueue->bucket, &s->vqueue->rate, clock_now());
    unberth(q, w->job);
    scout_runs(w->job);
    w->slot = s;
    w->job->state = JOB_RUNNING;
    w->job->reason = WAIT_RUNNING;
    job_timer(q, w->job);
    s->messages++;
    s->next = &w->work;
    pump(q, s->vqueue);
}

/* The bill, then what became of the work. */
static void settle_done(struct slot *s)
{
    int64_t ms = used_ms(s, s->done);

    if (s->done != NULL) {
        settle(queue_work_of(s->done), ms);
    }
    s->unpaid_ms += ms;
}

static void take_done(struct slot *s)
{
    struct work *done = s->done;

    s->done = NULL;
    if (s->accepted) {
        note_success(s->queue, s);
    }
    if (done != NULL) {
        record(s->queue, queue_work_of(done)->job);
    }
}

/* Before the slot is given back: nothing of it is then known to its lane and site. */
static void pay(struct slot *s)
{
    berth_charge(s->berth, s->unpaid_ms);
    s->berth = NULL;
}

static void answer_next(struct post *p)
{
    struct slot *s = CONTAINER_OF(p, struct slot, post);

    s->answered = true;
    fiber_wake(s->waiting);
}

static void next_here(struct post *p)
{
    struct slot *s = CONTAINER_OF(p, struct slot, post);
    struct queue_work *w;

    settle_done(s);
    take_done(s);
    s->next = NULL;
    w = more_for(s);
    if (w != NULL) {
        berth_claim(s->berth); /* paid by exchange, so that the others' clocks go on meanwhile */
        berth_charge(s->berth, s->unpaid_ms);
        s->unpaid_ms = 0;
        give_more(s, w);
    } else {
        pay(s);
        give_back(s);
    }
    s->post.run = answer_next;
    loop_post(s->back, &s->post);
}

struct err slot_next(struct slot *s, struct work *done, struct work **ret, struct when by)
{
    s->done = done;
    s->waiting = fiber_self();
    s->back = loop_self();
    s->answered = false;
    s->post.run = next_here;
    loop_post(s->queue->home, &s->post);
    while (!s->answered) {
        fiber_wait_firm("the next job of the queue", by);
    }
    *ret = s->next;
    if (s->next == NULL) {
        mem_free(s);
    }
    return ERR_OK;
}

static void end_here(struct post *p)
{
    struct slot *s = CONTAINER_OF(p, struct slot, post);

    settle_done(s);
    if (s->cut) {
        note_cut(s->queue, s);
    }
    take_done(s);
    pay(s);
    give_back(s);
    mem_free(s);
}

void slot_end(struct slot *s, struct work *done)
{
    s->done = done;
    s->post.run = end_here;
    loop_post(s->queue->home, &s->post);
}

static void failed_here(struct post *p)
{
    struct slot *s = CONTAINER_OF(p, struct slot, post);
    struct queue *q = s->queue;
    struct job *j = s->done ? queue_work_of(s->done)->job : NULL;

    settle_done(s);
    note_failure(q, s);
    if (j != NULL && j->work->results != NULL) {
        take_done(s);
    } else if (j != NULL) {
        put_back(q, j);
    }
    pay(s);
    give_back(s);
    mem_free(s);
}

void slot_failed(struct slot *s, struct work *w, struct str why)
{
    struct str shown = str_head(why, SITE_TEXT_MAX - 1);

    s->done = w;
    if (shown.len > 0) {
        memcpy(s->why, shown.ptr, shown.len);
    }
    s->why[shown.len] = 0;
    s->post.run = failed_here;
    loop_post(s->queue->home, &s->post);
}

void slot_cut(struct slot *s, struct work *done)
{
    s->cut = true;
    slot_end(s, done);
}

static void slow_here(struct post *p)
{
    struct slow_slot *v = CONTAINER_OF(p, struct slow_slot, post);
    struct slot *s = v->slot;

    s->site->proven_until = (struct date){0};
    look_at_shares(s->queue);
    if (!s->slow) {
        s->slow = true;
        v->close = !shares_slow(&s->vqueue->shares, clock_date());
        if (s->counted_new) { /* of the two classes it is in one: another new site may begin */
            s->counted_new = false;
            shares_prove_slot(&s->vqueue->shares);
            unblock_class(&s->vqueue->ready);
            pump(s->queue, s->vqueue);
        }
    }
    p->run = v->answer;
    loop_post(v->back, p);
}

void slot_slow(struct slot *s, struct slow_slot *v, void (*answer)(struct post *p))
{
    v->slot = s;
    v->answer = answer;
    v->back = loop_self();
    v->close = false;
    v->post.run = slow_here;
    loop_post(s->queue->home, &v->post);
}

int64_t slot_slow_after_ms(const struct slot *s)
{
    return s->slow_after_ms;
}

void slot_accepted(struct slot *s, int64_t slowest_ms)
{
    s->accepted = true;
    s->slowest_ms = slowest_ms > s->slowest_ms ? slowest_ms : s->slowest_ms;
}
