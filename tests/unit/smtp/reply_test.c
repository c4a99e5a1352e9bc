#include "../unit.h"
#include "smtp/reply.h"

#include <stdlib.h>

static void a_reply_is_lines_of_one_code(void **state)
{
    static const struct {
        struct str in;
        enum reply_state want;
        unsigned code, class, subject, detail;
        const char *text;
        size_t used;
    } rows[] = {
        {STR_INIT("250 ok\r\n"), REPLY_WHOLE, 250, 0, 0, 0, "ok", 8},
        {STR_INIT("250 ok\n"), REPLY_WHOLE, 250, 0, 0, 0, "ok", 7},
        {STR_INIT("250\r\n"), REPLY_WHOLE, 250, 0, 0, 0, "", 5},
        {STR_INIT("250 \r\n"), REPLY_WHOLE, 250, 0, 0, 0, "", 6},
        {STR_INIT("250 2.1.5 fine\r\n250 more"), REPLY_WHOLE, 250, 2, 1, 5, "fine", 16},
        {STR_INIT("550 5.1.1\r\n"), REPLY_WHOLE, 550, 5, 1, 1, "", 11},
        {STR_INIT("550 5.7.133 no\r\n"), REPLY_WHOLE, 550, 5, 7, 133, "no", 16},
        {STR_INIT("550-5.7.1 go\r\n550 5.7.1 away\r\n"), REPLY_WHOLE, 550, 5, 7, 1, "go\naway", 30},
        {STR_INIT("550-first\r\n550 5.7.1 then\r\n"), REPLY_WHOLE, 550, 5, 7, 1, "first\nthen", 27},
        /* Not an enhanced code, or not of this reply. */
        {STR_INIT("250 5.1.1 x\r\n"), REPLY_WHOLE, 250, 0, 0, 0, "5.1.1 x", 13},
        {STR_INIT("450 4.1234.1 x\r\n"), REPLY_WHOLE, 450, 0, 0, 0, "4.1234.1 x", 16},
        {STR_INIT("450 4.1 x\r\n"), REPLY_WHOLE, 450, 0, 0, 0, "4.1 x", 11},
        {STR_INIT("450 4.1.1, x\r\n"), REPLY_WHOLE, 450, 0, 0, 0, "4.1.1, x", 14},
        /* Strange bytes. */
        {STR_INIT("550 a\0b\x1b[2J\x7f\r\n"), REPLY_WHOLE, 550, 0, 0, 0, "a?b?[2J?", 14},
        {STR_INIT("550 caf\xc3\xa9\r\n"), REPLY_WHOLE, 550, 0, 0, 0, "caf\xc3\xa9", 11},
        {STR_INIT("550 caf\xe9\r\n"), REPLY_WHOLE, 550, 0, 0, 0, "caf?", 10},
        {STR_INIT("550 a\rb\r\n"), REPLY_WHOLE, 550, 0, 0, 0, "a?b", 9},
        /* More is needed. */
        {STR_INIT(""), REPLY_PART, 0, 0, 0, 0, "", 0},
        {STR_INIT("250 ok\r"), REPLY_PART, 0, 0, 0, 0, "", 0},
        {STR_INIT("250-ok\r\n"), REPLY_PART, 0, 0, 0, 0, "", 8},
        {STR_INIT("250-ok\r\n25"), REPLY_PART, 0, 0, 0, 0, "", 8},
        /* Not a reply. */
        {STR_INIT("\r\n"), REPLY_BAD, 0, 0, 0, 0, "", 2},
        {STR_INIT("25 ok\r\n"), REPLY_BAD, 0, 0, 0, 0, "", 7},
        {STR_INIT("150 ok\r\n"), REPLY_BAD, 0, 0, 0, 0, "", 8},
        {STR_INIT("650 ok\r\n"), REPLY_BAD, 0, 0, 0, 0, "", 8},
        {STR_INIT("250_ok\r\n"), REPLY_BAD, 0, 0, 0, 0, "", 8},
        {STR_INIT("2500 ok\r\n"), REPLY_BAD, 0, 0, 0, 0, "", 9},
        {STR_INIT("HTTP/1.1 400 Bad\r\n"), REPLY_BAD, 0, 0, 0, 0, "", 18},
        {STR_INIT("250-a\r\n251 b\r\n"), REPLY_BAD, 0, 0, 0, 0, "", 14},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reply_parser p = {0};
        struct reply r = {0};
        size_t used;

        assert_int_equal(reply_parse(&p, rows[i].in, &used, &r), rows[i].want);
        assert_int_equal(used, rows[i].used);
        assert_int_equal(r.code, rows[i].code);
        assert_int_equal(r.esc.class, rows[i].class);
        assert_int_equal(r.esc.subject, rows[i].subject);
        assert_int_equal(r.esc.detail, rows[i].detail);
        EXPECT_STR(r.text, rows[i].text);
        assert_true((rows[i].want == REPLY_BAD) == (p.fault != NULL));
        reply_parser_done(&p);
    }
    (void)state;
}

static void replies_are_read_one_after_the_other_however_they_are_cut(void **state)
{
    static const struct str in = STR_INIT("250-5.1 one\r\n250 two\r\n354 go\r\n550 5.1.1 no\r\n");

    for (size_t step = 1; step < in.len; step++) {
        struct reply_parser p = {0};
        struct reply r[4];
        size_t taken = 0, seen = 0, count = 0, used;

        while (seen < in.len) {
            enum reply_state s;

            seen = seen + step < in.len ? seen + step : in.len;
            do {
                s = reply_parse(&p, str_make(in.ptr + taken, seen - taken), &used, &r[count]);
                assert_int_not_equal(s, REPLY_BAD);
                taken += used;
                if (s == REPLY_WHOLE) {
                    static const char *const texts[] = {"5.1 one\ntwo", "go", "no"};

                    EXPECT_STR(r[count].text, texts[count]);
                    count++;
                }
            } while (s == REPLY_WHOLE);
        }
        assert_int_equal(count, 3);
        assert_int_equal(taken, in.len);
        assert_int_equal(r[2].esc.detail, 1);
        assert_int_equal(r[1].esc.class, 0);
        reply_parser_done(&p);
    }
    (void)state;
}

static void replies_without_end_are_refused(void **state)
{
    static char line[REPLY_LINE_BYTES_MAX];
    struct reply_parser p = {0};
    struct reply r;
    size_t used;

    memset(line, '2', sizeof line);
    assert_int_equal(reply_parse(&p, str_make(line, sizeof line - 1), &used, &r), REPLY_PART);
    assert_int_equal(reply_parse(&p, str_make(line, sizeof line), &used, &r), REPLY_BAD);
    reply_parser_done(&p);
    for (int i = 0; i < REPLY_LINES_MAX; i++) {
        assert_int_equal(reply_parse(&p, STR("250-more than anybody wants to know\r\n"), &used, &r),
                         REPLY_PART);
    }
    assert_int_equal(reply_parse(&p, STR("250 end\r\n"), &used, &r), REPLY_BAD);
    assert_true(p.text.len <= REPLY_TEXT_BYTES_MAX);
    reply_parser_done(&p);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_is_lines_of_one_code),
        cmocka_unit_test(replies_are_read_one_after_the_other_however_they_are_cut),
        cmocka_unit_test(replies_without_end_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
