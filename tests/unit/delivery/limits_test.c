/* Limits on leaving mail, in virtual time: who goes when, and that waiting spends nothing. */
#include "queue/pause.h"
#include "yard.h"

#define HUB "192.0.2.9"
#define ONE "192.0.2.1"
#define TWO "192.0.2.2"

#define CONFIG(limiters, more)                                                                     \
    "queue:\n"                                                                                     \
    "  virtual:\n"                                                                                 \
    "    remote: { concurrency: 20 }\n"                                                            \
    "    other: { concurrency: 20 }\n"                                                             \
    "  schedule:\n"                                                                                \
    "    remote: { queue-name: remote, retry: [10s], expire: 10m }\n"                              \
    "    brief: { queue-name: remote, retry: [10s], expire: 90s }\n"                               \
    "    other: { queue-name: other, retry: [10s], expire: 10m }\n"                                \
    "    dsn: { queue-name: dsn, retry: [10s], expire: 10m }\n"                                    \
    "  route:\n"                                                                                   \
    "    hub: { type: relay, address: 192.0.2.9 }\n"                                               \
    "    two: { type: relay, addresses: [ 192.0.2.1, { address: 192.0.2.2, priority: 1 } ] }\n"    \
    "    here: { type: local, deliver: lmtp, address: 192.0.2.9, port: 24 }\n"                     \
    "  connection: { default: { idle: 0s, timeout: { mail-from: 5s } } }\n"                        \
    "  strategy:\n"                                                                                \
    "    schedule:\n"                                                                              \
    "      - { if: \"source == 'dsn'\", use: dsn }\n"                                              \
    "      - { if: \"sender == 'brief@b.example'\", use: brief }\n"                                \
    "      - { if: \"sender == 'other@b.example'\", use: other }\n"                                \
    "      - { use: remote }\n"                                                                    \
    "    route:\n"                                                                                 \
    "      - { if: \"rcpt_domain == 'here.example'\", use: here }\n"                               \
    "      - { if: \"rcpt_domain == 'two.example'\", use: two }\n"                                 \
    "      - { use: hub }\n"                                                                       \
    "  limiter:\n"                                                                                 \
    "    outbound:\n" limiters more

#define PER_DOMAIN CONFIG("      domain: { key: [rcpt_domain], rate: 2/1m }\n", "")

static void pass(int64_t ms)
{
    (void)fiber_sleep(when_after(ms), WHEN_NEVER);
}

static struct job_note note_of(struct yard *y, uint64_t id, struct arena *a)
{
    struct job_note *notes;
    uint32_t count;

    must(queue_notes(y->queue, &id, 1, a, &notes, &count, WHEN_NEVER).code == OK);
    return count > 0 ? notes[0] : (struct job_note){.state = "gone", .text = STR_EMPTY};
}

static void run(const char *config, struct yard_host *hosts, size_t count,
                void (*test)(struct yard *))
{
    struct yard y = {.config = config, .hosts = hosts, .host_count = count, .test = test};

    yard_run(&y);
}

static void three_to_one_domain(struct yard *y)
{
    struct arena a ARENA_LOCAL = {0};
    struct job_note n;
    uint64_t id;

    (void)yard_send(y, "a@b.example", "u@hub.example");
    (void)yard_send(y, "a@b.example", "u@hub.example");
    pass(100);
    id = yard_send(y, "a@b.example", "u@hub.example");
    (void)yard_send(y, "a@b.example", "u@fine.example");
    pass(1000);
    YARD_CHECK(y, y->hosts[0].contents == 3);
    n = note_of(y, id, &a);
    YARD_CHECK(y, n.reason == WAIT_RATE_LIMIT);
    YARD_CHECK(y, str_eq(n.text, STR("queue.limiter.outbound.domain")));
    YARD_CHECK(y, n.until.ms - clock_date().ms > 28000 && n.until.ms - clock_date().ms < 29100);
    YARD_CHECK(y, n.attempts == 0);
    pass(28000);
    YARD_CHECK(y, y->hosts[0].contents == 3);
    pass(1500);
    YARD_CHECK(y, y->hosts[0].contents == 4);
    YARD_CHECK(y, !yard_logged(y, "delivery_deferred"));
    YARD_CHECK(y, yard_jobs(y) == 0);
}

/* */
static void the_third_message_of_two_a_minute_waits_and_spends_no_attempt(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(PER_DOMAIN, hosts, 1, three_to_one_domain);
    (void)state;
}

static void time_runs_out(struct yard *y)
{
    for (int i = 0; i < 6; i++) {
        (void)yard_send(y, "brief@b.example", "u@hub.example");
    }
    pass(89000);
    YARD_CHECK(y, y->hosts[0].contents == 4); /* two at once, two more in a minute and a half */
    pass(3000);
    YARD_CHECK(y, yard_logged(y, "\"event\":\"delivery_failed\""));
    YARD_CHECK(y, yard_logged(y, "held back by a limit until its time was over"));
    YARD_CHECK(y, !yard_logged(y, "delivery_deferred"));
}

/* */
static void who_waits_past_the_end_is_returned_for_that_reason(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(PER_DOMAIN, hosts, 1, time_runs_out);
    (void)state;
}

static void by_turns(struct yard *y)
{
    struct str heard;
    size_t others = 0;

    for (int i = 0; i < 20; i++) {
        (void)yard_send(y, "a@b.example", "u@hub.example");
    }
    pass(1000);
    for (int i = 0; i < 4; i++) {
        (void)yard_send(y, "other@b.example", "u@hub.example");
    }
    pass(8 * 30000); /* eight more may go: four of them of the other queue */
    heard = buf_str(&y->hosts[0].heard);
    while (str_find_str(heard, STR("other@b.example")) != STR_NONE) {
        heard = str_skip(heard, str_find_str(heard, STR("other@b.example")) + 1);
        others++;
    }
    YARD_CHECK(y, others == 4);
    YARD_CHECK(y, y->hosts[0].contents == 10);
}

static void a_limit_across_queues_is_shared_by_turns(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(PER_DOMAIN, hosts, 1, by_turns);
    (void)state;
}

static void one_queue_is_paused(struct yard *y)
{
    struct pause p = {
        .name = STR("p"), .which.queue = STR("other"), .since = clock_date(), .until = DATE_NEVER};

    (void)yard_send(y, "a@b.example", "u@hub.example");
    (void)yard_send(y, "a@b.example", "u@hub.example");
    pass(100);
    (void)yard_send(y, "other@b.example", "u@hub.example");
    (void)yard_send(y, "a@b.example", "u@hub.example");
    pass(100);
    must(queue_pause(y->queue, &p, WHEN_NEVER).code == OK);
    pass(30000);
    YARD_CHECK(y, y->hosts[0].contents == 3);
    must(queue_resume(y->queue, p.name, WHEN_NEVER).code == OK);
    pass(20000);
    YARD_CHECK(y, y->hosts[0].contents == 3);
    pass(10000);
    YARD_CHECK(y, y->hosts[0].contents == 4);
}

/* P2: the turn of one that cannot start is the next one's. */
static void a_queue_that_is_paused_uses_nothing_of_a_limit(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(PER_DOMAIN, hosts, 1, one_queue_is_paused);
    (void)state;
}

static void two_at_a_time(struct yard *y)
{
    struct arena a ARENA_LOCAL = {0};
    uint64_t id = 0;
    struct job_note n;

    for (int i = 0; i < 4; i++) {
        id = yard_send(y, "a@b.example", "u@hub.example");
    }
    (void)yard_send(y, "a@b.example", "u@two.example"); /* of another key */
    pass(3000);
    YARD_CHECK(y, y->hosts[0].connections == 2);
    YARD_CHECK(y, y->hosts[1].contents == 1);
    n = note_of(y, id, &a);
    YARD_CHECK(y, n.reason == WAIT_SITE_LIMIT);
    YARD_CHECK(y, str_eq(n.text, STR("queue.limiter.outbound.few")));
    pass(3000); /* the host's silence ends in the time-out; then it answers */
    YARD_CHECK(y, y->hosts[0].contents == 2);
    yard_wait(y, 40000);
    YARD_CHECK(y, y->hosts[0].contents == 4);
    YARD_CHECK(y, yard_jobs(y) == 0);
}

/* PY-23 */
static void only_so_many_are_at_work_at_a_time(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB, .mail = "-|-|250 ok"}, {.ip = ONE}};

    run(CONFIG("      few: { key: [rcpt_domain], concurrency: 2 }\n", ""), hosts, 2, two_at_a_time);
    (void)state;
}

static void by_address(struct yard *y)
{
    for (int i = 0; i < 3; i++) {
        (void)yard_send(y, "a@b.example", "u@two.example");
        pass(1000);
    }
    YARD_CHECK(y, y->hosts[0].contents == 1);
    YARD_CHECK(y, y->hosts[1].contents == 1);
    YARD_CHECK(y, y->hosts[0].connections + y->hosts[1].connections == 2);
    YARD_CHECK(y, !yard_logged(y, "delivery_deferred"));
    yard_wait(y, 65000);
    YARD_CHECK(y, y->hosts[0].contents + y->hosts[1].contents == 3);
    YARD_CHECK(y, !yard_logged(y, "delivery_deferred"));
}

/* */
static void an_address_at_its_limit_leaves_the_mail_to_the_next(void **state)
{
    struct yard_host hosts[] = {{.ip = ONE}, {.ip = TWO}};

    run(CONFIG("      address: { key: [remote_ip], rate: 1/1m }\n", ""), hosts, 2, by_address);
    (void)state;
}

static void local_mail(struct yard *y)
{
    for (int i = 0; i < 5; i++) {
        (void)yard_send(y, "a@b.example", "u@here.example");
    }
    pass(2000);
    YARD_CHECK(y, y->hosts[0].contents == 5);
}

/* */
static void local_routes_are_not_limited_unless_told(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB, .port = 24, .lmtp = true}};

    run(CONFIG("      all: { rate: 2/1m }\n", ""), hosts, 1, local_mail);
    (void)state;
}

static void without_value(struct yard *y)
{
    for (int i = 0; i < 5; i++) {
        (void)yard_send(y, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!@b.example",
                        "u@hub.example");
    }
    pass(2000);
    YARD_CHECK(y, y->hosts[0].contents == 5);
    YARD_CHECK(y, yard_logged(y, "\"event\":\"limiter_unmatched\",\"name\":\"some\""));
}

/* the pattern takes more steps than one may. */
static void a_match_without_value_limits_nothing_and_says_so(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(CONFIG("      some: { match: 'matches(\"^((a+)+)+@\", sender)', rate: 2/1m }\n", ""), hosts,
        1, without_value);
    (void)state;
}

static void changed(struct yard *y)
{
    for (int i = 0; i < 5; i++) {
        (void)yard_send(y, "a@b.example", "u@hub.example");
    }
    pass(1000);
    YARD_CHECK(y, y->hosts[0].contents == 2);
    yard_reload(y, CONFIG("      other: { key: [sender], rate: 100/1m }\n", ""));
    pass(1000);
    YARD_CHECK(y, y->hosts[0].contents == 5);
    YARD_CHECK(y, yard_jobs(y) == 0);
}

static void a_reload_without_the_limiter_lets_them_go(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};

    run(PER_DOMAIN, hosts, 1, changed);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_third_message_of_two_a_minute_waits_and_spends_no_attempt),
        cmocka_unit_test(who_waits_past_the_end_is_returned_for_that_reason),
        cmocka_unit_test(a_limit_across_queues_is_shared_by_turns),
        cmocka_unit_test(only_so_many_are_at_work_at_a_time),
        cmocka_unit_test(an_address_at_its_limit_leaves_the_mail_to_the_next),
        cmocka_unit_test(local_routes_are_not_limited_unless_told),
        cmocka_unit_test(a_match_without_value_limits_nothing_and_says_so),
        cmocka_unit_test(a_reload_without_the_limiter_lets_them_go),
        cmocka_unit_test(a_queue_that_is_paused_uses_nothing_of_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
