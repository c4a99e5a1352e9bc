/*
 * batch: records on their way to one write: gathered without copying what is large.
 *
 * Owns      Its scratch bytes and list of parts, until batch_done. Data of more than
 *           BATCH_COPY_MAX bytes stays where it is and must stay until the write is over.
 * Limits    `limit`: the offset no record may reach; BATCH_PARTS_MAX pieces of memory.
 * Errors    batch_close answers false when a record did not fit; the batch is then as it was
 *           before batch_open. batch_cut takes back whole records.
 */
#pragma once

#include "base/buf.h"
#include "store/record.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum { BATCH_COPY_MAX = 1024, BATCH_PARTS_MAX = 960 };

struct batch_part {
    const char *ptr; /* NULL: in scratch, at `at` */
    size_t at, len;
};

struct batch {
    struct buf scratch;
    struct batch_part parts[BATCH_PARTS_MAX + 2];
    struct iovec iov[BATCH_PARTS_MAX + 2];
    uint32_t part_count;
    uint64_t generation;
    uint64_t start, bytes, limit;
    uint32_t confirmed, epoch;
    bool copies_all;  /* also what is large: it does not stay (broken.h) */
    struct buf *meta; /* where the caller writes between batch_open and batch_close */
    size_t opened;
};

struct batch_mark {
    uint32_t part_count;
    size_t scratch_len, last_len;
    uint64_t bytes;
};

void batch_begin(struct batch *b, uint64_t generation, uint64_t start, uint64_t limit,
                 uint32_t confirmed, uint32_t epoch);
/* The segment's own block, before the first record. */
void batch_segment_head(struct batch *b, const struct segment_head *h);

struct buf *batch_open(struct batch *b);
/* Where the record that is open, or the next one, lies. */
static inline uint32_t batch_offset(const struct batch *b)
{
    return (uint32_t)(b->start + b->bytes);
}
bool batch_close(struct batch *b, enum record_kind kind, uint32_t left, struct str data,
                 uint32_t data_crc);

struct batch_mark batch_mark(const struct batch *b);
void batch_cut(struct batch *b, struct batch_mark mark);

/* Fills up the last block (invariant 2); the pieces of memory, valid until the next batch_begin. */
unsigned batch_iov(struct batch *b, const struct iovec **ret, bool fill);
void batch_done(struct batch *b);
