/*
 * Mail through the whole server while it crashes and everything around it fails: every message that
 * was answered 250 must be delivered, or its sender told, whatever happened; delivered twice only
 * as P1 allows; told once; never changed.
 *
 * A seed    At least MAIL messages of mixed sizes from several clients to fast, slow, flaky,
 *           refusing, tarpitting, greylisting and breaking hosts; lives that end in a power cut or
 *           a kill at any instant; resets, silences and cuts of the network; a disk that tears,
 *           loses, rots, fills up and fails its flushes. One life in four ends in order, with mail
 *           under way. All the time everything queued is looked at (yard/audit.h). A seed counts
 *           only with a crash and three faults at least.
 *
 * Switches  The store's (store/broken.h) that this scenario can see.
 */
#include "base/mem.h"
#include "chance.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "store/broken.h"
#include "yard/audit.h"
#include "yard/ledger.h"

enum {
    MAIL = 200,
    CLIENTS = 5,
    LIVES = 3,
    SEGMENT = 256 * 1024,
    WINDOW_MS = 150,                /* 100 ms and a flush or two */
    SLOW_SYNC_MS = 300,             /* where flushes are slow, the window is as much wider */
    DRAIN_MS_MAX = 12 * 3600 * 1000 /* reports have the built-in schedule */
};

static const char config[] =
    "server: { hostname: mx.here.example }\n"
    "listeners: { smtp: { bind: [\"127.0.0.1:2525\"], submission: false } }\n"
    "queue:\n"
    "  virtual: { remote: { concurrency: 10 }, slow: { concurrency: 4 } }\n"
    "  schedule:\n"
    "    remote: { queue-name: remote, retry: [4s, 15s, 40s, 90s], notify: [2m], expire: 6m }\n"
    "    slow: { queue-name: slow, retry: [5s, 1m], notify: [2m], expire: 5m }\n"
    "  connection:\n"
    "    default: { rest: [5s, 10s, 20s], timeout: { connect: 5s, greeting: 10s, ehlo: 10s, "
    "mail-from: 10s, rcpt-to: 10s, data: 20s } }\n"
    "  strategy:\n"
    "    schedule:\n"
    "      - { if: \"starts_with(rcpt_domain, 't')\", use: slow }\n"
    "      - { if: \"source == 'dsn'\", use: dsn }\n"
    "      - { use: remote }\n";

static const char *const domains[] = {
    "fast-1.example",    "fast-1.example",   "fast-21.example", "slow-2.example", "flaky-4.example",
    "no-5.example",      "tarpit-6.example", "drop-7.example",  "grey-8.example", "cut-9.example",
    "broken-10.example", "later-11.example", "down-12.example", "one-13.example"};

static struct yard_host hosts[] = {
    {.number = 1, .behaviour = ""},
    {.number = 2, .behaviour = "slow:200ms"},
    {.number = LEDGER_HOME, .behaviour = ""},
    {.number = 4, .behaviour = "flaky:0.4"},
    {.number = 5, .behaviour = "refuse:rcpt:550"},
    {.number = 6, .behaviour = "tarpit:50ms"},
    {.number = 7, .behaviour = "drop:dot@0.4"},
    {.number = 8, .behaviour = "greylist:3s"},
    {.number = 9, .behaviour = "drop-in-content:2KiB@0.4"},
    {.number = 10,
     .behaviour = "broken-replies:garbage:mail@0.2 broken-replies:wrong-code:rcpt@0.2 "
                  "broken-replies:short-code:dot@0.2"},
    {.number = 11, .behaviour = "refuse:dot:451@0.5 message-limit:3"},
    {.number = 13, .behaviour = "rcpt-limit:1 without:pipelining"},
    {.number = 21, .behaviour = ""},
};

struct crash {
    struct ledger ledger;
    struct sim_run *run;
    struct sim_disk *folder;
    struct sim_disk_weather weather;
    uint64_t rng;
    bool is_last;
    unsigned mail_max; /* until so many were sent in this life */
    int64_t stop_ms;   /* this life ends in order after so long; 0: by a crash */
    struct audit audit;
    struct group clients;
};

static uint64_t draw(struct crash *c, uint64_t below)
{
    return chance_below(&c->rng, below);
}

/* ---- clients ---- */

static void client_fiber(void *arg)
{
    struct machine *m = arg;
    struct crash *c = m->options.ctx;

    ledger_client(m, &(struct ledger_client){.ledger = &c->ledger,
                                             .domains = domains,
                                             .domain_count = COUNT_OF(domains),
                                             .upto = c->mail_max,
                                             .pause_ms = 20,
                                             .leaves = true});
}

/* ---- harm ---- */

static void before(struct machine *m)
{
    struct crash *c = m->options.ctx;
    struct sim_net_rule all = {.latency_ns = 100 * 1000,
                               .jitter_ns = 300 * 1000,
                               .bytes_per_s = 50 * 1000 * 1000,
                               .refused_ppm = 5000,
                               .silent_ppm = 3000,
                               .reset_ppm = 20000,
                               .stall_ppm = 5000};

    sim_net_rule(m->world, &all);
    sim_disk_set(c->folder, c->is_last ? NULL : &c->weather);
}

static void trouble_fiber(void *arg)
{
    struct machine *m = arg;

    for (unsigned i = 0;
         fiber_sleep(when_after(5 + (int64_t)random_below(i < 3 ? 20 : 200)), WHEN_NEVER).code ==
         OK;
         i++) {
        struct cidr to = {.net = {.family = 4, .ip = {127, 0, 0, 1}}, .bits = 32};

        if (i >= 3 && random_below(3) != 0) {
            to.net = yard_addr(1 + (unsigned)random_below(COUNT_OF(hosts)));
            to.net.port = 0;
        }
        sim_net_cut(m->world, &to);
    }
}

static void audit_fiber(void *arg)
{
    struct machine *m = arg;
    struct crash *c = m->options.ctx;

    while (fiber_sleep(when_after(50 + (int64_t)random_below(c->audit.looks < 20 ? 100 : 20000)),
                       WHEN_NEVER)
               .code == OK) {
        audit_look(&c->audit, m, WHEN_NEVER);
    }
}

/* ---- a life ---- */

static void outside(struct machine *m)
{
    struct crash *c = m->options.ctx;
    struct group trouble, looks;

    group_init(&c->clients, "clients", 0);
    group_init(&trouble, "trouble", 0);
    group_init(&looks, "audit", 0);
    must(group_spawn_now(&looks, "audit", audit_fiber, m).code == OK);
    must(group_spawn_now(&trouble, "trouble", trouble_fiber, m).code == OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        must(group_spawn_now(&c->clients, "client", client_fiber, m).code == OK);
    }
    (void)group_join(&c->clients, WHEN_NEVER);
    if (c->is_last) {
        group_cancel(&trouble);
        if (!machine_drain(m, DRAIN_MS_MAX, WHEN_NEVER) && !c->ledger.has_rotten) {
            sim_fail(m->run, "mail still waits half a day after the last");
        }
    } else {
        (void)fiber_sleep(c->stop_ms > 0 ? when_after(c->stop_ms) : WHEN_NEVER, WHEN_NEVER);
    }
    group_cancel(&looks);
    (void)group_join(&looks, WHEN_NEVER);
    group_cancel(&trouble);
    (void)group_join(&trouble, WHEN_NEVER);
}

static void took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    struct ledger *l = &((struct crash *)m->options.ctx)->ledger;
    unsigned again = l->again;

    ledger_took(l, h->number, mail);
    if (l->again > again) {
        sim_point(m->world, "served-again");
    }
}

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    static const struct {
        const char *event, *point;
    } points[] = {{"store_low", "room-low"},          {"store_full", "room-none"},
                  {"store_stopped", "store-stopped"}, {"store_damaged", "damage-said"},
                  {"report_made", "report-made"},     {"double_bounce", "double-bounce"},
                  {"site_rests", "site-rests"}};

    for (size_t i = 0; i < COUNT_OF(points) && m->rig.is_up; i++) {
        if (strcmp(event, points[i].event) == 0) {
            sim_point(m->world, points[i].point);
        }
    }
    ledger_told(&((struct crash *)m->options.ctx)->ledger, event, f, n);
}

/* A bit of some file of the log, but not of the newest: its end cannot be told from a torn one. */
static void rot(struct crash *c)
{
    struct arena a ARENA_LOCAL = {0};
    struct str *names, newest = STR_EMPTY, victim = STR_EMPTY;
    uint64_t offset;
    size_t count;

    sim_disk_names(c->folder, &a, &names, &count);
    for (size_t i = 0; i < count; i++) {
        if (str_starts(names[i], STR("log-")) && str_cmp(names[i], newest) > 0) {
            victim = newest;
            newest = names[i];
        }
    }
    if (!str_is_empty(victim) && sim_disk_rot(c->folder, victim, 4096, 0, &offset)) {
        c->ledger.has_rotten = true;
    }
}

static const struct {
    const char *name;
    unsigned bit;
} breaks[] = {
    {"ack-before-flush", BROKEN_ACK_BEFORE_FLUSH},
    {"no-flush", BROKEN_NO_FLUSH},
    {"no-dir-sync", BROKEN_NO_DIR_SYNC},
    {"flush-again", BROKEN_FLUSH_AGAIN},
    {"leftovers", BROKEN_LEFTOVERS},
};

static void choose_weather(struct crash *c)
{
    c->ledger.window_ms = WINDOW_MS;
    if (draw(c, 3) == 0 || sim_switched(c->run, "flush-again")) {
        c->weather.sync_failed_ppm = draw(c, 4) == 0 ? 200000 : 10000;
        c->ledger.window_ms += WINDOW_MS;
    }
    if (draw(c, 4) == 0) {
        c->weather.slow_sync_ppm = 10000;
        c->weather.slow_sync_ns = SLOW_SYNC_MS * NS_PER_MS;
        c->ledger.window_ms += (int64_t)4 * SLOW_SYNC_MS;
    }
    if (draw(c, 6) == 0) {
        c->weather.capacity_bytes = (4 + draw(c, 3)) * SEGMENT;
    }
}

static void after_life(struct crash *c, const struct machine *m)
{
    ledger_life_ended(&c->ledger, m->end == SIM_CRASHED, m->ended.ms);
    if (m->end == SIM_CRASHED && draw(c, 4) == 0) {
        sim_disk_kill(c->folder);
    } else if (m->end == SIM_CRASHED) {
        sim_disk_power_cut(c->folder);
    }
}

static uint64_t faults(void)
{
    static const char *const names[] = {"net-refused",    "net-silent",     "net-reset",
                                        "net-stall",      "net-cut",        "disk-sync-failed",
                                        "disk-slow-sync", "disk-full",      "rot",
                                        "cut-lost-bytes", "cut-torn-bytes", "cut-lost-name"};
    uint64_t sum = 0;

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        sum += sim_count(names[i]);
    }
    return sum;
}

/* ---- the run ---- */

/* False: the disk failed while it started. The next life is on a disk that is well. */
static bool live(struct crash *c, unsigned life, struct date *start)
{
    static struct machine m;
    struct machine_options o = {.seed = c->run->seed * 16 + life,
                                .config = config,
                                .folder = c->folder,
                                .store = {.segment_bytes = SEGMENT,
                                          .min_free_bytes = 3 * SEGMENT,
                                          .node = 1,
                                          .checkpoint_bytes = SEGMENT},
                                .start = *start,
                                .time_max_ms = 2 * DRAIN_MS_MAX,
                                .hosts = hosts,
                                .host_count = COUNT_OF(hosts),
                                .before = before,
                                .outside = outside,
                                .took = took,
                                .told = told,
                                .ctx = c};

    if (c->weather.capacity_bytes > 0) {
        o.store.min_free_bytes = 0; /* mail may fill all but what is reserved for results */
    }
    for (size_t i = 0; i < COUNT_OF(breaks); i++) {
        o.store.broken |= sim_switched(c->run, breaks[i].name) ? breaks[i].bit : 0;
    }
    c->is_last = life == LIVES - 1;
    c->audit = (struct audit){0};
    c->mail_max = c->is_last ? MAIL : MAIL / (LIVES - 1) * (life + 1);
    if (!c->is_last) {
        /* Mostly while mail comes in; sometimes while it is tried again, or reported. */
        uint64_t most_ms = draw(c, 3) == 0 ? 120 * 1000 : 1500;

        int64_t ms = 20 + (int64_t)draw(c, most_ms);

        c->stop_ms = life > 0 && draw(c, 4) == 0 ? ms : 0;
        o.crash_ns = c->stop_ms > 0 ? 0 : ms * NS_PER_MS;
    }
    machine_live(&m, c->run, &o);
    if (!m.is_up && m.end == SIM_OVER && c->weather.sync_failed_ppm == 0 &&
        c->weather.capacity_bytes == 0) {
        sim_fail(c->run, "it did not start on a disk that was well");
    }
    *start = date_add(m.ended, 1000);
    after_life(c, &m);
    return m.is_up;
}

static void run(struct sim_run *r)
{
    static struct crash c;
    struct date start = {0};
    uint64_t met = faults();

    c = (struct crash){.run = r, .rng = r->seed * 0x2545f4914f6cdd1du + 1};
    c.folder = sim_disk_new("store", r->seed);
    ledger_init(&c.ledger, r, WINDOW_MS);
    choose_weather(&c);
    for (unsigned life = 0; life < LIVES && !r->failed; life++) {
        if (!live(&c, life, &start)) {
            c.weather.sync_failed_ppm = 0;
            c.weather.capacity_bytes = 0;
            life--;
            continue;
        }
        if (life == LIVES - 2 && draw(&c, 6) == 0) {
            rot(&c);
        }
    }
    if (!r->failed) {
        ledger_judge(&c.ledger);
    }
    if (!r->failed && (c.ledger.count < MAIL || faults() < met + 3)) {
        sim_fail(r, "this seed does not count: %u messages, %llu faults", c.ledger.count,
                 (unsigned long long)(faults() - met));
    }
    ledger_done(&c.ledger);
    sim_disk_free(c.folder);
}

int main(int argc, char **argv)
{
    static const struct sim_need needs[] = {
        {"crash", 20},          {"power-cut", 20},        {"kill", 20},
        {"net-refused", 20},    {"net-silent", 20},       {"net-reset", 20},
        {"net-stall", 20},      {"net-cut", 20},          {"disk-slow-sync", 20},
        {"room-low", 20},       {"disk-sync-failed", 20}, {"cut-lost-bytes", 20},
        {"cut-torn-bytes", 20}, {"cut-lost-name", 20},    {"rot", 20},
        {"served-again", 20},   {"report-made", 20},      {"double-bounce", 20},
        {"site-rests", 20},     {"store-stopped", 5},
    };
    static const struct sim_scenario scenario = {"crash", run, needs, COUNT_OF(needs), 250};

    return sim_main(argc, argv, &scenario);
}
