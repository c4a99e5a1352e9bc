/*
 * Two milters that answer, take their time, answer nonsense, break off, say nothing or say for ever
 * that they are at work, as the seed has it, while mail of all sizes comes in; and in some seeds a
 * crash in the middle.
 *
 * Fenced    What a filter that is asked first says decides: what it rejected or discarded never
 *           arrives, and while it fails its mail is put off (P9). The second is passed over when it
 *           fails.
 * Edits     Each message arrives with the edits of its own attempt, each once, and with no other
 *           (P12). What a filter has not said to its end has no effect.
 * Kept      What was answered 250 and not discarded arrives; without a crash, once (P1).
 * In time   No message takes longer to be answered than the time-outs of the filters allow.
 *
 * Switches  twice: the first filter adds its field twice. again: discarded mail is looked for.
 *           unsaid: what the second filter adds is not expected. hurry: less time than there is.
 */
#include "base/mem.h"
#include "hooks/milter_wire.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/stream.h"
#include "yard/client.h"

#include <stdio.h>

enum {
    MAIL = 36,
    TRIES = 64,
    CLIENTS = 4,
    FILTERS = 2,
    FILTER_HOST = 90, /* and the next */
    FILTER_PORT = 8891,
    STAGE_MS = 10 * 1000,
    STAGES = 5,
    ANSWER_MS = STAGES * (FILTERS * STAGE_MS + 4000), /* with the store's own time */
    LARGE_LINES = 3000,
};

enum { FRONT, BACK };
enum mood { WELL, SLOW, SILENT, BROKEN, BABBLING, BUSY, MOODS };
enum kind { LETS_IN, REJECTS, DISCARDS, REPLACES, KINDS };

struct filter_now {
    struct milters_run *run;
    unsigned which;
    enum mood mood;
    struct listener *listener;
    struct group group;
};

struct milters_run {
    struct sim_run *run;
    struct filter_now filters[FILTERS];
    unsigned tries[MAIL];        /* times that the first filter gave a verdict */
    uint8_t edited[MAIL][TRIES]; /* by the second */
    uint8_t arrived[MAIL][TRIES];
    bool taken[MAIL], settled[MAIL];
    unsigned next;
    bool is_over, has_crashed;
    struct group clients;
};

struct call {
    struct filter_now *filter;
    struct guest *guest;
    unsigned mail;
};

static enum kind kind_of(unsigned n)
{
    return (enum kind)(n % KINDS);
}

/* "s-17@from-1.example": 17. */
static unsigned number_in(struct str text)
{
    size_t at = str_find_str(text, STR("s-"));
    struct str rest = str_skip(text, at == STR_NONE ? text.len : at + 2), digits;
    uint64_t n = MAIL;

    str_cut(&rest, '@', &digits);
    return str_to_u64(digits, &n) && n < MAIL ? (unsigned)n : MAIL;
}

/* ---- the filters ---- */

static void put_packet(struct buf *out, struct str packet)
{
    char head[MILTER_HEAD_BYTES] = {0, (char)(packet.len >> 16), (char)(packet.len >> 8),
                                    (char)packet.len};

    buf_put(out, str_make(head, sizeof head));
    buf_put(out, packet);
}

static void put_field(struct buf *out, const char *what, const char *name, unsigned n, unsigned try)
{
    struct buf packet BUF_LOCAL = {0};

    buf_put(&packet, str_of(what));
    if (*what == MILTER_INSERT_HEADER) {
        buf_put(&packet, str_make("\0\0\0\1", 4));
    }
    buf_put(&packet, str_of(name));
    buf_byte(&packet, '\0');
    buf_printf(&packet, "%u-%u", n, try);
    buf_byte(&packet, '\0');
    put_packet(out, buf_str(&packet));
}

static void front_says(struct milters_run *w, unsigned n, struct buf *out)
{
    if (w->tries[n] + 1 == TRIES) {
        sim_fail(w->run, "message %u was tried too often", n);
        put_packet(out, STR("r"));
        return;
    }
    w->tries[n]++;
    if (kind_of(n) == REJECTS) {
        put_packet(out, STR("y559 5.7.9 not this\0"));
    } else if (kind_of(n) == DISCARDS) {
        put_packet(out, STR("d"));
    } else {
        put_field(out, "h", "X-Front", n, w->tries[n]);
        if (sim_switched(w->run, "twice")) {
            put_field(out, "h", "X-Front", n, w->tries[n]);
        }
        put_packet(out, STR("c"));
    }
}

static void back_says(struct milters_run *w, unsigned n, struct buf *out)
{
    struct buf body BUF_LOCAL = {0};

    w->edited[n][w->tries[n]] = !sim_switched(w->run, "unsaid");
    put_field(out, "i", "X-Back", n, w->tries[n]);
    if (kind_of(n) == REPLACES) {
        for (unsigned i = 0; i < (n % 3 == 0 ? LARGE_LINES : 1); i++) {
            buf_clear(&body);
            buf_put(&body, STR("bSomething else in its place.\r\n"));
            put_packet(out, buf_str(&body));
        }
    }
    put_packet(out, STR("c"));
}

static struct err say(struct stream *s, struct str bytes, struct when by)
{
    struct err e = stream_put(s, bytes, by);

    return e.code == OK ? stream_flush(s, by) : e;
}

/* It says that it is at work, until nobody listens. */
static struct err be_busy(struct stream *s, struct when by)
{
    struct err e = ERR_OK;

    while (e.code == OK) {
        e = fiber_sleep(when_after(700), by);
        e = e.code == OK ? say(s, STR("\0\0\0\1p"), by) : e;
    }
    return e;
}

/* *answers: whether it does as it should. */
static struct err mood_acts(struct call *c, struct stream *s, char command, bool *answers,
                            struct when by)
{
    enum mood mood = c->filter->mood;
    struct err e = fiber_sleep(when_after((int64_t)random_below(mood == SLOW ? 1500 : 5)), by);

    *answers = mood == WELL || mood == SLOW;
    if (e.code != OK || *answers || mood == SILENT) {
        return e;
    }
    if (mood == BROKEN) {
        return err_of(ERR_CLOSED);
    }
    if (mood == BUSY && command == MILTER_END) {
        return be_busy(s, by);
    }
    return say(s, random_below(2) == 0 ? STR("\0\0\0\1Z") : STR("\xff\xff\xff\xff c"), by);
}

static struct err answer(struct call *c, struct stream *s, struct str packet, struct when by)
{
    struct milters_run *w = c->filter->run;
    struct buf out BUF_LOCAL = {0};
    bool answers;
    struct err e;

    if (packet.ptr[0] == MILTER_QUIT) {
        return err_of(ERR_CLOSED);
    }
    if (packet.ptr[0] == MILTER_MACRO || packet.ptr[0] == MILTER_ABORT) {
        return ERR_OK;
    }
    if (packet.ptr[0] == MILTER_MAIL) {
        c->mail = number_in(packet);
    }
    e = mood_acts(c, s, packet.ptr[0], &answers, by);
    if (e.code != OK || !answers) {
        return e;
    }
    if (packet.ptr[0] == MILTER_NEGOTIATE) {
        put_packet(&out, STR("O\0\0\0\6\0\0\1\xff\0\0\0\0"));
    } else if (packet.ptr[0] != MILTER_END || c->mail == MAIL) {
        put_packet(&out, STR("c"));
    } else if (c->filter->which == FRONT) {
        front_says(w, c->mail, &out);
    } else {
        back_says(w, c->mail, &out);
    }
    return say(s, buf_str(&out), by);
}

static void call_fiber(void *arg)
{
    struct call *c = arg;
    struct stream *s = guest_stream(c->guest);
    struct buf in BUF_LOCAL = {0};
    struct err e = ERR_OK;

    while (e.code == OK) {
        uint32_t n;

        if (in.len >= MILTER_HEAD_BYTES && milter_packet_bytes(in.ptr, &n) &&
            in.len - MILTER_HEAD_BYTES >= n) {
            e = answer(c, s, str_make(in.ptr + MILTER_HEAD_BYTES, n), WHEN_NEVER);
            in.len -= MILTER_HEAD_BYTES + n;
            memmove(in.ptr, in.ptr + MILTER_HEAD_BYTES + n, in.len);
            continue;
        }
        e = stream_fill(s, "a command", WHEN_NEVER);
        if (e.code == OK) {
            struct str got = stream_buffered(s);

            buf_put(&in, got);
            stream_take(s, got.len);
        }
    }
    stream_close(s);
    mem_free(c);
}

static void accept_fiber(void *arg)
{
    struct filter_now *f = arg;
    struct guest *g;

    while (listener_accept(f->listener, &g, WHEN_NEVER).code == OK) {
        struct call *c = MEM_NEW(struct call);

        *c = (struct call){f, g, MAIL};
        must(group_spawn_now(&f->group, "call", call_fiber, c).code == OK);
    }
}

static void filter_start(struct milters_run *w, unsigned which)
{
    struct filter_now *f = &w->filters[which];
    struct addr at = yard_addr(FILTER_HOST + which);

    at.port = FILTER_PORT;
    *f = (struct filter_now){.run = w, .which = which};
    must(listener_open(at, &f->listener).code == OK);
    group_init(&f->group, "filter", 0);
    must(group_spawn_now(&f->group, "accept", accept_fiber, f).code == OK);
}

static void filter_stop(struct filter_now *f)
{
    group_cancel(&f->group);
    (void)group_join(&f->group, WHEN_NEVER);
    listener_close(f->listener);
}

static void moods_fiber(void *arg)
{
    struct milters_run *w = arg;

    while (!w->is_over) {
        for (unsigned i = 0; i < FILTERS; i++) {
            w->filters[i].mood = random_below(2) == 0 ? WELL : (enum mood)random_below(MOODS);
        }
        if (fiber_sleep(when_after(2000 + (int64_t)random_below(60 * 1000)), WHEN_NEVER).code !=
            OK) {
            break;
        }
    }
    w->filters[FRONT].mood = w->filters[BACK].mood = WELL;
}

/* ---- what is heard ---- */

static void told(struct machine *m, const char *event, const struct event_field *f, size_t n)
{
    struct milters_run *w = m->options.ctx;

    if (strcmp(event, "delivery_failed") == 0) {
        sim_fail(w->run, "%s: %.*s", event, STR_ARG(field_str(f, n, "text")));
    }
}

static unsigned count_of(struct str text, const char *what)
{
    unsigned count = 0;
    size_t at;

    while ((at = str_find_str(text, str_of(what))) != STR_NONE) {
        count++;
        text = str_skip(text, at + 1);
    }
    return count;
}

/* The number behind "X-Front: 17-". */
static unsigned try_in(struct str content, unsigned n)
{
    char field[32];
    size_t at;
    struct str rest, digits;
    uint64_t number = 0;

    snprintf(field, sizeof field, "X-Front: %u-", n);
    at = str_find_str(content, str_of(field));
    rest = str_skip(content, at == STR_NONE ? content.len : at + strlen(field));
    str_cut(&rest, '\r', &digits);
    return str_to_u64(digits, &number) && number < TRIES ? (unsigned)number : 0;
}

static void host_took(struct machine *m, struct yard_host *h, const struct play_message *mail)
{
    struct milters_run *w = m->options.ctx;
    unsigned n = number_in(mail->sender), try = n < MAIL ? try_in(mail->content, n) : 0;
    bool is_replaced;
    char field[64];

    (void)h;
    if (n == MAIL || try == 0) {
        sim_fail(w->run, "mail of %.*s without the first filter's field", STR_ARG(mail->sender));
        return;
    }
    if (kind_of(n) == REJECTS || kind_of(n) == DISCARDS) {
        sim_fail(w->run, "message %u arrived", n);
    }
    if (count_of(mail->content, "X-Front:") != 1) {
        sim_fail(w->run, "message %u has the first filter's field %u times", n,
                 count_of(mail->content, "X-Front:"));
    }
    snprintf(field, sizeof field, "X-Back: %u-%u\r\n", n, try);
    if (count_of(mail->content, field) != w->edited[n][try] ||
        count_of(mail->content, "X-Back:") != w->edited[n][try]) {
        sim_fail(w->run, "message %u, try %u: the second filter's field is wrong", n, try);
    }
    is_replaced = w->edited[n][try] != 0 && kind_of(n) == REPLACES;
    if ((count_of(mail->content, "Something else") > 0) != is_replaced ||
        (count_of(mail->content, "As it came") == 0) != is_replaced) {
        sim_fail(w->run, "message %u, try %u: the body is wrong", n, try);
    }
    if (w->arrived[n][try]++ > 0 && !w->has_crashed) {
        sim_fail(w->run, "message %u, try %u arrived twice", n, try);
    }
}

/* ---- clients ---- */

static void content_of(unsigned n, struct buf *out)
{
    buf_printf(out, "Subject: number %u\r\n\r\n", n);
    for (unsigned i = 0; i < (n % 5 == 0 ? LARGE_LINES : 1 + n % 7); i++) {
        buf_printf(out, "As it came, line %u of \xC3\xA9 message.\r\n", i);
    }
}

static void note_fate(struct milters_run *w, unsigned n, enum answered fate, unsigned code)
{
    if (fate == ANSWERED_REFUSED && code == 559) {
        if (kind_of(n) != REJECTS) {
            sim_fail(w->run, "message %u was rejected", n);
        }
        w->settled[n] = true;
    } else if (fate == ANSWERED_REFUSED && code / 100 != 4 && code != 250) { /* 250: to RSET */
        sim_fail(w->run, "message %u was answered %u", n, code);
    } else if (fate == ANSWERED_TAKEN) {
        if (kind_of(n) == REJECTS) {
            sim_fail(w->run, "message %u was taken", n);
        }
        w->taken[n] = w->settled[n] = true;
    }
}

/* True: nothing more is to be done about it. */
static bool try_one(struct machine *m, unsigned n)
{
    struct milters_run *w = m->options.ctx;
    int64_t bound_ms = sim_switched(w->run, "hurry") ? 1000 : ANSWER_MS, took_ms;
    struct buf content BUF_LOCAL = {0};
    struct when began = clock_now();
    struct yard_client c;
    char from[48];
    struct yard_mail mail = {.from = from, .to = "x@to-1.example"};
    enum answered fate;

    content_of(n, &content);
    snprintf(from, sizeof from, "s-%u@from-1.example", n);
    mail.content = buf_str(&content);
    if (!client_open(&c, m, WHEN_NEVER)) {
        return false;
    }
    fate = client_mail(&c, &mail, WHEN_NEVER);
    took_ms = (clock_now().ns - began.ns) / NS_PER_MS;
    if (took_ms > bound_ms) {
        sim_fail(w->run, "message %u was answered after %lld ms", n, (long long)took_ms);
    }
    note_fate(w, n, fate, c.code);
    client_close(&c, WHEN_NEVER);
    return w->settled[n];
}

static void client_fiber(void *arg)
{
    struct machine *m = arg;
    struct milters_run *w = m->options.ctx;

    while (w->next < MAIL && !w->run->failed && sim_end(m->world) == SIM_RUNNING) {
        unsigned n = w->next++;

        while (!w->settled[n] && !w->run->failed && sim_end(m->world) == SIM_RUNNING &&
               !try_one(m, n)) {
            if (fiber_sleep(when_after(200 + (int64_t)random_below(6000)), WHEN_NEVER).code != OK) {
                return;
            }
        }
    }
}

static void outside(struct machine *m)
{
    struct milters_run *w = m->options.ctx;
    struct group fibers;

    for (unsigned i = 0; i < FILTERS; i++) {
        filter_start(w, i);
    }
    group_init(&fibers, "around", 0);
    group_init(&w->clients, "clients", 0);
    must(group_spawn_now(&fibers, "moods", moods_fiber, w).code == OK);
    for (unsigned i = 0; i < CLIENTS; i++) {
        must(group_spawn_now(&w->clients, "client", client_fiber, m).code == OK);
    }
    if (group_join(&w->clients, WHEN_NEVER).code != OK) {
        group_cancel(&w->clients);
        (void)group_join(&w->clients, WHEN_NEVER);
    }
    w->is_over = true;
    group_cancel(&fibers);
    (void)group_join(&fibers, WHEN_NEVER);
    if (sim_end(m->world) == SIM_RUNNING && !machine_drain(m, 600LL * 1000, WHEN_NEVER) &&
        sim_end(m->world) == SIM_RUNNING) {
        sim_fail(w->run, "mail still waits at the end");
    }
    for (unsigned i = 0; i < FILTERS; i++) {
        filter_stop(&w->filters[i]);
    }
}

static void before(struct machine *m)
{
    yard_weather(m, 1, NET_OPEN);
    for (unsigned i = 0; i < FILTERS; i++) {
        yard_weather(m, FILTER_HOST + i, NET_OPEN);
    }
}

/* ---- the run ---- */

static void judge(struct milters_run *w)
{
    for (unsigned n = 0; n < MAIL; n++) {
        bool wanted = kind_of(n) == LETS_IN || kind_of(n) == REPLACES ||
                      (kind_of(n) == DISCARDS && sim_switched(w->run, "again"));
        unsigned times = 0;

        for (unsigned try = 0; try < TRIES; try++) {
            times += w->arrived[n][try];
        }
        if (!w->settled[n]) {
            sim_fail(w->run, "message %u was never settled", n);
        }
        if (wanted && w->taken[n] && times == 0) {
            sim_fail(w->run, "message %u was taken and is lost", n);
        }
        if (!w->has_crashed && times > (wanted ? 1 : 0)) {
            sim_fail(w->run, "message %u arrived %u times", n, times);
        }
    }
}

static void run(struct sim_run *r)
{
    static const char config[] =
        "server: { hostname: mx.here.example }\n"
        "queue:\n"
        "  schedule: { remote: { queue-name: remote, retry: [5s], expire: 1d } }\n"
        "  route: { out: { type: relay, address: relay-1.example } }\n"
        "  strategy: { route: [ { use: out } ], schedule: [ { use: remote } ] }\n"
        "milters:\n"
        "  - { name: front, address: \"inet:198.51.100.90:8891\", connect-timeout: 2s, timeout: "
        "2s, "
        "message-timeout: 2s, stage-timeout: 10s }\n"
        "  - { name: back, address: \"inet:filter-91.example:8891\", connect-timeout: 2s, "
        "timeout: 2s, message-timeout: 2s, stage-timeout: 10s, on-failure: accept, "
        "stages: [data] }\n";
    static struct machine m;
    static struct milters_run w;
    struct yard_host hosts[] = {{.number = 1, .behaviour = ""}};
    struct sim_disk *folder = sim_disk_new("store", r->seed);
    struct machine_options o = {.seed = r->seed,
                                .config = config,
                                .folder = folder,
                                .store = {.segment_bytes = 512 * 1024,
                                          .min_free_bytes = 1024 * 1024,
                                          .node = 1,
                                          .checkpoint_bytes = 512 * 1024},
                                .hosts = hosts,
                                .host_count = COUNT_OF(hosts),
                                .before = before,
                                .outside = outside,
                                .took = host_took,
                                .told = told,
                                .ctx = &w};

    w = (struct milters_run){.run = r};
    if (r->seed % 3 == 0) {
        o.crash_ns = (int64_t)(r->seed % 97 + 1) * NS_PER_S;
    }
    machine_live(&m, r, &o);
    if (m.end == SIM_CRASHED && !r->failed) {
        w.has_crashed = true;
        w.is_over = false;
        w.next = 0;
        o.crash_ns = 0;
        o.start = date_add(m.ended, 60 * 1000);
        machine_live(&m, r, &o);
    }
    if (!r->failed) {
        judge(&w);
    }
    sim_disk_free(folder);
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"milters", run, NULL, 0, 0};

    return sim_main(argc, argv, &scenario);
}
