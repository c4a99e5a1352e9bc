/*
 * Filters of the IETF draft hear of leaving mail (route, delivery, defer, dsn) and change what
 * becomes of it, in both revisions and both formats, while their scanners are slow, silent, broken,
 * refusing, babbling and forgetful of registrations, operators work on the same recipients, and the
 * machine crashes: at any moment, and just when a question has been asked.
 *
 * Lost      Nothing that was answered 250 (P1; yard/ledger.h).
 * Hostage   An attempt is made when its time has come, though every scanner be silent; only a
 *           question at `route` may take its time, within the time-outs (P9).
 * Durable   What a filter was asked about is in the store after a crash right behind the question.
 * Once      Each wish is made once, or given up with a word, and what came meanwhile stands
 *           (yard/wishes.h); a notice is edited once, one that was dropped never arrives, and
 *           nothing stays owed; who is cancelled is not tried, who is added is served once.
 * Again     A question that is sent again is the same byte for byte (yard/scanner.h).
 * Exact     Breakers open and close when they must (yard/breakers.h).
 *
 * A seed    MAIL messages, three lives, two filters: `front`, whose wishes are many, and `back`,
 *           which edits notices. In each eighth seed no scanner ever says a word of mail,
 *           and in half of these not even when it is registered at.
 *
 * Switches  What the scenario does and does not own up to: unsaid-drop (of notices), other-time,
 *           unsaid-edit, other-bytes, early (the pause), ahead (of what is stored); and the
 *           store's ack-before-flush.
 */
#include "chance.h"
#include "queue/operate.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "store/broken.h"
#include "yard/breakers.h"
#include "yard/opinions.h"

#include <stdio.h>

enum {
    MAIL = 48,
    CLIENTS = 3,
    LIVES = 3,
    SEGMENT = 256 * 1024,
    WINDOW_MS = 150,
    TIMEOUT_MS = 3000,
    PAUSE_MS = 12 * 1000,
    FAILURES = 3,
    LATE_MS = 2500,                         /* slots, and how long an attempt takes */
    LATE_ROUTE_MS = 2 * 4 * TIMEOUT_MS,     /* both filters, for a job that is divided */
    CANCEL_MS = LATE_ROUTE_MS + TIMEOUT_MS, /* what is being tried ends first */
    DRAIN_MS = 3 * 3600 * 1000
};
enum { FRONT, BACK };

static const char *const domains[] = {"good-1.example",  "good-1.example",   "flaky-4.example",
                                      "flaky-4.example", "later-11.example", "no-5.example",
                                      "grey-8.example"};

static struct yard_host hosts[] = {
    {.number = 1, .behaviour = ""},
    {.number = LEDGER_HOME, .behaviour = ""},
    {.number = 4, .behaviour = "flaky:0.6"},
    {.number = 5, .behaviour = "refuse:rcpt:550@0.8"},
    {.number = 8, .behaviour = "greylist:2s"},
    {.number = 11, .behaviour = "refuse:dot:451@0.6"},
};

struct outbound {
    struct sim_run *run;
    struct sim_disk *folder;
    struct ledger ledger;
    struct wish_book wishes;
    struct scanners scanners;
    struct breakers breakers[SCANNERS_MAX];
    uint64_t rng;
    bool has_route, is_silent, is_last;
    unsigned mail_max;
    struct opinions opinions;
    uint64_t crash_at; /* the question with this number; 0: at its time */
    struct group clients;
};

static struct outbound all;

static uint64_t draw(uint64_t below)
{
    return chance_below(&all.rng, below);
}

/* ---- operators ---- */

static void operate(struct machine *m, struct action *act, struct str rcpt, struct operation *ret)
{
    struct selection which = {.rcpt = rcpt};

    *ret = (struct operation){.queue = m->queue,
                              .store = m->store,
                              .action = act,
                              .selection = rcpt.len > 0 ? &which : NULL};
    act->plan = queue_plan(m->queue, WHEN_NEVER);
    (void)queue_operate(ret, WHEN_NEVER);
    plan_give(act->plan);
}

static void operate_once(struct machine *m)
{
    static const enum action_kind kinds[] = {ACTION_HOLD, ACTION_RETRY, ACTION_RETRY, ACTION_RETRY,
                                             ACTION_CANCEL};
    struct action act = {.kind = kinds[random_below(COUNT_OF(kinds))],
                         .who = STR("an operator"),
                         .why = STR("it is so")};
    unsigned number, at;
    struct ledger_rcpt *r;
    struct operation o;
    struct fate *fate;

    if (all.ledger.count == 0) {
        return;
    }
    number = (unsigned)random_below(all.ledger.count);
    at = (unsigned)random_below(all.ledger.mail[number].to_count);
    r = &all.ledger.mail[number].to[at];
    fate = &all.wishes.fates[number][at];
    if (act.kind == ACTION_RETRY) {
        act.at = date_add(clock_date(), 2000 + (int64_t)random_below(10 * 1000));
    }
    fate->due_ms = 0;
    operate(m, &act, str_of(r->address), &o);
    if (o.done == 1) {
        fate->operated_ms = fate->changed_ms = clock_date().ms;
        fate->due_ms = 0;
        sim_point(m->world, "operated");
    }
    if (act.kind == ACTION_HOLD) {
        (void)fiber_sleep(when_after((int64_t)random_below(5000)), WHEN_NEVER);
        act.kind = ACTION_RELEASE;
        operate(m, &act, str_of(r->address), &o);
        fate->due_ms = 0;
        fate->changed_ms = clock_date().ms;
    }
}

static void operator_fiber(void *arg)
{
    struct machine *m = arg;

    while (fiber_sleep(when_after(500 + (int64_t)random_below(4000)), WHEN_NEVER).code == OK) {
        operate_once(m);
    }
}

/* ---- around it ---- */

static void moods_fiber(void *arg)
{
    (void)arg;
    do {
        for (unsigned i = 0; i < all.scanners.count; i++) {
            struct scanner *s = all.scanners.items[i];

            s->mood = all.is_silent          ? SCANNER_SILENT
                      : random_below(3) == 0 ? SCANNER_WELL
                                             : (unsigned)random_below(SCANNER_MOODS);
        }
    } while (fiber_sleep(when_after(1000 + (int64_t)random_below(15 * 1000)), WHEN_NEVER).code ==
             OK);
    if (!all.is_silent) {
        all.scanners.items[FRONT]->mood = all.scanners.items[BACK]->mood = SCANNER_WELL;
    }
}

static void look_fiber(void *arg)
{
    while (fiber_sleep(when_after(1000 + (int64_t)random_below(4000)), WHEN_NEVER).code == OK) {
        wishes_look(&all.wishes, arg, WHEN_NEVER);
    }
}

static void client_fiber(void *arg)
{
    ledger_client(arg, &(struct ledger_client){.ledger = &all.ledger,
                                               .domains = domains,
                                               .domain_count = COUNT_OF(domains),
                                               .upto = all.mail_max,
                                               .pause_ms = 600});
}

static void before(struct machine *m)
{
    struct sim_net_rule rule = {
        .latency_ns = 100 * 1000, .jitter_ns = 300 * 1000, .bytes_per_s = 50 * 1000 * 1000};

    sim_net_rule(m->world, &rule);
    scanners_begin(&all.scanners, m);
    for (unsigned i = 0; i < all.scanners.count; i++) {
        all.scanners.items[i]->mood = all.is_silent ? SCANNER_SILENT : SCANNER_WELL;
        breakers_begin(&all.breakers[i]);
    }
    if (all.crash_at > 0) {
        sim_crash_at(m->world, "asked", all.crash_at);
    }
}

static void outside(struct machine *m)
{
    struct group around;
    struct action release = {.kind = ACTION_RELEASE};
    struct operation o;

    wishes_begin(&all.wishes, m);
    group_init(&around, "around", 0);
    group_init(&all.clients, "clients", 0);
    must(group_spawn_now(&around, "moods", moods_fiber, m).code == OK);
    must(group_spawn_now(&around, "look", look_fiber, m).code == OK);
    must(group_spawn_now(&around, "operator", operator_fiber, m).code == OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        must(group_spawn_now(&all.clients, "client", client_fiber, m).code == OK);
    }
    (void)group_join(&all.clients, WHEN_NEVER);
    (void)fiber_sleep(when_after(all.is_last ? 60 * 1000 : 200 * 1000), WHEN_NEVER);
    group_cancel(&around);
    (void)group_join(&around, WHEN_NEVER);
    if (all.is_last && sim_end(m->world) == SIM_RUNNING) {
        operate(m, &release, STR_EMPTY, &o);
        if (!machine_drain(m, DRAIN_MS, WHEN_NEVER) && sim_end(m->world) == SIM_RUNNING) {
            sim_fail(m->run, "mail still waits, or something is owed, at the end");
        }
    }
}

static void took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    (void)m;
    if (!wishes_took(&all.wishes, h->number, mail)) {
        ledger_took(&all.ledger, h->number, mail);
    }
}

static void note_cancelled(uint64_t id)
{
    for (unsigned i = 0; i < all.ledger.count; i++) {
        if (all.opinions.ids[i] == id) {
            all.wishes.cancelled_ms[i] = clock_date().ms;
            sim_point(all.scanners.world, "message-cancelled");
        }
    }
}

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    (void)m;
    for (unsigned i = 0; i < all.scanners.count; i++) {
        breakers_told(&all.breakers[i], all.run, event, f, n);
    }
    if (strcmp(event, "filter_note") == 0) {
        sim_fail(all.run, "a wish was left out: %.*s", STR_ARG(field_str(f, n, "text")));
    }
    if (strcmp(event, "filter_cancelled") == 0) {
        note_cancelled((uint64_t)field_num(f, n, "message"));
    }
    wishes_told(&all.wishes, event, f, n);
    ledger_told(&all.ledger, event, f, n);
}

/* ---- the run ---- */

static void put_hook(struct buf *out, unsigned i, const char *name, const char *stages)
{
    buf_printf(out, "  - { name: %s, stages: [%s], timeout: %dms, concurrency: 100, ", name, stages,
               TIMEOUT_MS);
    buf_printf(out, "breaker: { failures: %d, pause: %dms }, ", FAILURES,
               sim_switched(all.run, "early") ? PAUSE_MS / 2 : PAUSE_MS);
    scanner_config(all.scanners.items[i],
                   "/stage, /action, /timestamp, /queue, /envelope, /message/headers, /server",
                   "/action, /envelope, /message", out);
    buf_put(out, STR(" }\n"));
}

static void write_config(struct buf *out)
{
    buf_put(out, STR("server: { hostname: mx.here.example }\n"
                     "listeners: { smtp: { bind: [\"127.0.0.1:2525\"], submission: false } }\n"
                     "queue:\n"
                     "  virtual: { remote: { concurrency: 24 }, other: { concurrency: 24 } }\n"
                     "  schedule:\n"
                     "    remote: { queue-name: remote, retry: [1s, 2s, 5s, 15s], notify: [12s], "
                     "expire: 3m }\n"
                     "    dsn: { queue-name: dsn, retry: [5s], expire: 1h }\n"
                     "  strategy:\n"
                     "    schedule: [ { if: \"source == 'dsn'\", use: dsn }, { use: remote } ]\n"
                     "hooks:\n"));
    put_hook(out, FRONT, "front",
             all.has_route ? "route, delivery, defer, dsn" : "delivery, defer, dsn");
    put_hook(out, BACK, "back", "delivery, dsn");
    buf_byte(out, '\0');
}

static void live(const char *config, unsigned life, struct date *start)
{
    static struct machine m;
    struct machine_options o = {.seed = all.run->seed * 16 + life,
                                .config = config,
                                .folder = all.folder,
                                .store = {.segment_bytes = SEGMENT,
                                          .min_free_bytes = 3 * SEGMENT,
                                          .node = 1,
                                          .checkpoint_bytes = SEGMENT},
                                .start = *start,
                                .time_max_ms = 2LL * DRAIN_MS,
                                .hosts = hosts,
                                .host_count = COUNT_OF(hosts),
                                .before = before,
                                .outside = outside,
                                .took = took,
                                .told = told,
                                .ctx = &all};

    o.store.broken = sim_switched(all.run, "ack-before-flush") ? BROKEN_ACK_BEFORE_FLUSH : 0;
    all.is_last = life == LIVES - 1;
    all.mail_max = all.is_last ? MAIL : MAIL / LIVES * (life + 1);
    all.crash_at = 0;
    if (!all.is_last) {
        if (draw(3) > 0) {
            all.crash_at = 1 + draw(30);
        }
        o.crash_ns = (500 + (int64_t)draw(all.crash_at > 0 ? 120 * 1000 : 30 * 1000)) * NS_PER_MS;
    }
    machine_live(&m, all.run, &o);
    *start = date_add(m.ended, 1000);
    wishes_end(&all.wishes, m.end == SIM_CRASHED, m.ended.ms);
    ledger_life_ended(&all.ledger, m.end == SIM_CRASHED, m.ended.ms);
    if (m.end == SIM_CRASHED && draw(3) == 0) {
        sim_disk_kill(all.folder);
    } else if (m.end == SIM_CRASHED) {
        sim_disk_power_cut(all.folder);
    }
}

static void run(struct sim_run *r)
{
    static struct scanner front, back;
    struct buf config BUF_LOCAL = {0};
    struct date start = {0};

    memset(&all, 0, sizeof all);
    all.run = r;
    all.rng = r->seed * 0x2545f4914f6cdd1du + 1;
    all.is_silent = r->seed % 8 == 0;
    all.has_route = draw(2) == 0;
    front = (struct scanner){.host = "192.0.2.1",
                             .is_patch = all.has_route || draw(2) == 0,
                             .is_cbor = draw(2) == 0,
                             .is_found = draw(2) == 0,
                             .blocks = true,
                             .slow_ms = TIMEOUT_MS - 500};
    back = (struct scanner){.host = "192.0.2.2",
                            .is_patch = draw(2) == 0,
                            .is_cbor = draw(2) == 0,
                            .is_found = draw(2) == 0,
                            .blocks = true,
                            .slow_ms = TIMEOUT_MS - 500};
    front.is_mute = back.is_mute = all.is_silent && draw(2) == 0;
    all.scanners = (struct scanners){.run = r,
                                     .items = {&front, &back},
                                     .count = 2,
                                     .asked = opinions_asked,
                                     .says = opinions_say,
                                     .ctx = &all.opinions};
    all.breakers[FRONT] = (struct breakers){
        .name = "front", .failures_max = FAILURES, .pause_ms = PAUSE_MS};
    all.breakers[BACK] = (struct breakers){
        .name = "back", .failures_max = FAILURES, .pause_ms = PAUSE_MS};
    all.opinions = (struct opinions){.run = r, .ledger = &all.ledger, .wishes = &all.wishes};
    all.folder = sim_disk_new("store", r->seed);
    ledger_init(&all.ledger, r, WINDOW_MS);
    wishes_init(&all.wishes, r, &all.ledger);
    all.wishes.late_ms = LATE_MS + (all.has_route ? LATE_ROUTE_MS : 0);
    all.wishes.cancel_ms = CANCEL_MS;
    write_config(&config);
    for (unsigned life = 0; life < LIVES && !r->failed; life++) {
        live(config.ptr, life, &start);
    }
    if (!r->failed) {
        wishes_settle(&all.wishes);
        ledger_judge(&all.ledger);
        wishes_judge(&all.wishes);
    }
    ledger_done(&all.ledger);
    sim_disk_free(all.folder);
}

int main(int argc, char **argv)
{
    static const struct sim_need needs[] = {
        {"crash", 20},
        {"power-cut", 20},
        {"kill", 20},
        {"scanner-silent", 20},
        {"scanner-reset", 20},
        {"scanner-refuses", 20},
        {"scanner-babbles", 20},
        {"scanner-forgets", 20},
        {"asked-again", 20},
        {"asked-re-registered", 20},
        {"wish-made", 20},
        {"wish-unmade", 20},
        {"report-dropped", 20},
        {"rcpt-added", 20},
        {"message-cancelled", 20},
        {"operated", 20},
        {"registration", 20},
    };
    static const struct sim_scenario scenario = {"outbound", run, needs, COUNT_OF(needs), 40};

    return sim_main(argc, argv, &scenario);
}
