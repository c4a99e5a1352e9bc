/*
 * cache: answers for a while, bounded in number and bytes; the longest unused go first.
 *
 * Owns      Its entries; cache_done frees them. What cache_get gives stays until the next call.
 */
#pragma once

#include "base/date.h"
#include "base/list.h"
#include "base/map.h"
#include "lookup/lookup.h"

struct cache {
    struct map map;
    struct list used; /* longest unused first */
    size_t entries_max, bytes_max, bytes;
};

void cache_init(struct cache *c, size_t entries_max, size_t bytes_max);
void cache_done(struct cache *c);
/* NULL: not there, or too old. */
const struct lookup_answer *cache_get(struct cache *c, struct str key, struct when now);
/* Keeps a copy; one that would fill more than the cache is left out. */
void cache_put(struct cache *c, struct str key, const struct lookup_answer *answer,
               struct when until);
void cache_forget(struct cache *c, struct str key);
