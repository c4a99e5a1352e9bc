/*
 * A small machine that needs all of the simulated world: clients send numbers over a bad network, a
 * server writes each to a journal on a bad disk and answers after the flush. Then the machine
 * crashes, at any instant, and starts again on what the disk remembers: each number that a client
 * saw answered must be there. The journal moves to a new file now and then, by rename.
 */
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "runtime/sim.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_net.h"
#include "runtime/stream.h"
#include "sim.h"

#include <stdio.h>

EVENT_DECLARE(number_stored, INFO, "")
EVENT_DEFINE(number_stored, INFO, "a number is in the journal")

enum { CLIENTS = 5, NUMBERS = 40, LIVES = 4, RECORD = 16, PER_FILE = 7, CHUNK = 4096 };

struct machine {
    struct sim_run *run;
    struct sim_disk *disk;
    bool answered[CLIENTS * NUMBERS];
    unsigned next[CLIENTS]; /* each client's next number */
    unsigned clients_left;
    struct world *world;
    struct loop *server, *clients;
    /* the server's */
    struct disk *mounted;
    struct disk_file *file;
    unsigned in_file, file_number;
    bool writing;
    struct signal written;
    struct listener *listener;
    struct group sessions, talkers;
};

static const struct addr here = {.family = 4, .port = 7, .ip = {127, 0, 0, 1}};

/* ---- the journal ---- */

static struct str file_name(char at[32], unsigned number)
{
    return str_make(at, (size_t)snprintf(at, 32, "journal-%04u", number));
}

static struct err new_file(struct machine *m)
{
    char to[32];
    struct err e;

    if (m->file != NULL) {
        disk_file_close(m->file);
        m->file = NULL;
    }
    e = disk_file_open(m->mounted, STR("fresh"), DISK_WRITE | DISK_CREATE, &m->file, WHEN_NEVER);
    if (e.code == OK) {
        e = disk_allocate(m->file, (uint64_t)PER_FILE * CHUNK, WHEN_NEVER);
    }
    if (e.code == OK) {
        e = disk_rename(m->mounted, STR("fresh"), file_name(to, ++m->file_number), WHEN_NEVER);
    }
    if (e.code == OK && !sim_switched(m->run, "no-dir-sync")) {
        e = disk_sync_folder(m->mounted, WHEN_NEVER);
    }
    m->in_file = 0;
    if (e.code != OK && m->file != NULL) {
        disk_file_close(m->file);
        m->file = NULL;
    }
    return e;
}

static struct err store(struct machine *m, unsigned number)
{
    char record[RECORD + 1];
    struct iovec iov = {record, RECORD};
    struct err e = ERR_OK;

    while (m->writing) {
        e = signal_wait(&m->written, "the writer before", WHEN_NEVER);
        if (e.code != OK) {
            return e;
        }
    }
    m->writing = true;
    snprintf(record, sizeof record, "number %08u\n", number);
    if (m->file == NULL || m->in_file == PER_FILE) {
        e = new_file(m);
    }
    if (e.code == OK && sim_switched(m->run, "no-flush")) {
        e = disk_write(m->file, (uint64_t)m->in_file * CHUNK, &iov, 1, WHEN_NEVER);
    } else if (e.code == OK) {
        e = disk_write_sync(m->file, (uint64_t)m->in_file * CHUNK, &iov, 1, WHEN_NEVER);
    }
    if (e.code == ERR_DISK && m->file != NULL && sim_switched(m->run, "retry-flush")) {
        e = disk_sync(m->file, WHEN_NEVER);
    }
    m->in_file++;
    if (e.code != OK && m->file != NULL) {
        /* A failed flush is final: on with another file. */
        disk_file_close(m->file);
        m->file = NULL;
    }
    m->writing = false;
    signal_raise_one(&m->written);
    return e;
}

static void check_file(struct machine *m, struct str name, bool *found)
{
    struct str bytes;

    if (!sim_disk_bytes(m->disk, name, &bytes)) {
        return;
    }
    for (size_t at = 0; at + RECORD <= bytes.len; at += CHUNK) {
        struct str record = str_make(bytes.ptr + at, RECORD);
        uint64_t number;

        if (str_starts(record, STR("number ")) && record.ptr[RECORD - 1] == '\n' &&
            str_to_u64(str_make(record.ptr + 7, 8), &number) && number < CLIENTS * NUMBERS) {
            found[number] = true;
        }
    }
}

/* What was answered is on the disk. */
static void check(struct machine *m)
{
    bool found[CLIENTS * NUMBERS] = {false};
    struct arena a ARENA_LOCAL = {0};
    struct str *names;
    size_t count;

    sim_disk_names(m->disk, &a, &names, &count);
    for (size_t i = 0; i < count; i++) {
        unsigned number;
        char name[32];

        check_file(m, names[i], found);
        snprintf(name, sizeof name, "%.*s", STR_ARG(names[i]));
        if (sscanf(name, "journal-%u", &number) == 1 && number > m->file_number) {
            m->file_number = number;
        }
    }
    for (unsigned i = 0; i < CLIENTS * NUMBERS; i++) {
        if (m->answered[i] && !found[i]) {
            sim_fail(m->run, "number %u was answered and is gone", i);
        }
    }
}

/* ---- the server ---- */

struct session {
    struct machine *machine;
    struct stream *stream;
};

static bool next_line(struct stream *s, uint64_t *number, struct when by)
{
    for (;;) {
        struct str all = stream_buffered(s), line = all;

        if (str_cut(&all, '\n', &line)) {
            bool ok = str_to_u64(line, number);

            stream_take(s, line.len + 1);
            return ok;
        }
        if (stream_fill(s, "a number", by).code != OK) {
            return false;
        }
    }
}

static bool say_line(struct stream *s, unsigned number, struct when by)
{
    char line[16];
    int n = snprintf(line, sizeof line, "%u\n", number);

    return stream_put(s, str_make(line, (size_t)n), by).code == OK &&
           stream_flush(s, by).code == OK;
}

static void serve_one(void *arg)
{
    struct session *s = arg;
    struct machine *m = s->machine;
    uint64_t number;

    while (next_line(s->stream, &number, when_after(60 * 1000)) && number < CLIENTS * NUMBERS) {
        bool early = sim_switched(m->run, "ack-early") && number % 4 == 0;

        if (early && !say_line(s->stream, (unsigned)number, when_after(60 * 1000))) {
            break;
        }
        if (store(m, (unsigned)number).code != OK) {
            break;
        }
        event_raise(&ev_number_stored, f_count((int64_t)number));
        if (!early && !say_line(s->stream, (unsigned)number, when_after(60 * 1000))) {
            break;
        }
    }
    stream_close(s->stream);
    mem_free(s);
}

static void serve(void *arg)
{
    struct machine *m = arg;
    struct guest *g;

    signal_init(&m->written);
    m->writing = false;
    m->file = NULL;
    group_init(&m->sessions, "sessions", 0);
    if (disk_open(STR("/journal"), &m->mounted, WHEN_NEVER).code != OK) {
        return;
    }
    if (listener_open(here, &m->listener).code == OK) {
        while (listener_accept(m->listener, &g, WHEN_NEVER).code == OK) {
            struct session *s = MEM_NEW(struct session);

            *s = (struct session){m, guest_stream(g)};
            if (group_spawn_now(&m->sessions, "session", serve_one, s).code != OK) {
                stream_close(s->stream);
                mem_free(s);
            }
        }
        listener_close(m->listener);
    }
    group_cancel(&m->sessions);
    group_join(&m->sessions, WHEN_NEVER);
    if (m->file != NULL) {
        disk_file_close(m->file);
    }
    disk_close(m->mounted);
}

/* ---- the clients ---- */

struct talker {
    struct machine *machine;
    unsigned index;
};

static void talk_on(struct machine *m, unsigned index, struct stream *s)
{
    while (m->next[index] < NUMBERS) {
        unsigned number = index * NUMBERS + m->next[index];
        uint64_t back;

        if (!say_line(s, number, when_after(30 * 1000)) ||
            !next_line(s, &back, when_after(30 * 1000)) || back != number) {
            return;
        }
        m->answered[number] = true;
        m->next[index]++;
    }
}

static void talk(void *arg)
{
    struct talker *t = arg;
    struct machine *m = t->machine;

    while (m->next[t->index] < NUMBERS && !fiber_is_cancelled()) {
        struct stream *s;

        if (stream_connect(here, (struct addr){0}, &s, when_after(10 * 1000)).code == OK) {
            talk_on(m, t->index, s);
            stream_close(s);
        }
        (void)fiber_sleep(when_after(1 + (int64_t)random_below(500)), WHEN_NEVER);
    }
}

static void all_talk(void *arg)
{
    struct machine *m = arg;
    struct talker talkers[CLIENTS];

    group_init(&m->talkers, "talkers", 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        talkers[i] = (struct talker){m, i};
        must(group_spawn_now(&m->talkers, "talker", talk, &talkers[i]).code == OK);
    }
    while (m->talkers.count > 0 && !fiber_is_cancelled()) {
        (void)group_join(&m->talkers, when_after(1000));
    }
    group_cancel(&m->talkers);
    group_join(&m->talkers, WHEN_NEVER);
    loop_cancel(m->server);
}

/* ---- one seed ---- */

static void one_life(struct machine *m, uint64_t life)
{
    static const char *const points[] = {"disk-op",          "disk-sync",    "disk-write",
                                         "net-accept",       "disk-op",      "disk-rename",
                                         "disk-sync-folder", "number_stored"};
    struct sim_options o = {.seed = m->run->seed * LIVES + life, .time_max_ms = 86400 * 1000};
    uint64_t draw = m->run->seed * 7 + life * 3;

    m->world = sim_world(&o);
    sim_net_rule(m->world, &(struct sim_net_rule){.latency_ns = 300 * 1000,
                                                  .jitter_ns = 20 * NS_PER_MS,
                                                  .refused_ppm = 50000,
                                                  .silent_ppm = 20000,
                                                  .reset_ppm = 200000,
                                                  .stall_ppm = 50000});
    sim_disk_attach(m->disk, m->world);
    if (life + 1 < LIVES) {
        if (draw % 3 == 0) {
            sim_crash_after(m->world, (int64_t)(draw * 7919 % 5000) * NS_PER_MS);
        } else {
            sim_crash_at(m->world, points[draw % COUNT_OF(points)], 1 + draw * 31 % 40);
        }
    }
    m->server = world_loop(m->world, "server");
    m->clients = world_loop(m->world, "clients");
    loop_main(m->server, serve, m);
    loop_main(m->clients, all_talk, m);
    world_run(m->world);
    if (sim_end(m->world) == SIM_STUCK || sim_end(m->world) == SIM_TOO_LONG) {
        sim_fail(m->run, "life %u did not end", (unsigned)life);
    }
    sim_record(m->run, m->world);
    if (sim_end(m->world) == SIM_CRASHED && (draw % 4 == 0)) {
        sim_disk_kill(m->disk);
    } else if (sim_end(m->world) == SIM_CRASHED) {
        sim_disk_power_cut(m->disk);
    }
    world_free(m->world);
    check(m);
}

static void run(struct sim_run *r)
{
    struct machine m = {.run = r, .disk = sim_disk_new("/journal", r->seed)};

    sim_disk_set(m.disk, &(struct sim_disk_weather){.sync_failed_ppm = 10000,
                                                    .write_failed_ppm = 2000,
                                                    .slow_sync_ppm = 10000});
    for (uint64_t life = 0; life < LIVES; life++) {
        one_life(&m, life);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (m.next[i] < NUMBERS) {
            sim_fail(r, "client %u came only to %u", i, m.next[i]);
        }
    }
    sim_disk_free(m.disk);
}

int main(int argc, char **argv)
{
    static const struct sim_need needs[] = {
        {"crash", 20},          {"power-cut", 20},        {"kill", 20},
        {"net-refused", 20},    {"net-silent", 20},       {"net-reset", 20},
        {"net-stall", 20},      {"cut-lost-bytes", 20},   {"cut-lost-name", 20},
        {"disk-slow-sync", 20}, {"disk-sync-failed", 20}, {"disk-write-failed", 20},
    };
    static const struct sim_scenario scenario = {"runtime", run, needs, COUNT_OF(needs), 200};

    return sim_main(argc, argv, &scenario);
}
