/*
 * segment: the book of segments: what in each is still live, and which may be used again.
 *
 * Pure: no disk, no time. The plan functions decide invariants 3 and 4 (log.c) and can be tested
 * with tables.
 * Owns      Its struct segments, until segments_done; not the files.
 * Errors    None.
 */
#pragma once

#include "base/map.h"

#include <stdbool.h>
#include <stdint.h>

struct disk_file;

struct segment {
    uint32_t generation;
    struct disk_file *file; /* NULL: not opened yet */
    uint32_t written;       /* where the next batch of the active one begins */
    uint32_t confirmed;     /* durable up to here; when sealed, the end */
    uint32_t refs;          /* live things in it: message records, runs, states */
    uint32_t pins;          /* pieces of bodies that are not committed yet */
    uint32_t readers;       /* reads that are under way */
    uint64_t live_bytes;
    bool is_sealed;
    bool is_begun;     /* its head is written */
    bool is_dirty;     /* written since the last flush */
    bool is_stuck;     /* its survivors could not be moved */
    bool has_failed;   /* a flush failed: never flushed again */
    bool may_be_short; /* its file may be shorter than a segment: never a spare */
};

struct segments {
    struct segment **list; /* by generation, rising */
    uint32_t count, size;
    struct map by_generation;
};

struct segment *segments_find(const struct segments *all, uint32_t generation); /* NULL: none */
struct segment *segments_add(struct segments *all, uint32_t generation);
void segments_remove(struct segments *all, struct segment *g);
void segments_done(struct segments *all);

/* A live thing of so many bytes came to lie in the segment, or is live no more. A segment that is
 * not in the book (damaged, missing) is passed over. */
void segments_ref(struct segments *all, uint32_t generation, uint32_t bytes);
void segments_unref(struct segments *all, uint32_t generation, uint32_t bytes);

/* Invariant 3: nothing in it is live or being read, and a durable checkpoint covers all its
 * results. covered: the generation in which the newest durable checkpoint begins. */
bool segment_may_be_recycled(const struct segment *g, uint32_t covered);

/*
 * The sealed segment whose survivors should move, or NULL. Moving pays only when most of it is
 * dead: then the room it gives is at least what was copied, and since room is filled by accepted
 * bytes, no more is copied than is accepted (invariant 4). `credit`: bytes accepted and not yet
 * answered by copies.
 */
struct segment *segments_to_move(const struct segments *all, uint64_t segment_bytes,
                                 uint32_t covered, uint64_t credit);
