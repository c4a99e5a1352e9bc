#include "../unit.h"
#include "smtp/command.h"

static void a_line_ends_with_cr_lf_and_nothing_else(void **state)
{
    static const struct {
        struct str in;
        enum line_state want;
        const char *line;
        size_t used;
        bool ended;
    } rows[] = {
        {STR_INIT("NOOP\r\n"), LINE_GOOD, "NOOP", 6, true},
        {STR_INIT("\r\n"), LINE_GOOD, "", 2, true},
        {STR_INIT("NOOP\r\nQUIT\r\n"), LINE_GOOD, "NOOP", 6, true},
        {STR_INIT("NOOP\r\nQU\nIT\r\n"), LINE_GOOD, "NOOP", 6, true},
        {STR_INIT(""), LINE_PART, "", 0, false},
        {STR_INIT("NOOP"), LINE_PART, "", 0, false},
        {STR_INIT("NOOP\r"), LINE_PART, "", 0, false},
        {STR_INIT("NOOP\n"), LINE_BARE, "", 5, true},
        {STR_INIT("\n"), LINE_BARE, "", 1, true},
        {STR_INIT("NO\rOP\r\n"), LINE_BARE, "", 7, true},
        {STR_INIT("NOOP\r\r\n"), LINE_BARE, "", 7, true},
        {STR_INIT("NO\0OP\r\n"), LINE_BARE, "", 7, true},
        {STR_INIT("NOOP 6789012345678\r\n"), LINE_GOOD, "NOOP 6789012345678", 20, true},
        {STR_INIT("NOOP 67890123456789\r\n"), LINE_LONG, "", 21, true},
        {STR_INIT("NOOP 678901234567890"), LINE_LONG, "", 20, false},
        {STR_INIT("NOOP 67890123456789\r"), LINE_LONG, "", 20, false},
        {STR_INIT("NOOP 6789012345678\r"), LINE_PART, "", 0, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str line = STR_EMPTY;
        size_t used;
        bool ended;

        assert_int_equal(line_find(rows[i].in, 20, &line, &used, &ended), rows[i].want);
        EXPECT_STR(line, rows[i].line);
        assert_int_equal(used, rows[i].used);
        assert_int_equal(ended, rows[i].ended);
    }
    (void)state;
}

static void a_command_is_a_word_and_its_argument(void **state)
{
    static const struct {
        const char *line;
        enum command command;
        const char *arg;
    } rows[] = {
        {"EHLO mx.example.org", COMMAND_EHLO, "mx.example.org"},
        {"ehlo  [127.0.0.1] ", COMMAND_EHLO, "[127.0.0.1]"},
        {"MAIL FROM:<a@b.example> SIZE=3", COMMAND_MAIL, "<a@b.example> SIZE=3"},
        {"mail from:<>", COMMAND_MAIL, "<>"},
        {"MAIL FROM: <a@b.example>", COMMAND_MAIL, " <a@b.example>"},
        {"RCPT TO:<a@b.example>", COMMAND_RCPT, "<a@b.example>"},
        {"RCPT TO:", COMMAND_RCPT, ""},
        {"QUIT \t ", COMMAND_QUIT, ""},
        {"NOOP anything at all", COMMAND_NOOP, "anything at all"},
        {"NOOP", COMMAND_NOOP, ""},
        {"bdat 12 last", COMMAND_BDAT, "12 last"},
        {"VRFY j\xc3\xb6rg", COMMAND_VRFY, "j\xc3\xb6rg"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct command_line c;
        enum answer_row why;

        assert_true(command_parse(str_of(rows[i].line), &c, &why));
        assert_int_equal(c.command, rows[i].command);
        EXPECT_STR(c.arg, rows[i].arg);
    }
    (void)state;
}

static void what_is_no_command_is_refused_with_its_reason(void **state)
{
    static const struct {
        const char *line;
        enum answer_row why;
    } rows[] = {
        {"", ANSWER_UNKNOWN},
        {" NOOP", ANSWER_UNKNOWN},
        {"\tNOOP", ANSWER_UNKNOWN},
        {"NOOPS", ANSWER_UNKNOWN},
        {"N\xc3\xb6\xc3\xb6p", ANSWER_UNKNOWN},
        {"MAILFROM:<a@b.example>", ANSWER_UNKNOWN},
        {"MAIL", ANSWER_ARG_FROM},
        {"MAIL TO:<a@b.example>", ANSWER_ARG_FROM},
        {"MAIL FROM <a@b.example>", ANSWER_ARG_FROM},
        {"MAIL FROM :<a@b.example>", ANSWER_ARG_FROM},
        {"RCPT FROM:<a@b.example>", ANSWER_ARG_TO},
        {"EHLO", ANSWER_ARG_NEEDED},
        {"EHLO \t", ANSWER_ARG_NEEDED},
        {"EHLO b\xc3\xbc"
         "cher.example",
         ANSWER_LINE_8BIT},
        {"NOOP \xff", ANSWER_LINE_8BIT},
        {"DATA now", ANSWER_ARG_NONE},
        {"STARTTLS please", ANSWER_ARG_NONE},
        {"BDAT", ANSWER_ARG_NEEDED},
        {"EXPN list", ANSWER_NOT_OFFERED},
        {"AUTH PLAIN AAAA", ANSWER_NOT_OFFERED},
        {"LHLO mx.example.org", ANSWER_NOT_OFFERED},
        {"GET / HTTP/1.1", ANSWER_FOREIGN},
        {"CONNECT mx:25 HTTP/1.0", ANSWER_FOREIGN},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct command_line c;
        enum answer_row why = ANSWER_COUNT;

        assert_false(command_parse(str_of(rows[i].line), &c, &why));
        assert_int_equal(why, rows[i].why);
    }
    (void)state;
}

static void bdat_needs_a_size_that_is_a_number(void **state)
{
    static const struct {
        const char *arg;
        bool good;
        uint64_t size;
        bool last;
    } rows[] = {
        {"0", true, 0, false},
        {"12", true, 12, false},
        {"12 LAST", true, 12, true},
        {"12   last", true, 12, true},
        {"18446744073709551615", true, UINT64_MAX, false},
        {"18446744073709551616", false, 0, false},
        {"000000000000000000012", false, 0, false},
        {"-1", false, 0, false},
        {"+1", false, 0, false},
        {"0x10", false, 0, false},
        {"12LAST", false, 0, false},
        {"12 LAST LAST", false, 0, false},
        {"12 FIRST", false, 0, false},
        {"LAST", false, 0, false},
        {"LAST 12", false, 0, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t size = 0;
        bool last = false;

        assert_int_equal(bdat_parse(str_of(rows[i].arg), &size, &last), rows[i].good);
        if (rows[i].good) {
            assert_true(size == rows[i].size);
            assert_int_equal(last, rows[i].last);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_ends_with_cr_lf_and_nothing_else),
        cmocka_unit_test(a_command_is_a_word_and_its_argument),
        cmocka_unit_test(what_is_no_command_is_refused_with_its_reason),
        cmocka_unit_test(bdat_needs_a_size_that_is_a_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
