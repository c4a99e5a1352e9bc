#include "asking.h"

#include <malloc.h>

/* ---- answers of all kinds ---- */

static const struct {
    const char *path;
    enum err_code code;
    int status;        /* OK */
    const char *words; /* in the body, or in why */
    int64_t ms;        /* deadline; 0: it must not come to that */
    size_t max;
} behaviours[] = {
    {"/say/words", OK, 200, "words", 0, 0},
    {"/nothing-like-this", OK, 404, "no such behaviour", 0, 0},
    {"/status/204", OK, 204, "", 0, 0},
    {"/status/500", OK, 500, "accept", 0, 0},
    {"/busy", OK, 503, "later", 0, 0},
    {"/type/text/html", OK, 200, "words", 0, 0},
    {"/chunks", OK, 200, "some chunks", 0, 0},
    {"/no-length", OK, 200, "until the end", 0, 0},
    {"/interim", OK, 200, "accept", 0, 0},
    {"/redirect", OK, 302, "", 0, 0},
    {"/slow/50", OK, 200, "accept", 0, 0},
    {"/long-length", OK, 200, "ok", 0, 0},
    {"/bytes/100000", OK, 200, "xxx", 0, 0},

    {"/slow/2000", ERR_TIMEOUT, 0, "timed out", 150, 0},
    {"/drip/20", ERR_TIMEOUT, 0, "timed out", 300, 0},
    {"/never", ERR_TIMEOUT, 0, "timed out", 150, 0},

    {"/huge", ERR_LIMIT, 0, "says that it is larger", 0, 0},
    {"/endless", ERR_LIMIT, 0, "larger than is allowed", 0, 0},
    {"/endless-until-close", ERR_LIMIT, 0, "larger than is allowed", 0, 0},
    {"/bytes/100001", ERR_LIMIT, 0, "larger than is allowed", 0, 0},
    {"/say/12345", ERR_LIMIT, 0, "larger", 0, 4},
    {"/fields", ERR_LIMIT, 0, "head of the answer is too large", 0, 0},
    {"/long-field", ERR_LIMIT, 0, "head of the answer is too large", 0, 0},
    {"/endless-interim", ERR_LIMIT, 0, "head of the answer is too large", 0, 0},
    {"/trailers", ERR_LIMIT, 0, "head of the answer is too large", 0, 0},

    {"/bomb", ERR_PROTOCOL, 0, "coding", 0, 0},
    {"/transfer-bomb", ERR_PROTOCOL, 0, "", 0, 0},

    {"/close", ERR_CLOSED, 0, "", 0, 0},
    {"/reset", ERR_CLOSED, 0, "", 0, 0},
    {"/close-in-head", ERR_CLOSED, 0, "", 0, 0},
    {"/close-in-body", ERR_CLOSED, 0, "", 0, 0},
    {"/close-in-chunk", ERR_CLOSED, 0, "", 0, 0},

    {"/http09", ERR_PROTOCOL, 0, "", 0, 0},
    {"/http2", ERR_PROTOCOL, 0, "", 0, 0},
    {"/garbage", ERR_PROTOCOL, 0, "", 0, 0},
    {"/smtp", ERR_PROTOCOL, 0, "", 0, 0},
    {"/status-99", ERR_PROTOCOL, 0, "", 0, 0},
    {"/status-999", ERR_PROTOCOL, 0, "", 0, 0},
    {"/switch", ERR_PROTOCOL, 0, "changes the protocol", 0, 0},
    {"/two-lengths", ERR_PROTOCOL, 0, "", 0, 0},
    {"/both-lengths", ERR_PROTOCOL, 0, "malformed", 0, 0},
    {"/bad-length", ERR_PROTOCOL, 0, "", 0, 0},
    {"/negative-length", ERR_PROTOCOL, 0, "", 0, 0},
    {"/overflow-length", ERR_PROTOCOL, 0, "", 0, 0},
    {"/bad-chunk", ERR_PROTOCOL, 0, "chunk", 0, 0},
    {"/overflow-chunk", ERR_PROTOCOL, 0, "chunk", 0, 0},
    {"/chunk-without-end", ERR_PROTOCOL, 0, "chunk", 0, 0},
    {"/folded", ERR_PROTOCOL, 0, "malformed", 0, 0},
    {"/nul", ERR_PROTOCOL, 0, "", 0, 0},
    {"/control", ERR_PROTOCOL, 0, "malformed", 0, 0},
    {"/bare-lf", ERR_PROTOCOL, 0, "malformed", 0, 0},
    {"/no-colon", ERR_PROTOCOL, 0, "", 0, 0},
    {"/bad-name", ERR_PROTOCOL, 0, "malformed", 0, 0},
};

static void expect_behaviour(struct fetch_pool *p, size_t i)
{
    struct ask how = {.door = "http",
                      .path = behaviours[i].path,
                      .request = {.body = STR("{}"), .response_max = behaviours[i].max},
                      .ms = behaviours[i].ms};
    struct when begun = clock_now(); /* what deadlines count from */
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer = {.body = STR_EMPTY};
    struct err e = ask(p, how, &a, &answer, &why);
    struct str said = e.code == OK ? answer.body : buf_str(&why);
    int64_t ms = (clock_read().ns - begun.ns) / NS_PER_MS, limit_ms = 3000;

    if (behaviours[i].ms > 0) {
        assert_true(ms >= behaviours[i].ms - 5);
        limit_ms = behaviours[i].ms + 1000;
    }
    if (e.code != behaviours[i].code || !says(said, behaviours[i].words) || ms > limit_ms ||
        (e.code == OK && answer.status != behaviours[i].status)) {
        fail_msg("%s: %s %d after %d ms, \"%.*s\"", behaviours[i].path, err_name(e.code),
                 answer.status, (int)ms, STR_ARG(said));
    }
    assert_true(e.code == OK || why.len > 0);
}

static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

static void behave_badly(void *arg)
{
    struct fetch_pool *p = open_plain();
    size_t before = 0;

    (void)arg;
    for (size_t i = 0; i < COUNT_OF(behaviours); i++) {
        expect_behaviour(p, i);
        before = i == 0 ? heap_bytes() : before;
    }
    assert_true(heap_bytes() < before + 1024 * 1024);
    assert_int_equal(fetch_pool_counts(p).calls, 0);
    fetch_pool_free(p, WHEN_NEVER);
}

/* SE-06, SE-07, SE-08, SE-13, SE-15, Q17. */
static void each_bad_server_gets_its_error_in_time(void **state)
{
    (void)state;
    run_alone("test", behave_badly, NULL);
}

/* ---- requests ---- */

static void say_fields(void *arg)
{
    static const struct fetch_field fields[] = {
        {STR_INIT("Content-Type"), STR_INIT("application/json")},
        {STR_INIT("Authorization"), STR_INIT("Bearer abc")},
        {STR_INIT("X-Empty"), STR_INIT("")},
    };
    static const struct fetch_field bad = {STR_INIT("X-A"), STR_INIT("a\r\nX-B: b")};
    struct fetch_request r = {.fields = fields, .field_count = 3, .body = STR("{\"a\":1}")};
    struct fetch_pool *p = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;
    struct str value;

    (void)arg;
    assert_int_equal(ask(p, (struct ask){.door = "http", .path = "/echo/%41?q=1", .request = r}, &a,
                         &answer, &why)
                         .code,
                     OK);
    EXPECT_STR(answer.content_type, "application/json");
    assert_true(fetch_answer_field(&answer, STR("content-LENGTH"), &value));
    assert_false(fetch_answer_field(&answer, STR("Content"), &value));
    expect_says(answer.body, "\"method\": \"POST\"");
    expect_says(answer.body, "\"path\": \"/echo/%41?q=1\"");
    expect_says(answer.body, "\"content-type\": \"application/json\"");
    expect_says(answer.body, "\"authorization\": \"Bearer abc\"");
    expect_says(answer.body, "\"x-empty\": \"\"");
    expect_says(answer.body, "\"length\": 7");
    assert_false(says(answer.body, "expect"));
    assert_false(says(answer.body, "accept-encoding"));
    assert_false(says(answer.body, "user-agent"));

    assert_int_equal(ask_path(p, "/busy", &a, &answer, &why).code, OK);
    EXPECT_STR(answer.retry_after, "17");

    r = (struct fetch_request){.fields = &bad, .field_count = 1};
    assert_int_equal(
        ask(p, (struct ask){.door = "http", .path = "/echo", .request = r}, &a, &answer, &why).code,
        ERR_CONFIG);
    fetch_pool_free(p, WHEN_NEVER);
}

static void a_request_is_what_was_asked_for_and_nothing_more(void **state)
{
    (void)state;
    run_alone("test", say_fields, NULL);
}

static void use_methods(void *arg)
{
    static const char *const methods[] = {"GET", "DELETE", "POST", "HEAD", "PUT", "GET"};
    struct fetch_pool *p = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;

    (void)arg;
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        struct ask how = {
            .door = "http", .path = "/echo", .request = {.method = str_of(methods[i])}};

        assert_int_equal(ask(p, how, &a, &answer, &why).code, OK);
        if (str_eq(how.request.method, STR("HEAD"))) {
            EXPECT_STR(answer.body, "");
        } else {
            expect_says(answer.body,
                        arena_z(&a, arena_printf(&a, "\"method\": \"%s\"", methods[i])));
            assert_int_equal(says(answer.body, "content-length"),
                             str_starts(how.request.method, STR("P")));
        }
    }
    assert_int_equal(fetch_pool_counts(p).opened, 1);
    fetch_pool_free(p, WHEN_NEVER);
}

static void one_connection_serves_all_methods(void **state)
{
    (void)state;
    run_alone("test", use_methods, NULL);
}

/* ---- bodies in pieces ---- */

/* sha256 of 20 MiB of 'x' */
static const char of_20_mib[] = "6adfa0775cbd16a3f50d1fda1d7bd7f375dd1f9af5e6dfb751a87d3dff68699c";

static void send_pieces(void *arg)
{
    static struct pieces s;
    struct fetch_source source = {.next = next_piece, .rewind = rewind_pieces, .ctx = &s};
    struct fetch_pool *p = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;
    struct ask how = {.door = "http", .path = "/echo", .request = {.source = &source}};
    size_t before;

    (void)arg;
    memset(s.block, 'x', sizeof s.block);
    for (unsigned i = 0; i < 2; i++) { /* with a length, and chunked */
        s.total = 20 * 1024 * 1024;
        s.given = 0;
        source.length = i == 0 ? s.total : FETCH_LENGTH_UNKNOWN;
        before = heap_bytes();
        assert_int_equal(ask(p, how, &a, &answer, &why).code, OK);
        assert_true(heap_bytes() < before + 500000);
        expect_says(answer.body, "\"length\": 20971520");
        expect_says(answer.body, of_20_mib);
        assert_int_equal(says(answer.body, "transfer-encoding"), i == 1);
    }
    s.given = s.total = source.length = 0; /* an empty one */
    assert_int_equal(ask(p, how, &a, &answer, &why).code, OK);
    expect_says(answer.body, "\"length\": 0");

    s.total = source.length = 20 * 1024 * 1024; /* one that breaks */
    s.fault = ERR_DISK;
    assert_int_equal(ask(p, how, &a, &answer, &why).code, ERR_DISK);
    s.fault = OK;

    s.given = 0; /* one that the other side does not want */
    how.path = "/early";
    assert_int_equal(ask(p, how, &a, &answer, &why).code, OK);
    assert_int_equal(answer.status, 413);
    assert_true(s.given < s.total);
    fetch_pool_free(p, WHEN_NEVER);
}

static void a_large_body_is_sent_in_pieces_and_never_held_whole(void **state)
{
    (void)state;
    run_alone("test", send_pieces, NULL);
}

/* ---- many callers ---- */

static void wait_for_turns(void *arg)
{
    struct fetch_pool *p = open_pool((struct fetch_pool_options){.connections_max = 2});
    struct caller callers[7];
    struct group g;

    (void)arg;
    group_init(&g, "callers", 0);
    for (unsigned i = 0; i < COUNT_OF(callers); i++) {
        /* The last has no patience. */
        callers[i] = (struct caller){.pool = p, .path = "/slow/400", .ms = i == 6 ? 200 : 0};
        assert_int_equal(group_spawn_now(&g, "caller", call_once, &callers[i]).code, OK);
    }
    (void)fiber_sleep(when_after(20), WHEN_NEVER);
    assert_int_equal(fetch_pool_counts(p).calls, 2);
    assert_int_equal(fetch_pool_counts(p).waiting, 5);
    (void)group_join(&g, WHEN_NEVER);
    for (unsigned i = 0; i < COUNT_OF(callers); i++) {
        assert_int_equal(callers[i].code, i == 6 ? ERR_TIMEOUT : OK);
    }
    assert_int_equal(fetch_pool_counts(p).opened, 2);
    assert_int_equal(fetch_pool_counts(p).waiting, 0);
    fetch_pool_free(p, WHEN_NEVER);
}

static void callers_beyond_the_limit_wait_their_turn(void **state)
{
    (void)state;
    run_alone("test", wait_for_turns, NULL);
}

static void cancel_some(void *arg)
{
    struct fetch_pool *p = open_pool((struct fetch_pool_options){.connections_max = 2});
    struct caller callers[4];
    struct group g;

    (void)arg;
    group_init(&g, "callers", 0);
    for (unsigned i = 0; i < COUNT_OF(callers); i++) {
        callers[i] = (struct caller){.pool = p, .path = "/never"};
        assert_int_equal(group_spawn_now(&g, "caller", call_once, &callers[i]).code, OK);
    }
    (void)fiber_sleep(when_after(50), WHEN_NEVER);
    group_cancel(&g);
    (void)group_join(&g, WHEN_NEVER);
    for (unsigned i = 0; i < COUNT_OF(callers); i++) {
        assert_int_equal(callers[i].code, ERR_CANCELLED);
    }
    assert_int_equal(fetch_pool_counts(p).calls, 0);
    call_at_once(p, "/echo", 2);
    fetch_pool_free(p, WHEN_NEVER);
}

static void a_cancelled_caller_ends_its_call(void **state)
{
    (void)state;
    run_alone("test", cancel_some, NULL);
}

enum { MANY = 1000 };

static void call_many(void *arg)
{
    struct fetch_pool *other = open_plain();
    static struct caller callers[MANY];
    struct fetch_pool *p = open_pool((struct fetch_pool_options){.connections_max = MANY});
    struct group g;
    size_t before, each;
    unsigned met;
    uint32_t fibers;

    (void)arg;
    group_init(&g, "callers", 0);
    call_at_once(p, "/echo", 1);
    met = count_of(other, "requests");
    before = heap_bytes();
    fibers = fiber_count();
    for (unsigned i = 0; i < MANY; i++) {
        callers[i] = (struct caller){.pool = p, .path = "/never", .ms = 60000};
        assert_int_equal(group_spawn_now(&g, "caller", call_once, &callers[i]).code, OK);
    }
    while (count_of(other, "requests") < met + MANY) {
        (void)fiber_sleep(when_after(20), WHEN_NEVER);
    }
    each = (heap_bytes() - before) / MANY;
    print_message("%u calls under way: %zu bytes of heap each\n", (unsigned)MANY, each);
    assert_int_equal(fiber_count() - fibers, MANY); /* the callers, nobody else */
    assert_true(each < 32 * 1024);
    group_cancel(&g);
    (void)group_join(&g, WHEN_NEVER);
    assert_int_equal(fetch_pool_counts(p).calls, 0);
    fetch_pool_free(p, WHEN_NEVER);
    fetch_pool_free(other, WHEN_NEVER);
}

static void a_thousand_calls_cost_little_each(void **state)
{
    (void)state;
    run_alone("test", call_many, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bad_server_gets_its_error_in_time),
        cmocka_unit_test(a_request_is_what_was_asked_for_and_nothing_more),
        cmocka_unit_test(one_connection_serves_all_methods),
        cmocka_unit_test(a_large_body_is_sent_in_pieces_and_never_held_whole),
        cmocka_unit_test(callers_beyond_the_limit_wait_their_turn),
        cmocka_unit_test(a_cancelled_caller_ends_its_call),
        cmocka_unit_test(a_thousand_calls_cost_little_each),
    };

    return cmocka_run_group_tests(tests, start_hostile, stop_hostile);
}
