#include "../unit.h"
#include "config/units.h"

static void durations_have_units(void **state)
{
    static const struct {
        const char *text;
        enum units_result result;
        int64_t ms;
        const char *printed;
    } rows[] = {
        {"90s", UNITS_OK, 90000, "1m30s"},
        {"5m", UNITS_OK, 300000, "5m"},
        {"1d12h", UNITS_OK, 129600000, "1d12h"},
        {"1d 12h", UNITS_OK, 129600000, "1d12h"},
        {"250ms", UNITS_OK, 250, "250ms"},
        {"1s250ms", UNITS_OK, 1250, "1s250ms"},
        {"2W", UNITS_OK, 1209600000, "14d"},
        {"0s", UNITS_OK, 0, "0s"},
        {"5", UNITS_MISSING, 0, NULL},
        {"1d12", UNITS_MISSING, 0, NULL},
        {"", UNITS_MALFORMED, 0, NULL},
        {"s", UNITS_MALFORMED, 0, NULL},
        {"-5s", UNITS_MALFORMED, 0, NULL},
        {"1.5h", UNITS_MALFORMED, 0, NULL},
        {"12h1d", UNITS_MALFORMED, 0, NULL},
        {"1h1h", UNITS_MALFORMED, 0, NULL},
        {"5 minutes", UNITS_UNKNOWN, 0, NULL},
        {"5y", UNITS_UNKNOWN, 0, NULL},
        {"99999999999999999999s", UNITS_TOO_LARGE, 0, NULL},
        {"9999999999999999d", UNITS_TOO_LARGE, 0, NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out BUF_LOCAL = {0};
        int64_t ms = -1;

        assert_int_equal(duration_parse(str_of(rows[i].text), &ms), rows[i].result);
        assert_true(ms == (rows[i].result == UNITS_OK ? rows[i].ms : -1));
        if (rows[i].printed != NULL) {
            duration_print(ms, &out);
            EXPECT_STR(buf_str(&out), rows[i].printed);
        }
    }
    (void)state;
}

static void rates_are_a_count_and_a_time(void **state)
{
    static const struct {
        const char *text;
        enum units_result result;
        uint64_t count;
        int64_t ms;
    } rows[] = {
        {"100/1m", UNITS_OK, 100, 60000},
        {" 5 / 1s ", UNITS_OK, 5, 1000},
        {"25/1h30m", UNITS_OK, 25, 5400000},
        {"none", UNITS_OK, 0, 1000},
        {"unlimited", UNITS_OK, 0, 1000},
        {"false", UNITS_OK, 0, 1000},
        {"0/1s", UNITS_MALFORMED, 0, 0},
        {"5", UNITS_MALFORMED, 0, 0},
        {"5/", UNITS_MALFORMED, 0, 0},
        {"/1s", UNITS_MALFORMED, 0, 0},
        {"-5/1s", UNITS_MALFORMED, 0, 0},
        {"5/10ms", UNITS_MALFORMED, 0, 0},
        {"5/1", UNITS_MISSING, 0, 0},
        {"5/1s/1s", UNITS_MALFORMED, 0, 0},
        {"1000000001/1s", UNITS_TOO_LARGE, 0, 0},
        {"5/400d", UNITS_TOO_LARGE, 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t count = 7;
        int64_t ms = -1;
        enum units_result r = rate_parse(str_of(rows[i].text), &count, &ms);

        assert_int_equal(r, rows[i].result);
        assert_true(count == (r == UNITS_OK ? rows[i].count : 7));
        assert_true(ms == (r == UNITS_OK ? rows[i].ms : -1));
    }
    (void)state;
}

static void sizes_have_units(void **state)
{
    static const struct {
        const char *text;
        enum units_result result;
        uint64_t bytes;
        const char *printed;
    } rows[] = {
        {"64KiB", UNITS_OK, 65536, "64KiB"},
        {"25MB", UNITS_OK, 25000000, "25MB"},
        {"25 mb", UNITS_OK, 25000000, "25MB"},
        {"100B", UNITS_OK, 100, "100B"},
        {"0B", UNITS_OK, 0, "0B"},
        {"3TiB", UNITS_OK, 3ULL << 40, "3TiB"},
        {"64", UNITS_MISSING, 0, NULL},
        {"64K", UNITS_UNKNOWN, 0, NULL},
        {"1.5GiB", UNITS_MALFORMED, 0, NULL},
        {"1GiB1MiB", UNITS_MALFORMED, 0, NULL},
        {"99999999TiB", UNITS_TOO_LARGE, 0, NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out BUF_LOCAL = {0};
        uint64_t bytes = 7;

        assert_int_equal(size_parse(str_of(rows[i].text), &bytes), rows[i].result);
        assert_true(bytes == (rows[i].result == UNITS_OK ? rows[i].bytes : 7));
        if (rows[i].printed != NULL) {
            size_print(bytes, &out);
            EXPECT_STR(buf_str(&out), rows[i].printed);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(rates_are_a_count_and_a_time),
        cmocka_unit_test(sizes_have_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
