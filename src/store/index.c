#include "store/index.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

enum {
    CHUNK_ENTRIES = 256,
    WORTH_MOVING = 8, /* free places: half of them are filled, and both chunks have room */
};

struct index_chunk {
    uint32_t count;
    struct entry entries[CHUNK_ENTRIES];
};

_Static_assert(sizeof(struct entry) <= 64, "the promise about memory (P7)");
_Static_assert(sizeof(struct slot) == 16, "one line of a large message's recipients");

/* The chunk that holds id, or would: the last that begins with no greater id, or is empty. */
static uint32_t chunk_of(const struct index *x, uint64_t id)
{
    uint32_t low = 0, high = x->chunk_count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (x->chunks[middle]->count == 0 || x->chunks[middle]->entries[0].id <= id) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The first entry of the chunk whose id is not less. */
static uint32_t place_in(const struct index_chunk *c, uint64_t id)
{
    uint32_t low = 0, high = c->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (c->entries[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct entry *index_find(const struct index *x, uint64_t id)
{
    struct index_chunk *c;
    uint32_t at;

    if (x->chunk_count == 0) {
        return NULL;
    }
    c = x->chunks[chunk_of(x, id)];
    at = place_in(c, id);
    return at < c->count && c->entries[at].id == id ? &c->entries[at] : NULL;
}

struct entry *index_after(const struct index *x, uint64_t id)
{
    uint32_t chunk, at;

    if (x->chunk_count == 0 || id == UINT64_MAX) {
        return NULL;
    }
    chunk = chunk_of(x, id);
    at = place_in(x->chunks[chunk], id + 1);
    if (at == x->chunks[chunk]->count) {
        chunk++;
        at = 0;
    }
    return chunk < x->chunk_count ? &x->chunks[chunk]->entries[at] : NULL;
}

static struct index_chunk *chunk_new(struct index *x)
{
    x->slab.item = sizeof(struct index_chunk);
    return slab_take(&x->slab);
}

static void insert_chunk(struct index *x, uint32_t at, struct index_chunk *c)
{
    if (x->chunk_count == x->chunk_size) {
        x->chunk_size = x->chunk_size ? x->chunk_size * 2 : 16;
        x->chunks = mem_grow(x->chunks, x->chunk_size, sizeof *x->chunks);
    }
    memmove(&x->chunks[at + 1], &x->chunks[at], (x->chunk_count - at) * sizeof *x->chunks);
    x->chunks[at] = c;
    x->chunk_count++;
}

static uint32_t free_in(const struct index *x, uint32_t chunk)
{
    return chunk < x->chunk_count ? CHUNK_ENTRIES - x->chunks[chunk]->count : 0;
}

/* The first of a chunk to the end of the one before it, or the last to the front of the one behind. */
static void move_left(struct index *x, uint32_t chunk, uint32_t count)
{
    struct index_chunk *c = x->chunks[chunk], *left = x->chunks[chunk - 1];

    memcpy(&left->entries[left->count], c->entries, count * sizeof c->entries[0]);
    left->count += count;
    c->count -= count;
    memmove(c->entries, &c->entries[count], c->count * sizeof c->entries[0]);
}

static void move_right(struct index *x, uint32_t chunk, uint32_t count)
{
    struct index_chunk *c = x->chunks[chunk], *right = x->chunks[chunk + 1];

    memmove(&right->entries[count], right->entries, right->count * sizeof c->entries[0]);
    c->count -= count;
    memcpy(right->entries, &c->entries[c->count], count * sizeof c->entries[0]);
    right->count += count;
}

/* Makes room in a full chunk: its neighbours take some, and when they are full a new one behind it takes
 * the upper half, or nothing when what comes is greater than all. For new ids are the greatest or nearly
 * so, since sessions end in another order than they began, and halves that ids have passed stay halves. */
static void make_room(struct index *x, uint32_t chunk, bool at_end)
{
    uint32_t left = chunk > 0 ? free_in(x, chunk - 1) : 0, right = free_in(x, chunk + 1);

    if (right >= WORTH_MOVING) {
        move_right(x, chunk, right / 2);
    } else if (left >= WORTH_MOVING) {
        move_left(x, chunk, left / 2);
    } else {
        insert_chunk(x, chunk + 1, chunk_new(x));
        move_right(x, chunk, at_end ? 0 : CHUNK_ENTRIES / 2);
    }
}

struct entry *index_add(struct index *x, uint64_t id, uint32_t to_count)
{
    struct index_chunk *c;
    struct entry *e;
    uint32_t chunk = 0, at;

    must(to_count > 0);
    if (x->chunk_count == 0) {
        insert_chunk(x, 0, chunk_new(x));
    }
    chunk = chunk_of(x, id);
    at = place_in(x->chunks[chunk], id);
    if (x->chunks[chunk]->count == CHUNK_ENTRIES) {
        make_room(x, chunk, at == CHUNK_ENTRIES && chunk + 1 == x->chunk_count);
        chunk = chunk_of(x, id);
        at = place_in(x->chunks[chunk], id);
    }
    c = x->chunks[chunk];
    must(at == c->count || c->entries[at].id != id);
    memmove(&c->entries[at + 1], &c->entries[at], (c->count - at) * sizeof *e);
    c->count++;
    x->count++;
    e = &c->entries[at];
    *e = (struct entry){.id = id, .to_count = to_count};
    if (to_count > 1) {
        e->many = mem_array(to_count, sizeof *e->many);
    }
    return e;
}

static void entry_done(struct entry *e)
{
    mem_free(e->runs);
    if (e->to_count > 1) {
        mem_free(e->many);
    }
}

void index_remove(struct index *x, uint64_t id)
{
    uint32_t chunk = chunk_of(x, id);
    struct index_chunk *c = x->chunks[chunk];
    uint32_t at = place_in(c, id);

    must(at < c->count && c->entries[at].id == id);
    entry_done(&c->entries[at]);
    c->count--;
    x->count--;
    memmove(&c->entries[at], &c->entries[at + 1], (c->count - at) * sizeof c->entries[0]);
    if (c->count == 0) {
        slab_give(&x->slab, c);
        x->chunk_count--;
        memmove(&x->chunks[chunk], &x->chunks[chunk + 1],
                (x->chunk_count - chunk) * sizeof *x->chunks);
    } else if (chunk + 1 < x->chunk_count &&
               c->count + x->chunks[chunk + 1]->count <= CHUNK_ENTRIES / 2) {
        struct index_chunk *behind = x->chunks[chunk + 1];

        memcpy(&c->entries[c->count], behind->entries, behind->count * sizeof c->entries[0]);
        c->count += behind->count;
        slab_give(&x->slab, behind);
        x->chunk_count--;
        memmove(&x->chunks[chunk + 1], &x->chunks[chunk + 2],
                (x->chunk_count - chunk - 1) * sizeof *x->chunks);
    }
}

void index_done(struct index *x)
{
    for (uint32_t i = 0; i < x->chunk_count; i++) {
        for (uint32_t k = 0; k < x->chunks[i]->count; k++) {
            entry_done(&x->chunks[i]->entries[k]);
        }
        slab_give(&x->slab, x->chunks[i]);
    }
    mem_free(x->chunks);
    slab_done(&x->slab);
    *x = (struct index){0};
}
