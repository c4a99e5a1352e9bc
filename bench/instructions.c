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
 * Repeats   One seed, no threads, no real clock: two runs do the same, instruction by instruction.
 */
#include "../tests/sim/yard/client.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

enum { SESSIONS = 100, WARM_EACH = 3, CONTENT_BYTES = 4096, LINE_BYTES = 76, DRAIN_MS = 60 * 1000 };

static struct {
    unsigned each;  /* messages a session sends in the next round */
    bool counting;  /* this round is counted */
    uint64_t turns; /* counted */
    struct yard_client sessions[SESSIONS];
    struct buf content;
    struct yard_host sink;
} bench = {.sink = {.number = 1, .behaviour = ""}};

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
    struct yard_mail mail = {"sender@client.example", "rcpt@any-1.example",
                             buf_str(&bench.content)};

    for (unsigned i = 0; i < bench.each; i++) {
        must(client_mail(c, &mail, WHEN_NEVER) == ANSWERED_TAKEN);
    }
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
    must(machine_drain(m, DRAIN_MS, WHEN_NEVER));
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

int main(int argc, char **argv)
{
    static struct machine m;
    struct sim_run run = {.seed = 1};
    uint64_t asked = 1000;
    unsigned messages;
    struct machine_options o = {
        .seed = run.seed,
        .config = "server: { hostname: mx.here.example }\n"
                  "listeners: { smtp: { bind: [\"127.0.0.1:2525\"] } }\n"
                  "queue:\n"
                  "  route: { hub: { type: relay, address: 198.51.100.1, port: 25 } }\n"
                  "  strategy: { route: [ { use: hub } ] }\n",
        .folder = sim_disk_new("store", run.seed),
        .store = {.segment_bytes = 4 * 1024 * 1024,
                  .min_free_bytes = 1024 * 1024,
                  .node = 1,
                  .checkpoint_bytes = 1024 * 1024},
        .hosts = &bench.sink,
        .host_count = 1,
        .outside = outside,
        .ctx = &messages};

    if (argc > 2 || (argc == 2 && !str_to_u64(str_of(argv[1]), &asked)) || asked < SESSIONS ||
        asked > 1000 * 1000) {
        fprintf(stderr, "usage: bench-instructions [MESSAGES]\n");
        return EXIT_FAILURE;
    }
    messages = (unsigned)asked / SESSIONS * SESSIONS;
    compose(&bench.content);
    machine_live(&m, &run, &o);
    if (run.failed || bench.sink.counts.messages != messages + SESSIONS * WARM_EACH) {
        fprintf(stderr, "bench-instructions: %.*s, %llu messages arrived\n",
                STR_ARG(buf_str(&run.why)), (unsigned long long)bench.sink.counts.messages);
        return EXIT_FAILURE;
    }
    printf("%u messages, %llu turns\n", messages, (unsigned long long)bench.turns);
    buf_done(&run.record);
    buf_done(&bench.content);
    sim_disk_free(o.folder);
    return EXIT_SUCCESS;
}
