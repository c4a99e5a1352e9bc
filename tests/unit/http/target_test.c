#include "../unit.h"
#include "base/check.h"
#include "http/target.h"

static const struct {
    const char *url, *origin, *path, *host;
    unsigned family;
} good[] = {
    {"http://example.org", "http://example.org:80", "/", "example.org", 0},
    {"https://Hooks.Example.org/mail?x=1", "https://hooks.example.org:443", "/mail?x=1",
     "hooks.example.org", 0},
    {"HTTP://localhost:8080/a/../b", "http://localhost:8080", "/a/../b", "localhost", 0},
    {"http://127.0.0.1:11332/checkv2", "http://127.0.0.1:11332", "/checkv2", "127.0.0.1", 4},
    {"https://[2001:db8::1]/", "https://[2001:db8::1]:443", "/", "2001:db8::1", 6},
    {"https://[::1]:444?q", "https://[::1]:444", "/?q", "::1", 6},
    {"http://my_filter:1", "http://my_filter:1", "/", "my_filter", 0},
    {"http://a/%41%2f", "http://a:80", "/%41%2f", "a", 0},
    {"http://3com.example", "http://3com.example:80", "/", "3com.example", 0},
};

static void addresses_are_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct fetch_target t;

        if (fetch_target_parse(str_of(good[i].url), &a, &t, &why).code != OK) {
            print_error("%s: %.*s\n", good[i].url, STR_ARG(buf_str(&why)));
            fail();
        }
        EXPECT_STR(t.origin, good[i].origin);
        EXPECT_STR(t.path, good[i].path);
        EXPECT_STR(t.host, good[i].host);
        assert_int_equal(t.addr.family, good[i].family);
        EXPECT_STR(arena_printf(&a, "%.*s%.*s", STR_ARG(t.origin), STR_ARG(t.path)), t.url);
    }
}

static const struct {
    const char *url, *why;
} bad[] = {
    {"", "begin with"},
    {"example.org", "begin with"},
    {"//example.org", "begin with"},
    {"ftp://example.org", "begin with"},
    {"file:///etc/passwd", "begin with"},
    {"http:/example.org", "begin with"},
    {"http://", "host is missing"},
    {"http:///path", "host is missing"},
    {"http://:80/", "host is missing"},
    {"http://user:secret@example.org/", "authentication"},
    {"http://example.org@evil.test/", "authentication"},
    {"http://example.org./", "end in a dot"},
    {"http://b\303\274cher.example/", "xn--"},
    {"http://a b/", "neither a name"},
    {"http://a..b/", "neither a name"},
    {"http://a\\b/", "neither a name"},
    {"http://127.1/", "four decimal parts"},
    {"http://0x7f.1/", "four decimal parts"},
    {"http://2130706433/", "four decimal parts"},
    {"http://1.2.3.4.5/", "four decimal parts"},
    {"http://0177.0.0.1/", "four decimal parts"},
    {"http://[127.0.0.1]/", "IPv6"},
    {"http://[::1/", "IPv6"},
    {"http://[fe80::1%25eth0]/", "IPv6"},
    {"http://[::1]x/", "after the bracket"},
    {"http://::1/", "port"},
    {"http://a:/", "port"},
    {"http://a:0/", "port"},
    {"http://a:65536/", "port"},
    {"http://a:+1/", "port"},
    {"http://a:80:90/", "port"},
    {"http://a/#top", "fragment"},
    {"http://a#top", "fragment"},
    {"http://a/ b", "%XX"},
    {"http://a/\r\nHost: b", "%XX"},
    {"http://a/\"", "%XX"},
    {"http://a/%4", "hexadecimal"},
    {"http://a/%zz", "hexadecimal"},
};

static void what_is_wrong_with_an_address_is_said(void **state)
{
    char lengthy[FETCH_URL_MAX + 2] = "http://a/";
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_target t;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        buf_clear(&why);
        assert_int_equal(fetch_target_parse(str_of(bad[i].url), &a, &t, &why).code, ERR_CONFIG);
        if (str_find_str(buf_str(&why), str_of(bad[i].why)) == STR_NONE) {
            print_error("%s: %.*s\n", bad[i].url, STR_ARG(buf_str(&why)));
            fail();
        }
        assert_int_equal(str_find_str(buf_str(&why), STR("secret")), STR_NONE);
    }
    memset(lengthy + 9, 'x', sizeof lengthy - 10);
    assert_int_equal(fetch_target_parse(str_of(lengthy), &a, &t, &why).code, ERR_CONFIG);
    lengthy[FETCH_URL_MAX] = 0;
    assert_int_equal(fetch_target_parse(str_of(lengthy), &a, &t, &why).code, OK);
}

static const struct {
    const char *one, *other;
    bool near;
} pairs[] = {
    {"https://a.test/x", "https://A.test:443/y?z", true},
    {"https://a.test/", "http://a.test/", false},
    {"https://a.test/", "https://a.test:444/", false},
    {"https://a.test/", "https://b.test/", false},
    {"http://a.test:443/", "https://a.test/", false},
};

static void an_origin_is_scheme_host_and_port(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_target one, other;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        assert_int_equal(fetch_target_parse(str_of(pairs[i].one), &a, &one, &why).code, OK);
        assert_int_equal(fetch_target_parse(str_of(pairs[i].other), &a, &other, &why).code, OK);
        assert_int_equal(fetch_target_is_near(&one, &other), pairs[i].near);
    }
}

static void only_an_address_is_known_to_be_this_machine(void **state)
{
    static const struct {
        const char *url;
        bool is;
    } rows[] = {{"http://127.0.0.1/", true},    {"http://127.9.9.9:1/", true},
                {"http://[::1]/", true},        {"http://[::ffff:127.0.0.1]/", true},
                {"http://localhost/", false},   {"http://10.0.0.1/", false},
                {"http://[2001:db8::1]", false}};
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_target t;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(fetch_target_parse(str_of(rows[i].url), &a, &t, &why).code, OK);
        assert_int_equal(fetch_target_is_loopback(&t), rows[i].is);
    }
}

static const struct {
    struct str name, value;
    const char *why; /* NULL: may be sent */
} fields[] = {
    {STR_INIT("Authorization"), STR_INIT("Bearer abc"), NULL},
    {STR_INIT("X-Empty"), STR_INIT(""), NULL},
    {STR_INIT("X-Tab"), STR_INIT("a\tb"), NULL},
    {STR_INIT("X-Latin"), STR_INIT("caf\303\251"), NULL},
    {STR_INIT(""), STR_INIT("a"), "is not one"},
    {STR_INIT("X Y"), STR_INIT("a"), "is not one"},
    {STR_INIT("X:"), STR_INIT("a"), "is not one"},
    {STR_INIT("X\r\nY"), STR_INIT("a"), "is not one"},
    {STR_INIT("X\303\251"), STR_INIT("a"), "is not one"},
    {STR_INIT("X-A"), STR_INIT("hush\r\nX-B: 1"), "control character"},
    {STR_INIT("X-A"), STR_INIT("hush\n"), "control character"},
    {STR_INIT("X-A"), STR_INIT("hush\0"), "control character"},
    {STR_INIT("X-A"), STR_INIT("hush\177"), "control character"},
    {STR_INIT("content-length"), STR_INIT("5"), "Postyard itself"},
    {STR_INIT("Transfer-Encoding"), STR_INIT("chunked"), "Postyard itself"},
    {STR_INIT("HOST"), STR_INIT("other.test"), "Postyard itself"},
    {STR_INIT("Connection"), STR_INIT("close"), "Postyard itself"},
    {STR_INIT("Accept-Encoding"), STR_INIT("gzip"), "Postyard itself"},
};

/* SE-01, SE-02 for requests; SE-18: a value never stands in what is said. */
static void fields_that_would_break_a_request_are_refused(void **state)
{
    struct buf why BUF_LOCAL = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        struct fetch_field f = {fields[i].name, fields[i].value};
        struct err e;

        buf_clear(&why);
        e = fetch_field_check(&f, &why);
        assert_int_equal(e.code, fields[i].why == NULL ? OK : ERR_CONFIG);
        if (fields[i].why != NULL &&
            str_find_str(buf_str(&why), str_of(fields[i].why)) == STR_NONE) {
            print_error("%zu: %.*s\n", i, STR_ARG(buf_str(&why)));
            fail();
        }
        assert_int_equal(str_find_str(buf_str(&why), STR("hush")), STR_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(what_is_wrong_with_an_address_is_said),
        cmocka_unit_test(an_origin_is_scheme_host_and_port),
        cmocka_unit_test(only_an_address_is_known_to_be_this_machine),
        cmocka_unit_test(fields_that_would_break_a_request_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
