#include "main/rig.h"

#include "base/check.h"
#include "main/filters.h"
#include "runtime/clock.h"

/* ---- loops ---- */

static void join(struct group *g)
{
    while (group_join(g, WHEN_NEVER).code != OK) {
        /* children first */
    }
}

static void store_fiber(void *arg)
{
    struct rig *r = arg;

    store_serve(r->store, &r->opened, &r->why);
}

static void store_main(void *arg)
{
    struct rig *r = arg;

    group_init(&r->store_group, "store", 0);
    must(group_spawn_now(&r->store_group, "store", store_fiber, r).code == OK);
    stage_wait(&r->store_stop, WHEN_NEVER);
    group_cancel(&r->store_group);
    join(&r->store_group);
    stage_done(&r->store_end);
}

static void queue_fiber(void *arg)
{
    queue_serve(((struct rig *)arg)->queue);
}

static void queue_main(void *arg)
{
    struct rig *r = arg;

    group_init(&r->queue_group, "queue", 0);
    stage_wait(&r->queue_start, WHEN_NEVER);
    must(group_spawn_now(&r->queue_group, "queue", queue_fiber, r).code == OK);
    stage_wait(&r->queue_stop, WHEN_NEVER);
    group_cancel(&r->queue_group);
    join(&r->queue_group);
    stage_done(&r->queue_end);
}

static void sessions(void *arg)
{
    struct rig_worker *w = arg;

    inbound_serve(w->rig->inbound, w->index);
}

static void worker_main(void *arg)
{
    struct rig_worker *w = arg;
    struct delivery *d = w->rig->delivery;

    stage_wait(&w->start, WHEN_NEVER);
    delivery_loop_start(d, w->index);
    group_init(&w->sessions, "inbound", 0);
    if (w->rig->inbound != NULL) {
        must(group_spawn_now(&w->sessions, "inbound", sessions, w).code == OK);
    }
    stage_done(&w->start);
    stage_wait(&w->stop, WHEN_NEVER);
    group_cancel(&w->sessions);
    join(&w->sessions);
    delivery_loop_stop(d, w->index, WHEN_NEVER);
    stage_done(&w->stop);
    stage_wait(&w->end, WHEN_NEVER); /* what comes late is still answered */
    delivery_loop_stop(d, w->index, WHEN_NEVER);
    engine_loop_stop(w->rig->engine, WHEN_NEVER);
    stage_done(&w->end);
}

static void outside_main(void *arg)
{
    struct rig_outside *o = arg;
    struct rig *r = o->rig;

    group_init(&o->group, "outside", 0);
    r->options.open(r, o->index);
    stage_done(&o->opened);
    stage_wait(&o->act, WHEN_NEVER);
    if (o->index == 0 && r->is_up) {
        r->options.act(r);
    }
    stage_done(&o->acted);
    stage_wait(&o->leave, WHEN_NEVER);
    group_cancel(&o->group);
    join(&o->group);
    stage_done(&o->left);
}

/* ---- the life, on home ---- */

static bool start(struct rig *r)
{
    struct buf why BUF_LOCAL = {0};

    for (unsigned i = 0; i < r->options.outsides; i++) {
        (void)stage_join(&r->outsides[i].opened, "the outside", WHEN_NEVER);
    }
    for (unsigned i = 0; i < r->options.workers; i++) {
        stage_open(&r->workers[i].start);
        (void)stage_join(&r->workers[i].start, "a worker", WHEN_NEVER);
    }
    if (store_ready(r->store, WHEN_NEVER).code != OK) {
        return false;
    }
    /* As life.c does: mail comes in while what is stored is loaded. */
    stage_open(&r->queue_start);
    if (r->options.policy != NULL) {
        filters_use(r->delivery, r->engine, r->options.policy);
    }
    return (r->inbound == NULL ||
            inbound_use(r->inbound, policy_share(r->options.policy), &why, WHEN_NEVER).code ==
                OK) &&
           queue_ready(r->queue, WHEN_NEVER).code == OK;
}

static void end(struct rig *r)
{
    if (r->inbound != NULL) {
        inbound_stop(r->inbound, r->is_up ? r->options.grace_ms : 0, WHEN_NEVER);
    }
    stage_open(&r->queue_start);
    stage_open(&r->queue_stop);
    (void)stage_join(&r->queue_end, "the queue", when_after(r->options.cut_ms));
    for (unsigned i = 0; i < r->options.workers; i++) {
        stage_open(&r->workers[i].stop);
        (void)stage_join(&r->workers[i].stop, "a worker", WHEN_NEVER);
    }
    (void)stage_join(&r->queue_end, "the last results", WHEN_NEVER);
    for (unsigned i = 0; i < r->options.workers; i++) {
        stage_open(&r->workers[i].end);
        (void)stage_join(&r->workers[i].end, "a worker", WHEN_NEVER);
    }
    stage_open(&r->store_stop);
    (void)stage_join(&r->store_end, "the store", WHEN_NEVER);
    if (r->lookups != NULL) {
        lookup_close(r->lookups, WHEN_NEVER);
    }
    engine_home_stop(r->engine, WHEN_NEVER);
    dns_close(r->dns, WHEN_NEVER);
}

static void open_lookups(struct rig *r)
{
    struct lookup_options o = {.sim = r->options.answers};

    if (o.sim.ask != NULL) {
        r->lookups = lookup_open(r->options.config, &o, WHEN_NEVER);
    }
    r->asker = (struct asker){r->lookups, r->dns};
    queue_use_asker(r->queue, &r->asker);
}

static void home_main(void *arg)
{
    struct rig *r = arg;
    int64_t max_ms = r->options.act_max_ms;

    group_init(&r->home_group, "home", 0);
    open_lookups(r);
    r->is_up = start(r);
    for (unsigned i = 0; i < r->options.outsides; i++) {
        stage_open(&r->outsides[i].act);
    }
    /* A crash ends the first wait, so that this moment is known. */
    (void)stage_join(&r->outsides[0].acted, "the scenario",
                     max_ms > 0 ? when_after(max_ms) : when_after(INT64_MAX / NS_PER_MS));
    r->ended = clock_date();
    for (unsigned i = 0; i < r->options.outsides; i++) {
        (void)stage_join(&r->outsides[i].acted, "the scenario", WHEN_NEVER);
    }
    end(r);
    for (unsigned i = 0; i < r->options.outsides; i++) {
        stage_open(&r->outsides[i].leave);
        (void)stage_join(&r->outsides[i].left, "the outside", WHEN_NEVER);
    }
    group_cancel(&r->home_group);
    join(&r->home_group);
}

/* ---- building ---- */

static bool is_nobody(void *ctx, struct str host)
{
    (void)ctx, (void)host;
    return false;
}

static bool is_nowhere(void *ctx, const struct addr *at)
{
    (void)ctx, (void)at;
    return false;
}

static void stage_at(struct rig *r, struct stage *s, struct loop *loop)
{
    *s = (struct stage){.loop = loop, .home = r->home};
}

static void build_outside(struct rig *r, unsigned index)
{
    struct rig_outside *o = &r->outsides[index];

    *o = (struct rig_outside){.rig = r, .index = index, .loop = world_loop(r->world, "outside")};
    stage_at(r, &o->opened, o->loop);
    stage_at(r, &o->act, o->loop);
    stage_at(r, &o->acted, o->loop);
    stage_at(r, &o->leave, o->loop);
    stage_at(r, &o->left, o->loop);
    loop_main(o->loop, outside_main, o);
}

static void build_worker(struct rig *r, unsigned index)
{
    struct rig_worker *w = &r->workers[index];

    *w = (struct rig_worker){.rig = r, .index = index, .loop = world_loop(r->world, "work")};
    stage_at(r, &w->start, w->loop);
    stage_at(r, &w->stop, w->loop);
    stage_at(r, &w->end, w->loop);
    loop_main(w->loop, worker_main, w);
}

static void build_loops(struct rig *r)
{
    r->home = world_loop(r->world, "home");
    r->store_loop = world_loop(r->world, "store");
    r->queue_loop = world_loop(r->world, "queue");
    stage_at(r, &r->store_stop, r->store_loop);
    stage_at(r, &r->store_end, r->store_loop);
    stage_at(r, &r->queue_start, r->queue_loop);
    stage_at(r, &r->queue_stop, r->queue_loop);
    stage_at(r, &r->queue_end, r->queue_loop);
    loop_main(r->home, home_main, r);
    loop_main(r->store_loop, store_main, r);
    loop_main(r->queue_loop, queue_main, r);
    for (unsigned i = 0; i < r->options.workers; i++) {
        build_worker(r, i);
    }
    for (unsigned i = 0; i < r->options.outsides; i++) {
        build_outside(r, i);
    }
}

static void build_parts(struct rig *r)
{
    const struct rig_options *o = &r->options;
    struct loop *loops[RIG_WORKERS_MAX];
    struct queue_options queue = {.cache_bytes = o->cache_bytes};
    struct inbound_options in = {.home = r->home, .workers = loops, .worker_count = o->workers};
    struct engine_options engine = {.home = r->home, .loops = loops, .loop_count = o->workers};
    struct delivery_options out = {.loops = loops,
                                   .loop_count = o->workers,
                                   .trust = o->trust,
                                   .hostname = o->hostname,
                                   .is_own_name = is_nobody,
                                   .is_own_address = is_nowhere,
                                   .idle_max = o->idle_max,
                                   .taker = o->taker};

    for (unsigned i = 0; i < o->workers; i++) {
        loops[i] = r->workers[i].loop;
    }
    r->disk = sim_disk_mount(o->folder, r->world);
    r->store = store_new(r->store_loop, r->disk, &o->store);
    r->dns = dns_open_sim(o->names, o->dns_timeout_ms);
    out.store = r->store;
    out.dns = r->dns;
    out.asker = &r->asker;
    r->delivery = delivery_new(&out, o->plan);
    r->queue = queue_new(r->queue_loop, r->store, delivery_ops(r->delivery), &queue);
    delivery_use_queue(r->delivery, r->queue);
    queue_use_plan(r->queue, plan_take(o->plan));
    r->engine = engine_new(&engine);
    engine_use_dns(r->engine, r->dns);
    if (o->policy != NULL) {
        in.queue = r->queue;
        in.store = r->store;
        in.engine = r->engine;
        r->inbound = inbound_new(&in);
    }
}

void rig_build(struct rig *r, const struct rig_options *o)
{
    must(o->workers <= RIG_WORKERS_MAX && o->outsides <= RIG_OUTSIDE_MAX);
    *r = (struct rig){.options = *o};
    r->world = sim_world(&r->options.sim);
    build_loops(r);
    build_parts(r);
}

void rig_run(struct rig *r)
{
    world_run(r->world);
}

void rig_free(struct rig *r)
{
    if (r->inbound != NULL) {
        inbound_free(r->inbound);
    }
    engine_free(r->engine);
    delivery_free(r->delivery);
    queue_free(r->queue);
    store_free(r->store);
    disk_close(r->disk);
    world_free(r->world);
    buf_done(&r->why);
}
