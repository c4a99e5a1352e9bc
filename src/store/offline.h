/*
 * offline: a store that nobody serves, read by `postyard store check` and `postyard store dump`.
 *
 * Takes the lock, so that no server writes meanwhile; writes nothing else.
 * Owns      Nothing. Lines are given out one by one, without their end, and live until the call
 *           returns.
 * Errors    ERR_BUSY when a server holds it, ERR_VERSION, ERR_NOT_FOUND (dump of one message), what
 *           the disk says; `why` then has a sentence for people. Damage is no error but counted.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "runtime/disk.h"

#include <stdint.h>

struct store_lines {
    void (*line)(void *ctx, struct str text);
    void *ctx;
};

struct store_found {
    uint64_t messages, recipients, bytes; /* live */
    uint64_t segments, damaged;
};

/* Reads every record behind the checkpoint, every live message and every byte of its content, and
 * says what is wrong, one line each. */
struct err store_check(struct disk *disk, struct store_lines out, struct store_found *ret,
                       struct buf *why, struct when by);
/* Live messages, one line of JSON each; id 0: all. */
struct err store_dump(struct disk *disk, uint64_t id, struct store_lines out, struct buf *why,
                      struct when by);
/* The content of one message, in runs of bytes. */
struct err store_dump_content(struct disk *disk, uint64_t id, struct store_lines out,
                              struct buf *why, struct when by);
