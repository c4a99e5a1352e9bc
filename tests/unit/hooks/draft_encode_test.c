#include "base/mem.h"
#include "draft_view.h"

#define FIELDS                                                                                     \
    "[{\"name\":\"From\",\"value\":\" a\"},{\"name\":\"X-Tag\",\"value\":\"one\"},"                \
    "{\"name\":\"Subject\",\"value\":\" invoice\\u000d\\n\\u0009for October\"},"                   \
    "{\"name\":\"X-Tag\",\"value\":\" two\"}]"

/* Pointers, a blank between them. */
static struct hook_terms sent(struct arena *a, const char *pointers)
{
    struct str *items = arena_array(a, 16, sizeof(*items));
    struct str rest = str_of(pointers);
    struct hook_terms terms = {0};

    while (rest.len > 0) {
        str_cut(&rest, ' ', &items[terms.properties.count++]);
    }
    terms.properties.items = items;
    return terms;
}

static void only_what_was_agreed_on_is_sent(void **state)
{
    static const struct row {
        const char *id;
        enum hook_stage stage;
        const char *pointers, *want;
    } rows[] = {
        {"DR-09", HOOK_DATA, "/stage /action", "{\"stage\":\"data\",\"action\":\"accept\"}"},
        {"DR-09", HOOK_DATA, "", "{}"},
        {"DR-27", HOOK_MAIL, "/envelope/from",
         "{\"envelope\":{\"from\":{\"address\":\"ann@a.example\","
         "\"parameters\":{\"SIZE\":\"10\",\"SMTPUTF8\":\"\"}}}}"},
        {"DR-29", HOOK_CONNECT,
         "/stage /envelope /message /rawMessage /tls /auth /response /senderAuth /queue",
         "{\"stage\":\"connect\",\"queue\":null,\"envelope\":null,\"message\":null,"
         "\"response\":null,\"tls\":null,\"auth\":null,\"senderAuth\":null,\"rawMessage\":null}"},
        {"3.10", HOOK_CONNECT, "/client /server /protocol /timestamp",
         "{\"timestamp\":\"2026-11-02T10:00:00.000Z\",\"protocol\":{\"version\":\"1.0\"},"
         "\"server\":{\"name\":\"mx1.example.net\",\"ip\":\"203.0.113.5\",\"port\":25},"
         "\"client\":{\"ip\":\"198.51.100.23\",\"port\":40112,\"ptr\":\"a.example\","
         "\"ehlo\":null}}"},
        {"3.10", HOOK_CONNECT, "/client/ip", "{\"client\":{\"ip\":\"198.51.100.23\"}}"},
        {"3.10", HOOK_CONNECT, "/envelope/to /tls/version", "{\"envelope\":null,\"tls\":null}"},
        {"DR-30", HOOK_RCPT, "/envelope/to",
         "{\"envelope\":{\"to\":[{\"address\":\"bo@example.net\",\"parameters\":{}},"
         "{\"address\":\"cy@example.org\",\"parameters\":{}}]}}"},
        {"3.10", HOOK_RCPT, "/envelope/to/0 /envelope/tox /none", "{}"},
        {"3.11", HOOK_DATA, "/message/headers", "{\"message\":{\"headers\":" FIELDS "}}"},
        {"3.11", HOOK_DATA, "/message/subject /message/size /message/from",
         "{\"message\":{\"size\":80,\"subject\":\"invoice\\u0009for October\","
         "\"from\":[{\"name\":null,\"email\":\"a\"}]}}"},
        {"3.10", HOOK_DELIVERY, "/client /response /tls /auth /senderAuth /stage",
         "{\"stage\":\"delivery\"}"},
        {"DR-56", HOOK_DELIVERY, "/envelope/to /queue /server /action",
         "{\"action\":\"continue\",\"queue\":{\"id\":\"0000005f0c2a9e41\","
         "\"expiresAt\":\"2026-11-03T10:00:00.000Z\",\"attempts\":2},"
         "\"server\":{\"name\":\"mx1.example.net\"},\"envelope\":{\"to\":["
         "{\"address\":\"bo@example.net\",\"parameters\":{},\"status\":\"delivered\","
         "\"attempt\":1,\"lastResponse\":{\"code\":250,\"enhancedCode\":\"2.1.5\","
         "\"message\":\"ok\"},\"nextAttemptAt\":null,\"nextDsnAt\":null,\"queueName\":null},"
         "{\"address\":\"cy@example.org\",\"parameters\":{},\"status\":\"deferred\","
         "\"attempt\":2,\"lastResponse\":{\"code\":450,\"enhancedCode\":\"4.2.1\","
         "\"message\":\"mailbox busy\"},\"nextAttemptAt\":\"2026-11-02T10:15:00.000Z\","
         "\"nextDsnAt\":\"2026-11-02T14:00:00.000Z\",\"queueName\":null},"
         "{\"address\":\"di@example.org\",\"parameters\":{},\"status\":\"failed\",\"attempt\":2,"
         "\"lastResponse\":{\"code\":550,\"enhancedCode\":\"5.1.1\","
         "\"message\":\"no such user\"},\"nextAttemptAt\":null,\"nextDsnAt\":null,"
         "\"queueName\":null}]}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct hook_view view = example_view(rows[i].stage);
        struct hook_terms terms = sent(&a, rows[i].pointers);
        struct hook_request r;

        hook_draft_01.encode(&view, &terms, &a, &r);
        EXPECT_STR(buf_str(&r.before), rows[i].want);
        assert_int_equal(r.insert, HOOK_INSERT_NONE);
        assert_int_equal(r.after.len, 0);
        EXPECT_STR(str_of(r.content_type), "application/json");
        buf_done(&r.before);
    }
}

static void null_senders_and_replies(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct hook_view view = example_view(HOOK_MAIL);
    struct hook_terms terms = sent(&a, "/envelope /response");
    struct hook_request r;

    (void)state;
    view.sender = STR_EMPTY;
    view.sender_params = (struct hook_params){0};
    view.reply = (struct hook_reply){250, {2, 1, 0}, STR("ok")};
    hook_draft_01.encode(&view, &terms, &a, &r);
    EXPECT_STR(buf_str(&r.before),
               "{\"envelope\":{\"from\":{\"address\":null,\"parameters\":{}},\"to\":[]},"
               "\"response\":{\"code\":250,\"enhancedCode\":\"2.1.0\",\"message\":\"ok\"}}");
    buf_done(&r.before);
}

/* DR-31: the bytes themselves are put in by who sends it; here is where. */
static void the_message_goes_in_last(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct hook_view view = example_view(HOOK_DATA);
    struct hook_terms terms = sent(&a, "/rawMessage /stage");
    struct hook_request r;

    (void)state;
    hook_draft_01.encode(&view, &terms, &a, &r);
    assert_int_equal(r.insert, HOOK_INSERT_BASE64_MESSAGE);
    EXPECT_STR(buf_str(&r.before), "{\"stage\":\"data\",\"rawMessage\":\"");
    EXPECT_STR(buf_str(&r.after), "\"}");
    buf_done(&r.before);
    buf_done(&r.after);
}

/* DR-65, the vector of the reference's section 3.19 with another length. */
static void the_message_in_cbor_is_a_byte_string(void **state)
{
    static const struct row {
        uint64_t bytes;
        struct str head;
    } rows[] = {
        {12, STR_INIT("\x4c")},
        {23, STR_INIT("\x57")},
        {24, STR_INIT("\x58\x18")},
        {255, STR_INIT("\x58\xff")},
        {256, STR_INIT("\x59\x01\x00")},
        {65536, STR_INIT("\x5a\x00\x01\x00\x00")},
        {1ull << 32, STR_INIT("\x5b\x00\x00\x00\x01\x00\x00\x00\x00")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct hook_view view = example_view(HOOK_DATA);
        struct hook_terms terms = sent(&a, "/rawMessage /stage /action");
        struct str start = STR("\xa3\x65stage\x64"
                               "data\x66"
                               "action\x66"
                               "accept\x6arawMessage");
        struct hook_request r;

        terms.is_cbor = true;
        view.message_bytes = rows[i].bytes;
        hook_draft_01.encode(&view, &terms, &a, &r);
        assert_int_equal(r.insert, HOOK_INSERT_CBOR_MESSAGE);
        EXPECT_STR(str_of(r.content_type), "application/cbor");
        assert_true(str_starts(buf_str(&r.before), start));
        assert_true(str_eq(str_skip(buf_str(&r.before), start.len), rows[i].head));
        assert_int_equal(r.after.len, 0);
        buf_done(&r.before);
    }
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
    static const struct hook_field bad[] = {
        {STR_INIT("Subject"), STR_INIT(" \xff\0x"), STR_INIT("Subject: \xff\0x\r\n")}};
    struct arena a ARENA_LOCAL = {0};
    struct hook_view view = example_view(HOOK_DATA);
    struct hook_terms terms = sent(&a, "/message/headers");
    struct hook_request r;

    (void)state;
    view.fields = bad;
    view.field_count = 1;
    hook_draft_01.encode(&view, &terms, &a, &r);
    EXPECT_STR(buf_str(&r.before), "{\"message\":{\"headers\":[{\"name\":\"Subject\","
                                   "\"value\":\" \xef\xbf\xbd\xef\xbf\xbdx\"}]}}");
    buf_done(&r.before);
}

static void bodies_are_asked_for_where_they_are_shown(void **state)
{
    static const struct row {
        const char *pointers;
        bool wants;
    } rows[] = {
        {"/stage /rawMessage", false},
        {"/message/headers /message/subject", false},
        {"/message", true},
        {"/message/bodyValues", true},
        {"/message/textBody", true},
        {"", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct hook_terms terms = sent(&a, rows[i].pointers);

        assert_int_equal(draft_wants_body(&terms), rows[i].wants);
    }
}

/* How many fields a message has is its sender's doing. */
static void fields_take_memory_where_they_are_shown(void **state)
{
    enum { MANY = 20000 };
    static const struct row {
        const char *pointers;
        size_t most;
    } rows[] = {
        {"/stage /envelope/from /client", 8 * 1024},
        {"/stage /message/size", 8 * 1024},
        {"/stage /message/headers", MANY * 3 * sizeof(struct doc_member) + 8 * 1024},
    };
    struct hook_field *fields = mem_array(MANY, sizeof(*fields));

    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        fields[i] = example_fields[0];
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct hook_view view = example_view(HOOK_DATA);
        struct hook_terms terms = sent(&a, rows[i].pointers);
        struct hook_request r;

        view.fields = fields;
        view.field_count = MANY;
        hook_draft_01.encode(&view, &terms, &a, &r);
        if (a.held > rows[i].most) {
            fail_msg("%s: %zu bytes", rows[i].pointers, a.held);
        }
        buf_done(&r.before);
    }
    mem_free(fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_agreed_on_is_sent),
        cmocka_unit_test(fields_take_memory_where_they_are_shown),
        cmocka_unit_test(null_senders_and_replies),
        cmocka_unit_test(the_message_goes_in_last),
        cmocka_unit_test(the_message_in_cbor_is_a_byte_string),
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        cmocka_unit_test(bodies_are_asked_for_where_they_are_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
