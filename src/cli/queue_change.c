/*
 * postyard queue hold, release, retry, cancel, move, reschedule: what the server is asked, and its
 * answer for people. While it goes on, progress is shown on a terminal.
 */
#include "admin/view.h"
#include "base/check.h"
#include "cli/queue_part.h"
#include "config/units.h"
#include "runtime/clock.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CHANGE_MS = 3600 * 1000 };

static const struct {
    const char *done, *would;
    const char *later; /* what happens to those that are being tried */
} words[] = {
    [ACTION_HOLD] = {"held", "would be held", "will be held unless this attempt ends them"},
    [ACTION_RELEASE] = {"released", "would be released", "will be released after this attempt"},
    [ACTION_RETRY] = {"due now", "would be tried", "will be tried again"},
    [ACTION_CANCEL] = {"cancelled", "would be cancelled",
                       "will be cancelled unless this attempt delivers them"},
    [ACTION_MOVE] = {"moved", "would be moved", "will be moved unless this attempt ends them"},
    [ACTION_RESCHEDULE] = {"scheduled anew", "would be scheduled anew",
                           "will be scheduled anew after this attempt"},
};

_Static_assert(COUNT_OF(words) == ACTION_COUNT, "words for each action");

/* ---- what was given ---- */

static bool read_ids(struct queue_command *q)
{
    struct id_list *ids = &q->ask.ids;

    ids->items = arena_array(&q->arena, q->ids.count, sizeof(*ids->items));
    for (size_t i = 0; i < q->ids.count; i++) {
        if (!str_hex_to_u64(q->ids.items[i], &ids->items[i]) || ids->items[i] == 0) {
            cli_say(q->name, "%.*s is not a message id", STR_ARG(q->ids.items[i]));
            return false;
        }
        ids->count++;
    }
    return true;
}

/* A date as the API writes it, or a time from now such as 2h. */
static bool read_time(struct queue_command *q, const char *option, struct str given,
                      struct date *ret)
{
    int64_t ms;

    if (given.len == 0 || date_parse_iso(given, ret)) {
        return true;
    }
    if (duration_parse(given, &ms) == UNITS_OK) {
        *ret = date_add(clock_date(), ms);
        return true;
    }
    cli_say(q->name,
            "--%s %.*s is neither a time from now such as 2h or 1d12h, nor a date such as "
            "2026-03-03T10:00:00.000Z",
            option, STR_ARG(given));
    return false;
}

/* Who asks, for the record: the server does not check it. */
static struct str who(struct arena *a)
{
    const char *sudo = secure_getenv("SUDO_USER");
    struct passwd entry, *found = NULL;
    char *room = arena_alloc(a, 4096);

    if (sudo != NULL && *sudo != '\0') {
        return str_head(str_of(sudo), 64);
    }
    if (getpwuid_r(geteuid(), &entry, room, 4096, &found) == 0 && found != NULL) {
        return str_head(str_of(entry.pw_name), 64);
    }
    return arena_printf(a, "uid %u", (unsigned)geteuid());
}

bool queue_fill(struct queue_command *q)
{
    q->ask.by = who(&q->arena);
    return (q->ask.name.len > 0 || read_ids(q)) && read_time(q, "at", q->at, &q->ask.at) &&
           read_time(q, "for", q->lasts, &q->ask.until) &&
           read_time(q, "until", q->until, &q->ask.until);
}

/* ---- the answer ---- */

/* Lines of an answer that comes in pieces: progress, and last the end. */
struct lines {
    struct queue_command *q;
    struct buf pending;
    bool is_terminal, has_shown;
};

static void show_progress(struct lines *l, struct str line)
{
    struct view_member *m;
    size_t count;
    struct str inner;

    if (!str_starts(line, STR("{\"progress\":")) || !l->is_terminal) {
        return;
    }
    inner = str_skip(line, sizeof "{\"progress\":" - 1);
    inner = str_head(inner, inner.len - 1);
    if (view_read_flat(inner, &l->q->arena, &m, &count).code == OK) {
        (void)fprintf(stderr, "\r%llu messages, %llu recipients so far",
                      (unsigned long long)queue_number(m, count, "messages"),
                      (unsigned long long)queue_number(m, count, "recipients"));
        l->has_shown = true;
    }
}

static struct err take_piece(void *ctx, struct str bytes)
{
    struct lines *l = ctx;
    struct str rest, line;
    struct buf keep BUF_LOCAL = {0};

    buf_put(&l->pending, bytes);
    rest = buf_str(&l->pending);
    while (str_find(rest, '\n') != STR_NONE) {
        struct str whole = rest;

        (void)str_cut(&rest, '\n', &line);
        if (rest.len == 0) { /* maybe the last: it stays */
            rest = whole;
            break;
        }
        show_progress(l, line);
    }
    buf_put(&keep, rest);
    buf_clear(&l->pending);
    buf_put(&l->pending, buf_str(&keep));
    return ERR_OK;
}

static void say_count(struct buf *out, uint64_t n, const char *text)
{
    if (n > 0) {
        buf_printf(out, "%llu %s\n", (unsigned long long)n, text);
    }
}

static int print_change(struct queue_command *q, enum action_kind kind, struct str body)
{
    struct buf out BUF_LOCAL = {0};
    struct view_member *m;
    size_t count;
    uint64_t messages, failed;

    if (view_read_flat(body, &q->arena, &m, &count).code != OK) {
        return queue_no_sense(q);
    }
    if (queue_member(m, count, "error").len > 0) {
        cli_say(q->name, "%.*s", STR_ARG(queue_member(m, count, "error")));
        return EXIT_FAILED;
    }
    messages = queue_number(m, count, "messages");
    failed = queue_number(m, count, "failed");
    if (q->json) {
        buf_put(&out, body);
    } else {
        buf_printf(&out, "%llu recipient%s of %llu message%s %s%s\n",
                   (unsigned long long)queue_number(m, count, "done"),
                   queue_number(m, count, "done") == 1 ? "" : "s", (unsigned long long)messages,
                   messages == 1 ? "" : "s",
                   q->ask.dry_run                        ? ""
                   : queue_number(m, count, "done") == 1 ? "is "
                                                         : "are ",
                   q->ask.dry_run ? words[kind].would : words[kind].done);
        say_count(
            &out, queue_number(m, count, "requested"),
            arena_z(&q->arena, arena_printf(&q->arena, "being tried: %s", words[kind].later)));
        say_count(&out, queue_number(m, count, "running"), "being tried already");
        say_count(&out, queue_number(m, count, "held"),
                  "held, and so left alone: release them first");
        say_count(&out, queue_number(m, count, "unchanged"), "left as they were: it is so already");
        say_count(&out, queue_number(m, count, "ended"), "delivered or failed meanwhile");
    }
    if (!cli_out(buf_str(&out))) {
        return EXIT_FAILED;
    }
    if (failed > 0) {
        cli_say(q->name, "%llu could not be stored or decided: ask again",
                (unsigned long long)failed);
        return EXIT_FAILED;
    }
    if (messages < q->ask.ids.count) {
        cli_say(q->name, "%llu of these are not in the queue, or wait for nothing",
                (unsigned long long)(q->ask.ids.count - messages));
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

static int change(struct queue_command *q, enum action_kind kind)
{
    struct lines lines = {.q = q, .is_terminal = isatty(STDERR_FILENO) != 0};
    struct buf json BUF_LOCAL = {0};
    struct str body;
    int exit;

    if (!queue_fill(q)) {
        return EXIT_USAGE;
    }
    q->ask.progress = true;
    request_write(&q->ask, &json);
    q->to.method = "POST";
    q->to.target = arena_printf(&q->arena, "/api/v1/queue/%s", action_name(kind));
    q->to.body = buf_str(&json);
    q->to.ms = CHANGE_MS;
    q->to.piece = take_piece;
    q->to.ctx = &lines;
    exit = ask_alone(&q->to, &q->arena, &body);
    if (lines.has_shown) {
        (void)fputs("\r\x1b[K", stderr);
    }
    if (exit == EXIT_DONE) {
        exit = print_change(q, kind, buf_str(&lines.pending));
    } else if (q->to.status == 400) {
        exit = EXIT_USAGE;
    }
    buf_done(&lines.pending);
    return exit;
}

int command_hold(struct queue_command *q)
{
    return change(q, ACTION_HOLD);
}

int command_release(struct queue_command *q)
{
    return change(q, ACTION_RELEASE);
}

int command_retry(struct queue_command *q)
{
    return change(q, ACTION_RETRY);
}

int command_cancel(struct queue_command *q)
{
    return change(q, ACTION_CANCEL);
}

int command_move(struct queue_command *q)
{
    return change(q, ACTION_MOVE);
}

int command_reschedule(struct queue_command *q)
{
    return change(q, ACTION_RESCHEDULE);
}
