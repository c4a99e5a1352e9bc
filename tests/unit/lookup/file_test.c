#include "../unit.h"
#include "base/mem.h"
#include "lookup/file.h"

static void expect_entry(const struct table *t, const char *key, const char *want)
{
    struct str got = STR_EMPTY;

    if (want == NULL) {
        assert_false(table_get(t, str_of(key), &got));
        return;
    }
    assert_true(table_get(t, str_of(key), &got));
    EXPECT_STR(got, want);
}

static void lines_are_keys_with_or_without_a_value(void **state)
{
    size_t line;
    const char *why;
    struct table *t = table_parse(STR("# a comment\n"
                                      "\n"
                                      "a.example hub\n"
                                      "  b.example \t two words \t\r\n"
                                      "alone\n"
                                      "a.example   hub\n"
                                      "K\xc3\xa4se 1\n"
                                      "#x y\n"
                                      "last # is part of it"),
                                  &line, &why);

    assert_non_null(t);
    assert_int_equal(table_count(t), 5);
    expect_entry(t, "a.example", "hub");
    expect_entry(t, "b.example", "two words");
    expect_entry(t, "alone", "");
    expect_entry(t, "K\xc3\xa4se", "1");
    expect_entry(t, "last", "# is part of it");
    expect_entry(t, "#x", NULL);
    expect_entry(t, "A.example", NULL); /* byte by byte */
    expect_entry(t, "", NULL);
    table_drop(t);
    (void)state;
}

static void nothing_is_a_table_without_keys(void **state)
{
    size_t line;
    const char *why;
    struct table *t = table_parse(STR_EMPTY, &line, &why);

    assert_non_null(t);
    assert_int_equal(table_count(t), 0);
    table_drop(t);
    table_drop(NULL);
    (void)state;
}

static void a_line_in_error_is_named_and_there_is_no_table(void **state)
{
    static const struct {
        const char *text;
        size_t line;
        const char *why;
    } cases[] = {
        {"a b\na c\n", 2, "there already"},
        {"\n\nbad\xff\n", 3, "UTF-8"},
        {"a b\x01z\n", 1, "control"},
        {"a b\x7f\n", 1, "control"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t line = 99;
        const char *why = "";

        assert_null(table_parse(str_of(cases[i].text), &line, &why));
        assert_int_equal(line, cases[i].line);
        assert_non_null(strstr(why, cases[i].why));
    }
    (void)state;
}

static void a_line_may_be_long_but_not_longer(void **state)
{
    size_t size = FILE_LINE_MAX + 2, line;
    char *text = mem_alloc(size);
    const char *why;
    struct table *t;

    memset(text, 'x', size);
    t = table_parse(str_make(text, FILE_LINE_MAX), &line, &why);
    assert_non_null(t);
    table_drop(t);
    assert_null(table_parse(str_make(text, FILE_LINE_MAX + 1), &line, &why));
    assert_int_equal(line, 1);
    mem_free(text);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_keys_with_or_without_a_value),
        cmocka_unit_test(nothing_is_a_table_without_keys),
        cmocka_unit_test(a_line_in_error_is_named_and_there_is_no_table),
        cmocka_unit_test(a_line_may_be_long_but_not_longer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
