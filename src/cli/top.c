/*
 * postyard top: a live view of the running server, for a terminal: counts, rates, and the virtual
 * queues.
 */
#include "cli/top.h"

#include "base/check.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "runtime/clock.h"
#include "runtime/loop.h"

#include <unistd.h>

enum { INTERVAL_S = 1, INTERVAL_S_MAX = 3600 };

struct top {
    struct ask ask;
    uint64_t interval_s;
    bool once, is_terminal;
    int exit;
};

static bool print_page(const struct top *t, const struct top_reading *now,
                       const struct top_reading *before)
{
    struct buf out BUF_LOCAL = {0};
    char date[DATE_ISO_BYTES];

    if (t->is_terminal && !t->once) {
        buf_put(&out, STR("\x1b[H\x1b[J")); /* home, and clear */
    }
    buf_printf(&out, "postyard  %.*s  %.*s\n\n", STR_ARG(date_iso(clock_date(), date)),
               STR_ARG(t->ask.socket));
    top_page(now, before, (int64_t)t->interval_s * 1000, &out);
    if (!t->is_terminal && !t->once) {
        buf_byte(&out, '\n');
    }
    return cli_out(buf_str(&out));
}

static void run(void *arg)
{
    struct top *t = arg;
    struct arena arenas[2] = {{0}};
    struct top_reading before = {0};
    unsigned turn = 0;

    do {
        struct arena *a = &arenas[turn++ % 2]; /* the other one holds what was before */
        struct top_reading now;
        struct str body;

        arena_reset(a);
        t->exit = ask(&t->ask, a, &body, WHEN_NEVER);
        if (t->exit != EXIT_DONE) {
            break;
        }
        top_read(body, a, &now);
        if (!print_page(t, &now, &before)) {
            t->exit = EXIT_FAILED;
            break;
        }
        before = now;
    } while (!t->once &&
             fiber_sleep(when_after((int64_t)t->interval_s * 1000), WHEN_NEVER).code == OK);
    arena_done(&arenas[0]);
    arena_done(&arenas[1]);
}

int cli_top(int argc, char **argv)
{
    struct arena a ARENA_LOCAL = {0};
    struct str given = STR_EMPTY;
    struct top t = {.ask = {.command = "top", .method = "GET", .target = STR("/metrics")},
                    .interval_s = INTERVAL_S};
    const struct option_row rows[] = {
        OPTION_CONFIG(&given),
        {.name = "once", .flag = &t.once, .does = "print one page and end"},
        {.name = "interval",
         .number = &t.interval_s,
         .value = "SECONDS",
         .does = "between two pages (1)"},
    };
    struct words rest;
    struct config *cfg;
    bool has_socket;
    int exit;

    if (!cli_options("top", rows, COUNT_OF(rows), argc, argv, &a, &rest, 0, 0, &exit)) {
        return exit;
    }
    if (t.interval_s < 1 || t.interval_s > INTERVAL_S_MAX) {
        cli_say("top", "--interval is from 1 to 3600 seconds");
        return EXIT_USAGE;
    }
    cfg = cli_config("top", given);
    if (cfg == NULL) {
        return EXIT_FAILED;
    }
    has_socket = ask_socket("top", cfg, &a, &t.ask.socket);
    config_give(cfg);
    if (!has_socket) {
        return EXIT_FAILED;
    }
    t.is_terminal = isatty(STDOUT_FILENO) != 0;
    run_alone("top", run, &t);
    return t.exit;
}
