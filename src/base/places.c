#include "base/places.h"

#include "base/mem.h"

enum { SIZE_LEAST = 16, DISTANCE_BITS = 10, SOME_BITS = 6, ADDRESS_BITS = 48 };

/* Or further: such a thing's own hash tells. */
enum { FAR = (1 << DISTANCE_BITS) - 1 };

/* ---- a place ---- */

/* Bits of the hash that the home is not made of. */
static uint64_t some_of(uint64_t hash)
{
    return hash >> (64 - SOME_BITS);
}

static uint64_t place_of(const void *thing, uint64_t hash, size_t distance)
{
    uint64_t address = (uintptr_t)thing;

    must(thing != NULL && address >> ADDRESS_BITS == 0);
    return (address << SOME_BITS | some_of(hash)) << DISTANCE_BITS |
           (distance < FAR ? distance : FAR);
}

static void *thing_at(const struct places *t, size_t at)
{
    return (void *)(uintptr_t)(t->slots[at] >> (SOME_BITS + DISTANCE_BITS));
}

static size_t distance_at(const struct places *t, const struct places_keys *keys, size_t at)
{
    size_t distance = (size_t)(t->slots[at] & FAR);

    return distance < FAR ? distance : (at - (size_t)keys->hash(thing_at(t, at))) & (t->size - 1);
}

/* May it be one of this hash, so far from its home? */
static bool may_be(uint64_t slot, uint64_t hash, size_t distance)
{
    uint64_t bits = some_of(hash) << DISTANCE_BITS | (distance < FAR ? distance : FAR);

    return (slot & ((1u << (SOME_BITS + DISTANCE_BITS)) - 1)) == bits;
}

/* The place that holds it, or the free one where it would go. */
static size_t find(const struct places *t, const struct places_keys *keys, uint64_t hash,
                   const void *key)
{
    size_t at = (size_t)hash & (t->size - 1);

    for (size_t distance = 0; t->slots[at] != 0; distance++) {
        if (may_be(t->slots[at], hash, distance) && keys->is(thing_at(t, at), key)) {
            break;
        }
        at = (at + 1) & (t->size - 1);
    }
    return at;
}

/* ---- all of them ---- */

/* Nobody in it has the same key. */
static void add(struct places *t, uint64_t hash, void *thing)
{
    size_t at = (size_t)hash & (t->size - 1), distance = 0;

    while (t->slots[at] != 0) {
        at = (at + 1) & (t->size - 1);
        distance++;
    }
    t->slots[at] = place_of(thing, hash, distance);
    t->count++;
}

static void grow(struct places *t, const struct places_keys *keys)
{
    struct places old = *t;

    t->size = old.size ? old.size * 2 : SIZE_LEAST;
    t->slots = mem_array(t->size, sizeof *t->slots);
    mem_wants_huge(t->slots, t->size * sizeof *t->slots);
    t->count = 0;
    for (size_t i = 0; i < old.size; i++) {
        if (old.slots[i] != 0) {
            add(t, keys->hash(thing_at(&old, i)), thing_at(&old, i));
        }
    }
    mem_free(old.slots);
}

void *places_get(const struct places *t, const struct places_keys *keys, uint64_t hash,
                 const void *key)
{
    return t->size ? thing_at(t, find(t, keys, hash, key)) : NULL;
}

void places_put(struct places *t, const struct places_keys *keys, uint64_t hash, const void *key,
                void *thing)
{
    size_t at;

    if (t->count * 4 >= t->size * 3) {
        grow(t, keys);
    }
    at = find(t, keys, hash, key);
    t->count += t->slots[at] == 0;
    t->slots[at] = place_of(thing, hash, (at - (size_t)hash) & (t->size - 1));
}

void *places_take(struct places *t, const struct places_keys *keys, uint64_t hash, const void *key)
{
    size_t hole = t->size ? find(t, keys, hash, key) : 0, at = hole;
    void *thing = t->size ? thing_at(t, hole) : NULL;

    if (thing == NULL) {
        return NULL;
    }
    /* Close the gap: move back each later one of the run that may stand in the hole. */
    for (;;) {
        size_t back, distance;

        at = (at + 1) & (t->size - 1);
        if (t->slots[at] == 0) {
            break;
        }
        back = (at - hole) & (t->size - 1);
        distance = distance_at(t, keys, at);
        if (distance >= back) {
            distance -= back;
            t->slots[hole] = (t->slots[at] & ~(uint64_t)FAR) | (distance < FAR ? distance : FAR);
            hole = at;
        }
    }
    t->slots[hole] = 0;
    t->count--;
    return thing;
}

void *places_any(const struct places *t, size_t *at)
{
    while (*at < t->size && t->slots[*at] == 0) {
        (*at)++;
    }
    return *at < t->size ? thing_at(t, *at) : NULL;
}

void places_done(struct places *t)
{
    mem_free(t->slots);
    *t = (struct places){0};
}
