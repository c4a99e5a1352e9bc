/*
 * Half of the mail goes to destinations that take half a minute for each reply, or never answer, in
 * the same virtual queue as the other half: one of them, twenty or two thousand, with 50 and 200
 * slots; or three that were as quick as the others turn slow in the middle (P2, P3, PY-28, Q-039).
 * The other half must not feel it: all of it arrives, within 95 % of the throughput and 1.2 times
 * the 99th percentile of a run without. A destination that is first seen in the middle of it gets
 * its first message within five seconds with one and with twenty; with two thousand the time is
 * printed (--verbose), since all of them are new.
 *
 * Each seed is one case, in turn; those that turn slow, which take longest, one time in four.
 *
 * Switches  shared: a queue of three slots, too few for shares to be kept apart.
 */
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "yard/crowd.h"

#include <stdio.h>

enum {
    FAST = 3,
    SLOW = 6,    /* 30 s a reply */
    NEVER = 7,   /* does not answer at all */
    TURNING = 8, /* as FAST, until the middle */
    FAST_SITES = 10,
    CLIENTS = 16,
    EACH_US = 10 * 1000, /* 100 messages a second, both halves together */
    MAIL = 2000,
    MAIL_TURNING = 20000, /* a dip of two seconds must be less than a percent of it */
    NEW_MS = 5000,
    SEGMENT_BYTES = 16 * 1024 * 1024,
    P99_PERCENT = 120,
    P99_SLACK_US = 1000
};

static const struct isolation_case {
    unsigned slots, slow_sites, host;
} cases[] = {
    {50, 1, SLOW},     {50, 20, SLOW},     {50, 2000, SLOW}, {200, 1, SLOW},    {200, 20, SLOW},
    {200, 2000, SLOW}, {50, 1, NEVER},     {50, 20, NEVER},  {50, 2000, NEVER}, {200, 1, NEVER},
    {200, 20, NEVER},  {200, 2000, NEVER}, {50, 3, TURNING}, {200, 3, TURNING},
};

struct isolation {
    struct sim_run *run;
    const struct isolation_case *c;
    unsigned mail;
    bool has_slow;
    struct times fast, fresh;
    int64_t sent_us; /* how long the fast half took, from first to last */
};

static void took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    struct isolation *i = m->options.ctx;
    unsigned n;

    (void)h;
    if (crowd_number(mail->to->address, 'f', &n)) {
        times_took(&i->fast, n);
    } else if (crowd_number(mail->to->address, 'n', &n)) {
        times_took(&i->fresh, n);
    }
}

static bool next(struct machine *m, unsigned n, char to[64])
{
    struct isolation *i = m->options.ctx;
    unsigned half = n / 2;

    if (n % 2 == 0) {
        snprintf(to, 64, "f%u@f%u-%u.example", half, half % FAST_SITES, FAST);
        times_began(&i->fast, half);
        return true;
    }
    snprintf(to, 64, "s%u@s%u-%u.example", half, half % i->c->slow_sites, i->c->host);
    return i->has_slow;
}

/* In the middle: what was quick turns slow, or a destination is there that nobody has seen. */
static void middle_fiber(void *arg)
{
    struct machine *m = arg;
    struct isolation *i = m->options.ctx;
    char to[64];

    (void)fiber_sleep(when_add(clock_now(), (int64_t)i->mail * EACH_US * 500), WHEN_NEVER);
    if (i->c->host == TURNING) {
        struct buf why BUF_LOCAL = {0};

        for (unsigned h = 0; h < m->options.host_count && i->has_slow; h++) {
            if (m->options.hosts[h].number == TURNING) {
                must(play_behave(&m->options.hosts[h].lane.peer.behaviour, STR("slow:30s"), &why));
            }
        }
        return;
    }
    snprintf(to, sizeof to, "n0@new-%u.example", FAST);
    times_began(&i->fresh, 0);
    client_must_send(m, "", to, WHEN_NEVER);
}

/* The destinations of the fast half, and those that turn, are known to be quick. */
static void prove(struct machine *m)
{
    struct isolation *i = m->options.ctx;
    char to[64];

    for (unsigned n = 0; n < FAST_SITES; n++) {
        snprintf(to, sizeof to, "p%u@f%u-%u.example", n, n, FAST);
        client_must_send(m, "", to, WHEN_NEVER);
    }
    for (unsigned n = 0; n < i->c->slow_sites && i->c->host == TURNING; n++) {
        snprintf(to, sizeof to, "p%u@s%u-%u.example", n, n, TURNING);
        client_must_send(m, "", to, WHEN_NEVER);
    }
    (void)machine_drain(m, 60 * 1000, WHEN_NEVER);
}

static void outside(struct machine *m)
{
    struct isolation *i = m->options.ctx;
    struct crowd crowd = {.machine = m, .count = i->mail, .each_us = EACH_US, .next = next};
    int64_t start;
    struct when until;
    struct group g;

    yard_weather(m, FAST, NET_OPEN);
    yard_weather(m, SLOW, NET_OPEN);
    yard_weather(m, TURNING, NET_OPEN);
    yard_weather(m, NEVER, NET_SILENT);
    prove(m);
    group_init(&g, "the middle", 0);
    must(group_spawn_now(&g, "the middle", middle_fiber, m).code == OK);
    start = clock_now().ns / 1000;
    crowd_send(&crowd, CLIENTS, WHEN_NEVER);
    (void)group_join(&g, WHEN_NEVER);
    until = when_after(60 * 1000);
    while (i->fast.done < i->mail / 2 && clock_now().ns < until.ns) {
        (void)fiber_sleep(when_after(10), WHEN_NEVER);
    }
    i->sent_us = clock_now().ns / 1000 - start;
    if (i->fast.done < i->mail / 2) {
        sim_fail(m->run, "%u of %u fast ones have arrived after a minute", i->fast.done,
                 i->mail / 2);
    }
    until = when_after(600 * 1000);
    while (i->c->host != TURNING && i->fresh.done == 0 && clock_now().ns < until.ns) {
        (void)fiber_sleep(when_after(100), WHEN_NEVER);
    }
    (void)machine_counts(m, WHEN_NEVER);
}

static void measure(struct isolation *i, const char *config)
{
    static struct machine m;
    struct yard_host hosts[] = {{.number = FAST, .behaviour = ""},
                                {.number = SLOW, .behaviour = "slow:30s"},
                                {.number = TURNING, .behaviour = ""}};
    struct sim_disk *folder = sim_disk_new("store", i->run->seed);
    struct machine_options o = {.seed = i->run->seed,
                                .config = config,
                                .folder = folder,
                                .store = {.segment_bytes = SEGMENT_BYTES,
                                          .min_free_bytes = SEGMENT_BYTES,
                                          .node = 1,
                                          .checkpoint_bytes = SEGMENT_BYTES},
                                .hosts = hosts,
                                .host_count = COUNT_OF(hosts),
                                .outside = outside,
                                .took = took,
                                .ctx = i};

    times_init(&i->fast, i->mail / 2);
    times_init(&i->fresh, 1);
    machine_live(&m, i->run, &o);
    sim_disk_free(folder);
}

static void judge(struct sim_run *r, const struct isolation *alone, const struct isolation *beside)
{
    const struct isolation_case *c = beside->c;
    int64_t p99 = times_percentile(&beside->fast, 99),
            p99_alone = times_percentile(&alone->fast, 99);

    if (r->verbose) {
        printf("%u slots, %u destinations %s: 99th percentile %lld us alone, %lld us beside; "
               "throughput %.3f; worst %lld ms; first message of a new destination %lld ms\n",
               c->slots, c->slow_sites,
               c->host == SLOW    ? "of 30 s a reply"
               : c->host == NEVER ? "that never answer"
                                  : "that turn slow",
               (long long)p99_alone, (long long)p99,
               (double)alone->sent_us / (double)beside->sent_us,
               (long long)times_percentile(&beside->fast, 100) / 1000,
               (long long)times_percentile(&beside->fresh, 100) / 1000);
    }
    if (p99 > p99_alone * P99_PERCENT / 100 + P99_SLACK_US) {
        sim_fail(r, "the 99th percentile is %lld us beside slow ones, and %lld us without",
                 (long long)p99, (long long)p99_alone);
    }
    if (beside->sent_us * 95 > alone->sent_us * 100) {
        sim_fail(r, "the fast half took %lld ms beside slow ones, and %lld ms without",
                 (long long)beside->sent_us / 1000, (long long)alone->sent_us / 1000);
    }
    if (c->host != TURNING && c->slow_sites <= 20 &&
        (beside->fresh.done == 0 || times_percentile(&beside->fresh, 100) > NEW_MS * 1000)) {
        sim_fail(r, "a new destination got its first message after %lld ms",
                 (long long)times_percentile(&beside->fresh, 100) / 1000);
    }
}

static const struct isolation_case *case_of(uint64_t seed)
{
    const struct isolation_case *c = &cases[seed % COUNT_OF(cases)];
    uint64_t round = seed / COUNT_OF(cases);

    return c->host == TURNING && round % 4 != 0 ? &cases[round % (COUNT_OF(cases) - 2)] : c;
}

static void run(struct sim_run *r)
{
    struct buf config BUF_LOCAL = {0};
    const struct isolation_case *c = case_of(r->seed);
    struct isolation alone = {.run = r, .c = c}, beside;

    alone.mail = c->host == TURNING ? MAIL_TURNING : MAIL;
    beside = alone;
    beside.has_slow = true;
    buf_printf(&config,
               "server: { hostname: mx.here.example }\n"
               "listeners: { smtp: { bind: [\"127.0.0.1:2525\"] } }\n"
               "queue:\n"
               "  virtual: { all: { concurrency: %u } }\n"
               "  schedule: { all: { queue-name: all, retry: [1m], expire: 5d } }\n"
               "  strategy: { schedule: [ { use: all } ] }\n",
               sim_switched(r, "shared") ? 3 : c->slots);
    buf_byte(&config, 0);
    measure(&alone, config.ptr);
    measure(&beside, config.ptr);
    judge(r, &alone, &beside);
    times_done(&alone.fast);
    times_done(&alone.fresh);
    times_done(&beside.fast);
    times_done(&beside.fresh);
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"isolation", run, NULL, 0, 0};

    return sim_main(argc, argv, &scenario);
}
