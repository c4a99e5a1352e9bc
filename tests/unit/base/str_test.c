#include "../unit.h"

static void numbers_are_whole_or_refused(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0", true, 0},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"", false, 0},
        {" 1", false, 0},
        {"1x", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 0;

        assert_int_equal(str_to_u64(str_of(rows[i].text), &value), rows[i].ok);
        assert_true(value == rows[i].value);
    }
    int64_t signed_value;

    assert_true(str_to_i64(STR("-9223372036854775808"), &signed_value));
    assert_true(signed_value == INT64_MIN);
    assert_false(str_to_i64(STR("9223372036854775808"), &signed_value));
    (void)state;
}

static void utf8_is_the_strict_form(void **state)
{
    assert_true(str_is_utf8(STR("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\xae")));
    assert_false(str_is_utf8(STR("\xc0\xaf")));         /* overlong */
    assert_false(str_is_utf8(STR("\xed\xa0\x80")));     /* surrogate */
    assert_false(str_is_utf8(STR("\xf4\x90\x80\x80"))); /* above U+10FFFF */
    assert_false(str_is_utf8(STR("\xe2\x82")));         /* cut short */
    (void)state;
}

static void cutting_and_searching(void **state)
{
    struct str rest = STR("a,b"), head;

    assert_true(str_cut(&rest, ',', &head));
    EXPECT_STR(head, "a");
    EXPECT_STR(rest, "b");
    assert_false(str_cut(&rest, ',', &head));
    EXPECT_STR(head, "b");
    EXPECT_STR(rest, "");
    assert_int_equal(str_find_str(STR("hello"), STR("ll")), 2);
    assert_true(str_find_str(STR("hello"), STR("x")) == STR_NONE);
    EXPECT_STR(str_trim_ws(STR(" \r\n x \t")), "x");
    assert_int_equal(str_distance(STR("retry"), STR("rety")), 1);
    assert_true(str_cmp(STR("ab"), STR("abc")) < 0);
    (void)state;
}

static void one_byte_above_ascii_is_seen_wherever_it_stands(void **state)
{
    char bytes[40];

    memset(bytes, 0x7f, sizeof bytes);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        assert_true(str_is_ascii(str_make(bytes, len)));
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (char)0x80;
            assert_false(str_is_ascii(str_make(bytes, len)));
            bytes[i] = 0x7f;
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_whole_or_refused),
        cmocka_unit_test(utf8_is_the_strict_form),
        cmocka_unit_test(cutting_and_searching),
        cmocka_unit_test(one_byte_above_ascii_is_seen_wherever_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
