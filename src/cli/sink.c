#include "base/event.h"
#include "cli/commands.h"
#include "cli/sink_part.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/stream.h"
#include "tls/tls.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

/* ---- what it prints ---- */

static void put_line(struct buf *line)
{
    buf_byte(line, '\n');
    (void)fwrite(line->ptr, 1, line->len, stdout); /* one call a line: threads do not mix them */
    (void)fflush(stdout);
}

static struct str words(const struct sink_destination *d)
{
    return d->words.len > 0 ? buf_str(&d->words) : STR("fast");
}

static uint64_t read_count(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

static void print_counts(const struct sink_destination *d, const char *event, double rate)
{
    struct buf line BUF_LOCAL = {0};
    char at[ADDR_BYTES];
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"messages", read_count(&d->counts.messages)},
        {"recipients", read_count(&d->counts.recipients)},
        {"bytes", read_count(&d->counts.bytes)},
        {"connections", read_count(&d->counts.connections)},
        {"open", read_count(&d->counts.open)},
        {"transactions", read_count(&d->counts.transactions)},
        {"refusals", read_count(&d->counts.refusals)},
        {"drops", read_count(&d->counts.drops)},
        {"broken", read_count(&d->counts.broken)},
        {"unanswered", read_count(&d->counts.unanswered)},
    };

    if (d->sink->json) {
        buf_printf(&line, "{\"event\":\"%s\",\"listen\":\"%.*s\",\"behaviour\":", event,
                   STR_ARG(addr_print(&d->at, at)));
        json_str(&line, words(d));
        for (size_t i = 0; i < COUNT_OF(counts); i++) {
            buf_printf(&line, ",\"%s\":%llu", counts[i].name, (unsigned long long)counts[i].value);
        }
        buf_put(&line, STR("}"));
    } else {
        buf_printf(&line, "%-7s %.*s (%.*s):", event, STR_ARG(addr_print(&d->at, at)),
                   STR_ARG(words(d)));
        for (size_t i = 0; i < COUNT_OF(counts); i++) {
            if (i == 0 || counts[i].value > 0) {
                buf_printf(&line, " %s %llu", counts[i].name, (unsigned long long)counts[i].value);
            }
        }
        if (rate >= 0) {
            buf_printf(&line, ", %.1f/s", rate);
        }
    }
    put_line(&line);
}

static void print_listening(const struct sink_destination *d)
{
    struct buf line BUF_LOCAL = {0};
    char at[ADDR_BYTES];

    if (d->sink->json) {
        print_counts(d, "listening", -1);
        return;
    }
    buf_printf(&line, "listening on %.*s (%.*s)", STR_ARG(addr_print(&d->at, at)),
               STR_ARG(words(d)));
    put_line(&line);
}

static struct err take_message(void *ctx, const struct play_message *m, struct when by)
{
    struct sink *s = ctx;
    struct buf line BUF_LOCAL = {0};
    struct err e = s->keep != NULL ? play_keep_message(s->keep, m, by) : ERR_OK;

    if (!e.code && s->print) {
        play_message_json(&line, m, clock_date(), STR_EMPTY);
        put_line(&line);
    }
    return e;
}

static void print_stats(void *arg)
{
    struct sink *s = arg;
    uint64_t before[SINK_DESTINATIONS_MAX] = {0};

    while (!fiber_sleep(when_after(s->stats_ms), WHEN_NEVER).code) {
        for (unsigned i = 0; i < s->count; i++) {
            uint64_t now = read_count(&s->to[i]->counts.messages);

            print_counts(s->to[i], "counts",
                         (double)(now - before[i]) * 1000 / (double)s->stats_ms);
            before[i] = now;
        }
    }
}

/* ---- running ---- */

static int complain(const char *what, struct str about, struct err e)
{
    char text[128];

    (void)fprintf(stderr, "postyard sink: %s %.*s: %.*s\n", what, STR_ARG(about),
                  STR_ARG(err_say(e, text, sizeof text)));
    return 1;
}

static void accept_fiber(void *arg)
{
    struct sink_destination *d = arg;

    (void)play_accept(d->listener, d->lanes, d->sink->threads, WHEN_NEVER);
}

static void lanes_close(struct sink *s, unsigned thread)
{
    for (unsigned i = 0; i < s->count; i++) {
        play_lane_close(&s->to[i]->lanes[thread], WHEN_NEVER);
    }
}

static void other_thread(void *arg)
{
    struct sink *s = arg;
    unsigned thread = loop_index(loop_self());

    while (fiber_wait("the end", WHEN_NEVER).code != ERR_CANCELLED) {
    }
    lanes_close(s, thread);
}

static bool open_all(struct sink *s)
{
    struct err e;

    if (s->save.len > 0) {
        e = play_keep_open(s->save, &s->keep, WHEN_NEVER);
        if (e.code) {
            s->status = complain("cannot save to", s->save, e);
            return false;
        }
    }
    for (unsigned i = 0; i < s->count; i++) {
        struct sink_destination *d = s->to[i];
        char at[ADDR_BYTES];

        e = listener_open(d->at, &d->listener);
        if (e.code) {
            s->status = complain("cannot listen on", addr_print(&d->at, at), e);
            return false;
        }
        d->at = listener_addr(d->listener);
        print_listening(d);
    }
    return true;
}

static void first_thread(void *arg)
{
    struct sink *s = arg;
    struct group g;
    int number;

    group_init(&g, "sink", 0);
    if (open_all(s)) {
        for (unsigned i = 0; i < s->count; i++) {
            must(group_spawn_now(&g, "accept", accept_fiber, s->to[i]).code == OK);
        }
        if (s->stats_ms > 0) {
            must(group_spawn_now(&g, "stats", print_stats, s).code == OK);
        }
        do {
            (void)signals_wait(&number, WHEN_NEVER);
        } while (number == SIGHUP);
    }
    group_cancel(&g);
    (void)group_join(&g, WHEN_NEVER);
    world_cancel(s->world);
    lanes_close(s, 0);
    for (unsigned i = 0; i < s->count; i++) {
        if (s->to[i]->listener != NULL) {
            listener_close(s->to[i]->listener);
        }
        if (!s->quiet && !s->status) {
            print_counts(s->to[i], "total", -1);
        }
    }
}

static void build(struct sink *s)
{
    s->world = world_new();
    for (unsigned t = 0; t < s->threads; t++) {
        s->loops[t] = world_loop(s->world, t == 0 ? "sink" : "more");
        loop_main(s->loops[t], t == 0 ? first_thread : other_thread, s);
    }
    for (unsigned i = 0; i < s->count; i++) {
        struct sink_destination *d = s->to[i];
        bool wanted = s->save.len > 0 || s->print;
        struct play_peer peer = {.behaviour = d->behaviour,
                                 .hostname = s->hostname,
                                 .lmtp = s->lmtp,
                                 .implicit_tls = s->implicit_tls,
                                 .tls = s->tls,
                                 .counts = &d->counts,
                                 .message = wanted ? take_message : NULL,
                                 .ctx = s};

        for (unsigned t = 0; t < s->threads; t++) {
            play_lane_init(&d->lanes[t], &peer, s->loops[t]);
        }
    }
}

/* As many descriptors as the system lets us have: each client is one. */
static void descriptors_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(struct sink *s)
{
    struct buf why BUF_LOCAL = {0};

    if (s->certificate.len > 0 && tls_server_load(s->certificate, s->key, &s->tls, &why).code) {
        (void)fprintf(stderr, "postyard sink: %.*s\n", STR_ARG(buf_str(&why)));
        return 1;
    }
    signals_block();
    descriptors_raise();
    build(s);
    world_run(s->world);
    world_free(s->world);
    play_keep_close(s->keep);
    tls_server_drop(s->tls);
    return s->status;
}

int cli_sink(int argc, char **argv)
{
    struct sink s = {0};
    struct buf text BUF_LOCAL = {0};
    int status;

    if (sink_args(&s, argc, argv, &text)) {
        status = run(&s);
    } else if (text.len > 0) {
        (void)fprintf(stderr, "postyard sink: %.*s; --help says more\n", STR_ARG(buf_str(&text)));
        status = 64;
    } else {
        sink_usage(&text);
        (void)fwrite(text.ptr, 1, text.len, stdout);
        status = 0;
    }
    sink_free(&s);
    return status;
}
