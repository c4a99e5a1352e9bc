/*
 * record: the frame around everything the store writes, and the segment's first block.
 *
 * Source    docs/store-format.md, byte by byte.
 * Form      40 bytes of head, then `meta` (TLVs: what a thing is), then `data` (a message's own
 *           bytes, which recovery from a checkpoint need not read), then zeros up to a multiple of
 *           8. Head and meta have one checksum, data another.
 * Invariant 1: head holds the generation of its segment and its own offset, under the checksum.
 * Owns      Nothing.
 * Limits    meta and data below 256 MiB each; a record lies in one segment.
 * Errors    record_decode answers RECORD_NONE for whatever is not a record of this place.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    RECORD_HEAD_BYTES = 40,
    RECORD_ALIGN = 8,
    RECORD_PART_MAX = 1 << 28,
    BLOCK_BYTES = 4096,
    SEGMENT_START = BLOCK_BYTES, /* of the records; before it lies the segment's own block */
    STORE_FORMAT = 1
};

enum record_kind {
    RECORD_SEGMENT = 1, /* first block of a segment: who it is, where its predecessor ended */
    RECORD_MESSAGE,     /* a message; data: its head */
    RECORD_PIECE,       /* data: the next bytes of a large message that is still arriving */
    RECORD_STATES,      /* newer states of recipients of one message */
    RECORD_VALUE,       /* a small named value, or its removal */
    RECORD_LIMIT,       /* no id beyond this was given */
    RECORD_CHECKPOINT,  /* the four below: only in checkpoint files */
    RECORD_ENTRIES,
    RECORD_VALUES,
    RECORD_END,
    RECORD_KIND_COUNT
};

struct record {
    uint64_t generation; /* of the segment; in a checkpoint: its number */
    uint32_t offset;     /* of this record in its file */
    uint32_t confirmed;  /* up to here the segment was durable when this was written */
    uint32_t meta_bytes, data_bytes;
    uint32_t data_crc;
    uint16_t kind;
    uint16_t left; /* records of the same commit that follow */
    uint32_t epoch;
};

static inline uint64_t record_bytes(uint32_t meta_bytes, uint32_t data_bytes)
{
    return ((uint64_t)RECORD_HEAD_BYTES + meta_bytes + data_bytes + RECORD_ALIGN - 1) &
           ~(uint64_t)(RECORD_ALIGN - 1);
}

static inline uint64_t block_up(uint64_t offset)
{
    return (offset + BLOCK_BYTES - 1) & ~(uint64_t)(BLOCK_BYTES - 1);
}

/* Writes the head into `at`; its checksum covers `meta` too. */
void record_encode(const struct record *r, struct str meta, char at[RECORD_HEAD_BYTES]);

enum record_found {
    RECORD_NONE, /* not a record of this generation and offset, or damaged */
    RECORD_MORE, /* perhaps: *need bytes from its start are wanted to tell */
    RECORD_FOUND /* head and meta are whole */
};

/* What lies at bytes, which begin at `offset` of the file of this generation. */
enum record_found record_decode(struct str bytes, uint64_t generation, uint32_t offset,
                                struct record *ret, struct str *meta, uint64_t *need);
/* Whether the head claims to be of this place, however damaged the rest is: a place to look at
 * closer when something broken is stepped over. */
bool record_claims(struct str bytes, uint64_t generation, uint32_t offset);

uint64_t record_claimed(struct str bytes); /* the generation */

struct segment_head {
    uint64_t format, generation;
    uint64_t previous, previous_end; /* the segment before, and where it ends; 0: none */
    uint64_t epoch;
    uint64_t id_limit;
};

/* A whole block. */
void segment_head_encode(const struct segment_head *h, char at[BLOCK_BYTES]);
enum segment_found {
    SEGMENT_NOT_BEGUN, /* not this generation's: a leftover, or never written */
    SEGMENT_NEWER,     /* written by a version of Postyard that we do not understand */
    SEGMENT_FOUND
};
enum segment_found segment_head_decode(struct str block, uint64_t generation,
                                       struct segment_head *ret);
