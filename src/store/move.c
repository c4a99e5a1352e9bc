#include "base/check.h"
#include "base/crc.h"
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "store/events.h"
#include "store/log.h"

/*
 * Moving survivors (invariant 4): copy, flush, switch the index, then free. A message moves whole:
 * its record, byte for byte but for the list of pieces, the pieces that lie in the segment to be
 * freed, and the current states of all recipients. So what follows a checkpoint tells all about a
 * message that moved, whether or not the checkpoint has seen it.
 *
 * A move is a commit like others, except that it takes what it copies from the log. If the message
 * changed meanwhile, or has gone, the move is refused and tried again or forgotten.
 */

enum { YIELD_EACH = 4096, TRIES = 3 };

struct move {
    struct store_commit commit;
    struct fiber *waiter;
    bool is_done;
    struct entry before; /* what the index said when it was read, without its pointers */
    struct slot *slots;
    struct arena a;
    struct buf head;
    struct str meta;
    struct str *states; /* as found; empty: in the message record */
    struct piece *pieces;
    uint32_t piece_count;
    struct store_body *body; /* pins the pieces that were written again */
    struct placed message_at, states_at;
    uint32_t state_count;
    bool only_states; /* the message stays where it is */
};

static const struct slot *slots_of(const struct entry *e)
{
    return e->to_count == 1 ? &e->one : e->many;
}

static bool is_same(const struct slot *a, const struct slot *b)
{
    return a->version == b->version && a->segment == b->segment && a->offset == b->offset;
}

/* TAKEN when the index still says what it said when the message was read. */
static enum verdict still_so(const struct store *s, const struct move *m)
{
    const struct entry *e = index_find(&s->index, m->before.id);
    enum verdict v = TAKEN;

    if (e == NULL || e->segment != m->before.segment || e->offset != m->before.offset) {
        return REFUSED;
    }
    for (uint32_t i = 0; v != REFUSED && i < e->to_count; i++) {
        if (slots_of(e)[i].is_pending) {
            v = LATER;
        }
        if (!is_same(&slots_of(e)[i], &m->slots[i])) {
            v = REFUSED;
        }
    }
    return v;
}

enum verdict move_check(struct store *s, const struct move *m, struct err *why)
{
    *why = err_of(ERR_STALE);
    if (m->body != NULL && body_is_lost(s, m->body)) {
        *why = err_of(ERR_DISK);
        return REFUSED;
    }
    return still_so(s, m);
}

static bool encode_message(struct store *s, struct move *m)
{
    uint32_t offset = batch_offset(&s->batch);
    struct buf *meta = batch_open(&s->batch);
    size_t before = meta->len;
    struct str head = buf_str(&m->head);

    wire_put_message_moved(meta, m->meta, m->pieces, m->piece_count);
    m->message_at = (struct placed){offset, (uint32_t)(meta->len - before), (uint32_t)head.len};
    return batch_close(&s->batch, RECORD_MESSAGE, m->state_count > 0, head, crc32c(0, head));
}

static bool encode_states(struct store *s, struct move *m)
{
    uint32_t offset = batch_offset(&s->batch);
    struct buf *meta = batch_open(&s->batch);
    size_t before = meta->len;

    wire_put_states(meta, m->before.id);
    for (uint32_t i = 0; i < m->before.to_count; i++) {
        if (m->slots[i].segment != 0) {
            wire_put_state_raw(meta, i, m->states[i]);
        }
    }
    m->states_at = (struct placed){offset, (uint32_t)(meta->len - before), 0};
    return batch_close(&s->batch, RECORD_STATES, 0, STR_EMPTY, 0);
}

enum verdict move_encode(struct store *s, struct move *m)
{
    struct batch_mark before = batch_mark(&s->batch);

    if ((m->only_states || encode_message(s, m)) && (m->state_count == 0 || encode_states(s, m))) {
        return TAKEN;
    }
    batch_cut(&s->batch, before);
    return NO_ROOM;
}

void move_apply(struct store *s, struct move *m)
{
    struct message just_id = {.id = m->before.id, .to_count = m->before.to_count};
    struct entry *e = index_find(&s->index, m->before.id);
    struct place at = {s->active->generation, m->states_at.offset, 0};
    uint64_t bytes = 0;

    must(e != NULL);
    if (!m->only_states) {
        apply_message(s, &just_id, &m->message_at, s->active->generation, m->pieces,
                      m->piece_count);
        bytes = record_bytes(m->message_at.meta_bytes, m->message_at.data_bytes);
    }
    if (m->state_count > 0) {
        at.bytes = (uint32_t)record_bytes(m->states_at.meta_bytes, 0) / m->state_count;
        bytes += record_bytes(m->states_at.meta_bytes, 0);
    }
    for (uint32_t i = 0; i < e->to_count; i++) {
        if (m->slots[i].segment != 0) {
            apply_place(s, m->before.id, i, at);
        }
    }
    bytes += m->body ? m->body->bytes : 0;
    total_add(s, bytes_copied, bytes);
    s->move_credit -= bytes < s->move_credit ? bytes : s->move_credit;
}

static void returns(struct post *p)
{
    struct move *m = CONTAINER_OF(p, struct move, commit.done);

    m->is_done = true;
    fiber_wake(m->waiter);
}

/* The states as they lie in the log, with whatever a newer version may have put in. */
static struct err read_states(struct store *s, struct move *m, struct when by)
{
    struct window w = {0};
    struct err e = ERR_OK;

    for (uint32_t i = 0; !e.code && i < m->before.to_count; i++) {
        struct record r;
        struct wire_states states;
        struct str meta, raw;
        uint32_t index;

        m->state_count += m->slots[i].segment != 0;
        if (m->slots[i].segment == 0 || m->states[i].len > 0) {
            continue;
        }
        e = record_read(s, &w, m->slots[i].segment, m->slots[i].offset, 0, false, &r, &meta, NULL,
                        by);
        if (!e.code) {
            e = r.kind == RECORD_STATES ? wire_states(arena_dup(&m->a, meta), &states)
                                        : err_of(ERR_CORRUPT);
        }
        while (!e.code && !(e = wire_states_next(&states, &index, &raw)).code) {
            if (index < m->before.to_count && m->slots[index].segment == m->slots[i].segment &&
                m->slots[index].offset == m->slots[i].offset) {
                m->states[index] = raw;
            }
        }
        e = e.code == ERR_NOT_FOUND ? ERR_OK : e;
        if (!e.code && m->states[i].len == 0) {
            e = err_of(ERR_CORRUPT);
        }
    }
    buf_done(&w.bytes);
    return e;
}

static struct err read_message(struct store *s, struct move *m, struct when by)
{
    struct window w = {0};
    struct record r;
    struct str meta, data;
    struct message ignored;
    uint32_t ahead = RECORD_HEAD_BYTES + m->before.meta_bytes + m->before.data_bytes;
    struct err e = record_read(s, &w, m->before.segment, m->before.offset, ahead, true, &r, &meta,
                               &data, by);

    if (!e.code) {
        m->meta = arena_dup(&m->a, meta);
        buf_put(&m->head, data);
        e = r.kind == RECORD_MESSAGE
                ? wire_message(m->meta, &m->a, &ignored, &m->pieces, &m->piece_count)
                : err_of(ERR_CORRUPT);
    }
    buf_done(&w.bytes);
    return e;
}

/* Pieces that lie in the segment are written again, and pinned by a body until the commit. */
static struct err move_pieces(struct store *s, struct move *m, uint32_t victim, struct when by)
{
    struct window w = {0};
    struct err e = ERR_OK;

    for (uint32_t i = 0; !e.code && i < m->piece_count; i++) {
        struct piece *piece = &m->pieces[i];
        struct record r;
        struct str meta, data;

        if (piece->generation != victim) {
            continue;
        }
        e = record_read(s, &w, piece->generation, piece->offset, RECORD_HEAD_BYTES + piece->bytes,
                        true, &r, &meta, &data, by);
        if (!e.code && m->body == NULL) {
            m->body = store_body_open(s);
            m->body->is_ours = true;
        }
        if (!e.code) {
            e = body_piece(m->body, data, by);
        }
        if (!e.code) {
            *piece = m->body->pieces[m->body->piece_count - 1];
        }
    }
    buf_done(&w.bytes);
    return e;
}

/* victim 0: only the states, into one record. */
static struct err move_once(struct store *s, uint64_t id, uint32_t victim, struct when by)
{
    struct move m = {.waiter = fiber_self(), .only_states = victim == 0};
    const struct entry *found = index_find(&s->index, id);
    struct err e;

    if (found == NULL) {
        return ERR_OK;
    }
    m.before = *found;
    m.slots = arena_array(&m.a, found->to_count, sizeof *m.slots);
    memcpy(m.slots, slots_of(found), found->to_count * sizeof *m.slots);
    m.states = arena_array(&m.a, found->to_count, sizeof *m.states);
    e = m.only_states ? ERR_OK : read_message(s, &m, by);
    if (!e.code) {
        e = read_states(s, &m, by);
    }
    if (!e.code && !m.only_states) {
        e = move_pieces(s, &m, victim, by);
    }
    if (!e.code && s->committer == NULL) {
        e = err_of(ERR_BUSY); /* the store is closing */
    }
    if (!e.code) {
        m.commit.done.run = returns;
        m.commit.reply = s->home;
        m.commit.store = s;
        m.commit.move = &m;
        m.commit.inner.run = commit_arrives;
        commit_arrives(&m.commit.inner);
        while (!m.is_done) {
            fiber_wait_firm("a move to be durable", by);
        }
        e = m.commit.result;
    }
    if (e.code == ERR_CORRUPT) {
        say_damaged(s, id, m.before.segment, m.before.offset, "a message that should be moved");
    }
    if (m.body != NULL) {
        body_free(s, m.body);
    }
    buf_done(&m.head);
    arena_done(&m.a);
    return e;
}

static bool lies_in(const struct entry *e, uint32_t generation)
{
    bool it_does = e->segment == generation;

    for (uint32_t i = 0; !it_does && i < e->to_count; i++) {
        it_does = slots_of(e)[i].segment == generation;
    }
    for (const struct run *r = e->runs; !it_does && r != NULL && r->segment != 0; r++) {
        it_does = r->segment == generation;
    }
    return it_does;
}

/* All that is live in one segment. What is damaged stays, and keeps the segment. */
static struct err move_all(struct store *s, uint32_t victim, struct when by)
{
    struct err e;
    uint64_t after = 0;
    uint32_t seen = 0;
    const struct entry *next;

    while (!s->is_closing && (next = index_after(&s->index, after)) != NULL) {
        struct segment *g = segments_find(&s->segments, victim);

        if (g == NULL || g->refs == 0) {
            break;
        }
        after = next->id;
        if (lies_in(next, victim)) {
            e = err_of(ERR_STALE);
            for (int i = 0; e.code == ERR_STALE && i < TRIES; i++) {
                e = move_once(s, after, victim, by);
            }
            if (e.code && e.code != ERR_STALE && e.code != ERR_CORRUPT) {
                return e;
            }
        } else if (++seen % YIELD_EACH == 0) {
            fiber_yield(by);
        }
    }
    return ERR_OK;
}

void gather_states(struct store *s, struct when by)
{
    while (s->scattered_count > 0 && !s->is_closing && !s->has_stopped) {
        uint64_t id = s->scattered[--s->scattered_count];
        struct err e = move_once(s, id, 0, by);

        if (e.code && e.code != ERR_STALE && e.code != ERR_CORRUPT) {
            return; /* it is only a convenience */
        }
    }
}

void move_survivors(struct store *s, struct when by)
{
    struct segment *g;

    while (!s->is_closing && !s->has_stopped &&
           (g = segments_to_move(&s->segments, s->options.segment_bytes, s->covered,
                                 s->move_credit)) != NULL) {
        uint32_t generation = g->generation, refs = g->refs;
        struct err e = move_all(s, generation, by);

        g = segments_find(&s->segments, generation);
        if (e.code && e.code != ERR_BUSY) {
            char text[128];

            event_raise(&ev_store_disk_failed, f_name(STR("move survivors")),
                        f_text(err_say(e, text, sizeof text)));
        }
        if (e.code) {
            return;
        }
        if (g == NULL) {
            continue;
        }
        event_raise(&ev_store_moved, f_count(refs));
        if (g->refs > 0) {
            g->is_stuck = true; /* damaged or just being changed: not again in this run */
        } else if (segment_may_be_recycled(g, s->covered)) {
            segment_recycle(s, g, by);
        }
    }
}
