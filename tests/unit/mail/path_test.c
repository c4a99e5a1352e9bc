#include "../unit.h"
#include "mail/address.h"
#include "mail/path.h"

#define L16 "0123456789abcdef"
#define L63 L16 L16 L16 "0123456789abcde"
#define L64 L16 L16 L16 L16

static const struct row {
    const char *in;
    enum path_kind kind;
    bool utf8;
    enum refusal why;
    const char *address, *rest;
} rows[] = {
    {"<>", PATH_REVERSE, false, REFUSAL_NONE, "", ""},
    {"<> SIZE=1", PATH_REVERSE, false, REFUSAL_NONE, "", " SIZE=1"},
    {"<>", PATH_FORWARD, false, REFUSAL_PATH_NULL, NULL, NULL},
    {"<A.b@Example.ORG>", PATH_REVERSE, false, REFUSAL_NONE, "A.b@example.org", ""},
    {"<a+b=c/d{e}@x>x", PATH_REVERSE, false, REFUSAL_NONE, "a+b=c/d{e}@x", "x"},
    {"<\"a b@c>\\\"d\"@x.y> z", PATH_FORWARD, false, REFUSAL_NONE, "\"a b@c>\\\"d\"@x.y", " z"},
    {"<\"\"@x>", PATH_FORWARD, false, REFUSAL_NONE, "\"\"@x", ""},
    {"<a@[192.0.2.1]>", PATH_FORWARD, false, REFUSAL_NONE, "a@[192.0.2.1]", ""},
    {"<a@[IPv6:2001:DB8::1]>", PATH_FORWARD, false, REFUSAL_NONE, "a@[ipv6:2001:db8::1]", ""},
    {"<a@[2001:db8::1]>", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    {"<a@[IPv6:192.0.2.1]>", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    {"<a@[192.0.2.256]>", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    {"<a@[x-tag:y]>", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    {"<@one.example,@two.example:a@b>", PATH_FORWARD, false, REFUSAL_NONE, "a@b", ""},
    {"<@one.example:>", PATH_REVERSE, false, REFUSAL_PATH_SYNTAX, NULL, NULL},
    {"<@one.example>", PATH_REVERSE, false, REFUSAL_PATH_SYNTAX, NULL, NULL},
    {"<@one.example,two:a@b>", PATH_REVERSE, false, REFUSAL_PATH_SYNTAX, NULL, NULL},
    {"<@:a@b>", PATH_REVERSE, false, REFUSAL_PATH_SYNTAX, NULL, NULL},
    {"<PostMaster>", PATH_FORWARD, false, REFUSAL_NONE, "PostMaster", ""},
    {"<postmaster>", PATH_REVERSE, false, REFUSAL_DOMAIN_NONE, NULL, NULL},
    {"<someone>", PATH_FORWARD, false, REFUSAL_DOMAIN_NONE, NULL, NULL},
    {" <a@b>", PATH_FORWARD, false, REFUSAL_SPACE, NULL, NULL},
    {"\t<a@b>", PATH_FORWARD, false, REFUSAL_SPACE, NULL, NULL},
    {"", PATH_FORWARD, false, REFUSAL_PATH_SYNTAX, NULL, NULL},
    {"a@b", PATH_FORWARD, false, REFUSAL_PATH_SYNTAX, NULL, NULL},
    {"<a@b", PATH_FORWARD, false, REFUSAL_PATH_SYNTAX, NULL, NULL},
    {"a@b>", PATH_FORWARD, false, REFUSAL_PATH_SYNTAX, NULL, NULL},
    {"<<a@b>>", PATH_FORWARD, false, REFUSAL_LOCAL_SYNTAX, NULL, NULL},
    {"<a b@c>", PATH_FORWARD, false, REFUSAL_LOCAL_SYNTAX, NULL, NULL},
    {"<a..b@c>", PATH_FORWARD, false, REFUSAL_LOCAL_SYNTAX, NULL, NULL},
    {"<.a@c>", PATH_FORWARD, false, REFUSAL_LOCAL_SYNTAX, NULL, NULL},
    {"<a.@c>", PATH_FORWARD, false, REFUSAL_LOCAL_SYNTAX, NULL, NULL},
    {"<\"a\"b@c>", PATH_FORWARD, false, REFUSAL_LOCAL_SYNTAX, NULL, NULL},
    {"<\"a\\\"@c>", PATH_FORWARD, false, REFUSAL_PATH_SYNTAX, NULL, NULL},
    {"<a@>", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    {"<a@b@c>", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    {"<a@b.>", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    {"<a@.b>", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    {"<a@b_c>", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    {"<a@-b>", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    {"<a@b c>", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    {"<a\n@b>", PATH_FORWARD, false, REFUSAL_CONTROL, NULL, NULL},
    {"<a@b\r>", PATH_FORWARD, false, REFUSAL_CONTROL, NULL, NULL},
    {"<\"a\tb\"@b>", PATH_FORWARD, false, REFUSAL_CONTROL, NULL, NULL},
    {"<a@b\x7f>", PATH_FORWARD, false, REFUSAL_CONTROL, NULL, NULL},
    {"<j\xc3\xb6rg@b\xc3\xbc.example>", PATH_FORWARD, true, REFUSAL_NONE,
     "j\xc3\xb6rg@b\xc3\xbc.example", ""},
    {"<j\xc3\xb6rg@b>", PATH_FORWARD, false, REFUSAL_UTF8_NOT_ASKED, NULL, NULL},
    {"<j\xc3@b>", PATH_FORWARD, true, REFUSAL_UTF8_MALFORMED, NULL, NULL},
    {"<" L64 "@b>", PATH_FORWARD, false, REFUSAL_NONE, L64 "@b", ""},
    {"<" L64 "x@b>", PATH_FORWARD, false, REFUSAL_LOCAL_LONG, NULL, NULL},
    {"<a@" L63 ">", PATH_FORWARD, false, REFUSAL_NONE, "a@" L63, ""},
    {"<a@" L64 ">", PATH_FORWARD, false, REFUSAL_DOMAIN_SYNTAX, NULL, NULL},
    /* 1 + 64 + 1 + 189 + 1 octets, and one more */
    {"<" L64 "@" L63 "." L63 "." L16 L16 L16 "0123456789abc>", PATH_FORWARD, false, REFUSAL_NONE,
     L64 "@" L63 "." L63 "." L16 L16 L16 "0123456789abc", ""},
    {"<" L64 "@" L63 "." L63 "." L16 L16 L16 "0123456789abcd>", PATH_FORWARD, false,
     REFUSAL_PATH_LONG, NULL, NULL},
};

static void paths_are_taken_or_refused_with_the_reason(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct arena arena ARENA_LOCAL = {0};
        struct path path;
        struct str rest;
        enum refusal why = path_parse(str_of(r->in), r->kind, r->utf8, &arena, &path, &rest);

        if (why != r->why) {
            print_error("row %zu: %s: got %d, want %d\n", i, r->in, (int)why, (int)r->why);
        }
        assert_int_equal(why, r->why);
        if (why == REFUSAL_NONE) {
            EXPECT_STR(path.address, r->address);
            EXPECT_STR(rest, r->rest);
            assert_int_equal(path.is_utf8, r->utf8);
        } else {
            assert_true(refusal_reply(why, true).code >= 500);
        }
    }
    (void)state;
}

static void nul_is_refused(void **state)
{
    struct arena arena ARENA_LOCAL = {0};
    struct path path;
    struct str rest;

    assert_int_equal(path_parse(STR("<a\0@b>"), PATH_REVERSE, true, &arena, &path, &rest),
                     REFUSAL_CONTROL);
    assert_int_equal(path_parse_address(STR("a@b\0"), true, &arena, &path), REFUSAL_CONTROL);
    (void)state;
}

static void parts_of_a_path_are_told(void **state)
{
    struct arena arena ARENA_LOCAL = {0};
    struct path path;
    struct str rest;

    assert_int_equal(
        path_parse(STR("<@r.example:A@[192.0.2.1]>"), PATH_FORWARD, false, &arena, &path, &rest),
        REFUSAL_NONE);
    EXPECT_STR(path.local, "A");
    EXPECT_STR(path.domain, "[192.0.2.1]");
    assert_true(path.is_literal);
    assert_true(path.had_route);
    assert_int_equal(path_parse_address(STR("B@C"), false, &arena, &path), REFUSAL_NONE);
    EXPECT_STR(path.address, "B@c");
    assert_false(path.is_literal);
    assert_int_equal(path_parse_address(STR("a"), false, &arena, &path), REFUSAL_DOMAIN_NONE);
    assert_int_equal(path_parse_address(STR(""), false, &arena, &path), REFUSAL_LOCAL_SYNTAX);
    assert_int_equal(path_parse_address(STR("a@b>"), false, &arena, &path), REFUSAL_DOMAIN_SYNTAX);
    (void)state;
}

static void ehlo_takes_domains_and_literals(void **state)
{
    static const struct {
        const char *helo;
        bool ok;
    } helos[] = {
        {"mx.example.org", true},
        {"localhost", true},
        {"WIN_PC-1", true},
        {"[192.0.2.1]", true},
        {"[IPv6:::1]", true},
        {"192.0.2.1", true},
        {"", false},
        {"a b", false},
        {"-a", false},
        {"[192.0.2.1", false},
        {"[]", false},
        {"a..b", false},
        {"b\xc3\xbc.example", false},
        {"a\r\nX: y", false},
        {"[IPv6:::1%eth0]", false},
    };

    for (size_t i = 0; i < sizeof helos / sizeof helos[0]; i++) {
        if (helo_is_valid(str_of(helos[i].helo)) != helos[i].ok) {
            print_error("%s\n", helos[i].helo);
            fail();
        }
    }
    (void)state;
}

static void addresses_are_equal_but_for_the_case_of_domains(void **state)
{
    assert_true(address_eq(STR("a@B.c"), STR("a@b.C")));
    assert_false(address_eq(STR("A@b"), STR("a@b")));
    assert_false(address_eq(STR("a"), STR("a@")));
    (void)state;
}

static void refusals_speak_of_the_right_side(void **state)
{
    EXPECT_STR(str_of(refusal_reply(REFUSAL_PATH_SYNTAX, false).status), "5.1.7");
    EXPECT_STR(str_of(refusal_reply(REFUSAL_PATH_SYNTAX, true).status), "5.1.3");
    assert_int_equal(refusal_reply(REFUSAL_UTF8_NOT_ASKED, true).code, 553);
    assert_int_equal(refusal_reply(REFUSAL_PARAM_UNKNOWN, true).code, 555);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_taken_or_refused_with_the_reason),
        cmocka_unit_test(nul_is_refused),
        cmocka_unit_test(parts_of_a_path_are_told),
        cmocka_unit_test(ehlo_takes_domains_and_literals),
        cmocka_unit_test(addresses_are_equal_but_for_the_case_of_domains),
        cmocka_unit_test(refusals_speak_of_the_right_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
