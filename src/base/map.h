/*
 * map: a hash table from bytes or a number to a pointer; open addressing, grows by doubling.
 *
 * Owns      Its slots, until map_done; neither keys nor values. A key given as bytes must live
 *           (and stay) as long as its entry: usually it lies inside the value.
 *           A zeroed map is empty; set `seed` (from runtime/random.h) before the first put when
 *           strangers choose the keys.
 * Cost      O(1); iteration is in slot order, which depends on the seed: do not let it decide.
 */
#pragma once

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct map_slot {
    struct str key; /* for numbers: len is the number, ptr NULL */
    uint64_t hash;
    void *value; /* NULL: free */
};

struct map {
    struct map_slot *slots;
    size_t count, size; /* size: power of two, or 0 */
    uint64_t seed;
};

void *map_get(const struct map *m, struct str key);       /* NULL when absent */
void map_put(struct map *m, struct str key, void *value); /* value not NULL; replaces */
void *map_take(struct map *m, struct str key);            /* removed; what it was, or NULL */

void *map_get_num(const struct map *m, uint64_t key);
void map_put_num(struct map *m, uint64_t key, void *value);
void *map_take_num(struct map *m, uint64_t key);

/* The value in or after slot *at, which moves past it; NULL at the end. Do not put meanwhile. */
void *map_each(const struct map *m, size_t *at);
void map_done(struct map *m);
