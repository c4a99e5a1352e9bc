#include "../unit.h"
#include "base/check.h"
#include "http/local.h"
#include "http/serve.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct addr anywhere = {.family = 4, .ip = {127, 0, 0, 1}};
static char folder[] = "/tmp/postyard-http-XXXXXX";
static char path[64];

static void say_hello(const struct http_request *r, struct http_answer *answer, struct when by)
{
    (void)r;
    (void)by;
    answer->type = "text/plain";
    buf_put(&answer->body, STR("hello\n"));
}

static void echo(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct str type = STR("none");

    (void)by;
    (void)http_header(r, "content-type", &type);
    buf_printf(&answer->body, "%s %.*s %.*s %zu ", r->method, STR_ARG(r->parts[0]), STR_ARG(type),
               r->body.len);
    buf_put(&answer->body, r->body);
    http_answer_header(answer, "X-Remote", r->remote.family ? "tcp" : "local");
}

static void query(const struct http_request *r, struct http_answer *answer, struct when by)
{
    struct str value = STR("(absent)");

    (void)by;
    (void)http_query(r, "q", &value);
    buf_put(&answer->body, value);
}

static void wait_a_turn(const struct http_request *r, struct http_answer *answer, struct when by)
{
    (void)r;
    assert_int_equal(fiber_sleep(when_after(20), by).code, OK);
    buf_put(&answer->body, STR("late"));
}

static bool was_cancelled, has_begun;

static void wait_forever(const struct http_request *r, struct http_answer *answer, struct when by)
{
    (void)r;
    (void)by;
    has_begun = true;
    was_cancelled = fiber_sleep(WHEN_NEVER, WHEN_NEVER).code == ERR_CANCELLED;
    http_answer_error(answer, 503, STR("stopping \"now\""));
}

static void push_lines(const struct http_request *r, struct http_answer *answer, struct when by)
{
    (void)r;
    answer->type = "text/plain";
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(http_push(answer, STR("line\n"), by).code, OK);
        assert_int_equal(fiber_sleep(when_after(5), by).code, OK);
    }
}

static enum err_code pushed;
static size_t pushed_bytes;

static void push_much(const struct http_request *r, struct http_answer *answer, struct when by)
{
    static const char block[32 * 1024];
    struct err e = ERR_OK;

    (void)r;
    while (e.code == OK && pushed_bytes < 64 * 1024 * 1024) {
        e = http_push(answer, str_make(block, sizeof block), by);
        pushed_bytes += sizeof block;
    }
    pushed = e.code;
}

static const struct http_route routes[] = {
    {"GET", "/", say_hello},       {"POST", "/echo/*", echo},     {"PUT", "/echo/*", echo},
    {"GET", "/query", query},      {"GET", "/late", wait_a_turn}, {"GET", "/forever", wait_forever},
    {"GET", "/lines", push_lines}, {"GET", "/much", push_much},
};

static struct http_server *open_here(struct str socket)
{
    struct http_server_options o = {.bind = &anywhere,
                                    .bind_count = 1,
                                    .socket = socket,
                                    .socket_mode = 0600,
                                    .routes = routes,
                                    .route_count = COUNT_OF(routes),
                                    .handler_ms = 5000};
    struct buf why BUF_LOCAL = {0};
    struct http_server *s = NULL;
    struct err e = http_server_open(&o, &s, &why);

    if (e.code != OK) {
        print_error("%.*s\n", STR_ARG(buf_str(&why)));
    }
    assert_int_equal(e.code, OK);
    return s;
}

static const struct {
    const char *method, *target, *type, *body;
    int status;
    const char *answer;
} local[] = {
    {"GET", "/", "", "", 200, "hello\n"},
    {"HEAD", "/", "", "", 200, ""},
    {"GET", "/late", "", "", 200, "late"},
    {"POST", "/echo/a%2Fb", "text/plain", "words", 200, "POST a/b text/plain 5 words"},
    {"PUT", "/echo/x", "text/plain", "", 200, "PUT x text/plain 0 "},
    {"GET", "/query?q=a%20b+c%2B", "", "", 200, "a b c+"},
    {"GET", "/query?p=1", "", "", 200, "(absent)"},
    {"GET", "/nowhere", "", "", 404, "{\"error\":\"there is nothing at this path\"}\n"},
    {"GET", "/echo/", "", "", 404, "{\"error\":\"there is nothing at this path\"}\n"},
    {"GET", "/echo/a/b", "", "", 404, "{\"error\":\"there is nothing at this path\"}\n"},
    {"DELETE", "/", "", "", 405, "{\"error\":\"this path does not take that method\"}\n"},
    {"POST", "/echo/%zz", "", "", 400, "{\"error\":\"wrong percent-encoding in the path\"}\n"},
    {"GET", "/lines", "", "", 200, "line\nline\nline\n"},
};

static void local_fiber(void *arg)
{
    struct http_server *s = open_here(str_of(path));
    struct arena a ARENA_LOCAL = {0};
    struct stat st;

    (void)arg;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    for (size_t i = 0; i < COUNT_OF(local); i++) {
        struct http_local ask = {.socket = str_of(path),
                                 .method = local[i].method,
                                 .target = str_of(local[i].target),
                                 .type = str_of(local[i].type),
                                 .body = str_of(local[i].body),
                                 .body_max = 1000};
        struct http_local_answer answer = {0};
        struct err e = http_local(&ask, &a, &answer, when_after(5000));

        if (e.code != OK || answer.status != local[i].status) {
            print_error("case %zu: %s, %d\n", i, err_name(e.code), answer.status);
            fail();
        }
        EXPECT_STR(answer.body, local[i].answer);
    }
    http_server_close(s, WHEN_NEVER);
    assert_int_equal(access(path, F_OK), -1);
}

static void the_command_line_is_answered_over_the_local_socket(void **state)
{
    (void)state;
    run_alone("test", local_fiber, NULL);
}

/* Raw bytes over TCP, until `end` stands at the end of what came, or the connection ends. */
static struct str talk(struct addr to, struct str say, const char *end, struct arena *a)
{
    struct stream *s;
    struct str got;
    struct err e;

    assert_int_equal(stream_connect(to, (struct addr){0}, &s, when_after(2000)).code, OK);
    assert_int_equal(stream_put(s, say, when_after(2000)).code, OK);
    do {
        e = stream_fill(s, "answers", when_after(5000));
    } while (e.code == OK && (end == NULL || !str_ends(stream_buffered(s), str_of(end))));
    got = arena_dup(a, stream_buffered(s));
    stream_close(s);
    return got;
}

static unsigned count_of(struct str s, struct str needle)
{
    unsigned count = 0;
    size_t at;

    while ((at = str_find_str(s, needle)) != STR_NONE) {
        s = str_skip(s, at + needle.len);
        count++;
    }
    return count;
}

static void wire_fiber(void *arg)
{
    static const struct {
        const char *say, *status, *also;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 ",
         "\r\nX-Content-Type-Options: nosniff\r\n"},
        {"PATCH /echo/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 405 ",
         "\r\nAllow: POST, PUT\r\n"},
        {"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 405 ",
         "\r\nAllow: GET, HEAD\r\n"},
        {"POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", "HTTP/1.1 413 ",
         "too large"},
        {"POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: no\r\n\r\n", "HTTP/1.1 4", ""},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", ""}, /* no Host */
        {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "HTTP/1.1 400 ", "two things"},
        {"POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
         "HTTP/1.1 400 ", "two things"},
        {"POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"
         "\r\n0\r\n\r\n",
         "HTTP/1.1 400 ", "two things"},
        {"GET / HTTP/1.1\r\nHost: x\r\n Folded: y\r\n\r\n", "HTTP/1.1 400 ", ""},
        {"GET / HTTP/9.9\r\nHost: x\r\n\r\n", "HTTP/1.1 505 ", ""},
        {"nonsense\r\n\r\n", "", ""}, /* the library just hangs up */
        {"POST /echo/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
         "\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
         "HTTP/1.1 200 ", "POST x none 5 abcde"},
    };
    struct http_server *s = open_here(STR_EMPTY);
    struct arena a ARENA_LOCAL = {0};
    struct str got;

    (void)arg;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        got = talk(http_server_addr(s, 0), str_of(cases[i].say), NULL, &a);
        if (!str_starts(got, str_of(cases[i].status)) ||
            str_find_str(got, str_of(cases[i].also)) == STR_NONE) {
            print_error("case %zu: %.*s\n", i, STR_ARG(got));
            fail();
        }
    }
    /* Three requests in one run of bytes, answered in order over one connection. */
    got = talk(http_server_addr(s, 0),
               STR("GET /late HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"
                   "GET /query?q=end HTTP/1.1\r\nHost: x\r\n\r\n"),
               "end", &a);
    assert_int_equal(count_of(got, STR("HTTP/1.1 200 OK\r\n")), 3);
    assert_true(str_find_str(got, STR("late")) < str_find_str(got, STR("hello")));
    http_server_close(s, WHEN_NEVER);
}

static void requests_of_strangers_get_clear_answers(void **state)
{
    (void)state;
    run_alone("test", wire_fiber, NULL);
}

static void bodies_fiber(void *arg)
{
    static char big[HTTP_BODY_MAX + 1];
    struct http_server *s = open_here(str_of(path));
    struct arena a ARENA_LOCAL = {0};
    struct http_local ask = {.socket = str_of(path),
                             .method = "POST",
                             .target = STR("/echo/x"),
                             .type = STR("a/b"),
                             .body_max = 2 * HTTP_BODY_MAX};
    struct http_local_answer answer;
    struct buf chunked BUF_LOCAL = {0};
    struct str got;

    (void)arg;
    memset(big, 'x', sizeof big);
    ask.body = str_make(big, HTTP_BODY_MAX);
    assert_int_equal(http_local(&ask, &a, &answer, when_after(5000)).code, OK);
    assert_int_equal(answer.status, 200);
    assert_true(str_ends(answer.body, ask.body));
    ask.body_max = 1000;
    assert_int_equal(http_local(&ask, &a, &answer, when_after(5000)).code, ERR_LIMIT);
    /* Not announced, so found out on the way. */
    buf_printf(&chunked,
               "POST /echo/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
               "Connection: close\r\n\r\n%x\r\n",
               (unsigned)sizeof big);
    buf_put(&chunked, str_make(big, sizeof big));
    buf_put(&chunked, STR("\r\n0\r\n\r\n"));
    got = talk(http_server_addr(s, 0), buf_str(&chunked), NULL, &a);
    assert_true(str_starts(got, STR("HTTP/1.1 413 ")));
    http_server_close(s, WHEN_NEVER);
}

static void bodies_are_bounded_both_ways(void **state)
{
    (void)state;
    run_alone("test", bodies_fiber, NULL);
}

static struct err count_lines(void *ctx, struct str bytes)
{
    unsigned *lines = ctx;

    *lines += count_of(bytes, STR("line\n"));
    return *lines == 2 ? err_of(ERR_STALE) : ERR_OK;
}

static void pieces_fiber(void *arg)
{
    struct http_server *s = open_here(str_of(path));
    struct arena a ARENA_LOCAL = {0};
    unsigned lines = 0;
    struct http_local ask = {.socket = str_of(path),
                             .method = "GET",
                             .target = STR("/lines"),
                             .piece = count_lines,
                             .ctx = &lines};
    struct http_local_answer answer;
    struct stream *left;

    (void)arg;
    /* The reader may stop it; the handler goes on unharmed. */
    assert_int_equal(http_local(&ask, &a, &answer, when_after(5000)).code, ERR_STALE);
    assert_int_equal(lines, 2);
    /* A client that does not read holds up nobody, and when it leaves the handler is told. */
    pushed_bytes = 0;
    pushed = OK;
    assert_int_equal(
        stream_connect(http_server_addr(s, 0), (struct addr){0}, &left, when_after(2000)).code, OK);
    assert_int_equal(
        stream_put(left, STR("GET /much HTTP/1.1\r\nHost: x\r\n\r\n"), WHEN_NEVER).code, OK);
    assert_int_equal(stream_fill(left, "the beginning", when_after(2000)).code, OK);
    assert_int_equal(fiber_sleep(when_after(30), WHEN_NEVER).code, OK);
    assert_true(pushed_bytes < 32 * 1024 * 1024);
    stream_close(left);
    while (pushed == OK) {
        assert_int_equal(fiber_sleep(when_after(5), WHEN_NEVER).code, OK);
    }
    assert_int_equal(pushed, ERR_CLOSED);
    http_server_close(s, WHEN_NEVER);
}

static void a_pushed_body_ends_when_either_side_wants(void **state)
{
    (void)state;
    run_alone("test", pieces_fiber, NULL);
}

static void waits(void *arg)
{
    struct http_local_answer *answer = arg;
    struct arena a ARENA_LOCAL = {0};
    struct http_local ask = {
        .socket = str_of(path), .method = "GET", .target = STR("/forever"), .body_max = 1000};

    assert_int_equal(http_local(&ask, &a, answer, when_after(5000)).code, OK);
    EXPECT_STR(answer->body, "{\"error\":\"stopping \\\"now\\\"\"}\n");
}

static void closing_fiber(void *arg)
{
    struct http_server *s = open_here(str_of(path));
    struct http_local_answer answer = {0};
    struct group g;

    (void)arg;
    group_init(&g, "client", 0);
    assert_int_equal(group_spawn_now(&g, "client", waits, &answer).code, OK);
    while (!has_begun) {
        assert_int_equal(fiber_sleep(when_after(2), WHEN_NEVER).code, OK);
    }
    http_server_close(s, WHEN_NEVER);
    assert_true(was_cancelled);
    assert_int_equal(group_join(&g, WHEN_NEVER).code, OK);
    assert_int_equal(answer.status, 503);
}

static void closing_cancels_handlers_and_their_answers_still_arrive(void **state)
{
    (void)state;
    run_alone("test", closing_fiber, NULL);
}

static void paths_fiber(void *arg)
{
    struct http_server *s = open_here(str_of(path)), *second = NULL;
    struct http_server_options o = {.socket = str_of(path), .socket_mode = 0660};
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct http_local ask = {.socket = str_of(path), .method = "GET", .target = STR("/")};
    struct http_local_answer answer;
    struct str other = arena_printf(&a, "%s/other", folder);
    FILE *f;

    (void)arg;
    assert_int_equal(http_server_open(&o, &second, &why).code, ERR_CONFIG);
    EXPECT_STR(buf_str(&why), arena_z(&a, arena_printf(&a, "cannot listen on %s: in use", path)));
    assert_int_equal(ask.body_max, 0);
    ask.body_max = 100;
    assert_int_equal(http_local(&ask, &a, &answer, when_after(5000)).code, OK);

    /* What a process that was killed leaves behind is replaced, a file of somebody else is not. */
    assert_int_equal(rename(path, other.ptr), 0);
    http_server_close(s, WHEN_NEVER);
    assert_int_equal(rename(other.ptr, path), 0);
    assert_int_equal(http_local(&ask, &a, &answer, when_after(5000)).sys, ECONNREFUSED);
    s = open_here(str_of(path));
    assert_int_equal(http_local(&ask, &a, &answer, when_after(5000)).code, OK);
    http_server_close(s, WHEN_NEVER);
    assert_int_equal(http_local(&ask, &a, &answer, when_after(5000)).sys, ENOENT);

    f = fopen(path, "w");
    assert_non_null(f);
    (void)fclose(f);
    buf_clear(&why);
    assert_int_equal(http_server_open(&o, &second, &why).code, ERR_CONFIG);
    EXPECT_STR(buf_str(&why),
               arena_z(&a, arena_printf(&a, "cannot listen on %s: exists already", path)));
    assert_int_equal(unlink(path), 0);
}

static void a_stale_socket_is_replaced_and_nothing_else(void **state)
{
    (void)state;
    run_alone("test", paths_fiber, NULL);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/admin.sock", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_command_line_is_answered_over_the_local_socket),
        cmocka_unit_test(requests_of_strangers_get_clear_answers),
        cmocka_unit_test(bodies_are_bounded_both_ways),
        cmocka_unit_test(a_pushed_body_ends_when_either_side_wants),
        cmocka_unit_test(closing_cancels_handlers_and_their_answers_still_arrive),
        cmocka_unit_test(a_stale_socket_is_replaced_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
