#include "queue/operate.h"

#include "base/check.h"
#include "mail/envelope.h"
#include "queue/job.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "store/store.h"

/* BATCH: messages read at once. TURN: evaluations after which others on this loop are let in.
 * ROUNDS: looks at what is between two states, 10 ms apart, then 20, 30 ... */
enum { BATCH = 256, TURN = 500, ROUNDS = 14, ROUND_MS = 10 };

/* Recipients of one message that are still to be settled. */
struct open_rcpts {
    uint64_t id;
    const uint32_t *to; /* rising */
    uint32_t count;
};

struct batch {
    struct operation *o;
    struct arena arena;
    struct action_batch act;
    uint32_t size; /* of act.jobs */
    uint64_t evaluated;
};

/* ---- which recipients ---- */

static bool is_open(const struct open_rcpts *open, uint32_t index)
{
    for (uint32_t i = 0; open != NULL && i < open->count; i++) {
        if (open->to[i] == index) {
            return true;
        }
    }
    return open == NULL;
}

/* One bool a recipient; how many. `open`: only among these, which were chosen before. */
static uint32_t choose(struct batch *b, const struct message *m, const struct open_rcpts *open,
                       bool *meant)
{
    struct operation *o = b->o;
    uint32_t count = 0;

    for (uint32_t i = 0; i < m->to_count && o->failed == NULL; i++) {
        struct arena scratch ARENA_LOCAL = {0};

        if (!is_open(open, i)) {
            continue;
        }
        if (m->to[i].state.status != RCPT_WAITING) {
            o->ended += open != NULL;
            continue;
        }
        meant[i] = open != NULL || o->selection == NULL ||
                   select_match(o->selection, m, &m->to[i], clock_date(), &scratch, &o->failed);
        count += meant[i];
        b->evaluated++;
    }
    return count;
}

/* ---- their jobs ---- */

static struct action_job *item_new(struct batch *b)
{
    struct action_batch *act = &b->act;

    if (act->count == b->size) {
        struct action_job *more = arena_array(&b->arena, b->size ? b->size * 2 : BATCH,
                                              sizeof *more);

        if (act->count > 0) {
            memcpy(more, act->jobs, act->count * sizeof *more);
        }
        act->jobs = more;
        b->size = b->size ? b->size * 2 : BATCH;
    }
    act->jobs[act->count] = (struct action_job){0};
    return &act->jobs[act->count++];
}

static uint32_t held_among(const struct message *m, const struct ask *ask)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < ask->meant_count; i++) {
        count += m->to[ask->meant[i]].state.held_since.ms > 0;
    }
    return count;
}

/* What would become of the meant recipients of one job; kept when the queue is to be asked. */
static void add_job(struct batch *b, const struct message *m, uint32_t first, const bool *meant,
                    struct when by)
{
    struct operation *o = b->o;
    struct action_batch *act = &b->act;
    struct action_job *item = item_new(b);
    struct acting k = {queue_asker(o->queue), clock_date(), &b->arena};
    struct act_effects effects;
    uint32_t *those = NULL, rest;

    item->about = m;
    item->first = first;
    item->ask.action = o->action;
    item->to_count = job_members(m, first, &b->arena, &item->to);
    those = arena_array(&b->arena, item->to_count, sizeof *those);
    for (uint32_t i = 0; i < item->to_count; i++) {
        if (meant[item->to[i]]) {
            those[item->ask.meant_count++] = item->to[i];
        }
    }
    item->ask.meant = those;
    if (item->ask.meant_count == 0) {
        act->count--;
        return;
    }
    item->results = arena_array(&b->arena, item->to_count, sizeof *item->results);
    item->keeps = arena_array(&b->arena, item->to_count, sizeof *item->keeps);
    effects = act_states(&item->ask, m, item->to, item->to_count, &k, item->results, item->keeps,
                         by);
    item->changed = effects.changed;
    item->undecided = effects.undecided;
    rest = item->ask.meant_count - item->changed - item->undecided;
    if (o->dry_run) {
        o->done += item->changed;
    } else if (item->changed > 0 || (o->action->kind == ACTION_RETRY && o->action->at.ms == 0 &&
                                     held_among(m, &item->ask) == 0)) {
        return;
    }
    if (o->action->kind == ACTION_RETRY || o->action->kind == ACTION_RESCHEDULE) {
        uint32_t held = held_among(m, &item->ask);

        o->held += held;
        rest -= held;
    }
    o->unchanged += rest;
    o->failed_to += item->undecided;
    act->count--;
}

static void add_message(struct batch *b, const struct message *m, const struct open_rcpts *open,
                        struct when by)
{
    struct arena *a = &b->arena;
    bool *meant = arena_array(a, m->to_count, sizeof *meant);
    uint32_t count = choose(b, m, open, meant), specs_count;
    struct job_spec *specs;

    if (count == 0 || b->o->failed != NULL) {
        return;
    }
    if (open == NULL) {
        b->o->messages++;
        b->o->recipients += count;
    }
    specs_count = job_group(m, NULL, 0, a, &specs);
    for (uint32_t i = 0; i < specs_count; i++) {
        add_job(b, m, specs[i].first, meant, by);
    }
}

/* ---- the queue's answers ---- */

static void count_fate(struct operation *o, const struct action_job *item)
{
    uint32_t meant = item->ask.meant_count;

    switch (item->fate) {
    case FATE_DONE:
        o->done += item->changed;
        o->unchanged += meant - item->changed - item->undecided;
        o->failed_to += item->undecided;
        break;
    case FATE_REQUESTED:
        o->requested += meant;
        break;
    case FATE_RUNNING:
        o->running += meant;
        break;
    case FATE_FAILED:
        o->failed_to += meant;
        break;
    case FATE_OPEN:
    case FATE_CHANGED:
        break;
    }
}

/* Recipients whose job was between two states, as a list in `a`. */
static uint32_t still_open(const struct action_batch *act, struct arena *a, struct open_rcpts **ret)
{
    uint32_t count = 0;

    *ret = arena_array(a, act->count, sizeof **ret);
    for (uint32_t i = 0; i < act->count; i++) {
        const struct action_job *item = &act->jobs[i];

        if (item->fate == FATE_CHANGED) {
            uint32_t *to = arena_array(a, item->ask.meant_count, sizeof *to);

            memcpy(to, item->ask.meant, item->ask.meant_count * sizeof *to);
            (*ret)[count++] = (struct open_rcpts){item->about->id, to, item->ask.meant_count};
        }
    }
    return count;
}

static void act(struct batch *b, struct when by)
{
    queue_act(b->o->queue, &b->act, by);
    for (uint32_t i = 0; i < b->act.count; i++) {
        count_fate(b->o, &b->act.jobs[i]);
    }
}

static struct err look_again(struct operation *o, const struct open_rcpts *open, uint32_t count,
                             bool insists, struct arena *a, struct open_rcpts **ret,
                             uint32_t *ret_count, struct when by)
{
    struct batch b = {.o = o, .act.insists = insists};
    struct err e = ERR_OK;

    for (uint32_t i = 0; i < count && e.code == OK; i++) {
        struct message *m;
        uint32_t found;

        e = store_walk(o->store, open[i].id - 1, 1, &b.arena, &m, &found, by);
        if (e.code == OK && found == 1 && m->id == open[i].id) {
            add_message(&b, m, &open[i], by);
        } else if (e.code == OK) {
            o->ended += open[i].count;
        }
    }
    if (e.code == OK && o->failed == NULL) {
        act(&b, by);
        *ret_count = still_open(&b.act, a, ret);
    }
    arena_done(&b.arena);
    return e;
}

static struct err settle(struct operation *o, const struct action_batch *first, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct open_rcpts *open;
    uint32_t count = still_open(first, &a, &open);
    struct err e = ERR_OK;

    for (int round = 1; round <= ROUNDS && count > 0 && e.code == OK; round++) {
        e = fiber_sleep(when_after((int64_t)round * ROUND_MS), by);
        if (e.code == OK) {
            e = look_again(o, open, count, round == ROUNDS, &a, &open, &count, by);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        o->failed_to += open[i].count; /* it never stood still */
    }
    return e;
}

/* ---- all of it ---- */

static struct err take_batch(struct operation *o, const struct message *messages, uint32_t count,
                             struct when by)
{
    struct batch b = {.o = o};
    struct err e = ERR_OK;

    for (uint32_t i = 0; i < count && o->failed == NULL && e.code == OK; i++) {
        add_message(&b, &messages[i], NULL, by);
        if (b.evaluated > TURN) {
            b.evaluated = 0;
            e = fiber_yield(by);
        }
    }
    if (o->failed != NULL) {
        e = err_of(ERR_CONFIG);
    }
    if (e.code == OK && !o->dry_run) {
        act(&b, by);
        e = settle(o, &b.act, by);
    }
    arena_done(&b.arena);
    if (o->progress != NULL) {
        o->progress(o->ctx, o);
    }
    return e;
}

static struct err operate_on_ids(struct operation *o, struct when by)
{
    struct err e = ERR_OK;

    for (size_t i = 0; i < o->id_count && e.code == OK; i++) {
        struct arena a ARENA_LOCAL = {0};
        struct message *m;
        uint32_t count;

        e = store_walk(o->store, o->ids[i] - 1, 1, &a, &m, &count, by);
        if (e.code == OK && count == 1 && m->id == o->ids[i]) {
            e = take_batch(o, m, 1, by);
        } else if (e.code == OK && o->missing != NULL) {
            o->missing(o->ctx, o->ids[i]);
        }
    }
    return e;
}

struct err queue_operate(struct operation *o, struct when by)
{
    struct err ready = queue_ready(o->queue, by); /* a job that is not in memory cannot be asked */
    uint64_t after = 0;

    if (ready.code != OK) {
        return ready;
    }
    if (o->ids != NULL) {
        return operate_on_ids(o, by);
    }
    for (;;) {
        struct arena a ARENA_LOCAL = {0};
        struct message *messages;
        uint32_t count;
        struct err e = store_walk(o->store, after, BATCH, &a, &messages, &count, by);

        if (e.code != OK || count == 0) {
            return e;
        }
        after = messages[count - 1].id;
        e = take_batch(o, messages, count, by);
        if (e.code != OK) {
            return e;
        }
    }
}
