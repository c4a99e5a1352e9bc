#include "../unit.h"
#include "mail/envelope.h"

static void words_are_those_of_expressions(void **state)
{
    EXPECT_STR(source_name(SOURCE_UNAUTHENTICATED), "unauthenticated");
    EXPECT_STR(source_name(SOURCE_DSN), "dsn");
    EXPECT_STR(last_error_name(LAST_REPLY), "unexpected-reply");
    EXPECT_STR(last_error_name(LAST_MTA_STS), "mta-sts");
    EXPECT_STR(rcpt_status_name(RCPT_DROPPED), "dropped");
    for (int i = 0; i < SOURCE_COUNT; i++) {
        assert_true(source_name((enum source)i).len > 0);
    }
    for (int i = 0; i < LAST_ERROR_COUNT; i++) {
        assert_true(last_error_name((enum last_error)i).len > 0);
    }
    for (int i = 0; i < RCPT_STATUS_COUNT; i++) {
        assert_true(rcpt_status_name((enum rcpt_status)i).len > 0);
    }
    (void)state;
}

static void the_last_at_divides_an_address(void **state)
{
    EXPECT_STR(address_domain(STR("a@b.example")), "b.example");
    EXPECT_STR(address_local(STR("\"x@y\"@b.example")), "\"x@y\"");
    EXPECT_STR(address_domain(STR("postmaster")), "");
    EXPECT_STR(address_local(STR("postmaster")), "postmaster");
    EXPECT_STR(address_local(STR("")), "");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_of_expressions),
        cmocka_unit_test(the_last_at_divides_an_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
