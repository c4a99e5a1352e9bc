/* What is stored is loaded while mail comes in already (P11). */
#include "config.h"
#include "yard.h"

/* More than two walks of the log. */
enum { STORED = 600, EARLY = 20 };

#define HELD                                                                                       \
    "queue:\n"                                                                                     \
    "  virtual: { remote: { hold: true } }\n"                                                      \
    "  schedule: { remote: { queue-name: remote, retry: [10s] } }\n"                               \
    "  route: { hub: { type: relay, address: 192.0.2.9 } }\n"                                      \
    "  strategy: { schedule: [ { use: remote } ], route: [ { use: hub } ] }\n"

static uint64_t first_id, last_id;

static void fill_test(struct yard *y)
{
    for (int i = 0; i < STORED; i++) {
        last_id = yard_send(y, "a@b.example", "u@hub.example");
        first_id = i == 0 ? last_id : first_id;
    }
    YARD_CHECK(y, yard_jobs(y) == STORED);
}

static struct queue_counts counts_of(struct yard *y)
{
    struct queue_counts c;

    must(queue_count(y->queue, &c, WHEN_NEVER).code == OK);
    return c;
}

static enum wait_reason reason_of(struct yard *y, uint64_t id, uint32_t *count)
{
    struct arena a ARENA_LOCAL = {0};
    struct job_note *notes;

    must(queue_notes(y->queue, &id, 1, &a, &notes, count, WHEN_NEVER).code == OK);
    return *count > 0 ? notes[0].reason : WAIT_COUNT;
}

static void wait_for_walk(struct yard *y)
{
    while (counts_of(y).jobs == 0) {
        (void)fiber_yield(WHEN_NEVER);
    }
}

static void early_test(struct yard *y)
{
    uint64_t id = 0;
    uint32_t count;

    wait_for_walk(y);
    YARD_CHECK(y, counts_of(y).loading == 1);
    YARD_CHECK(y, reason_of(y, last_id, &count) == WAIT_LOADING);
    YARD_CHECK(y, count == 1);
    YARD_CHECK(y, reason_of(y, first_id, &count) == WAIT_HELD);
    for (int i = 0; i < EARLY; i++) {
        id = yard_send(y, "a@b.example", "u@hub.example");
        YARD_CHECK(y, id > last_id);
    }
    YARD_CHECK(y, queue_ready(y->queue, WHEN_NEVER).code == OK);
    YARD_CHECK(y, counts_of(y).loading == 0);
    YARD_CHECK(y, reason_of(y, last_id, &count) != WAIT_LOADING);
    YARD_CHECK(y, counts_of(y).jobs == STORED + EARLY);
    YARD_CHECK(y, y->hosts[0].contents == 0);
    yard_reload(y, PLAIN);
    yard_wait(y, 60000);
    YARD_CHECK(y, yard_jobs(y) == 0);
    YARD_CHECK(y, y->hosts[0].contents == STORED + EARLY);
}

static void what_comes_while_the_queue_loads_is_delivered_once(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};
    struct sim_disk *folder = sim_disk_new("/store", 5);
    struct yard first = {.config = HELD, .folder = folder, .test = fill_test};
    struct yard second = {.config = HELD,
                          .folder = folder,
                          .hosts = hosts,
                          .host_count = 1,
                          .is_early = true,
                          .test = early_test};

    yard_run(&first);
    yard_run(&second);
    sim_disk_free(folder);
    (void)state;
}

/* What is loaded starts before the rest is read, and is not loaded again. */
static void at_once_test(struct yard *y)
{
    while (y->hosts[0].contents == 0) {
        (void)fiber_sleep(when_after(1), WHEN_NEVER);
    }
    yard_wait(y, 60000);
    YARD_CHECK(y, yard_jobs(y) == 0);
    YARD_CHECK(y, y->hosts[0].contents == STORED);
}

static void what_is_loaded_starts_while_the_rest_is_read(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};
    struct sim_disk *folder = sim_disk_new("/store", 5);
    struct yard first = {.config = HELD, .folder = folder, .test = fill_test};
    struct yard second = {.config = PLAIN,
                          .folder = folder,
                          .hosts = hosts,
                          .host_count = 1,
                          .is_early = true,
                          .test = at_once_test};

    yard_run(&first);
    yard_run(&second);
    sim_disk_free(folder);
    (void)state;
}

/* An end while it loads does not wait for the rest. */
static void ended_test(struct yard *y)
{
    wait_for_walk(y);
}

static void an_end_while_the_queue_loads_leaves_all_stored(void **state)
{
    struct yard_host hosts[] = {{.ip = HUB}};
    struct sim_disk *folder = sim_disk_new("/store", 5);
    struct yard runs[] = {
        {.config = HELD, .folder = folder, .test = fill_test},
        {.config = HELD, .folder = folder, .is_early = true, .test = ended_test},
        {.config = PLAIN, .folder = folder, .hosts = hosts, .host_count = 1, .test = at_once_test}};

    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        yard_run(&runs[i]);
    }
    sim_disk_free(folder);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_while_the_queue_loads_is_delivered_once),
        cmocka_unit_test(what_is_loaded_starts_while_the_rest_is_read),
        cmocka_unit_test(an_end_while_the_queue_loads_leaves_all_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
