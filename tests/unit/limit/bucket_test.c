#include "../unit.h"
#include "base/check.h"
#include "limit/bucket.h"

static struct when ms(int64_t n)
{
    return (struct when){n * NS_PER_MS};
}

/* How many are had within so many milliseconds by somebody who always wants one. */
static unsigned had_within(const struct rate *r, uint64_t burst, int64_t span_ms)
{
    struct bucket b = {0};
    unsigned count = 0;

    for (int64_t at = 1000 * 1000; at < 1000 * 1000 + span_ms; at++) {
        while (bucket_ready(&b, r, burst, ms(at)).ns <= ms(at).ns) {
            bucket_take(&b, r, ms(at));
            count++;
        }
    }
    return count;
}

static void a_full_bucket_gives_its_burst_and_then_the_rate(void **state)
{
    static const struct {
        struct rate rate;
        uint64_t burst;
        int64_t span_ms;
        unsigned least, most;
    } rows[] = {
        {{10, 1000}, 1, 1, 1, 1},           /* one at once */
        {{10, 1000}, 1, 1000, 10, 10},      /* and evenly */
        {{10, 1000}, 10, 1, 10, 10},        /* all at once */
        {{10, 1000}, 10, 1000, 19, 20},     /* and again as many in the time */
        {{1, 60000}, 1, 60000, 1, 1},       /* one a minute */
        {{1, 60000}, 1, 60001, 2, 2},       /* */
        {{100, 60000}, 1, 60000, 100, 100}, /* */
        {{3, 1000}, 1, 10 * 1000, 30, 31},  /* what does not divide evenly */
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_in_range(had_within(&rows[i].rate, rows[i].burst, rows[i].span_ms), rows[i].least,
                        rows[i].most);
    }
    (void)state;
}

/* No window has an edge: in no span of a second is there more than the burst and the rate. */
static void it_says_when_the_next_one_comes(void **state)
{
    struct bucket b = {0};
    struct rate r = {4, 1000};

    bucket_take(&b, &r, ms(500));
    assert_int_equal(bucket_ready(&b, &r, 1, ms(500)).ns, ms(750).ns);
    assert_int_equal(bucket_ready(&b, &r, 2, ms(500)).ns, ms(500).ns);
    assert_int_equal(bucket_ready(&b, &r, 1, ms(800)).ns, ms(800).ns);
    (void)state;
}

static void none_is_no_limit_and_large_numbers_do_no_harm(void **state)
{
    struct bucket b = {0};
    struct rate none = {0, 1000}, huge = {UINT64_MAX, INT64_MAX}, rare = {1, INT64_MAX};

    bucket_take(&b, &none, ms(1));
    assert_int_equal(bucket_ready(&b, &none, 1, ms(1)).ns, ms(1).ns);
    bucket_take(&b, &huge, ms(1));
    assert_true(bucket_ready(&b, &huge, UINT64_MAX, ms(1)).ns <= ms(1).ns);
    bucket_take(&b, &rare, ms(1));
    assert_true(when_is_never(bucket_ready(&b, &rare, 1, ms(2))));
    (void)state;
}

static void an_even_rate_bursts_by_what_a_second_brings(void **state)
{
    struct rate fast = {6000, 60000}, slow = {5, 60000}, none = {0, 1000};

    assert_int_equal(bucket_burst(&fast), 100);
    assert_int_equal(bucket_burst(&slow), 1);
    assert_int_equal(bucket_burst(&none), 1);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_bucket_gives_its_burst_and_then_the_rate),
        cmocka_unit_test(it_says_when_the_next_one_comes),
        cmocka_unit_test(none_is_no_limit_and_large_numbers_do_no_harm),
        cmocka_unit_test(an_even_rate_bursts_by_what_a_second_brings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
