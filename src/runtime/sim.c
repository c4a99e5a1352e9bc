#include "runtime/sim.h"

#include "base/mem.h"
#include "runtime/sim_part.h"
#include "runtime/sim_wire.h"

#include <stdio.h>

/*
 * Measured on the real world (GCC 12 -O2, x86-64, 2 cores, 2026-11), rounded up: a fiber that
 * yields alone, a hundred that yield, up to 4 KiB sent and received over loopback TCP, and a post
 * bounced between two loops that both sleep.
 */
static const struct sim_costs measured = {
    .turn = 350, .fiber = 80, .post = 20, .call = 2000, .kbyte = 60, .wake = 16000};

struct sim_world *sim_of(struct world *w)
{
    must(w->ops->simulated);
    return CONTAINER_OF(w, struct sim_world, world);
}

struct sim_world *sim_here(void)
{
    struct loop *l = loop_self();

    must(l != NULL);
    return sim_of(l->world);
}

static struct sim_loop *own(struct loop *l)
{
    return l->backend;
}

/* ---- alarms and pauses ---- */

void alarm_set(struct sim_world *w, struct alarm *a, struct when at)
{
    heap_put(&w->alarms, &a->node, at.ns < w->now.ns ? w->now.ns : at.ns);
}

void alarm_clear(struct sim_world *w, struct alarm *a)
{
    heap_remove(&w->alarms, &a->node);
}

static void pause_over(struct alarm *a)
{
    struct pause *p = CONTAINER_OF(a, struct pause, alarm);

    p->over = true;
    fiber_wake_with(p->fiber, OK);
}

bool sim_pause(struct sim_world *w, const char *what, int64_t ns)
{
    struct pause p = {.alarm.ring = pause_over, .fiber = fiber_self()};

    if (w->dead) {
        return false;
    }
    must(p.fiber != NULL);
    alarm_set(w, &p.alarm, when_add(w->now, ns));
    list_push(&w->pauses, &p.link);
    while (!p.over) {
        fiber_wait_firm(what, WHEN_NEVER);
    }
    list_remove(&p.link);
    return !w->dead;
}

void sim_charge(int64_t ns)
{
    struct loop *l = loop_self();

    if (world_is_simulated()) {
        own(l)->bill += ns;
    }
}

void sim_bill(struct sim_world *w, size_t bytes)
{
    const struct sim_costs *c = &w->options.costs;

    sim_charge(c->call + (int64_t)(bytes / 1024) * c->kbyte);
}

/* ---- crashes ---- */

void sim_crash(struct world *world)
{
    struct sim_world *w = sim_of(world);

    if (w->dead) {
        return;
    }
    if (w->end == SIM_RUNNING) {
        w->end = SIM_CRASHED;
        sim_fault(world, "crash");
    }
    w->dead = true;
    alarm_clear(w, &w->crash);
    wires_crash(w);
    LIST_EACH (&w->pauses, k) {
        struct pause *p = CONTAINER_OF(k, struct pause, link);

        if (!p->over) {
            alarm_clear(w, &p->alarm);
            pause_over(&p->alarm);
        }
    }
    for (unsigned i = 0; i < world->loop_count; i++) {
        world->loops[i]->cancelled = true;
        group_cancel(&world->loops[i]->main);
    }
}

static void crash_now(struct alarm *a)
{
    sim_crash(&CONTAINER_OF(a, struct sim_world, crash)->world);
}

void sim_crash_after(struct world *world, int64_t ns)
{
    struct sim_world *w = sim_of(world);

    alarm_set(w, &w->crash, when_add(w->now, ns));
}

void sim_crash_at(struct world *world, const char *point, uint64_t nth)
{
    struct sim_world *w = sim_of(world);

    must(w->armed_count < ARMED_MAX);
    must(nth > 0);
    w->armed[w->armed_count].point = point;
    w->armed[w->armed_count++].left = nth;
}

/* ---- running ---- */

static void census_line(void *ctx, const struct fiber_note *note)
{
    fprintf(stderr, "  %s: %s/%s waits for %s since %lld until %lld%s\n", (const char *)ctx,
            note->group, note->name, note->what ? note->what : "its turn",
            (long long)note->since.ns,
            when_is_never(note->until) ? -1LL : (long long)note->until.ns,
            note->cancelled ? ", cancelled" : "");
}

static void say_who_waits(struct sim_world *w, const char *why)
{
    fprintf(stderr, "simulation: %s; seed %llu, now %lld, %llu turns\n", why,
            (unsigned long long)w->options.seed, (long long)w->now.ns,
            (unsigned long long)w->turns);
    for (unsigned i = 0; i < w->world.loop_count; i++) {
        loop_enter(w->world.loops[i]);
        fiber_census(census_line, (char *)(uintptr_t)w->world.loops[i]->name);
        loop_leave();
    }
}

struct date sim_date(const struct sim_world *w)
{
    return date_add(w->options.start, w->now.ns / NS_PER_MS + w->stepped_ms);
}

static void set_clocks(struct sim_world *w, struct loop *l)
{
    l->now = w->now;
    l->date = sim_date(w);
}

static void start_mains(struct sim_world *w)
{
    for (unsigned i = 0; i < w->world.loop_count; i++) {
        struct loop *l = w->world.loops[i];

        if (!own(l)->started) {
            own(l)->started = true;
            loop_enter(l);
            set_clocks(w, l);
            loop_start_main(l);
            loop_leave();
        }
    }
}

/* When the loop can turn next. */
static struct when next_turn(const struct loop *l)
{
    const struct sim_loop *s = l->backend;
    struct when at = loop_next_timer(l);

    if (loop_is_over(l)) {
        return WHEN_NEVER;
    }
    if (!list_is_empty(&l->ready)) {
        return s->busy_until;
    }
    if (loop_has_work(l)) {
        at = when_earlier(at, s->heard);
    }
    return at.ns > s->busy_until.ns ? at : s->busy_until;
}

static void turn(struct sim_world *w, struct loop *l)
{
    const struct sim_costs *c = &w->options.costs;
    struct sim_loop *s = own(l);
    uint64_t fibers = l->fibers_run, posts = l->posts_run;
    int64_t cost;

    loop_enter(l);
    set_clocks(w, l);
    s->bill = c->turn;
    loop_turn(l);
    loop_leave();
    cost = s->bill + (int64_t)(l->fibers_run - fibers) * c->fiber +
           (int64_t)(l->posts_run - posts) * c->post;
    s->busy_until = when_add(w->now, cost + rng_time(&w->rng, cost));
    w->turns++;
    w->digest = (w->digest ^ (uint64_t)w->now.ns ^ (uint64_t)l->index << 56) * 0x100000001b3u;
}

/* Rings what is due, then turns one loop that can turn now, whichever the seed says; false when
 * there is none. */
static bool step(struct sim_world *w)
{
    struct loop *chosen = NULL;
    struct heap_node *n;
    uint64_t candidates = 0;

    while ((n = heap_due(&w->alarms, w->now.ns)) != NULL) {
        struct alarm *a = CONTAINER_OF(n, struct alarm, node);

        heap_remove(&w->alarms, n);
        a->ring(a);
    }
    start_mains(w);
    for (unsigned i = 0; i < w->world.loop_count; i++) {
        if (next_turn(w->world.loops[i]).ns <= w->now.ns && rng_below(&w->rng, ++candidates) == 0) {
            chosen = w->world.loops[i];
        }
    }
    if (chosen != NULL) {
        turn(w, chosen);
    }
    return chosen != NULL;
}

static struct when next_event(const struct sim_world *w)
{
    struct when next = {heap_least_key(&w->alarms)};

    for (unsigned i = 0; i < w->world.loop_count; i++) {
        next = when_earlier(next, next_turn(w->world.loops[i]));
    }
    return next;
}

static bool is_over(const struct sim_world *w)
{
    for (unsigned i = 0; i < w->world.loop_count; i++) {
        if (!loop_is_over(w->world.loops[i])) {
            return false;
        }
    }
    return true;
}

/* The world cannot go on: it is crashed, and what unwinds gets another hour. */
static void give_up(struct sim_world *w, enum sim_end end, const char *why)
{
    say_who_waits(w, why);
    if (w->end == SIM_STUCK || w->end == SIM_TOO_LONG) {
        never("a simulated world did not end even when crashed");
    }
    w->end = end;
    w->dead = false;
    sim_crash(&w->world);
    w->options.turns_max += 1000 * 1000;
    w->options.time_max_ms += 3600 * 1000;
}

static void sim_run(struct world *world)
{
    struct sim_world *w = sim_of(world);
    struct when start = w->now, next;

    start_mains(w);
    while (!is_over(w)) {
        if (step(w)) {
            if (w->turns > w->options.turns_max) {
                give_up(w, SIM_TOO_LONG, "too many turns");
            }
            continue;
        }
        next = next_event(w);
        if (when_is_never(next)) {
            give_up(w, SIM_STUCK, "all wait, and nothing can come");
        } else if ((next.ns - start.ns) / NS_PER_MS > w->options.time_max_ms) {
            give_up(w, SIM_TOO_LONG, "too much virtual time");
        } else {
            must(next.ns >= w->now.ns);
            w->now = next;
        }
    }
    w->end = w->end == SIM_RUNNING ? SIM_OVER : w->end;
    sim_log_end(w);
}

/* ---- what the runtime asks of a world ---- */

static void sim_loop_new(struct loop *l)
{
    struct sim_world *w = sim_of(l->world);
    struct sim_loop *s = MEM_NEW(struct sim_loop);

    s->rng.state = rng_next(&w->rng);
    l->backend = s;
    set_clocks(w, l);
}

static void sim_loop_free(struct loop *l)
{
    mem_free(l->backend);
}

static void sim_wake(struct loop *l)
{
    struct sim_world *w = sim_of(l->world);
    int64_t cost = w->options.costs.wake;

    own(l)->heard = when_add(w->now, cost / 2 + rng_time(&w->rng, cost));
}

static void sim_random(struct loop *l, uint64_t *at, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        at[i] = rng_next(&own(l)->rng);
    }
}

/* The work itself is done at once; the caller waits a little, as it would in life, so that what it
 * had checked before can have changed. */
static void sim_offload(const char *what, void (*fn)(void *), void *arg, struct when by)
{
    struct sim_world *w = sim_here();

    (void)by;
    fn(arg);
    sim_pause(w, what, w->options.costs.wake + rng_time(&w->rng, 2 * w->options.costs.wake));
}

static void sim_free(struct world *world)
{
    struct sim_world *w = sim_of(world);

    net_done(w);
    mounts_done(w);
    world_done(world);
    heap_done(&w->alarms);
    buf_done(&w->log);
    mem_free(w);
}

static const struct world_ops sim_ops = {
    .simulated = true,
    .loop_new = sim_loop_new,
    .loop_free = sim_loop_free,
    .run = sim_run,
    .wake = sim_wake,
    .random = sim_random,
    .offload = sim_offload,
    .connect = net_connect,
    .listen = net_listen,
    .disk_open = mounts_open,
    .log = sim_log_event,
    .free = sim_free,
};

struct world *sim_world(const struct sim_options *o)
{
    struct sim_world *w = MEM_NEW(struct sim_world);
    struct sim_options *mine = &w->options;

    world_init(&w->world, &sim_ops);
    *mine = o ? *o : (struct sim_options){0};
    mine->start.ms = mine->start.ms ? mine->start.ms : 1767225600000;
    mine->time_max_ms = mine->time_max_ms ? mine->time_max_ms : 400LL * 86400 * 1000;
    mine->turns_max = mine->turns_max ? mine->turns_max : (uint64_t)1 << 32;
    mine->costs = mine->costs.turn ? mine->costs : measured;
    if (mine->local_v4.family == 0) {
        must(addr_parse_ip(STR("192.0.2.1"), &mine->local_v4));
    }
    if (mine->local_v6.family == 0) {
        must(addr_parse_ip(STR("2001:db8::1"), &mine->local_v6));
    }
    w->rng.state = mine->seed;
    w->digest = 0xcbf29ce484222325u;
    /* Not zero, so that nobody takes an unset time for a true one. */
    w->now.ns = 1000 * NS_PER_S;
    mine->start.ms -= w->now.ns / NS_PER_MS;
    w->crash.ring = crash_now;
    list_init(&w->pauses);
    list_init(&w->mounts);
    net_init(w);
    return &w->world;
}

enum sim_end sim_end(const struct world *w)
{
    return sim_of((struct world *)(uintptr_t)w)->end;
}

struct when sim_now(const struct world *w)
{
    return sim_of((struct world *)(uintptr_t)w)->now;
}

void sim_step_date(struct world *world, int64_t ms)
{
    struct sim_world *w = sim_of(world);

    sim_fault(world, "clock-step");
    w->stepped_ms += ms;
}
