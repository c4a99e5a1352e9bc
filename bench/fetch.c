/*
 * What calling a filter costs: small requests over kept connections to a server of our own on
 * another thread, both by loopback. Prints calls a second and processor time of the client's thread
 * for one call.
 */
#include "http/fetch.h"

#include "base/check.h"
#include "http/serve.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CALLS = 60000 };

#define BODY "{\"context\":{\"stage\":\"rcpt\",\"client\":{\"ip\":\"192.0.2.1\"}}}"

static struct loop *server_loop;
static struct addr server_addr;
static _Atomic bool is_open;

static void accept_all(const struct http_request *r, struct http_answer *answer, struct when by)
{
    (void)r;
    (void)by;
    buf_put(&answer->body, STR("{\"action\":\"accept\"}"));
}

static void serve(void *arg)
{
    static const struct addr anywhere = {.family = 4, .ip = {127, 0, 0, 1}};
    static const struct http_route routes[] = {{"POST", "/hook", accept_all}};
    struct http_server_options o = {
        .bind = &anywhere, .bind_count = 1, .routes = routes, .route_count = 1, .handler_ms = 5000};
    struct buf why BUF_LOCAL = {0};
    struct http_server *s;

    (void)arg;
    must(http_server_open(&o, &s, &why).code == OK);
    server_addr = http_server_addr(s, 0);
    is_open = true;
    (void)fiber_sleep(WHEN_NEVER, WHEN_NEVER);
    http_server_close(s, WHEN_NEVER);
}

static double thread_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct caller {
    struct fetch_pool *pool;
    const struct fetch_target *target;
    unsigned calls;
};

static void call(void *arg)
{
    static const struct fetch_field type = {STR_INIT("Content-Type"), STR_INIT("application/json")};
    struct caller *c = arg;
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;
    struct fetch_request r = {.method = STR("POST"),
                              .target = c->target,
                              .fields = &type,
                              .field_count = 1,
                              .body = STR(BODY),
                              .response_max = 10000};

    for (unsigned i = 0; i < c->calls; i++) {
        must(fetch(c->pool, &r, &a, &answer, &why, when_after(30000)).code == OK);
        must(answer.status == 200);
        arena_reset(&a);
    }
}

static void measure(const struct fetch_target *target, unsigned callers)
{
    struct fetch_pool_options o = {.connections_max = callers, .idle_ms = 10000};
    struct caller c = {.target = target, .calls = CALLS / callers};
    struct buf why BUF_LOCAL = {0};
    struct when begun;
    struct group g;
    double cpu, s;

    must(fetch_pool_new(&o, &c.pool, &why).code == OK);
    group_init(&g, "callers", 0);
    begun = clock_read();
    cpu = thread_ns();
    for (unsigned i = 0; i < callers; i++) {
        must(group_spawn_now(&g, "caller", call, &c).code == OK);
    }
    (void)group_join(&g, WHEN_NEVER);
    s = (double)(clock_read().ns - begun.ns) / 1e9;
    printf("%3u connections: %6.0f calls/s, %5.1f us of the client's thread a call\n", callers,
           CALLS / s, (thread_ns() - cpu) / 1e3 / CALLS);
    fetch_pool_free(c.pool, WHEN_NEVER);
}

static void run(void *arg)
{
    static const unsigned counts[] = {1, 10, 100};
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_target target;
    char at[ADDR_BYTES];

    (void)arg;
    while (!is_open) {
        (void)fiber_sleep(when_after(10), WHEN_NEVER);
    }
    (void)addr_print(&server_addr, at);
    must(fetch_target_parse(arena_printf(&a, "http://%s/hook", at), &a, &target, &why).code == OK);
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        measure(&target, counts[i]);
    }
    loop_cancel(server_loop);
}

int main(void)
{
    struct world *w = world_new();

    server_loop = world_loop(w, "server");
    loop_main(server_loop, serve, NULL);
    loop_main(world_loop(w, "client"), run, NULL);
    world_run(w);
    world_free(w);
    return 0;
}
