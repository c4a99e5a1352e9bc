/*
 * log: the store's inside, shared by its files; nobody outside store/ includes it. log.c says what
 * must stay true.
 *
 * Owns      struct store: everything below, until store_free.
 * Threads   The atomics are for any thread; all else belongs to the store's loop.
 */
#pragma once

#include "base/list.h"
#include "runtime/fiber.h"
#include "store/batch.h"
#include "store/broken.h"
#include "store/index.h"
#include "store/offline.h"
#include "store/segment.h"
#include "store/store.h"
#include "store/wire.h"

#include <stdatomic.h>

enum {
    RESERVED_SEGMENTS = 2,                /* invariant 7 */
    SPARE_WANTED = RESERVED_SEGMENTS + 1, /* and one for what comes next */
    SPARE_KEPT = 8,                       /* more are removed */
    PIECE_DATA_BYTES = 64 * 1024 - RECORD_HEAD_BYTES,
    LAZY_MS = 50, /* P1 promises 100: half of it for the flush */
    LAZY_COUNT = 256,
    BATCH_BYTES_SOFT = 4 * 1024 * 1024, /* a batch takes no further commit beyond this */
    SEGMENT_BYTES_MAX = 1 << 30,
    PLACES_MAX = 8, /* of one message's states; more are brought together */
    SCATTERED_MAX = 64,
    NAME_BYTES = 32
};

/* A segment file that holds nothing, ready to be renamed and written. */
struct spare {
    uint64_t number; /* in its name */
    struct disk_file *file;
};

/* A small named value; all are in memory. */
struct value {
    struct str name, bytes; /* both behind the struct */
};

/* A place in the log. */
struct log_position {
    uint32_t generation, offset;
};

/* Where a record of the batch came to lie; in the order of encoding. */
struct placed {
    uint32_t offset, meta_bytes, data_bytes;
};

struct store_totals {
    atomic_uint_fast64_t live_messages, live_bytes, segments, free_segments;
    atomic_uint_fast64_t commits, flushes, bytes_written, bytes_copied, checkpoints;
    atomic_uint_fast64_t failed_flushes, damaged;
};

/* Commits, first in first out, through inner.next. */
struct commits {
    struct store_commit *first;
    struct post **end;
    uint32_t count;
};

struct store_body {
    struct post in, out; /* to the store's loop and back */
    struct store *store;
    struct loop *reply;
    struct fiber *waiter;
    struct link waiting; /* in store.bodies */
    struct buf rest;     /* not written yet; less than a piece, but for the one on its way */
    struct piece *pieces;
    uint32_t piece_count, piece_size;
    uint64_t bytes; /* in pieces and rest */
    struct err result;
    uint32_t crc;
    bool is_on_its_way;
    bool is_abandoned;
    bool is_ours; /* a move's: it may use the reserve */
};

struct store {
    struct loop *home;
    struct disk *disk;
    struct store_options options;

    _Atomic(struct post *) inbox; /* newest first; log.c */
    atomic_bool is_woken;
    struct post wake;
    atomic_uint_fast64_t last_id, id_limit;
    uint64_t id_at_start; /* set before the store is open, and then left alone */
    atomic_uint room;
    atomic_uint_fast64_t available; /* bytes for new mail before the reserve, min-free included */
    struct store_totals totals;

    bool is_open, is_closing, has_stopped;
    bool only_reads;                /* offline.c: nothing is written */
    const struct store_lines *told; /* offline.c: where damage is told, instead of the log */
    struct err opened;
    struct fiber *server;

    struct index index;
    struct segments segments;
    struct map values;
    uint32_t epoch;
    uint32_t next_generation;
    uint64_t next_spare;
    struct segment *active;      /* NULL: the next batch begins one */
    struct log_position applied; /* all before this is in the index, and durable */
    uint32_t last_sealed, last_sealed_end;
    struct spare *spares;
    uint32_t spare_count, spare_size;

    /* The committer (commit.c). */
    struct group fibers;
    struct fiber *committer;
    bool committer_waits;
    struct commits pending;
    uint32_t urgent; /* of them not lazy */
    struct when lazy_until;
    struct list bodies; /* that wait for a piece to be written */
    struct batch batch;
    struct store_commit **taken;
    uint32_t taken_count, taken_size;
    uint64_t batch_limit; /* of ids, written with this batch; 0: none */
    struct placed *placed;
    uint32_t placed_count, placed_size;
    uint32_t failures; /* flushes in a row */

    /* The keeper (keeper.c). */
    struct fiber *keeper;
    struct signal keeper_work;
    uint64_t checkpoint_number, durable_checkpoint;
    uint32_t covered; /* the newest durable checkpoint begins in this generation */
    uint64_t bytes_since_checkpoint, last_checkpoint_bytes;
    uint64_t move_credit;
    uint64_t scattered[SCATTERED_MAX]; /* messages whose states lie in many places */
    uint32_t scattered_count;
    uint64_t disk_free; /* when it was asked last */
    bool wants_checkpoint;
    bool room_is_kept;            /* for a checkpoint on a full disk */
    struct when checkpoint_after; /* it failed: not before */

    /* Readers (read.c). */
    struct group readers;
    struct list reads;
};

/* The one place where an invariant that a test has switched off is looked up. */
static inline bool is_broken(const struct store *s, enum store_broken what)
{
    return ((s->options.broken | BROKEN_BY_BUILD) & (unsigned)what) != 0;
}

/* log.c: requests of other loops. Never suspends; false when the store is closed for good. */
bool store_send(struct store *s, struct post *p);
struct err store_lock(struct store *s, struct buf *why); /* invariant 9 */

/* ids.c */
uint64_t id_limit_for(const struct store *s);
void id_seen(struct store *s, uint64_t id);

/* files.c */
struct str name_of(const char *kind, uint64_t number, char at[NAME_BYTES]);
bool name_parse(struct str name, const char *kind, uint64_t *number);
struct err segment_file(struct store *s, struct segment *g, struct when by); /* opens it */
struct err spare_make(struct store *s, struct when by);
void spare_add(struct store *s, uint64_t number, struct disk_file *file);
/* A spare is removed, for its room. */
void spare_give_up(struct store *s, struct when by);
/* Who asks for a segment, and so how many must be left (invariant 7): mail leaves the whole
 * reserve, results and moves leave one, whose room a checkpoint may need. */
enum segment_use { FOR_START, FOR_RESULTS, FOR_MAIL };
/* Makes s->active a new segment, or ERR_FULL. */
struct err segment_activate(struct store *s, enum segment_use use, struct when by);
/* Closes the active one; what was not confirmed is lost when its flush fails. */
void segment_seal(struct store *s, struct when by);
/* A dead segment becomes a spare, or goes. */
void segment_recycle(struct store *s, struct segment *g, struct when by);
/* Gives back the unused ends of sealed segments. False: there were none. */
bool segments_trim(struct store *s, struct when by);
/* With what the disk has left, or with what it had when it was asked last. */
void room_update(struct store *s, struct when by);
void room_recheck(struct store *s);

/* apply.c: the index follows the log, at a commit and at recovery. */
struct place {
    uint32_t generation, offset, bytes;
};
void apply_message(struct store *s, const struct message *m, const struct placed *p,
                   uint32_t generation, const struct piece *pieces, uint32_t piece_count);
bool apply_state(struct store *s, uint64_t id, uint32_t index, const struct rcpt_state *state,
                 struct place at);
/* The same state at another place. */
void apply_place(struct store *s, uint64_t id, uint32_t index, struct place at);
void apply_value(struct store *s, struct str name, struct str bytes, bool remove);
void forget_message(struct store *s, uint64_t id);
struct run *runs_of(const struct piece *pieces, uint32_t count);
void totals_update(struct store *s);

/* pending.c: what waits for the committer. */
void commit_arrives(struct post *inner);
void pending_pop(struct store *s);
void pending_push_front(struct store *s, struct store_commit *c);
void pending_fail(struct store *s, struct err e); /* all of it */
/* Until there is a batch to be made; false: there is nothing, and the store is closing. */
bool pending_wait(struct store *s);
void committer_wake(struct store *s);
void commit_answer(struct store_commit *c, struct err e);

/* encode.c: one commit into the batch, or why not. */
enum verdict {
    TAKEN,
    REFUSED, /* *why */
    LATER,   /* a recipient of it is in this batch already: the next one takes it */
    NO_ROOM  /* the rest of the segment is too small for it */
};
enum verdict commit_check(struct store *s, const struct store_commit *c, struct err *why);
enum verdict commit_encode(struct store *s, struct store_commit *c);
/* The index follows a commit that is durable. at: the next of s->placed. */
void commit_apply(struct store *s, struct store_commit *c, uint32_t *at);
/* It was not written, or its flush failed. */
void commit_unmark(struct store *s, struct store_commit *c);
void commit_free_bodies(struct store *s, struct store_commit *c);
bool commit_is_mail(const struct store_commit *c);
uint32_t states_of_one(const struct store_commit *c, uint32_t from);

/* move.c */
void move_survivors(struct store *s, struct when by);
/* The states of each message that was found scattered, into one record. */
void gather_states(struct store *s, struct when by);
enum verdict move_check(struct store *s, const struct move *m, struct err *why);
enum verdict move_encode(struct store *s, struct move *m);
void move_apply(struct store *s, struct move *m);

/* commit.c */
void committer_run(void *store);
/* A batch of its own that only says who we are: at the start. */
struct err committer_begin(struct store *s, struct when by);

/* body.c: a whole piece, written now. */
struct err body_piece(struct store_body *b, struct str bytes, struct when by);
/* For the committer. The next piece of b, or its rest, into the batch. */
bool body_encode(struct store *s, struct store_body *b);
void body_uncode(struct store *s, struct store_body *b); /* takes that back */
void body_answer(struct store_body *b, struct err e);
void body_free(struct store *s, struct store_body *b);
bool body_is_lost(const struct store *s, const struct store_body *b);

/* recover.c */
struct err store_recover(struct store *s, struct buf *why, struct when by);

/* checkpoint.c */
struct err checkpoint_write(struct store *s, struct when by);
/* Into the index, values and ids of an empty store; *from: where the log goes on. ERR_CORRUPT: it
 * is not whole; the store must be emptied again. ERR_VERSION. */
struct err checkpoint_read(struct store *s, uint64_t number, struct log_position *from,
                           struct when by);

/* keeper.c */
void keeper_run(void *store);
bool recycle_dead(struct store *s);
void keep_spares(struct store *s); /* as many as are wanted, if the disk has room */

/* request.c: calls from other loops that want the disk, each in a fiber of the store's loop. */
struct request {
    struct post in, out;
    struct store *store;
    struct loop *reply;
    struct fiber *waiter;
    struct link waiting;
    struct err (*work)(struct store *s, void *arg, struct when by); /* NULL: nothing */
    void *arg;
    struct err result;
    bool is_answered;
};
struct err request_wait(struct store *s, const char *what,
                        struct err (*work)(struct store *s, void *arg, struct when by), void *arg,
                        struct when by);
void requests_fail(struct store *s, struct err e);

/* read.c */
/* Bytes of one segment that were read ahead; zeroed: none. */
struct window {
    struct buf bytes;
    uint32_t generation, from;
    uint32_t least; /* to read at once */
    uint32_t reads; /* so far */
};

/* One for message records, one for states records. */
struct windows {
    struct window messages, states;
};
void windows_done(struct windows *w);
/* The record at a place. meta and data are views into w, until its next use. ERR_STALE: there is no
 * such segment any more. ERR_CORRUPT: it is damaged. ahead: bytes worth reading in one go. */
struct err record_read(struct store *s, struct window *w, uint32_t generation, uint32_t offset,
                       uint32_t ahead, bool with_data, struct record *ret, struct str *meta,
                       struct str *data, struct when by);
/* A message with its current states, texts in a. head: NULL, or where its data goes. */
struct err message_read(struct store *s, uint64_t id, struct windows *w, struct arena *a,
                        struct buf *head, struct message *ret, struct piece **pieces,
                        uint32_t *piece_count, struct when by);
/* Says loudly that something cannot be read. id 0: not known whose it is. */
void say_damaged(struct store *s, uint64_t id, uint32_t generation, uint32_t offset,
                 const char *what);

#define total_add(s, what, n)                                                                      \
    atomic_fetch_add_explicit(&(s)->totals.what, (n), memory_order_relaxed)
#define total_set(s, what, n) atomic_store_explicit(&(s)->totals.what, (n), memory_order_relaxed)
#define total_get(s, what)    atomic_load_explicit(&(s)->totals.what, memory_order_relaxed)
