#include "../unit.h"
#include "base/check.h"
#include "hooks/retry.h"

static void calls_are_made_once_more_or_not(void **state)
{
    static const struct row {
        const char *id;
        enum err_code code;
        int status;
        const char *retry_after;
        unsigned sent;
        int64_t left_ms, ms; /* ms < 0: not again */
    } rows[] = {
        {"DR-15", OK, 503, "", 1, 30000, 100},
        {"DR-15", OK, 503, "", 2, 30000, 200},
        {"DR-15", OK, 503, "", 3, 30000, -1},
        {"DR-16", OK, 503, "2", 1, 30000, 2000},
        {"DR-16", OK, 503, "3600", 1, 30000, 5000},
        {"DR-16", OK, 503, "99999999999999999999", 1, 30000, 100},
        {"DR-16", OK, 503, "0", 1, 30000, 100},
        {"DR-16", OK, 503, "Wed, 21 Oct 2026 07:28:00 GMT", 1, 30000, 100},
        {"DR-17", ERR_TIMEOUT, 0, "", 1, 30000, -1},
        {"DR-18", OK, 503, "", 1, 100, -1},
        {"DR-18", OK, 503, "2", 1, 2000, -1},
        {"DR-18", OK, 503, "2", 1, 2001, 2000},
        {"DR-22", OK, 401, "", 1, 30000, -1},
        {"DR-22", OK, 403, "", 1, 30000, -1},
        {"DR-23", OK, 413, "", 1, 30000, -1},
        {"DR-24", OK, 429, "", 1, 30000, 100},
        {"3.17", OK, 400, "", 1, 30000, -1},
        {"3.17", OK, 404, "", 1, 30000, -1},
        {"3.17", OK, 200, "", 1, 30000, -1},
        {"3.17", OK, 301, "", 1, 30000, -1},
        {"3.17", ERR_NETWORK, 0, "", 1, 30000, 100},
        {"3.17", ERR_CLOSED, 0, "", 2, 30000, 200},
        {"3.17", ERR_DNS, 0, "", 1, 30000, 100},
        {"3.17", ERR_TLS, 0, "", 1, 30000, -1},
        {"3.17", ERR_LIMIT, 0, "", 1, 30000, -1},
        {"3.17", ERR_PROTOCOL, 0, "", 1, 30000, -1},
        {"3.17", ERR_CANCELLED, 0, "", 1, 30000, -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct retry_said said = {rows[i].code, rows[i].status, str_of(rows[i].retry_after)};
        struct when now = {1000}, by = when_add(now, rows[i].left_ms * NS_PER_MS);
        int64_t ms = 0;
        bool is_due = retry_is_due(&said, rows[i].sent, now, by, 0, &ms);

        if (is_due != (rows[i].ms >= 0) || (is_due && ms != rows[i].ms)) {
            fail_msg("%s row %zu: %d %lld", rows[i].id, i, is_due, (long long)ms);
        }
        if (is_due) {
            assert_true(retry_is_due(&said, rows[i].sent, now, WHEN_NEVER, 99, &ms));
            assert_in_range(ms, rows[i].ms, rows[i].ms + 99);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_made_once_more_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
