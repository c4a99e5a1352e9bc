#include "../unit.h"
#include "base/check.h"
#include "base/date.h"

static void date_times_are_read_or_refused(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* 0: refused */
    } rows[] = {
        {"2026-03-03T10:00:00Z", 1772532000000},
        {"2026-03-03t10:00:00z", 1772532000000},
        {"2026-03-03T10:00:00.000Z", 1772532000000},
        {"2026-03-03T10:00:00.1Z", 1772532000100},
        {"2026-03-03T10:00:00.123999999Z", 1772532000123},
        {"2026-03-03T12:30:00+02:30", 1772532000000},
        {"2026-03-02T23:00:00-11:00", 1772532000000},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"9999-12-31T23:59:59Z", 253402300799000},
        {"1970-01-01T00:00:01Z", 1000},
        {"2016-12-31T23:59:60Z", 1483228800000}, /* a leap second */
        {"2026-02-29T00:00:00Z", 0},
        {"2100-02-29T00:00:00Z", 0},
        {"2026-04-31T00:00:00Z", 0},
        {"2026-00-01T00:00:00Z", 0},
        {"2026-13-01T00:00:00Z", 0},
        {"2026-01-00T00:00:00Z", 0},
        {"2026-01-01T24:00:00Z", 0},
        {"2026-01-01T00:60:00Z", 0},
        {"2026-01-01T00:00:61Z", 0},
        {"1969-12-31T23:59:59Z", 0},
        {"2026-01-01 00:00:00Z", 0},
        {"2026-01-01T00:00:00", 0},
        {"2026-01-01T00:00:00.Z", 0},
        {"2026-01-01T00:00:00Z ", 0},
        {"2026-01-01T00:00:00+0100", 0},
        {"2026-01-01T00:00:00+24:00", 0},
        {"2026-01-01T00:00:00+01:60", 0},
        {"2026-01-01T00:00Z", 0},
        {"26-01-01T00:00:00Z", 0},
        {"2O26-01-01T00:00:00Z", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct date d;
        bool good = date_parse_iso(str_of(rows[i].text), &d);

        if (good != (rows[i].ms != 0) || (good && d.ms != rows[i].ms)) {
            print_error("%s: %d %lld\n", rows[i].text, good, good ? (long long)d.ms : 0);
            fail();
        }
    }
}

static void what_was_written_is_read_again(void **state)
{
    (void)state;
    for (int64_t ms = 1; ms < 253402300799000; ms += 86399999LL * 37) {
        char text[DATE_ISO_BYTES];
        struct date d;

        assert_true(date_parse_iso(date_iso((struct date){ms}, text), &d));
        assert_int_equal(d.ms, ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(date_times_are_read_or_refused),
        cmocka_unit_test(what_was_written_is_read_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
