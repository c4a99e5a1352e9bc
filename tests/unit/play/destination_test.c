/* Names, maildirs and programs of a scenario, as a resolver and delivery meet them over time. */
#include "base/check.h"
#include "play/destination.h"
#include "runtime/clock.h"
#include "runtime/process.h"
#include "runtime/sim.h"
#include "scene.h"

#include <signal.h>

static const char scenario[] =
    "duration: 1h\n"
    "destinations:\n"
    "  good: { domains: [good.example] }\n"
    "  gone: { domains: [gone.example], dns: [no-name] }\n"
    "  sick: { domains: [sick.example], dns: [servfail] }\n"
    "  forged: { domains: [forged.example], dns: [bogus] }\n"
    "  deaf: { domains: [deaf.example], dns: [silent] }\n"
    "  lame: { domains: [lame.example], dns: ['slow:2s'] }\n"
    "  half: { domains: [half.example], dns: [servfail@0.5] }\n"
    "  often: { domains: [often.example], dns: [no-name] }\n"
    "  boxes: { route: boxes, latency: [20ms] }\n"
    "  tickets: { route: tickets, latency: [100ms], local: ['exit:75:later'] }\n"
    "weather:\n"
    "  - { name: a, destination: good, from: 10m, until: 20m, dns: [servfail] }\n"
    "  - { name: b, destination: often, from: 10m, until: 20m, dns: [servfail, 'slow:1s'] }\n"
    "  - { name: c, destination: boxes, from: 10m, until: 20m, local: [full] }\n"
    "  - { name: d, destination: boxes, from: 20m, until: 30m, local: [broken, 'slow:5s'] }\n"
    "  - { name: e, destination: boxes, from: 30m, until: 40m, local: [silent] }\n"
    "  - { name: f, destination: tickets, from: 10m, until: 20m, local: [killed] }\n"
    "  - { name: g, destination: tickets, from: 20m, until: 30m, local: ['exit:67'] }\n"
    "  - { name: h, destination: tickets, from: 30m, until: 40m, local: [silent] }\n"
    "traffic:\n"
    "  a: { rate: [1/s], to: [x@good.example] }\n";

static const char routes[] = "queue:\n  route:\n"
                             "    boxes: { type: local, deliver: maildir, path: /var/mail }\n"
                             "    tickets: { type: local, deliver: pipe, command: [/opt/take] }\n"
                             "    spare: { type: local, deliver: maildir, path: /var/spare }\n";

struct play {
    struct world *world;
    struct destinations *all;
    struct dns *dns;
    struct when began;
    struct group group;
    void (*test)(struct play *p);
};

static int64_t ms_of(const struct play *p)
{
    return (clock_now().ns - p->began.ns) / NS_PER_MS;
}

static void reach(const struct play *p, int64_t minutes)
{
    assert_int_equal(fiber_sleep(when_add(p->began, minutes * 60000 * NS_PER_MS), WHEN_NEVER).code,
                     OK);
}

static void play_main(void *arg)
{
    struct play *p = arg;

    group_init(&p->group, "play", 0);
    p->began = clock_now();
    p->dns = dns_open_sim((struct dns_sim){destinations_resolve, p->all}, 5000);
    destinations_begin(p->all, p->world, &p->group);
    p->test(p);
    dns_close(p->dns, WHEN_NEVER);
    group_cancel(&p->group);
    assert_int_equal(group_join(&p->group, WHEN_NEVER).code, OK);
}

static void play(void (*test)(struct play *p))
{
    struct scenario *s = scene_good(scenario);
    struct plan *plan = scene_plan(routes);
    struct faults faults = {0};
    struct play p = {.world = sim_world(NULL), .test = test};

    scenario_use_plan(s, plan, &faults);
    assert_int_equal(faults.errors, 0);
    p.all = destinations_new(s);
    destinations_network(p.all, p.world);
    loop_main(world_loop(p.world, "play"), play_main, &p);
    world_run(p.world);
    assert_int_equal(sim_end(p.world), SIM_OVER);
    destinations_free(p.all);
    world_free(p.world);
    scenario_free(s);
    plan_give(plan);
}

/* ---- names ---- */

struct lookup {
    const char *name;
    enum dns_type type;
    enum dns_result result;
    int64_t least_ms, most_ms;
    const char *why;
};

static void ask(struct play *p, const struct lookup *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena a ARENA_LOCAL = {0};
        struct dns_answer answer;
        int64_t began = ms_of(p), took;

        assert_int_equal(
            dns_ask(p->dns, str_of(rows[i].name), rows[i].type, &a, &answer, WHEN_NEVER).code, OK);
        took = ms_of(p) - began;
        print_message("         %s %s\n", rows[i].name, dns_type_name(rows[i].type));
        assert_int_equal(answer.result, rows[i].result);
        EXPECT_STR(answer.why, rows[i].why);
        assert_in_range(took, rows[i].least_ms, rows[i].most_ms);
        assert_int_equal(answer.count, answer.result == DNS_OK);
    }
}

static void names_test(struct play *p)
{
    static const struct lookup first[] = {
        {"good.example", DNS_A, DNS_OK, 0, 1, ""},
        {"good.example", DNS_MX, DNS_NO_DATA, 0, 1, "no such records"},
        {"other.example", DNS_A, DNS_NO_NAME, 0, 1, "no destination of the scenario has this name"},
        {"gone.example", DNS_MX, DNS_NO_NAME, 0, 1, "MX gone.example: no such name"},
        {"gone.example", DNS_A, DNS_NO_NAME, 0, 1, "A gone.example: no such name"},
        {"sick.example", DNS_MX, DNS_FAILED, 0, 1, "MX sick.example: SERVFAIL"},
        {"_25._tcp.sick.example", DNS_TLSA, DNS_FAILED, 0, 1,
         "TLSA _25._tcp.sick.example: SERVFAIL"},
        {"_25._tcp.good.example", DNS_TLSA, DNS_NO_NAME, 0, 1,
         "no destination of the scenario has this name"},
        {"forged.example", DNS_A, DNS_BOGUS, 0, 1, "A forged.example: validation failed"},
        {"deaf.example", DNS_A, DNS_FAILED, 5000, 5001, "A deaf.example: no answer in time"},
        {"lame.example", DNS_A, DNS_OK, 2000, 2001, ""},
        {"often.example", DNS_A, DNS_NO_NAME, 0, 1, "A often.example: no such name"},
    };
    /* The weather comes before what the destination says. */
    static const struct lookup then[] = {
        {"good.example", DNS_A, DNS_FAILED, 0, 1, "A good.example: SERVFAIL"},
        {"often.example", DNS_A, DNS_FAILED, 1000, 1001, "A often.example: SERVFAIL"},
        {"sick.example", DNS_A, DNS_FAILED, 0, 1, "A sick.example: SERVFAIL"},
    };
    static const struct lookup after[] = {
        {"good.example", DNS_A, DNS_OK, 0, 1, ""},
        {"often.example", DNS_A, DNS_NO_NAME, 0, 1, "A often.example: no such name"},
    };
    unsigned failed = 0;

    ask(p, first, COUNT_OF(first));
    reach(p, 10);
    ask(p, then, COUNT_OF(then));
    reach(p, 20);
    ask(p, after, COUNT_OF(after));
    for (int i = 0; i < 400; i++) {
        struct arena a ARENA_LOCAL = {0};
        struct dns_answer answer;

        assert_int_equal(dns_ask(p->dns, STR("half.example"), DNS_A, &a, &answer, WHEN_NEVER).code,
                         OK);
        failed += answer.result == DNS_FAILED;
    }
    assert_in_range(failed, 150, 250);
}

static void names_fail_as_the_scenario_says(void **state)
{
    (void)state;
    play(names_test);
}

/* ---- maildirs and programs ---- */

struct taking {
    int64_t minute;
    const char *route;
    enum err_code error;
    int code, signal;
    const char *output;
    int64_t takes_ms;
};

static void takings_test(struct play *p)
{
    static const struct taking rows[] = {
        {0, "boxes", OK, 0, 0, "", 20},
        {0, "spare", OK, 0, 0, "", 1}, /* nobody described it */
        {0, "tickets", OK, 75, 0, "later", 100},
        {10, "boxes", ERR_FULL, 0, 0, "", 20},
        {10, "spare", OK, 0, 0, "", 1},
        {10, "tickets", OK, 0, SIGKILL, "", 100},
        {20, "boxes", ERR_DISK, 0, 0, "", 5020},
        {20, "tickets", OK, 67, 0, "", 100},
        {30, "tickets", ERR_TIMEOUT, 0, 0, "", 60000},
        {31, "boxes", OK, 0, 0, "", 9 * 60000}, /* it hung */
        {41, "boxes", OK, 0, 0, "", 20},
    };
    struct destination_counts boxes, tickets;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool is_program = str_eq(str_of(rows[i].route), STR("tickets"));
        struct buf output BUF_LOCAL = {0};
        struct process_end end = {0};
        int64_t began;
        struct err e;

        reach(p, rows[i].minute);
        began = ms_of(p);
        e = destinations_take(p->all, str_of(rows[i].route), is_program ? &end : NULL,
                              is_program ? &output : NULL,
                              is_program ? when_after(60000) : WHEN_NEVER);
        print_message("         %s after %lld minutes\n", rows[i].route, (long long)rows[i].minute);
        assert_int_equal(e.code, rows[i].error);
        assert_int_equal(end.code, rows[i].code);
        assert_int_equal(end.signal, rows[i].signal);
        EXPECT_STR(buf_str(&output), rows[i].output);
        assert_in_range(ms_of(p) - began, rows[i].takes_ms, rows[i].takes_ms + 1);
    }
    boxes = destinations_counts(p->all, 8);
    tickets = destinations_counts(p->all, 9);
    assert_int_equal(boxes.connections, 5);
    assert_int_equal(boxes.messages, 3);
    assert_int_equal(boxes.refusals, 2);
    assert_int_equal(boxes.open, 0);
    assert_int_equal(tickets.connections, 4);
    assert_int_equal(tickets.messages, 0);
    assert_int_equal(tickets.refusals, 4);
}

static void maildirs_and_programs_do_as_the_scenario_says(void **state)
{
    (void)state;
    play(takings_test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_fail_as_the_scenario_says),
        cmocka_unit_test(maildirs_and_programs_do_as_the_scenario_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
