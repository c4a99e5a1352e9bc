#include "queue/job.h"

#include "base/mem.h"

static const char *const state_names[] = {"waiting", "due",       "preparing", "ready",
                                          "running", "recording", "recording", "recording"};

_Static_assert(COUNT_OF(state_names) == JOB_STATE_COUNT, "one name for each state");

const char *job_state_name(enum job_state s)
{
    return state_names[s];
}

struct date job_note_date(const struct rcpt_state *s, bool *is_end)
{
    struct date end = date_earlier(s->expires, s->deadline);

    if (s->held_since.ms > 0) {
        *is_end = true;
        return s->held_drop.ms > 0 ? s->held_drop : DATE_NEVER;
    }
    *is_end = end.ms <= s->notice.ms;
    return date_earlier(end, s->notice);
}

/* Attempts count too: recipients with the same past share their future. */
static bool same_job(const struct rcpt_state *a, const struct rcpt_state *b)
{
    return a->next.ms == b->next.ms && a->attempts == b->attempts && a->notice.ms == b->notice.ms &&
           a->expires.ms == b->expires.ms && a->deadline.ms == b->deadline.ms &&
           a->held_since.ms == b->held_since.ms && a->held_drop.ms == b->held_drop.ms &&
           str_eq(a->queue, b->queue) && str_eq(a->site, b->site) && str_eq(a->lane, b->lane);
}

static uint64_t job_hash(const struct rcpt_state *s)
{
    uint64_t h = (uint64_t)s->next.ms * 31 + s->attempts;

    h = str_hash(s->queue, h);
    h = str_hash(s->lane, h);
    return str_hash(s->site, h);
}

uint32_t job_members(const struct message *m, uint32_t first, struct arena *a, uint32_t **ret)
{
    const struct rcpt_state *like;
    uint32_t count = 0;

    must(first < m->to_count);
    like = &m->to[first].state;
    *ret = arena_array(a, m->to_count - first, sizeof **ret);
    for (uint32_t i = first; i < m->to_count; i++) {
        const struct rcpt_state *s = &m->to[i].state;

        if (s->status == RCPT_WAITING && same_job(s, like)) {
            (*ret)[count++] = i;
        }
    }
    return count;
}

/* An open table of spec numbers (plus one), by what makes recipients equal. */
struct grouping {
    const struct message *m;
    uint32_t *slots;
    uint32_t size;
    struct job_spec *specs;
    uint32_t count;
};

static void add(struct grouping *g, uint32_t index)
{
    const struct rcpt_state *s = &g->m->to[index].state;
    uint32_t at = (uint32_t)job_hash(s) & (g->size - 1);
    struct job_spec *spec;

    while (g->slots[at] != 0) {
        spec = &g->specs[g->slots[at] - 1];
        if (same_job(s, &g->m->to[spec->first].state)) {
            spec->to_count++;
            return;
        }
        at = (at + 1) & (g->size - 1);
    }
    spec = &g->specs[g->count++];
    g->slots[at] = g->count;
    *spec = (struct job_spec){.first = index,
                              .to_count = 1,
                              .act = s->next,
                              .attempts = s->attempts < 255 ? (uint8_t)s->attempts : 255,
                              .priority = g->m->priority,
                              .queue = s->queue,
                              .lane = s->lane,
                              .site = s->site};
    spec->is_held = s->held_since.ms > 0;
    spec->note = job_note_date(s, &spec->note_is_end);
}

uint32_t job_group(const struct message *m, const uint32_t *only, uint32_t only_count,
                   struct arena *a, struct job_spec **ret)
{
    uint32_t count = only ? only_count : m->to_count;
    struct grouping g = {.m = m, .size = 4};

    while (g.size < count * 2) {
        g.size *= 2;
    }
    g.slots = arena_array(a, g.size, sizeof *g.slots);
    g.specs = arena_array(a, count, sizeof *g.specs);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = only ? only[i] : i;

        if (m->to[index].state.status == RCPT_WAITING) {
            add(&g, index);
        }
    }
    *ret = g.specs;
    return g.count;
}
