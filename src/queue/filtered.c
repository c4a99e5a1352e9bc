/*
 * What filters want of recipients after an attempt, made as an operator's action is: read from the
 * store, computed here, recorded by the queue compare-and-set. See act.h.
 */
#include "base/mem.h"
#include "mail/envelope.h"
#include "queue/job.h"
#include "queue/operate.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "store/store.h"

/* Looks at what is between two states, 10 ms apart, then 20, 30 ... */
enum { ROUNDS = 14, ROUND_MS = 10 };

struct filtering {
    struct queue *queue;
    struct store *store;
    struct action action;
    struct action_change *changes;
    uint32_t count;
    const struct message *message;
    struct arena *arena;
    struct action_batch batch;
    bool is_open; /* something was between two states */
};

static struct action_job *item_new(struct filtering *f, uint32_t first)
{
    struct action_job *item = &f->batch.jobs[f->batch.count++];

    *item = (struct action_job){.about = f->message, .first = first};
    item->ask.action = &f->action;
    return item;
}

/* What would become of them; an item of which nothing would is not asked for. */
static void settle(struct filtering *f, struct action_job *item, struct when by)
{
    struct acting k = {queue_asker(f->queue), clock_date(), f->arena};

    item->ask.meant = item->to; /* the action itself says of whom it wants something */
    item->ask.meant_count = item->to_count;
    item->results = arena_array(f->arena, item->to_count, sizeof *item->results);
    item->keeps = arena_array(f->arena, item->to_count, sizeof *item->keeps);
    item->changed = act_states(&item->ask, f->message, item->to, item->to_count, &k, item->results,
                               item->keeps, by)
                        .changed;
    if (item->changed == 0) {
        f->batch.count--;
    }
}

static void add_items(struct filtering *f, struct when by)
{
    struct job_spec *specs;
    uint32_t count = job_group(f->message, NULL, 0, f->arena, &specs);

    f->batch = (struct action_batch){0};
    f->batch.jobs = arena_array(f->arena, count + f->count, sizeof *f->batch.jobs);
    for (uint32_t i = 0; i < count; i++) {
        struct action_job *item = item_new(f, specs[i].first);

        item->to_count = job_members(f->message, specs[i].first, f->arena, &item->to);
        settle(f, item, by);
    }
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t index = f->changes[i].index;
        struct action_job *item;

        if (index < f->message->to_count && f->message->to[index].state.status == RCPT_FAILED) {
            item = item_new(f, index);
            item->is_ended = true;
            item->to = arena_array(f->arena, 1, sizeof *item->to);
            item->to[0] = index;
            item->to_count = 1;
            settle(f, item, by);
        }
    }
}

static void note_done(struct filtering *f, uint32_t index, const struct rcpt_state *is)
{
    for (uint32_t i = 0; i < f->count; i++) {
        if (f->changes[i].index == index) {
            f->changes[i].is_done = true;
            f->changes[i].next = is->next;
            f->changes[i].notice = is->notice;
        }
    }
}

static void note_fates(struct filtering *f)
{
    f->is_open = false;
    for (uint32_t i = 0; i < f->batch.count; i++) {
        const struct action_job *item = &f->batch.jobs[i];

        f->is_open = f->is_open || item->fate == FATE_CHANGED;
        for (uint32_t n = 0; n < item->to_count && item->fate == FATE_DONE; n++) {
            if (!item->keeps[n]) {
                note_done(f, item->to[n], &item->results[n]);
            }
        }
    }
}

static struct err once(struct filtering *f, uint64_t message, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct message *m;
    uint32_t found;
    struct err e = store_walk(f->store, message - 1, 1, &a, &m, &found, by);

    f->is_open = false;
    if (e.code != OK) {
        return e;
    }
    if (found == 0 || m->id != message) {
        return err_of(ERR_NOT_FOUND);
    }
    f->message = m;
    f->arena = &a;
    add_items(f, by);
    queue_act(f->queue, &f->batch, by);
    note_fates(f);
    return ERR_OK;
}

struct err queue_filter(struct queue *q, struct store *s, uint64_t message,
                        struct action_change *changes, uint32_t count, struct when by)
{
    struct filtering f = {.queue = q,
                          .store = s,
                          .action = {.kind = ACTION_FILTER,
                                     .filter = STR_EMPTY,
                                     .changes = changes,
                                     .change_count = count},
                          .changes = changes,
                          .count = count,
                          .is_open = true};
    struct err e = ERR_OK;

    for (int round = 1; round <= ROUNDS && f.is_open && e.code == OK; round++) {
        e = once(&f, message, by);
        if (e.code == OK && f.is_open) {
            e = fiber_sleep(when_after((int64_t)round * ROUND_MS), by);
        }
    }
    return e;
}
