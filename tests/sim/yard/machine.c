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
    if (m->rig.lookups != NULL) {
        lookup_use(m->rig.lookups, config, WHEN_NEVER);
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

    must(group_spawn_now(&r->machine->rig.home_group, "reload", reload_fiber, r).code == OK);
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
    must(group_spawn_now(&m->rig.outsides[0].group, "host", host_serves, h).code == OK);
}

/* ---- the outside ---- */

static void outside_opens(struct rig *r, unsigned outside)
{
    struct machine *m = r->options.ctx;

    (void)outside;
    for (unsigned i = 0; i < m->options.host_count; i++) {
        host_open(m, &m->options.hosts[i]);
    }
}

static void outside_acts(struct rig *r)
{
    struct machine *m = r->options.ctx;

    m->options.outside(m);
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

static void build(struct machine *m, const struct machine_options *o)
{
    struct config *config;
    struct plan *plan;
    struct policy *policy;
    struct rig_options rig = {
        .sim = {.seed = o->seed,
                .start = o->start,
                .time_max_ms = o->time_max_ms,
                .least = LEVEL_INFO},
        .folder = o->folder,
        .store = o->store,
        .cache_bytes = 1024 * 1024,
        .workers = MACHINE_WORKERS,
        .outsides = 1,
        .hostname = STR("mx.here.example"),
        .names = {resolve, m},
        .answers = o->lookup,
        .dns_timeout_ms = 5000,
        .idle_max = 100,
        .grace_ms = GRACE_MS,
        .cut_ms = CUT_MS,
        .act_max_ms = life_max_ms,
        .open = outside_opens,
        .act = outside_acts,
        .ctx = m,
    };

    load(m, o->config, &config, &plan, &policy);
    use(m, config, plan, policy);
    rig.config = config;
    rig.plan = plan;
    rig.policy = policy;
    rig_build(&m->rig, &rig);
    m->world = m->rig.world;
    m->home = m->rig.home;
    m->outside_loop = m->rig.outsides[0].loop;
    m->disk = m->rig.disk;
    m->store = m->rig.store;
    m->queue = m->rig.queue;
    m->delivery = m->rig.delivery;
    m->inbound = m->rig.inbound;
}

static void take_down(struct machine *m)
{
    rig_free(&m->rig);
    use(m, NULL, NULL, NULL);
}

void machine_live(struct machine *m, struct sim_run *run, const struct machine_options *o)
{
    static bool is_tapped;

    if (!is_tapped) {
        log_tap(tell, NULL);
        is_tapped = true;
    }
    *m = (struct machine){.run = run, .options = *o};
    build(m, o);
    if (o->crash_ns > 0) {
        sim_crash_after(m->world, o->crash_ns);
    }
    if (o->before != NULL) {
        o->before(m);
    }
    listening = m;
    rig_run(&m->rig);
    listening = NULL;
    m->is_up = m->rig.is_up;
    m->ended = m->rig.ended;
    m->end = sim_end(m->world);
    if (m->end != SIM_OVER && m->end != SIM_CRASHED) {
        sim_fail(run, "the machine is stuck");
    }
    sim_record(run, m->world);
    if (m->end == SIM_OVER && !m->is_up) {
        buf_printf(&run->record, "it did not start: %.*s\n", STR_ARG(buf_str(&m->rig.why)));
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
