#include "../unit.h"
#include "admin/view.h"
#include "base/check.h"
#include "mail/envelope.h"
#include "queue/queue.h"

static const struct date morning = {1772532000000}; /* 2026-03-03T10:00:00Z */

static struct date later(int64_t s)
{
    return date_add(morning, s * 1000);
}

/* One message with a recipient in each of the states that look different. */
static void make(struct message *m, struct recipient to[4], struct job_note notes[2])
{
    to[0] = (struct recipient){.address = STR("x@a.example"),
                               .state = {.status = RCPT_WAITING,
                                         .attempts = 2,
                                         .next = later(420),
                                         .notice = DATE_NEVER,
                                         .expires = later(3600),
                                         .queue = STR("remote"),
                                         .site = STR("mx a.example"),
                                         .last = {LAST_REPLY,
                                                  451,
                                                  {4, 3, 0},
                                                  STR("busy \"now\"\x01\xff"),
                                                  STR("mx.a.example"),
                                                  later(120)}}};
    to[1] = (struct recipient){.address = STR("y@b.example"),
                               .orcpt = STR("rfc822;Y@b.example"),
                               .state = {.status = RCPT_DELIVERED,
                                         .expires = DATE_NEVER,
                                         .notice = DATE_NEVER,
                                         .queue = STR("remote"),
                                         .last = {.error = LAST_NONE, .at = later(60)}}};
    to[2] = (struct recipient){.address = STR("z@c.example"),
                               .state = {.status = RCPT_WAITING,
                                         .next = morning,
                                         .expires = DATE_NEVER,
                                         .notice = DATE_NEVER,
                                         .queue = STR("slow"),
                                         .lane = STR("l"),
                                         .site = STR("mx c.example")}};
    to[3] = (struct recipient){.address = STR("h@c.example"),
                               .state = {.status = RCPT_WAITING,
                                         .held_since = later(5),
                                         .held_why = STR("asked to"),
                                         .queue = STR("slow"),
                                         .expires = DATE_NEVER,
                                         .notice = DATE_NEVER}};
    *m = (struct message){.id = 0x123456789abcdef0,
                          .arrived = morning,
                          .source = SOURCE_AUTHENTICATED,
                          .sender = STR("ann@sender.example"),
                          .client_ip = STR("192.0.2.1"),
                          .size = 4711,
                          .priority = -3,
                          .to = to,
                          .to_count = 4};
    notes[0] = (struct job_note){.message = m->id,
                                 .first = 0,
                                 .to_count = 1,
                                 .queue = STR("remote"),
                                 .site = STR("mx a.example"),
                                 .act = later(420),
                                 .state = "waiting",
                                 .reason = WAIT_NOT_DUE,
                                 .until = later(420)};
    notes[1] = (struct job_note){.message = m->id,
                                 .first = 2,
                                 .to_count = 1,
                                 .queue = STR("slow"),
                                 .site = STR("mx c.example"),
                                 .act = morning,
                                 .state = "due",
                                 .reason = WAIT_BACKOFF,
                                 .since = later(30),
                                 .until = later(900),
                                 .text = STR("connection refused")};
}

static void what_is_written_is_what_is_read(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf json BUF_LOCAL = {0}, again BUF_LOCAL = {0};
    struct message m;
    struct recipient to[4];
    struct job_note notes[2];
    struct view_message view, back;

    (void)state;
    make(&m, to, notes);
    view_make(&m, notes, 2, NULL, &a, &view);
    view_write(&view, &json);
    assert_int_equal(view_read(buf_str(&json), &a, &back).code, OK);
    view_write(&back, &again);
    assert_true(str_eq(buf_str(&json), buf_str(&again)));
    EXPECT_STR(back.id, "123456789abcdef0");
    EXPECT_STR(back.sender, "ann@sender.example");
    EXPECT_STR(back.source, "authenticated");
    assert_int_equal(back.priority, -3);
    assert_int_equal(back.arrived.ms, morning.ms);
    assert_int_equal(back.to_count, 4);
    EXPECT_STR(back.to[0].last_text, "busy \"now\"\x01\xef\xbf\xbd");
    EXPECT_STR(back.to[0].last_status, "4.3.0");
    assert_int_equal(back.to[0].last_code, 451);
}

static void each_waiting_recipient_has_one_reason_since_when_and_until_when(void **state)
{
    static const struct {
        bool waits;
        const char *reason, *text;
        int64_t since_s, until_s; /* -1: unknown */
    } want[] = {
        {true, "not-due", "", 120, 420},
        {false, "", "", 0, 0},
        {true, "backoff", "connection refused", 30, 900},
        {true, "held", "asked to", 5, -1},
    };
    struct arena a ARENA_LOCAL = {0};
    struct message m;
    struct recipient to[4];
    struct job_note notes[2];
    struct view_message view;

    (void)state;
    make(&m, to, notes);
    view_make(&m, notes, 2, NULL, &a, &view);
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        const struct view_rcpt *r = &view.to[i];

        assert_int_equal(r->waits, want[i].waits);
        if (r->waits) {
            EXPECT_STR(r->reason, want[i].reason);
            EXPECT_STR(r->text, want[i].text);
            assert_int_equal(r->since.ms, later(want[i].since_s).ms);
            assert_int_equal(r->until.ms,
                             want[i].until_s < 0 ? DATE_NEVER.ms : later(want[i].until_s).ms);
        }
    }
}

static void a_waiting_recipient_without_a_job_is_being_recorded(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct message m;
    struct recipient to[4];
    struct job_note notes[2];
    struct view_message view;

    (void)state;
    make(&m, to, notes);
    view_make(&m, NULL, 0, NULL, &a, &view);
    EXPECT_STR(view.to[0].reason, "recording");
}

static void only_those_who_are_meant_are_shown(void **state)
{
    static const bool meant[] = {false, false, true, false};
    struct arena a ARENA_LOCAL = {0};
    struct message m;
    struct recipient to[4];
    struct job_note notes[2];
    struct view_message view;

    (void)state;
    make(&m, to, notes);
    view_make(&m, notes, 2, meant, &a, &view);
    assert_int_equal(view.to_count, 1);
    assert_int_equal(view.to_all, 4);
    EXPECT_STR(view.to[0].address, "z@c.example");
    assert_int_equal(view.to[0].index, 2);
}

static void json_that_is_no_message_is_refused(void **state)
{
    static const struct {
        const char *json;
        bool is_message, is_page;
    } rows[] = {
        {"", false, false},
        {"[]", false, false},
        {"{}", false, false},
        {"{\"id\":1}", false, false},
        {"{\"id\":\"0000000000000001\"}", true, false},
        {"{\"id\":\"0000000000000001\",\"recipients\":[1,\"x\",{}]}", true, false},
        {"{\"total\":0,\"items\":[]}", false, true},
        {"{\"total\":1,\"items\":[{}]}", false, false},
        {"{\"total\":1,\"items\":{}}", false, false},
        {"{\"id\":\"1\"} x", false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct view_message m;
        struct view_page page;

        assert_int_equal(view_read(str_of(rows[i].json), &a, &m).code == OK, rows[i].is_message);
        assert_int_equal(view_read_page(str_of(rows[i].json), &a, &page).code == OK,
                         rows[i].is_page);
    }
}

static void a_date_is_read_as_it_was_written(void **state)
{
    static const int64_t rows[] = {0,
                                   1,
                                   951782400000, /* 2000-02-29 */
                                   1772532000000,
                                   4102444799999,
                                   1709164800123};
    static const char *const bad[] = {"",
                                      "2026-03-03",
                                      "2026-13-03T10:00:00.000Z",
                                      "2026-03-03T10:00:00.000",
                                      "x026-03-03T10:00:00.000Z",
                                      "1013-03-03T10:00:00.000Z",
                                      "2026-03-03T10:00:00.000Zx",
                                      "2026-03-03T24:00:00.000Z"};
    struct date d;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[DATE_ISO_BYTES];

        assert_true(date_parse_iso(date_iso((struct date){rows[i]}, text), &d));
        assert_int_equal(d.ms, rows[i]);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(date_parse_iso(str_of(bad[i]), &d));
    }
}

static void a_flat_object_is_read_member_by_member(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct view_member *m;
    size_t count;

    (void)state;
    assert_int_equal(
        view_read_flat(STR("{\"a\":\"x\",\"b\":-5,\"c\":true,\"d\":null}"), &a, &m, &count).code,
        OK);
    assert_int_equal(count, 4);
    EXPECT_STR(m[0].value, "x");
    EXPECT_STR(m[1].value, "-5");
    EXPECT_STR(m[2].value, "true");
    EXPECT_STR(m[3].value, "");
    assert_int_equal(view_read_flat(STR("[1]"), &a, &m, &count).code, ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_what_is_read),
        cmocka_unit_test(each_waiting_recipient_has_one_reason_since_when_and_until_when),
        cmocka_unit_test(a_waiting_recipient_without_a_job_is_being_recorded),
        cmocka_unit_test(only_those_who_are_meant_are_shown),
        cmocka_unit_test(json_that_is_no_message_is_refused),
        cmocka_unit_test(a_date_is_read_as_it_was_written),
        cmocka_unit_test(a_flat_object_is_read_member_by_member),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
