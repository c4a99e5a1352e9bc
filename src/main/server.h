/*
 * server: the whole of a running Postyard: its loops, and who lives on which.
 *
 *      home      listeners, resolver, look-ups, admin interface, signals; start and end
 *      store     the segmented log
 *      queue     jobs and slots
 *      work-N    one a processor: sessions and deliveries
 *
 * Start     store (recovers) -> resolver, look-ups -> deliveries -> queue (loads) -> listeners ->
 *           admin.
 * End       listeners and sessions (421, grace) -> queue (nothing new starts) -> deliveries (what
 *           is left of the grace, then cut before the end of data) -> store (results, checkpoint).
 *           A second signal to end means: now.
 */
#pragma once

#include "cli/snapshot.h"
#include "runtime/loop.h"

#include <stdint.h>

struct server_options {
    struct snapshot snapshot;      /* one reference of each part is taken over */
    struct snapshot_source source; /* for reloads; number is the snapshot's */
    uint32_t descriptors;
};

/* Runs until told to end. Exit status for the process. */
int postyard_run(const struct server_options *o);
