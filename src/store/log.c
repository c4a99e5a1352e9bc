#include "store/log.h"

#include "base/check.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "store/events.h"

#include <unistd.h>

/*
 * The segmented log. What must stay true, and where it is kept:
 *
 * 1. Every record carries its segment's generation and its own offset under the checksum; leftovers
 *    of a recycled file are never read as records. (record.c)
 * 2. A 4 KiB block that holds acknowledged bytes is never written again: each flush starts on a
 *    fresh block. (But recovery writes the end of the log once more, byte for byte: write_again, in
 *    recover.c.) Acknowledgements go out in log order. (batch.c, commit.c)
 * 3. A segment is recycled only when no message in it is live and each result record in it is
 *    covered by a durable checkpoint. (segment_may_be_recycled, checkpoint.c)
 * 4. Survivors: copy, flush, switch the index, then free. Results name messages by id, never by
 *    place. Bytes copied are at most one per byte accepted in the long run. (move.c,
 *    segments_to_move)
 * 5. Recovery: an invalid record ends the last segment; in a sealed segment, or before something
 *    that was written after it had been flushed, it is corruption: said loudly, the rest still
 *    read, the affected messages named, none silently skipped. (scan.c, recover.c)
 * 6. A failed flush is final. What it did not confirm counts as lost: the commits hear ERR_DISK,
 * the segment is closed and never flushed again, unconfirmed results are written again to a new
 *    segment; a second failure in a row stops acceptance. (lose, in commit.c)
 * 7. Two segments are reserved for results, reports, moves and checkpoints. Where no result can be
 *    written no delivery starts. (files.c, commit_is_mail)
 * 8. New file, rename, recycle: the folder is flushed before the first record in the file is
 *    acknowledged. (segment_activate)
 * 9. The lock file is held; a second server and the offline commands name the holder. (below)
 *
 * One fiber writes (commit.c), one keeps house (keeper.c), up to sixteen read (read.c). The index
 * (index.h) changes only between two waits of the committer, right after a flush returned; so it is
 * always the state of the log at `applied`.
 */

enum { READERS_MAX = 16 };

static char closed_mark; /* its address in the inbox: nothing is taken in any more */
#define CLOSED ((struct post *)(void *)&closed_mark)

static void inbox_drain(struct store *s)
{
    struct post *newest, *oldest = NULL;

    atomic_store_explicit(&s->is_woken, false, memory_order_release);
    if (!s->is_open && s->opened.code == OK) {
        return; /* still recovering: all wait */
    }
    newest = atomic_exchange_explicit(&s->inbox, NULL, memory_order_acq_rel);
    must(newest != CLOSED);
    while (newest != NULL) {
        struct post *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct post *next = oldest->next;

        oldest->run(oldest);
        oldest = next;
    }
}

static void woken(struct post *p)
{
    struct store *s = CONTAINER_OF(p, struct store, wake);

    if (atomic_load_explicit(&s->inbox, memory_order_relaxed) != CLOSED) {
        inbox_drain(s);
    }
}

bool store_send(struct store *s, struct post *p)
{
    struct post *top = atomic_load_explicit(&s->inbox, memory_order_relaxed);

    do {
        if (top == CLOSED) {
            return false;
        }
        p->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&s->inbox, &top, p, memory_order_acq_rel,
                                                    memory_order_relaxed));
    if (!atomic_exchange_explicit(&s->is_woken, true, memory_order_acq_rel)) {
        loop_post(s->home, &s->wake);
    }
    return true;
}

struct store *store_new(struct loop *home, struct disk *disk, const struct store_options *o)
{
    struct store *s = MEM_NEW(struct store);

    must(o->node < 1024);
    must(o->segment_bytes >= 256 * 1024 && o->segment_bytes <= SEGMENT_BYTES_MAX);
    must(o->segment_bytes % BLOCK_BYTES == 0);
    s->home = home;
    s->disk = disk;
    s->options = *o;
    if (s->options.checkpoint_bytes == 0) {
        s->options.checkpoint_bytes = o->segment_bytes;
    }
    s->wake.run = woken;
    atomic_init(&s->room, STORE_STOPPED);
    list_init(&s->bodies);
    list_init(&s->reads);
    signal_init(&s->keeper_work);
    s->next_generation = 1;
    s->next_spare = 1;
    return s;
}

void store_free(struct store *s)
{
    size_t at = 0;
    struct value *v;

    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->segments.count; i++) {
        if (s->segments.list[i]->file != NULL) {
            disk_file_close(s->segments.list[i]->file);
        }
    }
    for (uint32_t i = 0; i < s->spare_count; i++) {
        if (s->spares[i].file != NULL) {
            disk_file_close(s->spares[i].file);
        }
    }
    while ((v = map_each(&s->values, &at)) != NULL) {
        mem_free(v);
    }
    map_done(&s->values);
    segments_done(&s->segments);
    index_done(&s->index);
    batch_done(&s->batch);
    mem_free(s->spares);
    mem_free(s->taken);
    mem_free(s->placed);
    mem_free(s);
}

struct err store_lock(struct store *s, struct buf *why)
{
    struct arena a ARENA_LOCAL = {0};
    struct str holder = STR_EMPTY;
    struct str who = arena_printf(&a, "postyard, process %ld", (long)getpid());
    struct err e = disk_lock(s->disk, STR("lock"), who, &a, &holder, WHEN_NEVER);

    if (e.code == ERR_BUSY) {
        buf_printf(why, "%.*s/lock is held by %.*s", STR_ARG(disk_path(s->disk)), STR_ARG(holder));
    } else if (e.code) {
        char text[128];
        struct str said = err_say(e, text, sizeof text);

        buf_printf(why, "%.*s/lock: %.*s", STR_ARG(disk_path(s->disk)), STR_ARG(said));
    }
    return e;
}

static struct err open_log(struct store *s, struct buf *why)
{
    struct when begun = clock_read();
    struct err e = is_broken(s, BROKEN_NO_LOCK) ? ERR_OK : store_lock(s, why);

    if (!e.code) {
        e = store_recover(s, why, WHEN_NEVER);
    }
    if (!e.code) {
        recycle_dead(s); /* on a full disk, what begins the next segment is here */
        e = committer_begin(s, WHEN_NEVER);
        /* Failed flushes have closed segments early and used up the reserve (invariant 7). */
        if (e.code == ERR_FULL && s->active == NULL && segments_trim(s, WHEN_NEVER)) {
            e = committer_begin(s, WHEN_NEVER);
        }
        if (e.code) {
            char text[128];
            struct str said = err_say(e, text, sizeof text);

            buf_printf(why, "%.*s: cannot begin a segment: %.*s", STR_ARG(disk_path(s->disk)),
                       STR_ARG(said));
        }
    }
    if (!e.code) {
        s->id_at_start = atomic_load(&s->last_id);
        totals_update(s);
        event_raise(&ev_store_opened, f_path(disk_path(s->disk)), f_count((int64_t)s->index.count),
                    f_duration((clock_read().ns - begun.ns) / 1000));
    }
    return e;
}

/* Nothing comes in any more; what came in before is answered. */
static void close_inbox(struct store *s)
{
    struct post *none = NULL;

    do {
        inbox_drain(s);
        none = NULL;
    } while (!atomic_compare_exchange_strong_explicit(&s->inbox, &none, CLOSED,
                                                      memory_order_acq_rel, memory_order_relaxed));
}

static void serve_open(struct store *s)
{
    struct err e;

    keep_spares(s);
    room_update(s, WHEN_NEVER);
    group_init(&s->fibers, "store", 2);
    e = group_spawn_now(&s->fibers, "committer", committer_run, s);
    if (!e.code) {
        e = group_spawn_now(&s->fibers, "keeper", keeper_run, s);
    }
    must(e.code == OK); /* the first fibers of a loop: there is room */
    s->is_open = true;
    inbox_drain(s);
    while (fiber_wait("its end", WHEN_NEVER).code != ERR_CANCELLED) {
    }
    close_inbox(s);
    s->is_closing = true;
    committer_wake(s);
    signal_raise(&s->keeper_work);
    e = group_join(&s->fibers, WHEN_NEVER);
    must(e.code == OK);
    e = group_join(&s->readers, WHEN_NEVER);
    must(e.code == OK);
    if (!s->has_stopped && s->bytes_since_checkpoint > 0) {
        e = checkpoint_write(s, WHEN_NEVER);
        if (e.code) {
            char text[128];

            event_raise(&ev_store_disk_failed, f_name(STR("checkpoint")),
                        f_text(err_say(e, text, sizeof text)));
        }
    }
    event_raise(&ev_store_closed, f_path(disk_path(s->disk)), f_count((int64_t)s->index.count));
}

void store_serve(struct store *s, struct err *ret, struct buf *why)
{
    group_init(&s->readers, "store readers", READERS_MAX);
    s->opened = open_log(s, why);
    *ret = s->opened;
    if (s->opened.code == OK) {
        serve_open(s);
    } else {
        close_inbox(s);
        pending_fail(s, s->opened);
        requests_fail(s, s->opened);
    }
}

static void answer_closed(struct store_commit *c)
{
    commit_free_bodies(NULL, c);
    commit_answer(c, err_of(ERR_BUSY));
}

void store_post(struct store *s, struct store_commit *c)
{
    c->store = s;
    c->move = NULL;
    c->was_lost = false;
    c->inner.run = commit_arrives;
    if (!store_send(s, &c->inner)) {
        answer_closed(c);
    }
}

static void commit_returns(struct post *p)
{
    struct store_commit *c = CONTAINER_OF(p, struct store_commit, done);

    c->waiter_done = true;
    fiber_wake(c->waiter);
}

struct err store_commit(struct store *s, struct store_commit *c, struct when by)
{
    c->done.run = commit_returns;
    c->reply = loop_self();
    c->waiter = fiber_self();
    c->waiter_done = false;
    store_post(s, c);
    while (!c->waiter_done) {
        fiber_wait_firm("commit to be durable", by);
    }
    return c->result;
}

enum store_room store_room(const struct store *s)
{
    return atomic_load_explicit(&s->room, memory_order_acquire);
}

bool store_has_room(const struct store *s, uint64_t bytes)
{
    uint64_t available = atomic_load_explicit(&s->available, memory_order_relaxed);

    return store_room(s) == STORE_ROOM && available > s->options.min_free_bytes &&
           available - s->options.min_free_bytes > bytes;
}

struct store_counts store_counts(const struct store *s)
{
    return (struct store_counts){
        .live_messages = total_get(s, live_messages),
        .live_bytes = total_get(s, live_bytes),
        .segments = total_get(s, segments),
        .free_segments = total_get(s, free_segments),
        .commits = total_get(s, commits),
        .flushes = total_get(s, flushes),
        .bytes_written = total_get(s, bytes_written),
        .bytes_copied = total_get(s, bytes_copied),
        .checkpoints = total_get(s, checkpoints),
        .failed_flushes = total_get(s, failed_flushes),
        .damaged = total_get(s, damaged),
    };
}
