#include "../unit.h"
#include "base/arena.h"
#include "mail/content.h"
#include "mail/header.h"
#include "mail/trace.h"

static const struct date march = {1772532000000}; /* Tue, 03 Mar 2026 10:00:00 +0000 */

static void a_received_field_tells_the_way(void **state)
{
    struct buf out BUF_LOCAL = {0};
    struct trace t = {.helo = STR("client.example"),
                      .client_name = STR("host.example"),
                      .by = STR("mx.example.org"),
                      .protocol = TRACE_ESMTP,
                      .is_tls = true,
                      .is_authenticated = true,
                      .tls_version = STR("TLSv1.3"),
                      .tls_cipher = STR("TLS_AES_256_GCM_SHA384"),
                      .id = 0x19cb2f3a40001ab,
                      .recipient = STR("a@b.example"),
                      .at = march};

    assert_true(addr_parse_ip(STR("192.0.2.1"), &t.client));
    trace_received(&out, &t);
    EXPECT_STR(buf_str(&out), "Received: from client.example (host.example [192.0.2.1])\r\n"
                              "\tby mx.example.org (Postyard) with ESMTPSA id 019cb2f3a40001ab\r\n"
                              "\t(TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
                              "\tfor <a@b.example>;\r\n"
                              "\tTue, 03 Mar 2026 10:00:00 +0000\r\n");
    buf_clear(&out);
    assert_true(addr_parse_ip(STR("2001:db8::1"), &t.client));
    t.client_name = t.recipient = STR_EMPTY;
    t.is_tls = t.is_authenticated = false;
    trace_received(&out, &t);
    EXPECT_STR(buf_str(&out), "Received: from client.example ([IPv6:2001:db8::1])\r\n"
                              "\tby mx.example.org (Postyard) with ESMTP id 019cb2f3a40001ab;\r\n"
                              "\tTue, 03 Mar 2026 10:00:00 +0000\r\n");
    buf_clear(&out);
    t.helo = STR_EMPTY;
    t.client.family = 0;
    trace_received(&out, &t);
    assert_true(str_starts(buf_str(&out), STR("Received: by mx.example.org (Postyard)")));
    (void)state;
}

static void the_word_after_with_is_a_registered_one(void **state)
{
    static const struct {
        enum trace_protocol protocol;
        bool tls, auth, utf8;
        const char *word;
    } rows[] = {
        {TRACE_SMTP, false, false, false, "SMTP"},
        {TRACE_SMTP, true, false, false, "SMTP"},
        {TRACE_ESMTP, false, false, false, "ESMTP"},
        {TRACE_ESMTP, true, false, false, "ESMTPS"},
        {TRACE_ESMTP, false, true, false, "ESMTPA"},
        {TRACE_ESMTP, true, true, true, "UTF8SMTPSA"},
        {TRACE_ESMTP, false, false, true, "UTF8SMTP"},
        {TRACE_LMTP, false, false, false, "LMTP"},
        {TRACE_LMTP, true, false, true, "UTF8LMTPS"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out BUF_LOCAL = {0};
        struct arena arena ARENA_LOCAL = {0};
        struct trace t = {.by = STR("b"),
                          .protocol = rows[i].protocol,
                          .is_tls = rows[i].tls,
                          .is_authenticated = rows[i].auth,
                          .is_utf8 = rows[i].utf8};

        trace_received(&out, &t);
        assert_true(str_find_str(buf_str(&out),
                                 arena_printf(&arena, " with %s id ", rows[i].word)) != STR_NONE);
    }
    (void)state;
}

static void nothing_a_client_says_leaves_its_place(void **state)
{
    static const struct str bad = STR_INIT("a\r\n\r\nX: y)\0\\\"<\xff>");
    struct buf out BUF_LOCAL = {0};
    struct trace t = {.helo = bad,
                      .client_name = bad,
                      .by = bad,
                      .protocol = TRACE_ESMTP,
                      .is_tls = true,
                      .is_utf8 = true,
                      .tls_version = bad,
                      .tls_cipher = bad,
                      .recipient = bad};
    struct header_scan h = {0};
    struct content c = {0};

    assert_true(addr_parse_ip(STR("::1"), &t.client));
    trace_received(&out, &t);
    trace_return_path(&out, bad, true);
    trace_delivered_to(&out, bad, true);
    trace_message_id(&out, 1, bad);
    trace_date(&out, march);
    header_scan_add(&h, buf_str(&out));
    assert_int_equal(h.end, HEADER_OPEN);
    assert_int_equal(h.fields, 5);
    assert_int_equal(h.bytes, out.len);
    content_add(&c, buf_str(&out));
    assert_int_equal(content_class(&c), BODY_7BIT);
    (void)state;
}

static void lines_stay_within_the_limit_whatever_is_put_in(void **state)
{
    static char many[5000];
    struct buf out BUF_LOCAL = {0};
    struct content c = {0};
    struct trace t;

    memset(many, 'x', sizeof many);
    struct str much = str_make(many, sizeof many);
    t = (struct trace){.helo = much,
                       .client_name = much,
                       .by = much,
                       .is_tls = true,
                       .tls_version = much,
                       .tls_cipher = much,
                       .recipient = much};
    assert_true(addr_parse_ip(STR("::1"), &t.client));
    trace_received(&out, &t);
    trace_return_path(&out, much, false);
    trace_delivered_to(&out, much, false);
    trace_message_id(&out, 1, much);
    content_add(&c, buf_str(&out));
    assert_int_equal(content_class(&c), BODY_7BIT);
    (void)state;
}

static void an_address_in_utf8_stands_only_where_it_may(void **state)
{
    struct buf out BUF_LOCAL = {0};
    struct trace t = {.by = STR("b"), .recipient = STR("\xc3\xa9@b")};

    trace_received(&out, &t);
    assert_true(str_find_str(buf_str(&out), STR("for")) == STR_NONE);
    t.is_utf8 = true;
    trace_received(&out, &t);
    assert_true(str_find_str(buf_str(&out), STR("for <\xc3\xa9@b>")) != STR_NONE);
    buf_clear(&out);
    trace_return_path(&out, STR(""), false);
    trace_return_path(&out, STR("\xc3\xa9@b"), true);
    trace_delivered_to(&out, STR("\xc3\xa9@b"), false);
    EXPECT_STR(buf_str(&out),
               "Return-Path: <>\r\nReturn-Path: <\xc3\xa9@b>\r\nDelivered-To: ??@b\r\n");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_received_field_tells_the_way),
        cmocka_unit_test(the_word_after_with_is_a_registered_one),
        cmocka_unit_test(nothing_a_client_says_leaves_its_place),
        cmocka_unit_test(lines_stay_within_the_limit_whatever_is_put_in),
        cmocka_unit_test(an_address_in_utf8_stands_only_where_it_may),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
