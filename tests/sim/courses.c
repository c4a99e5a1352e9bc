/*
 * The courses of recipients: each row of a table is one message, with what its sender wished, and
 * what must become of each recipient and when: attempts, notices, ends, in which virtual queue, and
 * what the sender is told. Hours pass in a moment; in every second run the power goes in between,
 * and nothing of it may change, be told twice, or be told never (P1, P6, PY-04).
 *
 * Courses   "0 120 420" attempts that failed for now, in seconds after acceptance; "d0" delivered,
 *           "n60" the sender is owed a notice of delay, "f60" given up; "@slow" behind one: it was
 *           in that queue then. The queue is said when it changes.
 * Told      What the sender's mailbox got, in order, one letter for each recipient in each report:
 *           d delayed, f failed, s delivered, r relayed; a blank between two reports.
 *
 * Switches  early, late-end, same-queue, no-hold: the server keeps other schedules than those that
 *           are judged by, or is not told of a hold.
 */
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "yard/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MINUTE_MS = 60 * 1000, RUN_MINUTES = 6 * 60 + 20, SLACK_S = 1, RCPTS_MAX = 4 };
enum { HOME = 3, COURSE_BYTES = 256 };

struct row {
    const char *name;
    const char *words, *rcpt_words;
    struct {
        const char *address, *course;
    } to[RCPTS_MAX];
    const char *told;
    bool no_sender;
};

/* Host 1 always says 451 at RCPT, 2 takes everything, 4 says 550, 5 takes and has no DSN. The local
 * part names the schedule. */
static const struct row rows[] = {
    {"Q-042: the last interval repeats",
     NULL,
     NULL,
     {{"long@later-1.example", "0@remote 120 420 1020 1620 2220 2820 3420 f4000"}},
     "f",
     false},
    {"Q-043, Q-050: over by time, with the last error, and no notice where there is no list",
     NULL,
     NULL,
     {{"twenty@later-1.example", "0@remote 120 420 1020 f1200"}},
     "f",
     false},
    {"Q-044: over by attempts, with the failure that fills them (PY-40)",
     NULL,
     NULL,
     {{"three@later-1.example", "0@remote 1 f3"}},
     "f",
     false},
    {"Q-045: where the end falls on an attempt it is the end",
     NULL,
     NULL,
     {{"edge@later-1.example", "0@remote f60"}},
     "f",
     false},
    {"Q-048: notices follow each other, and end (PY-05)",
     NULL,
     NULL,
     {{"told@later-1.example", "0@remote n3600 n10800 f21600"}},
     "d d f",
     false},
    {"Q-049: a notice after the end is none",
     NULL,
     NULL,
     {{"late@later-1.example", "0@remote n3600 f7200"}},
     "d f",
     false},
    {"Q-101: who wants to hear of failures only does, and time goes on",
     NULL,
     "NOTIFY=FAILURE",
     {{"told@later-1.example", "0@remote f21600"}},
     "f",
     false},
    {"Q-100: who never wants to hear does not",
     NULL,
     "NOTIFY=NEVER",
     {{"told@later-1.example", "0@remote f21600"}, {"hour@never-4.example", "f0@remote"}},
     "",
     false},
    {"Q-104: without a sender nobody is told",
     NULL,
     NULL,
     {{"late@later-1.example", "0@remote f7200"}},
     "",
     true},
    {"Q-052: held for a minute, and all clocks with it",
     "HOLDFOR=60",
     NULL,
     {{"told@later-1.example", "60@remote n3660 n10860 f21660"}},
     "d d f",
     false},
    {"Q-053: a hold, and a time to be returned by",
     "HOLDFOR=60 BY=3600;R",
     NULL,
     {{"hour@later-1.example", "60@remote f3600"}},
     "f",
     false},
    {"Q-054: one notice when the time has come, and none after it",
     "BY=3600;N",
     NULL,
     {{"told@later-1.example", "0@remote n3600 f21600"}},
     "d f",
     false},
    {"Q-055: a hold longer than the schedule's time",
     "HOLDFOR=7200",
     NULL,
     {{"twenty@later-1.example", "7200@remote 7320 7620 8220 f8400"}},
     "f",
     false},
    {"PY-39: a time to be returned by outlives failures, where attempts are counted too",
     "BY=2;R",
     NULL,
     {{"three@later-1.example", "0@remote 1 f2"}},
     "f",
     false},
    {"Q-015, Q-023: one message in two queues",
     NULL,
     NULL,
     {{"twenty@later-1.example", "0@remote 120 420 1020 f1200"},
      {"other@later-1.example", "0@other 600 f1200"},
      {"hour@fine-2.example", "d0@remote"}},
     "ff",
     false},
    {"Q-022: the third failure moves it to another queue, whose times hold from then on",
     NULL,
     NULL,
     {{"move@later-1.example", "0@remote 120 420 2220@slow 4020 5820 f7200"},
      {"twenty@later-1.example", "0@remote 120 420 1020 f1200"}},
     "f f",
     false},
    {"Q-102: two that fail at once are told of together",
     NULL,
     NULL,
     {{"hour@never-4.example", "f0@remote"}, {"other@never-4.example", "f0@other"}},
     "ff",
     false},
    {"Q-099: success is told where it was asked for and nobody else tells it (PY-42)",
     NULL,
     "NOTIFY=SUCCESS",
     {{"hour@fine-2.example", "d0@remote"}, {"hour@plain-5.example", "d0@remote"}},
     "r",
     false},
};

/* Q-057: the machine is away for six days right after these were taken and held; the first was
 * never tried, and gets one attempt although its time is over (PY-20). */
static const struct row away_rows[] = {
    {"Q-057: one attempt after all, and the end with it",
     "HOLDFOR=60",
     NULL,
     {{"twenty@later-1.example", "f518431@remote"}, {"hour@fine-2.example", "d518431@remote"}},
     "f",
     false},
    {"BY=n;R is never sent when its time has passed meanwhile",
     "HOLDFOR=60 BY=3600;R",
     NULL,
     {{"hour@fine-2.example", "f518431@remote"}},
     "f",
     false},
};

/* What has been seen of one row. */
struct known {
    int64_t accepted_ms;
    char course[RCPTS_MAX][COURSE_BYTES], queue[RCPTS_MAX][QUEUE_NAME_BYTES_MAX + 1];
    char told[COURSE_BYTES];
};

struct courses {
    struct known known[COUNT_OF(rows)];
    const struct row *rows;
    unsigned count;
    bool is_second;
    struct sim_run *run;
};

static void add(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char *text, const char *format, ...)
{
    size_t len = strlen(text);
    va_list args;

    va_start(args, format);
    must(vsnprintf(text + len, COURSE_BYTES - len, format, args) < (int)(COURSE_BYTES - len));
    va_end(args);
}

/* "told-4@later-1.example" and "s-4@home-3.example": row 4. */
static bool row_of(const struct courses *c, struct str address, uint64_t *ret)
{
    struct str local = address_local(address);
    size_t at = str_find(local, '-');

    return at != STR_NONE && str_to_u64(str_skip(local, at + 1), ret) && *ret < c->count;
}

/* Which recipient of its row: their schedules and hosts tell them apart. */
static unsigned index_of(const struct row *row, struct str address)
{
    struct str name = str_head(address, str_find(address, '-'));

    for (unsigned i = 0; i < RCPTS_MAX && row->to[i].address != NULL; i++) {
        struct str own = str_of(row->to[i].address);

        if (str_starts(own, name) && own.ptr[name.len] == '@' &&
            str_eq(address_domain(own), address_domain(address))) {
            return i;
        }
    }
    never("an address of the table");
}

/* ---- what is seen ---- */

static void saw(struct courses *c, const char *kind, const struct event_field *f, size_t n)
{
    struct str rcpt = field_str(f, n, "rcpt"), queue = field_str(f, n, "queue");
    int64_t ms = clock_date().ms - field_num(f, n, "duration") / 1000;
    uint64_t number;

    if (!row_of(c, rcpt, &number)) {
        return;
    }
    if (str_starts(rcpt, STR("s-"))) {
        if (strcmp(kind, "d") != 0 || !str_eq(queue, STR("dsn"))) { /* Q-017 */
            sim_fail(c->run, "a report came to %s in queue %.*s", kind, STR_ARG(queue));
        }
        return;
    }

    struct known *k = &c->known[number];
    unsigned i = index_of(&c->rows[number], rcpt);

    add(k->course[i], "%s%s%lld", k->course[i][0] != 0 ? " " : "", kind,
        (long long)((ms - k->accepted_ms + 500) / 1000));
    if (queue.len > 0 && !str_eq(queue, str_of(k->queue[i]))) {
        snprintf(k->queue[i], sizeof k->queue[i], "%.*s", STR_ARG(queue));
        add(k->course[i], "@%s", k->queue[i]);
    }
}

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    struct courses *c = m->options.ctx;

    if (strcmp(event, "delivery_deferred") == 0) {
        saw(c, "", f, n);
    } else if (strcmp(event, "delivery_done") == 0) {
        saw(c, "d", f, n);
    } else if (strcmp(event, "delivery_delayed") == 0) {
        saw(c, "n", f, n);
    } else if (strcmp(event, "delivery_failed") == 0) {
        saw(c, "f", f, n);
    }
}

static void took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    static const char *const actions[] = {"delayed", "failed", "relayed", "success"};
    struct courses *c = m->options.ctx;
    struct str rest = mail->content;
    uint64_t number;
    size_t at;

    if (h->number != HOME || !row_of(c, mail->to->address, &number)) {
        return;
    }

    char *told_to = c->known[number].told;

    add(told_to, "%s", told_to[0] != 0 ? " " : "");
    while ((at = str_find_str(rest, STR("\r\nAction: "))) != STR_NONE) {
        rest = str_skip(rest, at + 10);
        for (size_t i = 0; i < COUNT_OF(actions); i++) {
            if (str_starts(rest, str_of(actions[i]))) {
                add(told_to, "%c", actions[i][0]);
            }
        }
    }
}

/* ---- what is sent ---- */

static void put_address(struct buf *out, const char *address, unsigned number)
{
    struct str whole = str_of(address);

    buf_printf(out, "%.*s-%u@%.*s", STR_ARG(address_local(whole)), number,
               STR_ARG(address_domain(whole)));
}

static void send(struct machine *m, unsigned number)
{
    struct courses *c = m->options.ctx;
    const struct row *row = &c->rows[number];
    struct buf to BUF_LOCAL = {0}, from BUF_LOCAL = {0};
    struct yard_client client;
    struct yard_mail mail = {
        .content = STR(
            "Subject: x\r\nFrom: a@b.example\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
            "Message-ID: <a@b.example>\r\n\r\nhello\r\n"),
        .words = sim_switched(c->run, "no-hold") ? NULL : row->words,
        .rcpt_words = row->rcpt_words};

    if (!row->no_sender) {
        buf_printf(&from, "s-%u@home-3.example", number);
    }
    for (unsigned i = 0; i < RCPTS_MAX && row->to[i].address != NULL; i++) {
        buf_put(&to, i > 0 ? STR(" ") : STR_EMPTY);
        put_address(&to, row->to[i].address, number);
    }
    buf_byte(&from, 0);
    buf_byte(&to, 0);
    mail.from = from.ptr;
    mail.to = to.ptr;
    c->known[number].accepted_ms = clock_date().ms;
    if (!client_open(&client, m, WHEN_NEVER) ||
        client_mail(&client, &mail, WHEN_NEVER) != ANSWERED_TAKEN) {
        sim_fail(m->run, "%s: it was not taken", row->name);
    }
    client_close(&client, WHEN_NEVER);
}

static void outside(struct machine *m)
{
    struct courses *c = m->options.ctx;

    if (!c->is_second) {
        for (unsigned i = 0; i < c->count; i++) {
            send(m, i);
        }
    }
    if (!machine_drain(m, (RUN_MINUTES + 60LL) * MINUTE_MS, WHEN_NEVER) &&
        sim_end(m->world) == SIM_RUNNING) {
        sim_fail(m->run, "in the end something still waits");
    }
}

/* ---- the judgement ---- */

/* "n3600@slow" against "n3601@slow": all but the number is the same, and that nearly. */
static bool is_same(struct str want, struct str got)
{
    while (want.len > 0 && got.len > 0) {
        long number[2] = {0, 0};

        if (!byte_is_digit(want.ptr[0])) {
            if (want.ptr[0] != got.ptr[0]) {
                return false;
            }
            want = str_skip(want, 1);
            got = str_skip(got, 1);
            continue;
        }
        for (; want.len > 0 && byte_is_digit(want.ptr[0]); want = str_skip(want, 1)) {
            number[0] = number[0] * 10 + (want.ptr[0] - '0');
        }
        for (; got.len > 0 && byte_is_digit(got.ptr[0]); got = str_skip(got, 1)) {
            number[1] = number[1] * 10 + (got.ptr[0] - '0');
        }
        if (labs(number[0] - number[1]) > SLACK_S) {
            return false;
        }
    }
    return want.len == got.len;
}

static void judge(struct courses *c)
{
    for (size_t n = 0; n < c->count; n++) {
        const struct row *row = &c->rows[n];
        const struct known *k = &c->known[n];

        for (unsigned i = 0; i < RCPTS_MAX && row->to[i].address != NULL; i++) {
            if (!is_same(str_of(row->to[i].course), str_of(k->course[i]))) {
                sim_fail(c->run, "%s: %s went \"%s\", not \"%s\"", row->name, row->to[i].address,
                         k->course[i], row->to[i].course);
            }
        }
        if (strcmp(row->told, k->told) != 0) {
            sim_fail(c->run, "%s: its sender was told \"%s\", not \"%s\"", row->name, k->told,
                     row->told);
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
               "  virtual: { remote: {}, other: {}, slow: {}, dsn: {} }\n"
               "  schedule:\n"
               "    dsn: { queue-name: dsn, retry: [1m], expire: 1d }\n"
               "    long: { queue-name: remote, retry: [%s, 5m, 10m], expire: 4000s }\n"
               "    twenty: { queue-name: remote, retry: [2m, 5m, 10m], expire: %s }\n"
               "    three: { queue-name: remote, retry: [1s, 2s, 3s], max-attempts: 3 }\n"
               "    edge: { queue-name: remote, retry: [1m], expire: 1m }\n"
               "    told: { queue-name: remote, retry: [7h], notify: [1h, 2h], expire: 6h }\n"
               "    late: { queue-name: remote, retry: [7h], notify: [1h, 3h], expire: 2h }\n"
               "    hour: { queue-name: remote, retry: [7h], expire: 4h }\n"
               "    other: { queue-name: other, retry: [10m], expire: 20m }\n"
               "    move: { queue-name: remote, retry: [2m, 5m, 10m], expire: 2h }\n"
               "    slow: { queue-name: %s, retry: [30m], expire: 2h }\n"
               "  strategy:\n"
               "    schedule:\n"
               "      - { if: \"source == 'dsn'\", use: dsn }\n"
               "      - { if: \"starts_with(rcpt, 'move-') && retry_num >= 2\", use: slow }\n"
               "      - { if: \"matches('^([a-z]+)-', rcpt)\", then: '$1' }\n"
               "      - { use: hour }\n",
               sim_switched(r, "early") ? "100s" : "2m",
               sim_switched(r, "late-end") ? "25m" : "20m",
               sim_switched(r, "same-queue") ? "remote" : "slow");
    buf_byte(out, 0);
}

static void run(struct sim_run *r)
{
    struct buf config BUF_LOCAL = {0};
    static struct yard_host hosts[] = {{.number = 1, .behaviour = "refuse:rcpt:451"},
                                       {.number = 2, .behaviour = ""},
                                       {.number = HOME, .behaviour = ""},
                                       {.number = 4, .behaviour = "refuse:rcpt:550"},
                                       {.number = 5, .behaviour = "without:dsn"}};
    static struct courses c;
    static struct machine m;
    struct sim_disk *folder = sim_disk_new("store", r->seed);
    int64_t away_ms = 0;
    struct machine_options o = {.seed = r->seed,
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
                                .ctx = &c};

    c = (struct courses){.run = r, .rows = rows, .count = COUNT_OF(rows)};
    configure(r, &config);
    o.config = config.ptr;
    if (r->seed % 2 == 0) {
        /* Half a minute after everything else happens: then no result may be lost or repeated. */
        o.crash_ns = ((int64_t)(r->seed * 7919 % RUN_MINUTES) * 60 + 31) * NS_PER_S;
    }
    if (r->seed % 8 == 4) {
        c.rows = away_rows;
        c.count = COUNT_OF(away_rows);
        o.crash_ns = 31 * NS_PER_S;
        away_ms = 6LL * 24 * 60 * MINUTE_MS;
    }
    machine_live(&m, r, &o);
    if (o.crash_ns > 0 && !r->failed) {
        c.is_second = true;
        o.crash_ns = 0;
        o.seed = r->seed + 1000003;
        o.start = date_add(m.ended, away_ms);
        machine_live(&m, r, &o);
    }
    judge(&c);
    sim_disk_free(folder);
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"courses", run, NULL, 0, 0};

    return sim_main(argc, argv, &scenario);
}
