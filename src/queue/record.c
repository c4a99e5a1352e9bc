#include "base/mem.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"

/*
 * Results: a work that delivery has answered becomes one commit of recipient states; once that is
 * durable the job is gone, what is not final becomes new jobs, and what is owed becomes a debt.
 *
 * A recipient's state may have been changed by a report (owed -> none) while an attempt ran: the
 * commit then comes back ERR_STALE, is put on top of what is stored now, and posted again. The
 * attempt's result always wins. A commit that could not be written is posted again until it is:
 * the result is known, and an attempt repeated for want of a disk would deliver twice. Only while
 * the queue ends this is not for ever: a disk that writes nothing more must not keep the process.
 */

enum { LAST_TRIES_MAX = 5 };

struct record {
    struct store_commit commit;
    struct queue *queue;
    struct job *job;
    struct work_part *part; /* NULL: all that is left of the job */
    uint64_t message;
    const uint32_t *to;
    struct rcpt_state *results;
    uint32_t to_count;
    struct store_change *changes;
    uint32_t count;
    uint32_t last_tries; /* that failed while the queue ended */
    bool gives_up;
};

static void post_record(struct record *r);

/* The work when it is no attempt but what an operator asked for; else NULL. */
static struct queue_work *act_of(const struct record *r)
{
    struct queue_work *w = queue_work_of(r->job->work);

    return r->part == NULL && w->asks != NULL ? w : NULL;
}

/* ---- debts ---- */

static bool is_at_work(const struct queue *q, uint64_t message)
{
    if (is_being_told(q, message)) {
        return true;
    }
    for (struct job *j = jobs_of(q, message); j != NULL; j = j->sibling) {
        if (j->state != JOB_WAITING && j->state != JOB_DUE) {
            return true;
        }
    }
    return false;
}

static void report(struct queue *q, struct debt *d)
{
    heap_remove(&q->debt_timers, &d->timer);
    d->reporting = true;
    d->more = false;
    q->counts.reports++;
    busy_begin(q);
    q->ops.report(q->ops.ctx, d->message);
}

/* Reports at once when no job of the message is at work. */
void debt_consider(struct queue *q, uint64_t message)
{
    struct debt *d = map_get_num(&q->debts, message);

    if (d != NULL && !d->reporting && !q->stopping && !is_at_work(q, message)) {
        report(q, d);
    }
}

void owe(struct queue *q, uint64_t message)
{
    struct debt *d = map_get_num(&q->debts, message);

    if (d != NULL) {
        d->more = d->reporting;
        return;
    }
    d = MEM_NEW(struct debt);
    d->message = message;
    map_put_num(&q->debts, message, d);
    heap_put(&q->debt_timers, &d->timer, clock_date().ms + DEBT_WAIT_MS);
    signal_raise(&q->changed);
}

void debts_due(struct queue *q)
{
    struct heap_node *n;

    if (q->stopping) {
        return;
    }
    while ((n = heap_due(&q->debt_timers, clock_date().ms)) != NULL) {
        report(q, CONTAINER_OF(n, struct debt, timer));
    }
}

void debts_consider(struct queue *q)
{
    size_t at = 0;
    struct debt *d;

    while ((d = map_each(&q->debts, &at)) != NULL) {
        debt_consider(q, d->message);
    }
}

struct date debt_next(const struct queue *q)
{
    return (struct date){heap_least_key(&q->debt_timers)};
}

struct reported {
    struct post post;
    struct queue *queue;
    uint64_t message;
};

static void reported_here(struct post *p)
{
    struct reported *r = CONTAINER_OF(p, struct reported, post);
    struct queue *q = r->queue;
    struct debt *d = map_get_num(&q->debts, r->message);

    if (d != NULL) {
        bool more = d->more;

        map_take_num(&q->debts, r->message);
        mem_free(d);
        if (more) {
            owe(q, r->message);
            debt_consider(q, r->message);
        }
    }
    mem_free(r);
    busy_end(q);
}

void queue_reported(struct queue *q, uint64_t message)
{
    struct reported *r = MEM_NEW(struct reported);

    r->post.run = reported_here;
    r->queue = q;
    r->message = message;
    loop_post(q->home, &r->post);
}

/* ---- after the commit ---- */

static void count_result(struct queue *q, const struct rcpt_state *s)
{
    switch (s->status) {
    case RCPT_WAITING:
        q->counts.deferred++;
        break;
    case RCPT_DELIVERED:
        q->counts.delivered++;
        break;
    case RCPT_FAILED:
    case RCPT_DROPPED:
    case RCPT_STATUS_COUNT:
        q->counts.failed++;
        break;
    }
}

/* The recipients of a finished work as a message that holds only their new states, so that the one
 * grouping function serves here too. */
static uint32_t regroup(struct work *w, struct job_spec **ret)
{
    uint32_t top = w->to[w->to_count - 1] + 1;
    struct message m = {.to_count = top, .priority = queue_work_of(w)->job->priority};

    m.to = arena_array(&w->arena, top, sizeof *m.to);
    for (uint32_t i = 0; i < w->to_count; i++) {
        m.to[w->to[i]].state = w->results[i];
    }
    return job_group(&m, w->to, w->to_count, &w->arena, ret);
}

static void finish_job(struct queue *q, struct job *j)
{
    struct work *w = j->work;
    uint64_t message = w->message;
    struct job_spec *specs = NULL;
    const struct queue_work *act = queue_work_of(w)->item != NULL ? queue_work_of(w) : NULL;
    /* One that had ended and stays as it is was nobody's before, or is another job's by now. */
    bool is_nobodys = act != NULL && act->item->is_ended && act->keeps[0];
    struct str by = act != NULL ? told_why(act) : STR_EMPTY;
    uint32_t count = w->to_count > 0 && !is_nobodys ? regroup(w, &specs) : 0;
    uint8_t asked = j->flags & JOB_ASKED;

    job_free(q, j);
    for (uint32_t i = 0; i < count; i++) {
        struct job *next = job_new(q, message, &specs[i]);

        next->flags |= asked; /* while it was at work: its recipients go on as asked */
        if (by.len > 0) {
            job_set_text(q, next, by);
        }
        job_place(q, next);
        pump(q, q->vqueues[next->queue]);
    }
    if (w->tells) {
        tell_recorded(q, w);
    } else {
        work_free(w);
    }
    asks_forget(q, message);
}

/* What was recorded is no longer the job's. */
static void finish_part(struct job *j, const struct work_part *p)
{
    if (p->to_count > 0) {
        j->first = p->first;
        j->to_count = p->to_count;
    }
}

static void finish(struct record *r)
{
    struct queue *q = r->queue;
    struct queue_work *act = act_of(r);
    struct action_job *item = act != NULL ? act->item : NULL;
    bool owed = false;

    if (act != NULL) {
        act_stored(q, act);
    }
    for (uint32_t i = 0; i < r->to_count; i++) {
        if (act == NULL) {
            count_result(q, &r->results[i]);
        }
        owed = owed || r->results[i].owed != OWED_NONE;
    }
    quotas_recorded(q, r->message, r->to, r->results, r->to_count);
    if (r->part != NULL) {
        finish_part(r->job, r->part);
    } else {
        finish_job(q, r->job);
    }
    quotas_over(q, r->message);
    if (owed) {
        owe(q, r->message);
    }
    debt_consider(q, r->message);
    if (item != NULL) {
        act_answer(item, FATE_DONE); /* from here on its memory is no longer ours */
    }
}

/* ---- the commit ---- */

static bool is_same_place(const struct rcpt_state *a, const struct rcpt_state *b)
{
    return a->next.ms == b->next.ms && str_eq(a->site, b->site) && str_eq(a->queue, b->queue);
}

/* Whether job j, or what it will become when its results are stored, is where `s` goes. */
static bool is_in_the_way(const struct queue *q, const struct job *j, const struct rcpt_state *s)
{
    if (j->state == JOB_RECORDING) {
        for (uint32_t i = 0; i < j->work->to_count; i++) {
            const struct rcpt_state *r = &j->work->results[i];

            if (r->status == RCPT_WAITING && is_same_place(r, s)) {
                return true;
            }
        }
    }
    return j->act.ms == s->next.ms && str_eq(str_of(j->site->name), s->site) &&
           str_eq(str_of(q->vqueues[j->queue]->name), s->queue);
}

static bool is_written(const struct record *r, uint32_t i)
{
    const struct queue_work *act = act_of(r);

    return act == NULL || !act->keeps[i];
}

static bool is_elsewhere_in(const struct record *r, struct str queue)
{
    for (struct job *j = jobs_of(r->queue, r->message); j != NULL; j = j->sibling) {
        if (j != r->job && j->flags & JOB_ELSEWHERE &&
            str_eq(str_of(vqueue_of(r->queue, j)->name), queue)) {
            return true;
        }
    }
    return false;
}

/* Of a job that is elsewhere it is known only that what is stored is past. So times that are past
 * as well move to the next millisecond, and stay as far apart from each other as they are. */
static void leave_the_past(struct record *r)
{
    struct date soon = date_add(clock_date(), 1), first = soon;

    for (uint32_t i = 0; i < r->to_count; i++) {
        if (r->results[i].status == RCPT_WAITING && is_written(r, i)) {
            first = date_earlier(first, r->results[i].next);
        }
    }
    for (uint32_t i = 0; i < r->to_count && first.ms < soon.ms; i++) {
        struct rcpt_state *s = &r->results[i];

        if (s->status == RCPT_WAITING && s->next.ms < soon.ms && is_written(r, i) &&
            is_elsewhere_in(r, s->queue)) {
            s->next = date_add(soon, s->next.ms - first.ms);
        }
    }
}

/* No two jobs of a message may share queue, lane, site and time (job.h): a new time moves on by a
 * millisecond until it is alone. */
static void keep_apart(struct queue *q, const struct job *self, struct rcpt_state *s)
{
    bool moved = true;

    while (moved) {
        moved = false;
        for (struct job *j = jobs_of(q, self->message); j != NULL; j = j->sibling) {
            if (j != self && is_in_the_way(q, j, s)) {
                s->next = date_add(s->next, 1);
                moved = true;
            }
        }
    }
}

/* Each result becomes a change, but what an operator's action leaves as it is. */
static void make_changes(struct record *r)
{
    r->count = 0;
    leave_the_past(r);
    for (uint32_t i = 0; i < r->to_count; i++) {
        struct rcpt_state *s = &r->results[i];

        if (!is_written(r, i)) {
            continue;
        }
        if (s->status == RCPT_WAITING) {
            keep_apart(r->queue, r->job, s);
        }
        r->changes[r->count++] = (struct store_change){r->message, r->to[i], s->version - 1, s};
    }
}

/* What was owed when the attempt began. */
static enum report_owed owed_before(const struct record *r, uint32_t i)
{
    const struct parcel *p = r->job->work->parcel;

    return p != NULL ? p->message.to[r->to[i]].state.owed : r->results[i].owed;
}

/* What is stored now under each change; a recipient that is final there keeps its end. */
static struct err rebase(struct record *r)
{
    struct parcel *p;
    struct err e = store_fetch(r->queue->store, r->message, &p, WHEN_NEVER);

    if (e.code != OK) {
        return e;
    }
    if (act_of(r) != NULL) {
        act_again(act_of(r), p, WHEN_NEVER);
        r->results = act_of(r)->work.results;
        make_changes(r);
        return ERR_OK;
    }
    r->count = 0;
    for (uint32_t i = 0; i < r->to_count && r->to[i] < p->message.to_count; i++) {
        const struct rcpt_state *now = &p->message.to[r->to[i]].state;

        if (now->status == RCPT_WAITING) {
            if (r->results[i].owed == owed_before(r, i)) {
                r->results[i].owed = now->owed; /* it was told meanwhile */
            }
            r->results[i].version = now->version + 1;
            r->changes[r->count++] = (struct store_change){r->message, r->to[i], now->version,
                                                           &r->results[i]};
        }
    }
    r->commit.changes = r->changes;
    r->commit.change_count = r->count;
    parcel_drop(p);
    return ERR_OK;
}

/* What was not stored waits as before. */
static void give_back(struct record *r)
{
    struct queue_work *act = act_of(r);
    struct action_job *item = act != NULL ? act->item : NULL;
    struct vqueue *v = vqueue_of(r->queue, r->job);

    if (act != NULL && item == NULL) {
        event_raise(&ev_ask_lost, f_message(r->message), f_rcpt_index(r->job->first));
    }
    put_back(r->queue, r->job);
    pump(r->queue, v);
    if (act != NULL) {
        asks_forget(r->queue, r->message);
    }
    if (item != NULL) {
        act_answer(item, FATE_FAILED); /* its memory is no longer ours */
    }
}

/* Done with: finished, or (gives_up) lost with the process; the next one attempts the job again. A
 * job's own record waits for those of its parts, which need the job. */
static void put_away(struct record *r)
{
    struct queue_work *w = queue_work_of(r->job->work);
    struct queue *q = r->queue;
    struct record *last = NULL;

    if (r->part == NULL && w->parts > 0) {
        w->last = r;
        return;
    }
    if (r->part != NULL && --w->parts == 0) {
        last = w->last;
    }
    if (!r->gives_up) {
        finish(r);
    } else if (r->part == NULL) {
        give_back(r);
    }
    if (r->part != NULL) {
        arena_done(&r->part->arena);
        mem_free(r->part);
    }
    mem_free(r->changes);
    mem_free(r);
    busy_end(q);
    if (last != NULL) {
        put_away(last);
    }
}

/* What was not stored: on top of what is stored now, or the same again after a while. */
static void repair(void *arg)
{
    struct record *r = arg;
    struct err e = r->commit.result;

    if (e.code == ERR_STALE) {
        e = rebase(r);
    }
    if (e.code != OK && act_of(r) != NULL) {
        r->gives_up = true; /* nothing has happened yet: whoever asked may ask again */
        put_away(r);
        return;
    }
    if (e.code != OK && e.code != ERR_NOT_FOUND) {
        char text[128];

        event_raise(&ev_result_unstored, f_message(r->message),
                    f_text(err_say(e, text, sizeof text)));
        (void)fiber_sleep(when_after(STORE_AGAIN_MS), WHEN_NEVER);
        r->last_tries += r->queue->stopping;
    }
    if (e.code == ERR_NOT_FOUND || r->count == 0) {
        put_away(r); /* the message has ended another way */
    } else if (r->last_tries >= LAST_TRIES_MAX) {
        r->gives_up = true;
        put_away(r);
    } else {
        post_record(r);
    }
}

static void recorded(struct post *p)
{
    struct record *r = CONTAINER_OF(CONTAINER_OF(p, struct store_commit, done), struct record,
                                    commit);
    struct queue *q = r->queue;

    if (r->commit.result.code == OK) {
        put_away(r);
    } else if (group_spawn_now(&q->repairs, "a result that was not stored", repair, r).code != OK) {
        post_record(r); /* no fiber to be had, or the end is near: at once then */
    }
}

static void post_record(struct record *r)
{
    r->commit.done.run = recorded;
    r->commit.reply = r->queue->home;
    r->commit.lazy = true;
    r->commit.changes = r->changes;
    r->commit.change_count = r->count;
    store_post(r->queue->store, &r->commit);
}

static void begin(struct record *r)
{
    busy_begin(r->queue);
    r->changes = mem_array(r->to_count, sizeof *r->changes);
    make_changes(r);
    if (r->count == 0) {
        put_away(r); /* the message is no longer stored, or its parts were all */
        return;
    }
    post_record(r);
}

void record(struct queue *q, struct job *j)
{
    struct work *w = j->work;
    struct record *r = MEM_NEW(struct record);

    settle(queue_work_of(w), 0); /* what did not run used no slot */
    j->state = JOB_RECORDING;
    j->reason = WAIT_RECORDING;
    job_timer(q, j);
    r->queue = q;
    r->job = j;
    r->message = w->message;
    r->to = w->to;
    r->results = w->results;
    r->to_count = w->to_count;
    begin(r);
}

static void part_here(struct post *p)
{
    struct work_part *part = CONTAINER_OF(p, struct work_part, post);
    struct queue_work *w = queue_work_of(part->work);
    struct record *r = MEM_NEW(struct record);

    w->parts++;
    r->job = w->job;
    r->queue = part->queue;
    r->part = part;
    r->message = part->message;
    r->to = part->to;
    r->results = part->results;
    r->to_count = part->count;
    begin(r);
}

void slot_part(struct slot *s, struct work_part *part)
{
    part->post.run = part_here;
    part->queue = s->queue;
    loop_post(s->queue->home, &part->post);
}
