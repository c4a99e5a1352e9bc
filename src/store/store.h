/*
 * store: what was answered 250 is here, on stable storage, until its last recipient is final and no
 * report is owed. The embedded store is our own segmented log; docs/store-format.md describes it
 * byte by byte, and log.c opens with its nine invariants.
 *
 * Threads   The store is fiber code on a loop of its own. Everything here may be called from any
 *           loop of the world unless it says otherwise; calls that wait post to the store's loop.
 * Atomic    One commit is all or nothing, over any crash. Commits are durable in the order posted.
 * Durable   `done` is posted only after the flush that covers the commit has returned.
 * Errors    In result: ERR_FULL (below min-free, or no segment to be had), ERR_DISK (a failed
 *           flush; what it did not confirm counts as lost), ERR_STALE (a change that expected
 *           another version: nothing of that commit was stored), ERR_NOT_FOUND (a change to a
 *           message that is no longer stored), ERR_BUSY (the store is closing).
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "runtime/disk.h"
#include "runtime/loop.h"
#include "store/parcel.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

struct store_options {
    uint64_t segment_bytes;    /* 64 MiB; less in simulations */
    uint64_t min_free_bytes;   /* below: new mail is refused */
    uint32_t node;             /* 0 to 1023, in ids */
    uint64_t checkpoint_bytes; /* a checkpoint at least every so many bytes of log */
    unsigned broken;           /* broken.h: for tests that must fail; else 0 */
};

/* Does not touch the disk yet. `disk` stays the caller's and must outlive the store. */
struct store *store_new(struct loop *home, struct disk *disk, const struct store_options *o);
/* The work of the store's loop, as (part of) its main fiber: takes the lock, recovers, then serves
 * until cancelled; then writes a checkpoint and returns. What went wrong when it could not start is
 * in *ret, with a sentence for people in `why` (naming file and offset, or the lock's holder). */
void store_serve(struct store *s, struct err *ret, struct buf *why);
void store_free(struct store *s);
/* Waits until recovery is over; its result. */
struct err store_ready(struct store *s, struct when by);

/* A new id, strictly greater than any this store ever gave, over restarts and clock steps. After
 * store_ready has said OK. */
uint64_t store_new_id(struct store *s);

/* The greatest id that may be stored when the store is opened: what was there at the start has no
 * greater one, what comes later has. After store_ready has said OK. */
uint64_t store_id_at_start(const struct store *s);

/* Bytes of a large message, put into the log while they arrive, 64 KiB at a time. Back-pressure:
 * store_body_add waits until the bytes are written (not flushed). A body that is neither committed
 * nor abandoned at a crash is garbage. Belongs to one fiber; after the commit it belongs to the
 * store, whatever the result. */
struct store_body;
struct store_body *store_body_open(struct store *s);
struct err store_body_add(struct store_body *b, struct str bytes, struct when by);
void store_body_abandon(struct store_body *b);
/* What was added so far, before the commit: a run that starts at `offset`, at least one byte, as
 * store_content has it. The view of bytes that are not written yet ends with the next add. */
struct err store_body_read(struct store_body *b, uint64_t offset, struct buf *into, struct str *ret,
                           struct when by);

struct store_change {
    uint64_t id;
    uint32_t index;    /* of the recipient */
    uint32_t expected; /* version that is replaced; state->version is expected + 1 */
    const struct rcpt_state *state;
};

struct store_value {
    struct str name;
    struct str bytes;
    bool remove;
};

/* One commit. Everything it points to stays the caller's, untouched, until `done` runs on `reply`.
 */
struct store_commit {
    struct post done;
    struct loop *reply;
    struct err result;
    bool lazy;                        /* a result: may wait 50 ms, or until 256 wait, for company */
    struct parcel *const *messages;   /* new: message.id set, `head` filled */
    struct store_body *const *bodies; /* for each message what follows its head, or NULL */
    uint32_t message_count;
    const struct store_change *changes;
    uint32_t change_count;
    const struct store_value *values;
    uint32_t value_count;
    /* The store's. */
    struct post inner;
    struct store *store;
    struct move *move;
    struct fiber *waiter;
    bool waiter_done;
    bool was_lost; /* by a failed flush; written again */
};

void store_post(struct store *s, struct store_commit *c);
/* The same from a fiber, which waits firmly; done and reply are set here. */
struct err store_commit(struct store *s, struct store_commit *c, struct when by);

/* The message as it is stored now, with current states and its head. ERR_NOT_FOUND when forgotten;
 * ERR_CORRUPT when its bytes are damaged. */
struct err store_fetch(struct store *s, uint64_t id, struct parcel **ret, struct when by);
/* A run of content that starts at `offset` (less than message.size), at least one byte: a view of
 * p->head, or bytes read into `into` (cleared first). */
struct err store_content(struct store *s, const struct parcel *p, uint64_t offset, struct buf *into,
                         struct str *ret, struct when by);

/* All that is live, in order of id, for the queue at start: up to `max` messages with id greater
 * than `after`, without content, in a. *count 0: the end. Does not read bodies. */
struct err store_walk(struct store *s, uint64_t after, uint32_t max, struct arena *a,
                      struct message **ret, uint32_t *count, struct when by);
struct err store_value_read(struct store *s, struct str name, struct arena *a, struct str *ret,
                            struct when by);

/* May new mail come in; may deliveries start (their results could be written)? Cheap, any thread.
 */
enum store_room { STORE_ROOM, STORE_LOW, STORE_STOPPED };
enum store_room store_room(const struct store *s);
/* Whether a message of so many bytes would leave min-free. */
bool store_has_room(const struct store *s, uint64_t bytes);

struct store_counts {
    uint64_t live_messages, live_bytes, segments, free_segments;
    uint64_t commits, flushes, bytes_written, bytes_copied, checkpoints, failed_flushes;
    uint64_t damaged; /* messages known to be damaged */
};
struct store_counts store_counts(const struct store *s);
