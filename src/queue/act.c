#include "base/mem.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"

/* See act.h. A batch is worked off in steps; late asks wait in queue->asks, by message. */

enum { STEP_JOBS = 32, READ_AGAIN_MS = 1000 };

/* An ask that outlives the one who asked. */
struct late_ask {
    struct ask ask;
    struct action action;
    struct arena arena;
};

/* ---- new states ---- */

static bool is_meant(const struct ask *ask, uint32_t index)
{
    uint32_t low = 0, high = ask->meant_count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (ask->meant[mid] < index) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < ask->meant_count && ask->meant[low] == index;
}

struct act_effects act_states(const struct ask *asks, const struct message *m, const uint32_t *to,
                              uint32_t to_count, const struct acting *k, struct rcpt_state *results,
                              bool *keeps, struct when by)
{
    struct when asked_by = when_within(by, ACCEPT_LOOKUPS_MS);
    struct act_effects ret = {0};

    for (uint32_t i = 0; i < to_count; i++) {
        bool is_undecided = false;

        results[i] = m->to[to[i]].state;
        keeps[i] = true;
        for (const struct ask *ask = asks; ask != NULL; ask = ask->next) {
            enum action_effect effect = EFFECT_NONE;

            if (is_meant(ask, to[i])) {
                effect = action_apply(ask->action, m, to[i], k, &results[i], asked_by);
            }
            keeps[i] = keeps[i] && effect != EFFECT_CHANGES;
            is_undecided = is_undecided || effect == EFFECT_UNDECIDED;
        }
        results[i].version += !keeps[i];
        ret.changed += !keeps[i];
        ret.undecided += is_undecided;
    }
    return ret;
}

/* The same into a work whose parcel and recipients are known. */
static struct act_effects fill(struct queue_work *w, struct when by)
{
    struct work *work = &w->work;
    struct acting k = {work->queue->asker, clock_date(), &work->arena};
    bool *keeps = arena_array(&work->arena, work->to_count, sizeof *keeps);

    work->results = arena_array(&work->arena, work->to_count, sizeof *work->results);
    w->keeps = keeps;
    w->about = &work->parcel->message;
    return act_states(w->asks, w->about, work->to, work->to_count, &k, work->results, keeps, by);
}

void act_again(struct queue_work *w, struct parcel *p, struct when by)
{
    struct act_effects effects;

    parcel_drop(w->work.parcel);
    w->work.parcel = p;
    effects = fill(w, by);
    if (w->item != NULL) {
        w->item->changed = effects.changed;
        w->item->undecided = effects.undecided;
    }
}

/* ---- answers ---- */

static void answered(struct post *p)
{
    struct action_batch *b = CONTAINER_OF(p, struct action_batch, post);

    b->answered = true;
    fiber_wake(b->fiber);
}

void act_answer(struct action_job *item, enum action_fate fate)
{
    struct action_batch *b = item->batch;

    item->fate = fate;
    must(b->left > 0);
    b->left--;
    if (b->left == 0) {
        b->post.run = answered;
        loop_post(b->back, &b->post);
    }
}

/* What of a filter's wishes is stored; when it is next tried, or never. */
static void tell_filtered(const struct queue_work *w, uint32_t i, struct str by)
{
    static const struct str words[] = {[RCPT_WAITING] = STR_INIT("deferred"),
                                       [RCPT_DELIVERED] = STR_INIT("delivered"),
                                       [RCPT_FAILED] = STR_INIT("failed"),
                                       [RCPT_DROPPED] = STR_INIT("dropped")};
    const struct rcpt_state *s = &w->work.results[i];
    const struct recipient *r = &w->about->to[w->work.to[i]];

    event_raise(&ev_rcpt_filtered, f_message(w->work.message), f_rcpt_index(w->work.to[i]),
                f_rcpt(r->address), f_sender(w->about->sender), f_queue(s->queue), f_name(by),
                f_action(words[s->status]), f_next(s->next));
}

static struct str filter_of(const struct queue_work *w, uint32_t i)
{
    const struct action *act = w->asks->action;
    const struct action_change *c = NULL;

    if (act->kind == ACTION_FILTER) {
        c = action_change_of(act, w->work.to[i]);
    }
    return c != NULL ? c->by : act->filter;
}

/* Where the states were computed again, whoever asked hears what was done in the end. Texts end
 * with the work: of a new state it gets the times. */
static void answer_again(const struct queue_work *w, struct action_job *item)
{
    for (uint32_t i = 0; i < item->to_count; i++) {
        item->keeps[i] = w->keeps[i];
        item->results[i].next = w->work.results[i].next;
        item->results[i].notice = w->work.results[i].notice;
    }
}

void act_stored(struct queue *q, struct queue_work *w)
{
    if (w->item != NULL && w->item->keeps != w->keeps) {
        answer_again(w, w->item);
    }
    for (uint32_t i = 0; i < w->work.to_count; i++) {
        const struct rcpt_state *s = &w->work.results[i];
        const struct recipient *r = &w->about->to[w->work.to[i]];

        if (!w->keeps[i] && filter_of(w, i).len > 0) {
            tell_filtered(w, i, filter_of(w, i));
            q->counts.failed += s->status != RCPT_WAITING;
            q->recount |= w->item != NULL && w->item->is_ended;
        } else if (!w->keeps[i] && s->status != RCPT_WAITING) {
            event_raise(&ev_rcpt_cancelled, f_message(w->work.message), f_rcpt_index(w->work.to[i]),
                        f_rcpt(r->address), f_sender(w->about->sender), f_queue(r->state.queue),
                        f_text(s->last.text));
            q->counts.failed++;
        }
    }
}

/* ---- what is asked of a job at work ---- */

static void late_add(struct queue *q, struct job *j, const struct ask *ask)
{
    struct late_ask *late = MEM_NEW(struct late_ask);
    const struct action *from = ask->action;
    struct arena *a = &late->arena;
    uint32_t *meant = arena_array(a, ask->meant_count, sizeof *meant);
    struct ask *last = map_get_num(&q->asks, j->message);

    memcpy(meant, ask->meant, ask->meant_count * sizeof *meant);
    late->action = *from;
    late->action.who = arena_dup(a, from->who);
    late->action.why = arena_dup(a, from->why);
    late->action.filter = arena_dup(a, from->filter);
    late->action.queue = arena_dup(a, from->queue);
    late->action.route = arena_dup(a, from->route);
    late->action.plan = from->plan ? plan_take(from->plan) : NULL;
    late->ask = (struct ask){
        .action = &late->action, .meant = meant, .meant_count = ask->meant_count};
    if (last == NULL) {
        map_put_num(&q->asks, j->message, &late->ask);
    } else {
        while (last->next != NULL) {
            last = last->next;
        }
        last->next = &late->ask;
    }
    j->flags |= JOB_ASKED;
}

static void asks_free(struct ask *ask)
{
    while (ask != NULL) {
        struct late_ask *late = CONTAINER_OF(ask, struct late_ask, ask);

        ask = ask->next;
        plan_give(late->action.plan);
        arena_done(&late->arena);
        mem_free(late);
    }
}

void asks_forget(struct queue *q, uint64_t message)
{
    if (q->asks.count == 0 || map_get_num(&q->asks, message) == NULL) {
        return;
    }
    for (struct job *j = jobs_of(q, message); j != NULL; j = j->sibling) {
        bool is_acted_on = (j->state == JOB_ACTING || j->state == JOB_RECORDING) &&
                           queue_work_of(j->work)->asks != NULL &&
                           queue_work_of(j->work)->item == NULL;

        if (j->flags & JOB_ASKED || is_acted_on) {
            return;
        }
    }
    asks_free(map_take_num(&q->asks, message));
}

void asks_done(struct queue *q)
{
    struct ask *ask;
    size_t at = 0;

    while ((ask = map_each(&q->asks, &at)) != NULL) {
        asks_free(ask);
    }
    map_done(&q->asks);
}

static struct err read_late(struct queue *q, struct work *w)
{
    struct err e = store_fetch(q->store, w->message, &w->parcel, WHEN_NEVER);

    while (e.code != OK && e.code != ERR_NOT_FOUND && !q->stopping) {
        (void)fiber_sleep(when_after(READ_AGAIN_MS), WHEN_NEVER);
        e = store_fetch(q->store, w->message, &w->parcel, WHEN_NEVER);
    }
    return e;
}

static void late_fiber(void *arg)
{
    struct job *j = arg;
    struct work *w = j->work;
    struct queue *q = w->queue;
    uint64_t message = w->message;
    struct act_effects effects = {0};

    parcel_drop(w->parcel); /* as it was when it came in: what is stored now is wanted */
    w->parcel = NULL;
    if (read_late(q, w).code == OK) {
        w->to_count = job_members(&w->parcel->message, w->first, &w->arena, &w->to);
        effects = fill(queue_work_of(w), WHEN_NEVER);
    }
    if (effects.undecided > 0) {
        event_raise(&ev_ask_lost, f_message(message), f_rcpt_index(j->first));
    }
    if (effects.changed > 0) {
        record(q, j);
    } else {
        struct vqueue *v = vqueue_of(q, j);

        put_back(q, j);
        pump(q, v);
        asks_forget(q, message);
    }
    busy_end(q);
}

void act_late(struct queue *q, struct job *j)
{
    j->flags &= (uint8_t)~JOB_ASKED;
    j->work = work_new(q, j);
    j->state = JOB_ACTING;
    queue_work_of(j->work)->asks = map_get_num(&q->asks, j->message);
    must(queue_work_of(j->work)->asks != NULL);
    job_timer(q, j);
    busy_begin(q);
    if (group_spawn_now(&q->repairs, "an operator's action", late_fiber, j).code != OK) {
        event_raise(&ev_ask_lost, f_message(j->message), f_rcpt_index(j->first));
        put_back(q, j);
        asks_forget(q, j->message);
        busy_end(q);
    }
}

/* ---- batches ---- */

static struct job *find(const struct queue *q, uint64_t message, uint32_t first)
{
    struct job *j = jobs_of(q, message);

    while (j != NULL && j->first != first) {
        j = j->sibling;
    }
    return j;
}

/* A retry: the rest of its site ends, and a wait that only memory knows of. */
static void wake(struct queue *q, struct job *j)
{
    if (site_wake(&q->sites, j->site)) {
        site_unpark(q, j->site);
    }
    if (j->state == JOB_WAITING && !(j->flags & JOB_HELD) && j->act.ms > clock_date().ms) {
        j->act = clock_date();
        j->flags |= JOB_ELSEWHERE;
        job_set_text(q, j, STR_EMPTY);
        job_place(q, j);
    }
}

static void take(struct queue *q, struct job *j, struct action_job *item)
{
    struct queue_work *w;

    job_unberth(q, j);
    w = queue_work_of(work_new(q, j));
    w->asks = &item->ask;
    w->item = item;
    w->keeps = item->keeps;
    w->about = item->about;
    w->work.to = item->to;
    w->work.to_count = item->to_count;
    w->work.results = item->results;
    j->work = &w->work;
    record(q, j);
}

/* What a filter wants of one that has failed: it is as a job while that is recorded. */
static void take_ended(struct queue *q, struct action_job *item)
{
    const struct rcpt_state *s = &item->about->to[item->first].state;
    struct job_spec spec = {.first = item->first,
                            .to_count = 1,
                            .act = s->next,
                            .note = DATE_NEVER,
                            .attempts = s->attempts < 255 ? (uint8_t)s->attempts : 255,
                            .priority = item->about->priority,
                            .queue = s->queue,
                            .lane = s->lane,
                            .site = s->site};

    if (find(q, item->about->id, item->first) != NULL) {
        act_answer(item, FATE_CHANGED);
        return;
    }
    take(q, job_new(q, item->about->id, &spec), item);
}

/* A filter's wishes are for what stands still: the result of what runs decides. */
static void obey(struct queue *q, struct action_job *item)
{
    struct job *j = find(q, item->about->id, item->first);

    if (item->is_ended) {
        take_ended(q, item);
    } else if (j == NULL || j->to_count != item->to_count) {
        act_answer(item, FATE_CHANGED);
    } else if (j->state == JOB_WAITING || j->state == JOB_DUE || j->state == JOB_READY) {
        take(q, j, item);
    } else {
        act_answer(item, j->state == JOB_RUNNING ? FATE_RUNNING : FATE_CHANGED);
    }
}

static void act_on(struct queue *q, struct action_job *item)
{
    const struct action *act = item->ask.action;
    struct job *j = find(q, item->about->id, item->first);
    bool retries = act->kind == ACTION_RETRY && act->at.ms == 0;

    if (act->kind == ACTION_FILTER) {
        obey(q, item);
        return;
    }
    if (j == NULL || j->to_count != item->to_count) {
        act_answer(item, FATE_CHANGED);
        return;
    }
    switch ((enum job_state)j->state) {
    case JOB_WAITING:
    case JOB_DUE:
    case JOB_READY:
        if (retries) {
            wake(q, j);
        }
        if (item->changed > 0) {
            take(q, j, item);
        } else {
            act_answer(item, FATE_DONE);
        }
        return;
    case JOB_RUNNING:
        if (retries) {
            act_answer(item, FATE_RUNNING);
            return;
        }
        break;
    case JOB_PREPARING:
    case JOB_NOTING:
    case JOB_ACTING:
    case JOB_RECORDING:
    case JOB_STATE_COUNT:
        if (!item->batch->insists) {
            act_answer(item, FATE_CHANGED);
            return;
        }
        break;
    }
    late_add(q, j, &item->ask);
    act_answer(item, FATE_REQUESTED);
}

static void batch_here(struct post *p)
{
    struct action_batch *b = CONTAINER_OF(p, struct action_batch, post);
    struct queue *q = b->queue;
    uint32_t end = b->next + STEP_JOBS < b->count ? b->next + STEP_JOBS : b->count;
    bool is_last = end == b->count; /* after the last answer b is no longer ours */

    for (uint32_t at = b->next; at < end; at++) {
        if (q->stopping || !q->serving) {
            act_answer(&b->jobs[at], FATE_FAILED);
        } else {
            act_on(q, &b->jobs[at]);
        }
    }
    if (!is_last) {
        b->next = end;
        loop_post(q->home, &b->post);
    }
    pump_all(q);
}

void queue_act(struct queue *q, struct action_batch *b, struct when by)
{
    if (b->count == 0) {
        return;
    }
    for (uint32_t i = 0; i < b->count; i++) {
        b->jobs[i].batch = b;
        b->jobs[i].fate = FATE_OPEN;
    }
    b->post.run = batch_here;
    b->queue = q;
    b->back = loop_self();
    b->fiber = fiber_self();
    b->next = 0;
    b->left = b->count;
    b->answered = false;
    loop_post(q->home, &b->post);
    while (!b->answered) {
        fiber_wait_firm("the queue to act", by);
    }
}
