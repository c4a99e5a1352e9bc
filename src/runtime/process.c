/*
 * process: the real body and the simulated one.
 *
 * The calling fiber writes; a second one reads, so that neither side waits for the other. The
 * program is started and reaped in offload: both may block.
 */
#include "runtime/process.h"

#include "base/check.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/offload.h"
#include "runtime/sim.h"
#include "runtime/stream.h"
#include "runtime/transport.h"
#include "runtime/world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LAST_WORDS_MS = 1000 };

struct process {
    const struct process_spec *spec;
    int in[2], out[2]; /* 0: to read from, 1: to write to */
    pid_t pid;
    int pidfd;
    int failed; /* errno of the start */
    bool is_reaped;
    siginfo_t info;
    struct group group; /* of the reader */
};

static void close_one(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* ---- start and end, on a thread of offload ---- */

static int actions_of(const struct process *p, posix_spawn_file_actions_t *a)
{
    int e = posix_spawn_file_actions_adddup2(a, p->in[0], STDIN_FILENO);

    e = e ? e : posix_spawn_file_actions_adddup2(a, p->out[1], STDOUT_FILENO);
    e = e ? e : posix_spawn_file_actions_adddup2(a, p->out[1], STDERR_FILENO);
    e = e ? e : posix_spawn_file_actions_addclosefrom_np(a, STDERR_FILENO + 1);
    return e ? e : posix_spawn_file_actions_addchdir_np(a, "/");
}

static int attributes_of(posix_spawnattr_t *at)
{
    sigset_t none, all;
    int e;

    sigemptyset(&none);
    sigfillset(&all);
    e = posix_spawnattr_setsigmask(at, &none);
    e = e ? e : posix_spawnattr_setsigdefault(at, &all);
    e = e ? e : posix_spawnattr_setpgroup(at, 0);
    return e ? e
             : posix_spawnattr_setflags(at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                POSIX_SPAWN_SETSIGDEF);
}

static void start(void *arg)
{
    struct process *p = arg;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    must(posix_spawn_file_actions_init(&actions) == 0);
    must(posix_spawnattr_init(&attributes) == 0);
    p->failed = actions_of(p, &actions);
    p->failed = p->failed ? p->failed : attributes_of(&attributes);
    if (p->failed == 0) {
        p->failed = posix_spawn(&p->pid, p->spec->argv[0], &actions, &attributes,
                                (char *const *)(uintptr_t)p->spec->argv,
                                (char *const *)(uintptr_t)p->spec->environment);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (p->failed == 0) {
        p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
        p->failed = p->pidfd < 0 ? errno : 0;
    }
}

static void reap(void *arg)
{
    struct process *p = arg;

    while (waitid(P_PID, (id_t)p->pid, &p->info, WEXITED) != 0) {
        must(errno == EINTR);
    }
}

/* Whatever happened: it ends now, and its group with it. */
static void end(struct process *p)
{
    if (p->pid <= 0 || p->is_reaped) {
        return;
    }
    (void)kill(-p->pid, SIGKILL);
    offload("the end of a program", reap, p, WHEN_NEVER);
    p->is_reaped = true;
}

/* ---- talk ---- */

static void read_fiber(void *arg)
{
    struct process *p = arg;
    struct watch *w = watch_open(p->out[0]);
    struct buf *out = p->spec->output;
    char room[2048];

    for (;;) {
        ssize_t n = read(p->out[0], room, sizeof room);

        if (n > 0) {
            size_t left = out->len < p->spec->output_bytes_max
                              ? p->spec->output_bytes_max - out->len
                              : 0;

            buf_put(out, str_head(str_make(room, (size_t)n), left));
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR) ||
                   watch_wait(w, WANT_READ, "a program's output", WHEN_NEVER).code != OK) {
            break;
        }
    }
    watch_close(w);
}

/* All of it, or as much as the program wants. */
static struct err write_all(struct process *p, struct watch *w, struct str bytes, bool *closed,
                            struct when by)
{
    while (bytes.len > 0) {
        ssize_t n = write(p->in[1], bytes.ptr, bytes.len);
        struct err e;

        if (n > 0) {
            bytes = str_skip(bytes, (size_t)n);
        } else if (errno == EPIPE) {
            *closed = true;
            return ERR_OK;
        } else if (errno != EAGAIN && errno != EINTR) {
            return err_sys(ERR_SYSTEM, errno);
        } else {
            e = watch_wait(w, WANT_WRITE, "a program to read", by);
            if (e.code) {
                return e;
            }
        }
    }
    return ERR_OK;
}

static struct err feed(struct process *p, struct when by)
{
    struct watch *w = watch_open(p->in[1]);
    struct err e = ERR_OK;
    bool closed = false;

    while (!closed) {
        struct str run = STR_EMPTY;

        e = p->spec->input(p->spec->ctx, &run, by);
        if (e.code || run.len == 0) {
            break;
        }
        e = write_all(p, w, run, &closed, by);
        if (e.code) {
            break;
        }
    }
    watch_close(w);
    close_one(&p->in[1]);
    return e;
}

static struct err await(struct process *p, struct when by)
{
    struct watch *w = watch_open(p->pidfd);
    struct err e = watch_wait(w, WANT_READ, "a program's end", by);

    if (e.code == ERR_TIMEOUT && kill(-p->pid, SIGTERM) == 0) {
        (void)watch_wait(w, WANT_READ, "a program's end", when_after(PROCESS_GRACE_MS));
    }
    watch_close(w);
    return e;
}

static struct err talk(struct process *p, struct when by)
{
    struct err e;

    group_init(&p->group, "program", 0);
    e = group_spawn_now(&p->group, "output", read_fiber, p);
    if (e.code == OK) {
        e = feed(p, by);
        e = e.code && e.code != ERR_TIMEOUT ? e : await(p, by);
    }
    end(p);
    /* Somebody who left the group may still hold the pipe. */
    if (group_join(&p->group, when_after(LAST_WORDS_MS)).code != OK) {
        group_cancel(&p->group);
        (void)group_join(&p->group, WHEN_NEVER);
    }
    return e;
}

static struct err pipes_open(struct process *p)
{
    if (pipe2(p->in, O_CLOEXEC) != 0 || pipe2(p->out, O_CLOEXEC) != 0) {
        return err_sys(ERR_LIMIT, errno);
    }
    must(fcntl(p->in[1], F_SETFL, O_NONBLOCK) == 0);
    must(fcntl(p->out[0], F_SETFL, O_NONBLOCK) == 0);
    return ERR_OK;
}

static struct err run_real(const struct process_spec *spec, struct process_end *ret, struct when by)
{
    struct process p = {.spec = spec, .in = {-1, -1}, .out = {-1, -1}, .pidfd = -1};
    struct err e = pipes_open(&p);

    if (e.code == OK) {
        offload("a program's start", start, &p, by);
        close_one(&p.in[0]);
        close_one(&p.out[1]);
        if (p.failed != 0) {
            end(&p);
            e = err_sys(ERR_SYSTEM, p.failed);
        }
    }
    e = e.code ? e : talk(&p, by);
    for (int i = 0; i < 2; i++) {
        close_one(&p.in[i]);
        close_one(&p.out[i]);
    }
    close_one(&p.pidfd);
    if (e.code == OK) {
        bool exited = p.info.si_code == CLD_EXITED;

        *ret = (struct process_end){.code = exited ? p.info.si_status : 0,
                                    .signal = exited ? 0 : p.info.si_status};
    }
    return e;
}

/* ---- simulated ---- */

static struct err run_sim(const struct process_spec *spec, struct process_end *ret, struct when by)
{
    const struct process_sim *sim = sim_service("process");
    struct buf input BUF_LOCAL = {0}, output BUF_LOCAL = {0};
    struct str run;
    int64_t takes_ms = 1;
    struct err e;
    struct when until;
    int code;

    if (sim == NULL) {
        return err_sys(ERR_SYSTEM, ENOENT);
    }
    do {
        run = STR_EMPTY;
        e = spec->input(spec->ctx, &run, by);
        if (e.code) {
            return e;
        }
        buf_put(&input, run);
    } while (run.len > 0);
    code = sim->run(sim->ctx, spec->argv, buf_str(&input), &output, &takes_ms);
    until = when_after(takes_ms);
    e = fiber_sleep(until, by);
    if (e.code) {
        return e;
    }
    buf_put(spec->output, str_head(buf_str(&output), spec->output_bytes_max));
    *ret = (struct process_end){.code = code};
    return ERR_OK;
}

struct err process_run(const struct process_spec *spec, struct process_end *ret, struct when by)
{
    return world_is_simulated() ? run_sim(spec, ret, by) : run_real(spec, ret, by);
}
