/*
 * postyard reload: the server reads its configuration again; all of it holds, or none.
 */
#include "admin/view.h"
#include "base/check.h"
#include "cli/ask.h"
#include "cli/commands.h"

#include <stdio.h>

/* Faults of the configuration, as check would show them; false when there is something else. */
static bool print_lines(struct str body, struct arena *a)
{
    struct view_member *m;
    size_t count;

    if (view_read_flat(body, a, &m, &count).code != OK) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (str_eq(m[i].key, STR("lines"))) {
            (void)fprintf(stderr, "%.*s", STR_ARG(m[i].value));
            return true;
        }
    }
    return false;
}

int cli_reload(int argc, char **argv)
{
    struct arena a ARENA_LOCAL = {0};
    struct str given = STR_EMPTY, body;
    const struct option_row rows[] = {OPTION_CONFIG(&given)};
    struct ask q = {
        .command = "reload", .method = "POST", .target = STR("/api/v1/reload"), .takes_all = true};
    struct words rest;
    struct config *cfg;
    bool has_socket;
    int exit;

    if (!cli_options("reload", rows, COUNT_OF(rows), argc, argv, &a, &rest, 0, 0, &exit)) {
        return exit;
    }
    /* The file may be the very one that is wrong: only where the socket is matters here. */
    cfg = cli_config("reload", given);
    if (cfg == NULL) {
        return EXIT_FAILED;
    }
    has_socket = ask_socket("reload", cfg, &a, &q.socket);
    config_give(cfg);
    exit = has_socket ? ask_alone(&q, &a, &body) : EXIT_FAILED;
    if (exit != EXIT_DONE) {
        return exit;
    }
    if (!print_lines(body, &a)) {
        cli_say("reload", "%.*s", STR_ARG(ask_error(body, &a)));
        return EXIT_FAILED;
    }
    if (q.status != 200) {
        cli_say("reload", "the server keeps the configuration it has");
        return EXIT_FAILED;
    }
    return cli_out(STR("reloaded\n")) ? EXIT_DONE : EXIT_FAILED;
}
