/*
 * retry: what a request to retry means, read strictly; and written, by the command line.
 *
 * Source    docs/api.md, POST /api/v1/queue/retry.
 * Owns      All lives in the caller's arena.
 * Limits    HTTP_BODY_MAX.
 * Errors    retry_read: false, and why, for anything but one object with known members, of which
 *           exactly one says what is meant.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct retry_request {
    uint64_t *ids;
    size_t id_count;
    struct str where; /* empty: none */
    bool all, dry_run;
};

bool retry_read(struct str json, struct arena *a, struct retry_request *ret, const char **why);
void retry_write(const struct retry_request *ask, struct buf *out);
