#include "../unit.h"
#include "base/check.h"
#include "dns/rdata.h"

#define BYTES(literal) STR(literal)
#define LABEL_63       "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static const struct {
    enum dns_type type;
    struct str bytes;
    const char *name; /* NULL: refused */
} cases[] = {
    {DNS_PTR, STR_INIT("\002mx\004test\000"), "mx.test"},
    {DNS_PTR, STR_INIT("\000"), "."},
    {DNS_PTR, STR_INIT("\077" LABEL_63 "\000"), LABEL_63},
    {DNS_PTR, STR_INIT(""), NULL},
    {DNS_PTR, STR_INIT("\002mx"), NULL},
    {DNS_PTR, STR_INIT("\002mx\000\000"), NULL},
    {DNS_PTR, STR_INIT("\300\014"), NULL},
    {DNS_PTR, STR_INIT("\005a b c\000"), NULL},
    {DNS_PTR, STR_INIT("\003a.b\000"), NULL},
    {DNS_PTR, STR_INIT("\003a\000b\000"), NULL},
    {DNS_PTR, STR_INIT("\002\r\n\000"), NULL},
    {DNS_MX, STR_INIT("\000\012\002mx\000"), "mx"},
    {DNS_MX, STR_INIT("\000\012"), NULL},
    {DNS_MX, STR_INIT("\000"), NULL},
    {DNS_A, STR_INIT("\001\002\003\004"), ""},
    {DNS_A, STR_INIT("\001\002\003"), NULL},
    {DNS_AAAA, STR_INIT("\001\002\003\004"), NULL},
    {DNS_TXT, STR_INIT("\002ab\000\001c"), ""},
    {DNS_TXT, STR_INIT("\005ab"), NULL},
    {DNS_TXT, STR_INIT(""), NULL},
    {DNS_TLSA, STR_INIT("\003\001\001"), NULL},
    {DNS_TLSA, STR_INIT("\003\001\001x"), ""},
};

static void records_are_read_or_refused(void **state)
{
    struct arena a ARENA_LOCAL = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dns_record r = {0};
        bool good = rdata_parse(cases[i].type, cases[i].bytes, &a, &r);

        if (good != (cases[i].name != NULL)) {
            print_error("case %zu\n", i);
            fail();
        }
        if (good) {
            EXPECT_STR(r.name, cases[i].name);
        }
    }
}

static void a_name_of_253_bytes_is_the_longest(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    char wire[300];
    struct str name;

    (void)state;
    for (size_t last = 61; last <= 62; last++) {
        size_t len = 0;

        for (size_t i = 0; i < 4; i++) {
            size_t label = i < 3 ? 63 : last;

            wire[len++] = (char)label;
            memset(wire + len, 'a', label);
            len += label;
        }
        wire[len++] = 0;
        assert_int_equal(rdata_name(str_make(wire, len), &a, &name), last == 61);
    }
    assert_int_equal(name.len, 253);
    assert_true(dns_name_is_valid(name));
}

static void strings_of_a_text_are_joined_up_to_a_limit(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct dns_record r;
    static char wire[17 * 256];

    (void)state;
    assert_true(rdata_parse(DNS_TXT, BYTES("\002ab\000\001c"), &a, &r));
    EXPECT_STR(r.bytes, "abc");
    for (size_t i = 0; i < 17; i++) {
        wire[i * 256] = (char)255;
        memset(wire + i * 256 + 1, 'x', 255);
    }
    assert_true(rdata_parse(DNS_TXT, str_make(wire, 16 * 256), &a, &r));
    assert_int_equal(r.bytes.len, 16 * 255);
    assert_false(rdata_parse(DNS_TXT, str_make(wire, sizeof wire), &a, &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read_or_refused),
        cmocka_unit_test(a_name_of_253_bytes_is_the_longest),
        cmocka_unit_test(strings_of_a_text_are_joined_up_to_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
