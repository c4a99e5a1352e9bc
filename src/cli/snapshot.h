/*
 * snapshot: one configuration made ready to serve: read, strategies compiled, policy loaded. What
 * `serve` starts with, what a reload replaces, and what `check` looks at: one function, so that all
 * three say the same.
 *
 * Owns      A snapshot holds one reference of each part; snapshot_drop gives them back. What the
 *           strategies ask about local domains and addresses lives as long as the plan does.
 * Errors    Told in *faults; false then.
 *
 * Reads files, so it blocks, and wants a thread's stack: call it before the loops run, or through
 * offload.
 */
#pragma once

#include "config/config.h"
#include "inbound/policy.h"
#include "strategy/strategy.h"

struct snapshot {
    struct config *config;
    struct plan *plan;
    struct policy *policy;
};

struct snapshot_source {
    const struct setting_table *const *tables;
    size_t table_count;
    struct str path; /* empty: all default */
    uint64_t number;
    bool is_check;         /* named files may be missing */
    uint64_t memory_bytes; /* when server.memory is not set */
};

bool snapshot_load(const struct snapshot_source *source, struct faults *faults,
                   struct snapshot *ret);
void snapshot_drop(struct snapshot *s);
/* The system's host name, which stands where server.hostname is not set. */
struct str system_hostname(void);
