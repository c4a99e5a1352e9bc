/* Registrations over virtual days: a scanner that answers as told, and who asks whether there is
 * one. */
#include "registering.h"

/* Who comes before it is there waits for it. */
static void had_story(struct registries *all, struct registry *r)
{
    (void)all;
    EXPECT_ID(r, "r-1");
    rest(86400 * 1000);
    EXPECT_ID(r, "r-1");
    assert_int_equal(scanner.posts, 1);
    assert_int_equal(scanner.discoveries, 0);
}

/* DR-67: with credentials, once. */
static void it_is_had_and_given_back(void **state)
{
    (void)state;
    prepare();
    tell(had_story);
    assert_int_equal(scanner.deletes, 1);
    assert_int_equal(scanner.naked, 0);
}

static void discovery_story(struct registries *all, struct registry *r)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct registry_pass pass;

    (void)all;
    assert_int_equal(registry_enter(r, STR_EMPTY, &a, &pass, &why, when_after(100)).code, OK);
    assert_true(pass.has_updates);
    assert_int_equal(pass.updates[REGISTRY_INBOUND].count, 1);
    assert_int_equal(pass.message_bytes_max, 1000);
    EXPECT_STR(pass.grant.hook, "https://192.0.2.9:443/invoke/1");
}

/* DR-01: credentials are not for everyone to see. */
static void a_scanner_is_asked_where_to_register(void **state)
{
    (void)state;
    prepare();
    scanner.discovers = true;
    tell(discovery_story);
    assert_int_equal(scanner.discoveries, 1);
    assert_int_equal(scanner.naked, 1);
    assert_int_equal(scanner.deletes, 1);
    assert_string_equal(scanner.deleted, "/reg/r-1");
}

static void renewal_story(struct registries *all, struct registry *r)
{
    (void)all;
    EXPECT_ID(r, "r-1");
    rest(44000);
    EXPECT_ID(r, "r-1");
    rest(5000);
    EXPECT_ID(r, "r-2");
    assert_in_range(scanner.post_at_s[1], 44, 48);
    /* and while it cannot be renewed, the one there is holds until its end */
    scanner.status = 503;
    rest(45000);
    EXPECT_ID(r, "r-2");
    assert_true(scanner.posts > 2);
    rest(16000);
    EXPECT_NONE(r);
}

/* DR-12. */
static void it_is_renewed_before_its_end(void **state)
{
    (void)state;
    prepare();
    scanner.life_s = 60;
    tell(renewal_story);
}

static void suspended_story(struct registries *all, struct registry *r)
{
    (void)all;
    rest(100);
    EXPECT_NONE(r);
    scanner.said = "suspended";
    rest(61000);
    assert_int_equal(scanner.polls, 1);
    EXPECT_NONE(r);
    scanner.said = "active";
    rest(60000);
    EXPECT_ID(r, "r-1");
    rest(3600 * 1000);
    assert_int_equal(scanner.polls, 2);
}

/* DR-13. */
static void a_suspended_one_is_asked_about(void **state)
{
    (void)state;
    prepare();
    scanner.is_suspended = true;
    tell(suspended_story);
    assert_int_equal(scanner.posts, 1);
}

static struct loser {
    struct registry *r;
    enum err_code code;
    char id[32];
} losers[20];

static void lose(void *arg)
{
    struct loser *l = arg;

    l->code = enter(l->r, "r-1", l->id, 5000);
}

static void lost_story(struct registries *all, struct registry *r)
{
    struct group g;
    char id[32];

    (void)all;
    EXPECT_ID(r, "r-1");
    scanner.latency_ms = 500;
    group_init(&g, "losers", 0);
    for (size_t i = 0; i < COUNT_OF(losers); i++) {
        losers[i].r = r;
        assert_int_equal(group_spawn_now(&g, "loser", lose, &losers[i]).code, OK);
    }
    assert_int_equal(group_join(&g, WHEN_NEVER).code, OK);
    for (size_t i = 0; i < COUNT_OF(losers); i++) {
        assert_int_equal(losers[i].code, OK);
        assert_string_equal(losers[i].id, "r-2");
    }
    assert_int_equal(scanner.posts, 2);
    /* who was late with an old loss gets the one there is */
    assert_int_equal(enter(r, "r-1", id, 100), OK);
    assert_string_equal(id, "r-2");
    rest(3600 * 1000);
    assert_int_equal(scanner.posts, 2);
}

/* DR-19, DR-21. */
static void a_lost_one_is_got_again_once(void **state)
{
    (void)state;
    prepare();
    tell(lost_story);
}

static void lost_for_good_story(struct registries *all, struct registry *r)
{
    char id[32];

    (void)all;
    EXPECT_ID(r, "r-1");
    scanner.status = 404;
    assert_int_equal(enter(r, "r-1", id, 5000), ERR_BUSY);
    EXPECT_NONE(r);
}

static void one_that_cannot_be_got_again_is_none(void **state)
{
    (void)state;
    prepare();
    tell(lost_for_good_story);
    assert_int_equal(scanner.deletes, 0);
}

static void backoff_story(struct registries *all, struct registry *r)
{
    (void)all;
    rest(8500);
    EXPECT_NONE(r);
    scanner.status = 201;
    rest(20000);
    EXPECT_ID(r, "r-5");
}

static void what_may_pass_is_tried_again_soon(void **state)
{
    (void)state;
    prepare();
    scanner.status = 503;
    tell(backoff_story);
    assert_int_equal(scanner.post_at_s[0], 0);
    assert_in_range(scanner.post_at_s[1], 1, 1);
    assert_in_range(scanner.post_at_s[2], 3, 3);
    assert_in_range(scanner.post_at_s[3], 7, 7);
    assert_in_range(scanner.post_at_s[4], 15, 16);
}

static void refused_story(struct registries *all, struct registry *r)
{
    (void)all;
    rest(100);
    EXPECT_NONE(r);
    rest(14 * 60 * 1000);
    assert_int_equal(scanner.posts, 1);
    scanner.status = 201;
    rest(3 * 60 * 1000);
    EXPECT_ID(r, "r-2");
}

/* Credentials that were refused are not tried again and again. */
static void what_was_refused_is_left_alone(void **state)
{
    (void)state;
    prepare();
    scanner.status = 401;
    tell(refused_story);
}

static void told_when_story(struct registries *all, struct registry *r)
{
    (void)all;
    rest(99000);
    assert_int_equal(scanner.posts, 1);
    scanner.status = 201;
    rest(13000);
    EXPECT_ID(r, "r-2");
}

static void a_scanner_may_say_when(void **state)
{
    (void)state;
    prepare();
    scanner.status = 429;
    scanner.retry_after = "100";
    tell(told_when_story);
}

static void slow_story(struct registries *all, struct registry *r)
{
    char id[32];
    int64_t before = seconds();

    (void)all;
    assert_int_equal(enter(r, "", id, 2000), ERR_TIMEOUT);
    assert_int_equal(seconds() - before, 2);
    rest(4000);
    EXPECT_ID(r, "r-1");
}

static void who_waits_waits_no_longer_than_its_time(void **state)
{
    (void)state;
    prepare();
    scanner.latency_ms = 5000;
    tell(slow_story);
}

static void retired_story(struct registries *all, struct registry *r)
{
    EXPECT_ID(r, "r-1");
    registries_begin(all);
    assert_ptr_equal(take(all), r); /* it stays over a reload */
    registry_drop(r);
    registries_end(all);
    rest(1000);
    EXPECT_ID(r, "r-1");
    registries_begin(all);
    registries_end(all);
    rest(60 * 1000);
    EXPECT_ID(r, "r-1"); /* calls of an older configuration */
    assert_int_equal(scanner.deletes, 0);
    rest(61 * 1000);
    assert_int_equal(scanner.deletes, 1);
    EXPECT_NONE(r);
}

static void one_that_is_not_wanted_any_more_is_given_back(void **state)
{
    (void)state;
    prepare();
    tell(retired_story);
    assert_int_equal(scanner.deletes, 1);
}

/* Of five configurations, each with a registration of its own, only the last is there. */
static void forgotten_story(struct registries *all, struct registry *r)
{
    static const char *const keys[] = {"two", "three", "four", "five"};
    struct registry *last = NULL, *longest = NULL;

    EXPECT_ID(r, "r-1"); /* the one that the test itself keeps */
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct registry *next;

        registries_begin(all);
        next = take_of(all, keys[i]);
        registries_end(all);
        if (i == 1) {
            longest = last; /* somebody still has that configuration */
        } else {
            registry_drop(last);
        }
        last = next;
        rest(3 * 60 * 1000);
        assert_int_equal(registries_count(all), i < 1 ? 2 : 3);
    }
    registry_drop(longest);
    registries_begin(all);
    assert_ptr_equal(take_of(all, "five"), last);
    registries_end(all);
    assert_int_equal(registries_count(all), 2);
    registry_drop(last);
    registry_drop(last);
}

static void one_that_nobody_keeps_is_forgotten(void **state)
{
    (void)state;
    prepare();
    tell(forgotten_story);
    assert_int_equal(scanner.deletes, 5);
}

static void never_story(struct registries *all, struct registry *r)
{
    (void)all;
    rest(5000);
    EXPECT_NONE(r);
}

/* DR-67, DR-68. */
static void only_what_was_had_is_given_back(void **state)
{
    (void)state;
    prepare();
    scanner.status = 500;
    tell(never_story);
    assert_int_equal(scanner.deletes, 0);
    prepare();
    scanner.delete_status = 404;
    tell(had_story);
    assert_int_equal(scanner.deletes, 1);
}

static void slow_end_story(struct registries *all, struct registry *r)
{
    (void)all;
    EXPECT_ID(r, "r-1");
    scanner.latency_ms = 3600 * 1000;
}

/* The end waits for nobody long. */
static void a_scanner_that_does_not_answer_holds_no_end(void **state)
{
    (void)state;
    prepare();
    tell(slow_end_story);
    assert_in_range(scanner.ended_at_s, 5, 6);
}

/* From another loop, since that is where it is asked. */
static struct registry *asked;

static void work_main(void *arg)
{
    (void)arg;
    rest(1000);
    EXPECT_ID(asked, "r-1");
}

static void two_loops_story(struct registries *all, struct registry *r)
{
    (void)all;
    asked = r;
    rest(5000);
}

static void any_loop_may_ask(void **state)
{
    struct world *w = sim_world(NULL);

    (void)state;
    prepare();
    story = (struct story){.tell = two_loops_story, .home = world_loop(w, "home")};
    loop_main(story.home, home_main, NULL);
    loop_main(world_loop(w, "work-0"), work_main, NULL);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
}

static void renewals_are_spread(void **state)
{
    struct date from = {1000000}, to = {1100000};

    (void)state;
    assert_int_equal(registry_renewal_ms(from, to, 0), 80000);
    assert_int_equal(registry_renewal_ms(from, to, 4999), 75001);
    assert_int_equal(registry_renewal_ms(from, to, UINT64_MAX), 80000 - UINT64_MAX % 5000);
    assert_int_equal(registry_renewal_ms(from, (struct date){1000001}, 7), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_had_and_given_back),
        cmocka_unit_test(a_scanner_is_asked_where_to_register),
        cmocka_unit_test(it_is_renewed_before_its_end),
        cmocka_unit_test(a_suspended_one_is_asked_about),
        cmocka_unit_test(a_lost_one_is_got_again_once),
        cmocka_unit_test(one_that_cannot_be_got_again_is_none),
        cmocka_unit_test(what_may_pass_is_tried_again_soon),
        cmocka_unit_test(what_was_refused_is_left_alone),
        cmocka_unit_test(a_scanner_may_say_when),
        cmocka_unit_test(who_waits_waits_no_longer_than_its_time),
        cmocka_unit_test(one_that_is_not_wanted_any_more_is_given_back),
        cmocka_unit_test(one_that_nobody_keeps_is_forgotten),
        cmocka_unit_test(only_what_was_had_is_given_back),
        cmocka_unit_test(a_scanner_that_does_not_answer_holds_no_end),
        cmocka_unit_test(any_loop_may_ask),
        cmocka_unit_test(renewals_are_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
