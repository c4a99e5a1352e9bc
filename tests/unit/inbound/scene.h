/*
 * scene: a server of inbound/ and a client, on one loop over loopback or in a simulated world.
 */
#pragma once

#include "base/buf.h"
#include "config/config.h"
#include "fake.h"
#include "hooks/milter_settings.h"
#include "hooks/settings.h"
#include "inbound/inbound.h"
#include "inbound/part.h"
#include "runtime/clock.h"
#include "runtime/sim.h"
#include "runtime/stream.h"

#include <stdlib.h>
#include <unistd.h>

#define GREETED                                                                                    \
    "S: 220 mx.example.org ESMTP Postyard\nC: EHLO client.example\nS: 250-mx.example.org\n"        \
    "S: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-CHUNKING\nS: 250-BINARYMIME\n"    \
    "S: 250-ENHANCEDSTATUSCODES\nS: 250-DSN\nS: 250 SIZE 104857600\n"
#define MAIL_OK "C: MAIL FROM:<a@b.example>\nS: 250 2.1.0 Sender ok\n"
#define RCPT_OK "C: RCPT TO:<x@y.example>\nS: 250 2.1.5 Recipient ok\n"
#define GO      "C: DATA\nS: 354 End data with <CR><LF>.<CR><LF>\n"
#define QUIT    "C: QUIT\nS: 221 2.0.0 Bye\n"
#define OPENED  GREETED MAIL_OK RCPT_OK GO

/* Of the listener: without what the reply to EHLO has for those who are trusted. */
static const char *scene_listener = "future-release: never, deliver-by: never, mt-priority: never";

/* Without a plan nothing of queue.* is used. */
static bool scene_has_plan;

static inline enum expr_local nowhere(void *ctx, struct str directory, struct str domain)
{
    (void)ctx, (void)directory, (void)domain;
    return EXPR_LOCAL_NO;
}

/* A server on this loop, home and worker in one, and a client. */
struct scene {
    const char *extra; /* lines below server: */
    void (*act)(struct scene *scene);
    struct inbound *in;
    struct group group;
    struct addr at;
    struct policy *policy;
};

static inline struct policy *policy_of(const char *extra, unsigned port, struct faults *faults)
{
    static const struct setting_table *const tables[] = {
        &server_table,          &listeners_table, &virtual_table, &schedule_table, &route_table,
        &connection_table,      &source_ip_table, &tls_table,     &strategy_table, &limiter_table,
        &visitor_limiter_table, &milters_table,   &hooks_table,   &quota_table,    &meta_table};
    static const struct strategy_services services = {.expr = {.is_local_domain = nowhere},
                                                      .hostname = STR_INIT("mx.example.org")};
    struct config_options o = {.tables = tables, .table_count = COUNT_OF(tables), .number = 1};
    struct buf text BUF_LOCAL = {0};
    struct config *cfg;
    struct policy_source source = {.system_hostname = STR("system.example")};

    buf_printf(&text, "server:\n  hostname: mx.example.org\n%s", extra);
    buf_printf(&text, "listeners:\n  test: { bind: [\"127.0.0.1:%u\"], %s }\n", port,
               scene_listener);
    cfg = config_parse(&o, STR("test.yaml"), buf_str(&text), faults);
    if (cfg == NULL) {
        return NULL;
    }
    source.config = cfg;
    source.plan = scene_has_plan ? strategy_compile(cfg, &services, faults) : NULL;
    struct policy *p = policy_load(&source, faults);

    config_give(cfg);
    return p;
}

static inline void must_load(struct policy *p, struct faults *faults)
{
    if (p == NULL) {
        struct buf text BUF_LOCAL = {0};

        faults_print(faults, &text);
        print_error("%.*s", STR_ARG(buf_str(&text)));
        abort();
    }
    faults_done(faults);
}

static inline void serve(void *arg)
{
    struct scene *scene = arg;

    inbound_serve(scene->in, 0);
}

/* Ports are taken from our process id, so that two runs do not meet. */
static inline void open_somewhere(struct scene *scene)
{
    struct buf why BUF_LOCAL = {0};
    struct arena a ARENA_LOCAL = {0};
    const struct addr *bound;
    struct err e = err_of(ERR_NETWORK);

    for (unsigned i = 0; i < 20 && e.code; i++) {
        struct faults faults = {0};
        struct policy *p = policy_of(scene->extra, 20000 + ((unsigned)getpid() + i * 997) % 20000,
                                     &faults);

        must_load(p, &faults);
        buf_clear(&why);
        e = inbound_use(scene->in, p, &why, WHEN_NEVER);
    }
    assert_int_equal(e.code, OK);
    assert_int_equal(inbound_bound(scene->in, &a, &bound), 1);
    scene->at = bound[0];
}

static inline void scene_fiber(void *arg)
{
    struct scene *scene = arg;
    struct loop *loop = loop_self();
    struct inbound_options o = {.home = loop, .workers = &loop, .worker_count = 1};

    fake_start();
    scene->in = inbound_new(&o);
    group_init(&scene->group, "test", 0);
    assert_int_equal(group_spawn_now(&scene->group, "serve", serve, scene).code, OK);
    open_somewhere(scene);
    scene->act(scene);
    inbound_stop(scene->in, 1000, when_after(10000));
    assert_int_equal(inbound_sessions(scene->in), 0);
    assert_int_equal(group_join(&scene->group, when_after(10000)).code, OK);
    assert_int_equal(atomic_load(&scene->in->place.held), 0);
    inbound_free(scene->in);
    fake_end();
}

static inline void play(const char *extra, void (*act)(struct scene *))
{
    struct scene scene = {.extra = extra, .act = act};

    run_alone("test", scene_fiber, &scene);
}

/* The same in a simulated world, where hours pass in no time. */
static inline void play_sim(const char *extra, void (*act)(struct scene *))
{
    struct scene scene = {.extra = extra, .act = act};
    struct world *w = sim_world(NULL);

    loop_main(world_loop(w, "test"), scene_fiber, &scene);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
}

static inline struct stream *client(struct scene *scene)
{
    struct stream *s;

    assert_int_equal(stream_connect(scene->at, (struct addr){0}, &s, when_after(5000)).code, OK);
    return s;
}

static inline void hear(struct stream *s, struct str want)
{
    struct err e = ERR_OK;

    while (stream_buffered(s).len < want.len && !e.code) {
        e = stream_fill(s, "reply", when_after(10000));
    }
    if (!str_eq(str_head(stream_buffered(s), want.len), want)) {
        print_error("got  \"%.*s\"\nwant \"%.*s\"\n", STR_ARG(stream_buffered(s)), STR_ARG(want));
        abort();
    }
    stream_take(s, want.len);
}

static inline void put(struct stream *s, struct str bytes)
{
    assert_int_equal(stream_put(s, bytes, when_after(10000)).code, OK);
}

/* "C: x" we send, "S: x" we hear, "R: x" we send without CR LF. */
static inline void talk(struct stream *s, const char *script)
{
    struct str rest = str_of(script), line;

    while (rest.len > 0) {
        str_cut(&rest, '\n', &line);
        struct buf text BUF_LOCAL = {0};

        buf_put(&text, str_skip(line, 3));
        if (line.ptr[0] != 'R') {
            buf_put(&text, STR("\r\n"));
        }
        if (line.ptr[0] == 'S') {
            hear(s, buf_str(&text));
        } else {
            put(s, buf_str(&text));
        }
    }
    assert_int_equal(stream_flush(s, when_after(10000)).code, OK);
}

static inline void hear_end(struct stream *s)
{
    assert_int_equal(stream_fill(s, "end", when_after(10000)).code, ERR_CLOSED);
    assert_int_equal(stream_buffered(s).len, 0);
    stream_close(s);
}

/* The accepted content behind the trace block, which is checked for its shape. */
static inline struct str content_after_trace(void)
{
    struct str all = buf_str(&fake.content);
    size_t at = str_find_str(all, STR("\r\n"));

    assert_true(str_starts(all, STR("Received: from client.example ([127.0.0.1])")));
    while (at + 2 < all.len && (all.ptr[at + 2] == ' ' || all.ptr[at + 2] == '\t')) {
        at += 2 + str_find_str(str_skip(all, at + 2), STR("\r\n"));
    }
    return str_skip(all, at + 2);
}
