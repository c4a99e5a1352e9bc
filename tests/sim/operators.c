/*
 * Operators at work while mail is delivered and the machine crashes: holds, releases, cancels,
 * retries, moves, new schedules, pauses and resumes, at any moment, of single recipients and of
 * whole domains. Nothing that was answered 250 is lost, delivered twice or told twice
 * (yard/ledger.h); nothing is delivered after its cancel was stored; nothing is tried, told or
 * given up while it is held, over crashes too; nothing that a pause covers is tried once what ran
 * has ended; and all the time everything queued has its one reason (yard/audit.h).
 *
 * A seed    200 messages to fast, slow, flaky and refusing hosts; three lives; some 150 actions.
 *
 * Switches  Things the operator does and does not own up to: early-release, unsaid-resume.
 */
#include "base/mem.h"
#include "chance.h"
#include "queue/operate.h"
#include "queue/pause.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "yard/audit.h"
#include "yard/ledger.h"

#include <stdio.h>

enum {
    MAIL = 200,
    CLIENTS = 4,
    LIVES = 3,
    SEGMENT = 256 * 1024,
    WINDOW_MS = 150,
    ATTEMPT_MS = 90 * 1000, /* no attempt takes longer with these hosts and time-outs */
    DRAIN_MS_MAX = 12 * 3600 * 1000
};

static const char config[] =
    "server: { hostname: mx.here.example }\n"
    "listeners: { smtp: { bind: [\"127.0.0.1:2525\"], submission: false } }\n"
    "queue:\n"
    "  virtual: { remote: { concurrency: 8 }, slow: { concurrency: 4 } }\n"
    "  schedule:\n"
    "    remote: { queue-name: remote, retry: [4s, 15s, 40s, 90s], notify: [2m], expire: 20m }\n"
    "    slow: { queue-name: slow, retry: [5s, 1m], notify: [2m], expire: 20m }\n"
    "  route: { hub: { type: relay, address: 198.51.100.1, port: 25 }, mx: { type: mx } }\n"
    "  connection:\n"
    "    default: { rest: [5s, 10s], timeout: { connect: 5s, greeting: 5s, ehlo: 5s, "
    "mail-from: 5s, rcpt-to: 5s, data: 10s } }\n"
    "  strategy:\n"
    "    schedule:\n"
    "      - { if: \"starts_with(rcpt_domain, 's')\", use: slow }\n"
    "      - { if: \"source == 'dsn'\", use: dsn }\n"
    "      - { use: remote }\n"
    "    route: [ { use: mx } ]\n";

static const char *const domains[] = {"fast-1.example", "slow-2.example", "flaky-4.example",
                                      "no-5.example",   "grey-8.example", "later-11.example",
                                      "down-12.example"};

static struct yard_host hosts[] = {
    {.number = 1, .behaviour = ""},
    {.number = 2, .behaviour = "slow:300ms"},
    {.number = LEDGER_HOME, .behaviour = ""},
    {.number = 4, .behaviour = "flaky:0.5"},
    {.number = 5, .behaviour = "refuse:rcpt:550@0.3"},
    {.number = 8, .behaviour = "greylist:3s"},
    {.number = 11, .behaviour = "refuse:dot:451@0.6"},
};

/* What the operator knows of a recipient. */
struct known {
    bool held;         /* answered done, and not released since */
    int64_t paused_ms; /* its own pause was answered then; 0: none */
};

struct operators {
    struct ledger ledger;
    struct sim_run *run;
    struct sim_disk *folder;
    struct known known[LEDGER_MAIL_MAX][LEDGER_RCPTS_MAX];
    uint64_t rng;
    bool is_last;
    unsigned mail_max;
    struct audit audit;
    struct group clients;
    unsigned pauses; /* so far: their names */
};

static struct operators all;

/* ---- clients ---- */

static void client_fiber(void *arg)
{
    struct machine *m = arg;
    struct operators *c = m->options.ctx;

    ledger_client(m, &(struct ledger_client){.ledger = &c->ledger,
                                             .domains = domains,
                                             .domain_count = COUNT_OF(domains),
                                             .upto = c->mail_max,
                                             .pause_ms = c->is_last ? 400 : 60});
}

/* ---- operators ---- */

/* Some recipient of a message that was sent; its numbers. */
static struct ledger_rcpt *somebody(struct operators *c, unsigned *number, unsigned *at)
{
    struct ledger_mail *mail;

    if (c->ledger.count == 0) {
        return NULL;
    }
    *number = (unsigned)random_below(c->ledger.count);
    mail = &c->ledger.mail[*number];
    *at = (unsigned)random_below(mail->to_count);
    return &mail->to[*at];
}

/* One that is likely to be at work: of the latest messages, to a host that takes its time. */
static struct ledger_rcpt *somebody_at_work(struct operators *c, unsigned *number, unsigned *at)
{
    for (unsigned tries = 0; tries < 40 && c->ledger.count > 0; tries++) {
        unsigned back = (unsigned)random_below(c->ledger.count < 12 ? c->ledger.count : 12);
        struct ledger_mail *mail = &c->ledger.mail[c->ledger.count - 1 - back];

        *number = c->ledger.count - 1 - back;
        *at = (unsigned)random_below(mail->to_count);
        if (str_find_str(str_of(mail->to[*at].address), STR("@slow-")) != STR_NONE) {
            return &mail->to[*at];
        }
    }
    return somebody(c, number, at);
}

static void operate(struct machine *m, struct action *act, const struct selection *which,
                    struct operation *ret)
{
    *ret = (struct operation){
        .queue = m->queue, .store = m->store, .action = act, .selection = which};
    act->plan = queue_plan(m->queue, WHEN_NEVER);
    (void)queue_operate(ret, WHEN_NEVER);
    plan_give(act->plan);
}

static void one_recipient(struct machine *m)
{
    struct operators *c = m->options.ctx;
    unsigned number, at;
    struct action act = {.kind = (enum action_kind)random_below(ACTION_COUNT),
                         .who = STR("an operator"),
                         .why = STR("it is so")};
    struct selection which = {0};
    struct ledger_rcpt *r = act.kind == ACTION_CANCEL ? somebody_at_work(c, &number, &at)
                                                      : somebody(c, &number, &at);
    struct operation o;
    struct known *known;

    if (r == NULL) {
        return;
    }
    known = &c->known[number][at];
    which.rcpt = str_of(r->address);
    if (act.kind == ACTION_RELEASE && !sim_switched(m->run, "early-release")) {
        known->held = false;
    } else if (act.kind == ACTION_CANCEL) {
        act.is_silent = random_below(2) == 0;
    } else if (act.kind == ACTION_MOVE) {
        act.queue = random_below(2) == 0 ? STR("slow") : STR("remote");
        act.route = random_below(3) == 0 ? STR("hub") : STR_EMPTY;
    } else if (act.kind == ACTION_RETRY && random_below(2) == 0) {
        act.at = date_add(clock_date(), (int64_t)random_below(60 * 1000));
    }
    operate(m, &act, &which, &o);
    if (act.kind == ACTION_HOLD && o.done == 1) {
        known->held = true;
        sim_point(m->world, "held");
    } else if (act.kind == ACTION_CANCEL && o.done == 1) {
        /* The event said so before the answer; a cancelled hold is no hold. */
        known->held = false;
        if (!r->cancelled) {
            sim_fail(m->run, "%s was answered cancelled, and is not", r->address);
        }
        sim_point(m->world, "cancelled");
    } else if (act.kind == ACTION_CANCEL && o.requested == 1) {
        sim_point(m->world, "cancel-requested");
    }
    if (o.done + o.requested + o.running + o.held + o.unchanged + o.ended + o.failed_to !=
        o.recipients) {
        sim_fail(m->run, "%s of %llu recipients came to %llu done and so on", action_name(act.kind),
                 (unsigned long long)o.recipients, (unsigned long long)o.done);
    }
}

/* Many at once; what was known to be held may be released by it. */
static void many_recipients(struct machine *m)
{
    static const enum action_kind kinds[] = {ACTION_HOLD, ACTION_RELEASE, ACTION_RETRY, ACTION_MOVE,
                                             ACTION_RESCHEDULE};
    struct operators *c = m->options.ctx;
    struct action act = {.kind = kinds[random_below(COUNT_OF(kinds))],
                         .who = STR("an operator"),
                         .why = STR("all of them"),
                         .queue = random_below(2) == 0 ? STR("slow") : STR("remote")};
    char text[100];
    struct selection which = {0};
    struct buf why BUF_LOCAL = {0};
    struct operation o;

    if (act.kind != ACTION_MOVE) {
        act.queue = STR_EMPTY;
    }
    snprintf(text, sizeof text, "rcpt_domain == '%s' && source != 'dsn' && queue_age >= 1s",
             domains[random_below(COUNT_OF(domains))]);
    which.text = str_of(text);
    must(select_compile(&which, &why).code == OK);
    if (act.kind == ACTION_RELEASE) {
        memset(c->known, 0, sizeof c->known); /* pauses are told by their own table again */
    }
    operate(m, &act, &which, &o);
    select_done(&which);
    sim_point(m->world, o.recipients > 3 ? "many" : "few");
}

/* A pause for a while: of one recipient, a queue, a destination, or an expression. */
static void pause_fiber(void *arg)
{
    struct machine *m = arg;
    struct operators *c = m->options.ctx;
    unsigned number, at;
    struct ledger_rcpt *r = somebody(c, &number, &at);
    char name[16], site[64];
    struct pause p = {.since = clock_date(), .until = DATE_NEVER};
    unsigned kind = (unsigned)random_below(4);
    struct known *known = NULL;

    if (r == NULL) {
        return;
    }
    snprintf(name, sizeof name, "p%u", c->pauses++);
    snprintf(site, sizeof site, "mx %s", domains[random_below(COUNT_OF(domains))]);
    p.name = str_of(name);
    if (kind == 0) {
        p.which.queue = random_below(2) == 0 ? STR("slow") : STR("remote");
    } else if (kind == 1) {
        p.which.site = str_of(site);
    } else if (kind == 2) {
        p.which.text = STR("size > 2000 && source != 'dsn'");
    } else {
        p.which.rcpt = str_of(r->address);
        known = &c->known[number][at];
    }
    if (random_below(4) == 0) {
        p.until = date_add(clock_date(), (int64_t)random_below(60 * 1000) + 1000);
        known = NULL;
    }
    if (queue_pause(m->queue, &p, WHEN_NEVER).code != OK) {
        return;
    }
    sim_point(m->world, "paused");
    if (known != NULL && known->paused_ms == 0) {
        known->paused_ms = clock_date().ms;
    }
    (void)fiber_sleep(when_after((int64_t)random_below(300 * 1000)), WHEN_NEVER);
    if (known != NULL && !sim_switched(m->run, "unsaid-resume")) {
        known->paused_ms = 0;
    }
    (void)queue_resume(m->queue, p.name, WHEN_NEVER);
}

static void operator_fiber(void *arg)
{
    struct machine *m = arg;
    struct group pausing;

    group_init(&pausing, "pauses", 0);
    while (fiber_sleep(when_after((int64_t)random_below(1500)), WHEN_NEVER).code == OK) {
        uint64_t what = random_below(12);

        if (what == 0) {
            (void)group_spawn_now(&pausing, "pause", pause_fiber, m);
        } else if (what < 3) {
            many_recipients(m);
        } else {
            one_recipient(m);
        }
    }
    group_cancel(&pausing);
    (void)group_join(&pausing, WHEN_NEVER);
}

/* All goes on: what is held is released, what is paused resumed. */
static void let_all_go(struct machine *m)
{
    struct operators *c = m->options.ctx;
    struct action release = {.kind = ACTION_RELEASE};
    struct pauses *p = queue_pauses(m->queue, WHEN_NEVER);
    struct operation o;

    for (unsigned i = 0; i < c->ledger.count; i++) {
        for (unsigned k = 0; k < LEDGER_RCPTS_MAX; k++) {
            struct known *known = &c->known[i][k];

            known->held = known->held && sim_switched(m->run, "early-release");
            known->paused_ms = sim_switched(m->run, "unsaid-resume") ? known->paused_ms : 0;
        }
    }
    for (uint32_t i = 0; p != NULL && i < p->count; i++) {
        (void)queue_resume(m->queue, p->items[i].name, WHEN_NEVER);
    }
    pauses_give(p);
    operate(m, &release, NULL, &o);
}

static void say_what_waits(struct machine *m)
{
    struct arena a ARENA_LOCAL = {0};
    struct message *messages;
    struct job_note *notes = NULL;
    uint32_t count = 0, note_count = 0;

    (void)store_walk(m->store, 0, 1, &a, &messages, &count, WHEN_NEVER);
    if (count > 0) {
        (void)queue_notes(m->queue, &messages[0].id, 1, &a, &notes, &note_count, WHEN_NEVER);
    }
    sim_fail(m->run,
             "half a day after all was released mail still waits: %llu jobs, %llu owed; %016llx in "
             "%u jobs, %s %s",
             (unsigned long long)machine_counts(m, WHEN_NEVER).jobs,
             (unsigned long long)machine_counts(m, WHEN_NEVER).owed,
             count > 0 ? (unsigned long long)messages[0].id : 0ULL, note_count,
             note_count > 0 ? notes[0].state : "-",
             note_count > 0 ? wait_reason_name(notes[0].reason) : "-");
}

/* ---- what happens ---- */

static void before(struct machine *m)
{
    struct sim_net_rule rule = {.latency_ns = 100 * 1000,
                                .jitter_ns = 300 * 1000,
                                .bytes_per_s = 50 * 1000 * 1000,
                                .reset_ppm = 10000,
                                .refused_ppm = 5000};

    sim_net_rule(m->world, &rule);
}

static void audit_fiber(void *arg)
{
    struct machine *m = arg;
    struct operators *c = m->options.ctx;

    while (fiber_sleep(when_after(200 + (int64_t)random_below(20000)), WHEN_NEVER).code == OK) {
        audit_look(&c->audit, m, WHEN_NEVER);
    }
}

static void outside(struct machine *m)
{
    struct operators *c = m->options.ctx;
    struct group work, looks;

    group_init(&c->clients, "clients", 0);
    group_init(&work, "operators", 0);
    group_init(&looks, "audit", 0);
    must(group_spawn_now(&looks, "audit", audit_fiber, m).code == OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        must(group_spawn_now(&c->clients, "client", client_fiber, m).code == OK);
    }
    for (unsigned i = 0; i < 2; i++) {
        must(group_spawn_now(&work, "operator", operator_fiber, m).code == OK);
    }
    (void)group_join(&c->clients, WHEN_NEVER);
    (void)fiber_sleep(c->is_last ? when_after(120 * 1000) : WHEN_NEVER, WHEN_NEVER);
    group_cancel(&work);
    (void)group_join(&work, WHEN_NEVER);
    if (c->is_last) {
        let_all_go(m);
        if (!machine_drain(m, DRAIN_MS_MAX, WHEN_NEVER)) {
            say_what_waits(m);
        }
    }
    group_cancel(&looks);
    (void)group_join(&looks, WHEN_NEVER);
}

static void took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    ledger_took(&((struct operators *)m->options.ctx)->ledger, h->number, mail);
}

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    static const char *const attempts[] = {"delivery_done", "delivery_deferred", "delivery_failed",
                                           "delivery_delayed"};
    struct operators *c = m->options.ctx;
    struct str address = field_str(f, n, "rcpt");
    unsigned number;
    struct ledger_rcpt *r = ledger_rcpt(&c->ledger, address, &number);

    ledger_told(&c->ledger, event, f, n);
    for (size_t i = 0; i < COUNT_OF(attempts) && r != NULL; i++) {
        struct known *known = &c->known[number][r - c->ledger.mail[number].to];
        bool is_attempt = i < 2;

        if (strcmp(event, attempts[i]) != 0) {
            continue;
        }
        if (known->held) {
            sim_fail(m->run, "%s is held, and there is %s", r->address, event);
        }
        if (is_attempt && known->paused_ms > 0 && clock_date().ms > known->paused_ms + ATTEMPT_MS) {
            sim_fail(m->run, "%s is paused, and there is %s", r->address, event);
        }
    }
}

/* ---- the run ---- */

static uint64_t draw(struct operators *c, uint64_t below)
{
    return chance_below(&c->rng, below);
}

static void live(struct operators *c, unsigned life, struct date *start)
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

    c->is_last = life == LIVES - 1;
    c->audit = (struct audit){0};
    c->mail_max = c->is_last ? MAIL : MAIL / LIVES * (life + 1);
    if (!c->is_last) {
        o.crash_ns = (500 + (int64_t)draw(c, 120 * 1000)) * NS_PER_MS;
    }
    machine_live(&m, c->run, &o);
    *start = date_add(m.ended, 1000);
    ledger_life_ended(&c->ledger, m.end == SIM_CRASHED, m.ended.ms);
    if (m.end == SIM_CRASHED && draw(c, 2) == 0) {
        sim_disk_kill(c->folder);
    } else if (m.end == SIM_CRASHED) {
        sim_disk_power_cut(c->folder);
    }
}

static void run(struct sim_run *r)
{
    struct operators *c = &all;
    struct date start = {0};

    *c = (struct operators){.run = r, .rng = r->seed * 0x2545f4914f6cdd1du + 1};
    c->folder = sim_disk_new("store", r->seed);
    ledger_init(&c->ledger, r, WINDOW_MS);
    for (unsigned life = 0; life < LIVES && !r->failed; life++) {
        live(c, life, &start);
    }
    if (!r->failed) {
        ledger_judge(&c->ledger);
    }
    ledger_done(&c->ledger);
    sim_disk_free(c->folder);
}

int main(int argc, char **argv)
{
    static const struct sim_need needs[] = {{"crash", 20},     {"held", 20},
                                            {"cancelled", 20}, {"cancel-requested", 20},
                                            {"paused", 20},    {"many", 20}};
    static const struct sim_scenario scenario = {"operators", run, needs, COUNT_OF(needs), 40};

    return sim_main(argc, argv, &scenario);
}
