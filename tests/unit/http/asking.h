/* What the two tests of the client share: how to ask the hostile server. */
#pragma once

#include "../unit.h"
#include "hostile.h"
#include "http/fetch.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

#include <sys/resource.h>

enum { PATIENCE_MS = 10000, ANSWER_MAX = 100000 };

static struct hostile hostile;

static struct fetch_pool *open_pool(struct fetch_pool_options o)
{
    struct buf why BUF_LOCAL = {0};
    struct fetch_pool *p = NULL;
    struct err e;

    o.connections_max = o.connections_max > 0 ? o.connections_max : 10;
    o.idle_ms = o.idle_ms > 0 ? o.idle_ms : 10000;
    e = fetch_pool_new(&o, &p, &why);
    if (e.code != OK) {
        fail_msg("%.*s", STR_ARG(buf_str(&why)));
    }
    return p;
}

static struct fetch_pool *open_plain(void)
{
    return open_pool((struct fetch_pool_options){0});
}

struct ask {
    const char *door, *host, *path; /* host: NULL 127.0.0.1 */
    struct fetch_request request;   /* without target */
    int64_t ms;
};

static struct err ask(struct fetch_pool *p, struct ask how, struct arena *a,
                      struct fetch_answer *ret, struct buf *why)
{
    bool is_local = str_eq(str_of(how.door), STR("local"));
    bool is_tls = !is_local && !str_eq(str_of(how.door), STR("http"));
    struct fetch_target target;
    struct str url = arena_printf(a, "http%s://%s:%s%s", is_tls ? "s" : "",
                                  how.host != NULL ? how.host : "127.0.0.1",
                                  is_local ? "80" : hostile_door(&hostile, how.door), how.path);

    assert_int_equal(fetch_target_parse(url, a, &target, why).code, OK);
    how.request.target = &target;
    how.request.method = how.request.method.len > 0 ? how.request.method : STR("POST");
    how.request.response_max = how.request.response_max > 0 ? how.request.response_max : ANSWER_MAX;
    return fetch(p, &how.request, a, ret, why, when_after(how.ms > 0 ? how.ms : PATIENCE_MS));
}

static bool says(struct str text, const char *words)
{
    return str_find_str(text, str_of(words)) != STR_NONE;
}

static void expect_says(struct str text, const char *words)
{
    if (!says(text, words)) {
        fail_msg("\"%.*s\" does not say \"%s\"", STR_ARG(text), words);
    }
}

static inline struct err ask_path(struct fetch_pool *p, const char *path, struct arena *a,
                                  struct fetch_answer *ret, struct buf *why)
{
    return ask(p, (struct ask){.door = "http", .path = path}, a, ret, why);
}

/* A number of the server's counters. */
static inline unsigned count_of(struct fetch_pool *p, const char *what)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;
    const char *at;

    assert_int_equal(ask_path(p, "/count", &a, &answer, &why).code, OK);
    at = strstr(arena_z(&a, answer.body), what);
    assert_non_null(at);
    return (unsigned)strtoul(at + strlen(what) + 3, NULL, 10);
}

/* A body in pieces. */

struct pieces {
    char block[60000];
    size_t total, given;
    unsigned calls, rewinds;
    enum err_code fault; /* after half of it */
};

static inline struct err next_piece(void *ctx, struct str *ret, struct when by)
{
    struct pieces *s = ctx;
    size_t left = s->total - s->given;

    if (++s->calls % 16 == 0) {
        (void)fiber_sleep(when_after(1), by);
    }
    if (s->fault != OK && left < s->total / 2) {
        return err_of(s->fault);
    }
    *ret = str_make(s->block, left < sizeof s->block ? left : sizeof s->block);
    s->given += ret->len;
    return ERR_OK;
}

static inline void rewind_pieces(void *ctx)
{
    struct pieces *s = ctx;

    s->given = 0;
    s->rewinds++;
}

/* A fiber that calls. */

struct caller {
    struct fetch_pool *pool;
    const char *path;
    int64_t ms;
    enum err_code code;
    unsigned opened; /* by then */
};

static inline void call_once(void *arg)
{
    struct caller *c = arg;
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;

    c->code = ask(c->pool, (struct ask){.door = "http", .path = c->path, .ms = c->ms}, &a, &answer,
                  &why)
                  .code;
    c->opened = (unsigned)fetch_pool_counts(c->pool).opened;
}

static inline void call_at_once(struct fetch_pool *p, const char *path, unsigned count)
{
    struct caller callers[8];
    struct group g;

    group_init(&g, "callers", 0);
    for (unsigned i = 0; i < count; i++) {
        callers[i] = (struct caller){.pool = p, .path = path};
        assert_int_equal(group_spawn_now(&g, "caller", call_once, &callers[i]).code, OK);
    }
    (void)group_join(&g, WHEN_NEVER);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(callers[i].code, OK);
    }
}

static int start_hostile(void **state)
{
    struct rlimit files;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    hostile_start(&hostile, HOSTILE);
    return 0;
}

static int stop_hostile(void **state)
{
    (void)state;
    hostile_stop(&hostile);
    return 0;
}
