#include "inside.h"

#include "base/mem.h"
#include "queue/part.h"
#include "runtime/clock.h"

#include <stdlib.h>

enum { LATE_MS = 100, STUCK_MS = 2500 };

/* What was counted by walking everything. */
struct found {
    uint32_t state[JOB_STATE_COUNT], jobs;
};

static struct date now_date(void)
{
    return clock_date();
}

/* Times: act starts a waiting job, note acts on what waits, neither late (P6). */
static void judge_times(struct machine *m, const struct job *j)
{
    int64_t now = now_date().ms;
    bool held = vqueue_of(m->queue, j)->held;

    if (j->state == JOB_WAITING && date_add(j->act, LATE_MS).ms < now) {
        sim_fail(m->run, "a job still waits %lld ms after its time", (long long)(now - j->act.ms));
    }
    if ((j->state == JOB_WAITING || j->state == JOB_DUE || j->state == JOB_READY) && !held &&
        !(j->flags & JOB_EXPIRING) && date_add(j->note, LATE_MS).ms < now) {
        sim_fail(m->run, "the notice or end of a job is %lld ms late",
                 (long long)(now - j->note.ms));
    }
}

static void count_jobs(struct machine *m, struct found *found)
{
    struct queue *q = m->queue;
    struct job *first;

    for (size_t at = 0; (first = chains_any(&q->messages, &at)) != NULL; at++) {
        for (struct job *j = first; j != NULL; j = j->sibling) {
            struct found *f = &found[j->queue];

            must(j->queue < INSIDE_QUEUES_MAX);
            f->jobs++;
            f->state[j->state]++;
            judge_times(m, j);
        }
    }
}

/* ---- turns ---- */

struct berths {
    uint32_t jobs, parked, active;
};

static void judge_berth(struct sim_run *r, const struct berth *b, struct berths *sum)
{
    uint32_t count = 0;
    bool takes_turns = !b->parked && b->blocked == BERTH_OPEN && b->count > 0;

    LIST_EACH (&b->jobs, k) {
        count++;
    }
    if (count != b->count || takes_turns != berth_is_active(b)) {
        sim_fail(r, "a berth of %s holds %u jobs and counts %u; it %s turns", b->site->name, count,
                 b->count, berth_is_active(b) ? "takes" : "takes no");
    }
    if (b->parked != !site_admits(b->site) && !b->site->scouting) {
        sim_fail(r, "a berth of %s is %s, and its site %s", b->site->name,
                 b->parked ? "parked" : "not parked", b->parked ? "serves" : "rests");
    }
    sum->jobs += count;
    sum->parked += b->parked ? count : 0;
    sum->active += berth_is_active(b);
}

/* All berths of some turns, those of a level together. */
struct sorted {
    const struct berth **all;
    size_t count;
};

static int by_level(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)(*(const struct berth *const *)a)->level,
              y = (uintptr_t)(*(const struct berth *const *)b)->level;

    return (x > y) - (x < y);
}

static struct sorted sort_berths(const struct turns *t)
{
    struct sorted s = {mem_array(t->berths.count + 1, sizeof *s.all), 0};
    const struct berth *b;

    for (size_t at = 0; (b = places_any(&t->berths, &at)) != NULL; at++) {
        s.all[s.count++] = b;
    }
    qsort(s.all, s.count, sizeof *s.all, by_level);
    return s;
}

static size_t first_of(const struct sorted *s, const struct turn_level *level)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if ((uintptr_t)s->all[mid]->level < (uintptr_t)level) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void judge_lane(struct sim_run *r, const struct sorted *s, const struct turn_lane *l,
                       struct berths *sum)
{
    struct berths own = {0};
    int above = 100;

    for (const struct turn_level *level = l->levels; level != NULL; level = level->lower) {
        uint32_t berths = 0;

        if (level->priority >= above) {
            sim_fail(r, "the levels of a lane are in no order");
        }
        above = level->priority;
        for (size_t i = first_of(s, level); i < s->count && s->all[i]->level == level; i++) {
            judge_berth(r, s->all[i], &own);
            berths++;
        }
        if (berths != level->berths) {
            sim_fail(r, "a level of a lane has %u berths, and counts %u", berths, level->berths);
        }
    }
    if (own.active != l->active || heap_holds(&l->turn) != (l->active > 0)) {
        sim_fail(r, "a lane counts %u berths that take turns, and %u do", l->active, own.active);
    }
    sum->jobs += own.jobs;
    sum->parked += own.parked;
}

static void judge_turns(struct sim_run *r, const struct turns *t, uint32_t jobs)
{
    struct berths sum = {0};
    struct sorted s = sort_berths(t);
    uint64_t weights = t->unnamed.active > 0 ? t->unnamed.weight : 0;

    judge_lane(r, &s, &t->unnamed, &sum);
    LIST_EACH (&t->lanes, k) {
        const struct turn_lane *l = CONTAINER_OF(k, struct turn_lane, in_turns);

        judge_lane(r, &s, l, &sum);
        weights += l->active > 0 ? l->weight : 0;
    }
    mem_free(s.all);
    if (sum.jobs != t->jobs || sum.parked != t->parked || weights != t->weights ||
        t->jobs != jobs) {
        sim_fail(r,
                 "turns count %u jobs, %u parked, weights %llu: there are %u (%u by state), %u "
                 "parked, %llu",
                 t->jobs, t->parked, (unsigned long long)t->weights, sum.jobs, jobs, sum.parked,
                 (unsigned long long)weights);
    }
}

/* ---- queues ---- */

/* Never more slots than there are: a reload that takes some away lets none begin. */
static void judge_slots(struct sim_run *r, const struct vqueue *v, struct inside_queue *was,
                        const struct found *f)
{
    uint32_t most = was->slots > was->running ? was->slots : was->running;

    if (v->running > most && v->running > v->slots) {
        sim_fail(r, "queue %s has %u slots and %u run; before it had %u, and %u ran", v->name,
                 v->slots, v->running, was->slots, was->running);
    }
    if (f->state[JOB_RUNNING] > v->running) {
        sim_fail(r, "queue %s: %u jobs run on %u slots", v->name, f->state[JOB_RUNNING],
                 v->running);
    }
    if (v->held && was->held && v->running > was->running) {
        sim_fail(r, "queue %s is held, and started a job", v->name);
    }
    if (v->in_hand != f->state[JOB_PREPARING] + f->state[JOB_READY]) {
        sim_fail(r, "queue %s has %u in hand and counts %u", v->name,
                 f->state[JOB_PREPARING] + f->state[JOB_READY], v->in_hand);
    }
    if (v->jobs != f->jobs) {
        sim_fail(r, "queue %s has %u jobs and counts %u", v->name, f->jobs, v->jobs);
    }
    was->running = v->running;
    was->slots = v->slots;
    was->held = v->held;
}

/* Its rate has not been exceeded: what was taken comes back within the burst's time. */
static void judge_rate(struct sim_run *r, const struct vqueue *v)
{
    uint64_t burst = bucket_burst(&v->rate);
    struct when now = clock_now();

    if (v->rate.count > 0 && bucket_ready(&v->bucket, &v->rate, burst + 1, now).ns >
                                 now.ns + v->rate.period_ms * NS_PER_MS / (int64_t)v->rate.count) {
        sim_fail(r, "queue %s has started more than its rate", v->name);
    }
}

/* Whatever can go on does, at once (rule 6, PY-43). */
static void judge_idle(struct machine *m, const struct vqueue *v, struct inside_queue *was)
{
    const struct queue *q = m->queue;
    struct date now = now_date();
    bool goes = q->serving && !q->stopping && !v->held && !v->paused &&
                store_room(q->store) != STORE_STOPPED;
    bool starts = goes && v->running < v->slots && !heap_holds(&v->rate_timer);
    const struct link *kept = list_first(&v->ready.blocked_class);
    bool stuck = false;

    if (starts && turns_next(&v->ready, now) != NULL) {
        sim_fail(m->run, "queue %s has a free slot, and a job is ready for it", v->name);
    }
    if (goes && v->in_hand < hand_max(v) && turns_next(&v->due, now) != NULL) {
        sim_fail(m->run, "queue %s has room in its ready set, and a job is due for it", v->name);
    }
    if (starts && kept != NULL) {
        const struct berth *b = CONTAINER_OF((struct link *)(uintptr_t)kept, struct berth, in_why);

        stuck = !b->parked && b->count > 0 &&
                shares_ask_slot(&v->shares, b->site, now) == BERTH_OPEN;
    }
    was->stuck_ms = !stuck ? 0 : was->stuck_ms > 0 ? was->stuck_ms : now.ms;
    if (stuck && now.ms - was->stuck_ms > STUCK_MS) {
        sim_fail(m->run, "queue %s: the share of new sites has room and keeps %s back", v->name,
                 CONTAINER_OF((struct link *)(uintptr_t)kept, struct berth, in_why)->site->name);
    }
}

void inside_look(struct inside *i, struct machine *m)
{
    struct queue *q = m->queue;
    struct found found[INSIDE_QUEUES_MAX] = {0};

    if (!q->serving || q->stopping || sim_end(m->world) != SIM_RUNNING) {
        return;
    }
    must(q->vqueue_count <= INSIDE_QUEUES_MAX);
    i->looks++;
    count_jobs(m, found);
    for (uint16_t n = 0; n < q->vqueue_count; n++) {
        const struct vqueue *v = q->vqueues[n];

        if (v->name == NULL) {
            i->queues[n] = (struct inside_queue){0};
            continue;
        }
        judge_slots(m->run, v, &i->queues[n], &found[n]);
        judge_rate(m->run, v);
        judge_turns(m->run, &v->due, found[n].state[JOB_DUE]);
        judge_turns(m->run, &v->ready, found[n].state[JOB_READY]);
        judge_idle(m, v, &i->queues[n]);
    }
}
