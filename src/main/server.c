#include "main/server.h"

#include "base/mem.h"
#include "main/limits.h"
#include "main/part.h"
#include "runtime/log.h"
#include "runtime/memory.h"
#include "store/settings.h"

#include <signal.h>

/* ---- the queue's way to delivery, which is made once the resolver is there ---- */

static void prepare(void *ctx, struct work *w)
{
    const struct queue_ops *ops = delivery_ops(((struct server *)ctx)->delivery);

    ops->prepare(ops->ctx, w);
}

static void run(void *ctx, struct slot *slot, struct work *w)
{
    const struct queue_ops *ops = delivery_ops(((struct server *)ctx)->delivery);

    ops->run(ops->ctx, slot, w);
}

static void note(void *ctx, struct work *w)
{
    const struct queue_ops *ops = delivery_ops(((struct server *)ctx)->delivery);

    ops->note(ops->ctx, w);
}

static void report(void *ctx, uint64_t message)
{
    const struct queue_ops *ops = delivery_ops(((struct server *)ctx)->delivery);

    ops->report(ops->ctx, message);
}

static void recorded(void *ctx, struct work *w)
{
    const struct queue_ops *ops = delivery_ops(((struct server *)ctx)->delivery);

    ops->recorded(ops->ctx, w);
}

/* ---- who lives where ---- */

static void store_main(void *arg)
{
    struct server *s = arg;

    store_serve(s->store, &s->store_result, &s->store_why);
    stage_done(&s->store_end);
}

static void queue_main(void *arg)
{
    struct server *s = arg;

    stage_wait(&s->queue_start, WHEN_NEVER);
    queue_serve(s->queue);
    stage_done(&s->queue_end);
}

static void worker_main(void *arg)
{
    struct worker *w = arg;
    struct server *s = w->server;

    stage_wait(&w->start, WHEN_NEVER);
    if (s->delivery != NULL) {
        delivery_loop_start(s->delivery, w->index);
    }
    stage_done(&w->start);
    inbound_serve(s->inbound, w->index);
    stage_wait(&w->stop, WHEN_NEVER);
    if (s->delivery != NULL) {
        delivery_loop_stop(s->delivery, w->index, WHEN_NEVER);
    }
    stage_done(&w->stop);
    /* The queue may still have posted work: it is answered (given up) as long as this loop lives.
     */
    stage_wait(&w->last, WHEN_NEVER);
    if (s->delivery != NULL) {
        delivery_loop_stop(s->delivery, w->index, WHEN_NEVER);
    }
    engine_loop_stop(s->engine, WHEN_NEVER);
    stage_done(&w->last);
}

static void watch_signals(void *arg)
{
    struct server *s = arg;
    int number;

    while (signals_wait(&number, WHEN_NEVER).code == OK) {
        if (number == SIGHUP) {
            s->want_reload = true;
        } else if (s->stop) {
            group_cancel(&s->life); /* the second time: now */
        } else {
            s->stop = true;
        }
        signal_raise(&s->wake);
    }
}

static void home_main(void *arg)
{
    struct server *s = arg;

    signal_init(&s->wake);
    group_init(&s->life, "life", 1);
    group_init(&s->signals, "signals", 3);
    must(group_spawn_now(&s->signals, "signals", watch_signals, s).code == OK);
    must(group_spawn_now(&s->life, "life", life, s).code == OK);
    if (!world_is_simulated()) {
        must(group_spawn_now(&s->signals, "memory", memory_watch, NULL).code == OK);
    }
    (void)group_join(&s->life, WHEN_NEVER);
    group_cancel(&s->signals);
    (void)group_join(&s->signals, WHEN_NEVER);
}

/* ---- building and taking down ---- */

static void set_stage(struct stage *stage, struct loop *loop, struct loop *home)
{
    stage->loop = loop;
    stage->home = home;
}

/* With few processors the loops that decide live with those that work: a thread more than there are
 * processors costs a switch for every post. */
static void share_threads(struct server *s)
{
    if (s->worker_count < THREADS_APART_MIN) {
        loop_share(s->workers[0].loop, s->home);
        loop_share(s->queue_loop, s->home);
        loop_share(s->store_loop, s->worker_count > 1 ? s->workers[1].loop : s->home);
    }
}

static void build_loops(struct server *s)
{
    s->home = world_loop(s->world, "home");
    s->store_loop = world_loop(s->world, "store");
    s->queue_loop = world_loop(s->world, "queue");
    loop_main(s->home, home_main, s);
    loop_main(s->store_loop, store_main, s);
    loop_main(s->queue_loop, queue_main, s);
    set_stage(&s->store_end, s->store_loop, s->home);
    set_stage(&s->queue_start, s->queue_loop, s->home);
    set_stage(&s->queue_end, s->queue_loop, s->home);
    for (unsigned i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];

        w->server = s;
        w->index = i;
        w->loop = world_loop(s->world, "work");
        set_stage(&w->start, w->loop, s->home);
        set_stage(&w->stop, w->loop, s->home);
        set_stage(&w->last, w->loop, s->home);
        loop_main(w->loop, worker_main, w);
    }
    share_threads(s);
}

/* Inbound may use what descriptors are left beside two for each slot, and 256 for the rest. */
static uint32_t sessions_for(const struct server *s)
{
    uint64_t slots = 0, taken;

    for (size_t i = 0; i < s->now.plan->queue_count; i++) {
        slots += s->now.plan->queues[i].settings->concurrency;
    }
    taken = 2 * slots + 256;
    return s->options.descriptors > taken + 16 ? (uint32_t)(s->options.descriptors - taken) : 16;
}

static struct err reload_for_admin(void *ctx, struct buf *lines, struct when by)
{
    return reload(ctx, lines, by);
}

static void build_admin(struct server *s)
{
    struct loop *loops[WORKERS_MAX + 3] = {s->home, s->store_loop, s->queue_loop};
    struct admin_options o = {.loops = loops,
                              .loop_count = 3 + s->worker_count,
                              .queue = s->queue,
                              .store = s->store,
                              .inbound = s->inbound,
                              .engine = s->engine,
                              .hostname = s->now.policy->hostname,
                              .reload = reload_for_admin,
                              .ctx = s};

    for (unsigned i = 0; i < s->worker_count; i++) {
        loops[3 + i] = s->workers[i].loop;
    }
    s->admin = admin_new(&o);
    admin_watch(s->admin);
}

static void build_parts(struct server *s)
{
    const struct store_settings *set = config_settings(s->now.config, &store_table);
    struct store_options store = store_options_of(set);
    struct queue_ops ops = {s, prepare, run, note, report, recorded};
    struct queue_options queue = {.cache_bytes = set->cache_bytes};
    struct loop *loops[WORKERS_MAX];
    struct inbound_options inbound = {.home = s->home,
                                      .workers = loops,
                                      .worker_count = s->worker_count,
                                      .sessions_max = sessions_for(s)};
    struct engine_options engine = {.home = s->home, .loops = loops, .loop_count = s->worker_count};

    for (unsigned i = 0; i < s->worker_count; i++) {
        loops[i] = s->workers[i].loop;
    }
    s->store = store_new(s->store_loop, s->disk, &store);
    s->queue = queue_new(s->queue_loop, s->store, &ops, &queue);
    queue_use_plan(s->queue, plan_take(s->now.plan));
    inbound.queue = s->queue;
    inbound.store = s->store;
    s->engine = engine_new(&engine);
    inbound.engine = s->engine;
    s->inbound = inbound_new(&inbound);
    build_admin(s);
}

static void take_down(struct server *s)
{
    struct ourselves *us = atomic_load(&s->ourselves);

    admin_free(s->admin);
    inbound_free(s->inbound);
    engine_free(s->engine);
    if (s->delivery != NULL) {
        delivery_free(s->delivery);
    }
    queue_free(s->queue);
    store_free(s->store);
    disk_close(s->disk);
    tls_trust_drop(s->trust);
    snapshot_drop(&s->now);
    buf_done(&s->store_why);
    while (us != NULL) {
        struct ourselves *older = us->older;

        arena_done(&us->arena);
        mem_free(us);
        us = older;
    }
}

struct opening {
    struct str path;
    struct disk *disk;
    struct err result;
};

static void open_disk(void *arg)
{
    struct opening *o = arg;

    o->result = disk_open(o->path, &o->disk, WHEN_NEVER);
}

int postyard_run(const struct server_options *o)
{
    const struct store_settings *set = config_settings(o->snapshot.config, &store_table);
    struct server *s = MEM_NEW(struct server);
    struct opening opening = {.path = set->path};
    int status;

    s->options = *o;
    s->now = o->snapshot;
    s->worker_count = processors() < WORKERS_MAX ? processors() : WORKERS_MAX;
    run_alone("start", open_disk, &opening);
    if (opening.result.code != OK) {
        char text[128];

        event_raise(&ev_start_failed, f_path(set->path),
                    f_text(err_say(opening.result, text, sizeof text)));
        snapshot_drop(&s->now);
        mem_free(s);
        return 1;
    }
    s->disk = opening.disk;
    s->world = world_new();
    build_loops(s);
    build_parts(s);
    world_run(s->world);
    status = s->exit_status;
    world_free(s->world);
    take_down(s);
    mem_free(s);
    return status;
}
