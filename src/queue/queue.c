#include "base/mem.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/random.h"

/*
 * The life of jobs (job.h draws it). What must stay true:
 *
 *  1. A job in state DUE is in a berth of its queue's `due`, or in the line of a limit; READY in a
 *     berth of `ready`; in no other state is it in any.
 *  2. A job has a work in hand exactly in PREPARING, READY, RUNNING, NOTING, ACTING and
 *     RECORDING.
 *  3. vqueue->in_hand counts its jobs in PREPARING and READY; vqueue->running its slots.
 *  4. While a site rests or is probed its berths are parked and none of its jobs is READY, but for
 *     the scout: the oldest job, which alone is prepared and run to probe it.
 *     A job that is marked JOB_ASKED is at work, or goes to ACTING before it waits again.
 *  5. A job's timer is armed in WAITING (act or note), DUE and READY (note), and in no other state.
 *  6. Whatever makes a slot, a place in the ready set or a job available pumps that queue at once.
 */

static const struct {
    const char *name, *prose;
} reasons[] = {
#define REASON(name, text, prose) {text, prose},
#include "queue/reasons.def"
#undef REASON
};

const char *wait_reason_name(enum wait_reason r)
{
    return reasons[r].name;
}

const char *wait_reason_prose(enum wait_reason r)
{
    return reasons[r].prose;
}

void busy_begin(struct queue *q)
{
    q->busy++;
}

void busy_end(struct queue *q)
{
    must(q->busy > 0);
    q->busy--;
    if (q->busy == 0 && q->joiner != NULL) {
        fiber_wake(q->joiner);
    }
}

/* ---- virtual queues ---- */

static struct date due_since(struct link *job)
{
    return CONTAINER_OF(job, struct job, link)->act;
}

static struct date ready_since(struct link *work)
{
    return queue_work_of(CONTAINER_OF(work, struct work, link))->job->act;
}

/* A place that was given up, or a new one. */
static struct vqueue *place_for(struct queue *q)
{
    struct vqueue *v;

    for (uint16_t i = 0; i < q->vqueue_count; i++) {
        if (q->vqueues[i]->name == NULL) {
            return q->vqueues[i];
        }
    }
    must(q->vqueue_count < UINT16_MAX);
    v = MEM_NEW(struct vqueue);
    v->number = q->vqueue_count;
    q->vqueues = mem_grow(q->vqueues, (size_t)q->vqueue_count + 1, sizeof *q->vqueues);
    q->vqueues[q->vqueue_count++] = v;
    turns_init(&v->due, &q->berths, false, due_since);
    turns_init(&v->ready, &q->berths, true, ready_since);
    lanes_init(&v->lanes);
    return v;
}

struct vqueue *vqueue_take(struct queue *q, struct str name)
{
    struct vqueue *v = map_get(&q->vqueue_names, name);

    if (v == NULL) {
        v = place_for(q);
        v->name = mem_dup_z(name.ptr, name.len);
        v->bucket = (struct bucket){0};
        vqueue_orphan(v);
        map_put(&q->vqueue_names, (struct str){v->name, name.len}, v);
        pause_mark_queue(q, v);
    }
    return v;
}

void vqueue_orphan(struct vqueue *v)
{
    static const struct virtual_settings orphan = {.concurrency = ORPHAN_SLOTS,
                                                   .max_share_percent = 50,
                                                   .slow_after_ms = 2000,
                                                   .lanes_max = 10000,
                                                   .aging_ms = 600000};

    vqueue_set(v, NULL, &orphan);
}

void vqueue_set(struct vqueue *v, const struct plan_queue *planned,
                const struct virtual_settings *s)
{
    v->planned = planned;
    v->orphan = planned == NULL;
    v->slots = s->concurrency;
    if (s->hold && !v->held) {
        v->held_since = clock_date();
    }
    v->held = s->hold;
    v->rate = s->rate;
    v->lanes.max = s->lanes_max;
    v->is_overfull = true;
    v->due.aging_ms = v->ready.aging_ms = s->aging_ms;
    shares_set(&v->shares, v->slots, hand_max(v), s->max_share_percent, s->slow_after_ms);
}

void vqueue_forget(struct queue *q, struct vqueue *v)
{
    if (v->orphan && v->name != NULL && v->jobs == 0 && v->running == 0) {
        heap_remove(&q->rate_timers, &v->rate_timer);
        map_take(&q->vqueue_names, str_of(v->name));
        mem_free(v->name);
        v->name = NULL;
        v->suspect = NULL;
    }
}

struct vqueue *vqueue_of(const struct queue *q, const struct job *j)
{
    return q->vqueues[j->queue];
}

/* ---- waits' texts ---- */

void job_set_text(struct queue *q, struct job *j, struct str text)
{
    mem_free(map_take_num(&q->texts, (uint64_t)(uintptr_t)j));
    if (text.len > 0) {
        map_put_num(&q->texts, (uint64_t)(uintptr_t)j,
                    mem_dup_z(text.ptr, text.len < SITE_TEXT_MAX ? text.len : SITE_TEXT_MAX));
    }
}

struct str job_text(const struct queue *q, const struct job *j)
{
    if (j->reason == WAIT_BACKOFF) {
        return str_of(site_text(j->site));
    }
    return str_of(map_get_num(&q->texts, (uint64_t)(uintptr_t)j));
}

/* ---- jobs ---- */

struct job *jobs_of(const struct queue *q, uint64_t message)
{
    return chains_get(&q->messages, message);
}

struct site *site_for(struct queue *q, struct str name)
{
    struct site *site;

    if (q->sites.seed == 0) {
        q->sites.seed = random_u64() |
                        1; /* not earlier: a simulated world has chance on its loops */
    }
    site = site_take(&q->sites, name);
    if (site->jobs == 0 && q->pauses != NULL) {
        pause_mark_site(q, site);
    }
    return site;
}

struct job *job_new(struct queue *q, uint64_t message, const struct job_spec *spec)
{
    struct job *j = slab_take(&q->slab), *first = jobs_of(q, message);
    struct vqueue *v = vqueue_take(q, spec->queue);

    j->message = message;
    j->first = spec->first;
    j->to_count = spec->to_count;
    j->act = spec->act;
    j->note = spec->note;
    j->flags = (uint8_t)((spec->note_is_end ? JOB_NOTE_IS_END : 0) |
                         (spec->is_held ? JOB_HELD : 0));
    j->attempts = spec->attempts;
    j->priority = spec->priority;
    j->queue = v->number;
    j->lane = lane_take(q, v, spec->lane);
    v->jobs++;
    j->site = site_for(q, spec->site);
    j->site->jobs++;
    if (first == NULL) {
        chains_put(&q->messages, j);
    } else {
        j->sibling = first->sibling;
        first->sibling = j;
    }
    if (q->counts.jobs++ == 0) {
        signal_raise(&q->changed);
    }
    return j;
}

void job_drop_parcel(struct queue *q, struct job *j)
{
    if (j->parcel != NULL) {
        q->cached_bytes -= j->parcel->counted;
        parcel_drop(j->parcel);
        j->parcel = NULL;
    }
}

static void leave_chain(struct queue *q, struct job *j)
{
    struct job *first = jobs_of(q, j->message);

    if (first == j) {
        if (j->sibling != NULL) {
            chains_put(&q->messages, j->sibling);
        } else {
            chains_take(&q->messages, j->message);
        }
        return;
    }
    while (first->sibling != j) {
        first = first->sibling;
    }
    first->sibling = j->sibling;
}

void job_free(struct queue *q, struct job *j)
{
    struct vqueue *v = vqueue_of(q, j);

    heap_remove(&q->timers, &j->timer);
    limited_end(q, j); /* it was called, and ends without having started */
    job_set_text(q, j, STR_EMPTY);
    job_drop_parcel(q, j);
    leave_chain(q, j);
    lane_drop(&v->lanes, j->lane);
    v->jobs--;
    vqueue_forget(q, v);
    j->site->jobs--;
    site_forget(&q->sites, j->site);
    q->counts.jobs--;
    slab_give(&q->slab, j);
}

void job_timer(struct queue *q, struct job *j)
{
    struct date at = j->flags & JOB_EXPIRING ? DATE_NEVER : j->note;
    struct heap_node *first = heap_least(&q->timers);

    if (j->state == JOB_WAITING) {
        at = j->flags & JOB_HELD ? at : date_earlier(at, j->act);
    } else if (j->state != JOB_DUE && j->state != JOB_READY) {
        at = DATE_NEVER;
    }
    if (date_is_never(at)) {
        heap_remove(&q->timers, &j->timer);
        return;
    }
    heap_put(&q->timers, &j->timer, at.ms);
    if (first == NULL || heap_least(&q->timers) != first) {
        signal_raise(&q->changed);
    }
}

static void place(struct queue *q, struct job *j, bool first)
{
    struct vqueue *v = vqueue_of(q, j);

    pause_leave(j);
    if (j->flags & JOB_ASKED) {
        act_late(q, j);
        return;
    }
    if (j->flags & JOB_HELD || j->act.ms > clock_date().ms) {
        j->state = JOB_WAITING;
        job_timer(q, j);
        return;
    }
    j->state = JOB_DUE;
    j->reason = site_admits(j->site) ? WAIT_NO_SLOT : WAIT_BACKOFF;
    v->is_overfull |= shares_saw(&v->shares, j->site, clock_date());
    if (first) {
        turns_add_first(&v->due, j->lane, j->priority, j->site, &j->link);
    } else {
        turns_add(&v->due, j->lane, j->priority, j->site, &j->link);
    }
    job_timer(q, j);
}

void job_place(struct queue *q, struct job *j)
{
    place(q, j, false);
}

void job_place_first(struct queue *q, struct job *j)
{
    place(q, j, true);
}

/* Takes a due or ready job out of its berth. */
void unberth(struct queue *q, struct job *j)
{
    struct vqueue *v = vqueue_of(q, j);

    if (j->flags & JOB_LIMITED) {
        limited_end(q, j);
    } else if (j->state == JOB_DUE) {
        turns_remove(turns_find(&v->due, j->lane, j->priority, j->site), &j->link);
    } else {
        struct queue_work *w = queue_work_of(j->work);

        must(j->state == JOB_READY);
        turns_remove(w->berth, &w->work.link);
        w->berth = NULL;
        hand_leave(q, j);
    }
}
