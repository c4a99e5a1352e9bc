/*
 * The store under random use, random faults and random crashes, judged by an oracle; and the proof
 * that it would be seen if one of its invariants (store/log.c) did not hold.
 *
 * Each seed: several lives of one store on one disk. A life ends by a power cut, a kill, or a quiet
 * stop; the next begins by reading what is there.
 */
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/sim.h"
#include "sim.h"
#include "store/broken.h"
#include "store/users.h"
#include "store/watch.h"

enum { LIVES = 6, SEGMENT = 256 * 1024 };

static void store_main(void *arg)
{
    struct run *r = arg;

    store_serve(r->store, &r->opened, &r->why);
}

static void check_lock(struct run *r)
{
    struct buf why = {0};
    struct disk *again = sim_disk_mount(r->sim_disk, r->world);
    struct store *second = store_new(r->user_loop, again, &r->options);
    struct err e;

    /* It is meant to fail at once; one that opens would serve until it is cancelled. */
    if (r->options.broken & BROKEN_NO_LOCK) {
        oracle_violated(r->oracle, 0, "a second server could have opened the store");
    } else {
        store_serve(second, &e, &why);
        if (e.code != ERR_BUSY && e.code != ERR_DISK) {
            oracle_violated(r->oracle, 0, "a second server was not refused");
        }
    }
    store_free(second);
    disk_close(again);
    buf_done(&why);
}

static void users_main(void *arg)
{
    struct run *r = arg;
    struct group users;

    if (store_ready(r->store, WHEN_NEVER).code == OK) {
        if (r->checks_lock) {
            check_lock(r);
        }
        read_all(r);
        sim_disk_set(r->sim_disk, &r->weather);
        group_init(&users, "users", USERS);
        for (uint32_t i = 0; i < USERS && !r->only_checks; i++) {
            if (group_spawn_now(&users, "user", user_run, &r->users[i]).code) {
                break;
            }
        }
        group_join(&users, WHEN_NEVER);
    }
    if (!fiber_is_cancelled()) { /* else the machine is down, and that loop gone */
        loop_cancel(r->store_loop);
    }
}

static void live(struct run *r, uint64_t seed, int64_t crash_ns)
{
    struct sim_options o = {.seed = seed, .least = LEVEL_WARN};
    struct world *w = sim_world(&o);
    uint64_t numbers = r->rng.state;

    r->world = w;
    r->disk = watch_new(sim_disk_mount(r->sim_disk, w));
    r->store_loop = world_loop(w, "store");
    r->user_loop = world_loop(w, "users");
    r->store = store_new(r->store_loop, r->disk, &r->options);
    for (uint32_t i = 0; i < USERS; i++) {
        r->users[i] = (struct user){.run = r, .number = i, .rng = {numbers + i * 977}};
    }
    loop_main(r->store_loop, store_main, r);
    loop_main(r->user_loop, users_main, r);
    if (crash_ns > 0) {
        sim_crash_after(w, crash_ns);
    }
    world_run(w);
    if (sim_end(w) != SIM_OVER && sim_end(w) != SIM_CRASHED) {
        oracle_violated(r->oracle, 0, "the store is stuck");
    }
    if (r->opened.code && sim_end(w) == SIM_OVER) {
        sim_fail(r->oracle->run, "the store did not open: %.*s", STR_ARG(buf_str(&r->why)));
    }
}

static void after_life(struct run *r, bool power)
{
    bool has_crashed = sim_end(r->world) == SIM_CRASHED;
    uint64_t damaged = store_counts(r->store).damaged;

    if (damaged == 0 && r->oracle->forgives_missing && r->oracle->missing > 0) {
        oracle_violated(r->oracle, 0, "mail is missing, and nothing was said");
    }
    if (damaged > 0 && !r->oracle->forgives_missing) {
        oracle_violated(r->oracle, 0, "damage was said where there is none");
    }
    if (watch_violations() > 0) {
        oracle_violated(r->oracle, 0, "a block that was flushed was written again");
    }
    sim_record(r->oracle->run, r->world);
    store_free(r->store);
    disk_close(r->disk);
    world_free(r->world);
    buf_done(&r->why);
    sim_disk_set(r->sim_disk, NULL);
    if (has_crashed && power) {
        sim_disk_power_cut(r->sim_disk);
    } else if (has_crashed) {
        sim_disk_kill(r->sim_disk);
    }
}

/* One bit of a file that is not the newest rots: the end of the log cannot be told from a torn one.
 */
static bool rot(struct run *r)
{
    struct arena a = {0};
    struct str *names, newest = STR_EMPTY, victim = STR_EMPTY;
    uint64_t offset;
    size_t count;
    bool did = false;

    sim_disk_names(r->sim_disk, &a, &names, &count);
    for (size_t i = 0; i < count; i++) {
        if (str_starts(names[i], STR("log-")) && str_cmp(names[i], newest) > 0) {
            victim = str_is_empty(newest) || rng_next(&r->rng, 2) ? newest : victim;
            newest = names[i];
        } else if (str_starts(names[i], STR("log-")) && rng_next(&r->rng, 3) == 0) {
            victim = names[i];
        }
    }
    if (!str_is_empty(victim)) {
        did = sim_disk_rot(r->sim_disk, victim, 4096, 0, &offset);
    }
    arena_done(&a);
    return did;
}

static const struct {
    const char *name;
    unsigned bit;
} breaks[] = {
    {"leftovers", BROKEN_LEFTOVERS},
    {"fresh-block", BROKEN_FRESH_BLOCK},
    {"ack-before-flush", BROKEN_ACK_BEFORE_FLUSH},
    {"no-flush", BROKEN_NO_FLUSH},
    {"recycle-early", BROKEN_RECYCLE_EARLY},
    {"move-unflushed", BROKEN_MOVE_UNFLUSHED},
    {"silent-damage", BROKEN_SILENT_DAMAGE},
    {"flush-again", BROKEN_FLUSH_AGAIN},
    {"no-reserve", BROKEN_NO_RESERVE},
    {"no-dir-sync", BROKEN_NO_DIR_SYNC},
    {"no-lock", BROKEN_NO_LOCK},
    {"id-limit", BROKEN_ID_LIMIT},
};

static unsigned broken_by(const struct sim_run *told)
{
    unsigned bits = 0;

    for (size_t i = 0; i < COUNT_OF(breaks); i++) {
        bits |= sim_switched(told, breaks[i].name) ? breaks[i].bit : 0;
    }
    return bits;
}

static void run(struct sim_run *told)
{
    uint64_t seed = told->seed;
    unsigned broken = broken_by(told);
    struct rng64 rng = {seed * 0x2545f4914f6cdd1du + 1};
    struct sim_disk *disk = sim_disk_new("store", seed);
    struct oracle oracle = {.run = told};
    bool with_rot = rng_next(&rng, 4) == 0 || broken == BROKEN_SILENT_DAMAGE;
    bool is_filling = rng_next(&rng, 5) == 0 || broken == BROKEN_NO_RESERVE;

    for (int life = 0; life < LIVES; life++) {
        bool is_last = life == LIVES - 1;
        bool power = rng_next(&rng, 4) != 0;
        int64_t crash_ns = is_last || rng_next(&rng, 6) == 0
                               ? 0
                               : (int64_t)(5 + rng_next(&rng, 900)) * NS_PER_MS;
        struct run r = {.sim_disk = disk, .oracle = &oracle, .rng = {rng_next(&rng, UINT64_MAX)}};

        r.options = (struct store_options){.segment_bytes = SEGMENT,
                                           .min_free_bytes = 4 * SEGMENT,
                                           .node = 5,
                                           .checkpoint_bytes = SEGMENT * (1 + rng_next(&rng, 3)),
                                           .broken = broken};
        r.operations = (uint32_t)(40 + rng_next(&rng, 120));
        r.only_checks = is_last;
        r.checks_lock = life == 1;
        r.is_filling = is_filling && !is_last;
        if (is_filling) {
            r.weather.capacity_bytes = 24 * SEGMENT;
            r.options.min_free_bytes = 0;
        }
        if (!is_last && (rng_next(&rng, 3) == 0 || broken == BROKEN_FLUSH_AGAIN)) {
            r.weather.sync_failed_ppm = 4000;
        }
        if (!is_last && rng_next(&rng, 4) == 0) {
            r.weather.slow_sync_ppm = 3000;
        }
        if (is_last && with_rot) {
            oracle.missing = 0;
            oracle.forgives_missing = rot(&r);
        }
        live(&r, seed * 100 + (uint64_t)life, crash_ns);
        if (r.results_full > 0 && r.weather.sync_failed_ppm == 0) {
            oracle_violated(&oracle, 0, "no room for a result, while mail was let in");
        }
        after_life(&r, power);
    }
    oracle_done(&oracle);
    sim_disk_free(disk);
}

int main(int argc, char **argv)
{
    static const struct sim_need needs[] = {
        {"power-cut", 20},      {"kill", 20},      {"cut-lost-bytes", 20},
        {"cut-torn-bytes", 20}, {"disk-full", 20}, {"disk-sync-failed", 20},
        {"cut-lost-name", 20},  {"rot", 20},       {"disk-slow-sync", 20},
    };
    static const struct sim_scenario scenario = {"store", run, needs, COUNT_OF(needs), 200};

    return sim_main(argc, argv, &scenario);
}
