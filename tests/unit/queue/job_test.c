#include "../unit.h"
#include "base/arena.h"
#include "queue/job.h"

enum { RCPTS = 6 };

static struct recipient rcpt(const char *queue, const char *site, int64_t next)
{
    return (struct recipient){.address = STR("a@b.example"),
                              .state = {.status = RCPT_WAITING,
                                        .queue = str_of(queue),
                                        .site = str_of(site),
                                        .next = {next},
                                        .notice = {500},
                                        .expires = {900},
                                        .deadline = DATE_NEVER}};
}

/* each time is a job of its own, and the earliest comes first. */
static void recipients_with_one_future_are_one_job(void **state)
{
    struct recipient to[RCPTS] = {rcpt("remote", "mx a", 100), rcpt("remote", "mx b", 100),
                                  rcpt("remote", "mx a", 100), rcpt("local", "mx a", 100),
                                  rcpt("remote", "mx a", 200), rcpt("remote", "mx a", 100)};
    struct message m = {.to = to, .to_count = RCPTS};
    struct arena a = {0};
    struct job_spec *specs;
    uint32_t *members;

    to[5].state.status = RCPT_DELIVERED;
    assert_int_equal(job_group(&m, NULL, 0, &a, &specs), 4);
    assert_int_equal(specs[0].first, 0);
    assert_int_equal(specs[0].to_count, 2);
    assert_int_equal(specs[1].first, 1);
    assert_int_equal(specs[2].first, 3);
    EXPECT_STR(specs[2].queue, "local");
    assert_int_equal(specs[3].act.ms, 200);
    /* Who belongs to a job is found again from its lowest index. */
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(job_members(&m, specs[i].first, &a, &members), specs[i].to_count);
        assert_int_equal(members[0], specs[i].first);
    }
    assert_int_equal(job_members(&m, 0, &a, &members), 2);
    assert_int_equal(members[1], 2);
    arena_done(&a);
    (void)state;
}

static void the_note_is_the_first_of_notice_expiry_and_deadline(void **state)
{
    struct rcpt_state s = {.notice = {500}, .expires = {900}, .deadline = DATE_NEVER};
    bool is_end;

    assert_int_equal(job_note_date(&s, &is_end).ms, 500);
    assert_false(is_end);
    s.deadline.ms = 400;
    assert_int_equal(job_note_date(&s, &is_end).ms, 400);
    assert_true(is_end);
    s.deadline = DATE_NEVER;
    s.notice = DATE_NEVER;
    assert_int_equal(job_note_date(&s, &is_end).ms, 900);
    assert_true(is_end);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipients_with_one_future_are_one_job),
        cmocka_unit_test(the_note_is_the_first_of_notice_expiry_and_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
