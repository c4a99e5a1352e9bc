#include "../unit.h"
#include "hooks/milter_wire.h"

/* Bytes with NUL inside as a str. */
#define B(literal) str_make("" literal, sizeof(literal) - 1)

static void commands_have_the_bytes_of_the_protocol(void **state)
{
    struct milter_terms offer = milter_offer(6), old = milter_offer(2);
    struct milter_macro macros[] = {{STR("i"), STR("abc")}, {STR("{mail_addr}"), STR("a@b")}};
    struct str mail[] = {STR("<a@b>"), STR("SIZE=7")}, header[] = {STR("To"), B("x\0y\n z")};
    struct addr v4 = {.family = 4, .port = 0x1234, .ip = {192, 0, 2, 1}};
    struct addr v6 = {.family = 6, .port = 25, .ip = {0x20, 1, 0xd, 0xb8, [15] = 1}};
    struct addr none = {.family = 0};
    struct buf out BUF_LOCAL = {0};

    (void)state;
    milter_put_offer(&out, &offer);
    milter_put_offer(&out, &old);
    milter_put_macros(&out, MILTER_MAIL, macros, 2);
    milter_put_macros(&out, MILTER_MAIL, macros, 0);
    milter_put_connect(&out, STR("a.example"), &v4);
    milter_put_connect(&out, STR("b"), &v6);
    milter_put_connect(&out, STR("c"), &none);
    milter_put_texts(&out, MILTER_MAIL, mail, 2);
    milter_put_texts(&out, MILTER_HEADER, header, 2);
    milter_put_bare(&out, MILTER_END);
    milter_put_body_head(&out, 65535);
    assert_true(str_eq(buf_str(&out), B("\0\0\0\15O\0\0\0\6\0\0\1\xff\x30\x1f\xff\xff"
                                        "\0\0\0\15O\0\0\0\2\0\0\0\x3f\0\0\0\x7f"
                                        "\0\0\0\30DMi\0abc\0{mail_addr}\0a@b\0"
                                        "\0\0\0\30Ca.example\0"
                                        "4\x12\x34"
                                        "192.0.2.1\0"
                                        "\0\0\0\22Cb\0"
                                        "6\0\31"
                                        "2001:db8::1\0"
                                        "\0\0\0\4Cc\0U"
                                        "\0\0\0\16M<a@b>\0SIZE=7\0"
                                        "\0\0\0\13LTo\0x?y\n z\0"
                                        "\0\0\0\1E"
                                        "\0\1\0\0B")));
}

static void a_length_that_no_packet_has_is_told(void **state)
{
    static const struct {
        struct str head;
        uint32_t bytes; /* 0: none */
    } cases[] = {
        {STR_INIT("\0\0\0\1"), 1},         {STR_INIT("\0\1\0\0"), 65536},
        {STR_INIT("\0\x10\0\0"), 1048576}, {STR_INIT("\0\x10\0\1"), 0},
        {STR_INIT("\0\0\0\0"), 0},         {STR_INIT("\xff\xff\xff\xff"), 0},
        {STR_INIT("\x80\0\0\1"), 0},       {STR_INIT("HTTP"), 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t got = 0;

        assert_int_equal(milter_packet_bytes(cases[i].head.ptr, &got), cases[i].bytes != 0);
        assert_int_equal(got, cases[i].bytes);
    }
}

static void replies_are_read_whole_or_not_at_all(void **state)
{
    static const struct {
        struct str packet;
        bool is_good;
        uint32_t index;
        struct str name, value;
    } cases[] = {
        {STR_INIT("c"), true, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("a"), true, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("s"), true, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("4"), true, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("f"), true, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("p"), true, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("c\0"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("y550 no\0"), true, 0, STR_INIT(""), STR_INIT("550 no")},
        {STR_INIT("y550 no"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("y550 no\0x\0"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("h"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("hX\0"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("hX\0v\0"), true, 0, STR_INIT("X"), STR_INIT("v")},
        {STR_INIT("hX\0v"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("hX\0\0"), true, 0, STR_INIT("X"), STR_INIT("")},
        {STR_INIT("i\0\0\0\2X\0v\0"), true, 2, STR_INIT("X"), STR_INIT("v")},
        {STR_INIT("i\0\0\2"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("m\xff\xff\xff\xffX\0\0"), true, 0xffffffff, STR_INIT("X"), STR_INIT("")},
        {STR_INIT("m\0\0"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("+<a@b>\0"), true, 0, STR_INIT("<a@b>"), STR_INIT("")},
        {STR_INIT("+<a@b>\0x\0"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("-<a@b>\0"), true, 0, STR_INIT("<a@b>"), STR_INIT("")},
        {STR_INIT("2<a@b>\0"), true, 0, STR_INIT("<a@b>"), STR_INIT("")},
        {STR_INIT("2<a@b>\0N=1\0"), true, 0, STR_INIT("<a@b>"), STR_INIT("N=1")},
        {STR_INIT("2<a@b>\0N=1"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("e<>\0"), true, 0, STR_INIT("<>"), STR_INIT("")},
        {STR_INIT("e\0S=1\0"), true, 0, STR_INIT(""), STR_INIT("S=1")},
        {STR_INIT("b"), true, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("bx\0y"), true, 0, STR_INIT(""), STR_INIT("x\0y")},
        {STR_INIT("qbad\0"), true, 0, STR_INIT(""), STR_INIT("bad")},
        {STR_INIT("O\0\0\0\6\0\0\0\0\0\0\0\0"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("Z"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT("\0"), false, 0, STR_INIT(""), STR_INIT("")},
        {STR_INIT(""), false, 0, STR_INIT(""), STR_INIT("")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct milter_reply r = {.word = MILTER_TERMS};
        const char *why = NULL;
        struct err e = milter_decode(cases[i].packet, &r, &why);

        if ((e.code == OK) != cases[i].is_good) {
            fail_msg("case %zu: %s", i, err_name(e.code));
        }
        if (!cases[i].is_good) {
            assert_int_equal(e.code, ERR_PROTOCOL);
            assert_int_equal(r.word, MILTER_TERMS);
            assert_non_null(why);
            continue;
        }
        assert_int_equal(e.code, OK);
        assert_int_equal(r.word, cases[i].packet.ptr[0]);
        assert_int_equal(r.index, cases[i].index);
        assert_true(str_eq(r.name, cases[i].name));
        assert_true(str_eq(r.value, cases[i].value));
    }
}

static void terms_are_what_was_offered_or_less(void **state)
{
    static const struct {
        struct str packet;
        uint32_t offered;
        bool is_good;
        uint32_t data;
    } cases[] = {
        {STR_INIT("O\0\0\0\6\0\0\1\xff\0\x1f\xff\xff"), 6, true, 65535},
        {STR_INIT("O\0\0\0\6\0\0\0\0\0\0\0\0"), 6, true, 65535},
        {STR_INIT("O\0\0\0\2\0\0\0\x3f\0\0\0\x7f"), 6, true, 65535},
        {STR_INIT("O\0\0\0\2\0\0\0\x3f\0\0\0\x7f"), 2, true, 65535},
        {STR_INIT("O\0\0\0\6\0\0\0\0\x10\0\0\0"), 6, true, 262143},
        {STR_INIT("O\0\0\0\6\0\0\0\0\x30\0\0\0"), 6, true, 1048575},
        {STR_INIT("O\0\0\0\6\0\0\0\0\0\0\0\0"), 2, false, 0},
        {STR_INIT("O\0\0\0\7\0\0\0\0\0\0\0\0"), 6, false, 0},
        {STR_INIT("O\0\0\0\1\0\0\0\0\0\0\0\0"), 6, false, 0},
        {STR_INIT("O\0\0\0\2\0\0\0\x7f\0\0\0\0"), 2, false, 0},
        {STR_INIT("O\0\0\0\6\0\0\2\0\0\0\0\0"), 6, false, 0},
        {STR_INIT("O\0\0\0\6\0\0\0\0\x40\0\0\0"), 6, false, 0},
        {STR_INIT("O\0\0\0\6\0\0\0\0\0\0\0"), 6, false, 0},
        {STR_INIT("O\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\2i"), 6, false, 0},
        {STR_INIT("O\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\7i\0"), 6, false, 0},
        {STR_INIT("c"), 6, false, 0},
        {STR_INIT("O"), 6, false, 0},
        {STR_INIT(""), 6, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a ARENA_LOCAL = {0};
        struct milter_terms offer = milter_offer(cases[i].offered), t = {.version = 99};
        const char *why = NULL;
        struct err e = milter_decode_terms(cases[i].packet, &offer, &a, &t, &why);

        assert_int_equal(e.code, cases[i].is_good ? OK : ERR_PROTOCOL);
        if (cases[i].is_good) {
            assert_int_equal(t.data_bytes_max, cases[i].data);
        } else {
            assert_int_equal(t.version, 99);
            assert_non_null(why);
        }
    }
}

static void lists_of_symbols_are_kept_by_place(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct milter_terms offer = milter_offer(6), t;
    const char *why;

    (void)state;
    assert_int_equal(
        milter_decode_terms(B("O\0\0\0\6\0\0\1\0\0\0\0\0\0\0\0\0j {client_addr}\0\0\0\0\5i\0"),
                            &offer, &a, &t, &why)
            .code,
        OK);
    assert_int_equal(t.has_symbols, 1u << MILTER_AT_CONNECT | 1u << MILTER_AT_END);
    EXPECT_STR(t.symbols[MILTER_AT_CONNECT], "j {client_addr}");
    EXPECT_STR(t.symbols[MILTER_AT_END], "i");
}

static void the_text_of_a_reply_cannot_end_its_line(void **state)
{
    static const struct {
        const char *text;
        unsigned code; /* 0: bad */
        struct enhanced esc;
        const char *said;
    } cases[] = {
        {"550 5.7.1 no", 550, {5, 7, 1}, "no"},
        {"451 4.7.1 later", 451, {4, 7, 1}, "later"},
        {"550 no", 550, {0}, "no"},
        {"550", 550, {0}, ""},
        {"550 5.7.1", 550, {5, 7, 1}, ""},
        {"550 4.7.1 no", 550, {0}, "4.7.1 no"},
        {"550 5.7 no", 550, {0}, "5.7 no"},
        {"550 5.7.1234 no", 550, {0}, "5.7.1234 no"},
        {"550-5.7.1 one\r\n550 5.7.1 two\r\n", 550, {5, 7, 1}, "one two"},
        {"550-one\n550-\n550 two", 550, {0}, "one two"},
        {"421 4.3.2 bye", 421, {4, 3, 2}, "bye"},
        {"550 100%% sure", 550, {0}, "100% sure"},
        {"550 a\tb\x01\x7f", 550, {0}, "a b  "},
        {"550 a\rb", 550, {0}, "a b"},
        {"250 fine", 0, {0}, ""},
        {"354 go on", 0, {0}, ""},
        {"650 what", 0, {0}, ""},
        {"55 what", 0, {0}, ""},
        {"5500 what", 0, {0}, ""},
        {"550-one\r\n451 two", 0, {0}, ""},
        {"550 one\r\n250 two", 0, {0}, ""},
        {"550 one\r\nMAIL FROM:<x>", 0, {0}, ""},
        {"no", 0, {0}, ""},
        {"", 0, {0}, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a ARENA_LOCAL = {0};
        struct hook_reply r = {.code = 0};
        const char *why = NULL;
        struct err e = milter_decode_reply(str_of(cases[i].text), &a, &r, &why);

        if (cases[i].code == 0) {
            assert_int_equal(e.code, ERR_PROTOCOL);
            continue;
        }
        assert_int_equal(e.code, OK);
        assert_int_equal(r.code, cases[i].code);
        assert_int_equal(r.esc.class, cases[i].esc.class);
        assert_int_equal(r.esc.subject, cases[i].esc.subject);
        assert_int_equal(r.esc.detail, cases[i].esc.detail);
        EXPECT_STR(r.text, cases[i].said);
    }
}

static void an_edit_needs_its_right(void **state)
{
    static const struct {
        enum milter_word word;
        unsigned right; /* 0: no edit */
    } cases[] = {
        {MILTER_ADD_HEADER, MILTER_MAY_ADD_HEADERS},
        {MILTER_INSERT_HEADER, MILTER_MAY_ADD_HEADERS},
        {MILTER_CHANGE_HEADER, MILTER_MAY_CHANGE_HEADERS},
        {MILTER_REPLACE_BODY, MILTER_MAY_CHANGE_BODY},
        {MILTER_ADD_RCPT, MILTER_MAY_ADD_RCPT},
        {MILTER_ADD_RCPT_PARAMS, MILTER_MAY_ADD_RCPT_PARAMS},
        {MILTER_DELETE_RCPT, MILTER_MAY_DELETE_RCPT},
        {MILTER_CHANGE_SENDER, MILTER_MAY_CHANGE_SENDER},
        {MILTER_QUARANTINE, MILTER_MAY_QUARANTINE},
        {MILTER_CONTINUE, 0},
        {MILTER_REPLY, 0},
        {MILTER_PROGRESS, 0},
        {MILTER_TERMS, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum milter_right right = 0;

        assert_int_equal(milter_word_is_edit(cases[i].word, &right), cases[i].right != 0);
        assert_int_equal(right, cases[i].right);
        assert_string_not_equal(milter_word_name(cases[i].word), "?");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_have_the_bytes_of_the_protocol),
        cmocka_unit_test(a_length_that_no_packet_has_is_told),
        cmocka_unit_test(replies_are_read_whole_or_not_at_all),
        cmocka_unit_test(terms_are_what_was_offered_or_less),
        cmocka_unit_test(lists_of_symbols_are_kept_by_place),
        cmocka_unit_test(the_text_of_a_reply_cannot_end_its_line),
        cmocka_unit_test(an_edit_needs_its_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
