#include "machine.h"

#include "base/mem.h"
#include "cli/command.h"
#include "config/config.h"
#include "delivery/delivery.h"
#include "dns/dns.h"
#include "inbound/inbound.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/stream.h"
#include "strategy/ask.h"

#include <stdio.h>
#include <stdlib.h>

enum { GRACE_MS = 1000, CUT_MS = 30 * 1000, MS_PER_S = 1000 };

static const int64_t life_max_ms = 300LL * 86400 * MS_PER_S;

/* ---- names and addresses ---- */

unsigned yard_number(struct str domain)
{
    size_t dash = str_rfind(domain, '-'), dot = str_find(domain, '.');
    uint64_t number = 0;

    if (dash == STR_NONE || dot == STR_NONE || dot < dash ||
        !str_to_u64(str_make(domain.ptr + dash + 1, dot - dash - 1), &number)) {
        return 0;
    }
    return (unsigned)number;
}

struct addr yard_addr(unsigned number)
{
    struct addr at = {.family = 4, .port = 25, .ip = {198, 51, 100, (uint8_t)number}};

    return at;
}

void yard_weather(struct machine *m, unsigned number, enum sim_net_way way)
{
    struct sim_net_rule r = {.to = {.net = yard_addr(number), .bits = 32},
                             .way = way,
                             .latency_ns = NS_PER_MS,
                             .jitter_ns = NS_PER_MS,
                             .bytes_per_s = 100 * 1000 * 1000};

    sim_net_rule(m->world, &r);
}

static struct err resolve(void *ctx, struct str name, enum dns_type type, struct arena *a,
                          struct dns_answer *ret, struct when by)
{
    unsigned number = yard_number(name);

    (void)ctx, (void)by;
    if (number == 0) {
        ret->result = DNS_NO_NAME;
        ret->why = STR("no such name");
    } else if (type == DNS_A) {
        ret->records = arena_array(a, 1, sizeof *ret->records);
        ret->records[ret->count++].addr = yard_addr(number);
        ret->records[0].addr.port = 0;
    } else {
        ret->result = DNS_NO_DATA;
        ret->why = STR("no such records");
    }
    return ERR_OK;
}

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

/* ---- configuration ---- */

static enum expr_local is_local(void *ctx, struct str directory, struct str domain)
{
    (void)ctx, (void)directory, (void)domain;
    return EXPR_LOCAL_NO;
}

static void stop_on_faults(struct faults *faults, bool good)
{
    struct buf text BUF_LOCAL = {0};

    if (!good) {
        faults_print(faults, &text);
        fprintf(stderr, "%.*s\n", STR_ARG(buf_str(&text)));
        abort();
    }
    faults_done(faults);
}

static void load(struct machine *m, const char *text, struct config **config, struct plan **plan,
                 struct policy **policy)
{
    static struct strategy_services services = {.expr = {.is_local_domain = is_local},
                                                .hostname = STR_INIT("mx.here.example")};

    services.expr.lookups = ask_offers();
    struct faults faults = {0};
    size_t table_count;
    struct config_options o = {.tables = cli_tables(&table_count), .number = ++m->config_number};
    struct policy_source source = {.system_hostname = STR("mx.here.example"),
                                   .memory_bytes = 1024 * 1024 * 1024};

    o.table_count = table_count;
    *config = config_parse(&o, STR("yard.yaml"), str_of(text), &faults);
    stop_on_faults(&faults, *config != NULL);
    *plan = strategy_compile(*config, &services, &faults);
    stop_on_faults(&faults, *plan != NULL);
    source.config = *config;
    source.plan = plan_take(*plan);
    *policy = policy_load(&source, &faults);
    stop_on_faults(&faults, *policy != NULL);
}

static void use(struct machine *m, struct config *config, struct plan *plan, struct policy *policy)
{
    if (m->config != NULL) {
        policy_drop(m->policy);
        plan_give(m->plan);
        config_give(m->config);
    }
    m->config = config;
    m->plan = plan;
    m->policy = policy;
}

struct reload {
    struct post post;
    struct machine *machine;
    const char *text;
    struct fiber *waits;
    bool done;
};

static void reload_done(struct post *p)
{
    struct reload *r = CONTAINER_OF(p, struct reload, post);

    r->done = true;
    fiber_wake(r->waits);
}

static void reload_fiber(void *arg)
{
    struct reload *r = arg;
    struct machine *m = r->machine;
    struct buf why BUF_LOCAL = {0};
    struct config *config;
    struct plan *plan;
    struct policy *policy;

    load(m, r->text, &config, &plan, &policy);
    must(inbound_use(m->inbound, policy_share(policy), &why, WHEN_NEVER).code == OK ||
         fiber_is_cancelled());
    if (m->lookups != NULL) {
        lookup_use(m->lookups, config, WHEN_NEVER);
    }
    queue_use_plan(m->queue, plan_take(plan));
    delivery_use_plan(m->delivery, plan);
    use(m, config, plan, policy);
    r->post.run = reload_done;
    loop_post(m->outside_loop, &r->post);
}

static void reload_here(struct post *p)
{
    struct reload *r = CONTAINER_OF(p, struct reload, post);

    must(group_spawn_now(&r->machine->home_group, "reload", reload_fiber, r).code == OK);
}

void machine_reload(struct machine *m, const char *config, struct when by)
{
    struct reload r = {{.run = reload_here}, m, config, fiber_self(), false};

    loop_post(m->home, &r.post);
    while (!r.done) {
        fiber_wait_firm("the new configuration", by);
    }
}

/* ---- hosts ---- */

static struct err took(void *ctx, const struct play_message *mail, struct when by)
{
    struct yard_host *h = ctx;

    (void)by;
    if (h->machine->options.took != NULL && sim_end(h->machine->world) == SIM_RUNNING) {
        h->machine->options.took(h->machine, h, mail);
    }
    return ERR_OK;
}

static void host_serves(void *arg)
{
    struct yard_host *h = arg;

    (void)play_accept(h->listener, &h->lane, 1, WHEN_NEVER);
    listener_close(h->listener);
    play_lane_close(&h->lane, WHEN_NEVER);
}

static void host_open(struct machine *m, struct yard_host *h)
{
    struct play_peer peer = {
        .hostname = STR("sink.example"), .counts = &h->counts, .message = took, .ctx = h};
    struct str rest = str_of(h->behaviour), word;
    struct buf why BUF_LOCAL = {0};

    while (rest.len > 0) {
        str_cut(&rest, ' ', &word);
        if (!play_behave(&peer.behaviour, word, &why)) {
            fprintf(stderr, "%.*s: %.*s\n", STR_ARG(word), STR_ARG(buf_str(&why)));
            abort();
        }
    }
    h->machine = m;
    play_lane_init(&h->lane, &peer, loop_self());
    must(listener_open(yard_addr(h->number), &h->listener).code == OK);
    must(group_spawn_now(&m->outside_group, "host", host_serves, h).code == OK);
}

/* ---- loops ---- */

static void store_fiber(void *arg)
{
    struct machine *m = arg;

    store_serve(m->store, &m->opened, &m->why);
}

static void join(struct group *g)
{
    while (group_join(g, WHEN_NEVER).code != OK) {
        /* children first */
    }
}

static void store_main(void *arg)
{
    struct machine *m = arg;

    group_init(&m->store_group, "store", 0);
    must(group_spawn_now(&m->store_group, "store", store_fiber, m).code == OK);
    stage_wait(&m->store_stop, WHEN_NEVER);
    group_cancel(&m->store_group);
    join(&m->store_group);
    stage_done(&m->store_end);
}

static void queue_fiber(void *arg)
{
    queue_serve(((struct machine *)arg)->queue);
}

static void queue_main(void *arg)
{
    struct machine *m = arg;

    group_init(&m->queue_group, "queue", 0);
    stage_wait(&m->queue_start, WHEN_NEVER);
    must(group_spawn_now(&m->queue_group, "queue", queue_fiber, m).code == OK);
    stage_wait(&m->queue_stop, WHEN_NEVER);
    group_cancel(&m->queue_group);
    join(&m->queue_group);
    stage_done(&m->queue_end);
}

static void inbound_fiber(void *arg)
{
    struct worker_loop *w = arg;

    inbound_serve(w->machine->inbound, w->index);
}

static void worker_main(void *arg)
{
    struct worker_loop *w = arg;
    struct machine *m = w->machine;

    stage_wait(&w->start, WHEN_NEVER);
    delivery_loop_start(m->delivery, w->index);
    group_init(&w->group, "inbound", 0);
    must(group_spawn_now(&w->group, "inbound", inbound_fiber, w).code == OK);
    stage_done(&w->start);
    stage_wait(&w->stop, WHEN_NEVER);
    group_cancel(&w->group);
    join(&w->group);
    delivery_loop_stop(m->delivery, w->index, WHEN_NEVER);
    stage_done(&w->stop);
    stage_wait(&w->end, WHEN_NEVER); /* what comes late is still answered */
    delivery_loop_stop(m->delivery, w->index, WHEN_NEVER);
    stage_done(&w->end);
}

static void outside_main(void *arg)
{
    struct machine *m = arg;

    group_init(&m->outside_group, "outside", 0);
    for (unsigned i = 0; i < m->options.host_count; i++) {
        host_open(m, &m->options.hosts[i]);
    }
    stage_wait(&m->outside_go, WHEN_NEVER);
    if (m->is_up) {
        m->options.outside(m);
    }
    stage_done(&m->outside_over);
    stage_wait(&m->outside_leave, WHEN_NEVER);
    group_cancel(&m->outside_group);
    join(&m->outside_group);
    stage_done(&m->outside_end);
}

/* ---- the life of the machine, on home ---- */

static bool start(struct machine *m)
{
    struct buf why BUF_LOCAL = {0};

    for (unsigned i = 0; i < MACHINE_WORKERS; i++) {
        stage_open(&m->workers[i].start);
        (void)stage_join(&m->workers[i].start, "a worker", WHEN_NEVER);
    }
    if (store_ready(m->store, WHEN_NEVER).code != OK) {
        return false;
    }
    /* As life.c does: mail comes in while what is stored is loaded. */
    stage_open(&m->queue_start);
    return inbound_use(m->inbound, policy_share(m->policy), &why, WHEN_NEVER).code == OK &&
           queue_ready(m->queue, WHEN_NEVER).code == OK;
}

static void end(struct machine *m)
{
    inbound_stop(m->inbound, m->is_up ? GRACE_MS : 0, WHEN_NEVER);
    stage_open(&m->queue_start);
    stage_open(&m->queue_stop);
    (void)stage_join(&m->queue_end, "the queue", when_after(CUT_MS));
    for (unsigned i = 0; i < MACHINE_WORKERS; i++) {
        stage_open(&m->workers[i].stop);
        (void)stage_join(&m->workers[i].stop, "a worker", WHEN_NEVER);
    }
    (void)stage_join(&m->queue_end, "the last results", WHEN_NEVER);
    for (unsigned i = 0; i < MACHINE_WORKERS; i++) {
        stage_open(&m->workers[i].end);
        (void)stage_join(&m->workers[i].end, "a worker", WHEN_NEVER);
    }
    stage_open(&m->store_stop);
    (void)stage_join(&m->store_end, "the store", WHEN_NEVER);
    if (m->lookups != NULL) {
        lookup_close(m->lookups, WHEN_NEVER);
    }
    dns_close(m->dns, WHEN_NEVER);
}

static void home_main(void *arg)
{
    struct machine *m = arg;
    struct lookup_options o = {.sim = m->options.lookup};

    group_init(&m->home_group, "home", 0);
    if (o.sim.ask != NULL) {
        m->lookups = lookup_open(m->config, &o, WHEN_NEVER);
    }
    m->asker = (struct asker){m->lookups, m->dns};
    queue_use_asker(m->queue, &m->asker);
    m->is_up = start(m);
    stage_open(&m->outside_go);
    (void)stage_join(&m->outside_over, "the scenario", when_after(life_max_ms));
    m->ended = clock_date();
    (void)stage_join(&m->outside_over, "the scenario", WHEN_NEVER);
    end(m);
    stage_open(&m->outside_leave);
    (void)stage_join(&m->outside_end, "the outside", WHEN_NEVER);
    group_cancel(&m->home_group);
    join(&m->home_group);
}

/* ---- events ---- */

static struct machine *listening; /* the machine whose life runs now; one at a time */

static void tell(void *ctx, const struct event_kind *kind, const struct event_field *fields,
                 size_t count)
{
    struct machine *m = listening;

    (void)ctx;
    if (m != NULL && m->options.told != NULL && sim_end(m->world) == SIM_RUNNING) {
        m->options.told(m, kind->name, fields, count);
    }
}

struct str field_str(const struct event_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].type == EVENT_str && strcmp(fields[i].name, name) == 0) {
            return fields[i].str;
        }
    }
    return STR_EMPTY;
}

int64_t field_num(const struct event_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].type != EVENT_str && strcmp(fields[i].name, name) == 0) {
            return fields[i].type == EVENT_date  ? fields[i].date.ms
                   : fields[i].type == EVENT_num ? fields[i].num
                                                 : (int64_t)fields[i].id;
        }
    }
    return 0;
}

/* ---- building ---- */

static void stage_at(struct machine *m, struct stage *s, struct loop *loop)
{
    *s = (struct stage){.loop = loop, .home = m->home};
}

static void build_loops(struct machine *m)
{
    m->home = world_loop(m->world, "home");
    m->store_loop = world_loop(m->world, "store");
    m->queue_loop = world_loop(m->world, "queue");
    for (unsigned i = 0; i < MACHINE_WORKERS; i++) {
        struct worker_loop *w = &m->workers[i];

        *w = (struct worker_loop){.machine = m, .index = i, .loop = world_loop(m->world, "work")};
        stage_at(m, &w->start, w->loop);
        stage_at(m, &w->stop, w->loop);
        stage_at(m, &w->end, w->loop);
        loop_main(w->loop, worker_main, w);
    }
    m->outside_loop = world_loop(m->world, "outside");
    stage_at(m, &m->store_stop, m->store_loop);
    stage_at(m, &m->store_end, m->store_loop);
    stage_at(m, &m->queue_start, m->queue_loop);
    stage_at(m, &m->queue_stop, m->queue_loop);
    stage_at(m, &m->queue_end, m->queue_loop);
    stage_at(m, &m->outside_go, m->outside_loop);
    stage_at(m, &m->outside_over, m->outside_loop);
    stage_at(m, &m->outside_leave, m->outside_loop);
    stage_at(m, &m->outside_end, m->outside_loop);
    loop_main(m->home, home_main, m);
    loop_main(m->store_loop, store_main, m);
    loop_main(m->queue_loop, queue_main, m);
    loop_main(m->outside_loop, outside_main, m);
}

static void build_parts(struct machine *m)
{
    struct loop *loops[MACHINE_WORKERS];
    struct delivery_options out = {.loops = loops,
                                   .loop_count = MACHINE_WORKERS,
                                   .hostname = STR("mx.here.example"),
                                   .is_own_name = is_nobody,
                                   .is_own_address = is_nowhere,
                                   .idle_max = 100};
    struct inbound_options in = {
        .home = m->home, .workers = loops, .worker_count = MACHINE_WORKERS};
    struct queue_options queue = {.cache_bytes = 1024 * 1024};
    struct config *config;
    struct plan *plan;
    struct policy *policy;

    for (unsigned i = 0; i < MACHINE_WORKERS; i++) {
        loops[i] = m->workers[i].loop;
    }
    load(m, m->options.config, &config, &plan, &policy);
    use(m, config, plan, policy);
    m->disk = sim_disk_mount(m->options.folder, m->world);
    m->store = store_new(m->store_loop, m->disk, &m->options.store);
    m->dns = dns_open_sim((struct dns_sim){resolve, m}, 5000);
    out.store = m->store;
    out.dns = m->dns;
    out.asker = &m->asker;
    m->delivery = delivery_new(&out, m->plan);
    m->queue = queue_new(m->queue_loop, m->store, delivery_ops(m->delivery), &queue);
    delivery_use_queue(m->delivery, m->queue);
    queue_use_plan(m->queue, plan_take(m->plan));
    in.queue = m->queue;
    in.store = m->store;
    m->inbound = inbound_new(&in);
}

static void take_down(struct machine *m)
{
    inbound_free(m->inbound);
    delivery_free(m->delivery);
    queue_free(m->queue);
    store_free(m->store);
    use(m, NULL, NULL, NULL);
    disk_close(m->disk);
    world_free(m->world);
    buf_done(&m->why);
}

void machine_live(struct machine *m, struct sim_run *run, const struct machine_options *o)
{
    static bool is_tapped;
    struct sim_options sim = {
        .seed = o->seed, .start = o->start, .time_max_ms = o->time_max_ms, .least = LEVEL_INFO};

    if (!is_tapped) {
        log_tap(tell, NULL);
        is_tapped = true;
    }
    *m = (struct machine){.run = run, .options = *o};
    m->world = sim_world(&sim);
    build_loops(m);
    build_parts(m);
    if (o->crash_ns > 0) {
        sim_crash_after(m->world, o->crash_ns);
    }
    if (o->before != NULL) {
        o->before(m);
    }
    listening = m;
    world_run(m->world);
    listening = NULL;
    m->end = sim_end(m->world);
    if (m->end != SIM_OVER && m->end != SIM_CRASHED) {
        sim_fail(run, "the machine is stuck");
    }
    sim_record(run, m->world);
    if (m->end == SIM_OVER && !m->is_up) {
        buf_printf(&run->record, "it did not start: %.*s\n", STR_ARG(buf_str(&m->why)));
    }
    take_down(m);
}

/* ---- questions ---- */

struct queue_counts machine_counts(struct machine *m, struct when by)
{
    struct queue_counts c = {0};

    (void)queue_count(m->queue, &c, by);
    if (c.watchdog > 0) {
        sim_fail(m->run, "the watchdog saw %llu jobs that could go on and did not",
                 (unsigned long long)c.watchdog);
    }
    return c;
}

/* Days of mail are looked at now and then. */
enum { DRAIN_LOOK_MS = 20 * 1000 };

bool machine_drain(struct machine *m, int64_t ms, struct when by)
{
    struct when until = when_after(ms);

    for (;;) {
        struct queue_counts c = machine_counts(m, by);

        if (c.jobs == 0 && c.owed == 0) {
            return true;
        }
        if (clock_now().ns >= until.ns || fiber_sleep(when_after(DRAIN_LOOK_MS), by).code != OK) {
            return false;
        }
    }
}
