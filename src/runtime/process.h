/*
 * process: another program, run without a shell in a process group of its own: something is
 * written to its standard input, and what it says is kept as far as it goes.
 *
 * Source    POSIX; posix_spawn(3), pidfd_open(2).
 * Owns      Nothing beyond the call: when it returns, the program has ended and is reaped, and what
 *           is left of its group was killed. What has left the group is on its own.
 * Limits    output_bytes_max; the rest is read and forgotten, so nobody is held up.
 * Errors    ERR_SYSTEM with errno: it could not be started. ERR_LIMIT: no descriptor or fiber.
 *           ERR_TIMEOUT, ERR_CANCELLED: it was killed (for a time-out after SIGTERM and
 *           PROCESS_GRACE_MS). What `input` returned: it was killed. *ret is written on OK only.
 * Simulated sim_service("process") is a struct process_sim; without one nothing can be started.
 *
 * It starts in "/", with no descriptor but the three, with no signal blocked or ignored, and as the
 * server's own user. A program that closes its input early is no error: its exit says what it did.
 */
#pragma once

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"

#include <stdbool.h>

enum { PROCESS_GRACE_MS = 2000 };

struct process_spec {
    const char *const *argv;        /* [0]: the program's path; ended by NULL */
    const char *const *environment; /* "NAME=value"; ended by NULL */
    /* The next run of its input; empty: that was all. */
    struct err (*input)(void *ctx, struct str *ret, struct when by);
    void *ctx;
    struct buf *output; /* of both its outputs */
    size_t output_bytes_max;
};

struct process_end {
    int code;   /* of its exit */
    int signal; /* 0: it was not killed */
};

struct err process_run(const struct process_spec *spec, struct process_end *ret, struct when by);

struct process_sim {
    void *ctx;
    /* What the program makes of its input: its exit; how long it takes. */
    int (*run)(void *ctx, const char *const *argv, struct str input, struct buf *output,
               int64_t *takes_ms);
};
