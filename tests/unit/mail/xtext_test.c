#include "../unit.h"
#include "mail/xtext.h"

static void xtext_is_decoded_or_refused(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } rows[] = {
        {"", ""},      {"abc", "abc"},     {"a+2Bb+3Dc", "a+b=c"}, {"+2b", "+"},    {"+20", " "},
        {"+0D", "\r"}, {"a+", NULL},       {"a+2", NULL},          {"a+2G", NULL},  {"a=b", NULL},
        {"a b", NULL}, {"\xc3\xa9", NULL}, {"+C3+A9", "\xc3\xa9"}, {"a\x7f", NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena ARENA_LOCAL = {0};
        struct str out;

        assert_int_equal(xtext_decode(str_of(rows[i].in), &arena, &out), rows[i].out != NULL);
        if (rows[i].out != NULL) {
            EXPECT_STR(out, rows[i].out);
        }
    }
    (void)state;
}

static void utf8_addresses_are_decoded_or_refused(void **state)
{
    static const struct {
        const char *in;
        bool raw;
        const char *out;
    } rows[] = {
        {"a@b", false, "a@b"},
        {"\\x{20AC}@b", false, "\xe2\x82\xac@b"},
        {"\\x{1f4ee}\\x{2B}", false, "\xf0\x9f\x93\xae+"},
        {"\\x{10FFFF}", false, "\xf4\x8f\xbf\xbf"},
        {"\\x{110000}", false, NULL},
        {"\\x{D800}", false, NULL},
        {"\\x{00}", false, NULL},
        {"\\x{5}", false, NULL},
        {"\\x{}", false, NULL},
        {"\\x{41", false, NULL},
        {"\\x41", false, NULL},
        {"a\\", false, NULL},
        {"a+b", false, NULL},
        {"a=b", false, NULL},
        {"a b", false, NULL},
        {"\xe2\x82\xac@b", true, "\xe2\x82\xac@b"},
        {"\xe2\x82\xac@b", false, NULL},
        {"\xe2\x82@b", true, NULL},
        {"\xe2\\x{82}", true, NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena ARENA_LOCAL = {0};
        struct str out;

        assert_int_equal(utf8_addr_decode(str_of(rows[i].in), rows[i].raw, &arena, &out),
                         rows[i].out != NULL);
        if (rows[i].out != NULL) {
            EXPECT_STR(out, rows[i].out);
        }
    }
    (void)state;
}

static void encoding_writes_what_may_not_stand(void **state)
{
    struct buf out BUF_LOCAL = {0};

    xtext_encode(&out, STR("a b+c=\xff\n"));
    EXPECT_STR(buf_str(&out), "a+20b+2Bc+3D+FF+0A");
    buf_clear(&out);
    utf8_addr_encode(&out, STR("a+\\\xe2\x82\xac\xf0\x9f\x93\xae\xc3\xa9"), false);
    EXPECT_STR(buf_str(&out), "a\\x{2B}\\x{5C}\\x{20AC}\\x{1F4EE}\\x{E9}");
    buf_clear(&out);
    utf8_addr_encode(&out, STR("a =\xe2\x82\xac"), true);
    EXPECT_STR(buf_str(&out), "a\\x{20}\\x{3D}\xe2\x82\xac");
    (void)state;
}

static void every_byte_survives_the_round_trip(void **state)
{
    struct arena arena ARENA_LOCAL = {0};
    struct buf out BUF_LOCAL = {0};
    char all[256];
    struct str back;

    for (int i = 0; i < 256; i++) {
        all[i] = (char)i;
    }
    xtext_encode(&out, str_make(all, sizeof all));
    assert_true(xtext_decode(buf_str(&out), &arena, &back));
    assert_true(str_eq(back, str_make(all, sizeof all)));
    (void)state;
}

static void printable_means_no_control_bytes(void **state)
{
    assert_true(text_is_printable(STR("a b"), false));
    assert_false(text_is_printable(STR("a\nb"), true));
    assert_false(text_is_printable(STR("a\x7f"), true));
    assert_false(text_is_printable(STR("\xc3\xa9"), false));
    assert_true(text_is_printable(STR("\xc3\xa9"), true));
    assert_false(text_is_printable(STR("\xc3"), true));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xtext_is_decoded_or_refused),
        cmocka_unit_test(utf8_addresses_are_decoded_or_refused),
        cmocka_unit_test(encoding_writes_what_may_not_stand),
        cmocka_unit_test(every_byte_survives_the_round_trip),
        cmocka_unit_test(printable_means_no_control_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
