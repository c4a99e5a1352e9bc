/*
 * Five days of a retry schedule, in a moment. A destination that stays down is tried exactly when
 * its schedule says, its sender is told after a day and again at the end; one that comes back after
 * two days gets its mail at the next attempt; mail without a sender is dropped, loudly; and mail
 * for a third shows what the rest of a site does to times.
 *
 * Law       An attempt begins when it is due (P6). Only if its site rests or is being probed then,
 *           it begins when a rest of the site ends: of those that wait the oldest, as the probe.
 *           Notices and the end come by their own clock, whatever the site does; an attempt that is
 *           under way then may finish first.
 * Lives     In every second run the machine stops on some day, for a while; times go on as stored,
 *           and what came due meanwhile begins at the start.
 *
 * Switches  early-retry, no-notice, short-life: the server keeps another schedule than the one that
 *           is judged by. no-rest: the judge does not know of rests.
 */
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "yard/client.h"

#include <stdio.h>
#include <time.h>

enum {
    MINUTE_MS = 60 * 1000,
    HOUR_MS = 60 * MINUTE_MS,
    DAY_MS = 24 * HOUR_MS,
    SLACK_MS = 300,       /* of an attempt: what the machine itself needs */
    UNDER_WAY_MS = 35000, /* of a notice: an attempt that finds nobody takes up to 30 s */
    TRACKS_MAX = 12,
    RESTS_MAX = 1024,
    ATTEMPTS_MAX = 2048
};

enum { HOME = 3 }; /* the senders' host, which is always well */

static const int64_t retries_ms[] = {2 * MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS,
                                     60 * MINUTE_MS};

/* What is known of one recipient. */
struct track {
    const char *sender, *rcpt;
    int64_t accepted_ms;
    int64_t due_ms; /* of the next attempt */
    unsigned attempts;
    unsigned delayed, failed, dropped, done, taken;
    unsigned told_delayed, told_failed; /* what came to the sender */
    bool is_down_for_ever, is_back_later;
};

struct days {
    struct track tracks[TRACKS_MAX];
    unsigned count;
    struct span {
        unsigned number;
        int64_t from_ms, until_ms;
    } rests[RESTS_MAX], attempts[ATTEMPTS_MAX];
    unsigned rest_count, attempt_count;
    enum sim_net_way down;    /* how a host is down in this run */
    int64_t stop_ms, away_ms; /* after so long the machine stops, for so long; 0: never */
    int64_t started_ms;       /* of this life */
    int64_t back_ms;          /* when host 2 comes back */
    bool is_second;
    struct sim_run *run;
};

static double virtual_s;

static struct track *track_of(struct days *d, struct str rcpt)
{
    for (unsigned i = 0; i < d->count; i++) {
        if (str_eq(str_of(d->tracks[i].rcpt), rcpt)) {
            return &d->tracks[i];
        }
    }
    return NULL;
}

/* ---- judging attempts ---- */

static bool is_near(int64_t ms, int64_t at_ms, int64_t slack_ms)
{
    return ms >= at_ms && ms <= at_ms + slack_ms;
}

/* Whether one of these at that host overlaps a time. */
static bool was_within(const struct span *spans, unsigned count, unsigned number, int64_t from_ms,
                       int64_t until_ms)
{
    for (unsigned i = 0; i < count; i++) {
        if (spans[i].number == number && until_ms >= spans[i].from_ms &&
            from_ms <= spans[i].until_ms) {
            return true;
        }
    }
    return false;
}

static bool is_after_rest(const struct days *d, unsigned number, int64_t due_ms, int64_t ms)
{
    /* A probe is part of the rest it ends: others wait for what it finds. */
    bool rested = was_within(d->rests, d->rest_count, number, due_ms, due_ms + SLACK_MS) ||
                  was_within(d->attempts, d->attempt_count, number, due_ms, due_ms + SLACK_MS);
    bool ended = false;

    for (unsigned i = 0; i < d->rest_count; i++) {
        ended = ended ||
                (d->rests[i].number == number && is_near(ms, d->rests[i].until_ms, SLACK_MS));
    }
    return rested && ended && !sim_switched(d->run, "no-rest");
}

/* A site that is not proven gets one connection: others wait until what it is at has ended. */
static bool is_after_another(const struct days *d, unsigned number, int64_t due_ms, int64_t ms)
{
    bool ended = false;

    for (unsigned i = 0; i < d->attempt_count; i++) {
        ended = ended ||
                (d->attempts[i].number == number && is_near(ms, d->attempts[i].until_ms, SLACK_MS));
    }
    return ended && was_within(d->attempts, d->attempt_count, number, due_ms, due_ms + SLACK_MS);
}

/* The oldest that waits is the probe. */
static void judge_probe(struct days *d, const struct track *t, unsigned number)
{
    for (unsigned i = 0; i < d->count; i++) {
        const struct track *other = &d->tracks[i];

        if (yard_number(address_domain(str_of(other->rcpt))) == number && other->failed == 0 &&
            other->due_ms + SLACK_MS < t->due_ms && other->due_ms > d->started_ms) {
            sim_fail(d->run, "%s probed its site before %s, which had waited for longer", t->rcpt,
                     other->rcpt);
        }
    }
}

static void judge_attempt(struct days *d, struct track *t, int64_t began_ms)
{
    unsigned number = yard_number(address_domain(str_of(t->rcpt)));
    int64_t due_ms = t->due_ms > d->started_ms ? t->due_ms : d->started_ms;

    for (unsigned i = 0; i < d->rest_count; i++) {
        if (d->rests[i].number != number || began_ms <= d->rests[i].from_ms ||
            began_ms >= d->rests[i].until_ms) {
            continue;
        }
        sim_fail(d->run, "%s: attempt %u began while its site rested", t->rcpt, t->attempts + 1);
    }
    if (is_near(began_ms, due_ms, SLACK_MS)) {
        /* as it should be */
    } else if (is_after_rest(d, number, due_ms, began_ms)) {
        judge_probe(d, t, number);
    } else if (is_after_another(d, number, due_ms, began_ms)) {
        /* a stated limit: one connection for each site that is not proven */
    } else {
        sim_fail(d->run, "%s: attempt %u was due at +%lld ms and began at %+lld ms", t->rcpt,
                 t->attempts + 1, (long long)(due_ms - t->accepted_ms),
                 (long long)(began_ms - due_ms));
    }
    must(d->attempt_count < ATTEMPTS_MAX);
    d->attempts[d->attempt_count++] = (struct span){number, began_ms, clock_date().ms};
}

static void judge_deferred(struct days *d, struct track *t, const struct event_field *f, size_t n)
{
    int64_t now = clock_date().ms, next = field_num(f, n, "next");
    unsigned last = COUNT_OF(retries_ms) - 1;
    int64_t wait = retries_ms[t->attempts < last ? t->attempts : last];

    judge_attempt(d, t, now - field_num(f, n, "duration") / 1000);
    t->attempts++;
    if (next - now != wait) {
        sim_fail(d->run, "%s: after attempt %u it waits %lld ms, not %lld", t->rcpt, t->attempts,
                 (long long)(next - now), (long long)wait);
    }
    if (field_num(f, n, "attempts") != t->attempts) {
        sim_fail(d->run, "%s: attempt %u was counted as %lld", t->rcpt, t->attempts,
                 (long long)field_num(f, n, "attempts"));
    }
    t->due_ms = next;
}

static void judge_note(struct days *d, const struct track *t, const char *what, int64_t after_ms)
{
    int64_t at = clock_date().ms, due = t->accepted_ms + after_ms;

    if (due < d->started_ms) {
        due = d->started_ms; /* it was away */
    }
    if (!is_near(at, due, UNDER_WAY_MS)) {
        sim_fail(d->run, "%s: %s came %lld ms after acceptance, not %lld", t->rcpt, what,
                 (long long)(at - t->accepted_ms), (long long)after_ms);
    }
}

static void note_rest(struct days *d, const struct event_field *f, size_t n)
{
    struct str site = field_str(f, n, "site");
    size_t blank = str_find(site, ' ');

    must(d->rest_count < RESTS_MAX);
    d->rests[d->rest_count].number = yard_number(str_skip(site, blank + 1));
    d->rests[d->rest_count].from_ms = clock_date().ms;
    d->rests[d->rest_count++].until_ms = field_num(f, n, "until");
}

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    struct days *d = m->options.ctx;
    struct track *t = track_of(d, field_str(f, n, "rcpt"));

    if (strcmp(event, "site_rests") == 0) {
        note_rest(d, f, n);
    }
    if (t == NULL) {
        return;
    }
    if (strcmp(event, "delivery_deferred") == 0) {
        judge_deferred(d, t, f, n);
    } else if (strcmp(event, "delivery_done") == 0) {
        judge_attempt(d, t, clock_date().ms - field_num(f, n, "duration") / 1000);
        t->done++;
    } else if (strcmp(event, "delivery_delayed") == 0) {
        judge_note(d, t, "the notice", DAY_MS);
        t->delayed++;
    } else if (strcmp(event, "delivery_failed") == 0) {
        judge_note(d, t, "the end", 5 * DAY_MS);
        t->failed++;
    } else if (strcmp(event, "double_bounce") == 0) {
        t->dropped++;
    }
}

static void took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    struct days *d = m->options.ctx;

    for (const struct play_rcpt *r = mail->to; r != NULL; r = r->next) {
        struct track *t = track_of(d, r->address);

        if (t != NULL) {
            t->taken++;
        }
    }
    for (unsigned i = 0; i < d->count && h->number == HOME; i++) {
        struct track *t = &d->tracks[i];

        if (str_find_str(mail->content, str_of(t->rcpt)) != STR_NONE &&
            str_eq(mail->to->address, str_of(t->sender))) {
            t->told_delayed += str_find_str(mail->content, STR("Action: delayed")) != STR_NONE;
            t->told_failed += str_find_str(mail->content, STR("Action: failed")) != STR_NONE;
        }
    }
}

/* ---- what happens ---- */

static void send(struct machine *m, const char *sender, const char *rcpt)
{
    struct days *d = m->options.ctx;
    struct track *t = &d->tracks[d->count++];

    must(d->count <= TRACKS_MAX);
    t->sender = sender;
    t->rcpt = rcpt;
    t->accepted_ms = t->due_ms = clock_date().ms;
    t->is_down_for_ever = yard_number(address_domain(str_of(rcpt))) != 2;
    client_must_send(m, sender, rcpt, WHEN_NEVER);
}

static bool pass(int64_t ms)
{
    return fiber_sleep(when_after(ms), WHEN_NEVER).code == OK;
}

/* Until that date by the wall clock. */
static bool pass_until(int64_t ms)
{
    return ms <= clock_date().ms || pass(ms - clock_date().ms);
}

static void first_life(struct machine *m)
{
    static const char *const shared[] = {"d@shared-5.example", "e@shared-5.example",
                                         "f@shared-5.example", "g@shared-5.example"};
    struct days *d = m->options.ctx;

    send(m, "one@home-3.example", "a@down-1.example");
    send(m, "two@home-3.example", "b@back-2.example");
    send(m, "", "c@dead-4.example");
    for (size_t i = 0; i < COUNT_OF(shared); i++) {
        pass((int64_t)(d->run->seed * 7919 + i * 104729) % (4 * MINUTE_MS));
        send(m, "three@home-3.example", shared[i]);
    }
}

static void before(struct machine *m)
{
    struct days *d = m->options.ctx;

    for (unsigned i = 1; i <= 5; i++) {
        yard_weather(m, i, i == HOME ? NET_OPEN : d->down);
    }
    d->started_ms = m->options.start.ms;
    if (d->back_ms > 0 && d->back_ms <= d->started_ms) {
        yard_weather(m, 2, NET_OPEN);
    }
}

static void outside(struct machine *m)
{
    struct days *d = m->options.ctx;

    if (!d->is_second) {
        d->back_ms = clock_date().ms + 2 * DAY_MS;
        first_life(m);
        if (d->stop_ms > 0 && d->stop_ms < 2 * DAY_MS) {
            pass(d->stop_ms);
            return;
        }
    }
    if (pass_until(d->back_ms)) {
        yard_weather(m, 2, NET_OPEN);
    }
    if (!d->is_second && d->stop_ms > 0) {
        pass(d->stop_ms - 2 * DAY_MS);
        return;
    }
    if (!machine_drain(m, 8LL * DAY_MS, WHEN_NEVER)) {
        sim_fail(m->run, "after eight days something still waits");
    }
}

static void judge(struct days *d)
{
    for (unsigned i = 0; i < d->count; i++) {
        const struct track *t = &d->tracks[i];
        bool has_sender = t->sender[0] != 0;
        bool ends = t->is_down_for_ever;

        if (t->done != !ends || t->taken != !ends) {
            sim_fail(d->run, "%s: delivered %u times, arrived %u times", t->rcpt, t->done,
                     t->taken);
        }
        if (t->failed != ends || t->dropped != (ends && !has_sender)) {
            sim_fail(d->run, "%s: failed %u times, dropped %u times", t->rcpt, t->failed,
                     t->dropped);
        }
        if (t->delayed != has_sender || t->told_delayed != has_sender) {
            sim_fail(d->run, "%s: delay told %u times, heard %u times", t->rcpt, t->delayed,
                     t->told_delayed);
        }
        if (t->told_failed != (has_sender && ends)) {
            sim_fail(d->run, "%s: the sender heard %u times that it failed", t->rcpt,
                     t->told_failed);
        }
        if (t->attempts < 20) {
            sim_fail(d->run, "%s: only %u attempts failed", t->rcpt, t->attempts);
        }
    }
}

/* ---- the run ---- */

static void configure(const struct sim_run *r, struct buf *out)
{
    buf_printf(out,
               "server: { hostname: mx.here.example }\n"
               "listeners: { smtp: { bind: [\"127.0.0.1:2525\"] } }\n"
               "queue:\n"
               "  schedule:\n"
               "    remote: { queue-name: remote, retry: [2m, 5m, 10m, %s, 1h], notify: [%s], "
               "expire: %s }\n",
               sim_switched(r, "early-retry") ? "29m" : "30m",
               sim_switched(r, "no-notice") ? "9d" : "1d",
               sim_switched(r, "short-life") ? "4d" : "5d");
}

static void run(struct sim_run *r)
{
    static const enum sim_net_way ways[] = {NET_REFUSED, NET_SILENT, NET_UNREACHABLE};
    struct buf config BUF_LOCAL = {0};
    struct yard_host hosts[] = {{.number = 2, .behaviour = ""}, {.number = HOME, .behaviour = ""}};
    static struct days d;
    struct sim_disk *folder = sim_disk_new("store", r->seed);
    static struct machine m;
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
                                .took = took,
                                .told = told,
                                .ctx = &d};

    d = (struct days){.run = r, .down = ways[r->seed % COUNT_OF(ways)]};
    configure(r, &config);
    buf_byte(&config, 0);
    o.config = config.ptr;
    if (r->seed % 2 == 0) {
        d.stop_ms = (int64_t)(r->seed * 1000003 % (4 * 24)) * HOUR_MS + 30 * MINUTE_MS;
        d.away_ms = (int64_t)(r->seed * 31 % 120) * MINUTE_MS + 1000;
    }
    machine_live(&m, r, &o);
    must(m.is_up);
    virtual_s += 5 * 86400.0;
    if (d.stop_ms > 0 && !r->failed) {
        d.is_second = true;
        d.rest_count = d.attempt_count = 0; /* rests are not stored */
        o.seed = r->seed + 1000003;
        o.start = date_add(m.ended, d.away_ms);
        machine_live(&m, r, &o);
    }
    judge(&d);
    sim_disk_free(folder);
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"days", run, NULL, 0, 0};
    struct timespec from, to;
    double real_s;
    int status;

    clock_gettime(CLOCK_MONOTONIC, &from);
    status = sim_main(argc, argv, &scenario);
    clock_gettime(CLOCK_MONOTONIC, &to);
    real_s = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    printf("days: %.0f days of mail in %.2f s: %.0f times as fast as life\n", virtual_s / 86400,
           real_s, virtual_s / real_s);
    return status;
}
