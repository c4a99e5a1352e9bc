#include "base/check.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/events.h"
#include "store/log.h"

/*
 * The committer: one fiber that turns what waits into one batch, writes and flushes it, lets the
 * index follow, and answers. While it waits for the disk the next batch gathers.
 *
 *   gather --> write_batch --> confirm   the flush returned: index, then answers, in log order
 *                          \-> lose      it failed: ERR_DISK to those who wait, but results go back
 *                                        in front of what waits, for a new segment
 */

static void begin_batch(struct store *s)
{
    struct segment *g = s->active;
    struct segment_head head = {.format = STORE_FORMAT,
                                .generation = g->generation,
                                .previous = s->last_sealed,
                                .previous_end = s->last_sealed_end,
                                .epoch = s->epoch};
    uint64_t limit = id_limit_for(s);

    batch_begin(&s->batch, g->generation, g->is_begun ? g->written : 0, s->options.segment_bytes,
                g->confirmed, s->epoch);
    s->batch.copies_all = is_broken(s, BROKEN_ACK_BEFORE_FLUSH);
    s->taken_count = 0;
    s->placed_count = 0;
    s->batch_limit = limit;
    if (!g->is_begun) {
        head.id_limit = limit ? limit : atomic_load_explicit(&s->id_limit, memory_order_relaxed);
        batch_segment_head(&s->batch, &head);
    } else if (limit != 0) {
        wire_put_limit(batch_open(&s->batch), limit);
        if (!batch_close(&s->batch, RECORD_LIMIT, 0, STR_EMPTY, 0)) {
            s->batch_limit = 0; /* the segment is full; the next one's head says it */
        }
    }
}

static void take(struct store *s, struct store_commit *c)
{
    if (s->taken_count == s->taken_size) {
        s->taken_size = s->taken_size ? s->taken_size * 2 : 256;
        s->taken = mem_grow(s->taken, s->taken_size, sizeof(struct store_commit *));
    }
    s->taken[s->taken_count++] = c;
}

static void refuse(struct store *s, struct store_commit *c, struct err why)
{
    commit_free_bodies(s, c);
    /* After a failed flush nobody knows what is on the disk, whatever came next. */
    commit_answer(c, c->was_lost ? err_of(ERR_DISK) : why);
}

/* Whether new mail may come in at all (invariant 7). */
static bool mail_has_room(const struct store *s)
{
    return atomic_load_explicit(&s->room, memory_order_relaxed) == STORE_ROOM;
}

/* Pieces of bodies that wait. They are not flushed, so each is answered when it is written. */
static bool gather_bodies(struct store *s, struct list *written)
{
    while (!list_is_empty(&s->bodies)) {
        struct store_body *b = CONTAINER_OF(list_first(&s->bodies), struct store_body, waiting);

        if (!b->is_ours && !mail_has_room(s)) {
            list_remove(&b->waiting);
            body_answer(b, err_of(ERR_FULL));
            continue;
        }
        if (s->batch.bytes >= BATCH_BYTES_SOFT) {
            return true;
        }
        if (!body_encode(s, b)) {
            return false;
        }
        list_remove(&b->waiting);
        list_push(written, &b->waiting);
    }
    return true;
}

/* Commits, until the batch or the segment is full. False: the first that did not fit is mail or
 * not, and wants another segment. */
static bool gather_commits(struct store *s)
{
    while (s->pending.first != NULL && s->batch.bytes < BATCH_BYTES_SOFT) {
        struct store_commit *c = s->pending.first;
        struct err why = err_of(ERR_FULL);
        enum verdict v = REFUSED;

        if (!commit_is_mail(c) || mail_has_room(s)) {
            v = commit_check(s, c, &why);
            v = v == TAKEN ? commit_encode(s, c) : v;
        }
        switch (v) {
        case TAKEN:
            pending_pop(s);
            take(s, c);
            break;
        case REFUSED:
            pending_pop(s);
            refuse(s, c, why);
            break;
        case LATER:
            return true;
        case NO_ROOM:
            return false;
        }
    }
    return true;
}

static void answer_bodies(struct store *s, struct list *written, struct err e)
{
    while (!list_is_empty(written)) {
        struct store_body *b = CONTAINER_OF(list_pop(written), struct store_body, waiting);

        if (e.code) {
            body_uncode(s, b);
        } else {
            buf_clear(&b->rest);
        }
        body_answer(b, e);
    }
}

/* What was gathered is in the log: the index follows, and all are told, in log order. */
static void confirm(struct store *s)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < s->taken_count; i++) {
        commit_unmark(s, s->taken[i]);
        commit_apply(s, s->taken[i], &at);
    }
    total_add(s, commits, s->taken_count);
    total_set(s, live_messages, s->index.count);
    for (uint32_t i = 0; i < s->taken_count; i++) {
        commit_answer(s->taken[i], ERR_OK);
    }
    s->taken_count = 0;
}

/* Invariant 6. */
static void lose(struct store *s, struct err e)
{
    char text[128];

    s->failures++;
    total_add(s, failed_flushes, 1);
    event_raise(&ev_store_flush_failed, f_count(s->active->generation),
                f_text(err_say(e, text, sizeof text)));
    s->active->has_failed = true;
    segment_seal(s, WHEN_NEVER);
    for (uint32_t i = s->taken_count; i-- > 0;) {
        struct store_commit *c = s->taken[i];

        commit_unmark(s, c);
        if (c->message_count == 0 && c->move == NULL && s->failures < 2) {
            pending_push_front(s, c);
            s->urgent += c->lazy; /* it has waited long enough: see pending_pop */
            c->lazy = false;
            c->was_lost = true;
        } else {
            refuse(s, c, err_of(ERR_DISK));
        }
    }
    if (s->failures >= 2 && !s->has_stopped) {
        s->has_stopped = true;
        event_raise(&ev_store_stopped, f_text(err_say(e, text, sizeof text)));
    }
}

/* Pieces alone are only written: the flush of their message covers them. */
static bool wants_flush(const struct store *s)
{
    return s->taken_count > 0 || !s->active->is_begun || s->batch_limit != 0;
}

static bool only_moves(const struct store *s)
{
    for (uint32_t i = 0; i < s->taken_count; i++) {
        if (s->taken[i]->move == NULL) {
            return false;
        }
    }
    return true;
}

static struct err write_batch(struct store *s, bool flush)
{
    struct segment *g = s->active;
    const struct iovec *iov;
    unsigned count = batch_iov(&s->batch, &iov, !is_broken(s, BROKEN_FRESH_BLOCK));
    struct err e;

    total_add(s, bytes_written, s->batch.bytes);
    if (!flush) {
        g->is_dirty = true;
        return disk_write(g->file, s->batch.start, iov, count, WHEN_NEVER);
    }
    total_add(s, flushes, 1);
    if (is_broken(s, BROKEN_ACK_BEFORE_FLUSH)) {
        confirm(s);
    }
    if (is_broken(s, BROKEN_NO_FLUSH) ||
        (is_broken(s, BROKEN_MOVE_UNFLUSHED) && s->taken_count > 0 && only_moves(s))) {
        return disk_write(g->file, s->batch.start, iov, count, WHEN_NEVER);
    }
    e = disk_write_sync(g->file, s->batch.start, iov, count, WHEN_NEVER);
    if (e.code && is_broken(s, BROKEN_FLUSH_AGAIN)) {
        e = disk_sync(g->file, WHEN_NEVER);
    }
    return e;
}

static void after_write(struct store *s, bool was_flushed, struct list *written, struct err e)
{
    struct segment *g = s->active;

    if (e.code) {
        answer_bodies(s, written, e);
        lose(s, e);
        return;
    }
    s->failures = 0;
    g->written = (uint32_t)(s->batch.start + s->batch.bytes);
    s->bytes_since_checkpoint += s->batch.bytes;
    if (was_flushed) {
        g->confirmed = g->written;
        g->is_dirty = false;
        g->is_begun = true;
        confirm(s);
        s->applied = (struct log_position){g->generation, g->written};
        if (s->batch_limit != 0) {
            atomic_store_explicit(&s->id_limit, s->batch_limit, memory_order_release);
        }
    }
    answer_bodies(s, written, ERR_OK);
    if (s->is_open) {
        room_recheck(s);
    }
}

/* A segment to write to. When the disk says no, whoever is first in line hears it. */
static bool have_segment(struct store *s)
{
    struct store_commit *c = s->pending.first;
    bool for_mail = c == NULL || commit_is_mail(c);
    struct err e = ERR_OK;

    if (s->has_stopped) {
        pending_fail(s, err_of(ERR_DISK));
        return false;
    }
    if (s->active == NULL) {
        e = segment_activate(s, for_mail ? FOR_MAIL : FOR_RESULTS, WHEN_NEVER);
        signal_raise(&s->keeper_work);
    }
    if (e.code == ERR_FULL) {
        s->wants_checkpoint = true;
        room_update(s, WHEN_NEVER);
    } else if (e.code) {
        char text[128];

        event_raise(&ev_store_disk_failed, f_name(STR("begin a segment")),
                    f_text(err_say(e, text, sizeof text)));
        if (++s->failures >= 2) {
            s->has_stopped = true;
            event_raise(&ev_store_stopped, f_text(err_say(e, text, sizeof text)));
        }
    }
    if (e.code && !list_is_empty(&s->bodies)) {
        body_answer(CONTAINER_OF(list_pop(&s->bodies), struct store_body, waiting), e);
    } else if (e.code && c != NULL) {
        pending_pop(s);
        refuse(s, c, e);
    }
    return e.code == OK;
}

static void one_batch(struct store *s)
{
    struct list written;
    bool fits;

    list_init(&written);
    if (!have_segment(s)) {
        return;
    }
    begin_batch(s);
    fits = gather_bodies(s, &written) && gather_commits(s);
    if (s->taken_count > 0 || !list_is_empty(&written)) {
        bool flush = wants_flush(s);

        after_write(s, flush, &written, write_batch(s, flush));
    } else if (!fits && s->active->is_begun && s->active->written > SEGMENT_START) {
        segment_seal(s, WHEN_NEVER);
    } else if (!fits) {
        struct store_commit *c = s->pending.first; /* it fits in no segment at all */

        must(c != NULL);
        pending_pop(s);
        refuse(s, c, err_of(ERR_LIMIT));
    }
}

void committer_run(void *store)
{
    struct store *s = store;

    s->committer = fiber_self();
    while (pending_wait(s)) {
        one_batch(s);
        if (s->bytes_since_checkpoint >= s->options.checkpoint_bytes) {
            signal_raise(&s->keeper_work);
        }
    }
    s->committer = NULL; /* from here on nothing is taken in: move.c looks */
    segment_seal(s, WHEN_NEVER);
}

struct err committer_begin(struct store *s, struct when by)
{
    struct list none;
    struct err e = segment_activate(s, FOR_START, by);

    if (e.code) {
        return e;
    }
    list_init(&none);
    begin_batch(s);
    e = write_batch(s, true);
    after_write(s, true, &none, e);
    return e;
}
