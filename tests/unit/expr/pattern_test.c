#include "../unit.h"
#include "base/check.h"
#include "expr/pattern.h"

static void equal_patterns_are_kept_once_and_groups_counted(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct patterns all PATTERNS_LOCAL = {0};
    struct str error, caught[PATTERN_GROUPS_MAX];
    size_t at;
    unsigned count;
    const struct pattern *p = pattern_get(&all, &a, STR("(a)|(b)"), &error, &at);

    assert_non_null(p);
    assert_ptr_equal(pattern_get(&all, &a, STR("(a)|(b)"), &error, &at), p);
    assert_int_equal(pattern_groups(p), 2);
    assert_int_equal(pattern_match(p, STR("xa"), caught, &count), PATTERN_YES);
    assert_int_equal(count, 3);
    EXPECT_STR(caught[0], "a");
    EXPECT_STR(caught[1], "a");
    EXPECT_STR(caught[2], ""); /* took no part */
    assert_int_equal(pattern_match(p, STR_EMPTY, caught, &count), PATTERN_NO);
    assert_int_equal(count, 0);
    assert_int_equal(pattern_match(p, (struct str){NULL, 0}, caught, &count), PATTERN_NO);
    (void)state;
}

static void bad_patterns_say_why_and_where(void **state)
{
    static const struct {
        const char *text, *why;
        size_t at;
    } rows[] = {
        {"a(b", "missing closing parenthesis", 3},
        {"a[", "missing terminating ] for character class", 2},
        {"\\C", "using \\C is disabled by the application", 2},
        {"()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()",
         "the pattern has more than 31 groups; write (?:...) for those not needed", 0},
    };
    struct patterns all PATTERNS_LOCAL = {0};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct str error = STR_EMPTY;
        size_t at;

        assert_null(pattern_get(&all, &a, str_of(rows[i].text), &error, &at));
        EXPECT_STR(error, rows[i].why);
        if (rows[i].at > 0) {
            assert_int_equal(at, rows[i].at);
        }
    }
    (void)state;
}

static void a_runaway_match_is_stopped(void **state)
{
    static char subject[4096];
    struct arena a ARENA_LOCAL = {0};
    struct patterns all PATTERNS_LOCAL = {0};
    struct str error, caught[PATTERN_GROUPS_MAX];
    size_t at;
    unsigned count;

    for (size_t i = 0; i < sizeof subject; i++) {
        subject[i] = 'a';
    }
    assert_int_equal(pattern_match(pattern_get(&all, &a, STR("^(a|a)*[bc]$"), &error, &at),
                                   str_make(subject, sizeof subject), caught, &count),
                     PATTERN_LIMIT);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_patterns_are_kept_once_and_groups_counted),
        cmocka_unit_test(bad_patterns_say_why_and_where),
        cmocka_unit_test(a_runaway_match_is_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
