/*
 * index: what is live, in order of id: where each message and the newest state of each of its
 * recipients lie in the log.
 *
 * Owns      Its entries, their slots and runs, until index_done.
 * Life      A pointer to an entry dies with the next index_add or index_remove.
 * Memory    56 bytes for a message with one recipient, 16 more for each further one; entries lie in
 *           sorted chunks, and ids rise, so that adding is appending.
 * Errors    None.
 */
#pragma once

#include "base/slab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SLOT_BYTES_MASK = (1 << 30) - 1 };

/* Where the newest state of a recipient is. */
struct slot {
    uint32_t version;
    uint32_t segment; /* generation; 0: in the message record itself */
    uint32_t offset;
    uint32_t bytes : 30; /* of it, for the account of what is live */
    uint32_t is_over : 1;
    uint32_t is_pending : 1; /* a change of it is in the batch that is being written */
};

/* How much of a large message lies in which segment; a list ends with segment 0. */
struct run {
    uint32_t segment, bytes;
};

struct entry {
    uint64_t id;
    uint32_t segment, offset; /* of the message record */
    uint32_t meta_bytes, data_bytes;
    uint32_t to_count;
    uint32_t open; /* recipients that are not over */
    struct run *runs;
    union {
        struct slot one;
        struct slot *many;
    };
};

static inline struct slot *entry_slots(struct entry *e)
{
    return e->to_count == 1 ? &e->one : e->many;
}

struct index_chunk;

struct index {
    struct slab slab; /* of chunks */
    struct index_chunk **chunks;
    uint32_t chunk_count, chunk_size;
    uint64_t count;
};

struct entry *index_find(const struct index *x, uint64_t id); /* NULL: none */
/* The first with an id greater than `id`, or NULL. */
struct entry *index_after(const struct index *x, uint64_t id);
/* A new entry with its id, slots for to_count recipients and all else zero. */
struct entry *index_add(struct index *x, uint64_t id, uint32_t to_count);
void index_remove(struct index *x, uint64_t id);
void index_done(struct index *x);
