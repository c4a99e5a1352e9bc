#include "../unit.h"
#include "hooks/milter.h"

static void addresses_are_read_whole(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
        const char *path, *host;
        unsigned port;
        bool is_ipv6;
    } cases[] = {
        {"inet:127.0.0.1:11332", true, "", "127.0.0.1", 11332, false},
        {"inet:filter.example:1", true, "", "filter.example", 1, false},
        {"inet:localhost:65535", true, "", "localhost", 65535, false},
        {"inet6:filter.example:1", true, "", "filter.example", 1, true},
        {"inet6:[::1]:8891", true, "", "::1", 8891, true},
        {"inet:[2001:db8::1]:8891", true, "", "2001:db8::1", 8891, false},
        {"unix:/run/filter.sock", true, "/run/filter.sock", "", 0, false},
        {"local:/run/filter.sock", true, "/run/filter.sock", "", 0, false},
        {"unix:filter.sock", false, "", "", 0, false},
        {"unix:", false, "", "", 0, false},
        {"inet:8891@localhost", false, "", "", 0, false},
        {"inet:localhost", false, "", "", 0, false},
        {"inet:localhost:0", false, "", "", 0, false},
        {"inet:localhost:65536", false, "", "", 0, false},
        {"inet:localhost:x", false, "", "", 0, false},
        {"inet::8891", false, "", "", 0, false},
        {"inet:a b:8891", false, "", "", 0, false},
        {"inet:[localhost]:8891", false, "", "", 0, false},
        {"127.0.0.1:8891", false, "", "", 0, false},
        {"tcp:127.0.0.1:8891", false, "", "", 0, false},
        {"", false, "", "", 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct milter_address a;
        const char *why = NULL;

        assert_int_equal(milter_address_parse(str_of(cases[i].text), &a, &why), cases[i].is_good);
        if (!cases[i].is_good) {
            assert_non_null(why);
            continue;
        }
        EXPECT_STR(a.path, cases[i].path);
        EXPECT_STR(a.host, cases[i].host);
        assert_int_equal(a.port, cases[i].port);
        assert_int_equal(a.is_ipv6, cases[i].is_ipv6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
