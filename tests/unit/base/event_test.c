#include "../unit.h"
#include "base/err.h"
#include "base/event.h"

#include <time.h>

EVENT_DEFINE(test_happened, WARN, "a test happened")

static void an_event_is_one_line_whatever_a_stranger_sent(void **state)
{
    struct event_field fields[] = {f_message(0x1234), f_rcpt(STR("a\r\n\"\xff@b")), f_size(-5),
                                   f_next(DATE_NEVER)};
    struct buf out = {0};

    event_json(&out, (struct date){1772532000123}, &ev_test_happened, fields, 4);
    EXPECT_STR(buf_str(&out), "{\"date\":\"2026-03-03T10:00:00.123Z\",\"level\":\"warn\","
                              "\"event\":\"test_happened\",\"message\":\"0000000000001234\","
                              "\"rcpt\":\"a\\u000d\\n\\\"\xef\xbf\xbd@b\",\"size\":-5,"
                              "\"next\":null}");
    buf_clear(&out);
    event_text(&out, (struct date){1772532000123}, &ev_test_happened, fields, 4);
    EXPECT_STR(buf_str(&out), "10:00:00.123 warn  test_happened message=0000000000001234 "
                              "rcpt=a\\x0d\\x0a\"\\xff@b size=-5 next=never");
    buf_done(&out);
    (void)state;
}

/* Each byte, at each place of runs of all lengths that words of eight bytes can meet; and two of
 * them, since the first must be found whatever stands behind it. */
static void plain_runs_end_at_the_first_byte_that_is_not_plain(void **state)
{
    enum { RUN_MAX = 26 };

    for (unsigned byte = 0; byte < 256; byte++) {
        bool is_plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';

        for (size_t len = 1; len <= RUN_MAX; len++) {
            for (size_t at = 0; at < len; at++) {
                char text[RUN_MAX] = {0};

                memset(text, at % 2 ? ' ' : '~', len);
                text[at] = (char)byte;
                assert_int_equal(json_plain(str_make(text, len)), is_plain ? len : at);
                text[len - 1] = '\n';
                assert_int_equal(json_plain(str_make(text, len)), is_plain ? len - 1 : at);
            }
        }
    }
    assert_int_equal(json_plain(STR_EMPTY), 0);
    (void)state;
}

static void json_text_is_right_around_the_edges_of_runs(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"\xc3\xbc", "\xc3\xbc"},
        {"\xff", "\xef\xbf\xbd"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xe2\x82\xac", "\xe2\x82\xac"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"", "\\\""},
        {"\\", "\\\\"},
        {"\n", "\\n"},
        {"\x7f", "\\u007f"},
        {"\x01", "\\u0001"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int before = 0; before <= 17; before++) {
            for (int after = 0; after <= 17; after++) {
                static const char run[] = "plain text of the";
                char in[64], want[64];
                struct buf out BUF_LOCAL = {0};

                snprintf(in, sizeof in, "%.*s%s%.*s", before, run, rows[i].in, after, run);
                snprintf(want, sizeof want, "\"%.*s%s%.*s\"", before, run, rows[i].out, after, run);
                json_str(&out, str_of(in));
                EXPECT_STR(buf_str(&out), want);
            }
        }
    }
    (void)state;
}

static void dates_and_errors_read_well(void **state)
{
    char at[DATE_MAIL_BYTES], line[64];

    EXPECT_STR(date_mail((struct date){1772532000123}, at), "Tue, 03 Mar 2026 10:00:00 +0000");
    EXPECT_STR(err_say(err_sys(ERR_NETWORK, 111), line, sizeof line),
               "network error: Connection refused");
    assert_string_equal(err_name(ERR_TIMEOUT), "TIMEOUT");
    assert_true(when_is_never(when_add(WHEN_NEVER, -5)));
    assert_true(date_is_never(date_add((struct date){INT64_MAX - 1}, 5)));
    (void)state;
}

static void dates_agree_with_the_c_library_on_each_day(void **state)
{
    const int64_t day_ms = 86400 * 1000, years_10000_ms = 253402300800000;

    for (int64_t ms = 0, step = 1; ms < years_10000_ms; ms += day_ms + 61 * 1000 * step++ % 3600) {
        char mail[DATE_MAIL_BYTES], iso[DATE_ISO_BYTES], want[64], whole[80];
        time_t s = ms / 1000;
        struct tm tm;

        gmtime_r(&s, &tm);
        strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S +0000", &tm);
        EXPECT_STR(date_mail((struct date){ms}, mail), want);
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(whole, sizeof whole, "%s.%03dZ", want, (int)(ms % 1000));
        EXPECT_STR(date_iso((struct date){ms}, iso), whole);
        ms += ms > (int64_t)500 * 365 * day_ms ? 40 * day_ms : 0;
    }
    (void)state;
}

static void a_date_beyond_the_calendar_is_shown_as_its_end(void **state)
{
    char at[DATE_MAIL_BYTES];

    EXPECT_STR(date_mail((struct date){-1}, at), "Thu, 01 Jan 1970 00:00:00 +0000");
    EXPECT_STR(date_mail(DATE_NEVER, at), "Fri, 31 Dec 9999 23:59:59 +0000");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_one_line_whatever_a_stranger_sent),
        cmocka_unit_test(plain_runs_end_at_the_first_byte_that_is_not_plain),
        cmocka_unit_test(json_text_is_right_around_the_edges_of_runs),
        cmocka_unit_test(dates_and_errors_read_well),
        cmocka_unit_test(dates_agree_with_the_c_library_on_each_day),
        cmocka_unit_test(a_date_beyond_the_calendar_is_shown_as_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
