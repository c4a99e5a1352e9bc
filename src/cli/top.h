/*
 * top: what the metrics say, as a page for a terminal.
 *
 * Source    GET /metrics (admin/metrics.c).
 * Owns      Readings live in the caller's arena.
 * Errors    Lines that are no metrics are passed over; what is missing counts as 0.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

#include <stdint.h>

struct top_metric {
    struct str name, label; /* "postyard_queue_slots", "remote" */
    uint64_t value;
};

struct top_reading {
    struct top_metric *items;
    size_t count;
};

void top_read(struct str page, struct arena *a, struct top_reading *ret);
/* `before` may be empty; rates are over `ms`. */
void top_page(const struct top_reading *now, const struct top_reading *before, int64_t ms,
              struct buf *out);
