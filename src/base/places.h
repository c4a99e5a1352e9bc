/*
 * places: a hash table of pointers to things that hold their own keys; open addressing, grows by
 * doubling.
 *
 * For what there is a million of: eight bytes a place instead of a map's thirty-two (P7). A place
 * also says how far it is from where its thing would stand best, and a few bits of the hash, so
 * that hardly a thing on the way to another is read: each such read is one that memory makes wait
 * for.
 *
 * Owns      Its places, until places_done; not the things. A zeroed one is empty.
 * Cost      O(1). The caller brings the hash; it must be mixed well, and where strangers choose the
 *           keys it must not be theirs to choose.
 * Limits    Addresses of 48 bits, as user space has them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct places {
    uint64_t *slots;    /* address, bits of the hash, distance; 0: free */
    size_t count, size; /* size: power of two, or 0 */
};

struct places_keys {
    bool (*is)(const void *thing, const void *key);
    uint64_t (*hash)(const void *thing); /* of its key, when the table grows */
};

void *places_get(const struct places *t, const struct places_keys *keys, uint64_t hash,
                 const void *key); /* NULL: none */
/* In the place of who has that key, if somebody has. */
void places_put(struct places *t, const struct places_keys *keys, uint64_t hash, const void *key,
                void *thing);
/* Removed; what it was, or NULL. */
void *places_take(struct places *t, const struct places_keys *keys, uint64_t hash, const void *key);
/* What is in or after place *at, which then says where; NULL at the end. */
void *places_any(const struct places *t, size_t *at);
void places_done(struct places *t);

/* For keys that are numbers or addresses. */
static inline uint64_t places_mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ (b << 32 | b >> 32)) * 0x9e3779b97f4a7c15u;

    h ^= h >> 32;
    h *= 0xff51afd7ed558ccdu;
    return h ^ h >> 29;
}
