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
#include "yard/filtered.h"

enum {
    FILTER_HOST = 90, /* and the next */
    FILTER_PORT = 8891,
    STAGE_MS = 10 * 1000,
    STAGES = 5,
    ANSWER_MS = STAGES * (FILTERED_COUNT * STAGE_MS + 4000), /* with the store's own time */
};

enum mood { WELL = FILTERED_WELL, SLOW, SILENT, BROKEN, BABBLING, BUSY, MOODS };

struct filter_now {
    struct filtered *mail;
    unsigned which;
    struct listener *listener;
    struct group group;
};

struct milters_run {
    struct filtered mail; /* the first: machine_options.ctx */
    struct filter_now filters[FILTERED_COUNT];
};

struct call {
    struct filter_now *filter;
    struct guest *guest;
    unsigned number;
};

static struct milters_run *run_of(void *ctx)
{
    return CONTAINER_OF(ctx, struct milters_run, mail);
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

static void front_says(struct filtered *w, unsigned n, struct buf *out)
{
    if (!filtered_try(w, n)) {
        put_packet(out, STR("r"));
    } else if (filtered_kind(n) == REJECTS) {
        put_packet(out, STR("y559 5.7.9 not this\0"));
    } else if (filtered_kind(n) == DISCARDS) {
        put_packet(out, STR("d"));
    } else {
        put_field(out, "h", "X-Front", n, w->tries[n]);
        if (sim_switched(w->run, "twice")) {
            put_field(out, "h", "X-Front", n, w->tries[n]);
        }
        put_packet(out, STR("c"));
    }
}

static void back_says(struct filtered *w, unsigned n, struct buf *out)
{
    struct buf body BUF_LOCAL = {0};

    w->edited[n][w->tries[n]] = !sim_switched(w->run, "unsaid");
    put_field(out, "i", "X-Back", n, w->tries[n]);
    if (filtered_kind(n) == REPLACES) {
        for (unsigned i = 0; i < (n % 3 == 0 ? FILTERED_LINES : 1); i++) {
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
    enum mood mood = (enum mood)c->filter->mail->mood[c->filter->which];
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
    struct filtered *w = c->filter->mail;
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
        c->number = filtered_number(packet);
    }
    e = mood_acts(c, s, packet.ptr[0], &answers, by);
    if (e.code != OK || !answers) {
        return e;
    }
    if (packet.ptr[0] == MILTER_NEGOTIATE) {
        put_packet(&out, STR("O\0\0\0\6\0\0\1\xff\0\0\0\0"));
    } else if (packet.ptr[0] != MILTER_END || c->number == FILTERED_MAIL) {
        put_packet(&out, STR("c"));
    } else if (c->filter->which == FRONT) {
        front_says(w, c->number, &out);
    } else {
        back_says(w, c->number, &out);
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

        *c = (struct call){f, g, FILTERED_MAIL};
        must(group_spawn_now(&f->group, "call", call_fiber, c).code == OK);
    }
}

static void filter_start(struct milters_run *w, unsigned which)
{
    struct filter_now *f = &w->filters[which];
    struct addr at = yard_addr(FILTER_HOST + which);

    at.port = FILTER_PORT;
    *f = (struct filter_now){.mail = &w->mail, .which = which};
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

static void filters_start(struct machine *m)
{
    for (unsigned i = 0; i < FILTERED_COUNT; i++) {
        filter_start(run_of(m->options.ctx), i);
    }
}

static void filters_stop(struct machine *m)
{
    for (unsigned i = 0; i < FILTERED_COUNT; i++) {
        filter_stop(&run_of(m->options.ctx)->filters[i]);
    }
}

static void before(struct machine *m)
{
    yard_weather(m, 1, NET_OPEN);
    for (unsigned i = 0; i < FILTERED_COUNT; i++) {
        yard_weather(m, FILTER_HOST + i, NET_OPEN);
    }
}

/* ---- the run ---- */

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
    static struct milters_run w;

    w = (struct milters_run){.mail = {.run = r,
                                      .moods = MOODS,
                                      .reject_code = 559,
                                      .answer_ms = sim_switched(r, "hurry") ? 1000 : ANSWER_MS,
                                      .begin = filters_start,
                                      .end = filters_stop}};
    filtered_run(&w.mail, config, before, filtered_told, NULL);
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenario = {"milters", run, NULL, 0, 0};

    return sim_main(argc, argv, &scenario);
}
