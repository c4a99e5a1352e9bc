#include "../unit.h"
/* What comes next wants it. */

#include "../runtime/worlds.h"
#include "base/check.h"
#include "milter_peer.h"

/* ---- filters that misbehave ---- */

#define ON_END(...)                                                                                \
    {                                                                                              \
        .cues = { {.on = 'E', __VA_ARGS__} }                                                       \
    }
#define ON(c, ...)                                                                                 \
    {                                                                                              \
        .cues = { {.on = c, __VA_ARGS__} }                                                         \
    }

static const struct {
    const char *name;
    struct script script;
    enum err_code code;
    int64_t ms; /* how long it takes, exactly, in simulated time; -1: that does not matter */
} hostile[] = {
    {"mute at the negotiation", ON('O', .is_mute = true), ERR_TIMEOUT, 300},
    {"mute at connect", ON('C', .is_mute = true), ERR_TIMEOUT, 300},
    {"mute at the end", ON_END(.is_mute = true), ERR_TIMEOUT, 500},
    {"drip of one answer", ON('M', .packets = {STR_INIT("c")}, .is_drip = true, .wait_ms = 100),
     ERR_TIMEOUT, 300},
    {"endless progress, slowly", ON_END(.packets = {STR_INIT("p")}, .wait_ms = 400, .repeat = 1000),
     ERR_TIMEOUT, 2000},
    {"endless progress, fast", ON_END(.packets = {STR_INIT("p")}, .repeat = 100 * 1000 + 1),
     ERR_LIMIT, -1},
    {"a length of nothing", ON('H', .packets = {STR_INIT("\0\0\0\0c")}, .is_raw = true),
     ERR_PROTOCOL, 0},
    {"a length of 4 GB",
     ON('H',
        .packets = {STR_INIT("\xff\xff\xff\xff"
                             "c")},
        .is_raw = true),
     ERR_PROTOCOL, 0},
    {"a length of 1 MiB and 1",
     ON('H',
        .packets = {STR_INIT("\0\x10\0\1"
                             "c")},
        .is_raw = true),
     ERR_PROTOCOL, 0},
    {"a length longer than what comes", ON('H', .packets = {STR_INIT("\0\0\0\5c")}, .is_raw = true),
     ERR_TIMEOUT, 300},
    {"an HTTP server",
     ON('O', .packets = {STR_INIT("HTTP/1.1 400 Bad Request\r\n\r\n")}, .is_raw = true),
     ERR_PROTOCOL, 0},
    {"an unknown reply", ON('M', .packets = {STR_INIT("Z")}), ERR_PROTOCOL, 0},
    {"another negotiation", ON('M', .packets = {STR_INIT("O\0\0\0\6\0\0\0\0\0\0\0\0")}),
     ERR_PROTOCOL, 0},
    {"a reply to a reply", ON('M', .packets = {STR_INIT("\0\0\0\1c\0\0\0\1c")}, .is_raw = true),
     ERR_PROTOCOL, 0},
    {"discard of a client", ON('C', .packets = {STR_INIT("d")}), ERR_PROTOCOL, 0},
    {"skip of a header field", ON('L', .packets = {STR_INIT("s")}), ERR_PROTOCOL, 0},
    {"skip without the right", ON('B', .packets = {STR_INIT("s")}), ERR_PROTOCOL, 0},
    {"an edit too early", ON('L', .packets = {STR_INIT("hX\0v\0"), STR_INIT("c")}), ERR_PROTOCOL,
     0},
    {"an edit cut off", ON_END(.packets = {STR_INIT("hX\0v"), STR_INIT("c")}), ERR_PROTOCOL, 0},
    {"an edit without the right",
     {.version = 6, .cues = {{.on = 'E', .packets = {STR_INIT("hX\0v\0"), STR_INIT("c")}}}},
     ERR_PROTOCOL,
     0},
    {"a reply code that is good", ON('R', .packets = {STR_INIT("y250 yes\0")}), ERR_PROTOCOL, 0},
    {"a reply code with a command in it",
     ON('R', .packets = {STR_INIT("y550 no\r\nMAIL FROM:<>\0")}), ERR_PROTOCOL, 0},
    {"an early end", ON('M', .then_closes = true, .packets = {STR_INIT("")}), ERR_CLOSED, 0},
    {"an end in the middle of a packet",
     ON_END(.packets = {STR_INIT("\0\0\0\7hX")}, .is_raw = true, .then_closes = true), ERR_CLOSED,
     0},
    {"rights that were not offered", ON('O', .packets = {STR_INIT("O\0\0\0\6\xff\0\0\0\0\0\0\0")}),
     ERR_PROTOCOL, 0},
    {"a newer version", ON('O', .packets = {STR_INIT("O\0\0\0\7\0\0\0\0\0\0\0\0")}), ERR_PROTOCOL,
     0},
    {"more edits than response-size-max",
     ON_END(.packets = {STR_INIT("hX-Long\0"
                                 "0123456789012345678901234567890123456789\0")},
            .repeat = 5000),
     ERR_LIMIT, -1},
};

static bool is_simulated_time_exact(int64_t took_ms, int64_t want_ms)
{
    return want_ms < 0 || (took_ms >= want_ms && took_ms <= want_ms + 20);
}

static void none_that_misbehaves_holds_us_fiber(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < COUNT_OF(hostile); i++) {
        struct yard y = {0};
        struct when start;
        enum err_code code = OK;

        yard_open(&y, &hostile[i].script);
        y.view.to_count = 1;
        for (int s = HOOK_CONNECT; s <= HOOK_DATA && code == OK; s++) {
            start = clock_read();
            code = s == HOOK_AUTH ? OK : ask(&y, (enum hook_stage)s);
        }
        if (code != hostile[i].code || y.why.len == 0 ||
            (world_is_simulated() &&
             !is_simulated_time_exact((clock_read().ns - start.ns) / NS_PER_MS, hostile[i].ms))) {
            fail_msg("%s: %s after %lld ms: %.*s", hostile[i].name, err_name(code),
                     (long long)((clock_read().ns - start.ns) / NS_PER_MS),
                     STR_ARG(buf_str(&y.why)));
        }
        assert_int_equal(y.outcome.edit_count, 0);
        /* The rest of the transaction has no answer, at once; the next one begins anew. */
        assert_false(y.outcome.was_unasked);
        assert_int_equal(ask(&y, HOOK_DATA), ERR_CLOSED);
        assert_true(y.outcome.was_unasked); /* it failed once, not twice */
        filter_milter.reset(&y.milter, y.session);
        assert_int_not_equal(whole(&y), OK);
        if (y.peer.sessions != 2) {
            fail_msg("%s: %u sessions, %.*s", hostile[i].name, y.peer.sessions,
                     STR_ARG(buf_str(&y.why)));
        }
        yard_close(&y);
    }
}

static void none_that_misbehaves_holds_us(void **state)
{
    run_both("test", none_that_misbehaves_holds_us_fiber, *state);
}

static void one_that_is_not_there_is_told_fiber(void *arg)
{
    static const struct script script = {0};
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &script);
    y.settings.address = STR("inet:127.0.0.1:1");
    milter_make(&y.settings, &y.milter);
    assert_int_equal(ask(&y, HOOK_CONNECT), ERR_NETWORK);
    assert_true(str_starts(buf_str(&y.why), STR("connect to 127.0.0.1:1: ")));
    yard_close(&y);
}

static void one_that_is_not_there_is_told(void **state)
{
    run_both("test", one_that_is_not_there_is_told_fiber, *state);
}

static void progress_renews_the_time_fiber(void *arg)
{
    static const struct script script =
        ON_END(.packets = {STR_INIT("p"), STR_INIT("p"), STR_INIT("p"), STR_INIT("c")},
               .wait_ms = 400);
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &script);
    assert_int_equal(whole(&y), OK);
    yard_close(&y);
}

static void progress_renews_the_time(void **state)
{
    run_both("test", progress_renews_the_time_fiber, *state);
}

/* How often a filter is asked is the sender's doing: what is little of one answer adds up to
 * nothing bad. */
static void many_small_answers_are_no_flood_fiber(void *arg)
{
    enum { FIELDS = 2000 };
    static const struct {
        struct script script;
        uint32_t field_count;
        uint64_t bytes_max;
    } rows[] = {
        {{0}, FIELDS, 1000},
        {ON('L', .packets = {STR_INIT("p"), STR_INIT("c")}, .repeat = 300), 400, 1000 * 1000},
    };
    struct hook_field *many = mem_array(FIELDS, sizeof *many);

    (void)arg;
    for (uint32_t i = 0; i < FIELDS; i++) {
        many[i] = fields[0];
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct yard y = {0};

        yard_open(&y, &rows[i].script);
        y.settings.stage_timeout_ms = 60 * 1000;
        y.settings.response_bytes_max = rows[i].bytes_max;
        y.view.fields = many;
        y.view.field_count = rows[i].field_count;
        if (whole(&y) != OK) {
            fail_msg("row %zu: %.*s", i, STR_ARG(buf_str(&y.why)));
        }
        yard_close(&y);
    }
    mem_free(many);
}

static void many_small_answers_are_no_flood(void **state)
{
    run_both("test", many_small_answers_are_no_flood_fiber, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_that_misbehaves_holds_us),
        cmocka_unit_test(one_that_is_not_there_is_told),
        cmocka_unit_test(progress_renews_the_time),
        cmocka_unit_test(many_small_answers_are_no_flood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
