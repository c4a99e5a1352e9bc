#include "../unit.h"
#include "base/check.h"
#include "cli/sendmail.h"

enum { WORDS_MAX = 10 };

static struct str read_line(const char *line, struct arena *a)
{
    struct sendmail s;
    struct buf out = {0}, why = {0};
    char *argv[WORDS_MAX + 1] = {0};
    int argc = 0;
    struct str all = str_of(line), word, ret;

    while (str_cut(&all, ' ', &word) || word.len > 0) {
        must(argc < WORDS_MAX);
        argv[argc++] = arena_z(a, word);
    }
    if (!sendmail_read(argc, argv, a, &s, &why)) {
        ret = arena_printf(a, "no: %.*s", STR_ARG(buf_str(&why)));
        buf_done(&why);
        return ret;
    }
    buf_printf(&out, "%s%s", s.from_fields ? "t" : "", s.ignore_dots ? "i" : "");
    if (s.from.ptr != NULL) {
        buf_printf(&out, " f=%.*s", STR_ARG(s.from));
    }
    if (s.name.ptr != NULL) {
        buf_printf(&out, " F=%.*s", STR_ARG(s.name));
    }
    for (size_t i = 0; i < s.to.count; i++) {
        buf_printf(&out, " %.*s", STR_ARG(s.to.items[i]));
    }
    ret = arena_dup(a, buf_str(&out));
    buf_done(&out);
    return ret;
}

static void programs_may_call_it_as_they_are_used_to(void **state)
{
    static const struct {
        const char *line, *want;
    } rows[] = {
        {"sendmail a@b", " a@b"},
        {"sendmail -t -i", "ti"},
        {"sendmail -ti", "ti"},
        {"sendmail -t -oi -f x@y", "ti f=x@y"},
        {"sendmail -fx@y -FName -- -a@b", " f=x@y F=Name -a@b"},
        {"sendmail -f <> a@b", " f=<> a@b"},
        {"sendmail -r x@y a@b", " f=x@y a@b"},
        {"sendmail -oem -odb -B8BITMIME -v -G -U a@b", " a@b"},
        {"sendmail -B 8BITMIME -h 3 -O x=y a@b", " a@b"},
        {"sendmail -bm a@b", " a@b"},
        {"sendmail -bs", "no: -bs: speak SMTP to the server's listener instead"},
        {"sendmail -bd", "no: this way of working is not offered: d"},
        {"sendmail -bp", "no: this way of working is not offered: p"},
        {"sendmail -q", "no: -q: there is no queue to run by hand; see postyard queue"},
        {"sendmail -q30m", "no: -q: there is no queue to run by hand; see postyard queue"},
        {"sendmail -f", "no: an argument is missing after -f"},
        {"sendmail -Z", "no: unknown option -Z"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};

        EXPECT_STR(read_line(rows[i].line, &a), rows[i].want);
    }
}

static void a_dot_alone_ends_the_message_unless_told_otherwise(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"a\r\n.\r\nb\r\n", "a\r\n"},   {".\r\nb", ""}, {"a\r\n..\r\nb\r\n", "a\r\n..\r\nb\r\n"},
        {"a.\r\nb\r\n", "a.\r\nb\r\n"}, {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        EXPECT_STR(sendmail_until_dot(str_of(rows[i].in)), rows[i].want);
    }
}

static void arguments_become_addresses(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"root", "root@h.example"}, {"<a@b>", "a@b"}, {"a@b", "a@b"}, {"<a>", "a@h.example"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};

        EXPECT_STR(sendmail_address(str_of(rows[i].in), STR("h.example"), &a), rows[i].want);
    }
}

static void nobody_is_named_twice(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct str left[] = {STR("a@b"), STR("a@b")}, right[] = {STR("c@d"), STR("a@b")};
    struct words to = {left, 2}, more = {right, 2};

    (void)state;
    sendmail_join(&to, &more, &a);
    assert_int_equal(to.count, 2);
    EXPECT_STR(to.items[0], "a@b");
    EXPECT_STR(to.items[1], "c@d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_may_call_it_as_they_are_used_to),
        cmocka_unit_test(a_dot_alone_ends_the_message_unless_told_otherwise),
        cmocka_unit_test(arguments_become_addresses),
        cmocka_unit_test(nobody_is_named_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
