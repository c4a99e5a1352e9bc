/*
 * The configuration changes while mail waits, is ready and runs (P11, Q-025, Reload of the design):
 * more slots are used at once; fewer cut nothing and let no new one start; a queue that is gone is
 * served as an orphan until it is empty; a changed route holds for all waiting mail, for what was
 * prepared under the old one too; new mail follows the new plan. Nothing is lost, tried in vain or
 * delivered twice over any of it, and no session is dropped.
 *
 * Switches  deaf: one of the reloads never comes. cut: the host drops what runs during a reload.
 */
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "yard/client.h"

#include <stdio.h>

enum {
    SLOW = 2,    /* half a second a reply */
    OLD_HUB = 4, /* slow too: where the old route leads */
    NEW_HUB = 5,
    MAIL = 40,
    HUB_MAIL = 20,
    ORPHAN_SLOTS = 5, /* as the manual says */
    SOON_MS = 100
};

struct reload {
    struct sim_run *run;
    unsigned sent, done, deferred, failed;
    unsigned taken[8]; /* by host */
    unsigned orphaned; /* deliveries of the queue that is gone */
    bool is_cut;
};

struct plan_text {
    unsigned slots; /* of queue alpha; 0: there is none, beta serves */
    unsigned hub;   /* where hub.example goes */
};

static void write_config(struct buf *out, const struct plan_text *p)
{
    buf_clear(out);
    buf_printf(out, "server: { hostname: mx.here.example }\n"
                    "listeners: { smtp: { bind: [\"127.0.0.1:2525\"] } }\n"
                    "queue:\n"
                    "  virtual: { ");
    if (p->slots > 0) {
        buf_printf(out, "alpha: { concurrency: %u, max-share-per-site: 100 }, ", p->slots);
    }
    buf_printf(
        out,
        "beta: { concurrency: 30, max-share-per-site: 100 }, hub: { concurrency: 1 } }\n"
        "  schedule:\n"
        "    slow: { queue-name: %s, retry: [1h], expire: 5d }\n"
        "    hub: { queue-name: hub, retry: [1h], expire: 5d }\n"
        "  connection: { default: { idle: 0s } }\n"
        "  route: { hub: { type: relay, address: 198.51.100.%u, port: 25 }, mx: { type: mx } }\n"
        "  strategy:\n"
        "    schedule: [ { if: \"rcpt_domain == 'hub.example'\", use: hub }, { use: slow } ]\n"
        "    route: [ { if: \"rcpt_domain == 'hub.example'\", use: hub }, { use: mx } ]\n",
        p->slots > 0 ? "alpha" : "beta", p->hub);
    buf_byte(out, 0);
}

/* ---- what is told ---- */

static void took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    struct reload *r = m->options.ctx;

    r->taken[h->number] += mail->to_count;
}

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    struct reload *r = m->options.ctx;

    r->deferred += strcmp(event, "delivery_deferred") == 0;
    r->failed += strcmp(event, "delivery_failed") == 0;
    if (strcmp(event, "delivery_done") == 0) {
        r->done++;
        r->orphaned += str_eq(field_str(f, n, "queue"), STR("alpha"));
    }
}

/* ---- questions ---- */

struct depth {
    uint64_t slots, running, waiting;
    bool orphan, is_there;
};

static struct depth depth_of(struct machine *m, struct str queue)
{
    struct arena a ARENA_LOCAL = {0};
    struct queue_depth *all;
    struct depth d = {0};
    uint32_t count;

    if (queue_each(m->queue, &a, &all, &count, WHEN_NEVER).code != OK) {
        return d;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (str_eq(all[i].name, queue)) {
            d = (struct depth){all[i].slots, all[i].running, all[i].due + all[i].ready,
                               all[i].orphan, true};
        }
    }
    return d;
}

static void pass(int64_t ms)
{
    (void)fiber_sleep(when_after(ms), WHEN_NEVER);
}

static void reload(struct machine *m, struct buf *config, unsigned slots, unsigned hub)
{
    struct plan_text p = {slots, hub};

    write_config(config, &p);
    machine_reload(m, config->ptr, WHEN_NEVER);
    pass(SOON_MS);
}

static void send(struct machine *m, const char *domain, unsigned count)
{
    struct reload *r = m->options.ctx;

    for (unsigned i = 0; i < count; i++) {
        char to[64];

        snprintf(to, sizeof to, "r%u@%s", r->sent++, domain);
        client_must_send(m, "", to, WHEN_NEVER);
    }
}

static void expect_slots(struct machine *m, uint64_t slots, uint64_t running)
{
    struct depth d = depth_of(m, STR("alpha"));

    if (d.slots != slots || d.running != running || d.waiting == 0) {
        sim_fail(m->run, "alpha has %llu slots, %llu run, %llu wait; wanted %llu and %llu",
                 (unsigned long long)d.slots, (unsigned long long)d.running,
                 (unsigned long long)d.waiting, (unsigned long long)slots,
                 (unsigned long long)running);
    }
}

/* ---- what happens ---- */

/* More slots, fewer, and then none of its own. */
static void slots_change(struct machine *m, struct buf *config)
{
    uint64_t least;

    send(m, "slow-2.example", MAIL);
    pass(SOON_MS);
    expect_slots(m, 4, 4);
    reload(m, config, 8, OLD_HUB);
    expect_slots(m, 8, 8);
    reload(m, config, 2, OLD_HUB);
    least = depth_of(m, STR("alpha")).running;
    if (least < 3) {
        sim_fail(m->run, "fewer slots cut what ran: only %llu run", (unsigned long long)least);
    }
    /* Ten seconds are more than any of those that run needs. */
    for (unsigned i = 0; i < 100 && least > 2; i++) {
        uint64_t running;

        pass(SOON_MS);
        running = depth_of(m, STR("alpha")).running;
        if (running > least) {
            sim_fail(m->run, "with too many at work another one started");
        }
        least = running;
    }
    expect_slots(m, 2, 2);
    if (!sim_switched(m->run, "deaf")) {
        reload(m, config, 0, OLD_HUB);
    }
}

static void queue_is_gone(struct machine *m)
{
    struct reload *r = m->options.ctx;
    struct depth d = depth_of(m, STR("alpha"));
    unsigned before = r->orphaned;

    if (!d.is_there || !d.orphan || d.slots != ORPHAN_SLOTS || d.running != ORPHAN_SLOTS) {
        sim_fail(m->run, "a queue that is gone has %llu slots, %llu run",
                 (unsigned long long)d.slots, (unsigned long long)d.running);
    }
    send(m, "slow-2.example", 1);
    pass(SOON_MS);
    d = depth_of(m, STR("beta"));
    if (d.running != 1) {
        sim_fail(m->run, "new mail is not in the new queue");
    }
    if (!machine_drain(m, 600 * 1000, WHEN_NEVER) || r->orphaned <= before) {
        sim_fail(m->run, "a queue that is gone was not served until it was empty");
    }
}

/* One runs to the old hub, the others are ready or due; the route changes; all but that one go to
 * the new hub. */
static void route_changes(struct machine *m, struct buf *config)
{
    struct reload *r = m->options.ctx;
    unsigned before;

    send(m, "hub.example", HUB_MAIL);
    pass((int64_t)random_below(3000));
    before = r->taken[OLD_HUB];
    if (r->is_cut) {
        struct cidr to = {.net = yard_addr(OLD_HUB), .bits = 32};

        to.net.port = 0;
        sim_net_cut(m->world, &to);
    }
    reload(m, config, 0, NEW_HUB);
    if (!machine_drain(m, 600 * 1000, WHEN_NEVER)) {
        sim_fail(m->run, "mail with a new route still waits");
    }
    if (r->taken[OLD_HUB] > before + 1 || r->taken[OLD_HUB] + r->taken[NEW_HUB] != HUB_MAIL) {
        sim_fail(m->run, "after its route had changed %u messages went the old way, %u the new",
                 r->taken[OLD_HUB] - before, r->taken[NEW_HUB]);
    }
}

static void outside(struct machine *m)
{
    struct yard_client idle;
    struct buf config BUF_LOCAL = {0};
    struct yard_mail mail = {
        .from = "", .to = "last@slow-2.example", .content = STR("Subject: x\r\n\r\nhello\r\n")};

    must(client_open(&idle, m, WHEN_NEVER)); /* before all reloads */
    slots_change(m, &config);
    queue_is_gone(m);
    route_changes(m, &config);
    if (client_mail(&idle, &mail, when_after(10000)) != ANSWERED_TAKEN) {
        sim_fail(m->run, "a session that was open over reloads is no good: %u", idle.code);
    }
    ((struct reload *)m->options.ctx)->sent++;
    client_close(&idle, WHEN_NEVER);
    (void)machine_drain(m, 600 * 1000, WHEN_NEVER);
}

/* ---- the run ---- */

static void run(struct sim_run *run)
{
    static struct machine m;
    static struct reload r;
    struct yard_host hosts[] = {{.number = SLOW, .behaviour = "slow:500ms"},
                                {.number = OLD_HUB, .behaviour = "slow:200ms"},
                                {.number = NEW_HUB, .behaviour = ""}};
    struct sim_disk *folder = sim_disk_new("store", run->seed);
    struct buf config BUF_LOCAL = {0};
    struct plan_text first = {4, OLD_HUB};
    struct machine_options o = {.seed = run->seed,
                                .folder = folder,
                                .store = {.segment_bytes = 256 * 1024,
                                          .min_free_bytes = 1024 * 1024,
                                          .node = 1,
                                          .checkpoint_bytes = 512 * 1024},
                                .hosts = hosts,
                                .host_count = COUNT_OF(hosts),
                                .outside = outside,
                                .took = took,
                                .told = told,
                                .ctx = &r};

    r = (struct reload){.run = run, .is_cut = sim_switched(run, "cut")};
    write_config(&config, &first);
    o.config = config.ptr;
    machine_live(&m, run, &o);
    if (r.deferred > 0 || r.failed > 0) {
        sim_fail(run, "%u attempts failed and %u were the last, on a network that is well",
                 r.deferred, r.failed);
    }
    if (r.done != r.sent || r.taken[SLOW] + r.taken[OLD_HUB] + r.taken[NEW_HUB] != r.sent) {
        sim_fail(run, "%u messages were sent, %u delivered", r.sent, r.done);
    }
    sim_disk_free(folder);
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"reload", run, NULL, 0, 0};

    return sim_main(argc, argv, &scenario);
}
