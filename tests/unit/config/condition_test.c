#include "../unit.h"
#include "base/check.h"
#include "config/condition.h"

/* PY-35: a rule after one with the same or a weaker condition is never reached. */
static void a_narrower_condition_implies_a_wider_one(void **state)
{
    static const struct {
        const char *narrow, *wide;
        bool implies;
    } rows[] = {
        {"a == 1", "a == 1", true},
        {"a==1", "a == 1", true},
        {"a == 1 && b", "a == 1", true},
        {"b && a == 1", "a == 1", true},
        {"a && b && c", "c && a", true},
        {"a", "a || b", true},
        {"a || b", "b || a || c", true},
        {"a && c || b", "a || b", true},
        {"f(x, \"a && b\") && c", "f(x, \"a && b\")", true},
        {"a & b", "a", true},
        {"a", "b | a", true},
        {"x | a && b", "b", false},
        {"a", "a && b", false},
        {"a || b", "a", false},
        {"a == 1", "a == 2", false},
        {"(a || b) && c", "a", false},
        {"f(a && b)", "f(a)", false},
        {"x == \"a b\"", "x == \"ab\"", false},
        {"x == 'a && b'", "x == 'a", false},
        {"x == 'a\\' && b'", "b'", false},
        {"counter_incr(\"n\", x, 1) > 3", "counter_incr(\"n\", x, 1) > 3", false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (condition_implies(str_of(rows[i].narrow), str_of(rows[i].wide)) != rows[i].implies) {
            fail_msg("%s -> %s", rows[i].narrow, rows[i].wide);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_narrower_condition_implies_a_wider_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
