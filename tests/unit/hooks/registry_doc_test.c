#include "../unit.h"
#include "base/check.h"
#include "hooks/reference.h"
#include "hooks/registry_doc.h"

static const struct str url = STR_INIT("https://scan.example.net/v1/hooks/register");
static const struct str offered[] = {STR_INIT("/stage"), STR_INIT("/action"), STR_INIT("/envelope"),
                                     STR_INIT("/client")};
static const struct date now = {1793613600000}; /* 2026-11-02T10:00:00Z */

static struct registry_offer offer_of(void)
{
    return (struct registry_offer){.name = STR("mx1.example.net"),
                                   .version = STR("Postyard 0.1"),
                                   .timeout_ms = 15000,
                                   .needs_all_stages = true,
                                   .stages = 1u << HOOK_RCPT | 1u << HOOK_DATA,
                                   .properties = {{offered, COUNT_OF(offered)}}};
}

/* RFC 3986 section 5.4, and what registrations are given. */
static void references_become_absolute(void **state)
{
    static const struct row {
        const char *base, *reference, *want;
    } rows[] = {
        {"http://a/b/c/d;p?q", "g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "./g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "g/", "http://a/b/c/g/"},
        {"http://a/b/c/d;p?q", "/g", "http://a/g"},
        {"http://a/b/c/d;p?q", "//g", "http://g/"},
        {"http://a/b/c/d;p?q", "?y", "http://a/b/c/d;p?y"},
        {"http://a/b/c/d;p?q", "g?y", "http://a/b/c/g?y"},
        {"http://a/b/c/d;p?q", "#s", "http://a/b/c/d;p?q#s"},
        {"http://a/b/c/d;p?q", "", "http://a/b/c/d;p?q"},
        {"http://a/b/c/d;p?q", ".", "http://a/b/c/"},
        {"http://a/b/c/d;p?q", "./", "http://a/b/c/"},
        {"http://a/b/c/d;p?q", "..", "http://a/b/"},
        {"http://a/b/c/d;p?q", "../g", "http://a/b/g"},
        {"http://a/b/c/d;p?q", "../..", "http://a/"},
        {"http://a/b/c/d;p?q", "../../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "../../../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "/./g", "http://a/g"},
        {"http://a/b/c/d;p?q", "/../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "g.", "http://a/b/c/g."},
        {"http://a/b/c/d;p?q", "..g", "http://a/b/c/..g"},
        {"http://a/b/c/d;p?q", "./g/.", "http://a/b/c/g/"},
        {"http://a/b/c/d;p?q", "g/../h", "http://a/b/c/h"},
        {"http://a/b/c/d;p?q", "g?y/../x", "http://a/b/c/g?y/../x"},
        {"http://a/b/c/d;p?q", "https://x/y", "https://x/y"},
        {"http://a/b/c/d;p?q", "mailto:x", "mailto:x"},
        {"https://a", "x", "https://a/x"},
        {"https://s/v1/reg", "../invoke/x", "https://s/invoke/x"}, /* DR-06 */
        {"/no/base", "x", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct str got;
        bool is_good = reference_resolve(str_of(rows[i].base), str_of(rows[i].reference), &a, &got);

        assert_int_equal(is_good, rows[i].want != NULL);
        if (is_good) {
            EXPECT_STR(got, rows[i].want);
        }
    }
}

/* DR-03. */
static void an_offer_says_what_is_configured(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf out BUF_LOCAL = {0};
    struct registry_offer offer = offer_of();

    (void)state;
    registry_write_offer(&offer, &a, &out);
    EXPECT_STR(buf_str(&out),
               "{\"name\":\"mx1.example.net\",\"version\":\"Postyard 0.1\",\"timeoutMs\":15000,"
               "\"serialization\":\"json\",\"inbound\":{\"stages\":[\"rcpt\",\"data\"],"
               "\"properties\":[\"/stage\",\"/action\",\"/envelope\",\"/client\"]},"
               "\"outbound\":null,\"filter\":null}");
}

#define GRANT(id, status, hook, stages, properties, more)                                          \
    "{\"registrationId\":\"" id "\",\"status\":\"" status                                          \
    "\",\"createdAt\":\"2026-11-02T10:00:00Z\",\"hookEndpoint\":\"" hook                           \
    "\",\"negotiated\":{\"serialization\":\"json\",\"inbound\":{\"stages\":" stages                \
    ",\"properties\":" properties "},\"outbound\":null}" more "}"
#define BOTH "[\"rcpt\",\"data\"]"
#define LESS "[\"/stage\",\"/action\"]"
#define GOOD GRANT("r-1:x_Y", "active", "../invoke/x", BOTH, LESS, "")

static void grants_are_looked_at_carefully(void **state)
{
    static const struct row {
        const char *id;
        int status;
        const char *body;
        bool is_good;
    } rows[] = {
        {"3.6", 201, GOOD, true},
        {"DR-04", 200, GOOD, false},
        {"DR-04", 202, GOOD, false},
        {"DR-05", 201, GRANT("a/b", "active", "x", BOTH, LESS, ""), false},
        {"DR-05", 201, GRANT("", "active", "x", BOTH, LESS, ""), false},
        {"DR-07", 201, GRANT("r", "active", "https://evil.example/x", BOTH, LESS, ""), false},
        {"DR-07", 201, GRANT("r", "active", "https://scan.example.net:8443/x", BOTH, LESS, ""),
         false},
        {"DR-07", 201, GRANT("r", "active", "http://scan.example.net/x", BOTH, LESS, ""), false},
        {"DR-07", 201, GRANT("r", "active", "https://u:p@scan.example.net/x", BOTH, LESS, ""),
         false},
        {"DR-07", 201, GRANT("r", "active", "https://scan.example.net:443/x", BOTH, LESS, ""),
         true},
        {"DR-07", 201, GRANT("r", "active", "//scan.example.net/x", BOTH, LESS, ""), true},
        {"DR-07", 201, GRANT("r", "active", "", BOTH, LESS, ""), false},
        {"DR-08", 201,
         GRANT("r", "active", "x", BOTH, "[\"/stage\",\"/action\",\"/rawMessage\"]", ""), false},
        {"DR-08", 201,
         GRANT("r", "active", "x", BOTH, "[\"/stage\",\"/action\",\"/envelope/to\"]", ""), true},
        {"DR-08", 201, GRANT("r", "active", "x", BOTH, "[\"/stage\"]", ""), false},
        {"DR-08", 201, GRANT("r", "active", "x", BOTH, "null", ""), false},
        {"DR-10", 201, GRANT("r", "active", "x", "[\"data\"]", LESS, ""), false},
        {"DR-10", 201, GRANT("r", "active", "x", "[\"rcpt\",\"data\",\"mail\"]", LESS, ""), false},
        {"DR-10", 201, GRANT("r", "active", "x", "[\"rcpt\",\"data\",\"later\"]", LESS, ""), true},
        {"DR-11", 201,
         GRANT("r", "active", "x", BOTH, LESS, ",\"expiresAt\":\"2026-11-02T10:00:00Z\""), false},
        {"DR-11", 201,
         GRANT("r", "active", "x", BOTH, LESS, ",\"expiresAt\":\"2026-11-02T10:00:00.001Z\""),
         true},
        {"3.2", 201,
         GRANT("r", "active", "x", BOTH, LESS, ",\"expiresAt\":\"2026-11-02T12:00:00+01:00\""),
         false},
        {"DR-13", 201, GRANT("r", "suspended", "x", BOTH, LESS, ""), true},
        {"3.6", 201, GRANT("r", "deregistered", "x", BOTH, LESS, ""), false},
        {"3.6", 201,
         GRANT("r", "active", "x", BOTH, LESS,
               ",\"endpoints\":{\"status\":\"https://evil.example/s\"}"),
         false},
        {"3.6", 201,
         GRANT("r", "active", "x", BOTH, LESS,
               ",\"endpoints\":{\"deregistration\":\"r/x\",\"status\":\"/s\"}"),
         true},
        {"3.6", 201, "{}", false},
        {"3.6", 201, "[]", false},
        {"3.6", 201, "", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct registry_offer offer = offer_of();
        struct registry_grant grant;
        struct err e = registry_read_grant(rows[i].status, STR("application/json"),
                                           str_of(rows[i].body), &offer, url, now, &a, &grant,
                                           &why);

        if ((e.code == OK) != rows[i].is_good) {
            fail_msg("%s row %zu: %.*s", rows[i].id, i, STR_ARG(buf_str(&why)));
        }
        assert_int_equal(why.len > 0, !rows[i].is_good);
    }
}

static void what_was_granted_is_what_is_used(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct registry_offer offer = offer_of();
    struct registry_grant grant;

    (void)state;
    assert_int_equal(registry_read_grant(201, STR("application/json; charset=utf-8"), str_of(GOOD),
                                         &offer, url, now, &a, &grant, &why)
                         .code,
                     OK);
    EXPECT_STR(grant.id, "r-1:x_Y");
    EXPECT_STR(grant.hook, "https://scan.example.net/v1/invoke/x");
    assert_int_equal(grant.stages, 1u << HOOK_RCPT | 1u << HOOK_DATA);
    assert_int_equal(grant.properties[REGISTRY_INBOUND].count, 2);
    assert_int_equal(grant.expires.ms, 0);
    assert_int_equal(grant.deregistration.len, 0);
    offer.needs_all_stages = false; /* DR-10 */
    assert_int_equal(registry_read_grant(201, STR("application/json"),
                                         str_of(GRANT("r", "active", "x", "[\"data\"]", LESS, "")),
                                         &offer, url, now, &a, &grant, &why)
                         .code,
                     OK);
    assert_int_equal(grant.stages, 1u << HOOK_DATA);
    assert_int_equal(
        registry_read_grant(201, STR("text/html"), str_of(GOOD), &offer, url, now, &a, &grant, &why)
            .code,
        ERR_PROTOCOL);
}

/* DR-05. */
static void ids_have_255_characters_at_most(void **state)
{
    char text[256];

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_true(registry_id_is_good(str_make(text, 255)));
    assert_false(registry_id_is_good(str_make(text, 256)));
    assert_true(registry_id_is_good(STR("A-z_0:9")));
    assert_false(registry_id_is_good(STR("a b")));
    assert_false(registry_id_is_good(STR("a\0b")));
    assert_false(registry_id_is_good(STR("")));
}

static const char *const example =
    "{\"version\":\"1.0\","
    "\"endpoints\":{\"registration\":\"/mh/reg\",\"deregistration\":\"/mh/reg/{registration_id}\"},"
    "\"serialization\":[\"json\"],"
    "\"capabilities\":{\"inbound\":{\"stages\":[\"rcpt\",\"data\"],\"actions\":[\"accept\"],"
    "\"fetchProperties\":[\"/stage\",\"/action\",\"/envelope/to\"],"
    "\"updateProperties\":[\"/action\",\"/response\",\"/message/headers\"]},\"outbound\":null},"
    "\"limits\":{\"maxMessageSize\":20971520,\"timeoutMs\":15000}}";

static void discovery_narrows_the_offer(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct registry_offer offer = offer_of();
    struct registry_discovery d;

    (void)state;
    assert_int_equal(
        registry_read_discovery(STR("application/json"), str_of(example), url, &a, &d, &why).code,
        OK);
    EXPECT_STR(d.registration, "https://scan.example.net/mh/reg");
    EXPECT_STR(d.deregistration, "/mh/reg/{registration_id}");
    assert_int_equal(d.message_bytes_max, 20971520);
    assert_int_equal(registry_narrow(&d, &offer, &a, &why).code, OK);
    assert_int_equal(offer.properties[REGISTRY_INBOUND].count, 3);
    EXPECT_STR(offer.properties[REGISTRY_INBOUND].items[2], "/envelope/to");
    offer.stages |= 1u << HOOK_MAIL;
    assert_int_equal(registry_narrow(&d, &offer, &a, &why).code, ERR_PROTOCOL);
    offer.needs_all_stages = false;
    assert_int_equal(registry_narrow(&d, &offer, &a, &why).code, OK);
    assert_int_equal(offer.stages, 1u << HOOK_RCPT | 1u << HOOK_DATA);
    offer.is_cbor = true; /* DR-02, the other way round */
    assert_int_equal(registry_narrow(&d, &offer, &a, &why).code, ERR_PROTOCOL);
}

static void discoveries_that_are_none(void **state)
{
    static const char *const rows[] = {
        "{}",
        "{\"version\":\"2.0\",\"endpoints\":{\"registration\":\"/r\"},\"capabilities\":{}}",
        "{\"version\":\"1.0\",\"capabilities\":{}}",
        "{\"version\":\"1.0\",\"endpoints\":{\"registration\":\"https://evil.example/r\"},"
        "\"capabilities\":{}}",
        "{\"version\":\"1.0\",\"endpoints\":{\"registration\":\"/r\"}}",
        "{\"version\":\"1.0\",\"endpoints\":{\"registration\":\"/r\"},\"capabilities\":{},"
        "\"serialization\":\"json\"}",
        "{\"version\":\"1.0\",\"endpoints\":{\"registration\":\"/r\"},\"capabilities\":{},"
        "\"limits\":{\"maxMessageSize\":\"1\"}}",
        "{\"version\":\"1.0\",\"endpoints\":{\"registration\":\"/r\"},\"capabilities\":"
        "{\"inbound\":{\"stages\":[1]}}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct registry_discovery d;

        if (registry_read_discovery(STR("application/json"), str_of(rows[i]), url, &a, &d, &why)
                .code == OK) {
            fail_msg("%s", rows[i]);
        }
    }
}

/* K2. */
static void authority_is_what_both_sides_say(void **state)
{
    static const struct str ours[] = {STR_INIT("/action"), STR_INIT("/message"),
                                      STR_INIT("/envelope/to")};
    static const struct str theirs[] = {STR_INIT("/action"), STR_INIT("/message/headers"),
                                        STR_INIT("/envelope"), STR_INIT("/response")};
    struct str_set a = {ours, COUNT_OF(ours)}, b = {theirs, COUNT_OF(theirs)}, both;
    struct arena arena ARENA_LOCAL = {0};

    (void)state;
    both = registry_common(&a, &b, &arena);
    assert_int_equal(both.count, 3);
    EXPECT_STR(both.items[0], "/action");
    EXPECT_STR(both.items[1], "/envelope/to");
    EXPECT_STR(both.items[2], "/message/headers");
}

static void states_and_errors(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    enum registry_status status;
    struct date expires;

    (void)state;
    assert_int_equal(registry_read_status(STR("application/json"),
                                          STR("{\"registrationId\":\"r\",\"status\":\"suspended\","
                                              "\"expiresAt\":null}"),
                                          STR("r"), &a, &status, &expires, &why)
                         .code,
                     OK);
    assert_int_equal(status, REGISTRY_SUSPENDED);
    assert_int_equal(registry_read_status(STR("application/json"),
                                          STR("{\"registrationId\":\"q\",\"status\":\"active\"}"),
                                          STR("r"), &a, &status, &expires, &why)
                         .code,
                     ERR_PROTOCOL);
    EXPECT_STR(registry_error_code(STR("application/json"),
                                   STR("{\"error\":{\"code\":\"INVALID_STAGE\"}}"), &a),
               "INVALID_STAGE");
    EXPECT_STR(
        registry_error_code(STR("application/json"), STR("{\"error\":{\"code\":\"a\\nb\"}}"), &a),
        "");
    EXPECT_STR(registry_error_code(STR("text/html"), STR("<html>"), &a), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_become_absolute),
        cmocka_unit_test(an_offer_says_what_is_configured),
        cmocka_unit_test(grants_are_looked_at_carefully),
        cmocka_unit_test(what_was_granted_is_what_is_used),
        cmocka_unit_test(ids_have_255_characters_at_most),
        cmocka_unit_test(discovery_narrows_the_offer),
        cmocka_unit_test(discoveries_that_are_none),
        cmocka_unit_test(authority_is_what_both_sides_say),
        cmocka_unit_test(states_and_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
