#include "../unit.h"
#include "base/check.h"
#include "cli/follow.h"
#include "cli/top.h"

static void events_of_the_message_become_lines(void **state)
{
#define AT "{\"date\":\"2026-03-03T10:00:01.250Z\",\"event\":"
    static const struct {
        const char *json, *want; /* empty: not about it */
        bool failed;
    } rows[] = {
        {AT "\"message_accepted\",\"message\":\"00000000000000aa\",\"size\":4}",
         "10:00:01.250  accepted  ", false},
        {AT "\"delivery_done\",\"message\":\"00000000000000aa\",\"rcpt\":\"a@b\",\"host\":\"mx.b\","
            "\"code\":250,\"status\":\"2.0.0\",\"text\":\"Ok\"}",
         "10:00:01.250  delivered   a@b  mx.b: 250 2.0.0 Ok", false},
        {AT "\"delivery_deferred\",\"message\":\"00000000000000aa\",\"rcpt\":\"a@b\",\"host\":"
            "\"mx.b\",\"code\":0,\"text\":\"no\\u001b\",\"next\":\"2026-03-03T10:02:00.000Z\"}",
         "10:00:01.250  deferred    a@b  mx.b: no?; next attempt 10:02:00", false},
        {AT "\"delivery_failed\",\"message\":\"00000000000000aa\",\"rcpt\":\"a@b\"}",
         "10:00:01.250  failed      a@b", true},
        {AT "\"something_new\",\"message\":\"00000000000000aa\"}", "10:00:01.250  something_new",
         false},
        {AT "\"delivery_failed\",\"message\":\"00000000000000bb\"}", "", false},
        {AT "\"server_ready\"}", "", false},
        {"{\"event\":\"message_accepted\",\"message\":\"00000000000000aa\"}", "  accepted  ",
         false},
        {"not json", "", false},
    };
#undef AT
    struct str id[] = {STR("00000000000000aa")};
    const struct words ids = {id, 1};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf out BUF_LOCAL = {0};
        bool failed;

        assert_int_equal(follow_line(str_of(rows[i].json), &ids, &a, &out, &failed),
                         rows[i].want[0] != 0);
        EXPECT_STR(buf_str(&out), rows[i].want);
        assert_int_equal(failed, rows[i].failed);
    }
}

static void a_page_shows_counts_rates_and_queues(void **state)
{
    static const struct str first = STR_INIT("postyard_messages_accepted_total 10\n"),
                            second = STR_INIT("# HELP postyard_x y\n"
                                              "postyard_messages_accepted_total 30\n"
                                              "postyard_jobs 7\n"
                                              "postyard_queue_slots{queue=\"remote\"} 100\n"
                                              "postyard_queue_running{queue=\"remote\"} 3\n"
                                              "postyard_queue_due{queue=\"remote\"} 2\n"
                                              "nonsense\n"
                                              "postyard_bad x\n");
    struct arena a ARENA_LOCAL = {0};
    struct top_reading before, now;
    struct buf out BUF_LOCAL = {0};

    (void)state;
    top_read(first, &a, &before);
    top_read(second, &a, &now);
    assert_int_equal(now.count, 5);
    top_page(&now, &before, 2000, &out);
    assert_true(str_find_str(buf_str(&out), STR("accepted 30 (10.0/s)")) != STR_NONE);
    assert_true(str_find_str(buf_str(&out), STR("jobs        all 7  due 0")) != STR_NONE);
    assert_true(
        str_find_str(
            buf_str(&out),
            STR("remote                                100        3        0        2\n")) !=
        STR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_the_message_become_lines),
        cmocka_unit_test(a_page_shows_counts_rates_and_queues),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
