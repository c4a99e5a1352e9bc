#include "yard.h"

static const char relay[] =
    "queue:\n"
    "  schedule:\n"
    "    remote: { queue-name: remote, retry: [10s, 20s], notify: [15s], expire: 2m }\n"
    "    local: { queue-name: local, retry: [10s], expire: 2m }\n"
    "    dsn: { queue-name: dsn, retry: [10s], expire: 2m }\n"
    "  route:\n"
    "    hub: { type: relay, address: 192.0.2.9 }\n"
    "    mx: { type: mx }\n"
    "  strategy:\n"
    "    route: [ { if: \"rcpt_domain == 'hub.example' || sender == ''\", use: hub }, { use: mx } "
    "]\n";

static void a_message_goes_to_the_relay_test(struct yard *y)
{
    struct yard_host *h = &y->hosts[0];

    yard_send(y, "a@b.example", "u@hub.example");
    yard_wait(y, 60000);
    assert_int_equal(yard_jobs(y), 0);
    assert_int_equal(h->contents, 1);
    EXPECT_STR(buf_str(&h->content), yard_body);
    EXPECT_STR(buf_str(&h->heard), "EHLO mx.here.example\nMAIL FROM:<a@b.example>\n"
                                   "RCPT TO:<u@hub.example>\nDATA\n");
    assert_true(yard_logged(y, "\"event\":\"delivery_done\""));
}

static void a_message_goes_to_the_relay(void **state)
{
    struct yard_host hosts[] = {{.ip = "192.0.2.9"}};
    struct yard y = {
        .config = relay, .hosts = hosts, .host_count = 1, .test = a_message_goes_to_the_relay_test};

    yard_run(&y);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_goes_to_the_relay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
