/*
 * The announcement's story. Users send at a steady rate; then so many bounces and reports are there
 * at once, for destinations that are slow. In virtual queues of their own they are nothing to the
 * users: the 99th percentile of user mail is at most 1.3 times that of a run without (P2). The same
 * mail in one queue, where shares cannot be kept apart, is measured too, and printed (--verbose).
 *
 * Switches  shared: the one queue is judged as if it had to do as well. full: a storm of 100,000
 *           (else 3,000), in a run of its length.
 */
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "yard/crowd.h"

#include <stdio.h>

enum {
    FAST = 3,
    SLOW = 6, /* half a second to two a reply: slow, and yet it takes mail */
    DEAD = 7, /* never answers */
    FAST_SITES = 20,
    STORM_SITES = 400,
    CLIENTS = 8,
    EACH_US = 20 * 1000, /* 50 user messages a second */
    USERS = 1000,
    STORM = 3000,
    USERS_FULL = 3000,
    STORM_FULL = 100 * 1000,
    INJECTORS = 64,
    SEGMENT_BYTES = 64 * 1024 * 1024,
    P99_PERCENT = 130
};

enum layout { ALONE, APART, ONE_QUEUE, NO_SHARES };

struct storm {
    struct sim_run *run;
    enum layout layout;
    unsigned users, storm, injected;
    struct times times;
};

static void took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    struct storm *s = m->options.ctx;
    unsigned n;

    (void)h;
    if (crowd_number(mail->to->address, 'u', &n)) {
        times_took(&s->times, n);
    }
}

static bool next(struct machine *m, unsigned n, char to[64])
{
    struct storm *s = m->options.ctx;

    snprintf(to, 64, "u%u@f%u-%u.example", n, n % FAST_SITES, FAST);
    times_began(&s->times, n);
    return true;
}

static void inject_fiber(void *arg)
{
    struct machine *m = arg;
    struct storm *s = m->options.ctx;

    while (s->injected < s->storm) {
        unsigned n = s->injected++, site = (unsigned)random_below(STORM_SITES);
        char to[64];

        snprintf(to, sizeof to, "b%u@s%u-%u.example", n, site, site % 4 == 0 ? DEAD : SLOW);
        crowd_inject(m, n % 3 == 0 ? SOURCE_REPORT : SOURCE_DSN, 0, "", to, WHEN_NEVER);
    }
}

/* After a fifth of the users' mail. */
static void storm_fiber(void *arg)
{
    struct machine *m = arg;
    struct storm *s = m->options.ctx;
    struct group g;

    (void)fiber_sleep(when_add(clock_now(), (int64_t)s->users * EACH_US * 200), WHEN_NEVER);
    group_init(&g, "the storm", 0);
    for (unsigned i = 0; i < INJECTORS; i++) {
        must(group_spawn_now(&g, "a part of the storm", inject_fiber, m).code == OK);
    }
    (void)group_join(&g, WHEN_NEVER);
}

static void outside(struct machine *m)
{
    struct storm *s = m->options.ctx;
    struct crowd crowd = {.machine = m, .count = s->users, .each_us = EACH_US, .next = next};
    struct when until;
    struct group g;

    yard_weather(m, FAST, NET_OPEN);
    yard_weather(m, SLOW, NET_OPEN);
    yard_weather(m, DEAD, NET_SILENT);
    group_init(&g, "what comes", 0);
    if (s->layout != ALONE) {
        must(group_spawn_now(&g, "the storm comes", storm_fiber, m).code == OK);
    }
    crowd_send(&crowd, CLIENTS, WHEN_NEVER);
    (void)group_join(&g, WHEN_NEVER);
    until = when_after(600 * 1000);
    while (s->times.done < s->users && clock_now().ns < until.ns) {
        (void)fiber_sleep(when_after(100), WHEN_NEVER);
    }
    if (s->layout == APART && s->times.done < s->users) {
        sim_fail(m->run, "%u of %u user messages have arrived after ten minutes", s->times.done,
                 s->users);
    }
    (void)machine_counts(m, WHEN_NEVER);
}

static int64_t measure(struct sim_run *r, struct storm *s, enum layout layout)
{
    static struct machine m;
    struct yard_host hosts[] = {{.number = FAST, .behaviour = ""},
                                {.number = SLOW, .behaviour = "slow:700ms"}};
    struct sim_disk *folder = sim_disk_new("store", r->seed);
    struct buf config BUF_LOCAL = {0};
    bool one = layout == ONE_QUEUE || layout == NO_SHARES;
    struct machine_options o = {.seed = r->seed,
                                .folder = folder,
                                .store = {.segment_bytes = SEGMENT_BYTES,
                                          .min_free_bytes = SEGMENT_BYTES,
                                          .node = 1,
                                          .checkpoint_bytes = SEGMENT_BYTES},
                                .hosts = hosts,
                                .host_count = COUNT_OF(hosts),
                                .outside = outside,
                                .took = took,
                                .ctx = s};
    int64_t p99;

    buf_printf(&config,
               "server: { hostname: mx.here.example }\n"
               "listeners: { smtp: { bind: [\"127.0.0.1:2525\"] } }\n"
               "queue:\n"
               "  virtual: { remote: { concurrency: 20 }, dsn: { concurrency: 10 },"
               " report: { concurrency: 5 }, one: { concurrency: %u } }\n"
               "  schedule:\n"
               "    remote: { queue-name: %s, retry: [1m], expire: 5d }\n"
               "    dsn: { queue-name: %s, retry: [1m], expire: 5d }\n"
               "    report: { queue-name: %s, retry: [1m], expire: 5d }\n",
               layout == NO_SHARES ? 3 : 35, one ? "one" : "remote", one ? "one" : "dsn",
               one ? "one" : "report");
    buf_byte(&config, 0);
    o.config = config.ptr;
    s->run = r;
    s->layout = layout;
    s->injected = 0;
    times_init(&s->times, s->users);
    machine_live(&m, r, &o);
    sim_disk_free(folder);
    p99 = s->times.done < s->users ? INT64_MAX : times_percentile(&s->times, 99);
    times_done(&s->times);
    return p99;
}

static void print_p99(const char *where, int64_t us)
{
    if (us == INT64_MAX) {
        printf("; %s: some had not arrived after ten minutes", where);
    } else {
        printf("; %s: %lld us", where, (long long)us);
    }
}

static void run(struct sim_run *r)
{
    bool full = sim_switched(r, "full"), shared = sim_switched(r, "shared");
    struct storm s = {.users = full ? USERS_FULL : USERS, .storm = full ? STORM_FULL : STORM};
    int64_t alone = measure(r, &s, ALONE), apart;

    apart = measure(r, &s, shared ? NO_SHARES : APART);
    if (r->verbose) {
        printf("99th percentile of user mail beside a storm of %u: without it: %lld us", s.storm,
               (long long)alone);
        print_p99("in queues of its own", apart);
        print_p99("in one queue of 35 slots", measure(r, &s, ONE_QUEUE));
        print_p99("in one of three, too few for shares", measure(r, &s, NO_SHARES));
        printf("\n");
    }
    if (apart > alone * P99_PERCENT / 100) {
        sim_fail(r, "the 99th percentile of user mail is %lld us in the storm, and %lld us without",
                 (long long)apart, (long long)alone);
    }
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"storm", run, NULL, 0, 0};

    return sim_main(argc, argv, &scenario);
}
