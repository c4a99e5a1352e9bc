#include "base/check.h"
#include "base/mem.h"
#include "store/log.h"

/*
 * The index follows the log. The same functions run after each flush and while the log is read
 * again, so they bear repetition: a checkpoint is taken while commits go on, and what it has seen
 * already is then read once more. A message record that is known only changes its place; a state
 * counts when its version is not older than the known one, the later in the log winning.
 */

struct run *runs_of(const struct piece *pieces, uint32_t count)
{
    struct run *runs;
    uint32_t used = 0;

    if (count == 0) {
        return NULL;
    }
    runs = mem_array((size_t)count + 1, sizeof *runs);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = 0;

        while (at < used && runs[at].segment != pieces[i].generation) {
            at++;
        }
        used += at == used;
        runs[at].segment = pieces[i].generation;
        runs[at].bytes += (uint32_t)record_bytes(0, pieces[i].bytes);
    }
    return mem_grow(runs, (size_t)used + 1, sizeof *runs);
}

static void unref_message(struct store *s, struct entry *e)
{
    segments_unref(&s->segments, e->segment, (uint32_t)record_bytes(e->meta_bytes, e->data_bytes));
    for (struct run *r = e->runs; r != NULL && r->segment != 0; r++) {
        segments_unref(&s->segments, r->segment, r->bytes);
    }
}

static void set_place(struct store *s, struct entry *e, const struct placed *p, uint32_t generation,
                      const struct piece *pieces, uint32_t piece_count)
{
    unref_message(s, e);
    mem_free(e->runs);
    e->segment = generation;
    e->offset = p->offset;
    e->meta_bytes = p->meta_bytes;
    e->data_bytes = p->data_bytes;
    e->runs = runs_of(pieces, piece_count);
    segments_ref(&s->segments, generation, (uint32_t)record_bytes(p->meta_bytes, p->data_bytes));
    for (struct run *r = e->runs; r != NULL && r->segment != 0; r++) {
        segments_ref(&s->segments, r->segment, r->bytes);
    }
}

void apply_message(struct store *s, const struct message *m, const struct placed *p,
                   uint32_t generation, const struct piece *pieces, uint32_t piece_count)
{
    struct entry *e = index_find(&s->index, m->id);

    if (e == NULL) {
        e = index_add(&s->index, m->id, m->to_count);
        for (uint32_t i = 0; i < m->to_count; i++) {
            struct slot *slot = &entry_slots(e)[i];

            slot->version = m->to[i].state.version;
            slot->is_over = state_is_over(&m->to[i].state);
            e->open += !slot->is_over;
        }
    }
    set_place(s, e, p, generation, pieces, piece_count);
    if (e->open == 0) {
        forget_message(s, m->id);
    }
    id_seen(s, m->id);
}

bool apply_state(struct store *s, uint64_t id, uint32_t index, const struct rcpt_state *state,
                 struct place at)
{
    struct entry *e = index_find(&s->index, id);
    struct slot *slot;
    bool is_over = state_is_over(state);

    if (e == NULL) {
        return true; /* of a message that was forgotten since */
    }
    if (index >= e->to_count) {
        return false;
    }
    slot = &entry_slots(e)[index];
    if (state->version < slot->version) {
        return true;
    }
    segments_unref(&s->segments, slot->segment, slot->bytes);
    e->open -= !slot->is_over;
    e->open += !is_over;
    *slot = (struct slot){.version = state->version,
                          .segment = at.generation,
                          .offset = at.offset,
                          .bytes = at.bytes & SLOT_BYTES_MASK,
                          .is_over = is_over};
    segments_ref(&s->segments, at.generation, at.bytes);
    if (e->open == 0) {
        forget_message(s, id);
    }
    return true;
}

void apply_place(struct store *s, uint64_t id, uint32_t index, struct place at)
{
    struct entry *e = index_find(&s->index, id);
    struct slot *slot = &entry_slots(e)[index];

    segments_unref(&s->segments, slot->segment, slot->bytes);
    slot->segment = at.generation;
    slot->offset = at.offset;
    slot->bytes = at.bytes & SLOT_BYTES_MASK;
    segments_ref(&s->segments, at.generation, slot->bytes);
}

void forget_message(struct store *s, uint64_t id)
{
    struct entry *e = index_find(&s->index, id);

    unref_message(s, e);
    for (uint32_t i = 0; i < e->to_count; i++) {
        const struct slot *slot = &entry_slots(e)[i];

        segments_unref(&s->segments, slot->segment, slot->bytes);
    }
    index_remove(&s->index, id);
}

void apply_value(struct store *s, struct str name, struct str bytes, bool remove)
{
    struct value *old = map_take(&s->values, name);
    struct value *v;
    char *at;

    mem_free(old);
    if (remove) {
        return;
    }
    v = mem_alloc_raw(sizeof *v + name.len + bytes.len);
    at = (char *)(v + 1);
    memcpy(at, name.ptr, name.len);
    v->name = str_make(at, name.len);
    at += name.len;
    if (bytes.len > 0) {
        memcpy(at, bytes.ptr, bytes.len);
    }
    v->bytes = str_make(at, bytes.len);
    map_put(&s->values, v->name, v);
}

void totals_update(struct store *s)
{
    uint64_t live = 0;

    for (uint32_t i = 0; i < s->segments.count; i++) {
        live += s->segments.list[i]->live_bytes;
    }
    total_set(s, live_messages, s->index.count);
    total_set(s, live_bytes, live);
    total_set(s, segments, s->segments.count);
    total_set(s, free_segments, s->spare_count);
}
