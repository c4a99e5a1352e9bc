#include "../unit.h"
#include "base/check.h"
#include "cli/show.h"

static const struct date now = {1772532000000}; /* 2026-03-03T10:00:00Z */

static void dates_say_how_far_away_they_are(void **state)
{
    static const struct {
        int64_t away_ms;
        const char *want;
    } rows[] = {
        {0, "2026-03-03 10:00:00 (in 0ms)"},
        {500, "2026-03-03 10:00:00 (in 500ms)"},
        {90 * 1000, "2026-03-03 10:01:30 (in 90s)"},
        {-300 * 1000, "2026-03-03 09:55:00 (5m ago)"},
        {3 * 3600 * 1000, "2026-03-03 13:00:00 (in 3h0m)"},
        {-50LL * 3600 * 1000, "2026-03-01 08:00:00 (2d2h ago)"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out BUF_LOCAL = {0};

        show_date((struct date){now.ms + rows[i].away_ms}, now, &out);
        EXPECT_STR(buf_str(&out), rows[i].want);
    }
    {
        struct buf out BUF_LOCAL = {0};

        show_date(DATE_NEVER, now, &out);
        EXPECT_STR(buf_str(&out), "?");
    }
}

static void what_strangers_sent_cannot_steer_the_terminal(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"plain", "plain"},       {"a\x1b[2Jb\r\nc\x7f", "a?[2Jb??c?"},
        {"\xc2\x9b[2J", "?[2J"},  {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xc2\xa0", "\xc2\xa0"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out BUF_LOCAL = {0};

        show_text(str_of(rows[i].in), &out);
        EXPECT_STR(buf_str(&out), rows[i].want);
    }
}

static struct view_rcpt to[] = {
    {.address = STR_INIT("x@a.example"),
     .status = STR_INIT("waiting"),
     .queue = STR_INIT("remote"),
     .attempts = 2,
     .waits = true,
     .reason = STR_INIT("not-due"),
     .says = STR_INIT("its next attempt is later"),
     .since = {1772531880000},
     .until = {1772532420000},
     .next = {1772532420000},
     .was_tried = true,
     .last_error = STR_INIT("unexpected-reply"),
     .last_code = 451,
     .last_status = STR_INIT("4.3.0"),
     .last_text = STR_INIT("busy"),
     .last_host = STR_INIT("mx.a.example"),
     .last_at = {1772531880000}},
    {.address = STR_INIT("y@b.example"), .status = STR_INIT("delivered")},
};
static const struct view_message message = {.id = STR_INIT("0123456789abcdef"),
                                            .arrived = {1772531700000},
                                            .sender = STR_INIT(""),
                                            .size = 4711,
                                            .to = to,
                                            .to_count = 2,
                                            .to_all = 2};

static void a_row_has_a_line_for_each_recipient(void **state)
{
    struct buf out BUF_LOCAL = {0};

    (void)state;
    show_row(&message, now, &out);
    EXPECT_STR(buf_str(&out),
               "0123456789abcdef  <>  4711 bytes, arrived 2026-03-03 09:55:00 (5m ago)\n"
               "    x@a.example  remote  2 tries  not-due until 2026-03-03 10:07:00 (in 7m)  "
               "mx.a.example said 451 4.3.0 busy\n"
               "    y@b.example  delivered\n");
}

static void why_tells_reason_since_when_and_until_when(void **state)
{
    struct buf out BUF_LOCAL = {0};

    (void)state;
    show_why(&message, now, &out);
    EXPECT_STR(buf_str(&out), "x@a.example waits in queue remote\n"
                              "    not-due: its next attempt is later\n"
                              "    since          2026-03-03 09:58:00 (2m ago)\n"
                              "    until          2026-03-03 10:07:00 (in 7m)\n"
                              "    last time      mx.a.example said 451 4.3.0 busy\n"
                              "y@b.example does not wait: delivered\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_say_how_far_away_they_are),
        cmocka_unit_test(what_strangers_sent_cannot_steer_the_terminal),
        cmocka_unit_test(a_row_has_a_line_for_each_recipient),
        cmocka_unit_test(why_tells_reason_since_when_and_until_when),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
