/*
 * scan: the records of one segment file, one after the other, and what is wrong between them.
 *
 * Source    docs/store-format.md.
 * Owns      Its window of bytes, until scan_done. meta and data are views until the next scan_next.
 * Rule      Invariant 5. In a sealed segment the end is known and everything up to it must be
 *           readable. In the last one the first invalid record ends the log, unless something
 *           behind it says that it was durable (record.confirmed).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "runtime/disk.h"
#include "store/record.h"

struct scan {
    struct disk_file *file;
    uint64_t generation;
    uint32_t at;           /* the next record */
    uint32_t end;          /* of a sealed segment; 0: to be found */
    uint32_t most;         /* bytes of the file at most */
    uint32_t proven;       /* up to here the last one was durable */
    uint32_t good_end;     /* behind the last valid record */
    bool trusts_leftovers; /* broken.h */
    struct buf window;
    uint32_t window_from;
};

enum scan_found {
    SCAN_RECORD,
    SCAN_DATA_DAMAGED, /* a record whose data is not what was written; meta is */
    SCAN_DAMAGED,      /* bytes from `damaged_from` up to scan.at are no records, but should be */
    SCAN_END,
    SCAN_FAILED /* the disk said *e */
};

/* end 0: the last segment. */
void scan_begin(struct scan *c, struct disk_file *file, uint64_t generation, uint32_t from,
                uint32_t end, uint32_t most, bool trusts_leftovers);
enum scan_found scan_next(struct scan *c, struct record *r, struct str *meta, struct str *data,
                          uint32_t *damaged_from, struct err *e, struct when by);
void scan_done(struct scan *c);
