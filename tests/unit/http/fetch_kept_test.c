#include "asking.h"

/* Connections that were kept: used again, replaced when they fail, closed when nobody wants them.
 */

static void call_a_hundred_times(void *arg)
{
    struct fetch_pool *p = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;

    (void)arg;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(ask_path(p, "/echo", &a, &answer, &why).code, OK);
    }
    assert_int_equal(fetch_pool_counts(p).opened, 1);
    assert_int_equal(fetch_pool_counts(p).sent, 100);
    assert_int_equal(fetch_pool_counts(p).sent_again, 0);
    fetch_pool_free(p, WHEN_NEVER);
}

static void a_connection_serves_one_call_after_another(void **state)
{
    (void)state;
    run_alone("test", call_a_hundred_times, NULL);
}

/* With so many kept connections that all fail at their second request, without a byte. */
static void expect_replaced(const char *path, unsigned kept)
{
    struct fetch_pool *p = open_plain(), *other = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;
    unsigned met;

    call_at_once(p, path, kept);
    assert_int_equal(fetch_pool_counts(p).opened, kept);
    met = count_of(other, "requests");
    assert_int_equal(ask_path(p, path, &a, &answer, &why).code, OK);
    assert_true(answer.was_sent_again);
    expect_says(answer.body, "\"served\": 0");
    assert_int_equal(fetch_pool_counts(p).sent_again, 1);
    assert_int_equal(fetch_pool_counts(p).opened, kept + 1);
    assert_int_equal(count_of(other, "requests") - met, 3); /* twice, and this question */
    fetch_pool_free(p, WHEN_NEVER);
    fetch_pool_free(other, WHEN_NEVER);
}

static void use_stale(void *arg)
{
    (void)arg;
    expect_replaced("/stale", 1);
    expect_replaced("/stale-reset", 1);
    expect_replaced("/stale", 4);
}

/* Q22. */
static void a_kept_connection_that_fails_early_is_replaced_once(void **state)
{
    (void)state;
    run_alone("test", use_stale, NULL);
}

static void use_stale_with_pieces(void *arg)
{
    static struct pieces s = {.total = 1000};
    struct fetch_source source = {
        .length = 1000, .next = next_piece, .rewind = rewind_pieces, .ctx = &s};
    struct ask how = {.door = "http", .path = "/stale", .request = {.source = &source}};
    struct fetch_pool *p = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;

    (void)arg;
    assert_int_equal(ask_path(p, "/stale", &a, &answer, &why).code, OK);
    assert_int_equal(ask(p, how, &a, &answer, &why).code, OK);
    assert_true(answer.was_sent_again);
    assert_int_equal(s.rewinds, 1);
    expect_says(answer.body, "\"length\": 1000");
    fetch_pool_free(p, WHEN_NEVER);
}

static void a_body_in_pieces_begins_again_too(void **state)
{
    (void)state;
    run_alone("test", use_stale_with_pieces, NULL);
}

static void begin_an_answer(void *arg)
{
    struct fetch_pool *p = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;

    (void)arg;
    assert_int_equal(ask_path(p, "/stale-line", &a, &answer, &why).code, OK);
    assert_int_equal(ask_path(p, "/stale-line", &a, &answer, &why).code, ERR_CLOSED);
    assert_int_equal(fetch_pool_counts(p).sent_again, 0);
    fetch_pool_free(p, WHEN_NEVER);
}

static void a_line_of_an_answer_is_an_answer(void **state)
{
    (void)state;
    run_alone("test", begin_an_answer, NULL);
}

static void fresh_fails(void *arg)
{
    struct fetch_pool *p = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;
    unsigned met = count_of(p, "requests");

    (void)arg;
    fetch_pool_free(p, WHEN_NEVER);
    p = open_plain();
    assert_int_equal(ask_path(p, "/close", &a, &answer, &why).code, ERR_CLOSED);
    assert_int_equal(fetch_pool_counts(p).sent_again, 0);
    assert_int_equal(count_of(p, "requests") - met, 2); /* once, and this question */
    fetch_pool_free(p, WHEN_NEVER);
}

static void a_fresh_connection_that_fails_is_not_tried_again(void **state)
{
    (void)state;
    run_alone("test", fresh_fails, NULL);
}

static void rest_long(void *arg)
{
    struct fetch_pool *p = open_pool((struct fetch_pool_options){.idle_ms = 1000});
    struct fetch_pool *other = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;

    (void)arg;
    assert_int_equal(ask_path(p, "/echo", &a, &answer, &why).code, OK);
    assert_int_equal(count_of(other, "open"), 2);
    while (count_of(other, "open") > 1) {
        (void)fiber_sleep(when_after(20), WHEN_NEVER);
    }
    assert_int_equal(ask_path(p, "/echo", &a, &answer, &why).code, OK);
    expect_says(answer.body, "\"served\": 0");
    assert_int_equal(fetch_pool_counts(p).opened, 2);
    fetch_pool_free(p, WHEN_NEVER);
    fetch_pool_free(other, WHEN_NEVER);
}

static void connections_of_a_pool_that_rests_are_closed(void **state)
{
    (void)state;
    run_alone("test", rest_long, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: it counts the server's connections. */
        cmocka_unit_test(connections_of_a_pool_that_rests_are_closed),
        cmocka_unit_test(a_connection_serves_one_call_after_another),
        cmocka_unit_test(a_kept_connection_that_fails_early_is_replaced_once),
        cmocka_unit_test(a_body_in_pieces_begins_again_too),
        cmocka_unit_test(a_line_of_an_answer_is_an_answer),
        cmocka_unit_test(a_fresh_connection_that_fails_is_not_tried_again),
    };

    return cmocka_run_group_tests(tests, start_hostile, stop_hostile);
}
