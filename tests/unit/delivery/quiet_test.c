/* A queue with little to do, or with something that is no more. */
#include "config.h"
#include "yard.h"

#define LATER                                                                                      \
    "queue:\n"                                                                                     \
    "  schedule: { remote: { queue-name: remote, retry: [7s], expire: 2h } }\n"                    \
    "  route: { hub: { type: relay, address: 192.0.2.9 } }\n"                                      \
    "  strategy: { schedule: [ { use: remote } ], route: [ { use: hub } ] }\n"

enum { SECOND_MS = 1000, HOUR_MS = 3600 * SECOND_MS, EMPTY_TICK_MS = 300 * SECOND_MS };

static struct queue_counts counts_of(struct yard *y)
{
    struct queue_counts c;

    must(queue_count(y->queue, &c, WHEN_NEVER).code == OK);
    return c;
}

static int64_t now_ms(void)
{
    return clock_now().ns / NS_PER_MS;
}

static void until_contents(struct yard *y, unsigned count)
{
    while (y->hosts[0].contents < count) {
        (void)fiber_sleep(when_after(10), WHEN_NEVER);
    }
}

/* and the first that comes is served at once all the same. */
static void empty_test(struct yard *y)
{
    uint64_t before, after;
    int64_t sent_ms;

    (void)fiber_sleep(when_after(EMPTY_TICK_MS), WHEN_NEVER); /* what the start left to do */
    before = counts_of(y).looks;
    (void)fiber_sleep(when_after(HOUR_MS), WHEN_NEVER);
    after = counts_of(y).looks;
    YARD_CHECK(y, after - before <= HOUR_MS / EMPTY_TICK_MS);
    sent_ms = now_ms();
    (void)yard_send(y, "a@b.example", "u@hub.example");
    until_contents(y, 1);
    YARD_CHECK(y, now_ms() - sent_ms < SECOND_MS);
}

static void an_empty_queue_is_looked_at_every_five_minutes(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};
    struct yard y = {.config = LATER, .hosts = hosts, .host_count = 1, .test = empty_test};

    yard_run(&y);
    (void)state;
}

/* with the jitter of a retry, a tenth either way. */
static void later_test(struct yard *y)
{
    int64_t sent_ms = now_ms(), took_ms;

    (void)yard_send(y, "a@b.example", "u@hub.example");
    until_contents(y, 1);
    took_ms = now_ms() - sent_ms;
    YARD_CHECK(y, took_ms >= 6 * SECOND_MS);
    YARD_CHECK(y, took_ms <= 8 * SECOND_MS);
}

static void what_is_due_in_seven_seconds_is_tried_then(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB, .rcpt = "451 4.7.1 later|250 ok"}};
    struct yard y = {.config = LATER, .hosts = hosts, .host_count = 1, .test = later_test};

    yard_run(&y);
    (void)state;
}

/* a job exists in memory only; what it stands for has ended in another way. */
static void gone_test(struct yard *y)
{
    uint64_t id = yard_send(y, "a@b.example", "u@hub.example");
    struct store_commit c = {.change_count = 1};
    struct store_change change = {.id = id};
    struct rcpt_state ended;
    struct parcel *p;

    while (counts_of(y).deferred == 0) {
        (void)fiber_sleep(when_after(10), WHEN_NEVER);
    }
    must(store_fetch(y->store, id, &p, WHEN_NEVER).code == OK);
    ended = p->message.to[0].state;
    change.expected = ended.version++;
    ended.status = RCPT_DELIVERED;
    change.state = &ended;
    c.changes = &change;
    must(store_commit(y->store, &c, WHEN_NEVER).code == OK);
    parcel_drop(p);
    YARD_CHECK(y, yard_jobs(y) == 1);
    yard_wait(y, 60 * SECOND_MS);
    YARD_CHECK(y, yard_jobs(y) == 0);
    YARD_CHECK(y, y->hosts[0].contents == 0);
}

static void a_job_whose_message_is_gone_goes_too(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB, .rcpt = "451 4.7.1 later|250 ok"}};
    struct yard y = {.config = LATER, .hosts = hosts, .host_count = 1, .test = gone_test};

    yard_run(&y);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_is_looked_at_every_five_minutes),
        cmocka_unit_test(what_is_due_in_seven_seconds_is_tried_then),
        cmocka_unit_test(a_job_whose_message_is_gone_goes_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
