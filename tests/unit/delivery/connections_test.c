/* Connections that are kept, shared, found dead and cut; and what outlasts one attempt. */
#include "config.h"
#include "yard.h"

static void connections_are_kept_test(struct yard *y)
{
    struct yard_host *h = &y->hosts[0];

    for (int i = 0; i < 3; i++) {
        yard_send(y, "a@b.example", "u@hub.example");
        yard_wait(y, 2000);
        (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    }
    YARD_CHECK(y, h->contents == 3);
    YARD_CHECK(y, h->connections == 1);
    YARD_CHECK(y, delivery_counts(y->delivery).idle == 1);
    YARD_CHECK(y, delivery_counts(y->delivery).reuses == 2);
    /* After `idle` it is ended in due form. */
    (void)fiber_sleep(when_after(5500), WHEN_NEVER);
    YARD_CHECK(y, delivery_counts(y->delivery).idle == 0);
    YARD_CHECK(y, str_ends(buf_str(&h->heard), STR("QUIT\n")));
}

static void connections_are_kept_for_what_comes_next(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};
    struct yard y = {
        .config = PLAIN, .hosts = hosts, .host_count = 1, .test = connections_are_kept_test};

    yard_run(&y);
    (void)state;
}

static void a_dead_idle_connection_test(struct yard *y)
{
    struct yard_host *h = &y->hosts[0];

    for (int i = 0; i < 2; i++) {
        yard_send(y, "a@b.example", "u@hub.example");
        yard_wait(y, 2000);
        (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    }
    YARD_CHECK(y, h->contents == 2);
    YARD_CHECK(y, h->connections == 2);
    YARD_CHECK(y, !yard_logged(y, "delivery_deferred"));
    YARD_CHECK(y, !yard_logged(y, "connection_failed"));
}

static void a_dead_idle_connection_was_no_attempt(void **state)
{
    static const char *const ends[] = {"250 ok|421 idle too long|250 ok", "250 ok|X|250 ok"};

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct yard_host hosts[] = {{.ip = HUB, .mail = ends[i]}};
        struct yard y = {
            .config = PLAIN, .hosts = hosts, .host_count = 1, .test = a_dead_idle_connection_test};

        yard_run(&y);
    }
    (void)state;
}

/* A burst: one slot's connection carries many. */
static void a_burst_test(struct yard *y)
{
    struct yard_host *h = &y->hosts[0];

    for (int i = 0; i < 40; i++) {
        yard_send(y, "a@b.example", "u@hub.example");
    }
    yard_wait(y, 20000);
    YARD_CHECK(y, h->contents == 40);
    YARD_CHECK(y, h->connections <= 10);
}

static void a_burst_shares_connections(void **state)
{
    struct yard_host hosts[] = {
        {.ip = HUB, .ehlo = "250 host/250 PIPELINING/250 CHUNKING/250 8BITMIME"}};
    struct yard y = {.config = PLAIN, .hosts = hosts, .host_count = 1, .test = a_burst_test};

    yard_run(&y);
    (void)state;
}

static void a_host_that_hangs_up_test(struct yard *y)
{
    for (int i = 0; i < 10; i++) {
        yard_send(y, "a@b.example", "u@hub.example");
    }
    yard_wait(y, 20000);
    YARD_CHECK(y, y->hosts[0].contents == 10);
    YARD_CHECK(y, y->hosts[0].connections == 10);
    YARD_CHECK(y, !yard_logged(y, "delivery_deferred"));
}

/* Also when all was sent in haste: nothing was answered, and a fresh connection is no greater risk
 * than a later attempt. */
static void a_host_that_hangs_up_after_each_message_delays_nothing(void **state)
{
    struct yard_host hosts[] = {
        {.ip = HUB, .ehlo = "250 host/250 PIPELINING/250 CHUNKING", .hangs_up = true}};
    struct yard y = {
        .config = PLAIN, .hosts = hosts, .host_count = 1, .test = a_host_that_hangs_up_test};

    yard_run(&y);
    (void)state;
}

/* ---- sizes ---- */

static void a_large_message_test(struct yard *y)
{
    struct buf want BUF_LOCAL = {0};

    yard_content(y, &want);
    yard_send(y, "a@b.example", "u@hub.example");
    yard_wait(y, 20000);
    YARD_CHECK(y, str_eq(buf_str(&y->hosts[0].content), buf_str(&want)));
}

static void a_large_message_arrives_byte_for_byte(void **state)
{
    static const char *const offers[] = {"250 host", "250 host/250 PIPELINING/250 CHUNKING"};

    for (size_t i = 0; i < COUNT_OF(offers); i++) {
        struct yard_host hosts[] = {{.ip = HUB, .ehlo = offers[i]}};
        struct yard y = {.config = PLAIN,
                         .hosts = hosts,
                         .host_count = 1,
                         .test = a_large_message_test,
                         .lines = 5000};

        yard_run(&y);
    }
    (void)state;
}

/* The whole message comes back up to 64 KiB: then the report is larger than a parcel holds. */
static void a_large_report_test(struct yard *y)
{
    struct buf want BUF_LOCAL = {0};
    struct str got;

    yard_content(y, &want);
    yard_send(y, "a@b.example", "u@nowhere.example");
    yard_wait(y, 20000);
    got = buf_str(&y->hosts[0].content);
    YARD_CHECK(y, got.len > PARCEL_HEAD_MAX);
    YARD_CHECK(y, str_find_str(got, buf_str(&want)) != STR_NONE);
    YARD_CHECK(y, str_ends(got, STR("--\r\n")));
}

static void a_large_report_arrives_whole(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};
    struct yard y = {.config = PLAIN,
                     .hosts = hosts,
                     .host_count = 1,
                     .test = a_large_report_test,
                     .lines = 1020};

    yard_run(&y);
    (void)state;
}

/* ---- time ---- */

#define ONE_SLOT                                                                                   \
    "queue:\n"                                                                                     \
    "  virtual: { remote: { concurrency: 1 } }\n"                                                  \
    "  schedule: { remote: { queue-name: remote, retry: [10s], expire: 1m } }\n"                   \
    "  route:\n"                                                                                   \
    "    hub: { type: relay, address: 192.0.2.9 }\n"                                               \
    "    one: { type: relay, address: 192.0.2.1 }\n"                                               \
    "  connection: { default: { timeout: { rcpt-to: 3m } } }\n"                                    \
    "  strategy:\n"                                                                                \
    "    schedule: [ { use: remote } ]\n"                                                          \
    "    route: [ { if: \"rcpt_domain == 'hub.example'\", use: hub }, { use: one } ]\n"

static void a_full_queue_test(struct yard *y)
{
    yard_send(y, "", "u@hub.example");
    (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    yard_send(y, "a@b.example", "u@far.example");
    yard_wait(y, 400000);
    YARD_CHECK(y, y->hosts[1].contents == 1);
    YARD_CHECK(y, yard_jobs(y) == 0);
}

static void what_was_never_tried_is_tried_once_before_it_ends(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB, .rcpt = "-"}, {.ip = ONE}};
    struct yard y = {
        .config = ONE_SLOT, .hosts = hosts, .host_count = 2, .test = a_full_queue_test};

    yard_run(&y);
    (void)state;
}

/* ---- a reload ---- */

/* v@ no longer goes where u@ goes. */
#define OTHER_WAY                                                                                  \
    "queue:\n"                                                                                     \
    "  schedule:\n"                                                                                \
    "    remote: { queue-name: remote, retry: [10s, 20s], expire: 2m }\n"                          \
    "  route:\n"                                                                                   \
    "    hub: { type: relay, address: 192.0.2.9 }\n"                                               \
    "    named: { type: relay, address: 192.0.2.1 }\n"                                             \
    "  strategy:\n"                                                                                \
    "    schedule: [ { use: remote } ]\n"                                                          \
    "    route: [ { if: \"rcpt == 'v@hub.example'\", use: named }, { use: hub } ]\n"

static void a_reload_test(struct yard *y)
{
    yard_send(y, "a@b.example", "u@hub.example v@hub.example w@hub.example");
    (void)fiber_sleep(when_after(2000), WHEN_NEVER);
    YARD_CHECK(y, y->hosts[0].contents == 0);
    yard_reload(y, OTHER_WAY);
    yard_wait(y, 30000);
    YARD_CHECK(y, yard_jobs(y) == 0);
    YARD_CHECK(y, y->hosts[0].contents == 1);
    YARD_CHECK(y, y->hosts[1].contents == 1);
    YARD_CHECK(y, str_ends(buf_str(&y->hosts[1].heard), STR("RCPT TO:<v@hub.example>\nDATA\n")));
}

static void a_changed_route_holds_for_waiting_mail(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB, .mail = "451 later|250 ok"}, {.ip = ONE}};
    struct yard y = {.config = PLAIN, .hosts = hosts, .host_count = 2, .test = a_reload_test};

    yard_run(&y);
    (void)state;
}

/* The server stops in the middle of everything: what had not been answered is tried again. */
static void a_stop_test(struct yard *y)
{
    yard_send(y, "a@b.example", "u@hub.example");
    (void)fiber_sleep(when_after(2000), WHEN_NEVER);
    YARD_CHECK(y, y->hosts[0].connections == 1);
    YARD_CHECK(y, yard_jobs(y) == 1);
    loop_cancel(y->queue_loop);
    (void)fiber_sleep(when_after(100), WHEN_NEVER);
    loop_cancel(y->work_loop); /* cuts short what runs */
}

static void a_stop_cuts_a_silent_host_short(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB, .rcpt = "-"}};
    struct yard y = {.config = PLAIN, .hosts = hosts, .host_count = 1, .test = a_stop_test};

    yard_run(&y);
    (void)state;
}

static void known_ends_test(struct yard *y)
{
    uint64_t id = yard_send(y, "a@b.example", "u@hub.example v@hub.example w@hub.example");
    struct queue_counts counts;
    struct parcel *p;

    (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    must(queue_count(y->queue, &counts, WHEN_NEVER).code == OK);
    YARD_CHECK(y, counts.running == 1 && counts.delivered == 1);
    must(store_fetch(y->store, id, &p, WHEN_NEVER).code == OK);
    YARD_CHECK(y, p->message.to[0].state.status == RCPT_DELIVERED);
    YARD_CHECK(y, p->message.to[1].state.status == RCPT_WAITING);
    YARD_CHECK(y, p->message.to[2].state.status == RCPT_WAITING);
    parcel_drop(p);
    yard_wait(y, 60000);
    YARD_CHECK(y, y->hosts[0].contents == 3); /* none came twice */
    YARD_CHECK(y, yard_jobs(y) == 0);
}

/* P1, PY-37: a crash now would repeat nothing that was answered a second ago. */
static void ends_are_recorded_while_their_job_runs_on(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB, .mail = "250 ok|-|250 ok"}};
    struct yard y = {.config = CONFIG("rcpts-per-transaction: 1, timeout: { mail-from: 5s }",
                                      "starttls: optional"),
                     .hosts = hosts,
                     .host_count = 1,
                     .test = known_ends_test};

    yard_run(&y);
    (void)state;
}

/* P1: what has been sent whole and not been answered is in flight: nothing was learned of it, so
 * nothing is recorded, and the next start tries it again. */
static void a_stop_in_flight_test(struct yard *y)
{
    yard_send(y, "a@b.example", "u@hub.example");
    (void)fiber_sleep(when_after(2000), WHEN_NEVER);
    YARD_CHECK(y, str_ends(buf_str(&y->hosts[0].heard), STR("DATA\n")));
    loop_cancel(y->queue_loop);
    (void)fiber_sleep(when_after(100), WHEN_NEVER);
    loop_cancel(y->work_loop);
    (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    YARD_CHECK(y, str_find_str(sim_log(y->world), STR("delivery_deferred")) == STR_NONE);
    YARD_CHECK(y, str_find_str(sim_log(y->world), STR("cancelled")) == STR_NONE);
}

static void a_stop_records_nothing_of_what_is_in_flight(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB, .end = "-"}};
    struct yard y = {
        .config = PLAIN, .hosts = hosts, .host_count = 1, .test = a_stop_in_flight_test};

    yard_run(&y);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_kept_for_what_comes_next),
        cmocka_unit_test(a_dead_idle_connection_was_no_attempt),
        cmocka_unit_test(a_burst_shares_connections),
        cmocka_unit_test(a_host_that_hangs_up_after_each_message_delays_nothing),
        cmocka_unit_test(a_large_message_arrives_byte_for_byte),
        cmocka_unit_test(a_large_report_arrives_whole),
        cmocka_unit_test(what_was_never_tried_is_tried_once_before_it_ends),
        cmocka_unit_test(a_changed_route_holds_for_waiting_mail),
        cmocka_unit_test(ends_are_recorded_while_their_job_runs_on),
        cmocka_unit_test(a_stop_cuts_a_silent_host_short),
        cmocka_unit_test(a_stop_records_nothing_of_what_is_in_flight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
