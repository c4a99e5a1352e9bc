#include "../unit.h"
#include "base/check.h"
#include "limit/limits.h"

static const struct when start = {1000 * NS_PER_MS};

static struct when at_ms(int64_t ms)
{
    return when_add(start, ms * NS_PER_MS);
}

static const struct limit_rule rules[] = {
    {.name = STR_INIT("domain"), .rate = {2, 60000}},
    {.name = STR_INIT("peer"), .concurrency = 2},
    {.name = STR_INIT("all"), .rate = {10, 1000}, .concurrency = 3},
};

static struct limits *begin(void)
{
    struct limits *l = limits_new(7);

    limits_use(l, rules, COUNT_OF(rules));
    return l;
}

static struct limit_key taken; /* by the last take */

static bool take(struct limits *l, uint32_t rule, const char *values, int64_t ms,
                 struct limit_refusal *why)
{
    struct limit_key k = {.rule = rules[rule].name, .values = str_of(values)};
    struct limit_refusal room;
    bool ok = limits_take(l, &k, 1, false, at_ms(ms), why ? why : &room);

    taken = ok ? k : taken;
    return ok;
}

static void the_third_of_two_a_minute_waits_half_a_minute(void **state)
{
    struct limits *l = begin();
    struct limit_refusal why;

    assert_true(take(l, 0, "a.example", 0, NULL));
    assert_true(take(l, 0, "a.example", 0, NULL));
    assert_false(take(l, 0, "a.example", 0, &why));
    assert_int_equal(why.key, 0);
    assert_int_equal(why.until.ns, at_ms(30000).ns);
    assert_true(take(l, 0, "b.example", 0, NULL));
    assert_false(take(l, 0, "a.example", 29999, NULL));
    assert_true(take(l, 0, "a.example", 30000, NULL));
    limits_free(l);
    (void)state;
}

static void nothing_is_taken_unless_all_have_room(void **state)
{
    struct limits *l = begin();
    struct limit_key both[] = {{.rule = STR_INIT("domain"), .values = STR_INIT("a.example")},
                               {.rule = STR_INIT("peer"), .values = STR_INIT("192.0.2.1")}};
    struct limit_refusal why;

    assert_true(limits_take(l, both, 2, false, start, &why));
    assert_true(take(l, 1, "192.0.2.1", 0, NULL));
    for (int i = 0; i < 5; i++) {
        assert_false(limits_take(l, both, 2, false, start, &why));
        assert_int_equal(why.key, 1);
        assert_true(when_is_never(why.until));
    }
    assert_true(take(l, 0, "a.example", 0, NULL)); /* its second token is still there */
    limits_free(l);
    (void)state;
}

static void what_is_at_work_counts_until_it_is_given_back(void **state)
{
    struct limits *l = begin();
    struct limit_key k = {.rule = STR_INIT("peer"), .values = STR_INIT("192.0.2.1")};
    struct limit_waiter w = {0};

    assert_true(take(l, 1, "192.0.2.1", 0, NULL));
    assert_true(take(l, 1, "192.0.2.1", 0, NULL));
    assert_false(take(l, 1, "192.0.2.1", 999999, NULL));
    limits_wait(l, &w, &k, 0, at_ms(0));
    assert_null(limits_next(l, at_ms(999999)));
    assert_true(when_is_never(limits_next_time(l)));
    limits_give(l, &k, 1, at_ms(999999)); /* has taken nothing */
    assert_null(limits_next(l, at_ms(999999)));
    limits_give(l, &taken, 1, at_ms(999999));
    assert_ptr_equal(limits_next(l, at_ms(999999)), &w);
    limits_free(l);
    (void)state;
}

static void groups_take_turns_and_nobody_is_overtaken(void **state)
{
    struct limits *l = begin();
    struct limit_key k = {.rule = STR_INIT("domain"), .values = STR_INIT("a.example")};
    struct limit_waiter many[6] = {0}, few[2] = {0};
    const struct limit_waiter *order[] = {&many[0], &few[0], &many[1], &few[1], &many[2], &many[3]};
    struct limit_refusal why;

    assert_true(take(l, 0, "a.example", 0, NULL));
    assert_true(take(l, 0, "a.example", 0, NULL));
    for (size_t i = 0; i < COUNT_OF(many); i++) {
        limits_wait(l, &many[i], &k, 1, start);
    }
    for (size_t i = 0; i < COUNT_OF(few); i++) {
        limits_wait(l, &few[i], &k, 2, start);
    }
    limits_leave(l, &many[5], start);
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        int64_t ms = 30000 * (int64_t)(i + 1);

        assert_int_equal(limits_next_time(l).ns, at_ms(ms).ns);
        assert_null(limits_next(l, at_ms(ms - 1)));
        assert_false(take(l, 0, "a.example", ms, &why)); /* a newcomer */
        assert_ptr_equal(limits_next(l, at_ms(ms)), order[i]);
        assert_true(limits_take(l, &k, 1, true, at_ms(ms), &why));
    }
    limits_free(l);
    (void)state;
}

static void who_is_called_and_takes_nothing_holds_up_nobody(void **state)
{
    struct limits *l = begin();
    struct limit_key k = {.rule = STR_INIT("domain"), .values = STR_INIT("a.example")};
    struct limit_waiter w[2] = {0};

    assert_true(take(l, 0, "a.example", 0, NULL));
    assert_true(take(l, 0, "a.example", 0, NULL));
    limits_wait(l, &w[0], &k, 0, start);
    limits_wait(l, &w[1], &k, 0, start);
    assert_ptr_equal(limits_next(l, at_ms(30000)), &w[0]);
    assert_ptr_equal(limits_next(l, at_ms(30000)), &w[1]);
    assert_null(limits_next(l, at_ms(30000)));
    limits_free(l);
    (void)state;
}

/* Some leave from the midst of their line; each line ends with its last. */
static void many_groups_take_turns(void **state)
{
    enum { GROUPS = 300, EACH = 4, LEAVING = 2 };
    struct limits *l = begin();
    struct limit_key k = {.rule = STR_INIT("domain"), .values = STR_INIT("a.example")};
    static struct limit_waiter w[GROUPS][EACH];
    struct limit_refusal why;

    memset(w, 0, sizeof w);
    assert_true(take(l, 0, "a.example", 0, NULL));
    assert_true(take(l, 0, "a.example", 0, NULL));
    for (uint32_t i = 0; i < EACH; i++) {
        for (uint32_t g = 0; g < GROUPS; g++) {
            limits_wait(l, &w[g][i], &k, g * 7, start);
        }
    }
    for (uint32_t g = 0; g < GROUPS; g++) {
        limits_leave(l, &w[g][LEAVING], start);
        limits_leave(l, &w[g][LEAVING], start);
    }
    for (uint32_t i = 0; i < EACH; i++) {
        for (uint32_t g = 0; g < GROUPS && i != LEAVING; g++) {
            struct when at = limits_next_time(l);

            assert_ptr_equal(limits_next(l, at), &w[g][i]);
            assert_true(limits_take(l, &k, 1, true, at, &why));
        }
    }
    assert_null(limits_next(l, at_ms(0)));
    limits_free(l);
    (void)state;
}

static void buckets_as_good_as_new_are_forgotten(void **state)
{
    struct limits *l = begin();
    assert_true(take(l, 0, "a.example", 0, NULL));
    assert_true(take(l, 2, "x", 0, NULL));
    assert_int_equal(limits_buckets(l), 2);
    assert_null(limits_next(l, at_ms(29999)));
    assert_int_equal(limits_buckets(l), 2);
    assert_null(limits_next(l, at_ms(30000)));
    assert_int_equal(limits_buckets(l), 1); /* one is still at work */
    limits_give(l, &taken, 1, at_ms(30000));
    assert_null(limits_next(l, at_ms(30000)));
    assert_int_equal(limits_buckets(l), 0);
    limits_free(l);
    (void)state;
}

static void a_reload_keeps_what_stays_as_it_is(void **state)
{
    struct limits *l = begin();
    struct limit_rule changed[] = {rules[1], rules[0]};
    struct limit_key on_peer = {.rule = STR_INIT("peer"), .values = STR_INIT("192.0.2.1")},
                     on_all = {.rule = STR_INIT("all"), .values = STR_INIT("x")};
    struct limit_waiter stays = {0}, goes = {0};

    assert_true(take(l, 0, "a.example", 0, NULL));
    assert_true(take(l, 0, "a.example", 0, NULL));
    assert_true(take(l, 1, "192.0.2.1", 0, NULL));
    assert_true(take(l, 1, "192.0.2.1", 0, NULL));
    on_peer = taken;
    for (int i = 0; i < 3; i++) {
        assert_true(take(l, 2, "x", 0, NULL));
    }
    on_all = taken;
    limits_wait(l, &stays, &on_peer, 0, start);
    limits_wait(l, &goes, &on_all, 0, start);
    limits_use(l, changed, COUNT_OF(changed));
    assert_ptr_equal(limits_next(l, start), &goes);
    assert_false(take(l, 0, "a.example", 29999, NULL));
    assert_true(take(l, 0, "a.example", 30000, NULL));
    limits_give(l, &on_all, 1, start); /* of a rule that is gone: harmless */
    limits_give(l, &on_peer, 1, start);
    assert_ptr_equal(limits_next(l, start), &stays);
    limits_free(l);
    (void)state;
}

/* Those that were let in before, and leave after, are not mistaken for others. */
static void what_is_at_work_counts_on_when_numbers_change(void **state)
{
    struct limits *l = begin();
    struct limit_rule more[] = {{.name = STR_INIT("peer"), .rate = {9, 1000}, .concurrency = 3}};
    struct limit_rule none[] = {{.name = STR_INIT("peer"), .rate = {9, 1000}}};
    struct limit_key old[3];
    const struct limit_count *counts;

    assert_true(take(l, 1, "a", 0, NULL));
    old[0] = taken;
    assert_true(take(l, 1, "a", 0, NULL));
    old[1] = taken;
    assert_false(take(l, 1, "a", 0, NULL));
    limits_use(l, more, 1);
    assert_true(take(l, 1, "a", 1, NULL));
    old[2] = taken;
    assert_false(take(l, 1, "a", 1, NULL));
    limits_give(l, old, 1, at_ms(2));
    assert_true(take(l, 1, "a", 2, NULL));
    assert_false(take(l, 1, "a", 2, NULL));
    assert_int_equal(limits_counts(l, &counts), 1);
    assert_int_equal(counts[0].refused, 3);
    /* Where it is not limited for a while, what was at work before counts no longer. */
    limits_use(l, none, 1);
    limits_use(l, more, 1);
    for (int i = 0; i < 3; i++) {
        assert_true(take(l, 1, "a", 3, NULL));
    }
    limits_give(l, &old[1], 2, at_ms(4));
    assert_false(take(l, 1, "a", 4, NULL));
    limits_give(l, &taken, 1, at_ms(5));
    assert_true(take(l, 1, "a", 6, NULL));
    limits_free(l);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_third_of_two_a_minute_waits_half_a_minute),
        cmocka_unit_test(nothing_is_taken_unless_all_have_room),
        cmocka_unit_test(what_is_at_work_counts_until_it_is_given_back),
        cmocka_unit_test(groups_take_turns_and_nobody_is_overtaken),
        cmocka_unit_test(who_is_called_and_takes_nothing_holds_up_nobody),
        cmocka_unit_test(many_groups_take_turns),
        cmocka_unit_test(buckets_as_good_as_new_are_forgotten),
        cmocka_unit_test(a_reload_keeps_what_stays_as_it_is),
        cmocka_unit_test(what_is_at_work_counts_on_when_numbers_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
