#include "../unit.h"
#include "base/addr.h"

static void an_address_with_port_reads_and_prints_the_same(void **state)
{
    static const struct {
        const char *text, *printed; /* printed NULL: refused */
    } rows[] = {
        {"127.0.0.1:2525", "127.0.0.1:2525"},
        {"255.10.100.9:1", "255.10.100.9:1"},
        {"0.99.199.200:1", "0.99.199.200:1"},
        {"[::1]:25", "[::1]:25"},
        {"[2001:DB8:0::1]:65535", "[2001:db8::1]:65535"},
        {"::1:25", NULL},
        {"[127.0.0.1]:25", NULL},
        {"127.0.0.1", NULL},
        {"127.0.0.1:0", NULL},
        {"127.0.0.1:65536", NULL},
        {"127.0.0.1:000025", NULL},
        {"127.0.0.1:", NULL},
        {":25", NULL},
        {"", NULL},
        {"127.0.0.01:25", NULL},
        {"1.2.3:25", NULL},
        {"[fe80::1%lo]:25", NULL},
        {"localhost:25", NULL},
        {"[::1:25", NULL},
    };
    char at[ADDR_BYTES];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct addr a = {0};

        assert_int_equal(addr_parse(str_of(rows[i].text), &a), rows[i].printed != NULL);
        EXPECT_STR(addr_print(&a, at), rows[i].printed ? rows[i].printed : "");
    }
    struct addr a;

    assert_false(addr_parse_ip(STR("1.2.3.4\0x"), &a));
    assert_true(addr_parse_ip(STR("1.2.3.4"), &a));
    EXPECT_STR(addr_print(&a, at), "1.2.3.4");
    (void)state;
}

static void networks_match_their_members_only(void **state)
{
    static const struct {
        const char *net, *printed, *inside, *outside;
    } rows[] = {
        {"127.0.0.0/8", "127.0.0.0/8", "127.255.1.2", "128.0.0.1"},
        {"10.1.2.3/12", "10.0.0.0/12", "10.15.255.255", "10.16.0.0"},
        {"192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.6"},
        {"0.0.0.0/0", "0.0.0.0/0", "255.255.255.255", "::1"},
        {"::/0", "::/0", "2001:db8::1", "1.2.3.4"},
        {"::1/128", "::1/128", "::1", "::2"},
        {"2001:db8::/33", "2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"},
        {"127.0.0.0/8", "127.0.0.0/8", "::ffff:127.0.0.1", "::ffff:1.0.0.1"},
        {"::ffff:10.0.0.0/104", "10.0.0.0/8", "10.9.9.9", "11.0.0.0"},
    };
    static const char *const refused[] = {"",         "/8",          "10.0.0.0/", "10.0.0.0/33",
                                          "::1/129",  "10.0.0.0/-1", "10.0.0/8",  "1.2.3.4/8/8",
                                          "1.2.3.4 ", "::1/0128",    "example/8"};
    char at[ADDR_BYTES];
    struct cidr c;
    struct addr a;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(cidr_parse(str_of(rows[i].net), &c));
        EXPECT_STR(cidr_print(&c, at), rows[i].printed);
        assert_true(addr_parse_ip(str_of(rows[i].inside), &a));
        assert_true(cidr_match(&c, &a));
        assert_true(addr_parse_ip(str_of(rows[i].outside), &a));
        assert_false(cidr_match(&c, &a));
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_false(cidr_parse(str_of(refused[i]), &c));
    }
    (void)state;
}

static void loopback_and_any_are_known_in_every_spelling(void **state)
{
    static const struct {
        const char *text;
        bool loopback, any;
    } rows[] = {
        {"127.0.0.1", true, false},        {"127.9.9.9", true, false}, {"::1", true, false},
        {"::ffff:127.0.0.1", true, false}, {"0.0.0.0", false, true},   {"::", false, true},
        {"192.0.2.1", false, false},       {"::2", false, false},
    };
    struct addr none = {0};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct addr a;

        assert_true(addr_parse_ip(str_of(rows[i].text), &a));
        assert_int_equal(addr_is_loopback(&a), rows[i].loopback);
        assert_int_equal(addr_is_any(&a), rows[i].any);
    }
    assert_false(addr_is_loopback(&none));
    assert_false(addr_is_any(&none));
    (void)state;
}

static void equality_counts_the_port_only_when_asked(void **state)
{
    struct addr a, b;

    assert_true(addr_parse(STR("192.0.2.1:25"), &a));
    assert_true(addr_parse(STR("192.0.2.1:26"), &b));
    assert_true(addr_eq_ip(&a, &b));
    assert_false(addr_eq(&a, &b));
    b.port = 25;
    assert_true(addr_eq(&a, &b));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_with_port_reads_and_prints_the_same),
        cmocka_unit_test(networks_match_their_members_only),
        cmocka_unit_test(loopback_and_any_are_known_in_every_spelling),
        cmocka_unit_test(equality_counts_the_port_only_when_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
