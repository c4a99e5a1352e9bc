/*
 * Nothing waits without a reason (P4), and nothing waits longer than its reason says. While mail
 * goes to hosts that are slow, down, and back again, every queued job is looked at again and again.
 *
 * Rest      A site that fails three times in a row rests 1, 2, 5, 10, then 15 minutes, up to 10 %
 *           more; between two rests one connection probes it, no more. An operator's retry ends a
 *           rest at once; a probe that succeeds sends all the rest on its way.
 * Slots     A slot that becomes free serves the next job at once (PY-43).
 *
 * Switches  other-rest: the server rests differently. one-slot: a queue has fewer slots than its
 *           mail is judged by. not-back: the host never comes back.
 */
#include "queue/operate.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "yard/audit.h"
#include "yard/client.h"

#include <stdio.h>

enum {
    MINUTE_MS = 60 * 1000,
    SLOW = 2, /* a second a message, in a queue with one slot */
    FAST = 3, /* in a queue with many */
    DOWN = 5, /* until it comes back */
    FAST_MAIL = 8,
    SLOW_MAIL = 6,
    DOWN_MAIL = 10,
    AT_ONCE_MS = 60,
    RESTS = 7
};

static const int64_t rests_ms[RESTS] = {MINUTE_MS,      2 * MINUTE_MS,  5 * MINUTE_MS,
                                        10 * MINUTE_MS, 15 * MINUTE_MS, 15 * MINUTE_MS,
                                        15 * MINUTE_MS};

struct waits {
    struct sim_run *run;
    struct audit audit;
    bool is_over;
    unsigned rests;    /* begun */
    unsigned failures; /* of connections, since the last rest began */
    int64_t rest_from_ms, rest_until_ms;
    bool retried; /* an operator ended this rest */
    int64_t retried_ms, probed_ms;
    int64_t slow_end_ms; /* of the delivery before, in the queue with one slot */
    unsigned slow_done, fast_done, down_done;
    int64_t accepted_ms; /* of the fast ones */
    int64_t serves_ms;   /* when the site that was down served again */
};

/* ---- events ---- */

static void judge_rest(struct waits *w, const struct event_field *f, size_t n)
{
    int64_t now = clock_date().ms, rest = field_num(f, n, "until") - now;
    int64_t want = rests_ms[w->rests < RESTS ? w->rests : RESTS - 1];

    if (rest < want || rest > want + want / 10) {
        sim_fail(w->run, "rest %u takes %lld ms, not %lld", w->rests + 1, (long long)rest,
                 (long long)want);
    }
    if (w->rests > 0 && w->failures != 1) {
        sim_fail(w->run, "%u connections probed before rest %u", w->failures, w->rests + 1);
    }
    w->rests++;
    w->failures = 0;
    w->retried = false;
    w->rest_from_ms = now;
    w->rest_until_ms = field_num(f, n, "until");
}

static void judge_probe(struct waits *w, int64_t began_ms)
{
    if (w->rests == 1 && began_ms - w->rest_from_ms < AT_ONCE_MS) {
        return; /* it had begun before the rest */
    }
    w->failures++;
    w->probed_ms = began_ms;
    if (w->rests > 0 && !w->retried && began_ms < w->rest_until_ms) {
        sim_fail(w->run, "a connection was tried %lld ms before the end of rest %u",
                 (long long)(w->rest_until_ms - began_ms), w->rests);
    }
}

static void judge_done(struct waits *w, unsigned host, int64_t duration_ms)
{
    int64_t now = clock_date().ms, began = now - duration_ms;

    if (host == FAST) {
        w->fast_done++;
        if (began - w->accepted_ms > AT_ONCE_MS) {
            sim_fail(w->run, "with free slots a job started %lld ms after it was due",
                     (long long)(began - w->accepted_ms));
        }
    } else if (host == SLOW) {
        if (w->slow_done > 0 && began - w->slow_end_ms > AT_ONCE_MS) {
            sim_fail(w->run, "a free slot served the next job after %lld ms",
                     (long long)(began - w->slow_end_ms));
        }
        w->slow_done++;
        w->slow_end_ms = now;
    } else if (host == DOWN) {
        w->down_done++;
    }
}

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    struct waits *w = m->options.ctx;
    struct str host = field_str(f, n, "host");

    if (strcmp(event, "site_rests") == 0) {
        judge_rest(w, f, n);
    } else if (strcmp(event, "site_serves") == 0) {
        w->serves_ms = clock_date().ms;
    } else if (strcmp(event, "connection_failed") == 0 && yard_number(host) == DOWN) {
        judge_probe(w, clock_date().ms);
    } else if (strcmp(event, "delivery_done") == 0) {
        judge_done(w, yard_number(host), field_num(f, n, "duration") / 1000);
    }
}

/* ---- the outside ---- */

static void before(struct machine *m)
{
    yard_weather(m, SLOW, NET_OPEN);
    yard_weather(m, FAST, NET_OPEN);
    yard_weather(m, DOWN, NET_REFUSED);
}

static void audit_fiber(void *arg)
{
    struct machine *m = arg;
    struct waits *w = m->options.ctx;
    int64_t apart_ms = 20;

    while (!w->is_over && fiber_sleep(when_after(apart_ms), WHEN_NEVER).code == OK) {
        audit_look(&w->audit, m, WHEN_NEVER);
        apart_ms = w->audit.looks < 200 ? 20 + (int64_t)random_below(60)
                                        : (int64_t)random_below(10 * 1000);
    }
}

static void send_to(struct machine *m, const char *who, unsigned host, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char to[64];

        snprintf(to, sizeof to, "%s%u@%s-%u.example", who, i, who, host);
        client_must_send(m, "", to, WHEN_NEVER);
        ((struct waits *)m->options.ctx)->accepted_ms = clock_date().ms;
    }
}

static uint64_t some_id(struct machine *m)
{
    struct arena a ARENA_LOCAL = {0};
    struct message *all;
    uint32_t count;

    if (store_walk(m->store, 0, 100, &a, &all, &count, WHEN_NEVER).code != OK || count == 0) {
        return 0;
    }
    return all[random_below(count)].id;
}

/* In the middle of the third rest an operator asks for one message. */
static void retry_in_rest(struct machine *m)
{
    struct waits *w = m->options.ctx;
    struct action again = {.kind = ACTION_RETRY};
    uint64_t id;
    struct operation o = {
        .queue = m->queue, .store = m->store, .action = &again, .ids = &id, .id_count = 1};

    while (w->rests < 3 && fiber_sleep(when_after(1000), WHEN_NEVER).code == OK) {
        /* until the third rest */
    }
    (void)fiber_sleep(when_after(MINUTE_MS), WHEN_NEVER);
    w->retried = true;
    w->retried_ms = clock_date().ms;
    id = some_id(m);
    must(queue_operate(&o, WHEN_NEVER).code == OK);
    (void)fiber_sleep(when_after(AT_ONCE_MS), WHEN_NEVER);
    if (o.recipients != 1 || w->probed_ms < w->retried_ms) {
        sim_fail(w->run, "retry of %llu recipients in a rest, and nothing was tried",
                 (unsigned long long)o.recipients);
    }
}

static void outside(struct machine *m)
{
    struct waits *w = m->options.ctx;
    struct group looks;
    int64_t back_ms;

    group_init(&looks, "audit", 0);
    must(group_spawn_now(&looks, "audit", audit_fiber, m).code == OK);
    send_to(m, "fast", FAST, FAST_MAIL);
    send_to(m, "slow", SLOW, SLOW_MAIL);
    send_to(m, "down", DOWN, DOWN_MAIL);
    retry_in_rest(m);
    while (w->rests < RESTS && fiber_sleep(when_after(1000), WHEN_NEVER).code == OK) {
        /* until the rests grow no more */
    }
    back_ms = w->rest_until_ms;
    if (!sim_switched(m->run, "not-back")) {
        yard_weather(m, DOWN, NET_OPEN);
    }
    if (!machine_drain(m, 20LL * MINUTE_MS, WHEN_NEVER)) {
        sim_fail(m->run, "mail still waits after the host has come back");
    } else if (w->serves_ms < back_ms || w->serves_ms > back_ms + 1000) {
        sim_fail(m->run, "the host that was back served %lld ms after its rest",
                 (long long)(w->serves_ms - back_ms));
    }
    w->is_over = true;
    (void)group_join(&looks, WHEN_NEVER);
}

/* ---- the run ---- */

static void judge(const struct waits *w)
{
    if (w->fast_done != FAST_MAIL || w->slow_done != SLOW_MAIL || w->down_done != DOWN_MAIL) {
        sim_fail(w->run, "delivered: %u fast, %u slow, %u that waited", w->fast_done, w->slow_done,
                 w->down_done);
    }
    if (w->audit.reasons[WAIT_NOT_DUE] == 0 || w->audit.reasons[WAIT_NO_SLOT] == 0 ||
        w->audit.reasons[WAIT_BACKOFF] == 0 || w->audit.reasons[WAIT_RUNNING] == 0) {
        sim_fail(w->run, "the looks have not met each of the reasons they should");
    }
}

static void run(struct sim_run *r)
{
    static struct machine m;
    static struct waits w;
    struct yard_host hosts[] = {{.number = SLOW, .behaviour = "slow:200ms"},
                                {.number = FAST, .behaviour = ""},
                                {.number = DOWN, .behaviour = ""}};
    struct sim_disk *folder = sim_disk_new("store", r->seed);
    struct buf config BUF_LOCAL = {0};
    struct machine_options o = {.seed = r->seed,
                                .folder = folder,
                                .store = {.segment_bytes = 256 * 1024,
                                          .min_free_bytes = 1024 * 1024,
                                          .node = 1,
                                          .checkpoint_bytes = 512 * 1024},
                                .hosts = hosts,
                                .host_count = COUNT_OF(hosts),
                                .before = before,
                                .outside = outside,
                                .told = told,
                                .ctx = &w};

    buf_printf(
        &config,
        "server: { hostname: mx.here.example }\n"
        "listeners: { smtp: { bind: [\"127.0.0.1:2525\"] } }\n"
        "queue:\n"
        "  virtual: { remote: { concurrency: %u }, single: { concurrency: 1 } }\n"
        "  schedule:\n"
        "    remote: { queue-name: remote, retry: [20s], expire: 5d }\n"
        "    single: { queue-name: single, retry: [20s], expire: 5d }\n"
        "  connection: { default: { idle: 0s%s } }\n"
        "  strategy: { schedule: [ { if: \"rcpt_domain == 'slow-2.example'\", use: single }, "
        "{ use: remote } ] }\n",
        sim_switched(r, "one-slot") ? 1 : 20,
        sim_switched(r, "other-rest") ? ", rest: [1m, 2m, 4m, 10m, 15m]" : "");
    buf_byte(&config, 0);
    o.config = config.ptr;
    w = (struct waits){.run = r};
    if (sim_switched(r, "one-slot")) {
        hosts[1].behaviour = "slow:20ms";
    }
    machine_live(&m, r, &o);
    if (!r->failed) {
        judge(&w);
    }
    sim_disk_free(folder);
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"waits", run, NULL, 0, 0};

    return sim_main(argc, argv, &scenario);
}
