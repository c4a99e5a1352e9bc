#include "cli/ask.h"

#include "admin/settings.h"
#include "admin/view.h"
#include "http/local.h"
#include "runtime/clock.h"
#include "runtime/loop.h"

#include <errno.h>

bool ask_socket(const char *command, const struct config *cfg, struct arena *a, struct str *ret)
{
    const struct admin_settings *s = config_settings(cfg, &admin_table);

    if (s->socket.len == 0) {
        cli_say(command, "the configuration has no admin.socket, so the server cannot be asked");
        return false;
    }
    *ret = arena_dup(a, s->socket);
    return true;
}

struct str ask_error(struct str body, struct arena *a)
{
    struct view_member *m;
    size_t count;

    if (view_read_flat(body, a, &m, &count).code == OK) {
        for (size_t i = 0; i < count; i++) {
            if (str_eq(m[i].key, STR("error"))) {
                return m[i].value;
            }
        }
    }
    return str_trim_ws(body);
}

enum cli_exit ask_failed(const struct ask *q, struct err e)
{
    char text[128];

    if (e.sys == EACCES || e.sys == EPERM) {
        cli_say(q->command, "you may not open %.*s: ask as root, or as the user of the server",
                STR_ARG(q->socket));
        return EXIT_FAILED;
    }
    cli_say(q->command,
            "no server at %.*s: %.*s; is postyard serve running with this configuration?",
            STR_ARG(q->socket), STR_ARG(err_say(e, text, sizeof(text))));
    return EXIT_DOWN;
}

enum cli_exit ask(struct ask *q, struct arena *a, struct str *ret, struct when by)
{
    struct http_local http = {.socket = q->socket,
                              .method = q->method,
                              .target = q->target,
                              .type = q->body.len > 0 ? STR("application/json") : STR_EMPTY,
                              .body = q->body,
                              .body_max = ASK_BYTES_MAX,
                              .piece = q->piece,
                              .ctx = q->ctx};
    struct http_local_answer answer;
    struct err e = http_local(&http, a, &answer, when_within(by, q->ms > 0 ? q->ms : ASK_MS));
    struct str why;

    if (e.code != OK) {
        return ask_failed(q, e);
    }
    q->status = answer.status;
    if (answer.status / 100 == 2 || q->takes_all) {
        *ret = answer.body;
        return EXIT_DONE;
    }
    why = ask_error(answer.body, a);
    cli_say(q->command, "%.*s", STR_ARG(why.len > 0 ? why : STR("the server refused")));
    return answer.status == 503 ? EXIT_DOWN : EXIT_FAILED;
}

struct alone {
    struct ask *ask;
    struct arena *arena;
    struct str *ret;
    enum cli_exit exit;
};

static void run(void *arg)
{
    struct alone *alone = arg;

    alone->exit = ask(alone->ask, alone->arena, alone->ret, WHEN_NEVER);
}

enum cli_exit ask_alone(struct ask *q, struct arena *a, struct str *ret)
{
    struct alone alone = {q, a, ret, EXIT_FAILED};

    run_alone("ask", run, &alone);
    return alone.exit;
}
