#include "../unit.h"
#include "base/check.h"
#include "hooks/gate.h"

static void so_many_come_in_and_the_others_wait_in_turn(void **state)
{
    struct gate_waiter w[5] = {0};
    struct gate g;

    gate_init(&g);
    assert_int_equal(gate_enter(&g, &w[0], 2, 2), GATE_IN);
    assert_int_equal(gate_enter(&g, &w[1], 2, 2), GATE_IN);
    assert_int_equal(gate_enter(&g, &w[2], 2, 2), GATE_WAIT);
    assert_int_equal(gate_enter(&g, &w[3], 2, 2), GATE_WAIT);
    assert_int_equal(gate_enter(&g, &w[4], 2, 2), GATE_FULL);
    assert_null(gate_next(&g, 2));
    gate_leave(&g);
    assert_ptr_equal(gate_next(&g, 2), &w[2]);
    assert_null(gate_next(&g, 2));
    gate_leave(&g);
    assert_ptr_equal(gate_next(&g, 2), &w[3]);
    assert_int_equal(g.busy, 2);
    assert_int_equal(g.waiting_count, 0);
    (void)state;
}

static void nobody_overtakes_those_who_wait(void **state)
{
    struct gate_waiter w[3] = {0};
    struct gate g;

    gate_init(&g);
    assert_int_equal(gate_enter(&g, &w[0], 1, 9), GATE_IN);
    assert_int_equal(gate_enter(&g, &w[1], 1, 9), GATE_WAIT);
    gate_leave(&g); /* there is room, and somebody has waited for it */
    assert_int_equal(gate_enter(&g, &w[2], 1, 9), GATE_WAIT);
    assert_ptr_equal(gate_next(&g, 1), &w[1]);
    (void)state;
}

static void who_gives_up_leaves_the_line(void **state)
{
    struct gate_waiter w[3] = {0};
    struct gate g;

    gate_init(&g);
    assert_int_equal(gate_enter(&g, &w[0], 1, 2), GATE_IN);
    assert_int_equal(gate_enter(&g, &w[1], 1, 2), GATE_WAIT);
    assert_int_equal(gate_enter(&g, &w[2], 1, 2), GATE_WAIT);
    gate_withdraw(&g, &w[1]);
    gate_withdraw(&g, &w[1]); /* harmless */
    assert_int_equal(g.waiting_count, 1);
    gate_leave(&g);
    assert_ptr_equal(gate_next(&g, 1), &w[2]);
    (void)state;
}

static void a_wider_gate_lets_more_in_and_a_narrower_one_cuts_nobody(void **state)
{
    struct gate_waiter w[4] = {0};
    struct gate g;

    gate_init(&g);
    assert_int_equal(gate_enter(&g, &w[0], 1, 9), GATE_IN);
    assert_int_equal(gate_enter(&g, &w[1], 1, 9), GATE_WAIT);
    assert_int_equal(gate_enter(&g, &w[2], 1, 9), GATE_WAIT);
    assert_ptr_equal(gate_next(&g, 3), &w[1]);
    assert_ptr_equal(gate_next(&g, 3), &w[2]);
    assert_int_equal(gate_enter(&g, &w[3], 1, 9), GATE_WAIT);
    gate_leave(&g);
    assert_null(gate_next(&g, 1));
    gate_leave(&g);
    gate_leave(&g);
    assert_ptr_equal(gate_next(&g, 1), &w[3]);
    assert_int_equal(gate_enter(&g, &w[0], 0, 0), GATE_IN); /* 0: any number */
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_come_in_and_the_others_wait_in_turn),
        cmocka_unit_test(nobody_overtakes_those_who_wait),
        cmocka_unit_test(who_gives_up_leaves_the_line),
        cmocka_unit_test(a_wider_gate_lets_more_in_and_a_narrower_one_cuts_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
