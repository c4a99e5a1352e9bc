#include "../unit.h"
#include "admin/part.h"
#include "admin/request.h"
#include "base/check.h"
#include "mail/envelope.h"
#include "queue/where.h"

#define NO_OBJECT     "no: the body is not one JSON object"
#define NOTHING_MEANT "no: say which messages: ids, queue, site, sender, rcpt, where; or all"

static void who_may_do_what(void **state)
{
    static const struct {
        const char *remote; /* empty: the local socket */
        bool has_token;
        const char *authorization, *host;
        bool reads, changes;
    } rows[] = {
        {"", false, "", "localhost", true, true},
        {"", true, "", "", true, true},
        {"127.0.0.1", false, "", "127.0.0.1:8025", true, false},
        {"127.0.0.1", false, "", "localhost", true, false},
        {"::1", false, "", "[::1]:8025", true, false},
        {"::1", false, "", "[::1]", true, false},
        {"127.0.0.1", false, "", "evil.example", false, false},
        {"127.0.0.1", false, "", "", false, false},
        {"192.0.2.1", false, "", "192.0.2.1:8025", false, false},
        {"192.0.2.1", true, "", "mx.example", false, false},
        {"192.0.2.1", true, "Bearer the-right-token-here", "mx.example", true, true},
        {"127.0.0.1", true, "bearer the-right-token-here", "localhost", true, true},
        {"127.0.0.1", true, "Bearer the-wrong-token-here", "localhost", false, false},
        {"127.0.0.1", true, "Bearer the-right-token-her", "localhost", false, false},
        {"127.0.0.1", true, "Bearer the-right-token-here-", "localhost", false, false},
        {"127.0.0.1", true, "Bearer ", "localhost", false, false},
        {"127.0.0.1", true, "Basic the-right-token-here", "localhost", false, false},
        {"127.0.0.1", false, "Bearer ", "localhost", false, false},
        {"127.0.0.1", true, "", "localhost", true, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct admin_settings s = {
            .token = {rows[i].has_token ? STR("the-right-token-here") : STR_EMPTY,
                      rows[i].has_token}};
        struct addr remote = {0};
        const char *why = NULL;
        bool reads, changes;

        (void)addr_parse_ip(str_of(rows[i].remote), &remote);
        reads = admin_may(&s, ADMIN_READS, &remote, str_of(rows[i].authorization),
                          str_of(rows[i].host), &why);
        assert_true(reads || why != NULL);
        changes = admin_may(&s, ADMIN_CHANGES, &remote, str_of(rows[i].authorization),
                            str_of(rows[i].host), &why);
        if (reads != rows[i].reads || changes != rows[i].changes) {
            print_error("row %zu: reads %d, changes %d\n", i, reads, changes);
            fail();
        }
    }
}

static void a_request_says_just_what_is_meant(void **state)
{
    static const struct {
        enum request_kind kind;
        const char *json, *want; /* as it would be written; or "no: " and why */
    } rows[] = {
        {REQUEST_RETRY, "{\"all\":true}", "{\"all\":true}"},
        {REQUEST_RETRY, "{\"ids\":[\"00000000000000ff\",\"1\",\"01\"],\"dry_run\":true}",
         "{\"ids\":[\"0000000000000001\",\"00000000000000ff\"],\"dry_run\":true}"},
        {REQUEST_RETRY, "{\"where\":\"sender == ''\",\"at\":\"2026-03-03T10:00:00.000Z\"}",
         "{\"where\":\"sender == ''\",\"at\":\"2026-03-03T10:00:00.000Z\"}"},
        {REQUEST_HOLD,
         "{\"queue\":\"q\",\"site\":\"a.example\",\"reason\":\"look\",\"by\":\"ann\"}",
         "{\"queue\":\"q\",\"site\":\"a.example\",\"by\":\"ann\",\"reason\":\"look\"}"},
        {REQUEST_HOLD, "{\"all\":true,\"quarantine\":true}", "{\"all\":true,\"quarantine\":true}"},
        {REQUEST_RELEASE, "{\"held\":true}", "{\"held\":true}"},
        {REQUEST_CANCEL, "{\"rcpt\":\"@a.example\",\"silent\":true}",
         "{\"rcpt\":\"@a.example\",\"silent\":true}"},
        {REQUEST_MOVE, "{\"sender\":\"<>\",\"to_queue\":\"slow\",\"to_route\":\"hub\"}",
         "{\"sender\":\"<>\",\"to_queue\":\"slow\",\"to_route\":\"hub\"}"},
        {REQUEST_RETRY, "", NO_OBJECT ": it ends too early (byte 0)"},
        {REQUEST_RETRY, "[]", NO_OBJECT},
        {REQUEST_RETRY, "{\"all\":true} {}",
         NO_OBJECT ": there is more behind the value (byte 14)"},
        {REQUEST_RETRY, "{\"all\":true,\"all\":true}",
         NO_OBJECT ": a key stands twice in one object (byte 17)"},
        {REQUEST_RETRY, "{}", NOTHING_MEANT},
        {REQUEST_RETRY, "{\"all\":false}", NOTHING_MEANT},
        {REQUEST_RETRY, "{\"all\":true,\"where\":\"1\"}", NOTHING_MEANT},
        {REQUEST_RETRY, "{\"all\":1}", "no: all is true or false"},
        {REQUEST_RETRY, "{\"all\":true,\"dry_run\":\"yes\"}", "no: dry_run is true or false"},
        {REQUEST_RETRY, "{\"all\":true,\"at\":\"soon\"}",
         "no: at is a date such as 2026-03-03T10:00:00.000Z"},
        {REQUEST_RETRY, "{\"ids\":[]}", "no: ids is a list of message ids, with at least one"},
        {REQUEST_RETRY, "{\"ids\":\"1\"}", "no: ids is a list of message ids, with at least one"},
        {REQUEST_RETRY, "{\"ids\":[1]}", "no: a message id is a text of 16 hexadecimal digits"},
        {REQUEST_RETRY, "{\"ids\":[\"0\"]}", "no: a message id is a text of 16 hexadecimal digits"},
        {REQUEST_RETRY, "{\"ids\":[\"xyz\"]}",
         "no: a message id is a text of 16 hexadecimal digits"},
        {REQUEST_RETRY, "{\"where\":\"\"}", "no: where is the text of an expression"},
        {REQUEST_RETRY, "{\"all\":true,\"reason\":\"x\"}",
         "no: there is no reason here; there are ids all queue site sender rcpt where held dry_run "
         "progress by at"},
        {REQUEST_RESCHEDULE, "{\"were\":\"1\"}",
         "no: there is no were here; there are ids all queue site sender rcpt where held dry_run "
         "progress by"},
        {REQUEST_MOVE, "{\"all\":true}", "no: say where to: to_queue, to_route"},
        {REQUEST_PAUSE, "{\"all\":true}", "no: say the name of the pause: name"},
        {REQUEST_PAUSE, "{\"name\":\"p\"}", NOTHING_MEANT},
        {REQUEST_RESUME, "{\"name\":\"p\"}", "{\"name\":\"p\"}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf got BUF_LOCAL = {0};
        struct request ask;
        struct str why;

        if (request_read(rows[i].kind, str_of(rows[i].json), &a, &ask, &why)) {
            request_write(&ask, &got);
        } else {
            buf_printf(&got, "no: %.*s", STR_ARG(why));
        }
        EXPECT_STR(buf_str(&got), rows[i].want);
    }
}

static void an_expression_chooses_recipients(void **state)
{
    static const struct {
        const char *text;
        int want; /* -1: does not compile */
    } rows[] = {
        {"sender_domain == 'sender.example'", 1},
        {"rcpt_domain == 'b.example'", 0},
        {"retry_num >= 2 && queue_name == 'remote'", 1},
        {"last_error == 'unexpected-reply'", 1},
        {"queue_age > 5m", 1},
        {"queue_age > 1h", 0},
        {"size > 1000", 1},
        {"rcpt_doman == 'x'", -1},
        {"is_local_domain('*', rcpt_domain)", -1},
        {"dns_query(rcpt_domain, 'mx') == ''", -1},
        {"mx == 'x'", -1},
        {"(", -1},
        {"", -1},
    };
    static const struct recipient to = {
        .address = STR_INIT("x@a.example"),
        .state = {.attempts = 2, .queue = STR_INIT("remote"), .last = {.error = LAST_REPLY}}};
    static const struct message m = {.sender = STR_INIT("ann@sender.example"),
                                     .size = 4711,
                                     .arrived = {1000000},
                                     .to_count = 1};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct where *w;
        const char *failed = NULL;
        int got = -1;

        if (where_compile(str_of(rows[i].text), &w, &why).code == OK) {
            got = where_match(w, &m, &to, (struct date){1600000}, &a, &failed);
            assert_null(failed);
            where_free(w);
        } else {
            assert_true(str_starts(buf_str(&why), STR("where:1:")));
        }
        if (got != rows[i].want) {
            print_error("%s: got %d (%.*s)\n", rows[i].text, got, STR_ARG(buf_str(&why)));
            fail();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_do_what),
        cmocka_unit_test(a_request_says_just_what_is_meant),
        cmocka_unit_test(an_expression_chooses_recipients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
