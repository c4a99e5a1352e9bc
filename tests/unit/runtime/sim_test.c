#include "../unit.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "runtime/sim.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_net.h"
#include "runtime/stream.h"
#include "worlds.h"

#include <errno.h>
#include <stdlib.h>

EVENT_DECLARE(test_tick, INFO, "")
EVENT_DEFINE(test_tick, INFO, "something happened")

static const struct addr there = {.family = 4, .port = 25, .ip = {203, 0, 113, 7}};
static const struct addr none;

/* ---- time and order ---- */

static void sleeps_five_days(void *arg)
{
    struct when start = clock_now();
    struct date date = clock_date();

    (void)arg;
    assert_int_equal(fiber_sleep(when_after(5LL * 86400 * 1000), WHEN_NEVER).code, OK);
    assert_true(clock_now().ns - start.ns >= 5LL * 86400 * NS_PER_S);
    assert_true(clock_now().ns - start.ns < 5LL * 86400 * NS_PER_S + NS_PER_MS);
    assert_in_range(clock_date().ms - date.ms, 5LL * 86400 * 1000, 5LL * 86400 * 1000 + 1);
}

static void five_days_pass_in_a_moment(void **state)
{
    (void)state;
    run_simulated("test", sleeps_five_days, NULL);
}

static void steps_the_clock(void *arg)
{
    struct date date = clock_date();
    struct when now = clock_now();

    sim_step_date(arg, -3600 * 1000);
    assert_int_equal(fiber_yield(WHEN_NEVER).code, OK);
    assert_true(clock_date().ms <= date.ms - 3600 * 1000 + 1);
    assert_true(clock_now().ns >= now.ns);
}

static void the_wall_clock_can_step_back_but_no_deadline_moves(void **state)
{
    struct world *w = sim_world(NULL);

    (void)state;
    loop_main(world_loop(w, "test"), steps_the_clock, w);
    world_run(w);
    world_free(w);
}

static void ticks(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        event_raise(&ev_test_tick, f_name(str_of(loop_name(loop_self()))),
                    f_count((int64_t)random_below(1000)));
        (void)fiber_yield(WHEN_NEVER);
    }
}

static struct str ticks_of(uint64_t seed, struct arena *a)
{
    struct sim_options o = {.seed = seed};
    struct world *w = sim_world(&o);
    struct str log;

    loop_main(world_loop(w, "one"), ticks, NULL);
    loop_main(world_loop(w, "two"), ticks, NULL);
    loop_main(world_loop(w, "three"), ticks, NULL);
    world_run(w);
    log = arena_dup(a, sim_log(w));
    world_free(w);
    return log;
}

static void a_seed_decides_the_order_and_repeats_it(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct str one = ticks_of(1, &a);

    (void)state;
    assert_true(one.len > 60 * 50);
    assert_true(str_eq(one, ticks_of(1, &a)));
    assert_false(str_eq(one, ticks_of(2, &a)));
}

static void waits_for_nothing(void *arg)
{
    *(struct err *)arg = fiber_wait("what never comes", WHEN_NEVER);
}

static void polls(void *arg)
{
    struct err *ret = arg;

    do {
        *ret = fiber_sleep(when_after(1000), WHEN_NEVER);
    } while (ret->code == OK);
}

static void a_world_that_cannot_end_is_ended(void **state)
{
    static const struct {
        void (*fn)(void *);
        enum sim_end end;
    } cases[] = {{waits_for_nothing, SIM_STUCK}, {polls, SIM_TOO_LONG}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sim_options o = {.time_max_ms = 3600 * 1000};
        struct world *w = sim_world(&o);
        struct err got = ERR_OK;

        loop_main(world_loop(w, "test"), cases[i].fn, &got);
        world_run(w);
        assert_int_equal(sim_end(w), cases[i].end);
        assert_int_equal(got.code, ERR_CANCELLED);
        world_free(w);
    }
}

static void finds_its_service(void *arg)
{
    assert_ptr_equal(sim_service("dns"), arg);
    assert_null(sim_service("http"));
}

static void a_scenario_sets_services_for_its_world(void **state)
{
    struct world *w = sim_world(NULL);
    int one, two;

    (void)state;
    sim_service_set(w, "dns", &one);
    sim_service_set(w, "dns", &two);
    loop_main(world_loop(w, "test"), finds_its_service, &two);
    world_run(w);
    world_free(w);
}

/* ---- the network ---- */

struct net_case {
    struct sim_net_rule rule;
    enum err_code want;
    int sys;
    int64_t least_ms, most_ms; /* that connecting takes */
    int64_t patience_ms;
};

static void connects(void *arg)
{
    const struct net_case *c = arg;
    struct when start = clock_now();
    struct stream *s;
    struct err e = stream_connect(there, none, &s, when_after(c->patience_ms));
    int64_t took_ms = (clock_now().ns - start.ns) / NS_PER_MS;

    assert_int_equal(e.code, c->want);
    assert_int_equal(e.sys, c->sys);
    assert_in_range(took_ms, c->least_ms, c->most_ms);
    if (e.code == OK) {
        struct addr local = stream_local(s);
        char at[ADDR_BYTES];

        EXPECT_STR(addr_print_ip(&local, at), "192.0.2.1");
        stream_close(s);
    }
}

static void connects_under_a_rule(void *arg)
{
    struct listener *l;

    assert_int_equal(listener_open(there, &l).code, OK);
    connects(arg);
    listener_close(l);
}

static void a_rule_says_how_connecting_ends(void **state)
{
    static const int64_t ms = NS_PER_MS;
    const struct net_case cases[] = {
        {{.latency_ns = 20 * ms}, OK, 0, 40, 41, 10000},
        {{.latency_ns = 20 * ms, .jitter_ns = 10 * ms}, OK, 0, 40, 60, 10000},
        {{.latency_ns = 20 * ms}, ERR_TIMEOUT, 0, 30, 31, 30},
        {{.latency_ns = 20 * ms, .way = NET_REFUSED}, ERR_NETWORK, ECONNREFUSED, 40, 41, 10000},
        {{.refused_ppm = 1000000}, ERR_NETWORK, ECONNREFUSED, 0, 1, 10000},
        {{.way = NET_SILENT}, ERR_TIMEOUT, 0, 10000, 10001, 10000},
        {{.way = NET_SILENT}, ERR_NETWORK, ETIMEDOUT, 127000, 127001, 300000},
        {{.way = NET_UNREACHABLE}, ERR_NETWORK, ENETUNREACH, 0, 0, 10000},
        {{.way = NET_REFUSED, .port = 26}, OK, 0, 0, 1, 10000}, /* speaks of another port */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world *w = sim_world(NULL);
        struct net_case c = cases[i];

        assert_true(cidr_parse(STR("203.0.113.0/24"), &c.rule.to));
        sim_net_rule(w, &c.rule);
        loop_main(world_loop(w, "test"), connects_under_a_rule, &c);
        world_run(w);
        assert_int_equal(sim_end(w), SIM_OVER);
        world_free(w);
    }
}

struct pair {
    struct world *world;
    struct listener *listener;
    struct stream *near, *far;
};

static void pair_open(struct pair *p)
{
    struct guest *g;

    assert_int_equal(listener_open(there, &p->listener).code, OK);
    assert_int_equal(stream_connect(there, none, &p->near, when_after(10000)).code, OK);
    assert_int_equal(listener_accept(p->listener, &g, when_after(10000)).code, OK);
    p->far = guest_stream(g);
}

static void pair_close(struct pair *p)
{
    stream_close(p->near);
    stream_close(p->far);
    listener_close(p->listener);
}

static void run_pair(void (*fn)(void *), const struct sim_net_rule *rule)
{
    struct world *w = sim_world(NULL);
    struct pair p = {.world = w};

    sim_net_rule(w, rule);
    loop_main(world_loop(w, "test"), fn, &p);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
}

static void moves_a_megabyte(void *arg)
{
    static char chunk[8192];
    struct pair *p = arg;
    struct when start;
    int64_t ms;

    pair_open(p);
    start = clock_now();
    for (int i = 0; i < 125; i++) {
        assert_int_equal(stream_put(p->near, str_make(chunk, 8000), when_after(10000)).code, OK);
        assert_int_equal(stream_flush(p->near, when_after(10000)).code, OK);
        for (size_t got = 0; got < 8000;) {
            assert_int_equal(stream_fill(p->far, "bytes", when_after(10000)).code, OK);
            got += stream_buffered(p->far).len;
            stream_take(p->far, stream_buffered(p->far).len);
        }
    }
    ms = (clock_now().ns - start.ns) / NS_PER_MS;
    assert_in_range(ms, 1000, 1100); /* a million bytes at a million a second */
    pair_close(p);
}

static void bandwidth_is_what_the_rule_says(void **state)
{
    (void)state;
    run_pair(moves_a_megabyte, &(struct sim_net_rule){.bytes_per_s = 1000 * 1000});
}

static void reads_after_the_end(void *arg)
{
    struct pair *p = arg;

    pair_open(p);
    assert_int_equal(stream_put(p->near, STR("question"), WHEN_NEVER).code, OK);
    assert_int_equal(stream_flush(p->near, WHEN_NEVER).code, OK);
    sim_net_end(p->near);
    assert_int_equal(stream_fill(p->far, "it", when_after(1000)).code, OK);
    EXPECT_STR(stream_buffered(p->far), "question");
    assert_int_equal(stream_fill(p->far, "more", when_after(1000)).code, ERR_CLOSED);
    /* The other way is still open. */
    assert_int_equal(stream_fill(p->near, "an answer", when_after(1000)).code, ERR_TIMEOUT);
    pair_close(p);
}

static void an_end_closes_one_way_only(void **state)
{
    (void)state;
    run_pair(reads_after_the_end, &(struct sim_net_rule){.latency_ns = 1000});
}

static void closes_with_bytes_unread(void *arg)
{
    struct pair *p = arg;

    pair_open(p);
    assert_int_equal(stream_put(p->near, STR("unheard"), WHEN_NEVER).code, OK);
    assert_int_equal(stream_flush(p->near, WHEN_NEVER).code, OK);
    assert_int_equal(fiber_sleep(when_after(10), WHEN_NEVER).code, OK);
    stream_close(p->far);
    assert_int_equal(stream_fill(p->near, "an end", when_after(1000)).code, ERR_NETWORK);
    stream_close(p->near);
    listener_close(p->listener);
}

static void closing_with_bytes_unread_resets(void **state)
{
    (void)state;
    run_pair(closes_with_bytes_unread, &(struct sim_net_rule){.latency_ns = 1000});
}

static void writes_to_nobody(void *arg)
{
    struct pair *p = arg;
    struct err e = ERR_OK;

    pair_open(p);
    stream_close(p->far);
    for (int i = 0; i < 10 && e.code == OK; i++) {
        e = stream_put(p->near, STR("hello?"), WHEN_NEVER);
        e = e.code == OK ? stream_flush(p->near, WHEN_NEVER) : e;
        (void)fiber_sleep(when_after(1), WHEN_NEVER);
    }
    assert_int_equal(e.code, ERR_CLOSED);
    stream_close(p->near);
    listener_close(p->listener);
}

static void writing_to_an_end_that_is_closed_fails_soon(void **state)
{
    (void)state;
    run_pair(writes_to_nobody, &(struct sim_net_rule){.latency_ns = 1000});
}

static void meets_its_fate(void *arg)
{
    static char chunk[8192];
    struct pair *p = arg;
    struct err e = ERR_OK;

    pair_open(p);
    for (int i = 0; i < 1000 && e.code == OK; i++) {
        e = stream_put(p->near, str_make(chunk, 4096), when_after(500));
        e = e.code == OK ? stream_flush(p->near, when_after(500)) : e;
        if (e.code == OK) {
            e = stream_fill(p->far, "bytes", when_after(500));
            stream_take(p->far, stream_buffered(p->far).len);
        }
    }
    assert_int_not_equal(e.code, OK);
    pair_close(p);
}

static void connections_are_reset_or_stall_when_the_seed_says_so(void **state)
{
    (void)state;
    sim_count_forget();
    run_pair(meets_its_fate, &(struct sim_net_rule){.reset_ppm = 1000000});
    assert_int_equal(sim_count("net-reset"), 1);
    run_pair(meets_its_fate, &(struct sim_net_rule){.stall_ppm = 1000000});
    assert_int_equal(sim_count("net-stall"), 1);
}

static void is_cut(void *arg)
{
    struct pair *p = arg;
    struct cidr all;

    pair_open(p);
    assert_true(cidr_parse(STR("203.0.0.0/8"), &all));
    sim_net_cut(p->world, &all);
    assert_int_equal(stream_fill(p->near, "it", when_after(1000)).code, ERR_NETWORK);
    assert_int_equal(stream_fill(p->far, "it", when_after(1000)).code, ERR_NETWORK);
    pair_close(p);
}

static void a_cut_resets_both_sides(void **state)
{
    (void)state;
    run_pair(is_cut, &(struct sim_net_rule){.latency_ns = 1000});
}

static void listens_everywhere(void *arg)
{
    struct listener *l;
    struct stream *s;
    struct addr any = {.family = 4, .port = 25}, home = {.family = 4, .port = 25};

    (void)arg;
    memcpy(home.ip, (uint8_t[]){192, 0, 2, 1}, 4);
    assert_int_equal(listener_open(any, &l).code, OK);
    assert_int_equal(listener_open(any, &(struct listener *){NULL}).code, ERR_NETWORK);
    assert_int_equal(stream_connect(home, none, &s, when_after(1000)).code, OK);
    stream_close(s);
    assert_int_equal(stream_connect(there, none, &s, when_after(1000)).code, ERR_NETWORK);
    listener_close(l);
}

static void a_wildcard_answers_at_home_only(void **state)
{
    (void)state;
    run_simulated("test", listens_everywhere, NULL);
}

/* ---- crashes ---- */

struct victim {
    struct world *world;
    struct err slept, wrote, connected, after;
    unsigned ticks;
};

static void is_crashed(void *arg)
{
    struct victim *v = arg;
    struct stream *s;

    for (; v->ticks < 5; v->ticks++) {
        event_raise(&ev_test_tick, f_count(v->ticks));
    }
    v->slept = fiber_sleep(when_after(1000), WHEN_NEVER);
    v->connected = stream_connect(there, none, &s, when_after(1000));
    v->after = fiber_wait("anything", WHEN_NEVER);
}

static void a_crash_ends_all_waits_and_the_log(void **state)
{
    struct world *w = sim_world(NULL);
    struct victim v = {.world = w};
    struct str log;

    (void)state;
    sim_crash_at(w, "test_tick", 3);
    loop_main(world_loop(w, "test"), is_crashed, &v);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_CRASHED);
    assert_int_equal(v.ticks, 5); /* it unwinds by ordinary return */
    assert_int_equal(v.slept.code, ERR_CANCELLED);
    assert_int_equal(v.connected.code, ERR_NETWORK);
    assert_int_equal(v.after.code, ERR_CANCELLED);
    log = sim_log(w);
    assert_non_null(memmem(log.ptr, log.len, "\"count\":2", 9));
    assert_null(memmem(log.ptr, log.len, "\"count\":3", 9)); /* the fourth came after the crash */
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_days_pass_in_a_moment),
        cmocka_unit_test(the_wall_clock_can_step_back_but_no_deadline_moves),
        cmocka_unit_test(a_seed_decides_the_order_and_repeats_it),
        cmocka_unit_test(a_world_that_cannot_end_is_ended),
        cmocka_unit_test(a_scenario_sets_services_for_its_world),
        cmocka_unit_test(a_rule_says_how_connecting_ends),
        cmocka_unit_test(bandwidth_is_what_the_rule_says),
        cmocka_unit_test(an_end_closes_one_way_only),
        cmocka_unit_test(closing_with_bytes_unread_resets),
        cmocka_unit_test(writing_to_an_end_that_is_closed_fails_soon),
        cmocka_unit_test(connections_are_reset_or_stall_when_the_seed_says_so),
        cmocka_unit_test(a_cut_resets_both_sides),
        cmocka_unit_test(a_wildcard_answers_at_home_only),
        cmocka_unit_test(a_crash_ends_all_waits_and_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
