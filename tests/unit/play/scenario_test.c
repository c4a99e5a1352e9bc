/* Scenarios: what they say, and what is wrong with them. */
#include "../unit.h"
#include "base/check.h"
#include "scene.h"

static const char usual[] = "duration: 1h\n"
                            "destinations:\n"
                            "  one: { domains: [one.example, '*.one.example'] }\n"
                            "  many: { domains: ['d#.many.example'], count: 20 }\n"
                            "traffic:\n"
                            "  a: { rate: [2/s, 10m-20m 30/m], to: [x@one.example] }\n";

static void names_lead_to_hosts(void **state)
{
    static const struct {
        const char *name, *destination;
        uint32_t number;
    } rows[] = {
        {"one.example", "one", 1},        {"ONE.example", "one", 1},
        {"mx.one.example", "one", 1},     {"d1.many.example", "many", 1},
        {"d20.many.example", "many", 20}, {"d21.many.example", NULL, 0},
        {"d0.many.example", NULL, 0},     {"dx.many.example", NULL, 0},
        {"many.example", NULL, 0},        {"xone.example", NULL, 0},
    };
    struct scenario *s = scene_good(usual);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint32_t number = 0;
        const struct destination *d = scenario_host(s, str_of(rows[i].name), &number);

        assert_int_equal(d != NULL, rows[i].destination != NULL);
        if (d != NULL) {
            EXPECT_STR(d->name, rows[i].destination);
            assert_int_equal(number, rows[i].number);
        }
    }
    scenario_free(s);
}

static void the_last_rate_that_covers_an_instant_holds(void **state)
{
    struct scenario *s = scene_good(usual);
    const struct traffic_class *c = &s->classes[0];

    (void)state;
    assert_int_equal(class_rate(c, 0).count, 2);
    assert_int_equal(class_rate(c, 0).period_ms, 1000);
    assert_int_equal(class_rate(c, 15 * 60 * 1000).count, 30);
    assert_int_equal(class_rate(c, 15 * 60 * 1000).period_ms, 60 * 1000);
    assert_int_equal(class_rate(c, 20 * 60 * 1000).count, 2);
    assert_int_equal(s->sample_ms, 18 * 1000);
    scenario_free(s);
}

static void a_spread_passes_through_its_percentiles(void **state)
{
    static const int64_t three[] = {100, 200, 1000};
    struct duration_list one = {three, 1}, all = {three, 3}, none = {0};

    (void)state;
    assert_int_equal(spread_ms(&none, 7), 0);
    assert_int_equal(spread_ms(&one, 999), 100);
    assert_int_equal(spread_ms(&all, 0), 50);
    assert_int_equal(spread_ms(&all, 500), 100);
    assert_int_equal(spread_ms(&all, 900), 200);
    assert_int_equal(spread_ms(&all, 990), 1000);
    assert_true(spread_ms(&all, 999) > 1000 && spread_ms(&all, 999) <= 1500);
    for (uint64_t i = 1; i < 1000; i++) {
        assert_true(spread_ms(&all, i) >= spread_ms(&all, i - 1));
    }
}

static void mistakes_are_told_with_their_place(void **state)
{
    static const struct {
        const char *text, *told;
    } rows[] = {
        {"duration: 1h\ntraffic:\n  a: { rate: [fast], to: [x@one.example] }\n",
         ":3:14: rate: \"fast\" is not a rate such as 50/s or 10m-20m 50/s"},
        {"duration: 1h\ntraffic:\n  a: { burst: [10 in 5m], to: [x@one.example] }\n",
         ":3:15: burst: \"10 in 5m\" is not a burst such as 10000 at 5m"},
        {"duration: 1h\ntraffic:\n  a: { to: [x@one.example] }\n",
         "traffic.a has neither a rate nor a burst"},
        {"duration: 1h\ntraffic:\n  a: { rate: [1/s], to: ['x@d#.one.example'] }\n",
         "to: no destination has the domain \"d#.one.example\""},
        {"duration: 1h\ntraffic:\n  a: { rate: [1/s], to: [nobody] }\n",
         "to: \"nobody\" is not an address"},
        {"duration: 1h\ndestinations:\n  slow: { domains: [s.example] }\n"
         "weather:\n  - { name: w, destination: slwo, from: 1m }\n",
         "did you mean slow?"},
        {"duration: 1h\ndestinations:\n  s: { domains: [s.example], latency: [2s, 1s] }\n",
         "latency is one time, or median, 90th and 99th percentile, rising"},
        {"duration: 1h\ndestinations:\n  s: { domains: [s.example], behaviour: [tarpitt] }\n",
         "\"tarpitt\" is no behaviour"},
        {"duration: 1h\ndestinations:\n  s: { domain: [s.example] }\n", "did you mean domains?"},
        {"duration: 1h\n", "there is no traffic"},
        {"duration: 1h\ndestinations:\n  s: { domains: [s.example], dns: [servfial@0.5] }\n",
         ":3:35: dns: \"servfial\" cannot happen here; did you mean servfail?"},
        {"duration: 1h\ndestinations:\n  s: { domains: [s.example], dns: [full] }\n",
         "dns: \"full\" cannot happen here"},
        {"duration: 1h\ndestinations:\n  s: { address: 192.0.2.1:25, dns: [servfail] }\n",
         "destinations.s: dns is for one with domains"},
        {"duration: 1h\ndestinations:\n  s: { domains: [s.example], local: [full] }\n",
         "destinations.s: local is for one that stands for a route"},
        {"duration: 1h\ndestinations:\n  s: { route: local, local: ['exit:0'] }\n",
         "local: \"exit:0\": write exit:CODE[:TEXT][@P]"},
        {"duration: 1h\ndestinations:\n  s: { route: local, domains: [s.example] }\n",
         "destinations.s: it stands for a route, or for hosts with domains or an address"},
        {"duration: 1h\ndestinations:\n  s: { count: 3 }\n",
         "destinations.s has neither domains nor an address nor a route"},
        {"duration: 1h\ndestinations:\n  s: { address: 192.0.2.1:25 }\n"
         "weather:\n  - { name: w, destination: s, from: 1m, dns: [silent] }\n",
         "weather w: dns is for a destination with domains"},
        {"duration: 1h\ndestinations:\n  s: { domains: [s.example] }\n"
         "weather:\n  - { name: w, destination: s, from: 1m, local: [broken] }\n",
         "weather w: local is for a destination that stands for a route"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct faults faults = {0};
        struct buf out BUF_LOCAL = {0};
        struct scenario *s = scene_load(rows[i].text, &faults);

        assert_null(s);
        faults_print(&faults, &out);
        if (str_find_str(buf_str(&out), str_of(rows[i].told)) == STR_NONE) {
            fail_msg("expected \"%s\" in:\n%.*s", rows[i].told, STR_ARG(buf_str(&out)));
        }
        faults_done(&faults);
    }
}

/* ---- local routes ---- */

#define ROUTES                                                                                     \
    "queue:\n  route:\n    mx: { type: mx }\n"                                                     \
    "    boxes: { type: local, deliver: maildir, path: /var/mail }\n"                              \
    "    tickets: { type: local, deliver: pipe, command: [/opt/take, '${rcpt}'] }\n"               \
    "    cyrus: { type: local, address: 127.0.0.1 }\n"                                             \
    "    dovecot: { type: local, address: lmtp.internal, port: 2424 }\n"
#define MAIL "traffic:\n  a: { rate: [1/s], to: ['x@d#.far.example'] }\n"
#define FAR  "  far: { domains: ['d#.far.example'], count: 3 }\n"

static void the_plan_tells_what_stands_for_a_route(void **state)
{
    struct plan *p = scene_plan(ROUTES);
    struct scenario *s = scene_good("duration: 1h\ndestinations:\n" FAR
                                    "  disk: { route: boxes, latency: [3ms], local: [full@0.5] }\n"
                                    "  server: { route: dovecot, latency: [9ms] }\n" MAIL);
    struct faults faults = {0};
    const struct destination *d;
    uint32_t number;

    (void)state;
    scenario_use_plan(s, p, &faults);
    assert_int_equal(faults.errors, 0);
    /* far, disk, server; and who takes the mail of tickets and of cyrus */
    assert_int_equal(s->destination_count, 5);
    d = s->destinations;
    assert_int_equal(d[0].kind, DESTINATION_HOSTS);
    assert_ptr_equal(s->classes[0].to[0].numbers, &d[0]);
    assert_int_equal(d[1].kind, DESTINATION_MAILDIR);
    assert_int_equal(d[2].kind, DESTINATION_HOSTS);
    assert_true(d[2].settings->lmtp);
    assert_int_equal(d[2].settings->port, 2424);
    assert_int_equal(d[2].settings->latency.items[0], 9);
    assert_ptr_equal(scenario_host(s, STR("lmtp.internal"), &number), &d[2]);
    for (size_t i = 0; i < s->destination_count; i++) {
        assert_int_equal(d[i].is_assumed, i > 2);
        assert_int_equal(d[i].number, i);
    }
    EXPECT_STR(d[3].name, "(tickets)");
    assert_int_equal(d[3].kind, DESTINATION_PROGRAM);
    EXPECT_STR(d[4].name, "(cyrus)");
    assert_int_equal(d[4].settings->address.port, 24);
    scenario_free(s);
    plan_give(p);
}

static void what_does_not_fit_a_route_is_told(void **state)
{
    static const struct {
        const char *destinations, *told;
    } rows[] = {
        {"  s: { route: boxs }\n",
         ":3:15: the configuration has no route boxs\n       hint: did you mean boxes?"},
        {"  s: { route: mx }\n", "route mx is not local: describe its hosts"},
        {"  s: { route: boxes, network: 5ms }\n", ":3:31: network is not for a maildir"},
        {"  s: { route: tickets, behaviour: [tarpit] }\n", "behaviour is not for a program"},
        {"  s: { route: boxes, local: ['exit:75'] }\n", "local: exit cannot happen to a maildir"},
        {"  s: { route: tickets, local: [silent, full] }\n",
         "local: full cannot happen to a program"},
        {"  s: { route: cyrus, local: [slow:1s] }\n", "local is not for a route by LMTP"},
        {"  s: { route: boxes }\n  t: { route: boxes }\n",
         "destination s stands for route boxes already"},
        {"  s: { route: boxes }\nweather:\n"
         "  - { name: w, destination: s, from: 1m, network: silent }\n",
         ":5:51: network is not for a maildir"},
        {"  s: { route: tickets }\nweather:\n"
         "  - { name: w, destination: s, from: 1m, local: [broken] }\n",
         "local: broken cannot happen to a program"},
    };
    struct plan *p = scene_plan(ROUTES);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct faults faults = {0};
        struct buf text BUF_LOCAL = {0}, out BUF_LOCAL = {0};
        struct scenario *s;

        buf_printf(&text, "duration: 1h\ndestinations:\n%s%s", rows[i].destinations,
                   "traffic:\n  a: { rate: [1/s], to: [x@s.example] }\n");
        buf_byte(&text, '\0');
        s = scene_good(text.ptr);
        scenario_use_plan(s, p, &faults);
        faults_print(&faults, &out);
        if (faults.errors != 1 || str_find_str(buf_str(&out), str_of(rows[i].told)) == STR_NONE) {
            fail_msg("expected \"%s\" in:\n%.*s", rows[i].told, STR_ARG(buf_str(&out)));
        }
        faults_done(&faults);
        scenario_free(s);
    }
    plan_give(p);
}

static void the_tables_are_sound(void **state)
{
    struct faults faults = {0};
    size_t count;
    const struct setting_table *const *tables = scenario_tables(&count);

    (void)state;
    struct buf out BUF_LOCAL = {0};
    bool are_sound = config_tables_are_sound(tables, count, &faults);

    faults_print(&faults, &out);
    EXPECT_STR(buf_str(&out), "");
    assert_true(are_sound);
    faults_done(&faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_to_hosts),
        cmocka_unit_test(the_last_rate_that_covers_an_instant_holds),
        cmocka_unit_test(a_spread_passes_through_its_percentiles),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(the_plan_tells_what_stands_for_a_route),
        cmocka_unit_test(what_does_not_fit_a_route_is_told),
        cmocka_unit_test(the_tables_are_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
