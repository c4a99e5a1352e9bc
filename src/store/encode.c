#include "base/check.h"
#include "base/crc.h"
#include "base/mem.h"
#include "store/log.h"

/* One commit into the batch, and, once that is durable, into the index. */

static struct store_body *body_of(const struct store_commit *c, uint32_t i)
{
    return c->bodies != NULL ? c->bodies[i] : NULL;
}

void commit_free_bodies(struct store *s, struct store_commit *c)
{
    for (uint32_t i = 0; i < c->message_count; i++) {
        if (body_of(c, i) != NULL) {
            body_free(s, body_of(c, i));
        }
    }
}

/* New mail; reports are ours and may use the reserve (invariant 7). */
bool commit_is_mail(const struct store_commit *c)
{
    for (uint32_t i = 0; i < c->message_count; i++) {
        enum source from = c->messages[i]->message.source;

        if (from != SOURCE_DSN && from != SOURCE_REPORT) {
            return true;
        }
    }
    return false;
}

/* How many changes from `from` on speak of the same message: they share a record. */
uint32_t states_of_one(const struct store_commit *c, uint32_t from)
{
    uint32_t to = from + 1;

    while (to < c->change_count && c->changes[to].id == c->changes[from].id) {
        to++;
    }
    return to - from;
}

static enum verdict check_message(struct store *s, const struct parcel *p,
                                  const struct store_body *b, struct err *why)
{
    must(p->message.id != 0 && p->message.to_count > 0);
    must(p->head.len + (b ? b->bytes : 0) == p->message.size);
    if (index_find(&s->index, p->message.id) != NULL) {
        *why = err_of(ERR_EXISTS);
        return REFUSED;
    }
    if (b != NULL && (b->result.code || body_is_lost(s, b))) {
        *why = b->result.code ? b->result : err_of(ERR_DISK);
        return REFUSED;
    }
    return TAKEN;
}

static enum verdict check_change(struct store *s, const struct store_change *change,
                                 struct err *why)
{
    struct entry *e = index_find(&s->index, change->id);
    const struct slot *slot;

    must(change->state->version == change->expected + 1);
    if (e == NULL || change->index >= e->to_count) {
        *why = err_of(ERR_NOT_FOUND);
        return REFUSED;
    }
    slot = &entry_slots(e)[change->index];
    if (slot->is_pending) {
        return LATER;
    }
    if (slot->version != change->expected) {
        *why = err_of(ERR_STALE);
        return REFUSED;
    }
    return TAKEN;
}

enum verdict commit_check(struct store *s, const struct store_commit *c, struct err *why)
{
    enum verdict v = TAKEN;

    if (c->move != NULL) {
        return move_check(s, c->move, why);
    }
    for (uint32_t i = 0; v == TAKEN && i < c->message_count; i++) {
        v = check_message(s, c->messages[i], body_of(c, i), why);
    }
    for (uint32_t i = 0; v == TAKEN && i < c->change_count; i++) {
        v = check_change(s, &c->changes[i], why);
    }
    return v;
}

static void note_placed(struct store *s, uint32_t offset, size_t meta_bytes, size_t data_bytes)
{
    if (s->placed_count == s->placed_size) {
        s->placed_size = s->placed_size ? s->placed_size * 2 : 256;
        s->placed = mem_grow(s->placed, s->placed_size, sizeof *s->placed);
    }
    s->placed[s->placed_count++] = (struct placed){offset, (uint32_t)meta_bytes,
                                                   (uint32_t)data_bytes};
}

static bool encode_message(struct store *s, const struct parcel *p, const struct store_body *b,
                           uint32_t left)
{
    uint32_t offset = batch_offset(&s->batch);
    struct buf *meta = batch_open(&s->batch);
    size_t before = meta->len;
    struct str head = buf_str(&p->head);

    wire_put_message(meta, &p->message, b ? b->pieces : NULL, b ? b->piece_count : 0);
    note_placed(s, offset, meta->len - before, head.len);
    return batch_close(&s->batch, RECORD_MESSAGE, left, head, crc32c(0, head));
}

static bool encode_states(struct store *s, const struct store_change *changes, uint32_t count,
                          uint32_t left)
{
    uint32_t offset = batch_offset(&s->batch);
    struct buf *meta = batch_open(&s->batch);
    size_t before = meta->len;

    wire_put_states(meta, changes[0].id);
    for (uint32_t i = 0; i < count; i++) {
        wire_put_state(meta, changes[i].index, changes[i].state);
    }
    note_placed(s, offset, meta->len - before, 0);
    return batch_close(&s->batch, RECORD_STATES, left, STR_EMPTY, 0);
}

static bool encode_value(struct store *s, const struct store_value *v, uint32_t left)
{
    struct str bytes = v->remove ? STR_EMPTY : v->bytes;

    wire_put_value(batch_open(&s->batch), v->name, v->remove);
    return batch_close(&s->batch, RECORD_VALUE, left, bytes, crc32c(0, bytes));
}

static bool encode_all(struct store *s, struct store_commit *c)
{
    uint32_t left = c->message_count + c->value_count;
    bool fits = true;

    for (uint32_t i = 0; i < c->change_count; i += states_of_one(c, i)) {
        left++;
    }
    for (uint32_t i = 0; fits && i < c->message_count; i++) {
        fits = encode_message(s, c->messages[i], body_of(c, i), --left);
    }
    for (uint32_t i = 0; fits && i < c->change_count; i += states_of_one(c, i)) {
        fits = encode_states(s, &c->changes[i], states_of_one(c, i), --left);
    }
    for (uint32_t i = 0; fits && i < c->value_count; i++) {
        fits = encode_value(s, &c->values[i], --left);
    }
    return fits;
}

static void mark(struct store *s, const struct store_commit *c, bool is_pending)
{
    for (uint32_t i = 0; i < c->change_count; i++) {
        struct entry *e = index_find(&s->index, c->changes[i].id);

        if (e != NULL && c->changes[i].index < e->to_count) {
            entry_slots(e)[c->changes[i].index].is_pending = is_pending;
        }
    }
}

enum verdict commit_encode(struct store *s, struct store_commit *c)
{
    struct batch_mark before = batch_mark(&s->batch);
    uint32_t placed_before = s->placed_count;
    uint32_t rests = 0;
    bool fits = true;

    if (c->move != NULL) {
        return move_encode(s, c->move);
    }
    for (; fits && rests < c->message_count; rests++) {
        struct store_body *b = body_of(c, rests);

        if (b != NULL) {
            b->crc = crc32c(0, buf_str(&b->rest));
            fits = body_encode(s, b);
            rests -= !fits;
        }
    }
    if (fits && encode_all(s, c)) {
        mark(s, c, true);
        return TAKEN;
    }
    while (rests-- > 0) {
        if (body_of(c, rests) != NULL && body_of(c, rests)->rest.len > 0) {
            body_uncode(s, body_of(c, rests));
        }
    }
    batch_cut(&s->batch, before);
    s->placed_count = placed_before;
    return NO_ROOM;
}

void commit_unmark(struct store *s, struct store_commit *c)
{
    mark(s, c, false);
}

static void keep_pieces(struct parcel *p, const struct store_body *b)
{
    if (b != NULL && b->piece_count > 0) {
        struct piece *pieces = arena_array(&p->arena, b->piece_count, sizeof *pieces);

        memcpy(pieces, b->pieces, b->piece_count * sizeof *pieces);
        p->pieces = pieces;
        p->piece_count = b->piece_count;
    }
}

void commit_apply(struct store *s, struct store_commit *c, uint32_t *at)
{
    uint32_t generation = s->active->generation;

    if (c->move != NULL) {
        move_apply(s, c->move);
        return;
    }
    for (uint32_t i = 0; i < c->message_count; i++) {
        struct store_body *b = body_of(c, i);

        keep_pieces(c->messages[i], b);
        apply_message(s, &c->messages[i]->message, &s->placed[(*at)++], generation,
                      b ? b->pieces : NULL, b ? b->piece_count : 0);
        s->move_credit += c->messages[i]->message.size;
    }
    for (uint32_t i = 0; i < c->change_count;) {
        uint32_t count = states_of_one(c, i);
        const struct placed *p = &s->placed[(*at)++];
        struct place place = {generation, p->offset,
                              (uint32_t)record_bytes(p->meta_bytes, 0) / count};

        for (uint32_t k = 0; k < count; k++, i++) {
            apply_state(s, c->changes[i].id, c->changes[i].index, c->changes[i].state, place);
        }
    }
    for (uint32_t i = 0; i < c->value_count; i++) {
        apply_value(s, c->values[i].name, c->values[i].bytes, c->values[i].remove);
    }
    commit_free_bodies(s, c);
}
