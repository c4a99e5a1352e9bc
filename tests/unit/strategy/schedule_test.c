#include "../unit.h"
#include "base/check.h"
#include "strategy/schedule.h"

enum { S = 1000, M = 60 * S, H = 60 * M, D = 24 * H };

static const int64_t a_retry[] = {2 * M, 5 * M, 10 * M}, a_notify[] = {1 * H};
static const int64_t c_retry[] = {1 * S, 2 * S, 3 * S}, c_notify[] = {1 * S, 2 * S};

/* The schedules of the worked time lines. */
static const struct schedule_settings settings_a = {
    .retry = {a_retry, 3}, .notify = {a_notify, 1}, .expire_ms = 20 * M};
static const struct schedule_settings settings_b = {.retry = {c_retry, 3}, .max_attempts = 3};
static const struct schedule_settings settings_c = {
    .retry = {c_retry, 3}, .notify = {c_notify, 2}, .expire_ms = 6 * S};

static struct schedule make(const struct schedule_settings *set)
{
    return (struct schedule){.settings = set,
                             .expire_ms = set->max_attempts > 0 ? 0 : set->expire_ms,
                             .attempts_max = (uint16_t)set->max_attempts,
                             .queue_name = STR("q")};
}

static const struct date zero = {0};

static struct rcpt_state accepted(const struct schedule *s)
{
    struct rcpt_state state = {0};

    schedule_accept(s, zero, &state);
    return state;
}

/* */
static void schedule_a_tries_at_0_2_7_17_and_ends_at_20(void **state)
{
    static const int64_t attempts[] = {0, 2 * M, 7 * M, 17 * M};
    struct schedule s = make(&settings_a);
    struct rcpt_state r = accepted(&s);

    EXPECT_STR(r.queue, "q");
    assert_true(r.notice.ms == 1 * H && r.expires.ms == 20 * M);
    for (size_t i = 0; i < COUNT_OF(attempts); i++) {
        assert_true(r.next.ms == attempts[i]);
        assert_int_equal(schedule_failed(&s, zero, r.next, 1000, &r), SCHEDULE_WAITS);
        assert_int_equal(r.attempts, i + 1);
    }
    assert_true(r.next.ms == 27 * M);
    assert_true(schedule_note(&r).ms == 20 * M); /* comes before the next attempt */
    assert_int_equal(schedule_verdict(&r, (struct date){20 * M - 1}, false), SCHEDULE_WAITS);
    assert_int_equal(schedule_verdict(&r, (struct date){20 * M}, false), SCHEDULE_OVER);
    (void)state;
}

/* Q-044, PY-40. */
static void schedule_b_ends_with_its_third_failure(void **state)
{
    static const int64_t attempts[] = {0, 1 * S, 3 * S};
    struct schedule s = make(&settings_b);
    struct rcpt_state r = accepted(&s);

    assert_true(date_is_never(r.expires) && date_is_never(r.notice));
    for (size_t i = 0; i < COUNT_OF(attempts); i++) {
        assert_true(r.next.ms == attempts[i]);
        assert_int_equal(schedule_failed(&s, zero, r.next, 1000, &r),
                         i == 2 ? SCHEDULE_OVER : SCHEDULE_WAITS);
    }
    (void)state;
}

/* */
static void schedule_c_tells_at_1_and_3_and_ends_at_6(void **state)
{
    struct schedule s = make(&settings_c);
    struct rcpt_state r = accepted(&s);

    assert_true(r.notice.ms == 1 * S);
    schedule_noticed(&s, zero, (struct date){1 * S}, &r);
    assert_true(r.notice.ms == 3 * S);
    schedule_noticed(&s, zero, (struct date){3 * S}, &r);
    assert_true(date_is_never(r.notice));
    assert_int_equal(r.notices, 2);
    assert_true(schedule_note(&r).ms == 6 * S);
    (void)state;
}

static void absolute_notices_count_from_acceptance_and_skip_what_is_past(void **state)
{
    static const int64_t notify[] = {1 * D, 3 * D, 4 * D};
    const struct schedule_settings set = {.retry = {a_retry, 3},
                                          .notify = {notify, 3},
                                          .notify_mode = NOTIFY_ABSOLUTE,
                                          .expire_ms = 5LL * D};
    struct schedule s = make(&set);
    struct rcpt_state r = accepted(&s);

    assert_true(r.notice.ms == 1 * D);
    schedule_noticed(&s, zero, (struct date){1 * D}, &r);
    assert_true(r.notice.ms == 3LL * D);
    schedule_noticed(&s, zero, (struct date){4LL * D}, &r); /* told late, after a downtime */
    assert_true(date_is_never(r.notice));
    (void)state;
}

static void a_hold_moves_the_base_and_outlives_failures(void **state)
{
    struct schedule s = make(&settings_a);
    struct rcpt_state r = {.hold_end = {1 * H}};

    schedule_accept(&s, zero, &r);
    assert_true(r.next.ms == 1 * H && r.notice.ms == 2 * H && r.expires.ms == 1 * H + 20 * M);
    schedule_failed(&s, zero, (struct date){1 * H}, 1000, &r);
    assert_true(r.expires.ms == 1 * H + 20 * M); /* PY-39 */
    (void)state;
}

static void a_deadline_is_never_passed_nor_moved(void **state)
{
    struct schedule s = make(&settings_a);
    struct rcpt_state r = {.deadline = {5 * M}};

    schedule_accept(&s, zero, &r);
    assert_true(r.expires.ms == 5 * M);
    schedule_shift(&r, 10 * M);
    assert_true(r.deadline.ms == 5 * M && schedule_note(&r).ms == 5 * M);
    assert_int_equal(schedule_verdict(&r, (struct date){5 * M}, false), SCHEDULE_OVER);
    (void)state;
}

/* BY=3600;N is one notice at its time and no other, whatever the schedule has. */
static void a_time_to_notify_is_the_only_notice(void **state)
{
    static const int64_t notify[] = {1 * M, 2 * M};
    struct schedule_settings set = {
        .retry = {a_retry, 3}, .notify = {notify, 2}, .expire_ms = 5 * (int64_t)D};
    struct schedule s = make(&set);
    struct rcpt_state r = {.by_notice = {1 * H}};

    schedule_accept(&s, zero, &r);
    assert_true(r.notice.ms == 1 * H && r.expires.ms == 5 * (int64_t)D);
    schedule_failed(&s, zero, (struct date){0}, 1000, &r);
    assert_true(r.notice.ms == 1 * H);
    schedule_change(&s, zero, (struct date){10 * M}, &r);
    assert_true(r.notice.ms == 1 * H); /* it is the message's: PY-39 */
    schedule_shift(&r, 2 * H);
    assert_true(r.notice.ms == 1 * H);
    schedule_noticed(&s, zero, (struct date){1 * H}, &r);
    assert_true(date_is_never(r.notice) && r.notices == 1);
    schedule_change(&s, zero, (struct date){2 * H}, &r);
    assert_true(date_is_never(r.notice));
    (void)state;
}

/* One that would come after the end is none: the schedule's own notices hold. */
static void a_time_to_notify_after_the_end_counts_for_nothing(void **state)
{
    struct schedule s = make(&settings_c);
    struct rcpt_state r = {.by_notice = {6 * S}};

    schedule_accept(&s, zero, &r);
    assert_true(r.notice.ms == 1 * S);
    schedule_noticed(&s, zero, (struct date){1 * S}, &r);
    assert_true(r.notice.ms == 3 * S);
    (void)state;
}

/* hold and deadline together, and after failures (PY-39). */
static void a_hold_and_a_deadline_stand_together(void **state)
{
    struct schedule s = make(&settings_a);
    struct rcpt_state r = {.hold_end = {1 * M}, .deadline = {5 * M}};

    schedule_accept(&s, zero, &r);
    assert_true(r.next.ms == 1 * M && r.expires.ms == 5 * M);
    assert_int_equal(schedule_failed(&s, zero, r.next, 1000, &r), SCHEDULE_WAITS);
    assert_true(r.next.ms == 3 * M && r.expires.ms == 5 * M && r.deadline.ms == 5 * M);
    r.deadline.ms = 2 * H;
    schedule_change(&s, zero, (struct date){3 * M}, &r);
    assert_true(r.expires.ms == 21 * M); /* hold + TTL: the deadline lies beyond */
    s = make(&settings_b);
    r = (struct rcpt_state){.deadline = {2 * S}};
    schedule_accept(&s, zero, &r);
    assert_true(r.expires.ms == 2 * S); /* also where attempts are counted */
    (void)state;
}

/* Q-057, PY-20. */
static void one_never_tried_gets_an_attempt_after_downtime(void **state)
{
    struct schedule s = make(&settings_a);
    struct rcpt_state r = accepted(&s);
    struct date late = {2LL * D};

    assert_int_equal(schedule_verdict(&r, late, false), SCHEDULE_WAITS);
    assert_int_equal(schedule_verdict(&r, late, true), SCHEDULE_OVER); /* a limit kept it */
    assert_int_equal(schedule_failed(&s, zero, late, 1000, &r), SCHEDULE_OVER);
    (void)state;
}

static void a_failure_moves_to_the_new_schedule(void **state)
{
    struct schedule a = make(&settings_a), b = make(&settings_b);
    struct rcpt_state r = accepted(&a);

    b.queue_name = STR("slow");
    schedule_failed(&b, zero, (struct date){0}, 1000, &r);
    EXPECT_STR(r.queue, "slow");
    assert_true(r.next.ms == 1 * S && date_is_never(r.expires));
    assert_int_equal(r.attempts_max, 3);
    assert_true(r.notice.ms == 1 * H); /* as it was */
    schedule_failed(&a, zero, (struct date){1 * S}, 1000, &r);
    assert_int_equal(r.attempts_max, 0);
    assert_true(r.expires.ms == 20 * M && r.next.ms == 1 * S + 5 * M);
    (void)state;
}

static void jitter_stays_inside_its_bounds(void **state)
{
    static const struct {
        uint32_t random;
        int64_t next;
    } rows[] = {{0, 108 * S}, {1000, 120 * S}, {2000, 132 * S}, {2001, 108 * S}};
    struct schedule_settings set = settings_a;
    struct schedule s = make(&set);

    set.retry_jitter_percent = 10;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rcpt_state r = accepted(&s);

        schedule_failed(&s, zero, zero, rows[i].random, &r);
        assert_true(r.next.ms == rows[i].next);
    }
    set.retry = (struct duration_list){c_retry, 1};
    struct rcpt_state r = accepted(&s);

    schedule_failed(&s, zero, zero, 0, &r);
    assert_true(r.next.ms == 1 * S); /* PY-06: never below a second */
    (void)state;
}

static void a_change_of_schedule_counts_from_the_last_attempt(void **state)
{
    struct schedule a = make(&settings_a), c = make(&settings_c);
    struct rcpt_state r = accepted(&c);
    struct date now = {4 * M};

    schedule_failed(&c, zero, (struct date){3 * M}, 1000, &r);
    r.last.at = (struct date){3 * M};
    schedule_change(&a, zero, now, &r);
    assert_true(r.next.ms == 5 * M && r.expires.ms == 20 * M && r.notice.ms == 1 * H);
    schedule_change(&c, zero, now, &r);
    assert_true(r.next.ms == now.ms); /* never in the past */
    (void)state;
}

static void a_release_moves_all_clocks(void **state)
{
    struct schedule s = make(&settings_c);
    struct rcpt_state r = accepted(&s);

    schedule_shift(&r, 1 * H);
    assert_true(r.next.ms == 1 * H && r.notice.ms == 1 * H + 1 * S &&
                r.expires.ms == 1 * H + 6 * S);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedule_a_tries_at_0_2_7_17_and_ends_at_20),
        cmocka_unit_test(schedule_b_ends_with_its_third_failure),
        cmocka_unit_test(schedule_c_tells_at_1_and_3_and_ends_at_6),
        cmocka_unit_test(absolute_notices_count_from_acceptance_and_skip_what_is_past),
        cmocka_unit_test(a_hold_moves_the_base_and_outlives_failures),
        cmocka_unit_test(a_deadline_is_never_passed_nor_moved),
        cmocka_unit_test(a_time_to_notify_is_the_only_notice),
        cmocka_unit_test(a_time_to_notify_after_the_end_counts_for_nothing),
        cmocka_unit_test(a_hold_and_a_deadline_stand_together),
        cmocka_unit_test(one_never_tried_gets_an_attempt_after_downtime),
        cmocka_unit_test(a_failure_moves_to_the_new_schedule),
        cmocka_unit_test(jitter_stays_inside_its_bounds),
        cmocka_unit_test(a_change_of_schedule_counts_from_the_last_attempt),
        cmocka_unit_test(a_release_moves_all_clocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
