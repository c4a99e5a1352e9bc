/*
 * Virtual queues at random: how many there are, their slots, lanes, weights, rates, holds and
 * shares, all of it changed by reloads while mail of all priorities goes to hosts that are quick,
 * slow, refusing, silent and broken, and while the machine crashes. At every look, some of them a
 * fraction of a millisecond apart: never more connections at work than slots, no slot lent, nothing
 * started in a queue that is held or above its rate, nothing late, and whatever can go on does
 * (yard/inside.h); nothing waits without a reason (yard/audit.h); in the end nothing is lost, and
 * nothing delivered twice but what P1 allows (yard/ledger.h).
 *
 * Q-034 (a hold), Q-035, Q-036, Q-037, Q-039, Q-040; P2 P3 P4 P6 P11; PY-28 PY-30
 * PY-36 PY-41 PY-43.
 *
 * Switches  lend: a queue gets a slot that it does not have. late: a timer is not armed. idle: a
 *           queue is not pumped when its slots are raised.
 */
#include "base/mem.h"
#include "chance.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "yard/audit.h"
#include "yard/inside.h"
#include "yard/ledger.h"

#include <stdio.h>

enum {
    MAIL = 200,
    CLIENTS = 4,
    LIVES = 2,
    QUEUES = 4,
    SEGMENT = 1024 * 1024,
    WINDOW_MS = 150,
    DRAIN_MS_MAX = 12 * 3600 * 1000,
    QUIET_LOOKS = 3000
};

static const char *const domains[] = {
    "a1-1.example", "b1-1.example",   "c1-1.example",    "d1-1.example",    "a2-2.example",
    "b2-2.example", "c2-2.example",   "d2-4.example",    "a3-4.example",    "b5-5.example",
    "c6-6.example", "a7-7.example",   "slow-14.example", "slow-14.example", "later-11.example",
    "b7-7.example", "down-12.example"};

static struct yard_host hosts[] = {
    {.number = 1, .behaviour = ""},
    {.number = 2, .behaviour = "slow:50ms"},
    {.number = LEDGER_HOME, .behaviour = ""},
    {.number = 4, .behaviour = "flaky:0.3"},
    {.number = 5, .behaviour = "refuse:rcpt:550"},
    {.number = 6, .behaviour = "tarpit:40ms"},
    {.number = 7, .behaviour = "slow:700ms"},
    {.number = 11, .behaviour = "refuse:dot:451@0.5 message-limit:3"},
    {.number = 14, .behaviour = "silent:connect@0.5"},
};

struct slots {
    struct ledger ledger;
    struct sim_run *run;
    struct sim_disk *folder;
    uint64_t rng;
    bool is_last, is_over;
    unsigned mail_max;
    struct audit audit;
    struct inside inside;
};

/* ---- configurations ---- */

/* A configuration is drawn before the world runs too, so its chance is the scenario's own. */
static unsigned draw(struct slots *s, uint64_t below)
{
    return (unsigned)chance_below(&s->rng, below);
}

static const char *one_of(struct slots *s, const char *const *words, size_t count)
{
    return words[draw(s, count)];
}

static void write_queue(struct slots *s, struct buf *out, char name, bool is_calm)
{
    static const char *const lanes[] = {"", "fair-by: sender_domain, ",
                                        "fair-by: rcpt, lanes-max: 5, ",
                                        "fair-by: sender, weight: 'len(lane)', "};
    static const char *const rates[] = {"", "", "rate: 50/1s, ", "rate: 200/1s, ",
                                        "rate: 300/1m, "};
    static const char *const holds[] = {"", "", "", "hold: true, "};

    buf_printf(out, "%c: { concurrency: %u, %s%s%smax-share-per-site: %u, slow-after: %s }, ", name,
               1 + draw(s, 10), one_of(s, lanes, COUNT_OF(lanes)),
               is_calm ? "" : one_of(s, rates, COUNT_OF(rates)),
               is_calm ? "" : one_of(s, holds, COUNT_OF(holds)), 20 + draw(s, 81),
               draw(s, 2) ? "300ms" : "2s");
}

/* Some of the queues are there; schedules lead to those that are. `is_calm`: nothing is held. */
static void write_config(struct slots *s, struct buf *out, bool is_calm)
{
    char there[QUEUES];
    unsigned count = 0;

    buf_clear(out);
    buf_printf(out, "server: { hostname: mx.here.example }\n"
                    "listeners: { smtp: { bind: [\"127.0.0.1:2525\"], submission: false } }\n"
                    "queue:\n"
                    "  virtual: { ");
    for (unsigned i = 0; i < QUEUES; i++) {
        if (draw(s, 4) > 0 || (i == QUEUES - 1 && count == 0)) {
            there[count++] = (char)('k' + i);
            write_queue(s, out, there[count - 1], is_calm);
        }
    }
    buf_printf(out, "dsn: { concurrency: 3 } }\n  schedule:\n");
    for (unsigned i = 0; i < QUEUES; i++) {
        buf_printf(
            out,
            "    %c: { queue-name: %c, retry: [2s, 7s, 20s, 60s], notify: [3m], expire: 8m }\n",
            (char)('a' + i), there[draw(s, count)]);
    }
    buf_printf(out,
               "  connection:\n"
               "    default: { idle: %s, rest: [5s, 10s, 20s], timeout: { connect: 5s, greeting: "
               "10s, ehlo: 10s, mail-from: 10s, rcpt-to: 10s, data: 20s } }\n"
               "  strategy:\n"
               "    schedule:\n"
               "      - { if: \"source == 'dsn'\", use: dsn }\n"
               "      - { if: \"starts_with(rcpt_domain, 'a')\", use: a }\n"
               "      - { if: \"starts_with(rcpt_domain, 'b')\", use: b }\n"
               "      - { if: \"starts_with(rcpt_domain, 'c') && retry_num < 2\", use: c }\n"
               "      - { use: d }\n",
               draw(s, 2) ? "0s" : "5s");
    buf_byte(out, 0);
}

static void reload_fiber(void *arg)
{
    struct machine *m = arg;
    struct slots *s = m->options.ctx;
    struct buf text BUF_LOCAL = {0};

    for (unsigned n = 0; n < 6 && !s->is_over; n++) {
        if (fiber_sleep(when_after(50 + (int64_t)draw(s, n < 3 ? 200 : 5000)), WHEN_NEVER).code !=
            OK) {
            return;
        }
        write_config(s, &text, false);
        inside_look(&s->inside, m); /* what the plan before allowed */
        machine_reload(m, text.ptr, WHEN_NEVER);
        sim_point(m->world, "reload-in-storm");
    }
    (void)fiber_sleep(when_after(50), WHEN_NEVER);
    write_config(s, &text, true);
    inside_look(&s->inside, m);
    machine_reload(m, text.ptr, WHEN_NEVER);
}

/* ---- mail ---- */

static void inject_one(struct machine *m, unsigned number)
{
    struct slots *s = m->options.ctx;
    struct buf to BUF_LOCAL = {0}, content BUF_LOCAL = {0};
    char from[LEDGER_ADDRESS_MAX];
    struct parcel *p = parcel_new();
    struct message *n = &p->message;
    struct str rest, one;
    struct err e;

    ledger_mail(&s->ledger, number, &to, &content, from);
    n->id = store_new_id(m->store);
    n->arrived = clock_date();
    n->source = SOURCE_AUTHENTICATED;
    n->priority = (int8_t)((int)random_below(19) - 9);
    n->sender = arena_dup(&p->arena, str_of(from));
    n->envid = n->client_ip = n->client_name = n->listener = n->authenticated_as = STR_EMPTY;
    buf_put(&p->head, buf_str(&content));
    n->size = p->head.len;
    n->header_bytes = (uint32_t)str_find_str(buf_str(&content), STR("\r\n\r\n")) + 4;
    n->to = arena_array(&p->arena, LEDGER_RCPTS_MAX, sizeof *n->to);
    for (rest = str_of(to.ptr); rest.len > 0; n->to_count++) {
        str_cut(&rest, ' ', &one);
        n->to[n->to_count].address = arena_dup(&p->arena, one);
        n->to[n->to_count].orcpt = STR_EMPTY;
        n->to[n->to_count].state.deadline = DATE_NEVER;
    }
    s->ledger.mail[number].fate = ANSWERED_NOTHING;
    e = queue_accept(m->queue, m->plan, p, NULL, NULL, 0, WHEN_NEVER);
    if (sim_end(m->world) == SIM_RUNNING) {
        s->ledger.mail[number].fate = e.code == OK ? ANSWERED_TAKEN : ANSWERED_NOTHING;
    }
    parcel_drop(p);
}

static void client_fiber(void *arg)
{
    struct machine *m = arg;
    struct slots *s = m->options.ctx;

    while (s->ledger.count < s->mail_max && sim_end(m->world) == SIM_RUNNING) {
        unsigned number = ledger_write(&s->ledger, domains, COUNT_OF(domains), random_u64());

        if (s->ledger.mail[number].size > PARCEL_HEAD_MAX / 2) {
            s->ledger.mail[number].size = 1000; /* its size is not the matter here */
        }
        inject_one(m, number);
        (void)fiber_sleep(when_after((int64_t)random_below(10)), WHEN_NEVER);
    }
}

/* ---- looks ---- */

/* What a switch breaks, so that the looks are known to see it. */
static void break_something(struct machine *m)
{
    struct slots *s = m->options.ctx;
    struct queue *q = m->queue;

    for (uint16_t i = 0; i < q->vqueue_count; i++) {
        struct vqueue *v = q->vqueues[i];

        if (sim_switched(s->run, "lend") && v->running == v->slots) {
            v->running = v->slots + 1;
            return;
        }
        if (sim_switched(s->run, "idle") && v->running > 0 && v->due.jobs > 0) {
            v->slots += 5; /* and nobody pumps */
            return;
        }
    }
    if (sim_switched(s->run, "late") && heap_least(&q->timers) != NULL) {
        heap_remove(&q->timers, heap_least(&q->timers));
    }
}

static void look_fiber(void *arg)
{
    struct machine *m = arg;
    struct slots *s = m->options.ctx;

    for (unsigned n = 0; !s->is_over; n++) {
        int64_t us = n < QUIET_LOOKS ? 20 + (int64_t)random_below(2000)
                                     : (int64_t)random_below(3000 * 1000);

        if (fiber_sleep(when_add(clock_now(), us * 1000), WHEN_NEVER).code != OK) {
            return;
        }
        if (n == 200 && s->run->switch_count > 0) {
            break_something(m);
        }
        inside_look(&s->inside, m);
        if (n % 50 == 0) {
            audit_look(&s->audit, m, WHEN_NEVER);
        }
    }
}

/* ---- a life ---- */

static void before(struct machine *m)
{
    struct sim_net_rule all = {.latency_ns = 100 * 1000,
                               .jitter_ns = 300 * 1000,
                               .bytes_per_s = 50 * 1000 * 1000,
                               .refused_ppm = 5000,
                               .silent_ppm = 3000,
                               .reset_ppm = 20000,
                               .stall_ppm = 5000};

    sim_net_rule(m->world, &all);
    yard_weather(m, 12, NET_REFUSED);
}

static void outside(struct machine *m)
{
    struct slots *s = m->options.ctx;
    struct group clients, others;

    s->is_over = false;
    group_init(&clients, "clients", 0);
    group_init(&others, "others", 0);
    must(group_spawn_now(&others, "looks", look_fiber, m).code == OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        must(group_spawn_now(&clients, "client", client_fiber, m).code == OK);
    }
    reload_fiber(m);
    (void)group_join(&clients, WHEN_NEVER);
    if (s->is_last && !machine_drain(m, DRAIN_MS_MAX, WHEN_NEVER)) {
        sim_fail(m->run, "mail still waits half a day after the last");
    }
    if (!s->is_last) {
        (void)fiber_sleep(WHEN_NEVER, WHEN_NEVER); /* until it crashes */
    }
    s->is_over = true;
    group_cancel(&others);
    (void)group_join(&others, WHEN_NEVER);
}

static void took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    ledger_took(&((struct slots *)m->options.ctx)->ledger, h->number, mail);
}

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    ledger_told(&((struct slots *)m->options.ctx)->ledger, event, f, n);
}

static void live(struct slots *s, unsigned life, struct date *start)
{
    static struct machine m;
    struct buf text BUF_LOCAL = {0};
    struct machine_options o = {.seed = s->run->seed * 16 + life,
                                .folder = s->folder,
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
                                .ctx = s};

    s->is_last = life == LIVES - 1;
    s->audit = (struct audit){0};
    s->inside = (struct inside){0};
    s->mail_max = s->is_last ? MAIL : MAIL / LIVES;
    if (!s->is_last) {
        o.crash_ns = (100 + (int64_t)draw(s, draw(s, 3) == 0 ? 30000 : 1500)) * NS_PER_MS;
    }
    write_config(s, &text, false);
    o.config = text.ptr;
    machine_live(&m, s->run, &o);
    *start = date_add(m.ended, 1000);
    ledger_life_ended(&s->ledger, m.end == SIM_CRASHED, m.ended.ms);
    if (m.end == SIM_CRASHED) {
        sim_disk_power_cut(s->folder);
    }
}

static void run(struct sim_run *r)
{
    static struct slots s;
    struct date start = {0};

    s = (struct slots){.run = r, .rng = r->seed * 0x2545f4914f6cdd1du + 1};
    s.folder = sim_disk_new("store", r->seed);
    ledger_init(&s.ledger, r, WINDOW_MS);
    for (unsigned life = 0; life < LIVES && !r->failed; life++) {
        live(&s, life, &start);
    }
    if (!r->failed) {
        ledger_judge(&s.ledger);
    }
    if (!r->failed && s.ledger.count < MAIL) {
        sim_fail(r, "this seed does not count: %u messages", s.ledger.count);
    }
    ledger_done(&s.ledger);
    sim_disk_free(s.folder);
}

int main(int argc, char **argv)
{
    static const struct sim_need needs[] = {{"crash", 20},       {"power-cut", 20},
                                            {"net-refused", 20}, {"net-silent", 20},
                                            {"net-reset", 20},   {"reload-in-storm", 20}};
    static const struct sim_scenario scenario = {"slots", run, needs, COUNT_OF(needs), 100};

    return sim_main(argc, argv, &scenario);
}
