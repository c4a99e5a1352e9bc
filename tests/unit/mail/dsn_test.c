#include "../unit.h"
#include "base/check.h"
#include "mail/content.h"
#include "mail/dsn.h"
#include "mail/dsn_rcpt.h"
#include "mail/header.h"

static const struct date march = {1772532000000}; /* Tue, 03 Mar 2026 10:00:00 +0000 */

#define HEADER "Received: from x\r\n\tby y\r\nSubject: Job\r\nMessage-ID: <a@b>\r\n\r\n"
#define BODY   "Hello.\r\n.dot\r\n"

static struct message a_message(struct recipient *to, uint32_t count)
{
    return (struct message){.arrived = march,
                            .sender = STR("me@customer.example"),
                            .envid = STR("job-7731"),
                            .size = sizeof HEADER BODY - 1,
                            .header_bytes = sizeof HEADER - 1,
                            .to = to,
                            .to_count = count};
}

static struct dsn a_dsn(const struct message *m)
{
    return (struct dsn){.message = m,
                        .reporting_mta = STR("mx1.postyard.example"),
                        .from_name = STR("Mail Delivery System"),
                        .from_address = STR("MAILER-DAEMON@postyard.example"),
                        .message_id = STR("1@mx1.postyard.example"),
                        .boundary = STR("b0undary"),
                        .at = {march.ms + 3600000},
                        .header = STR(HEADER),
                        .body = STR(BODY),
                        .has_body = true,
                        .whole_bytes_max = DSN_WHOLE_BYTES_MAX};
}

static struct recipient failed(void)
{
    return (struct recipient){.address = STR("info@hosting.example"),
                              .orcpt = STR("rfc822;info@customer.example"),
                              .state = {.owed = OWED_FAILED,
                                        .expires = DATE_NEVER,
                                        .last = {.error = LAST_REPLY,
                                                 .code = 550,
                                                 .esc = {5, 1, 1},
                                                 .text = STR("no such user\nask\tthe postmaster"),
                                                 .host = STR("mx.hosting.example"),
                                                 .at = march}}};
}

static bool has(const struct buf *b, const char *text)
{
    return str_find_str(buf_str(b), str_of(text)) != STR_NONE;
}

#define EXPECT_HAS(b, text)                                                                        \
    do {                                                                                           \
        if (!has(&(b), text)) {                                                                    \
            print_error("\"%s\" is not in\n%.*s\n", text, STR_ARG(buf_str(&(b))));                 \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static void a_failure_is_reported_whole(void **state)
{
    struct recipient to = failed();
    struct message m = a_message(&to, 1);
    struct dsn d = a_dsn(&m);
    struct buf out BUF_LOCAL = {0};
    struct dsn_facts facts;

    dsn_write(&out, &d, &facts);
    EXPECT_STR(buf_str(&out),
               "From: \"Mail Delivery System\" <MAILER-DAEMON@postyard.example>\r\n"
               "To: <me@customer.example>\r\n"
               "Subject: Your message could not be delivered\r\n"
               "Date: Tue, 03 Mar 2026 11:00:00 +0000\r\n"
               "Message-ID: <1@mx1.postyard.example>\r\n"
               "Auto-Submitted: auto-generated\r\n"
               "MIME-Version: 1.0\r\n"
               "Content-Type: multipart/report; report-type=delivery-status;\r\n"
               "\tboundary=\"b0undary\"\r\n"
               "\r\n"
               "--b0undary\r\n"
               "Content-Type: text/plain; charset=utf-8\r\n"
               "\r\n"
               "This is a report of the mail server mx1.postyard.example\r\n"
               "about a message that it took from you on Tue, 03 Mar 2026 10:00:00 +0000.\r\n"
               "\r\n"
               "Your message could not be delivered, and we have given up on:\r\n"
               "\r\n"
               "  <info@hosting.example>\r\n"
               "      Answer of mx.hosting.example: 550 5.1.1 no such user ask the postmaster\r\n"
               "\r\n"
               "Your message is attached.\r\n"
               "\r\n--b0undary\r\n"
               "Content-Type: message/delivery-status\r\n"
               "\r\n"
               "Reporting-MTA: dns; mx1.postyard.example\r\n"
               "Original-Envelope-Id: job-7731\r\n"
               "Arrival-Date: Tue, 03 Mar 2026 10:00:00 +0000\r\n"
               "\r\n"
               "Original-Recipient: rfc822;info@customer.example\r\n"
               "Final-Recipient: rfc822;info@hosting.example\r\n"
               "Action: failed\r\n"
               "Status: 5.1.1\r\n"
               "Diagnostic-Code: smtp; 550 5.1.1 no such user ask the postmaster\r\n"
               "Remote-MTA: dns; mx.hosting.example\r\n"
               "Last-Attempt-Date: Tue, 03 Mar 2026 10:00:00 +0000\r\n"
               "\r\n--b0undary\r\n"
               "Content-Type: message/rfc822\r\n"
               "\r\n" HEADER BODY "\r\n--b0undary--\r\n");
    assert_true(facts.returns_whole);
    assert_int_equal(facts.body, BODY_7BIT);
    assert_false(facts.smtputf8);
    assert_int_equal(facts.failed, 1);
    struct header_scan h = {0};
    header_scan_add(&h, buf_str(&out));
    assert_int_equal(facts.header_bytes, h.bytes);
    (void)state;
}

/* */
static void the_subject_tells_the_five_cases_apart(void **state)
{
    static const struct {
        enum report_owed first, second;
        const char *subject;
    } rows[] = {
        {OWED_DELIVERED, OWED_DELIVERED, "Subject: Your message was delivered\r\n"},
        {OWED_RELAYED, OWED_NONE, "Subject: Your message was delivered to the next server\r\n"},
        {OWED_DELAYED, OWED_NONE, "Subject: Your message is delayed; we go on trying\r\n"},
        {OWED_FAILED, OWED_NONE, "Subject: Your message could not be delivered\r\n"},
        {OWED_FAILED, OWED_DELIVERED,
         "Subject: Your message reached some of its recipients, but not all\r\n"},
        {OWED_DELAYED, OWED_RELAYED,
         "Subject: Your message reached some of its recipients, but not all\r\n"},
        {OWED_DELAYED, OWED_FAILED,
         "Subject: Your message is delayed, and failed for some recipients\r\n"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct recipient to[2] = {failed(), failed()};
        struct message m = a_message(to, 2);
        struct dsn d = a_dsn(&m);
        struct buf out BUF_LOCAL = {0};
        struct dsn_facts facts;

        to[0].state.owed = rows[i].first;
        to[1].state.owed = rows[i].second;
        dsn_write(&out, &d, &facts);
        EXPECT_HAS(out, rows[i].subject);
    }
    (void)state;
}

/* Q-109, PY-34. */
static void ret_and_size_decide_what_is_returned(void **state)
{
    static const struct {
        enum report_owed owed;
        enum dsn_ret ret;
        enum body_class body;
        uint64_t max;
        bool has_body, whole;
    } rows[] = {
        {OWED_FAILED, RET_NONE, BODY_7BIT, 1000, true, true},
        {OWED_FAILED, RET_FULL, BODY_8BIT, 1000, true, true},
        {OWED_FAILED, RET_FULL, BODY_7BIT, sizeof HEADER BODY - 1, true, true},
        {OWED_FAILED, RET_FULL, BODY_7BIT, sizeof HEADER BODY - 2, true, false},
        {OWED_FAILED, RET_HDRS, BODY_7BIT, 1000, true, false},
        {OWED_FAILED, RET_FULL, BODY_BINARY, 1000, true, false},
        {OWED_FAILED, RET_FULL, BODY_7BIT, 1000, false, false},
        {OWED_DELAYED, RET_FULL, BODY_7BIT, 1000, true, false},
        {OWED_DELIVERED, RET_FULL, BODY_7BIT, 1000, true, false},
        {OWED_RELAYED, RET_NONE, BODY_7BIT, 1000, true, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct recipient to = failed();
        struct message m = a_message(&to, 1);
        struct dsn d = a_dsn(&m);
        struct buf out BUF_LOCAL = {0};
        struct dsn_facts facts;

        to.state.owed = rows[i].owed;
        m.ret = rows[i].ret;
        m.body = rows[i].body;
        d.whole_bytes_max = rows[i].max;
        d.has_body = rows[i].has_body;
        dsn_write(&out, &d, &facts);
        assert_int_equal(facts.returns_whole, rows[i].whole);
        assert_int_equal(dsn_wants_body(&m, rows[i].max), rows[i].whole || !rows[i].has_body);
        EXPECT_HAS(out, rows[i].whole ? "Content-Type: message/rfc822\r\n\r\n" HEADER BODY
                                      : "Content-Type: text/rfc822-headers\r\n\r\nReceived: ");
        EXPECT_HAS(out, "Message-ID: <a@b>\r\n");
        assert_int_equal(has(&out, ".dot"), rows[i].whole);
    }
    (void)state;
}

/* a promise of when we stop trying only where time ends it. */
static void status_and_fields_follow_the_last_result(void **state)
{
    static const struct {
        enum report_owed owed;
        struct last_result last;
        const char *fields, *people; /* must be there */
        const char *absent;
    } rows[] = {
        {OWED_FAILED,
         {.error = LAST_REPLY, .code = 550, .text = STR_INIT("no"), .host = STR_INIT("h.x")},
         "Status: 5.5.0\r\nDiagnostic-Code: smtp; 550 no\r\nRemote-MTA: dns; h.x\r\n",
         "Answer of h.x: 550 no\r\n",
         "The time for trying"},
        {OWED_FAILED,
         {.error = LAST_REPLY, .code = 550, .esc = {4, 2, 1}, .host = STR_INIT("h.x")},
         "Status: 5.5.0\r\n",
         "Answer of h.x: 550 4.2.1",
         NULL},
        {OWED_FAILED,
         {.error = LAST_REPLY, .code = 451, .esc = {4, 7, 1}, .host = STR_INIT("h.x")},
         "Status: 4.7.1\r\n",
         "The time for trying is over.",
         NULL},
        {OWED_FAILED,
         {.error = LAST_DNS, .text = STR_INIT("no such domain"), .host = STR_INIT("h.x")},
         "Action: failed\r\nStatus: 5.0.0\r\n",
         "Looking up h.x: no such domain\r\n",
         "Remote-MTA"},
        {OWED_FAILED,
         {.error = LAST_IO, .esc = {5, 6, 3}, .text = STR_INIT("peer takes no 8-bit mail")},
         "Status: 5.6.3\r\n",
         "Our server: peer takes no 8-bit mail\r\n",
         "Diagnostic-Code"},
        {OWED_FAILED,
         {.error = LAST_CONNECTION, .text = STR_INIT("timed out"), .host = STR_INIT("h.x")},
         "Status: 5.0.0\r\nRemote-MTA: dns; h.x\r\n",
         "Connection to h.x: timed out\r\n",
         NULL},
        {OWED_FAILED,
         {.error = LAST_DANE, .text = STR_INIT("x")},
         "Status: 5.0.0\r\n",
         "DANE check of the next server: x\r\n",
         "Remote-MTA"},
        {OWED_DELAYED,
         {.error = LAST_TLS, .text = STR_INIT("x"), .host = STR_INIT("h.x")},
         "Action: delayed\r\nStatus: 4.0.0\r\nRemote-MTA: dns; h.x\r\n"
         "Will-Retry-Until: Tue, 03 Mar 2026 12:00:00 +0000\r\n",
         "We shall try until Tue, 03 Mar 2026 12:00:00 +0000\r\n",
         NULL},
        {OWED_DELIVERED,
         {.code = 250, .esc = {2, 1, 5}, .text = STR_INIT("ok"), .host = STR_INIT("h.x")},
         "Action: delivered\r\nStatus: 2.1.5\r\nRemote-MTA: dns; h.x\r\n",
         "Answer of h.x: 250 2.1.5 ok\r\n",
         "Diagnostic-Code"},
        {OWED_RELAYED,
         {.code = 0},
         "Action: relayed\r\nStatus: 2.0.0\r\n",
         "for:\r\n\r\n  <",
         "Result"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct recipient to = failed();
        struct message m = a_message(&to, 1);
        struct dsn d = a_dsn(&m);
        struct buf out BUF_LOCAL = {0};
        struct dsn_facts facts;

        to.state.owed = rows[i].owed;
        to.state.expires = (struct date){march.ms + 7200000};
        to.state.last = rows[i].last;
        dsn_write(&out, &d, &facts);
        EXPECT_HAS(out, rows[i].fields);
        EXPECT_HAS(out, rows[i].people);
        assert_false(rows[i].absent != NULL && has(&out, rows[i].absent));
    }
    (void)state;
}

/* RFC 2852: the time that the sender has given is over. */
static void the_time_that_was_given_is_told_by_its_own_status(void **state)
{
    static const struct {
        enum report_owed owed;
        int64_t deadline_ms, by_notice_ms; /* from the time of the report */
        struct last_result last;
        const char *status;
        bool told;
    } rows[] = {
        {OWED_FAILED, -1, 0, {.error = LAST_REPLY, .code = 451, .esc = {4, 3, 0}}, "5.4.7", true},
        {OWED_FAILED, 0, 0, {.error = LAST_IO, .esc = {5, 4, 7}}, "5.4.7", true},
        {OWED_FAILED, -1, 0, {.error = LAST_REPLY, .code = 550, .esc = {5, 1, 1}}, "5.1.1", false},
        {OWED_FAILED, 1, 0, {.error = LAST_REPLY, .code = 451, .esc = {4, 3, 0}}, "4.3.0", false},
        {OWED_DELAYED, 0, -1, {.error = LAST_REPLY, .code = 451, .esc = {4, 3, 0}}, "4.4.7", true},
        {OWED_DELAYED, 0, 1, {.error = LAST_REPLY, .code = 451, .esc = {4, 3, 0}}, "4.3.0", false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct recipient to = failed();
        struct message m = a_message(&to, 1);
        struct dsn d = a_dsn(&m);
        struct buf out BUF_LOCAL = {0}, status BUF_LOCAL = {0};
        struct dsn_facts facts;

        m.by = BY_RETURN;
        m.by_date.ms = march.ms + 60000;
        to.state.owed = rows[i].owed;
        to.state.last = rows[i].last;
        to.state.deadline.ms = rows[i].owed == OWED_FAILED ? d.at.ms + rows[i].deadline_ms
                                                           : INT64_MAX;
        to.state.by_notice.ms = rows[i].by_notice_ms != 0 ? d.at.ms + rows[i].by_notice_ms : 0;
        dsn_write(&out, &d, &facts);
        buf_printf(&status, "Status: %s\r\n", rows[i].status);
        buf_byte(&status, 0);
        EXPECT_HAS(out, status.ptr);
        EXPECT_HAS(out, "Deliver-By-Date: Tue, 03 Mar 2026 10:01:00 +0000\r\n");
        assert_int_equal(has(&out, "The time that was given for its delivery is over."),
                         rows[i].told);
    }
    (void)state;
}

static void only_those_owed_a_report_are_named_and_the_past_is_not_promised(void **state)
{
    struct recipient to[3] = {failed(), failed(), failed()};
    struct message m = a_message(to, 3);
    struct dsn d = a_dsn(&m);
    struct buf out BUF_LOCAL = {0};
    struct dsn_facts facts;

    to[0].state.owed = OWED_NONE;
    to[0].address = STR("quiet@x.example");
    to[1].state.owed = OWED_DELAYED;
    to[1].state.expires = march;
    to[1].address = STR("late@x.example");
    dsn_write(&out, &d, &facts);
    assert_false(has(&out, "quiet"));
    assert_false(has(&out, "Will-Retry-Until"));
    EXPECT_HAS(out, "trying to reach:\r\n\r\n  <late@x.example>\r\n");
    assert_int_equal(facts.delayed + facts.failed, 2);
    /* People read late before failed, programs read the recipients in their order. */
    assert_true(str_find_str(buf_str(&out), STR("trying to reach")) <
                str_find_str(buf_str(&out), STR("given up")));
    (void)state;
}

static void mail_in_utf8_gets_a_report_in_utf8(void **state)
{
    struct recipient to = failed();
    struct message m = a_message(&to, 1);
    struct dsn d = a_dsn(&m);
    struct buf out BUF_LOCAL = {0};
    struct dsn_facts facts;

    m.smtputf8 = true;
    m.sender = STR("j\xc3\xb6rg@customer.example");
    to.address = STR("\xc3\xa9@hosting.example");
    to.orcpt = STR("utf-8;\xc3\xa9@c.example");
    to.state.last.text = STR("n\xc3\xb6");
    d.header = STR("Subject: \xc3\xa9\r\n\r\n");
    dsn_write(&out, &d, &facts);
    EXPECT_HAS(out, "To: <j\xc3\xb6rg@customer.example>\r\n");
    EXPECT_HAS(out, "report-type=global-delivery-status;");
    EXPECT_HAS(out, "Content-Type: message/global-delivery-status\r\n"
                    "Content-Transfer-Encoding: 8bit\r\n\r\nReporting-MTA");
    EXPECT_HAS(out, "Original-Recipient: utf-8;\xc3\xa9@c.example\r\n"
                    "Final-Recipient: utf-8;\xc3\xa9@hosting.example\r\n");
    EXPECT_HAS(out, "Diagnostic-Code: smtp; 550 5.1.1 n\xc3\xb6\r\n");
    EXPECT_HAS(out, "Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    assert_int_equal(facts.body, BODY_8BIT);
    assert_true(facts.smtputf8);

    /* Headers that only claim to be UTF-8 are returned under the older type. */
    buf_clear(&out);
    d.header = STR("Subject: \xe9\r\n\r\n");
    d.has_body = false;
    dsn_write(&out, &d, &facts);
    EXPECT_HAS(out, "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n");
    (void)state;
}

static void raw_bytes_in_ascii_mail_stay_in_the_original(void **state)
{
    struct recipient to = failed();
    struct message m = a_message(&to, 1);
    struct dsn d = a_dsn(&m);
    struct buf out BUF_LOCAL = {0};
    struct dsn_facts facts;

    to.state.last.text = STR("n\xc3\xb6");
    d.body = STR("caf\xe9\r\n");
    dsn_write(&out, &d, &facts);
    EXPECT_HAS(out, "Diagnostic-Code: smtp; 550 5.1.1 n??\r\n");
    EXPECT_HAS(out, "boundary=\"b0undary\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    EXPECT_HAS(out, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    assert_int_equal(facts.body, BODY_8BIT);
    assert_false(facts.smtputf8);
    (void)state;
}

static void what_data_cannot_carry_is_left_out(void **state)
{
    struct recipient to = failed();
    struct message m = a_message(&to, 1);
    struct dsn d = a_dsn(&m);
    struct buf out BUF_LOCAL = {0};
    struct dsn_facts facts;
    struct content c = {0};

    d.header = STR("A: 1\r\nBad: a\nb\r\nNul: \0\r\nB: 2\r\n\r\n");
    dsn_write(&out, &d, &facts);
    assert_false(facts.returns_whole);
    EXPECT_HAS(out, "text/rfc822-headers\r\n\r\nA: 1\r\nB: 2\r\n\r\n--b0undary--");
    content_add(&c, buf_str(&out));
    assert_int_equal(content_class(&c), BODY_7BIT);

    /* Nor can more of a header be returned than of a message. */
    buf_clear(&out);
    d.whole_bytes_max = 10;
    d.header = STR("A: 1\r\nB: 22222222222222\r\n\r\n");
    dsn_write(&out, &d, &facts);
    EXPECT_HAS(out, "text/rfc822-headers\r\n\r\nA: 1\r\n\r\n--b0undary--");
    (void)state;
}

static void the_boundary_is_never_inside_of_what_it_bounds(void **state)
{
    struct recipient to = failed();
    struct message m = a_message(&to, 1);
    struct dsn d = a_dsn(&m);
    struct buf out BUF_LOCAL = {0};
    struct dsn_facts facts;

    d.body = STR("--b0undary--\r\nb0undary-1\r\n");
    dsn_write(&out, &d, &facts);
    EXPECT_HAS(out, "boundary=\"b0undary-2\"");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_reported_whole),
        cmocka_unit_test(the_subject_tells_the_five_cases_apart),
        cmocka_unit_test(ret_and_size_decide_what_is_returned),
        cmocka_unit_test(status_and_fields_follow_the_last_result),
        cmocka_unit_test(the_time_that_was_given_is_told_by_its_own_status),
        cmocka_unit_test(only_those_owed_a_report_are_named_and_the_past_is_not_promised),
        cmocka_unit_test(mail_in_utf8_gets_a_report_in_utf8),
        cmocka_unit_test(raw_bytes_in_ascii_mail_stay_in_the_original),
        cmocka_unit_test(what_data_cannot_carry_is_left_out),
        cmocka_unit_test(the_boundary_is_never_inside_of_what_it_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
