/* Scenarios: what they say, and what is wrong with them. */
#include "../unit.h"
#include "base/check.h"
#include "play/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usual[] = "duration: 1h\n"
                            "destinations:\n"
                            "  one: { domains: [one.example, '*.one.example'] }\n"
                            "  many: { domains: ['d#.many.example'], count: 20 }\n"
                            "traffic:\n"
                            "  a: { rate: [2/s, 10m-20m 30/m], to: [x@one.example] }\n";

static struct scenario *load(const char *text, struct faults *faults)
{
    char path[] = "/tmp/scenario-XXXXXX";
    int fd = mkstemp(path);
    struct scenario *s;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    s = scenario_load(str_of(path), faults);
    (void)unlink(path);
    return s;
}

static struct scenario *good(const char *text)
{
    struct faults faults = {0};
    struct buf out BUF_LOCAL = {0};
    struct scenario *s = load(text, &faults);

    faults_print(&faults, &out);
    EXPECT_STR(buf_str(&out), "");
    assert_non_null(s);
    faults_done(&faults);
    return s;
}

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
    struct scenario *s = good(usual);

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
    struct scenario *s = good(usual);
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
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct faults faults = {0};
        struct buf out BUF_LOCAL = {0};
        struct scenario *s = load(rows[i].text, &faults);

        assert_null(s);
        faults_print(&faults, &out);
        if (str_find_str(buf_str(&out), str_of(rows[i].told)) == STR_NONE) {
            fail_msg("expected \"%s\" in:\n%.*s", rows[i].told, STR_ARG(buf_str(&out)));
        }
        faults_done(&faults);
    }
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
        cmocka_unit_test(the_tables_are_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
