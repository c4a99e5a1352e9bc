#include "cli/follow.h"

#include "admin/view.h"
#include "cli/ask.h"
#include "cli/show.h"
#include "http/local.h"
#include "runtime/clock.h"
#include "runtime/loop.h"

/* Whether it is still in the queue is asked that often; OPEN_MS: for the stream of events to be
 * there; LAST_MS: what was raised before the end has arrived by then. */
enum { OPEN_MS = 5000, POLL_MS = 250, LAST_MS = 200, PENDING_MAX = 16 * 1024 * 1024 };

struct following {
    struct injection *in;
    struct str socket;
    bool json;
    enum cli_exit exit;

    struct buf pending; /* events that were not looked at yet */
    struct signal news;
    bool is_open, is_over, lost;
    struct err result;
    bool failed;      /* a recipient was given up */
    struct buf waits; /* why recipients wait, as it was told last */
};

static struct err take_piece(void *ctx, struct str bytes)
{
    struct following *f = ctx;

    f->is_open = true;
    if (f->pending.len + bytes.len > PENDING_MAX) {
        f->lost = true;
        buf_clear(&f->pending);
    }
    buf_put(&f->pending, bytes);
    signal_raise(&f->news);
    return ERR_OK;
}

static void hear(void *arg)
{
    struct following *f = arg;
    struct arena a ARENA_LOCAL = {0};
    struct http_local http = {.socket = f->socket,
                              .method = "GET",
                              .target = STR("/api/v1/events"),
                              .body_max = ASK_BYTES_MAX,
                              .piece = take_piece,
                              .ctx = f};
    struct http_local_answer answer;

    f->result = http_local(&http, &a, &answer, WHEN_NEVER);
    f->is_over = true;
    signal_raise(&f->news);
}

/* Prints what has come about our message. */
static bool tell(struct following *f)
{
    struct str rest = buf_str(&f->pending), line;
    struct buf out BUF_LOCAL = {0}, keep BUF_LOCAL = {0};

    while (str_cut(&rest, '\n', &line)) {
        struct arena a ARENA_LOCAL = {0};
        struct buf text BUF_LOCAL = {0};
        bool failed;

        if (line.len > 0 && follow_line(line, &f->in->ids, &a, &text, &failed)) {
            buf_put(&out, f->json ? line : buf_str(&text));
            buf_byte(&out, '\n');
            f->failed = f->failed || failed;
        }
    }
    buf_put(&keep, line); /* the beginning of the next one */
    buf_clear(&f->pending);
    buf_put(&f->pending, buf_str(&keep));
    if (f->lost) {
        f->lost = false;
        cli_say(f->in->command, "too much happens at once: some events were left out");
    }
    return cli_out(buf_str(&out));
}

/* Waits that no event tells of. The others are the ordinary course of things. */
static bool is_worth_telling(const struct view_rcpt *r)
{
    static const struct str ordinary[] = {STR_INIT("not-due"), STR_INIT("preparing"),
                                          STR_INIT("running"), STR_INIT("recording")};
    bool is_ordinary = !r->waits;

    for (size_t i = 0; i < COUNT_OF(ordinary); i++) {
        is_ordinary = is_ordinary || str_eq(r->reason, ordinary[i]);
    }
    return !is_ordinary;
}

static bool tell_waits(struct following *f, struct str body, struct arena *a)
{
    struct view_message m;
    struct buf text BUF_LOCAL = {0};

    if (f->json || view_read(body, a, &m).code != OK) {
        return true;
    }
    for (uint64_t i = 0; i < m.to_count; i++) {
        const struct view_rcpt *r = &m.to[i];

        if (is_worth_telling(r)) {
            buf_put(&text, STR("              waits       "));
            show_text(r->address, &text);
            buf_printf(&text, "  %.*s: %.*s", STR_ARG(r->reason), STR_ARG(r->says));
            if (r->text.len > 0) {
                buf_put(&text, STR(" ("));
                show_text(r->text, &text);
                buf_byte(&text, ')');
            }
            buf_byte(&text, '\n');
        }
    }
    if (str_eq(buf_str(&text), buf_str(&f->waits))) {
        return true;
    }
    buf_clear(&f->waits);
    buf_put(&f->waits, buf_str(&text));
    return cli_out(buf_str(&text));
}

/* *gone: none of them is in the queue any more. */
static enum cli_exit look(struct following *f, bool *gone, struct when by)
{
    *gone = true;
    for (size_t i = 0; i < f->in->ids.count && *gone; i++) {
        struct arena a ARENA_LOCAL = {0};
        struct ask q = {
            .command = f->in->command,
            .socket = f->socket,
            .method = "GET",
            .target = arena_printf(&a, "/api/v1/queue/%.*s", STR_ARG(f->in->ids.items[i])),
            .takes_all = true};
        struct str body;
        enum cli_exit exit = ask(&q, &a, &body, by);

        if (exit != EXIT_DONE) {
            return exit;
        }
        *gone = q.status == 404;
        if (q.status == 200 && !tell_waits(f, body, &a)) {
            return EXIT_FAILED;
        }
    }
    return EXIT_DONE;
}

static enum cli_exit follow(struct following *f, struct when by)
{
    bool gone = false;

    while (!gone) {
        enum cli_exit exit;

        (void)signal_wait(&f->news, "events", when_within(by, POLL_MS));
        if (!tell(f)) {
            return EXIT_FAILED;
        }
        if (f->is_over) {
            cli_say(f->in->command,
                    "the server has stopped; it has the message and goes on when it is back");
            return EXIT_DOWN;
        }
        exit = look(f, &gone, by);
        if (exit != EXIT_DONE) {
            return exit;
        }
    }
    (void)fiber_sleep(when_after(LAST_MS), by);
    return tell(f) ? (f->failed ? EXIT_FAILED : EXIT_DONE) : EXIT_FAILED;
}

static enum cli_exit open_events(struct following *f)
{
    struct ask q = {.command = f->in->command, .socket = f->socket};
    struct when by = when_after(OPEN_MS);

    while (!f->is_open && !f->is_over) {
        if (signal_wait(&f->news, "the events", by).code == ERR_TIMEOUT) {
            return ask_failed(&q, err_of(ERR_TIMEOUT));
        }
    }
    return f->is_open ? EXIT_DONE
                      : ask_failed(&q, f->result.code != OK ? f->result : err_of(ERR_CLOSED));
}

static void run(void *arg)
{
    struct following *f = arg;
    struct group group;
    enum cli_exit sent;

    signal_init(&f->news);
    group_init(&group, "follow", 1);
    if (group_spawn_now(&group, "events", hear, f).code != OK) {
        return;
    }
    f->exit = open_events(f);
    if (f->exit == EXIT_DONE) {
        sent = inject(f->in, WHEN_NEVER);
        f->exit = f->in->ids.count > 0 ? follow(f, WHEN_NEVER) : sent;
        f->exit = sent != EXIT_DONE ? sent : f->exit;
    }
    group_cancel(&group);
    (void)group_join(&group, WHEN_NEVER);
    buf_done(&f->pending);
    buf_done(&f->waits);
}

enum cli_exit inject_and_follow(struct injection *in, struct str socket, bool json)
{
    struct following f = {.in = in, .socket = socket, .json = json, .exit = EXIT_FAILED};

    run_alone("follow", run, &f);
    return f.exit;
}
