/*
 * Half of the mail goes to tarpits in a virtual queue of their own. The other half must not feel it
 * (P2): its 99th percentile from acceptance to delivery is that of a run without the tarpits, but
 * for what more there is to do at all.
 *
 * Switches  shared: one queue of three slots for both, too few for shares to be kept apart.
 */
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "yard/client.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FAST = 3,
    TARPIT = 6,
    CLIENTS = 4,
    MAIL = 240, /* of each kind */
    EACH_US = 2000,
    MORE_PERCENT = 50, /* of the 99th percentile */
    MORE_US = 3000
};

struct isolation {
    struct sim_run *run;
    bool has_tarpits;
    unsigned next;
    int64_t began_us[MAIL], took_us[MAIL];
    unsigned done;
};

static void took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    struct isolation *i = m->options.ctx;
    struct str rest = str_skip(mail->to->address, 1), number;
    uint64_t n = 0;

    if (h->number != FAST) {
        return;
    }
    str_cut(&rest, '@', &number);
    must(str_to_u64(number, &n) && n < MAIL);
    i->took_us[n] = clock_now().ns / 1000 - i->began_us[n];
    i->done++;
}

static void send_both(struct machine *m, struct yard_client *c, unsigned n)
{
    struct isolation *i = m->options.ctx;
    char fast[64], tarpit[64];
    struct yard_mail mail = {"", fast, STR("Subject: x\r\n\r\nhello\r\n")};

    snprintf(fast, sizeof fast, "f%u@fast-%u.example", n, FAST);
    snprintf(tarpit, sizeof tarpit, "t%u@tarpit-%u.example", n, TARPIT);
    if (i->has_tarpits) {
        struct yard_mail slow = {"", tarpit, mail.content};

        must(client_mail(c, &slow, WHEN_NEVER) == ANSWERED_TAKEN);
    }
    i->began_us[n] = clock_now().ns / 1000;
    must(client_mail(c, &mail, WHEN_NEVER) == ANSWERED_TAKEN);
}

static void client_fiber(void *arg)
{
    struct machine *m = arg;
    struct isolation *i = m->options.ctx;
    struct yard_client c;

    must(client_open(&c, m, WHEN_NEVER));
    while (i->next < MAIL) {
        unsigned n = i->next++;

        send_both(m, &c, n);
        (void)fiber_sleep(when_add(clock_now(), CLIENTS * EACH_US * 1000LL), WHEN_NEVER);
    }
    client_close(&c, WHEN_NEVER);
}

static void outside(struct machine *m)
{
    struct isolation *i = m->options.ctx;
    struct group clients;
    struct when until;

    yard_weather(m, FAST, NET_OPEN);
    yard_weather(m, TARPIT, NET_OPEN);
    group_init(&clients, "clients", 0);
    for (unsigned k = 0; k < CLIENTS; k++) {
        must(group_spawn_now(&clients, "client", client_fiber, m).code == OK);
    }
    (void)group_join(&clients, WHEN_NEVER);
    until = when_after(60 * 1000);
    while (i->done < MAIL && clock_now().ns < until.ns) {
        (void)fiber_sleep(when_after(100), WHEN_NEVER);
    }
    if (i->done < MAIL) {
        sim_fail(m->run, "%u of %d fast ones have arrived after a minute", i->done, MAIL);
    }
    (void)machine_counts(m, WHEN_NEVER);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The 99th percentile of the fast half, in µs. */
static int64_t measure(struct sim_run *r, const char *config, bool has_tarpits)
{
    static struct machine m;
    static struct isolation i;
    struct yard_host hosts[] = {{.number = FAST, .behaviour = ""},
                                {.number = TARPIT, .behaviour = "tarpit:5s"}};
    struct sim_disk *folder = sim_disk_new("store", r->seed);
    struct machine_options o = {.seed = r->seed,
                                .config = config,
                                .folder = folder,
                                .store = {.segment_bytes = 1024 * 1024,
                                          .min_free_bytes = 1024 * 1024,
                                          .node = 1,
                                          .checkpoint_bytes = 1024 * 1024},
                                .hosts = hosts,
                                .host_count = COUNT_OF(hosts),
                                .outside = outside,
                                .took = took,
                                .ctx = &i};

    i = (struct isolation){.run = r, .has_tarpits = has_tarpits};
    machine_live(&m, r, &o);
    sim_disk_free(folder);
    qsort(i.took_us, MAIL, sizeof i.took_us[0], by_size);
    return i.took_us[MAIL * 99 / 100];
}

static void run(struct sim_run *r)
{
    struct buf config BUF_LOCAL = {0};
    int64_t alone, beside;
    bool shared = sim_switched(r, "shared");

    buf_printf(
        &config,
        "server: { hostname: mx.here.example }\n"
        "listeners: { smtp: { bind: [\"127.0.0.1:2525\"] } }\n"
        "queue:\n"
        "  virtual: { fast: { concurrency: %u }, tarpits: { concurrency: 20 } }\n"
        "  schedule:\n"
        "    fast: { queue-name: fast, retry: [1m], expire: 5d }\n"
        "    tarpits: { queue-name: %s, retry: [1m], expire: 5d }\n"
        "  strategy: { schedule: [ { if: \"rcpt_domain == 'tarpit-6.example'\", use: tarpits "
        "}, { use: fast } ] }\n",
        shared ? 3 : 20, shared ? "fast" : "tarpits");
    buf_byte(&config, 0);
    alone = measure(r, config.ptr, false);
    beside = measure(r, config.ptr, true);
    if (r->verbose) {
        printf("99th percentile: %lld us alone, %lld us beside tarpits\n", (long long)alone,
               (long long)beside);
    }
    if (beside > alone + alone * MORE_PERCENT / 100 + MORE_US) {
        sim_fail(r, "the 99th percentile is %lld us beside tarpits, and %lld us without",
                 (long long)beside, (long long)alone);
    }
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"isolation", run, NULL, 0, 0};

    return sim_main(argc, argv, &scenario);
}
