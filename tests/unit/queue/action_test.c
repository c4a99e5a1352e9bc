#include "../unit.h"
#include "base/arena.h"
#include "base/check.h"
#include "queue/act.h"
#include "queue/job.h"
#include "queue/select.h"

enum { ARRIVED = 1000000, NOW = 1600000 };

static struct recipient rcpt(void)
{
    return (struct recipient){.address = STR("x@a.example"),
                              .state = {.version = 4,
                                        .status = RCPT_WAITING,
                                        .attempts = 2,
                                        .next = {1700000},
                                        .notice = {2000000},
                                        .expires = {9000000},
                                        .deadline = DATE_NEVER,
                                        .queue = STR("remote"),
                                        .site = STR("mx a.example")}};
}

static struct message message(struct recipient *to, uint32_t count)
{
    return (struct message){.id = 7,
                            .arrived = {ARRIVED},
                            .sender = STR("ann@sender.example"),
                            .to = to,
                            .to_count = count};
}

static enum action_effect apply(const struct action *act, const struct message *m, int64_t now,
                                struct rcpt_state *s)
{
    static struct arena a;

    return action_apply(act, m, 0, &(struct acting){NULL, {now}, &a}, s, WHEN_NEVER);
}

static void a_hold_stops_all_clocks_and_its_release_moves_them(void **state)
{
    const struct action hold = {.kind = ACTION_HOLD, .who = STR("ann"), .why = STR("odd")},
                        release = {.kind = ACTION_RELEASE};
    struct recipient to = rcpt();
    struct message m = message(&to, 1);
    struct rcpt_state s = to.state;
    bool is_end;

    s.deadline.ms = 5000000;
    assert_int_equal(apply(&release, &m, NOW, &s), EFFECT_NONE);
    assert_int_equal(apply(&hold, &m, NOW, &s), EFFECT_CHANGES);
    assert_int_equal(apply(&hold, &m, NOW + 5, &s), EFFECT_NONE);
    assert_int_equal(s.held_since.ms, NOW);
    EXPECT_STR(s.held_by, "ann");
    EXPECT_STR(s.held_why, "odd");
    assert_true(date_is_never(job_note_date(&s, &is_end)));
    assert_int_equal(apply(&release, &m, NOW + 1000, &s), EFFECT_CHANGES);
    assert_int_equal(s.held_since.ms, 0);
    assert_int_equal(s.next.ms, 1701000);
    assert_int_equal(s.notice.ms, 2001000);
    assert_int_equal(s.expires.ms, 5000000); /* reaches no further than the deadline, which stays */
    assert_int_equal(s.deadline.ms, 5000000);
    assert_int_equal(s.hold_end.ms, ARRIVED + 1000); /* what later times count from */
    assert_int_equal(s.attempts, 2);
    (void)state;
}

static void a_quarantine_ends_by_being_dropped(void **state)
{
    const struct action act = {.kind = ACTION_HOLD, .drop = {NOW + 99}};
    struct recipient to = rcpt();
    struct message m = message(&to, 1);
    struct rcpt_state s = to.state;
    bool is_end;

    assert_int_equal(apply(&act, &m, NOW, &s), EFFECT_CHANGES);
    assert_int_equal(job_note_date(&s, &is_end).ms, NOW + 99);
    (void)state;
}

static void a_clock_that_was_set_back_shortens_nothing(void **state)
{
    struct recipient to = rcpt();
    struct message m = message(&to, 1);
    struct rcpt_state s = to.state;

    s.held_since.ms = NOW + 5000;
    assert_int_equal(apply(&(struct action){.kind = ACTION_RELEASE}, &m, NOW, &s), EFFECT_CHANGES);
    assert_int_equal(s.next.ms, 1700000);
    (void)state;
}

/* Q-056 */
static void a_retry_changes_the_time_of_the_next_attempt_and_nothing_else(void **state)
{
    const struct action now = {.kind = ACTION_RETRY},
                        then = {.kind = ACTION_RETRY, .at = {1800000}};
    struct recipient to = rcpt();
    struct message m = message(&to, 1);
    struct rcpt_state s = to.state, want = to.state;

    assert_int_equal(apply(&then, &m, NOW, &s), EFFECT_CHANGES);
    want.next.ms = 1800000;
    assert_memory_equal(&s, &want, sizeof s);
    assert_int_equal(apply(&then, &m, NOW, &s), EFFECT_NONE);
    assert_int_equal(apply(&now, &m, NOW, &s), EFFECT_CHANGES);
    want.next.ms = NOW;
    assert_memory_equal(&s, &want, sizeof s);
    assert_int_equal(apply(&now, &m, NOW + 1, &s), EFFECT_NONE);
    s.held_since.ms = NOW;
    assert_int_equal(apply(&now, &m, NOW + 1, &s), EFFECT_HELD);
    (void)state;
}

static void a_cancel_tells_whom_notify_says(void **state)
{
    static const struct {
        const char *sender;
        uint8_t notify;
        bool is_silent;
        enum rcpt_status status;
        enum report_owed owed;
    } rows[] = {
        {"ann@sender.example", 0, false, RCPT_FAILED, OWED_FAILED},
        {"ann@sender.example", 0, true, RCPT_DROPPED, OWED_NONE},
        {"ann@sender.example", NOTIFY_SUCCESS, false, RCPT_FAILED, OWED_NONE},
        {"ann@sender.example", NOTIFY_NEVER, false, RCPT_FAILED, OWED_NONE},
        {"", 0, false, RCPT_FAILED, OWED_NONE},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct action act = {
            .kind = ACTION_CANCEL, .why = STR("sent in error"), .is_silent = rows[i].is_silent};
        struct recipient to = rcpt();
        struct message m = message(&to, 1);
        struct rcpt_state s;

        m.sender = str_of(rows[i].sender);
        to.notify = rows[i].notify;
        to.state.held_since.ms = NOW; /* what is held may be cancelled */
        s = to.state;
        assert_int_equal(apply(&act, &m, NOW, &s), EFFECT_CHANGES);
        assert_int_equal(s.status, rows[i].status);
        assert_int_equal(s.owed, rows[i].owed);
        assert_int_equal(s.held_since.ms, 0);
        EXPECT_STR(s.last.text, "cancelled by an operator: sent in error");
    }
    (void)state;
}

/* Q-140 */
static void what_has_ended_stays_as_it_ended(void **state)
{
    struct recipient to = rcpt();
    struct message m = message(&to, 1);

    for (int kind = 0; kind < ACTION_COUNT; kind++) {
        for (int status = RCPT_DELIVERED; status < RCPT_STATUS_COUNT; status++) {
            const struct action act = {.kind = (enum action_kind)kind};
            struct rcpt_state s = to.state, before;

            s.status = (enum rcpt_status)status;
            before = s;
            assert_int_equal(apply(&act, &m, NOW, &s), EFFECT_NONE);
            assert_memory_equal(&s, &before, sizeof s);
        }
    }
    (void)state;
}

static void asks_come_one_after_the_other_and_leave_the_others_alone(void **state)
{
    const struct action hold = {.kind = ACTION_HOLD, .why = STR("first")},
                        cancel = {.kind = ACTION_CANCEL, .is_silent = true};
    const uint32_t held[] = {0, 2}, cancelled[] = {2, 3}, all[] = {0, 1, 2, 3};
    struct ask second = {NULL, &cancel, cancelled, 2}, first = {&second, &hold, held, 2};
    struct recipient to[] = {rcpt(), rcpt(), rcpt(), rcpt()};
    struct message m = message(to, 4);
    struct rcpt_state s[4];
    struct arena a = {0};
    bool keeps[4];

    struct acting k = {NULL, {NOW}, &a};

    assert_int_equal(act_states(&first, &m, all, 4, &k, s, keeps, WHEN_NEVER).changed, 3);
    assert_int_equal(s[0].held_since.ms, NOW);
    assert_true(keeps[1] && s[1].version == 4 && s[1].held_since.ms == 0);
    assert_int_equal(s[2].status, RCPT_DROPPED);
    assert_int_equal(s[2].version, 5); /* one change is stored, whatever was asked */
    assert_int_equal(s[3].status, RCPT_DROPPED);
    arena_done(&a);
    (void)state;
}

static void what_is_held_is_a_job_of_its_own(void **state)
{
    struct recipient to[] = {rcpt(), rcpt(), rcpt()};
    struct message m = message(to, 3);
    struct arena a = {0};
    struct job_spec *specs;
    uint32_t *members;

    to[1].state.held_since.ms = NOW;
    assert_int_equal(job_group(&m, NULL, 0, &a, &specs), 2);
    assert_false(specs[0].is_held);
    assert_true(specs[1].is_held && date_is_never(specs[1].note));
    assert_int_equal(job_members(&m, 0, &a, &members), 2);
    arena_done(&a);
    (void)state;
}

static void an_address_means_exactly_that_address(void **state)
{
    static const struct {
        const char *wanted, *address;
        bool is_meant;
    } rows[] = {
        {"nn@x.example", "ann@x.example", false}, {"ann@x.example", "Ann@X.example", true},
        {"@x.example", "ann@X.EXAMPLE", true},    {"@x.example", "ann@sub.x.example", false},
        {"x.example", "ann@x.example", false},    {"<>", "", true},
        {"<>", "ann@x.example", false},           {"@", "", true},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(select_address(str_of(rows[i].wanted), str_of(rows[i].address)),
                         rows[i].is_meant);
    }
    assert_true(select_site(STR("a.example"), STR("mx a.example")));
    assert_true(select_site(STR("mx a.example"), STR("mx a.example")));
    assert_false(select_site(STR("mx"), STR("mx a.example")));
    assert_true(select_site(STR("hub"), STR("hub")));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hold_stops_all_clocks_and_its_release_moves_them),
        cmocka_unit_test(a_quarantine_ends_by_being_dropped),
        cmocka_unit_test(a_clock_that_was_set_back_shortens_nothing),
        cmocka_unit_test(a_retry_changes_the_time_of_the_next_attempt_and_nothing_else),
        cmocka_unit_test(a_cancel_tells_whom_notify_says),
        cmocka_unit_test(what_has_ended_stays_as_it_ended),
        cmocka_unit_test(asks_come_one_after_the_other_and_leave_the_others_alone),
        cmocka_unit_test(what_is_held_is_a_job_of_its_own),
        cmocka_unit_test(an_address_means_exactly_that_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
