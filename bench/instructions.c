/*
 * The hot path, for counting instructions: the whole server in a simulated world takes messages of
 * 4 KiB from a hundred sessions and relays them to a fast destination. bench/instructions runs this
 * under callgrind.
 *
 *     build/bench/bench-instructions [MESSAGES]
 *
 * Counted   Only turns of the server's own loops, from the first message after a warm-up until the
 *           last one is delivered and forgotten. What the clients and the destination do on the
 *           loop `outside` is not; what the simulation does inside of the server's turns (its
 *           network, its disk) is, in functions of its own, and bench/instructions leaves it out.
 * Repeats   Fixed seeds, no threads, no real clock: two runs do the same, instruction by
 *           instruction. Several seeds, because a change of a few instructions somewhere changes
 *           who meets whom, and with it how many messages share a turn or a connection.
 */
#include "../tests/sim/yard/client.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

enum {
    SEEDS = 4,
    SESSIONS = 100,
    WARM_EACH = 3,
    CONTENT_BYTES = 4096,
    LINE_BYTES = 76,
    LOOK_MS = 2,
    RESULTS_MS = 300 /* the last results are on the disk by then */
};

static struct {
    unsigned each;  /* messages a session sends in the next round */
    uint64_t sent;  /* by all sessions, since the start */
    bool counting;  /* this round is counted */
    uint64_t turns; /* counted */
    struct yard_client sessions[SESSIONS];
    struct buf content;
    struct yard_host sink;
} bench;

/* ---- what is counted: the linker gives us each turn of each loop (-Wl,--wrap) ---- */

bool __real_loop_turn(struct loop *l);
bool __wrap_loop_turn(struct loop *l);

bool __wrap_loop_turn(struct loop *l)
{
    bool is_counted = bench.counting && strcmp(loop_name(l), "outside") != 0;
    bool ret;

    if (!is_counted) {
        return __real_loop_turn(l);
    }
    bench.turns++;
    CALLGRIND_TOGGLE_COLLECT;
    ret = __real_loop_turn(l);
    CALLGRIND_TOGGLE_COLLECT;
    return ret;
}

/* ---- the sessions ---- */

static void compose(struct buf *out)
{
    buf_put(out, STR("From: Sender <sender@client.example>\r\nTo: rcpt@any-1.example\r\n"
                     "Subject: the hot path\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
                     "Message-ID: <1@client.example>\r\nMIME-Version: 1.0\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\n\r\n"));
    while (out->len < CONTENT_BYTES) {
        for (unsigned i = 0; i < LINE_BYTES; i++) {
            buf_byte(out, (char)('a' + (i + out->len / LINE_BYTES) % 26));
        }
        buf_put(out, STR("\r\n"));
    }
}

static void session(void *arg)
{
    struct yard_client *c = arg;
    struct yard_mail mail = {.from = "sender@client.example",
                             .to = "rcpt@any-1.example",
                             .content = buf_str(&bench.content)};

    for (unsigned i = 0; i < bench.each; i++) {
        must(client_mail(c, &mail, WHEN_NEVER) == ANSWERED_TAKEN);
    }
}

/* Not by machine_drain, which looks too seldom: connections to the destination would end. */
static void until_delivered(struct machine *m, uint64_t count)
{
    while (bench.sink.counts.messages < count) {
        must(fiber_sleep(when_after(LOOK_MS), WHEN_NEVER).code == OK);
    }
    must(fiber_sleep(when_after(RESULTS_MS), WHEN_NEVER).code == OK);
    must(machine_counts(m, WHEN_NEVER).jobs == 0);
}

/* Each session sends so many; until the last one is delivered. */
static void round_of(struct machine *m, unsigned each)
{
    struct group group;

    bench.each = each;
    group_init(&group, "sessions", 0);
    for (unsigned i = 0; i < SESSIONS; i++) {
        must(group_spawn_now(&group, "session", session, &bench.sessions[i]).code == OK);
    }
    must(group_join(&group, WHEN_NEVER).code == OK);
    bench.sent += (uint64_t)each * SESSIONS;
    until_delivered(m, bench.sent);
}

static void outside(struct machine *m)
{
    const unsigned *messages = m->options.ctx;

    for (unsigned i = 0; i < SESSIONS; i++) {
        must(client_open(&bench.sessions[i], m, WHEN_NEVER));
    }
    round_of(m, WARM_EACH);
    CALLGRIND_START_INSTRUMENTATION;
    bench.counting = true;
    round_of(m, *messages / SESSIONS);
    bench.counting = false;
    CALLGRIND_STOP_INSTRUMENTATION;
    for (unsigned i = 0; i < SESSIONS; i++) {
        client_close(&bench.sessions[i], WHEN_NEVER);
    }
}

/* One life of the server in a world of that seed. */
static bool measure(uint64_t seed, unsigned messages)
{
    static struct machine m;
    struct sim_run run = {.seed = seed};
    struct machine_options o = {
        .seed = seed,
        .config = "server: { hostname: mx.here.example }\n"
                  "listeners: { smtp: { bind: [\"127.0.0.1:2525\"] } }\n"
                  "queue:\n"
                  "  route: { hub: { type: relay, address: 198.51.100.1, port: 25 } }\n"
                  "  strategy: { route: [ { use: hub } ] }\n",
        .folder = sim_disk_new("store", seed),
        .store = {.segment_bytes = 4 * 1024 * 1024,
                  .min_free_bytes = 1024 * 1024,
                  .node = 1,
                  .checkpoint_bytes = 1024 * 1024},
        .hosts = &bench.sink,
        .host_count = 1,
        .outside = outside,
        .ctx = &messages};

    bench.sink = (struct yard_host){.number = 1, .behaviour = ""};
    bench.sent = 0;
    machine_live(&m, &run, &o);
    if (run.failed) {
        fprintf(stderr, "bench-instructions: %.*s\n", STR_ARG(buf_str(&run.why)));
    }
    buf_done(&run.why);
    buf_done(&run.record);
    sim_disk_free(o.folder);
    return !run.failed;
}

int main(int argc, char **argv)
{
    uint64_t asked = 2000;
    unsigned each;

    if (argc > 2 || (argc == 2 && !str_to_u64(str_of(argv[1]), &asked)) || asked > 1000 * 1000 ||
        asked % (SEEDS * SESSIONS) != 0 || asked == 0) {
        fprintf(stderr, "usage: bench-instructions [MESSAGES], a multiple of %d\n",
                SEEDS * SESSIONS);
        return EXIT_FAILURE;
    }
    each = (unsigned)asked / SEEDS;
    compose(&bench.content);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        if (!measure(seed, each)) {
            return EXIT_FAILURE;
        }
    }
    printf("%u messages, %llu turns\n", each * SEEDS, (unsigned long long)bench.turns);
    buf_done(&bench.content);
    return EXIT_SUCCESS;
}
