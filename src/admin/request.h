/*
 * request: what an operator's request to change the queue means, read strictly; and written, by the
 * command line. One table of members, and for each which requests take it.
 *
 * Source    docs/api.md, POST /api/v1/queue/…
 * Owns      All lives in the caller's arena.
 * Limits    HTTP_BODY_MAX.
 * Errors    request_read: false, and why, for anything but one object with members that this
 *           request takes, which say what is meant.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "queue/action.h"
#include "queue/select.h"

#include <stdbool.h>
#include <stdint.h>

enum request_kind {
    REQUEST_HOLD = ACTION_HOLD,
    REQUEST_RELEASE = ACTION_RELEASE,
    REQUEST_RETRY = ACTION_RETRY,
    REQUEST_CANCEL = ACTION_CANCEL,
    REQUEST_MOVE = ACTION_MOVE,
    REQUEST_RESCHEDULE = ACTION_RESCHEDULE,
    REQUEST_PAUSE = ACTION_COUNT,
    REQUEST_RESUME,
    REQUEST_COUNT
};

struct id_list {
    uint64_t *items; /* rising, each once */
    size_t count;
};

struct request {
    struct id_list ids;
    struct selection which; /* its expression is not compiled */
    bool all;
    bool dry_run, progress, silent, quarantine;
    struct str by, reason, name;
    struct str to_queue, to_route;
    struct date at, until; /* 0: none */
};

bool request_read(enum request_kind kind, struct str json, struct arena *a, struct request *ret,
                  struct str *why);
void request_write(const struct request *ask, struct buf *out);
/* Says in people's words what is meant: "queue 'remote' and (rcpt_domain == 'x')". */
struct str request_says(const struct request *ask, struct arena *a);
