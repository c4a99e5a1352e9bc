/* The classic dialect: requests to the byte, and what is read of an answer. */
#include "base/check.h"
#include "base/version.h"
#include "hooks/insert.h"
#include "sample.h"

static void request_under(const struct hook_terms *terms, const struct hook_view *v,
                          struct arena *a, struct buf *out)
{
    struct hook_request r;

    hook_classic.encode(v, terms, a, &r);
    EXPECT_STR(str_of(r.content_type), "application/json");
    buf_put(out, buf_str(&r.before));
    if (r.insert != HOOK_INSERT_NONE) {
        struct inserter i = {0};

        assert_int_equal(r.insert, HOOK_INSERT_JSON_BODY);
        insert_add(&i, r.insert, v->body.whole, out);
        insert_end(&i, r.insert, out);
    }
    buf_put(out, buf_str(&r.after));
    buf_done(&r.before);
    buf_done(&r.after);
}

static void request(const struct hook_view *v, struct arena *a, struct buf *out)
{
    const struct hook_terms terms = {0};

    request_under(&terms, v, a, out);
}

#define CLIENT(ptr, helo)                                                                          \
    "\"client\":{\"ip\":\"198.51.100.23\",\"port\":40112,\"ptr\":" ptr ",\"helo\":" helo           \
    ",\"activeConnections\":1}"
#define SERVER                                                                                     \
    "\"server\":{\"name\":\"Postyard " POSTYARD_VERSION "\",\"port\":25,\"ip\":\"203.0.113.5\"}"
#define PROTOCOL "\"protocol\":{\"version\":1}}"
#define FROM     "\"from\":{\"address\":\"ann@a.example\",\"parameters\":{\"SIZE\":\"88\"}}"

/* CL-01, CL-04, CL-07, CL-08, CL-11, CL-15, CL-16, CL-20: 2.5 of the reference. */
static void a_request_has_what_is_known_at_its_stage(void **state)
{
    static const struct {
        enum hook_stage stage;
        const char *want;
    } rows[] = {
        {HOOK_CONNECT,
         "{\"context\":{\"stage\":\"connect\"," CLIENT("null", "null") "," SERVER "," PROTOCOL "}"},
        {HOOK_EHLO, "{\"context\":{\"stage\":\"ehlo\"," CLIENT(
                        "null", "\"a.example\"") "," SERVER "," PROTOCOL "}"},
        {HOOK_MAIL, "{\"context\":{\"stage\":\"mail\"," CLIENT(
                        "\"a.example\"", "\"a.example\"") "," SERVER "," PROTOCOL
                                                          ",\"envelope\":{" FROM ",\"to\":[]}}"},
        {HOOK_RCPT,
         "{\"context\":{\"stage\":\"rcpt\"," CLIENT(
             "\"a.example\"", "\"a.example\"") "," SERVER "," PROTOCOL ",\"envelope\":{" FROM
                                               ",\"to\":[{\"address\":\"bo@example.net\"},"
                                               "{\"address\":\"cy@example.net\"}]}}"},
        {HOOK_DATA,
         "{\"context\":{\"stage\":\"data\"," CLIENT(
             "\"a.example\"",
             "\"a.example\"") "," SERVER ",\"queue\":{\"id\":\"5f0c2a9e41\"}," PROTOCOL
                              ",\"envelope\":{" FROM ",\"to\":[{\"address\":\"bo@example.net\"},"
                              "{\"address\":\"cy@example.net\"}]},"
                              "\"message\":{\"headers\":["
                              "[\"From\",\" ann@a.example\\r\\n\"],"
                              "[\"To\",\" bo@example.net\\r\\n\"],"
                              "[\"Subject\",\" invoice\\r\\n\\tfor "
                              "October\\r\\n\"]],"
                              "\"contents\":\"Please pay.\\r\\n\",\"size\":88}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf got BUF_LOCAL = {0};
        struct hook_view v = sample_view(rows[i].stage, &a);

        v.client.ptr = STR("a.example."); /* Q15 */
        sample_message(&v,
                       STR("From: ann@a.example\r\nTo: bo@example.net\r\nSubject: invoice\r\n\tfor "
                           "October\r\n"),
                       STR(SAMPLE_BODY), &a);
        request(&v, &a, &got);
        EXPECT_STR(buf_str(&got), rows[i].want);
    }
}

/* CL-06, CL-20, Q13, Q14. */
static void a_session_shows_its_login_and_tls_when_it_has_them(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf got BUF_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_MAIL, &a);

    (void)state;
    v.login = STR("ann");
    v.login_method = STR("PLAIN");
    v.client.connections = 3;
    v.sender = STR_EMPTY;
    v.sender_params = (struct hook_params){0};
    v.tls = (struct hook_tls){.active = true,
                              .version = STR("TLSv1.3"),
                              .cipher = STR("TLS_AES_128_GCM_SHA256"),
                              .bits = 128,
                              .cert_issuer = STR_EMPTY,
                              .cert_subject = STR("CN=ann")};
    request(&v, &a, &got);
    EXPECT_STR(
        buf_str(&got),
        "{\"context\":{\"stage\":\"mail\",\"client\":{\"ip\":\"198.51.100.23\",\"port\":40112,"
        "\"ptr\":null,\"helo\":\"a.example\",\"activeConnections\":3},"
        "\"sasl\":{\"login\":\"ann\",\"method\":\"PLAIN\"},"
        "\"tls\":{\"version\":\"TLSv1.3\",\"cipher\":\"TLS_AES_128_GCM_SHA256\","
        "\"cipherBits\":128,\"certSubject\":\"CN=ann\"}," SERVER "," PROTOCOL
        ",\"envelope\":{\"from\":{\"address\":\"\"},\"to\":[]}}");
}

/* Q14: what Stalwart's schema declares and Stalwart does not send can be left out. */
static void a_strict_request_has_what_stalwart_sends(void **state)
{
    const struct hook_terms terms = {.as_stalwart = true};
    struct arena a ARENA_LOCAL = {0};
    struct buf got BUF_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_MAIL, &a);

    (void)state;
    v.login = STR("ann");
    v.login_method = STR("PLAIN");
    v.tls = (struct hook_tls){.active = true,
                              .version = STR("TLSv1.3"),
                              .cipher = STR("TLS_AES_128_GCM_SHA256"),
                              .bits = 128,
                              .cert_issuer = STR("CN=ca"),
                              .cert_subject = STR("CN=ann")};
    request_under(&terms, &v, &a, &got);
    EXPECT_STR(buf_str(&got),
               "{\"context\":{\"stage\":\"mail\"," CLIENT(
                   "null", "\"a.example\"") ",\"sasl\":{\"login\":\"ann\"},"
                                            "\"tls\":{\"version\":\"TLSv1.3\",\"cipher\":"
                                            "\"TLS_AES_128_GCM_SHA256\"}," SERVER "," PROTOCOL
                                            ",\"envelope\":{\"from\":{\"address\":"
                                            "\"ann@a.example\"},\"to\":[]}}");
}

/* CL-18: U+FFFD for each maximal part that is ill-formed; and nothing escapes its string. */
static void what_is_no_utf8_is_shown_as_such(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf got BUF_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a);

    (void)state;
    sample_message(&v, STR("X-\"A: caf\xe9 \xf0\x9f\x98 \"\\\x01\r\n"),
                   STR("\xe9\r\n\xc3\xa9\"\0\xe2\x82"), &a);
    v.to_count = 0;
    request(&v, &a, &got);
    buf_byte(&got, '\0');
    assert_non_null(strstr(got.ptr, "[[\"X-\\\"A\",\" caf\xef\xbf\xbd \xef\xbf\xbd "
                                    "\\\"\\\\\\u0001\\r\\n\"]]"));
    assert_non_null(
        strstr(got.ptr, "\"contents\":\"\xef\xbf\xbd\\r\\n\xc3\xa9\\\"\\u0000\xef\xbf\xbd\""));
}

/* Addresses are shown in lower case, domains in A-labels. */
static void addresses_are_shown_as_stalwart_shows_them(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf got BUF_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_MAIL, &a);

    (void)state;
    v.sender = STR("J\xc3\xb6rg.X@b\xc3\xbc"
                   "cher.example");
    request(&v, &a, &got);
    buf_byte(&got, '\0');
    assert_non_null(strstr(got.ptr, "{\"address\":\"j\xc3\xb6rg.x@xn--bcher-kva.example\""));
}

/* ---- answers ---- */

#define WITH(modifications) "{\"action\":\"accept\",\"modifications\":" modifications "}"
#define ONE(rest)           WITH("[{\"type\":" rest "}]")

static struct err decode(const char *json, const struct hook_view *v, struct hook_pending *p,
                         struct arena *a, struct hook_outcome *ret, struct buf *why)
{
    const struct hook_terms terms = {.answer_bytes_max = 1 << 20};
    struct hook_answer answer = {200, STR("text/plain"), str_of(json)};

    return hook_classic.decode(&answer, v, &terms, p, a, ret, why);
}

/* CL-02, CL-05, CL-13, CL-22 to CL-30, CL-53 to CL-58, SE-01, SE-02, SE-05, SE-11, SE-12. */
static void an_answer_is_an_action_and_perhaps_a_reply(void **state)
{
    static const struct {
        const char *json;
        const char *want; /* NULL: the exchange has failed */
    } rows[] = {
        {"{\"action\":\"accept\"}", "accept"},
        {"", "accept"},
        {"{\"action\":\"discard\"}", "discard"},
        {"{\"action\":\"quarantine\"}", "quarantine"},
        {"{\"action\":\"reject\"}", "reject 503 5.5.3 Message rejected."},
        {"{\"action\":\"reject\",\"response\":null}", "reject 503 5.5.3 Message rejected."},
        {"{\"action\":\"reject\",\"response\":{}}", "reject 503 5.5.3 Message rejected."},
        {"{\"action\":\"reject\",\"response\":{\"status\":451,\"enhanced_status\":\"4.3.5\","
         "\"message\":\"later\"}}",
         "reject 451 4.3.5 later"},
        {"{\"action\":\"reject\",\"response\":{\"status\":451,\"enhancedStatus\":\"4.3.5\","
         "\"message\":\"later\"}}",
         "reject 451 4.3.5 later"},
        {"{\"action\":\"reject\",\"response\":{\"status\":451,\"enhancedStatus\":\"4.3.6\","
         "\"enhanced_status\":\"4.3.5\",\"message\":\"later\"}}",
         "reject 451 4.3.5 later"},
        {"{\"action\":\"reject\",\"response\":{\"status\":550,\"enhanced_status\":\"5.7.1\","
         "\"message\":\"no\"}}",
         "reject 550 5.7.1 no"},
        {"{\"action\":\"reject\",\"response\":{\"status\":451}}",
         "reject 503 5.5.3 Message rejected. +1"},
        {"{\"action\":\"reject\",\"response\":{\"message\":\"no\"}}",
         "reject 503 5.5.3 Message rejected. +1"},
        {"{\"action\":\"reject\",\"response\":{\"status\":null,\"message\":null,"
         "\"enhanced_status\":null}}",
         "reject 503 5.5.3 Message rejected."},
        {"{\"action\":\"reject\",\"response\":{\"status\":321,\"enhanced_status\":\"3.1.1\","
         "\"message\":\"Test\"}}",
         "reject 503 5.5.3 Message rejected. +1"},
        {"{\"action\":\"reject\",\"response\":{\"status\":0,\"message\":\"no\"}}",
         "reject 503 5.5.3 Message rejected. +1"},
        {"{\"action\":\"reject\",\"response\":{\"status\":550,\"enhanced_status\":\"none\","
         "\"message\":\"no\"}}",
         "reject 550 0.0.0 no +1"},
        {"{\"action\":\"discard\",\"response\":{\"status\":550,\"message\":\"no\"}}", "discard +1"},
        {"{\"action\":\"discard\",\"response\":{\"status\":250,\"message\":\"thanks\"}}",
         "discard 250 0.0.0 thanks"},
        {"{\"action\":\"accept\",\"response\":{\"status\":250,\"message\":\"thanks\"}}", "accept"},
        {"{\"action\":\"accept\",\"response\":{\"disconnect\":true}}", "accept, disconnect"},
        {"{\"action\":\"reject\",\"response\":{\"disconnect\":true}}",
         "reject 503 5.5.3 Message rejected., disconnect"},
        {"{\"x\":[{}],\"action\":\"accept\",\"response\":{\"y\":1},\"modifications\":"
         "[{\"type\":\"replaceContents\",\"value\":\"z\",\"index\":-1,\"w\":null}]}",
         "accept 1"},
        {ONE("\"changeFrom\",\"value\":\"a@b.example\",\"parameters\":null"), "accept 1"},
        {ONE("\"changeFrom\",\"value\":\"a@b.example\",\"parameters\":{\"SIZE\":54321,\"X\":true,"
             "\"Y\":null}"),
         "accept 1"},
        {ONE("\"deleteHeader\",\"name\":\"X\",\"index\":4294967295"), "accept 1"},
        {ONE("\"addHeader\",\"name\":\"X\",\"value\":\"a\\r\\n\\tb\\r\\n\""), "accept 1"},
        {"{\"action\":\"Accept\"}", NULL},
        {"{\"action\":null}", NULL},
        {"{\"action\":[\"accept\"]}", NULL},
        {"{}", NULL},
        {"[]", NULL},
        {"null", NULL},
        {"accept", NULL},
        {" ", NULL},
        {"{\"action\":\"accept\"} x", NULL},
        {"{\"action\":\"accept\",\"action\":\"accept\"}", NULL},
        {"{\"action\":\"\\ud800\"}", NULL},
        {"{\"action\":\"accept\",\"response\":[]}", NULL},
        {"{\"action\":\"accept\",\"response\":{\"status\":\"550\"}}", NULL},
        {"{\"action\":\"accept\",\"response\":{\"status\":65536}}", NULL},
        {"{\"action\":\"accept\",\"response\":{\"status\":-1}}", NULL},
        {"{\"action\":\"accept\",\"response\":{\"message\":1}}", NULL},
        {"{\"action\":\"accept\",\"response\":{\"enhanced_status\":1}}", NULL},
        {"{\"action\":\"accept\",\"response\":{\"disconnect\":null}}", NULL},
        {WITH("null"), NULL},
        {WITH("{}"), NULL},
        {WITH("[1]"), NULL},
        {WITH("[{}]"), NULL},
        {WITH("[{\"type\":\"addHeader\",\"name\":\"X\",\"value\":\"y\"},{\"type\":\"x\"}]"), NULL},
        {ONE("\"addRcpt\",\"value\":\"a@b.example\""), NULL},
        {ONE("\"changeFrom\""), NULL},
        {ONE("\"changeFrom\",\"value\":null"), NULL},
        {ONE("\"changeFrom\",\"value\":\"a@b.example\",\"parameters\":[]"), NULL},
        {ONE("\"changeFrom\",\"value\":\"a@b.example\",\"parameters\":{\"SIZE\":{}}"), NULL},
        {ONE("\"changeFrom\",\"value\":\"a@b.example\",\"parameters\":{\"RET\":\"A B\"}"), NULL},
        {ONE("\"changeFrom\",\"value\":\"a@b.example\",\"parameters\":{\"RET=A\":\"B\"}"), NULL},
        {ONE("\"addHeader\",\"value\":\"y\""), NULL},
        {ONE("\"addHeader\",\"name\":\"X\""), NULL},
        {ONE("\"deleteHeader\",\"name\":\"X\""), NULL},
        {ONE("\"deleteHeader\",\"name\":\"X\",\"index\":-1"), NULL},
        {ONE("\"deleteHeader\",\"name\":\"X\",\"index\":1.5"), NULL},
        {ONE("\"deleteHeader\",\"name\":\"X\",\"index\":1.0"), NULL},
        {ONE("\"deleteHeader\",\"name\":\"X\",\"index\":\"1\""), NULL},
        {ONE("\"deleteHeader\",\"name\":\"X\",\"index\":4294967296"), NULL},
        {ONE("\"addHeader\",\"name\":\"X\",\"value\":\"x\\r\\nBcc: e@evil\""), NULL},
        {ONE("\"insertHeader\",\"index\":1,\"name\":\"X\",\"value\":\"x\\nBcc: e@evil\""), NULL},
        {ONE("\"changeHeader\",\"index\":1,\"name\":\"X\",\"value\":\"\\u0000\""), NULL},
        {ONE("\"changeHeader\",\"index\":1,\"name\":\"X Y\",\"value\":\"\""), NULL},
        {ONE("\"addHeader\",\"name\":\"From\",\"value\":\"\\u00e9\""), NULL},
        {ONE("\"addHeader\",\"name\":\"X-A\",\"value\":\"\\u00e9\\nBcc: e@evil\""), NULL},
        {ONE("\"addHeader\",\"name\":\"X:\",\"value\":\"y\""), NULL},
        {ONE("\"addHeader\",\"name\":\"\",\"value\":\"y\""), NULL},
        {ONE("\"deleteHeader\",\"name\":\"\\u00e9\",\"index\":1"), NULL},
        {ONE("\"addRecipient\",\"value\":\"<a@b>\\r\\nRCPT TO:<c@d>\""), NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0}, got BUF_LOCAL = {0};
        struct hook_view v = sample_view(HOOK_DATA, &a);
        struct hook_pending pending = {0};
        struct hook_outcome o;
        struct err e = decode(rows[i].json, &v, &pending, &a, &o, &why);

        if (e.code != OK) {
            if (rows[i].want != NULL) {
                fail_msg("%s: %.*s", rows[i].json, STR_ARG(buf_str(&why)));
            }
            assert_int_equal(e.code, ERR_PROTOCOL);
            assert_true(why.len > 0);
            assert_int_equal(pending.count, 0);
            continue;
        }
        buf_put(&got, hook_action_name(o.action));
        if (o.reply.code != 0) {
            buf_printf(&got, " %u %u.%u.%u %.*s", o.reply.code, o.reply.esc.class,
                       o.reply.esc.subject, o.reply.esc.detail, STR_ARG(o.reply.text));
        }
        if (pending.count > 0 && o.action == HOOK_ACCEPT) {
            buf_printf(&got, " %u", pending.count);
        }
        if (o.notes.count + o.asides.count > 0) {
            buf_printf(&got, " +%u", o.notes.count + o.asides.count);
        }
        buf_put(&got, o.disconnect ? STR(", disconnect") : STR(""));
        if (rows[i].want == NULL) {
            fail_msg("%s: taken", rows[i].json);
        }
        EXPECT_STR(buf_str(&got), rows[i].want);
    }
}

/* CL-41, CL-49, Q8, Q19: read all the same, so that a mistake is one everywhere. */
static void modifications_count_at_data_and_with_a_message_let_in(void **state)
{
    static const struct {
        enum hook_stage stage;
        const char *json;
        uint32_t kept, asides;
    } rows[] = {
        {HOOK_DATA, ONE("\"replaceContents\",\"value\":\"x\""), 1, 0},
        {HOOK_RCPT, ONE("\"replaceContents\",\"value\":\"x\""), 0, 1},
        {HOOK_RCPT, ONE("\"addHeader\",\"name\":\"X:\",\"value\":\"\""), 0, 1},
        {HOOK_RCPT, "{\"action\":\"quarantine\"}", 0, 0},
        {HOOK_DATA,
         "{\"action\":\"reject\",\"modifications\":[{\"type\":\"replaceContents\",\"value\":\"x\"}"
         "]}",
         0, 1},
        {HOOK_DATA,
         "{\"action\":\"quarantine\",\"modifications\":[{\"type\":\"replaceContents\","
         "\"value\":\"x\"}]}",
         2, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct hook_view v = sample_view(rows[i].stage, &a);
        struct hook_pending pending = {0};
        struct hook_outcome o;

        assert_int_equal(decode(rows[i].json, &v, &pending, &a, &o, &why).code, OK);
        assert_int_equal(pending.count, rows[i].kept);
        assert_int_equal(o.notes.count, 0); /* nothing for a usual log */
        assert_int_equal(o.asides.count, rows[i].asides);
    }
}

/* SE-20 and its like: bounded, whatever an answer brings. */
static void an_answer_is_bounded(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0}, json BUF_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a);
    struct hook_pending pending = {0};
    struct hook_outcome o;

    (void)state;
    buf_put(&json, STR("{\"action\":\"accept\",\"modifications\":["));
    for (int i = 0; i <= 1024; i++) {
        buf_printf(&json, "%s{\"type\":\"deleteHeader\",\"name\":\"X\",\"index\":1}",
                   i > 0 ? "," : "");
    }
    buf_put(&json, STR("]}"));
    buf_byte(&json, '\0');
    assert_int_equal(decode(json.ptr, &v, &pending, &a, &o, &why).code, ERR_PROTOCOL);
    EXPECT_STR(buf_str(&why), "there are more modifications than we take");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_has_what_is_known_at_its_stage),
        cmocka_unit_test(a_session_shows_its_login_and_tls_when_it_has_them),
        cmocka_unit_test(a_strict_request_has_what_stalwart_sends),
        cmocka_unit_test(what_is_no_utf8_is_shown_as_such),
        cmocka_unit_test(addresses_are_shown_as_stalwart_shows_them),
        cmocka_unit_test(an_answer_is_an_action_and_perhaps_a_reply),
        cmocka_unit_test(modifications_count_at_data_and_with_a_message_let_in),
        cmocka_unit_test(an_answer_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
