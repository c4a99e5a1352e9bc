/*
 * What the queue itself spends on a job, from when it is due until its slot is given back, while so
 * many others wait: bench/scheduling compares a thousand with a million. And how soon ten messages
 * of a small tenant leave a queue in which a large one has a million.
 *
 *     build/bench/bench-scheduling QUEUED JOBS [SITES LANES [cold]]
 *     build/bench/bench-scheduling QUEUED JOBS tenants
 *
 * Model     One virtual queue of 100 slots, 20 lanes, 500 sites (or as many as it is told), three
 *           priorities, and delivery that answers at once: no store, no network, no look-ups. For
 *           each job that leaves another one comes, so the backlog stays. It is looked at when the
 *           sites are proven, each having had some five jobs; `cold`: from the first job on.
 * Prints    One line of JSON.
 */
#include "base/mem.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 100, SITES = 500, LANES = 20, WARM = 20000, WARM_EACH = 5, SMALL = 10 };

static struct {
    struct queue *queue;
    uint64_t next; /* id of the next message */
    uint64_t queued, jobs, done, sites, lanes;
    bool tenants, cold;
    uint64_t small_left, small_done_at;
    double began_s, took_s;
} bench;

/* There is no store, and it has room (-Wl,--wrap). */
enum store_room __wrap_store_room(const struct store *s);

enum store_room __wrap_store_room(const struct store *s)
{
    (void)s;
    return STORE_ROOM;
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A message's site is in its envelope: here, in its id. */
static uint64_t site_of(uint64_t message)
{
    return message >> 40;
}

static struct str site_name(uint64_t site, char name[32])
{
    snprintf(name, 32, "mx s%llu.example", (unsigned long long)site);
    return str_of(name);
}

static void add(struct str lane, uint64_t site, int8_t priority)
{
    char name[32];
    struct job_spec spec = {.to_count = 1,
                            .act = clock_date(),
                            .note = DATE_NEVER,
                            .priority = priority,
                            .queue = STR("all"),
                            .lane = lane};
    struct job *j;

    spec.site = site_name(site, name);
    j = job_new(bench.queue, site << 40 | ++bench.next, &spec);
    job_place(bench.queue, j);
    pump(bench.queue, vqueue_of(bench.queue, j));
}

static void add_next(void)
{
    static uint64_t z = 1;
    char lane[32];

    z = z * 6364136223846793005u + 1442695040888963407u;
    if (bench.tenants) {
        add(STR("large"), z >> 33 & 127, 0);
        return;
    }
    snprintf(lane, sizeof lane, "tenant %llu", (unsigned long long)((z >> 20) % bench.lanes));
    add(str_of(lane), (z >> 33) % bench.sites, (int8_t)((int)((z >> 50) % 3) * 2 - 2));
}

static void prepare_now(void *ctx, struct work *w)
{
    char name[32];

    (void)ctx;
    queue_prepared(w, PREPARED_READY, site_name(site_of(w->message), name), WAIT_NO_SLOT,
                   DATE_NEVER, STR_EMPTY);
}

static void run_now(void *ctx, struct slot *s, struct work *w)
{
    (void)ctx;
    bench.done++;
    if (bench.tenants && str_eq(queue_work_of(w)->job->lane->name, STR("small")) &&
        --bench.small_left == 0) {
        bench.small_done_at = bench.done;
    }
    slot_accepted(s, 0);
    slot_end(s, w);
    add_next();
}

static void never_now(void *ctx, struct work *w)
{
    (void)ctx, (void)w;
    never("no notice is due");
}

static void no_report(void *ctx, uint64_t message)
{
    (void)ctx, (void)message;
}

static void until_done(uint64_t count)
{
    while (bench.done < count) {
        (void)fiber_yield(WHEN_NEVER);
    }
}

static void fill(void)
{
    static const struct virtual_settings all = {.concurrency = SLOTS,
                                                .max_share_percent = 50,
                                                .slow_after_ms = 2000,
                                                .lanes_max = 10000,
                                                .aging_ms = 600000};
    struct queue *q = bench.queue;
    struct vqueue *v = vqueue_take(q, STR("all"));

    vqueue_set(v, NULL, &all);
    for (uint64_t i = 0; i < bench.queued; i++) {
        add_next();
    }
    q->serving = true;
    pump_all(q);
}

static void bench_main(void *arg)
{
    struct queue_ops ops = {NULL, prepare_now, run_now, never_now, no_report, NULL};
    struct queue_options options = {0};
    struct store_options store = {.segment_bytes = 1024 * 1024};

    (void)arg;
    bench.queue = queue_new(loop_self(), store_new(loop_self(), NULL, &store), &ops, &options);
    fill();
    until_done(bench.cold ? 1 : WARM + WARM_EACH * bench.sites);
    if (bench.tenants) {
        uint64_t from = bench.done;

        bench.small_left = SMALL;
        for (unsigned i = 0; i < SMALL; i++) {
            add(STR("small"), 1000 + i % 3, 0);
        }
        until_done(bench.done + bench.jobs);
        printf("{\"queued\": %llu, \"small\": %d, \"left_after\": %llu}\n",
               (unsigned long long)bench.queued, SMALL,
               (unsigned long long)(bench.small_left == 0 ? bench.small_done_at - from : 0));
    } else {
        bench.began_s = cpu_s();
        until_done(bench.done + bench.jobs);
        bench.took_s = cpu_s() - bench.began_s;
        printf("{\"queued\": %llu, \"jobs\": %llu, \"ns_per_job\": %.0f}\n",
               (unsigned long long)bench.queued, (unsigned long long)bench.jobs,
               bench.took_s * 1e9 / (double)bench.jobs);
    }
    fflush(stdout);
    _exit(0); /* the backlog need not be taken down */
}

int main(int argc, char **argv)
{
    bench.queued = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    bench.jobs = argc > 2 ? strtoull(argv[2], NULL, 10) : 200 * 1000;
    bench.tenants = argc == 4;
    bench.cold = argc > 5;
    bench.sites = argc > 4 ? strtoull(argv[3], NULL, 10) : SITES;
    bench.lanes = argc > 4 ? strtoull(argv[4], NULL, 10) : LANES;
    run_alone("bench", bench_main, NULL);
    return 1;
}
