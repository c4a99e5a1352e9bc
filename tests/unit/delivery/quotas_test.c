/* Quotas, in virtual time: what is let in, and when what waits has made room. */
#include "yard.h"

#define HUB "192.0.2.9"

#define CONFIG(hold, quotas)                                                                       \
    "queue:\n"                                                                                     \
    "  virtual: { remote: { concurrency: 20, hold: " hold " } }\n"                                 \
    "  schedule:\n"                                                                                \
    "    remote: { queue-name: remote, retry: [10s], expire: 2m }\n"                               \
    "    dsn: { queue-name: dsn, retry: [10s], expire: 10m }\n"                                    \
    "  route: { hub: { type: relay, address: 192.0.2.9 } }\n"                                      \
    "  connection: { default: { idle: 0s } }\n"                                                    \
    "  strategy:\n"                                                                                \
    "    schedule: [ { if: \"source == 'dsn'\", use: dsn }, { use: remote } ]\n"                   \
    "    route: [ { use: hub } ]\n"                                                                \
    "  quota:\n" quotas

#define HELD(quotas)   CONFIG("true", quotas)
#define SERVED(quotas) CONFIG("false", quotas)

static void pass(int64_t ms)
{
    (void)fiber_sleep(when_after(ms), WHEN_NEVER);
}

static bool is_let_in(struct yard *y, const char *from, const char *to)
{
    uint64_t id;
    struct err e = yard_try(y, from, to, &id);

    YARD_CHECK(y, e.code == OK || e.code == ERR_QUOTA);
    return e.code == OK;
}

/* What is used of a quota: messages; all its keys together. */
static uint64_t used(struct yard *y, const char *quota)
{
    struct arena a ARENA_LOCAL = {0};
    struct quota_sum *sums;
    uint32_t count;

    must(queue_quotas(y->queue, &a, &sums, &count, WHEN_NEVER).code == OK);
    for (uint32_t i = 0; i < count; i++) {
        if (str_eq(sums[i].rule, str_of(quota))) {
            return sums[i].messages;
        }
    }
    return UINT64_MAX;
}

static void run(const char *config, struct yard_host *hosts, size_t count,
                void (*test)(struct yard *))
{
    struct yard y = {.config = config, .hosts = hosts, .host_count = count, .test = test};

    yard_run(&y);
}

/* ---- at the door ---- */

#define TWO "    two: { messages: 2 }\n"

static void three_messages(struct yard *y)
{
    YARD_CHECK(y, is_let_in(y, "a@b.example", "u@hub.example"));
    YARD_CHECK(y, is_let_in(y, "c@d.example", "v@hub.example w@other.example"));
    YARD_CHECK(y, !is_let_in(y, "e@f.example", "x@hub.example"));
    YARD_CHECK(y, yard_logged(y, "\"event\":\"quota_exceeded\""));
    YARD_CHECK(y, yard_logged(y, "\"name\":\"two\",\"type\":\"Sender\""));
    yard_reload(y, SERVED(TWO));
    pass(1000);
    YARD_CHECK(y, used(y, "two") == 0);
    YARD_CHECK(y, is_let_in(y, "e@f.example", "x@hub.example"));
    yard_wait(y, 60000);
    YARD_CHECK(y, used(y, "two") == 0);
}

/* Q-095, PY-24 */
static void the_third_of_two_is_put_off_until_one_is_delivered(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(HELD(TWO), hosts, 1, three_messages);
    (void)state;
}

static void two_for_a_domain(struct yard *y)
{
    YARD_CHECK(y, is_let_in(y, "a@b.example", "u@hub.example v@HUB.example"));
    YARD_CHECK(y, used(y, "few") == 1);
    YARD_CHECK(y, is_let_in(y, "a@b.example", "u@hub.example w@other.example"));
    YARD_CHECK(y, !is_let_in(y, "a@b.example", "u@hub.example"));
    YARD_CHECK(y, yard_logged(y, "\"name\":\"few\",\"type\":\"Domain\""));
    YARD_CHECK(y, is_let_in(y, "a@b.example", "u@other.example"));
    y->lines = 300; /* some twenty thousand bytes */
    YARD_CHECK(y, !is_let_in(y, "a@b.example", "u@third.example"));
    YARD_CHECK(y, yard_logged(y, "\"name\":\"small\",\"type\":\"Domain\""));
    YARD_CHECK(y, used(y, "few") == 4);
    YARD_CHECK(y, used(y, "small") == 4);
}

/* both are enforced, each with domains of its own. */
static void two_quotas_for_one_domain_both_hold(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(HELD("    few: { key: [rcpt_domain], messages: 2 }\n"
             "    small: { key: [rcpt_domain], size: 10KiB }\n"),
        hosts, 1, two_for_a_domain);
    (void)state;
}

struct one_of_many {
    struct yard *y;
    unsigned *let_in;
};

static void sends(void *arg)
{
    struct one_of_many *o = arg;

    *o->let_in += is_let_in(o->y, "a@b.example", "u@hub.example v@other.example");
}

static void at_once(struct yard *y)
{
    unsigned let_in = 0;
    struct one_of_many one = {y, &let_in};
    struct group group;

    group_init(&group, "senders", 0);
    for (int i = 0; i < 40; i++) {
        must(group_spawn_now(&group, "sender", sends, &one).code == OK);
    }
    must(group_join(&group, WHEN_NEVER).code == OK);
    YARD_CHECK(y, let_in == 7);
    YARD_CHECK(y, used(y, "seven") == 14);
}

/* PY-24: checked and used in one step. */
static void mail_that_comes_at_once_does_not_overshoot(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(HELD("    seven: { key: [rcpt_domain], messages: 7 }\n"), hosts, 1, at_once);
    (void)state;
}

static void none_is_used(struct yard *y)
{
    YARD_CHECK(y, is_let_in(y, "a@b.example", "u@hub.example"));
    for (int i = 0; i < 3; i++) {
        YARD_CHECK(y, !is_let_in(y, "a@b.example", "v@hub.example"));
    }
    YARD_CHECK(y, used(y, "each") == 1);
    YARD_CHECK(y, used(y, "all") == 1);
    YARD_CHECK(y, is_let_in(y, "c@b.example", "v@hub.example"));
    YARD_CHECK(y, !is_let_in(y, "d@b.example", "v@hub.example"));
}

static void what_one_quota_refuses_uses_nothing_of_another(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(HELD("    all: { messages: 2 }\n    each: { key: [sender], messages: 1 }\n"), hosts, 1,
        none_is_used);
    (void)state;
}

static void without_value(struct yard *y)
{
    for (int i = 0; i < 3; i++) {
        YARD_CHECK(y, is_let_in(y, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!@b.example",
                                "u@hub.example"));
    }
    YARD_CHECK(y, yard_logged(y, "\"event\":\"quota_unmatched\""));
}

static void a_match_without_value_limits_nothing_and_says_so(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(HELD("    some: { match: 'matches(\"^((a+)+)+@\", sender)', messages: 1 }\n"), hosts, 1,
        without_value);
    (void)state;
}

/* ---- releasing ---- */

static const char *later_for = ""; /* local parts whose recipients are put off */

static const char *says(struct str line)
{
    struct str local = str_skip(line, sizeof "RCPT TO:<" - 1);

    if (local.len > 0 && strchr(later_for, local.ptr[0]) != NULL) {
        return "450 4.2.1 later";
    }
    return local.len > 0 && local.ptr[0] == 'n' ? "550 5.1.1 nobody" : "250 2.1.5 fine";
}

static void expect_used(struct yard *y, uint64_t rcpts, uint64_t domains, uint64_t messages)
{
    YARD_CHECK(y, used(y, "rcpts") == rcpts);
    YARD_CHECK(y, used(y, "domains") == domains);
    YARD_CHECK(y, used(y, "messages") == messages);
}

static void ends(struct yard *y)
{
    later_for = "abc";
    (void)yard_send(y, "s@b.example", "a@hub.example b@hub.example c@other.example");
    pass(1000);
    expect_used(y, 3, 2, 1);
    later_for = "bc";
    pass(11000);
    expect_used(y, 2, 2, 1);
    later_for = "b";
    pass(11000);
    expect_used(y, 1, 1, 1);
    later_for = "";
    pass(11000);
    expect_used(y, 0, 0, 0);
    /* What fails has ended, and so has what expires; their reports are not counted. */
    later_for = "a";
    (void)yard_send(y, "s@b.example", "n@hub.example a@hub.example");
    pass(1000);
    expect_used(y, 1, 1, 1);
    YARD_CHECK(y, !is_let_in(y, "s@b.example", "a@hub.example"));
    pass(130 * 1000);
    expect_used(y, 0, 0, 0);
    YARD_CHECK(y, yard_logged(y, "\"event\":\"report_sent\"") ||
                      yard_logged(y, "\"source\":\"dsn\"") || y->hosts[0].contents > 2);
}

static void each_class_makes_room_when_what_it_counts_has_ended(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB, .rcpt_says = says}};

    run(SERVED("    rcpts: { key: [rcpt], messages: 1 }\n"
               "    domains: { key: [rcpt_domain], messages: 5 }\n"
               "    messages: { key: [sender], messages: 5 }\n"),
        hosts, 1, ends);
    (void)state;
}

static void disk_fails(struct yard *y)
{
    struct sim_disk_weather bad = {.sync_failed_ppm = 1000000};
    uint64_t id;

    sim_disk_set(y->folder, &bad);
    YARD_CHECK(y, yard_try(y, "a@b.example", "u@hub.example", &id).code != OK);
    sim_disk_set(y->folder, NULL);
    pass(100);
    YARD_CHECK(y, used(y, "one") == 0);
    YARD_CHECK(y, used(y, "each") == 0);
}

static void what_could_not_be_stored_is_given_back(void **state)
{
    struct sim_disk *folder = sim_disk_new("/store", 5);
    struct yard y = {.config = HELD("    one: { messages: 1 }\n    each: { key: [rcpt], "
                                    "messages: 1 }\n"),
                     .folder = folder,
                     .test = disk_fails};

    yard_run(&y);
    sim_disk_free(folder);
    (void)state;
}

/* ---- starts and reloads ---- */

enum { MANY = 600 };

static void fill(struct yard *y)
{
    for (int i = 0; i < MANY; i++) {
        (void)yard_send(y, i % 2 ? "a@b.example" : "c@d.example", "u@hub.example v@other.example");
    }
}

#define COUNTED                                                                                    \
    "    senders: { key: [sender_domain], messages: 300 }\n"                                       \
    "    each: { match: 'sender == \"a@b.example\"', key: [rcpt_domain], messages: 301 }\n"

static void counted_again(struct yard *y)
{
    struct yard *again = y;

    /* Before all is loaded: it waits until it is, and then there is no room. */
    YARD_CHECK(again, !is_let_in(y, "a@b.example", "u@hub.example"));
    YARD_CHECK(y, queue_ready(y->queue, WHEN_NEVER).code == OK);
    YARD_CHECK(y, used(y, "senders") == MANY);
    YARD_CHECK(y, used(y, "each") == MANY);
    yard_reload(y, SERVED(COUNTED));
    yard_wait(y, 60000);
    YARD_CHECK(y, used(y, "senders") == 0);
    YARD_CHECK(y, used(y, "each") == 0);
    YARD_CHECK(y, is_let_in(y, "a@b.example", "u@hub.example"));
}

static void what_is_stored_counts_after_a_start(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};
    struct sim_disk *folder = sim_disk_new("/store", 5);
    struct yard first = {.config = HELD(COUNTED), .folder = folder, .test = fill};
    struct yard second = {.config = HELD(COUNTED),
                          .hosts = hosts,
                          .host_count = 1,
                          .folder = folder,
                          .is_early = true,
                          .test = counted_again};

    yard_run(&first);
    yard_run(&second);
    sim_disk_free(folder);
    (void)state;
}

static void reloads(struct yard *y)
{
    fill(y);
    YARD_CHECK(y, used(y, "senders") == UINT64_MAX);
    yard_reload(y, HELD(COUNTED));
    pass(5000);
    YARD_CHECK(y, used(y, "senders") == MANY);
    YARD_CHECK(y, used(y, "each") == MANY);
    YARD_CHECK(y, !is_let_in(y, "a@b.example", "u@hub.example"));
    /* Another number is no other quota: nothing is counted again. */
    yard_reload(y, HELD("    senders: { key: [sender_domain], messages: 301 }\n"));
    YARD_CHECK(y, used(y, "senders") == MANY);
    YARD_CHECK(y, is_let_in(y, "a@b.example", "u@hub.example"));
    YARD_CHECK(y, !is_let_in(y, "a@b.example", "u@hub.example"));
    /* The same name for other values. */
    yard_reload(y, HELD("    senders: { key: [rcpt], messages: 10 }\n"));
    pass(5000);
    YARD_CHECK(y, used(y, "senders") == 2 * MANY + 1);
    yard_reload(y, SERVED("    other: { messages: 10000 }\n"));
    yard_wait(y, 60000);
    YARD_CHECK(y, used(y, "other") == 0);
    YARD_CHECK(y, used(y, "senders") == UINT64_MAX);
}

static void other_quotas_count_what_is_stored(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(CONFIG("true", "    none: { enable: false, messages: 1 }\n"), hosts, 1, reloads);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_third_of_two_is_put_off_until_one_is_delivered),
        cmocka_unit_test(two_quotas_for_one_domain_both_hold),
        cmocka_unit_test(mail_that_comes_at_once_does_not_overshoot),
        cmocka_unit_test(what_one_quota_refuses_uses_nothing_of_another),
        cmocka_unit_test(a_match_without_value_limits_nothing_and_says_so),
        cmocka_unit_test(each_class_makes_room_when_what_it_counts_has_ended),
        cmocka_unit_test(what_could_not_be_stored_is_given_back),
        cmocka_unit_test(what_is_stored_counts_after_a_start),
        cmocka_unit_test(other_quotas_count_what_is_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
