#include "../unit.h"
#include "base/check.h"
#include "hooks/breaker.h"

static const struct breaker_limits limits = {3, 1000};

static struct when ms(int64_t n)
{
    return (struct when){n * NS_PER_MS};
}

static void fail_at(struct breaker *b, int64_t at, bool changes)
{
    bool was_probe = b->state == BREAKER_PROBING;

    assert_int_equal(breaker_leave(b, &limits, was_probe, BREAKER_FAILED, ms(at)), changes);
}

static void open_at(struct breaker *b, int64_t at)
{
    for (unsigned i = 0; i < limits.failures; i++) {
        assert_int_equal(breaker_enter(b, &limits, ms(at)), BREAKER_ASK);
    }
    for (unsigned i = 1; i <= limits.failures; i++) {
        fail_at(b, at, i == limits.failures);
    }
    assert_int_equal(b->state, BREAKER_OPEN);
}

static void failures_in_a_row_open_it_and_not_one_less(void **state)
{
    struct breaker b = {0};

    fail_at(&b, 1, false);
    fail_at(&b, 2, false);
    assert_false(breaker_leave(&b, &limits, false, BREAKER_GOOD, ms(3)));
    fail_at(&b, 4, false);
    fail_at(&b, 5, false);
    assert_false(breaker_leave(&b, &limits, false, BREAKER_GIVEN_UP, ms(6))); /* says nothing */
    assert_int_equal(b.state, BREAKER_CLOSED);
    fail_at(&b, 7, true);
    assert_int_equal(b.state, BREAKER_OPEN);
    (void)state;
}

static void it_refuses_until_the_pause_is_over_to_the_nanosecond(void **state)
{
    struct breaker b = {0};

    open_at(&b, 500);
    assert_int_equal(b.until.ns, ms(1500).ns);
    assert_int_equal(breaker_enter(&b, &limits, ms(500)), BREAKER_REFUSE);
    assert_int_equal(breaker_enter(&b, &limits, (struct when){ms(1500).ns - 1}), BREAKER_REFUSE);
    assert_int_equal(breaker_enter(&b, &limits, ms(1500)), BREAKER_PROBE);
    assert_int_equal(breaker_enter(&b, &limits, ms(1500)), BREAKER_REFUSE);
    assert_int_equal(breaker_enter(&b, &limits, ms(9999)), BREAKER_REFUSE);
    (void)state;
}

static void a_good_probe_closes_it_and_a_failed_one_opens_it_again(void **state)
{
    struct breaker b = {0};

    open_at(&b, 0);
    assert_int_equal(breaker_enter(&b, &limits, ms(1000)), BREAKER_PROBE);
    assert_false(breaker_leave(&b, &limits, true, BREAKER_FAILED, ms(1200)));
    assert_int_equal(b.state, BREAKER_OPEN);
    assert_int_equal(breaker_enter(&b, &limits, ms(2199)), BREAKER_REFUSE);
    assert_int_equal(breaker_enter(&b, &limits, ms(2200)), BREAKER_PROBE);
    assert_true(breaker_leave(&b, &limits, true, BREAKER_GOOD, ms(2300)));
    assert_int_equal(b.state, BREAKER_CLOSED);
    fail_at(&b, 2301, false); /* counted from nothing */
    assert_int_equal(b.state, BREAKER_CLOSED);
    (void)state;
}

static void a_probe_that_is_given_up_hands_on_its_right(void **state)
{
    struct breaker b = {0};

    open_at(&b, 0);
    assert_int_equal(breaker_enter(&b, &limits, ms(1000)), BREAKER_PROBE);
    assert_false(breaker_leave(&b, &limits, true, BREAKER_GIVEN_UP, ms(1100)));
    assert_int_equal(breaker_enter(&b, &limits, ms(1100)), BREAKER_PROBE);
    (void)state;
}

static void late_answers_from_before_change_nothing_while_it_is_open(void **state)
{
    struct breaker b = {0};

    open_at(&b, 0);
    assert_false(breaker_leave(&b, &limits, false, BREAKER_GOOD, ms(10)));
    assert_int_equal(b.state, BREAKER_OPEN);
    assert_int_equal(breaker_enter(&b, &limits, ms(1000)), BREAKER_PROBE);
    assert_false(breaker_leave(&b, &limits, false, BREAKER_FAILED, ms(1001)));
    assert_int_equal(b.state, BREAKER_PROBING);
    (void)state;
}

static void without_a_number_it_never_opens(void **state)
{
    static const struct breaker_limits none = {0, 1000};
    struct breaker b = {0};

    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(breaker_enter(&b, &none, ms(i)), BREAKER_ASK);
        assert_false(breaker_leave(&b, &none, false, BREAKER_FAILED, ms(i)));
    }
    /* Nor does it stay open when a new configuration takes the number away. */
    open_at(&b, 100);
    assert_int_equal(breaker_enter(&b, &none, ms(101)), BREAKER_ASK);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_open_it_and_not_one_less),
        cmocka_unit_test(it_refuses_until_the_pause_is_over_to_the_nanosecond),
        cmocka_unit_test(a_good_probe_closes_it_and_a_failed_one_opens_it_again),
        cmocka_unit_test(a_probe_that_is_given_up_hands_on_its_right),
        cmocka_unit_test(late_answers_from_before_change_nothing_while_it_is_open),
        cmocka_unit_test(without_a_number_it_never_opens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
