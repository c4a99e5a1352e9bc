#include "audit.h"

#include "runtime/clock.h"

enum { WALK_MAX = 1000, SLACK_MS = 100, READY_SPARE = 64 };

/* What one look sees: the store before, the queue, the store after. */
struct look {
    struct arena arena;
    struct machine *machine;
    struct message *before, *after;
    uint32_t before_count, after_count;
    struct job_note *notes;
    uint32_t note_count;
    struct queue_depth *depths;
    uint32_t depth_count;
};

static bool see(struct look *l, struct when by)
{
    struct machine *m = l->machine;
    struct arena *a = &l->arena;
    uint64_t *ids;

    if (store_walk(m->store, 0, WALK_MAX, a, &l->before, &l->before_count, by).code != OK) {
        return false;
    }
    ids = arena_array(a, l->before_count, sizeof *ids);
    for (uint32_t i = 0; i < l->before_count; i++) {
        ids[i] = l->before[i].id;
    }
    return queue_notes(m->queue, ids, l->before_count, a, &l->notes, &l->note_count, by).code ==
               OK &&
           queue_each(m->queue, a, &l->depths, &l->depth_count, by).code == OK &&
           store_walk(m->store, 0, WALK_MAX, a, &l->after, &l->after_count, by).code == OK;
}

static uint32_t waiting_in(const struct message *m)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < m->to_count; i++) {
        count += m->to[i].state.status == RCPT_WAITING;
    }
    return count;
}

static const struct message *find(const struct message *all, uint32_t count, uint64_t id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].id == id) {
            return &all[i];
        }
    }
    return NULL;
}

/* Those that waited before and after, unchanged, waited in between. */
static uint32_t waiting_all_the_time(const struct message *before, const struct message *after)
{
    uint32_t count = 0;

    for (uint32_t i = 0; after != NULL && i < before->to_count; i++) {
        count += before->to[i].state.status == RCPT_WAITING &&
                 before->to[i].state.version == after->to[i].state.version;
    }
    return count;
}

static void judge_cover(struct look *l)
{
    for (uint32_t i = 0; i < l->before_count; i++) {
        const struct message *m = &l->before[i];
        uint32_t in_jobs = 0, at_rest = 0, /* of jobs whose results are not on their way */
            least = waiting_all_the_time(m, find(l->after, l->after_count, m->id));

        for (uint32_t k = 0; k < l->note_count; k++) {
            const struct job_note *n = &l->notes[k];
            bool at_work = n->reason == WAIT_RUNNING || n->reason == WAIT_RECORDING;

            in_jobs += n->message == m->id ? n->to_count : 0;
            at_rest += n->message == m->id && !at_work ? n->to_count : 0;
        }
        if (in_jobs < least || at_rest > waiting_in(m)) {
            sim_fail(l->machine->run, "message %016llx: %u recipients wait, and %u are in jobs",
                     (unsigned long long)m->id, waiting_in(m), in_jobs);
        }
    }
}

static bool has_free_slot(const struct look *l, struct str queue)
{
    for (uint32_t i = 0; i < l->depth_count; i++) {
        if (str_eq(l->depths[i].name, queue)) {
            return l->depths[i].running < l->depths[i].slots &&
                   l->depths[i].ready < 2 * l->depths[i].slots + READY_SPARE;
        }
    }
    return false;
}

static bool needs_until(enum wait_reason r)
{
    /* Of the rest nobody may know: when a slot is free, when the store can be written again. */
    return r == WAIT_NOT_DUE || r == WAIT_LOOKUP || r == WAIT_STRATEGY;
}

static void judge_reason(struct look *l, struct audit *a, const struct job_note *n)
{
    int64_t now = clock_date().ms;
    struct sim_run *run = l->machine->run;

    a->jobs++;
    a->reasons[n->reason]++;
    if (needs_until(n->reason) && (date_is_never(n->until) || n->until.ms + SLACK_MS < now)) {
        sim_fail(run, "job %016llx waits (%s) until %lld ms ago", (unsigned long long)n->message,
                 wait_reason_name(n->reason), (long long)(now - n->until.ms));
    }
    if (n->reason == WAIT_BACKOFF && str_is_empty(n->text)) {
        sim_fail(run, "job %016llx waits for a site that rests, and nobody says why",
                 (unsigned long long)n->message);
    }
    if (n->reason == WAIT_BACKOFF && !date_is_never(n->until) && n->until.ms + SLACK_MS < now) {
        sim_fail(run, "job %016llx (%s) waits for a rest that is over: %lld ms, %.*s",
                 (unsigned long long)n->message, n->state, (long long)(now - n->until.ms),
                 (int)n->text.len, n->text.ptr);
    }
}

static bool was_idle(const struct audit *a, uint64_t id)
{
    for (unsigned i = 0; i < a->idle_count; i++) {
        if (a->idle_ids[i] == id) {
            return true;
        }
    }
    return false;
}

static void judge_idle(struct look *l, struct audit *a)
{
    uint64_t idle[AUDIT_JOBS_MAX];
    unsigned count = 0;

    for (uint32_t i = 0; i < l->note_count; i++) {
        const struct job_note *n = &l->notes[i];

        if (n->reason != WAIT_NO_SLOT || !has_free_slot(l, n->queue)) {
            continue;
        }
        if (was_idle(a, n->message + n->first)) {
            sim_fail(l->machine->run,
                     "job %016llx (%s, of %.*s) says at %lld that %.*s has no slot, and it has",
                     (unsigned long long)n->message, n->state, STR_ARG(n->site),
                     (long long)clock_date().ms, STR_ARG(n->queue));
        }
        if (count < AUDIT_JOBS_MAX) {
            idle[count++] = n->message + n->first;
        }
    }
    memcpy(a->idle_ids, idle, count * sizeof *idle);
    a->idle_count = count;
}

void audit_look(struct audit *a, struct machine *m, struct when by)
{
    struct look l = {.machine = m};

    if (see(&l, by) && sim_end(m->world) == SIM_RUNNING) {
        a->looks++;
        judge_cover(&l);
        for (uint32_t i = 0; i < l.note_count; i++) {
            judge_reason(&l, a, &l.notes[i]);
        }
        judge_idle(&l, a);
        (void)machine_counts(m, by);
    }
    arena_done(&l.arena);
}
