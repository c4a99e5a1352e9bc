/* Registrations over virtual days: a scanner that answers as told, and who asks whether there is
 * one. */
#include "../unit.h"
#include "base/check.h"
#include "hooks/registry.h"
#include "runtime/clock.h"
#include "runtime/sim.h"

static const struct str offered[] = {STR_INIT("/stage"), STR_INIT("/action")};
static const struct fetch_field credentials[] = {
    {STR_INIT("Authorization"), STR_INIT("Bearer 0123456789")}};

/* What the scanner does, and what it has seen. */
static struct {
    int status; /* of registrations; 201: they are granted */
    const char *retry_after;
    int64_t life_s, latency_ms;
    bool is_suspended, discovers;
    const char *said; /* of the status page */
    int delete_status;

    int discoveries, posts, polls, deletes, naked; /* naked: without credentials */
    int64_t post_at_s[16], ended_at_s;
    char deleted[64]; /* the path */
} scanner;

static void prepare(void)
{
    memset(&scanner, 0, sizeof(scanner));
    scanner.status = 201;
    scanner.latency_ms = 10;
    scanner.delete_status = 200;
    scanner.said = "active";
}

static struct date began;

static int64_t seconds(void)
{
    return (clock_date().ms - began.ms) / 1000;
}

static bool has_field(const struct fetch_request *r, const char *name)
{
    for (size_t i = 0; i < r->field_count; i++) {
        if (str_eq_nocase(r->fields[i].name, str_of(name))) {
            return true;
        }
    }
    return false;
}

static void grant(struct arena *a, struct fetch_answer *ret)
{
    char at[DATE_ISO_BYTES];
    struct str expires = STR("null");

    if (scanner.life_s > 0) {
        expires = arena_printf(
            a, "\"%.*s\"", STR_ARG(date_iso(date_add(clock_date(), scanner.life_s * 1000), at)));
    }
    ret->body = arena_printf(
        a,
        "{\"registrationId\":\"r-%d\",\"status\":\"%s\",\"createdAt\":null,\"expiresAt\":%.*s,"
        "\"hookEndpoint\":\"/invoke/%d\",\"endpoints\":{\"status\":\"/status\"%s},\"negotiated\":"
        "{\"serialization\":\"json\",\"inbound\":{\"stages\":[\"data\"],\"properties\":"
        "[\"/stage\",\"/action\"]}}}",
        scanner.posts, scanner.is_suspended ? "suspended" : "active", STR_ARG(expires),
        scanner.posts, scanner.discovers ? "" : ",\"deregistration\":\"/reg/x\"");
}

static struct err answer(void *ctx, const struct fetch_request *r, struct arena *a,
                         struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct err e;

    (void)ctx;
    *ret = (struct fetch_answer){.status = 200, .content_type = STR("application/json")};
    if (!has_field(r, "Authorization")) {
        scanner.naked++;
    }
    if (str_eq(r->target->path, STR("/.well-known/mta-hooks"))) {
        scanner.discoveries++;
        ret->body = STR(
            "{\"version\":\"1.0\",\"endpoints\":{\"registration\":\"/reg\","
            "\"deregistration\":\"/reg/{registration_id}\"},"
            "\"serialization\":[\"json\"],\"capabilities\":{\"inbound\":{"
            "\"stages\":[\"data\"],\"fetchProperties\":[\"/stage\",\"/action\"],"
            "\"updateProperties\":[\"/action\"]}},\"limits\":{\"maxMessageSize\":1000}}");
    } else if (str_eq(r->method, STR("POST"))) {
        scanner.post_at_s[scanner.posts++ % 16] = seconds();
        ret->status = scanner.status;
        ret->retry_after = str_of(scanner.retry_after);
        grant(a, ret);
    } else if (str_eq(r->method, STR("DELETE"))) {
        must(has_field(r, "X-MTA-Hooks-Registration"));
        scanner.deletes++;
        snprintf(scanner.deleted, sizeof(scanner.deleted), "%.*s", STR_ARG(r->target->path));
        ret->status = scanner.delete_status;
    } else {
        scanner.polls++;
        ret->body = arena_printf(a, "{\"registrationId\":\"r-%d\",\"status\":\"%s\"}",
                                 scanner.posts, scanner.said);
    }
    e = fiber_sleep(when_after(scanner.latency_ms), by);
    if (e.code) {
        buf_put(why, STR("no answer"));
    }
    return e;
}

/* ---- the world ---- */

typedef void story_fn(struct registries *all, struct registry *r);

static struct story {
    story_fn *tell;
    struct loop *home;
} story;

static struct registry *take_of(struct registries *all, const char *key)
{
    struct registry_options o = {
        .name = STR("scan"),
        .key = str_of(key),
        .url = STR("https://192.0.2.9/reg"),
        .discovers = scanner.discovers,
        .offer = {.name = STR("mx"),
                  .version = STR("1"),
                  .timeout_ms = 30000,
                  .needs_all_stages = true,
                  .stages = 1u << HOOK_DATA,
                  .properties = {{offered, COUNT_OF(offered)}}},
        .fields = credentials,
        .field_count = 1,
        .pool = {.connections_max = 2, .sim = {answer, NULL}},
        .timeout_ms = 30000,
    };

    return registries_take(all, &o);
}

static struct registry *take(struct registries *all)
{
    return take_of(all, "one");
}

static void home_main(void *arg)
{
    struct registries *all = registries_new(loop_self(), NULL, NULL);
    struct registry *r;

    (void)arg;
    began = clock_date();
    registries_begin(all);
    r = take(all);
    story.tell(all, r);
    registries_stop(all, WHEN_NEVER);
    registry_drop(r);
    scanner.ended_at_s = seconds();
    registries_free(all);
}

static void tell(story_fn *fn)
{
    struct world *w = sim_world(NULL);

    story = (struct story){.tell = fn, .home = world_loop(w, "home")};
    loop_main(story.home, home_main, NULL);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
}

static void rest(int64_t ms)
{
    must(fiber_sleep(when_after(ms), WHEN_NEVER).code == OK);
}

static enum err_code enter(struct registry *r, const char *lost, char id[32], int64_t ms)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct registry_pass pass;
    struct err e = registry_enter(r, str_of(lost), &a, &pass, &why, when_after(ms));

    id[0] = '\0';
    if (!e.code) {
        snprintf(id, 32, "%.*s", STR_ARG(pass.grant.id));
    } else {
        must(why.len > 0);
    }
    return e.code;
}

#define EXPECT_ID(r, id)                                                                           \
    do {                                                                                           \
        char got_[32];                                                                             \
        assert_int_equal(enter((r), "", got_, 100), OK);                                           \
        assert_string_equal(got_, (id));                                                           \
    } while (0)
#define EXPECT_NONE(r)                                                                             \
    do {                                                                                           \
        char got_[32];                                                                             \
        assert_int_equal(enter((r), "", got_, 100), ERR_BUSY);                                     \
    } while (0)

/* ---- stories ---- */

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
