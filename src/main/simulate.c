#include "main/simulate.h"

#include "base/check.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/simulate.h"
#include "cli/snapshot.h"
#include "dns/settings.h"
#include "main/rig.h"
#include "play/traffic.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/sim_net.h"
#include "store/settings.h"
#include "tls/tls.h"

#include <stdio.h>

enum { OUTSIDES = 16, IDLE_MAX = 1000, SYSTEM_MEMORY_BYTES = 1 << 30 };

struct simulation {
    struct snapshot snapshot;
    struct scenario *scenario;
    struct destinations *destinations;
    struct tally *tally;
    struct traffic traffic;
    struct str *queues;
    size_t queue_count;
    bool is_quiet;
    struct rig rig;
};

/* ---- the run, on the first of the outside loops ---- */

struct looking {
    struct tally *tally;
    const struct queue_depth *depths;
    uint32_t count;
};

static void look(void *ctx, const struct job_sight *sight)
{
    const struct looking *l = ctx;

    tally_waits(l->tally, sight,
                sight->queue < l->count ? l->depths[sight->queue].name : STR_EMPTY);
}

static void sample(struct simulation *s)
{
    struct arena a ARENA_LOCAL = {0};
    struct queue_depth *depths;
    struct looking l = {.tally = s->tally};

    (void)queue_each(s->rig.queue, &a, &depths, &l.count, WHEN_NEVER);
    l.depths = depths;
    tally_look(s->tally);
    (void)queue_visit(s->rig.queue, look, &l, WHEN_NEVER);
    tally_sample(s->tally, depths, l.count, s->destinations);
}

static void tell_progress(const struct simulation *s, int64_t at_ms)
{
    if (!s->is_quiet) {
        (void)fprintf(stderr, "\r%3lld %% of the run",
                      (long long)(at_ms * 100 / s->scenario->duration_ms));
    }
}

static void act(struct rig *r)
{
    struct simulation *s = r->options.ctx;
    struct group *g = &r->outsides[0].group;
    struct when began = clock_now();
    int64_t end_ms = s->scenario->duration_ms;

    destinations_begin(s->destinations, r->world, g);
    s->traffic = (struct traffic){.scenario = s->scenario,
                                  .tally = s->tally,
                                  .queue = r->queue,
                                  .store = r->store,
                                  .plan = s->snapshot.plan,
                                  .began = began};
    tally_open(s->tally);
    traffic_begin(&s->traffic, g);
    for (int64_t at_ms = s->scenario->sample_ms;; at_ms += s->scenario->sample_ms) {
        int64_t next_ms = at_ms < end_ms ? at_ms : end_ms;

        if (fiber_sleep(when_add(began, next_ms * NS_PER_MS), WHEN_NEVER).code != OK) {
            break;
        }
        sample(s);
        tell_progress(s, next_ms);
        if (next_ms == end_ms) {
            break;
        }
    }
    tally_close(s->tally);
    group_cancel(g);
}

static void open_hosts(struct rig *r, unsigned outside)
{
    struct simulation *s = r->options.ctx;

    destinations_open(s->destinations, outside, OUTSIDES, &r->outsides[outside].group);
}

/* ---- around it ---- */

/* The scenario in place of a store of look-ups. */
static struct err answer(void *ctx, const struct lookup_question *q, struct arena *a,
                         struct lookup_answer *ret, struct when by)
{
    const struct simulation *s = ctx;
    bool is_count = q->verb == LOOKUP_COUNTER || q->verb == LOOKUP_COUNTER_INCR;
    struct lookup_cell *cell = ARENA_NEW(a, struct lookup_cell);
    struct str value = STR_EMPTY;
    bool is_there = scenario_answer(s->scenario, q->store, q->key, &value);
    struct err e = fiber_sleep(when_after(scenario_answer_ms(s->scenario, q->store)), by);

    *cell = (struct lookup_cell){.type = LOOKUP_TEXT, .text = arena_dup(a, value)};
    if (q->verb != LOOKUP_GET) {
        cell->type = LOOKUP_INT;
        cell->num = q->verb == LOOKUP_SET || (!is_count && is_there);
    }
    if (is_count && (!is_there || !str_to_i64(value, &cell->num))) {
        cell->num = 0;
    }
    cell->num += q->verb == LOOKUP_COUNTER_INCR ? q->by : 0;
    ret->cells = cell;
    ret->rows = ret->columns = q->verb == LOOKUP_SQL || (q->verb == LOOKUP_GET && !is_there) ? 0
                                                                                             : 1;
    return e;
}

static struct simulation *listening;

static void tap(void *ctx, const struct event_kind *kind, const struct event_field *fields,
                size_t count)
{
    (void)ctx;
    if (listening != NULL) {
        tally_event(listening->tally, kind, fields, count);
    }
}

static void name_queues(struct simulation *s)
{
    const struct plan *p = s->snapshot.plan;

    s->queue_count = p->queue_count + 1;
    s->queues = mem_array(s->queue_count, sizeof *s->queues);
    for (size_t i = 0; i < p->queue_count; i++) {
        s->queues[i] = p->queues[i].name;
    }
    s->queues[p->queue_count] = STR("(other)");
}

static bool play(struct simulation *s)
{
    const struct scenario_settings *set = s->scenario->settings;
    const struct store_settings *store = config_settings(s->snapshot.config, &store_table);
    const struct resolver_settings *resolver = config_settings(s->snapshot.config, &resolver_table);
    struct sim_disk *folder = sim_disk_new("store", s->scenario->seed);
    struct sim_disk_weather weather = {.capacity_bytes = 1ULL << 40,
                                       .sync_ns = set->sync_ms * NS_PER_MS};
    struct rig_options o = {
        .sim = {.seed = s->scenario->seed,
                .time_max_ms = s->scenario->duration_ms + 86400000LL,
                .turns_max = 1ULL << 50,
                .least = LEVEL_ERROR},
        .folder = folder,
        .store = store_options_of(store),
        .cache_bytes = store->cache_bytes,
        .workers = set->workers,
        .outsides = OUTSIDES,
        .plan = s->snapshot.plan,
        .hostname = s->snapshot.policy->hostname,
        .names = {destinations_resolve, s->destinations},
        .config = s->snapshot.config,
        .answers = {answer, s},
        .dns_timeout_ms = resolver->timeout_ms,
        .taker = {destinations_take, s->destinations},
        .idle_max = IDLE_MAX,
        .cut_ms = 1,
        .open = open_hosts,
        .act = act,
        .ctx = s,
    };
    struct tls_trust *trust = NULL;
    bool is_good;

    if (tls_trust_load(STR_EMPTY, &trust, &s->rig.why).code != OK) {
        cli_say("simulate", "%.*s", STR_ARG(buf_str(&s->rig.why)));
        sim_disk_free(folder);
        return false;
    }
    o.trust = trust;
    o.store.min_free_bytes = 0;
    sim_disk_set(folder, &weather);
    rig_build(&s->rig, &o);
    destinations_network(s->destinations, s->rig.world);
    log_tap(tap, NULL);
    listening = s;
    rig_run(&s->rig);
    listening = NULL;
    is_good = s->rig.is_up && sim_end(s->rig.world) == SIM_OVER;
    if (!is_good) {
        cli_say("simulate", "the simulated server did not come to its end: %.*s",
                STR_ARG(buf_str(&s->rig.why)));
    }
    rig_free(&s->rig);
    tls_trust_drop(trust);
    sim_disk_free(folder);
    return is_good;
}

static int run(struct simulation *s, const struct simulate_given *g)
{
    int exit = EXIT_FAILED;

    if (g->has_seed) {
        s->scenario->seed = g->seed;
    }
    if (g->duration_ms > 0) {
        scenario_last(s->scenario, g->duration_ms);
    }
    name_queues(s);
    s->destinations = destinations_new(s->scenario);
    s->tally = tally_new(s->scenario, s->queues, s->queue_count);
    if (play(s)) {
        exit = simulate_report(s->tally, g) ? EXIT_DONE : EXIT_FAILED;
    }
    traffic_free(&s->traffic);
    destinations_free(s->destinations);
    tally_free(s->tally);
    mem_free(s->queues);
    return exit;
}

/* Reads the scenario, then the configuration: the one given, or the one that the scenario names. */
static bool load(struct simulation *s, const struct simulate_given *g)
{
    struct faults faults = {0};
    struct buf text BUF_LOCAL = {0};
    struct snapshot_source source = {
        .is_check = true, .number = 1, .memory_bytes = SYSTEM_MEMORY_BYTES};
    bool is_missing = false, is_good;

    s->scenario = scenario_load(g->scenario, &faults);
    is_good = s->scenario != NULL;
    if (is_good) {
        source.path = g->config.len > 0 ? g->config : s->scenario->settings->configuration;
        source.path = cli_config_path(source.path, &is_missing);
        source.tables = cli_tables(&source.table_count);
        is_good = snapshot_load(&source, &faults, &s->snapshot);
    }
    if (is_good) {
        scenario_use_plan(s->scenario, s->snapshot.plan, &faults);
        is_good = faults.errors == 0;
        if (!is_good) {
            snapshot_drop(&s->snapshot);
        }
    }
    faults_print(&faults, &text);
    if (!is_good) {
        cli_say("simulate", "that cannot be played:\n%.*s", STR_ARG(buf_str(&text)));
    }
    faults_done(&faults);
    return is_good;
}

int simulate_command(int argc, char **argv)
{
    struct arena a ARENA_LOCAL = {0};
    struct simulate_given g = {0};
    static struct simulation s;
    int exit;

    if (!simulate_options(argc, argv, &a, &g, &exit)) {
        return exit;
    }
    exit = EXIT_FAILED;
    s.is_quiet = g.is_quiet;
    if (load(&s, &g)) {
        exit = run(&s, &g);
        snapshot_drop(&s.snapshot);
    }
    scenario_free(s.scenario);
    return exit;
}
