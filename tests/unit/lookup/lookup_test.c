/* Cache, joining, breaker and deadlines on virtual clocks; the store is a function. */
#include "../unit.h"
#include "config/config.h"
#include "lookup/lookup.h"
#include "lookup/settings.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/sim.h"

enum { MS = 1000000 };

static const char *const standard = "lookup:\n"
                                    "  r: { type: redis, address: 127.0.0.1, pool: 2 }\n"
                                    "  f: { type: file, path: /nowhere }\n";

static struct yard {
    void (*test)(void);
    struct world *world;
    struct loop *home, *user;
    struct lookups *lookups;
    struct config *config;
    struct fiber *home_waits;
    bool over;

    /* What the store does. */
    int64_t takes_ms;
    enum err_code fails;
    unsigned asked, at_once, most_at_once;
    char news[200];
} y;

static struct err answer(void *ctx, const struct lookup_question *q, struct arena *a,
                         struct lookup_answer *ret, struct when by)
{
    struct err e = ERR_OK;

    (void)ctx;
    y.asked++;
    y.at_once++;
    y.most_at_once = y.at_once > y.most_at_once ? y.at_once : y.most_at_once;
    if (y.takes_ms > 0) {
        e = fiber_sleep(when_after(y.takes_ms), by);
    }
    y.at_once--;
    if (e.code == OK && y.fails != OK) {
        ret->why = STR("it says no");
        e = err_of(y.fails);
    }
    if (e.code != OK || str_eq(q->key, STR("none"))) {
        return e;
    }
    ret->rows = ret->columns = 1;
    ret->cells = arena_array(a, 1, sizeof *ret->cells);
    ret->cells[0] = (struct lookup_cell){.type = LOOKUP_TEXT,
                                         .text = arena_printf(a, "%.*s!", STR_ARG(q->key))};
    return ERR_OK;
}

static void told(void *ctx, struct str store, enum lookup_news news, struct str text)
{
    size_t len = strlen(y.news);

    (void)ctx, (void)text;
    (void)snprintf(y.news + len, sizeof y.news - len, "%.*s%d ", STR_ARG(store), (int)news);
}

static void home_main(void *arg)
{
    struct lookup_options o = {.sim = {.ask = answer}, .told = told};

    (void)arg;
    y.lookups = lookup_open(y.config, &o, WHEN_NEVER);
    y.home_waits = fiber_self();
    while (!y.over) {
        fiber_wait_firm("the end", WHEN_NEVER);
    }
    lookup_close(y.lookups, WHEN_NEVER);
}

static void end_here(struct post *p)
{
    (void)p;
    y.over = true;
    fiber_wake(y.home_waits);
}

static void user_main(void *arg)
{
    static struct post end;

    (void)arg;
    (void)fiber_sleep(when_after(1), WHEN_NEVER);
    y.test();
    end = (struct post){.run = end_here};
    loop_post(y.home, &end);
}

static void in_a_world(void (*test)(void), const char *text)
{
    static const struct setting_table *const tables[] = {&lookup_table};
    struct config_options o = {.tables = tables, .table_count = 1, .number = 1};
    struct faults faults = {0};

    memset(&y, 0, sizeof y);
    y.test = test;
    y.config = config_parse(&o, STR("f"), str_of(text), &faults);
    assert_non_null(y.config);
    faults_done(&faults);
    y.world = sim_world(NULL);
    y.home = world_loop(y.world, "home");
    y.user = world_loop(y.world, "user");
    loop_main(y.home, home_main, NULL);
    loop_main(y.user, user_main, NULL);
    world_run(y.world);
    assert_int_equal(sim_end(y.world), SIM_OVER);
    world_free(y.world);
    config_give(y.config);
}

/* One question and what it came to: the value, "" for none, or "CODE why". */
static struct str ask(struct arena *a, const char *store, enum lookup_verb verb, const char *key,
                      struct when by)
{
    struct lookup_question q = {
        .store = str_of(store), .verb = verb, .key = str_of(key), .value = STR("v")};
    struct lookup_answer n;
    struct err e = lookup_ask(y.lookups, &q, a, &n, by);

    if (e.code != OK) {
        return arena_printf(a, "%s %.*s", err_name(e.code), STR_ARG(n.why));
    }
    return n.rows == 0 ? STR_EMPTY : n.cells[0].text;
}

#define ASK(verb, key) ask(&a, "r", LOOKUP_##verb, key, WHEN_NEVER)

/* Some at once. */
struct some {
    enum lookup_verb verb;
    const char *key;
    struct arena a;
    struct str got;
    int64_t took_ms;
};

static void ask_one(void *arg)
{
    struct some *s = arg;
    struct when began = clock_now();

    s->got = ask(&s->a, "r", s->verb, s->key, WHEN_NEVER);
    s->took_ms = (clock_now().ns - began.ns) / MS;
}

static void ask_some(struct some *at, size_t count)
{
    struct group g;

    group_init(&g, "askers", 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(group_spawn_now(&g, "asker", ask_one, &at[i]).code, OK);
    }
    (void)group_join(&g, WHEN_NEVER);
}

/* ---- cache ---- */

static void asks_again_and_again(void)
{
    struct arena a ARENA_LOCAL = {0};

    EXPECT_STR(ASK(GET, "k"), "k!");
    EXPECT_STR(ASK(GET, "k"), "k!");
    assert_int_equal(y.asked, 1);
    EXPECT_STR(ASK(GET, "none"), "");
    EXPECT_STR(ASK(GET, "none"), "");
    assert_int_equal(y.asked, 2);
    (void)fiber_sleep(when_after(11 * 1000), WHEN_NEVER); /* negative-ttl is 10 s, ttl 30 s */
    EXPECT_STR(ASK(GET, "none"), "");
    EXPECT_STR(ASK(GET, "k"), "k!");
    assert_int_equal(y.asked, 3);
    (void)fiber_sleep(when_after(20 * 1000), WHEN_NEVER);
    EXPECT_STR(ASK(GET, "k"), "k!");
    assert_int_equal(y.asked, 4);
    EXPECT_STR(ASK(SET, "k"), "k!"); /* what was known of the key is forgotten */
    EXPECT_STR(ASK(GET, "k"), "k!");
    assert_int_equal(y.asked, 6);
    EXPECT_STR(ASK(COUNTER, "k"), "k!");
    EXPECT_STR(ASK(COUNTER, "k"), "k!");
    EXPECT_STR(ASK(COUNTER_INCR, "k"), "k!");
    EXPECT_STR(ASK(COUNTER_INCR, "k"), "k!");
    assert_int_equal(y.asked, 10);
    assert_int_equal(lookup_counts(y.lookups).asked, 13);
    assert_int_equal(lookup_counts(y.lookups).cached, 3);
    assert_int_equal(lookup_counts(y.lookups).failed, 0);
}

static void answers_are_kept_for_a_while_and_counters_never(void **state)
{
    in_a_world(asks_again_and_again, standard);
    (void)state;
}

/* ---- together ---- */

static void asks_together(void)
{
    struct some same[10], apart[4], writes[3];

    y.takes_ms = 100;
    for (size_t i = 0; i < 10; i++) {
        same[i] = (struct some){.verb = LOOKUP_GET, .key = "k"};
    }
    ask_some(same, 10);
    assert_int_equal(y.asked, 1);
    assert_int_equal(lookup_counts(y.lookups).joined, 9);
    for (size_t i = 0; i < 10; i++) {
        EXPECT_STR(same[i].got, "k!");
        arena_done(&same[i].a);
    }
    static const char *const keys[] = {"a", "b", "c", "d"};

    for (size_t i = 0; i < 4; i++) {
        apart[i] = (struct some){.verb = LOOKUP_GET, .key = keys[i]};
    }
    ask_some(apart, 4);
    assert_int_equal(y.asked, 5);
    assert_int_equal(y.most_at_once, 2); /* pool: 2 */
    assert_in_range(apart[3].took_ms, 199, 260);
    for (size_t i = 0; i < 4; i++) {
        arena_done(&apart[i].a);
    }
    for (size_t i = 0; i < 3; i++) {
        writes[i] = (struct some){.verb = LOOKUP_COUNTER_INCR, .key = "n"};
    }
    ask_some(writes, 3);
    assert_int_equal(y.asked, 8); /* each counts */
    for (size_t i = 0; i < 3; i++) {
        arena_done(&writes[i].a);
    }
}

static void equal_questions_are_asked_once_within_the_pool(void **state)
{
    in_a_world(asks_together, standard);
    (void)state;
}

/* ---- the breaker ---- */

static bool begins(struct str s, const char *with)
{
    return str_starts(s, str_of(with));
}

static void asks_the_dead(void)
{
    struct arena a ARENA_LOCAL = {0};
    unsigned before;
    struct when began = clock_now();

    y.takes_ms = 3600 * 1000;
    assert_true(begins(ASK(GET, "k"), "TIMEOUT lookup.r: "));
    assert_in_range((clock_now().ns - began.ns) / MS, 1999, 2050); /* the store's time-out */
    began = clock_now();
    for (unsigned i = 0; i < 100; i++) {
        assert_true(begins(ASK(GET, "k"), "BUSY lookup.r: left alone"));
        assert_true(begins(ASK(COUNTER_INCR, "k"), "BUSY"));
    }
    assert_in_range((clock_now().ns - began.ns) / MS, 0, 100);
    assert_int_equal(y.asked, 1); /* one time-out, not one for each message */
    assert_int_equal(lookup_counts(y.lookups).refused, 200);
    assert_int_equal(lookup_counts(y.lookups).failed, 201);
    assert_string_equal(y.news, "r0 ");

    /* After a second one question probes; then it is left alone for two. */
    (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    struct some two[2] = {{.verb = LOOKUP_GET, .key = "a"}, {.verb = LOOKUP_GET, .key = "b"}};

    ask_some(two, 2);
    assert_int_equal(y.asked, 2);
    assert_true(begins(two[0].got, "TIMEOUT") != begins(two[1].got, "TIMEOUT"));
    arena_done(&two[0].a);
    arena_done(&two[1].a);
    before = y.asked;
    (void)fiber_sleep(when_after(1500), WHEN_NEVER);
    assert_true(begins(ASK(GET, "k"), "BUSY"));
    assert_int_equal(y.asked, before);

    /* It is back: told once, and asked as ever. */
    (void)fiber_sleep(when_after(600), WHEN_NEVER);
    y.takes_ms = 0;
    EXPECT_STR(ASK(GET, "k"), "k!");
    EXPECT_STR(ASK(GET, "l"), "l!");
    assert_string_equal(y.news, "r0 r1 ");
}

static void a_dead_store_costs_one_time_out_and_is_probed(void **state)
{
    in_a_world(asks_the_dead, standard);
    (void)state;
}

static void waits_for_the_end_of_a_pause(void)
{
    struct arena a ARENA_LOCAL = {0};
    unsigned times = 0;
    struct when began = clock_now();

    y.fails = ERR_NETWORK;
    while ((clock_now().ns - began.ns) / MS < 10 * 60 * 1000) {
        (void)ASK(GET, "k");
        (void)fiber_sleep(when_after(100), WHEN_NEVER);
    }
    times = y.asked;
    assert_in_range(times, 20, 30); /* 1 2 4 8 16 s, then every 30 */
}

static void a_store_that_stays_away_is_asked_every_half_minute(void **state)
{
    in_a_world(waits_for_the_end_of_a_pause, standard);
    (void)state;
}

static void refuses_questions(void)
{
    struct arena a ARENA_LOCAL = {0};

    y.fails = ERR_SYNTAX;
    EXPECT_STR(ASK(GET, "k"), "SYNTAX lookup.r: it says no");
    EXPECT_STR(ASK(GET, "k"), "SYNTAX lookup.r: it says no"); /* and is not kept */
    assert_int_equal(y.asked, 2);
    y.fails = OK;
    EXPECT_STR(ASK(GET, "k"), "k!");
    assert_string_equal(y.news, "");
}

static void a_question_that_is_refused_says_nothing_of_the_store(void **state)
{
    in_a_world(refuses_questions, standard);
    (void)state;
}

static void slow_one(void *arg)
{
    y.takes_ms = 10 * 1000;
    ask_one(arg);
}

static void one_is_slow(void)
{
    struct some slow = {.verb = LOOKUP_GET, .key = "slow"};
    struct arena a ARENA_LOCAL = {0};
    struct group g;

    group_init(&g, "askers", 0);
    assert_int_equal(group_spawn_now(&g, "slow", slow_one, &slow).code, OK);
    (void)fiber_sleep(when_after(100), WHEN_NEVER);
    y.takes_ms = 1;
    EXPECT_STR(ASK(GET, "k"), "k!");
    (void)group_join(&g, WHEN_NEVER);
    assert_true(begins(slow.got, "TIMEOUT"));
    EXPECT_STR(ASK(GET, "l"), "l!");
    assert_string_equal(y.news, "");
    arena_done(&slow.a);
}

static void one_slow_question_does_not_close_the_store_to_others(void **state)
{
    in_a_world(one_is_slow, standard);
    (void)state;
}

/* ---- what else goes wrong ---- */

static void gives_up(void)
{
    struct arena a ARENA_LOCAL = {0};

    y.takes_ms = 1000;
    assert_true(begins(ask(&a, "r", LOOKUP_GET, "k", when_after(10)), "TIMEOUT"));
    (void)fiber_sleep(when_after(1500), WHEN_NEVER);
    y.takes_ms = 0;
    EXPECT_STR(ASK(GET, "k"), "k!"); /* the answer came after all, for the next */
    assert_int_equal(y.asked, 1);
    EXPECT_STR(ask(&a, "r", LOOKUP_GET, "n", clock_now()),
               "TIMEOUT lookup.r: not asked, no time is left");
    assert_int_equal(y.asked, 1);
    y.takes_ms = 1000;
    assert_true(begins(ask(&a, "r", LOOKUP_GET, "m", when_after(10)), "TIMEOUT"));
    /* ... and what is under way at the end is given up. */
}

static void an_asker_that_gives_up_leaves_the_answer_to_the_next(void **state)
{
    in_a_world(gives_up, standard);
    (void)state;
}

static void asks_what_cannot_be(void)
{
    struct arena a ARENA_LOCAL = {0};

    EXPECT_STR(ask(&a, "none", LOOKUP_GET, "k", WHEN_NEVER),
               "NOT_FOUND lookup.none: there is no such store");
    EXPECT_STR(ask(&a, "f", LOOKUP_SQL, "SELECT 1", WHEN_NEVER),
               "SYNTAX lookup.f: a store of type file cannot be asked sql_query");
    EXPECT_STR(ask(&a, "r", LOOKUP_SQL, "SELECT 1", WHEN_NEVER),
               "SYNTAX lookup.r: a store of type redis cannot be asked sql_query");
    assert_int_equal(y.asked, 0);
}

static void a_store_is_not_asked_what_it_cannot_do(void **state)
{
    in_a_world(asks_what_cannot_be, standard);
    (void)state;
}

static void many_wait(void)
{
    enum { MANY = 64 };
    static struct some all[MANY];
    static char keys[MANY][8];

    y.takes_ms = 500;
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "k%zu", i);
        all[i] = (struct some){.verb = LOOKUP_GET, .key = keys[i]};
    }
    ask_some(all, MANY);
    size_t answered = 0;

    for (size_t i = 0; i < MANY; i++) {
        assert_in_range(all[i].took_ms, 0, 2600);
        answered += !begins(all[i].got, "TIMEOUT");
        arena_done(&all[i].a);
    }
    assert_in_range(answered, 6, 8); /* two at a time, half a second each, two seconds */
    assert_string_equal(y.news, ""); /* it is busy, not away */
}

/* All connections are at work for most of the time-out; who comes next has little of it left. */
static void many_wait_for_slow_ones(void)
{
    static struct some all[3];
    static const char *const keys[] = {"a", "b", "c"};

    y.takes_ms = 1900;
    for (size_t i = 0; i < 3; i++) {
        all[i] = (struct some){.verb = LOOKUP_GET, .key = keys[i]};
    }
    ask_some(all, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(begins(all[i].got, "TIMEOUT"), i == 2);
        arena_done(&all[i].a);
    }
    assert_string_equal(y.news, "");
}

static void a_time_out_in_the_queue_does_not_close_the_store(void **state)
{
    in_a_world(many_wait_for_slow_ones, standard);
    (void)state;
}

static void who_waits_too_long_for_a_connection_is_told(void **state)
{
    in_a_world(many_wait, standard);
    (void)state;
}

/* ---- settings ---- */

static void settings_are_checked_by_type(void **state)
{
    static const struct setting_table *const tables[] = {&lookup_table};
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"lookup: { a: { type: file } }", "type file needs a path"},
        {"lookup: { a: { type: redis } }", "needs an address or a socket"},
        {"lookup: { a: { type: redis, address: 127.0.0.1, socket: /x } }",
         "needs an address or a socket"},
        {"lookup: { a: { type: redis, address: 127.0.0.1, database: mail } }", "is a number"},
        {"lookup: { a: { type: redis, address: 127.0.0.1, username: x } }", "needs a password"},
        {"lookup: { a: { type: redis, address: 127.0.0.1, query: SELECT } }",
         "query is not for type redis"},
        {"lookup: { a: { type: file, path: /x, timeout: 1s } }", "timeout is not for type file"},
        {"lookup: { a: { type: sqlite, path: /x, pool: 3 } }", "pool is not for type sqlite"},
        {"lookup: { a: { type: redis, address: 127.0.0.1, tls: true } }", "TLS"},
        {"lookup: { a: { type: ldap } }", "type"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_options o = {.tables = tables, .table_count = 1, .number = 1};
        struct faults faults = {0};
        struct buf out BUF_LOCAL = {0};
        struct config *cfg = config_parse(&o, STR("f"), str_of(cases[i].text), &faults);

        assert_null(cfg);
        faults_print(&faults, &out);
        if (str_find_str(buf_str(&out), str_of(cases[i].says)) == STR_NONE) {
            print_error("%s: %.*s\n", cases[i].text, STR_ARG(buf_str(&out)));
            fail();
        }
        faults_done(&faults);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_kept_for_a_while_and_counters_never),
        cmocka_unit_test(equal_questions_are_asked_once_within_the_pool),
        cmocka_unit_test(a_dead_store_costs_one_time_out_and_is_probed),
        cmocka_unit_test(a_store_that_stays_away_is_asked_every_half_minute),
        cmocka_unit_test(a_question_that_is_refused_says_nothing_of_the_store),
        cmocka_unit_test(one_slow_question_does_not_close_the_store_to_others),
        cmocka_unit_test(an_asker_that_gives_up_leaves_the_answer_to_the_next),
        cmocka_unit_test(a_store_is_not_asked_what_it_cannot_do),
        cmocka_unit_test(who_waits_too_long_for_a_connection_is_told),
        cmocka_unit_test(a_time_out_in_the_queue_does_not_close_the_store),
        cmocka_unit_test(settings_are_checked_by_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
