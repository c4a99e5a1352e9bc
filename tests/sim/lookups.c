/*
 * Strategies that ask a store which is slow, refuses, says nothing for minutes, and comes back, as
 * the seed has it; and a server that is stopped in the middle and started again (PY-46, P1, P8).
 *
 * Lost      Each message that was taken arrives once at the host that the store says, and never at
 *           another: not while the store is away, and not when it is back.
 * Waits     Mail is taken within the five seconds that look-ups may take and what a session takes
 *           besides. What cannot be decided waits for reason `strategy`, spends no attempt, and is
 *           tried again a minute later.
 * Calm      A store that is away is asked by probes, not by each message; the fallback of the
 *           schedule is told once a minute.
 *
 * Switches  lies: the store sometimes names the other host. gone: it never comes back. no-breaker:
 *           it fails one question at a time, in a way that closes nothing, and is counted all the
 *           same.
 */
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "yard/audit.h"
#include "yard/client.h"

#include <stdio.h>

enum {
    MINUTE_MS = 60 * 1000,
    HOSTS = 2,
    MAIL = 40,
    MAIL_MS = 4000, /* apart, at most */
    TAKEN_MS = 7 * 1000,
    AWAY_ASKS_MAX = 40, /* in one time away of ten minutes: 1 2 4 8 16 30 30 … */
};

enum mood { WELL, SLOW, SILENT, REFUSING, FAILING, MOODS };

struct lookups_run {
    struct sim_run *run;
    struct audit audit;
    enum mood mood;
    unsigned asked_away; /* since it went away */
    unsigned taken, arrived;
    uint8_t got[MAIL];
    int64_t fallback_ms; /* told last */
    unsigned fallbacks, waits;
    bool is_over, will_stop;
};

/* ---- the store ---- */

/* "x-17@from-1.example" goes to host 1 + 17 % 2: the store knows it by the recipient's domain. */
static struct err answer(void *ctx, const struct lookup_question *q, struct arena *a,
                         struct lookup_answer *ret, struct when by)
{
    struct lookups_run *w = ctx;
    unsigned host = yard_number(q->key);
    struct err e = ERR_OK;

    if (w->mood >= SILENT) {
        w->asked_away++;
    }
    switch (w->mood) {
    case WELL:
    case MOODS:
        e = fiber_sleep(when_after((int64_t)random_below(3)), by);
        break;
    case SLOW:
        e = fiber_sleep(when_after(500 + (int64_t)random_below(1000)), by);
        break;
    case SILENT:
        e = fiber_sleep(WHEN_NEVER, by);
        break;
    case REFUSING:
        return err_of(sim_switched(w->run, "no-breaker") ? ERR_SYNTAX : ERR_NETWORK);
    case FAILING:
        e = fiber_sleep(when_after((int64_t)random_below(200)), by);
        e = e.code == OK ? err_of(ERR_CLOSED) : e;
        break;
    }
    if (e.code != OK) {
        return e;
    }
    if (q->verb == LOOKUP_COUNTER_INCR) {
        host = 0; /* "to-0" counts as 0 */
    }
    if (host > 0 && sim_switched(w->run, "lies") && random_below(4) == 0) {
        host = HOSTS + 1 - host;
    }
    ret->rows = ret->columns = 1;
    ret->cells = arena_array(a, 1, sizeof *ret->cells);
    ret->cells[0] = (struct lookup_cell){.type = LOOKUP_TEXT,
                                         .text = arena_printf(a, "to-%u", host)};
    return ERR_OK;
}

/* The store's moods, for the whole run: each for some minutes, well in between. */
static void moods_fiber(void *arg)
{
    struct lookups_run *w = arg;

    while (!w->is_over) {
        w->mood = WELL;
        if (fiber_sleep(when_after(5000 + (int64_t)random_below(30 * 1000)), WHEN_NEVER).code !=
            OK) {
            break;
        }
        if (w->is_over) {
            break;
        }
        w->asked_away = 0;
        w->mood = SLOW + (enum mood)random_below(MOODS - SLOW);
        do {
            (void)fiber_sleep(when_after(30 * 1000 + (int64_t)random_below(9LL * MINUTE_MS)),
                              WHEN_NEVER);
        } while (sim_switched(w->run, "gone") && !w->is_over && w->mood >= SILENT);
        if (w->asked_away > AWAY_ASKS_MAX) {
            sim_fail(w->run, "a store that was away was asked %u times", w->asked_away);
        }
    }
    w->mood = sim_switched(w->run, "gone") ? SILENT : WELL;
}

/* ---- what is heard ---- */

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    struct lookups_run *w = m->options.ctx;
    int64_t now = clock_date().ms;

    if (strcmp(event, "schedule_fallback") == 0) {
        if (w->fallbacks > 0 && now - w->fallback_ms < MINUTE_MS) {
            sim_fail(w->run, "the fallback was told again after %lld ms",
                     (long long)(now - w->fallback_ms));
        }
        w->fallbacks++;
        w->fallback_ms = now;
    } else if (strcmp(event, "delivery_waits") == 0) {
        w->waits++;
    } else if (strcmp(event, "delivery_deferred") == 0 || strcmp(event, "delivery_failed") == 0) {
        sim_fail(w->run, "%s: %.*s", event, STR_ARG(field_str(f, n, "text")));
    }
}

static void took(struct lookups_run *w, unsigned host, struct str to)
{
    size_t dash = str_find(to, '-'), at = str_find(to, '@');
    uint64_t number = MAIL;

    if (dash == STR_NONE || at == STR_NONE || dash > at ||
        !str_to_u64(str_make(to.ptr + dash + 1, at - dash - 1), &number) || number >= MAIL) {
        sim_fail(w->run, "mail for %.*s", STR_ARG(to));
        return;
    }
    if (host != 1 + number % HOSTS) {
        sim_fail(w->run, "message %llu came to host %u", (unsigned long long)number, host);
    }
    if (w->got[number]++ > 0) {
        sim_fail(w->run, "message %llu came twice", (unsigned long long)number);
    }
    w->arrived++;
}

static void host_took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    struct lookups_run *w = m->options.ctx;

    for (size_t i = 0; i < mail->to_count; i++) {
        took(w, h->number, mail->to[i].address);
    }
}

/* ---- the outside ---- */

static void before(struct machine *m)
{
    for (unsigned i = 1; i <= HOSTS; i++) {
        yard_weather(m, i, NET_OPEN);
    }
}

static void audit_fiber(void *arg)
{
    struct machine *m = arg;
    struct lookups_run *w = m->options.ctx;

    while (!w->is_over &&
           fiber_sleep(when_after(200 + (int64_t)random_below(5000)), WHEN_NEVER).code == OK) {
        audit_look(&w->audit, m, WHEN_NEVER);
    }
}

static void send_one(struct machine *m, unsigned number)
{
    struct lookups_run *w = m->options.ctx;
    struct when began = clock_now();
    char from[64], to[64];

    snprintf(from, sizeof from, "s@from-%u.example", 1 + number % HOSTS);
    snprintf(to, sizeof to, "x-%u@for-%u.example", number, 1 + number % HOSTS);
    client_must_send(m, from, to, WHEN_NEVER);
    w->taken++;
    if ((clock_now().ns - began.ns) / NS_PER_MS > TAKEN_MS) {
        sim_fail(w->run, "mail was taken after %lld ms",
                 (long long)((clock_now().ns - began.ns) / NS_PER_MS));
    }
}

static void outside(struct machine *m)
{
    struct lookups_run *w = m->options.ctx;
    struct group fibers;
    unsigned last = w->will_stop ? MAIL / 2 : MAIL;

    group_init(&fibers, "around", 0);
    must(group_spawn_now(&fibers, "audit", audit_fiber, m).code == OK);
    must(group_spawn_now(&fibers, "moods", moods_fiber, w).code == OK);
    while (w->taken < last && !w->run->failed) {
        send_one(m, w->taken);
        (void)fiber_sleep(when_after((int64_t)random_below(MAIL_MS)), WHEN_NEVER);
    }
    w->is_over = true;
    (void)group_join(&fibers, WHEN_NEVER);
    if (!w->will_stop && !machine_drain(m, 20LL * MINUTE_MS, WHEN_NEVER)) {
        sim_fail(w->run, "mail still waits after the store has come back");
    }
}

/* ---- the run ---- */

static void run(struct sim_run *r)
{
    static struct machine m;
    static struct lookups_run w;
    struct yard_host hosts[] = {{.number = 1, .behaviour = ""}, {.number = 2, .behaviour = ""}};
    struct sim_disk *folder = sim_disk_new("store", r->seed);
    struct machine_options o = {
        .seed = r->seed,
        .folder = folder,
        .store = {.segment_bytes = 256 * 1024,
                  .min_free_bytes = 1024 * 1024,
                  .node = 1,
                  .checkpoint_bytes = 512 * 1024},
        .hosts = hosts,
        .host_count = COUNT_OF(hosts),
        .before = before,
        .outside = outside,
        .took = host_took,
        .told = told,
        .lookup = {answer, &w},
        .ctx = &w,
        .config =
            "server: { hostname: mx.here.example }\n"
            "listeners: { smtp: { bind: [\"127.0.0.1:2525\"] } }\n"
            "lookup: { hosts: { type: redis, address: 127.0.0.1, cache: { ttl: 0s } } }\n"
            "queue:\n"
            "  schedule: { to-1: { queue-name: remote }, to-2: { queue-name: remote } }\n"
            "  route:\n"
            "    to-1: { type: relay, address: relay-1.example }\n"
            "    to-2: { type: relay, address: relay-2.example }\n"
            "  strategy:\n"
            "    schedule: [ { then: \"key_get('hosts', sender_domain)\" } ]\n"
            "    route: [ { then: \"key_get('hosts', rcpt_domain)\" } ]\n"
            "    connection: [ { if: \"counter_incr('hosts', rcpt_domain, 1) < 0\", use: default "
            "}, { use: default } ]\n"
            "    tls: [ { if: \"mx != '' && key_get('hosts', rcpt_domain) == 'x'\", use: "
            "default }, { use: default } ]\n"};

    w = (struct lookups_run){.run = r, .will_stop = true};
    machine_live(&m, r, &o);
    w.is_over = w.will_stop = false;
    w.fallbacks = 0; /* a new process may tell at once */
    o.start = date_add(m.ended, MINUTE_MS);
    if (!r->failed) {
        machine_live(&m, r, &o);
    }
    if (!r->failed && (w.taken != MAIL || w.arrived != MAIL)) {
        sim_fail(r, "of %u messages %u arrived", w.taken, w.arrived);
    }
    if (!r->failed && w.waits > 0 && w.audit.reasons[WAIT_STRATEGY] == 0) {
        sim_fail(r, "%u times something waited, and the looks met no reason for it", w.waits);
    }
    sim_disk_free(folder);
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"lookups", run, NULL, 0, 0};

    return sim_main(argc, argv, &scenario);
}
