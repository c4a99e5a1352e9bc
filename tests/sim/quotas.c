/*
 * Quotas while mail comes, goes, expires and is cancelled, while other quotas come with reloads,
 * and while the machine crashes: what is used is at all times what the store says it should be, is
 * never beyond what is allowed but by what was stored before, and is nothing at the end. Nothing
 * that was answered 250 is lost, and nothing is delivered that was answered 452 (yard/ledger.h).
 *
 * Looks     The claims of all that is stored, worked out anew, against what the queue counts. What
 *           is on its way in or being recorded differs for a moment: a difference must be gone
 *           within seconds.
 * Sessions  Limiters of arriving mail count what is open, refuse nobody, and have nothing left when all
 *           clients are gone, however that was.
 * A seed    240 messages to fast, slow, flaky and refusing hosts; three lives; some 40 reloads.
 *
 * Switches  Faults that a look must see: leak (something is held for nobody), forget (what waits is
 *           given back), blind (a reload is not counted again), stuck (a limiter was not given back).
 */
#include "base/mem.h"
#include "chance.h"
#include "inbound/part.h"
#include "queue/claims.h"
#include "queue/operate.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "yard/ledger.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MAIL = 240,
    CLIENTS = 4,
    LIVES = 3,
    SEGMENT = 256 * 1024,
    WINDOW_MS = 150,
    STORED_MAX = 1000,
    SETTLES_MS = 20 * 1000,
    DRAIN_MS_MAX = 12 * 3600 * 1000
};

#define CONFIG(quotas)                                                                             \
    "server: { hostname: mx.here.example }\n"                                                      \
    "listeners: { smtp: { bind: [\"127.0.0.1:2525\"], submission: false } }\n"                     \
    "queue:\n"                                                                                     \
    "  virtual: { remote: { concurrency: 8 }, slow: { concurrency: 4 } }\n"                        \
    "  schedule:\n"                                                                                \
    "    remote: { queue-name: remote, retry: [4s, 15s, 40s], notify: [40s], expire: 3m }\n"       \
    "    slow: { queue-name: slow, retry: [5s, 1m], notify: [40s], expire: 3m }\n"                 \
    "  route: { mx: { type: mx } }\n"                                                              \
    "  connection:\n"                                                                              \
    "    default: { rest: [5s, 10s], timeout: { connect: 5s, greeting: 5s, ehlo: 5s, "             \
    "mail-from: 5s, rcpt-to: 5s, data: 10s } }\n"                                                  \
    "  strategy:\n"                                                                                \
    "    schedule:\n"                                                                              \
    "      - { if: \"starts_with(rcpt_domain, 's')\", use: slow }\n"                               \
    "      - { if: \"source == 'dsn'\", use: dsn }\n"                                              \
    "      - { use: remote }\n"                                                                    \
    "    route: [ { use: mx } ]\n"                                                                 \
    "  limiter:\n"                                                                                 \
    "    inbound:\n"                                                                               \
    "      clients: { key: [remote_ip], concurrency: 1000 }\n"                                     \
    "      senders: { key: [sender], concurrency: 1000 }\n"                                        \
    "      rcpts: { key: [rcpt_domain], concurrency: 1000 }\n" quotas

/* The last one is in no life's beginning: it has none. */
static const char *const configs[] = {
    CONFIG("  quota:\n"
           "    each-domain: { key: [rcpt_domain], messages: 12 }\n"
           "    slow: { match: 'rcpt_domain == \"slow-2.example\"', size: 60KiB }\n"
           "    all: { messages: 60 }\n"),
    CONFIG("  quota:\n"
           "    each-rcpt: { key: [rcpt], messages: 1 }\n"
           "    senders: { key: [sender_domain], messages: 40, size: 300KiB }\n"
           "    each-domain: { key: [rcpt_domain], messages: 20 }\n"
           "    grey: { match: 'contains(rcpt, \"x1@\")', messages: 30 }\n"),
    CONFIG("  quota:\n"
           "    all: { messages: 80 }\n"
           "    slow: { match: 'rcpt_domain == \"slow-2.example\"', messages: 9 }\n"
           "    each-domain: { key: [rcpt_domain], messages: 15 }\n"),
    CONFIG(""),
};

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

struct scene {
    struct ledger ledger;
    struct sim_run *run;
    struct sim_disk *folder;
    uint64_t rng;
    unsigned mail_max;
    bool is_last;
};

static struct scene all;

/* ---- clients ---- */

static void client_fiber(void *arg)
{
    struct machine *m = arg;
    struct scene *c = m->options.ctx;

    ledger_client(m, &(struct ledger_client){.ledger = &c->ledger,
                                             .domains = domains,
                                             .domain_count = COUNT_OF(domains),
                                             .upto = c->mail_max,
                                             .pause_ms = 4000});
}

/* ---- operators ---- */

static void cancel_some(struct machine *m)
{
    char text[100];
    struct selection which = {0};
    struct buf why BUF_LOCAL = {0};
    struct action act = {.kind = ACTION_CANCEL, .who = STR("an operator"), .is_silent = true};
    struct operation o = {
        .queue = m->queue, .store = m->store, .action = &act, .selection = &which};

    snprintf(text, sizeof text, "rcpt_domain == '%s' && source != 'dsn' && contains(rcpt, 'x%u@')",
             domains[random_below(COUNT_OF(domains))], (unsigned)random_below(3));
    which.text = str_of(text);
    must(select_compile(&which, &why).code == OK);
    act.plan = queue_plan(m->queue, WHEN_NEVER);
    (void)queue_operate(&o, WHEN_NEVER);
    plan_give(act.plan);
    select_done(&which);
    if (o.done + o.requested > 0) {
        sim_point(m->world, "cancelled");
    }
}

static void reload(struct machine *m)
{
    bool blind = sim_switched(m->run, "blind");

    m->queue->is_recounting |= blind;
    machine_reload(m, configs[random_below(COUNT_OF(configs))], WHEN_NEVER);
    sim_point(m->world, "reload");
    if (blind) {
        (void)fiber_sleep(when_after(10), WHEN_NEVER);
        m->queue->is_recounting = m->queue->recount = false;
    }
}

static void operator_fiber(void *arg)
{
    struct machine *m = arg;

    while (fiber_sleep(when_after(500 + (int64_t)random_below(8000)), WHEN_NEVER).code == OK) {
        if (random_below(2) == 0) {
            reload(m);
        } else {
            cancel_some(m);
        }
    }
}

/* ---- looks ---- */

/* What is used, as one text: each key a line, in order. */
struct told {
    const char *lines[4096];
    uint32_t count;
    struct arena arena;
};

static void tell_use(void *ctx, const struct quota_use *use)
{
    struct told *t = ctx;
    struct buf values BUF_LOCAL = {0};

    for (size_t i = 0; i < use->values.len; i++) {
        buf_byte(&values, use->values.ptr[i] == '\0' ? ' ' : use->values.ptr[i]);
    }
    must(t->count < COUNT_OF(t->lines));
    t->lines[t->count++] = arena_printf(&t->arena, "%.*s %.*s: %llu, %llu bytes\n%c",
                                        STR_ARG(use->rule), STR_ARG(buf_str(&values)),
                                        (unsigned long long)use->messages,
                                        (unsigned long long)use->bytes, 0)
                               .ptr;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void tell_all(const struct quotas *q, struct buf *out)
{
    static struct told t;

    t = (struct told){0};
    quotas_each(q, tell_use, &t);
    qsort(t.lines, t.count, sizeof t.lines[0], by_text);
    for (uint32_t i = 0; i < t.count; i++) {
        buf_put(out, str_of(t.lines[i]));
    }
    arena_done(&t.arena);
}

/* The same, worked out from what is stored. */
static bool work_out(struct machine *m, const struct plan *p, struct buf *out)
{
    struct arena a ARENA_LOCAL = {0};
    struct message *messages;
    struct quotas *fresh;
    struct quota_rule rules[8];
    uint32_t count;

    if (store_walk(m->store, 0, STORED_MAX, &a, &messages, &count, WHEN_NEVER).code != OK) {
        return false;
    }
    must(p->quota_count <= COUNT_OF(rules));
    for (uint32_t i = 0; i < p->quota_count; i++) {
        rules[i] = (struct quota_rule){.name = p->quotas[i].name};
    }
    fresh = quotas_new(1);
    quotas_use(fresh, rules, p->quota_count);
    for (uint32_t i = 0; i < count; i++) {
        struct claim c;

        claim_make(&c, p, &messages[i]);
        quotas_put(fresh, &c.claim);
        claim_done(&c);
    }
    tell_all(fresh, out);
    quotas_free(fresh);
    return true;
}

/* Once: whether they agree, or there is nothing to compare. */
static bool agree(struct machine *m, struct buf *has, struct buf *wants)
{
    struct queue *q = m->queue;
    struct plan *p = queue_plan(q, WHEN_NEVER);
    bool done = !q->loaded || q->stopping || q->quotas == NULL || q->recount || q->is_recounting;

    if (!done && work_out(m, p, wants) && q->quotas != NULL && q->plan == p && !q->recount) {
        tell_all(q->quotas, has);
        done = str_eq(buf_str(has), buf_str(wants));
        sim_point(m->world, done ? "agreed" : "differed");
    } else {
        done = true;
    }
    plan_give(p);
    return done;
}

static void look(struct machine *m)
{
    struct when until = when_after(SETTLES_MS);
    struct buf has BUF_LOCAL = {0}, wants BUF_LOCAL = {0};
    bool ok = false;

    while (!ok && clock_now().ns < until.ns && sim_end(m->world) == SIM_RUNNING) {
        buf_clear(&has);
        buf_clear(&wants);
        ok = agree(m, &has, &wants) ||
             fiber_sleep(when_after(1 + (int64_t)random_below(100)), WHEN_NEVER).code != OK;
    }
    if (!ok && sim_end(m->world) == SIM_RUNNING) {
        sim_fail(m->run, "the quotas count\n%.*sand of what is stored it should be\n%.*s",
                 STR_ARG(buf_str(&has)), STR_ARG(buf_str(&wants)));
    }
}

/* A fault that the switch asks for. */
static void do_harm(struct machine *m)
{
    struct queue *q = m->queue;
    struct arena a ARENA_LOCAL = {0};
    struct message *messages;
    uint32_t count;

    if (q->quotas == NULL ||
        store_walk(m->store, 0, STORED_MAX, &a, &messages, &count, WHEN_NEVER).code != OK ||
        q->quotas == NULL) {
        return;
    }
    if (sim_switched(m->run, "leak")) {
        struct quota_part part = {STR("each-domain"), STR("leak.example"), true};
        struct quota_claim c = {
            .message = random_u64(), .bytes = 1, .parts = &part, .part_count = 1};

        quotas_put(q->quotas, &c);
    } else if (sim_switched(m->run, "forget") && count > 0) {
        quotas_drop(q->quotas, messages[random_below(count)].id);
    }
}

static void look_fiber(void *arg)
{
    struct machine *m = arg;

    while (fiber_sleep(when_after(200 + (int64_t)random_below(5000)), WHEN_NEVER).code == OK) {
        do_harm(m);
        look(m);
    }
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

/* All is gone: so is all that was used. */
static void expect_nothing(struct machine *m)
{
    const struct quota_sum *sums;
    uint32_t count;

    machine_reload(m, configs[0], WHEN_NEVER);
    (void)fiber_sleep(when_after(5000), WHEN_NEVER);
    if (m->queue->quotas == NULL) {
        sim_fail(m->run, "the quotas did not come back");
        return;
    }
    count = quotas_sums(m->queue->quotas, &sums);
    for (uint32_t i = 0; i < count; i++) {
        if (sums[i].messages + sums[i].bytes + sums[i].keys > 0) {
            sim_fail(m->run, "nothing waits, and %.*s has %llu messages, %llu bytes, %llu keys",
                     STR_ARG(sums[i].rule), (unsigned long long)sums[i].messages,
                     (unsigned long long)sums[i].bytes, (unsigned long long)sums[i].keys);
        }
    }
}

static void expect_nobody(struct machine *m)
{
    struct limits *l = m->inbound->limits;

    if (sim_switched(m->run, "stuck")) {
        struct limit_key key = {.rule = STR("senders"), .values = STR("x")};
        struct limit_refusal why;

        must(limits_take(l, &key, 1, true, clock_now(), &why));
    }
    must(limits_next(l, clock_now()) == NULL); /* forgets what is not used */
    if (limits_buckets(l) > 0) {
        sim_fail(m->run, "nobody is there, and limiters count %zu keys", limits_buckets(l));
    }
}

static void outside(struct machine *m)
{
    struct scene *c = m->options.ctx;
    struct group clients, work, looks;

    group_init(&clients, "clients", 0);
    group_init(&work, "operators", 0);
    group_init(&looks, "looks", 0);
    must(group_spawn_now(&looks, "looks", look_fiber, m).code == OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        must(group_spawn_now(&clients, "client", client_fiber, m).code == OK);
    }
    must(group_spawn_now(&work, "operator", operator_fiber, m).code == OK);
    (void)group_join(&clients, WHEN_NEVER);
    (void)fiber_sleep(c->is_last ? when_after(60 * 1000) : WHEN_NEVER, WHEN_NEVER);
    group_cancel(&work);
    (void)group_join(&work, WHEN_NEVER);
    if (c->is_last && !machine_drain(m, DRAIN_MS_MAX, WHEN_NEVER)) {
        sim_fail(m->run, "half a day later mail still waits");
    }
    group_cancel(&looks);
    (void)group_join(&looks, WHEN_NEVER);
    if (c->is_last) {
        expect_nothing(m);
        expect_nobody(m);
    }
}

static void took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    ledger_took(&((struct scene *)m->options.ctx)->ledger, h->number, mail);
}

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    ledger_told(&((struct scene *)m->options.ctx)->ledger, event, f, n);
    if (strcmp(event, "quota_exceeded") == 0) {
        sim_point(m->world, "exceeded");
    } else if (strcmp(event, "delivery_failed") == 0) {
        sim_point(m->world, "failed");
    }
}

/* ---- the run ---- */

static void live(struct scene *c, unsigned life, struct date *start)
{
    static struct machine m;
    struct machine_options o = {.seed = c->run->seed * 16 + life,
                                .config = configs[chance_below(&c->rng, COUNT_OF(configs) - 1)],
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
    c->mail_max = c->is_last ? MAIL : MAIL / LIVES * (life + 1);
    if (!c->is_last) {
        o.crash_ns = (500 + (int64_t)chance_below(&c->rng, 120 * 1000)) * NS_PER_MS;
    }
    machine_live(&m, c->run, &o);
    *start = date_add(m.ended, 1000);
    ledger_life_ended(&c->ledger, m.end == SIM_CRASHED, m.ended.ms);
    if (m.end == SIM_CRASHED && chance_below(&c->rng, 2) == 0) {
        sim_disk_kill(c->folder);
    } else if (m.end == SIM_CRASHED) {
        sim_disk_power_cut(c->folder);
    }
}

static void run(struct sim_run *r)
{
    struct scene *c = &all;
    struct date start = {0};

    *c = (struct scene){.run = r, .rng = r->seed * 0x2545f4914f6cdd1du + 1};
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
    static const struct sim_need needs[] = {{"crash", 20},  {"exceeded", 20}, {"cancelled", 20},
                                            {"reload", 20}, {"agreed", 20},   {"failed", 20}};
    static const struct sim_scenario scenario = {"quotas", run, needs, COUNT_OF(needs), 40};

    return sim_main(argc, argv, &scenario);
}
