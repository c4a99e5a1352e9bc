/*
 * heap: a 4-ary heap of numbered keys threaded through the things it holds; least key first, equal
 * keys in the order they were put (so that simulated runs repeat).
 *
 * The keys lie in the heap's own array and not in the things: comparing four children reads two
 * lines of memory next to each other, and not four things that may be anywhere.
 *
 * Owns      Its array, until heap_done; not the things. A zeroed heap is empty, a zeroed node is in
 *           no heap.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint32_t place; /* 1-based; 0: in no heap */
};

struct heap_entry {
    int64_t key;
    uint64_t order; /* set by heap_put */
    struct heap_node *node;
};

struct heap {
    struct heap_entry *entries;
    uint32_t count, size;
    uint64_t orders;
};

void heap_put(struct heap *h, struct heap_node *n,
              int64_t key);                            /* moves it when it is in already */
void heap_remove(struct heap *h, struct heap_node *n); /* harmless when in none */
void heap_done(struct heap *h);

static inline struct heap_node *heap_least(const struct heap *h) /* NULL when empty */
{
    return h->count ? h->entries[0].node : NULL;
}

/* INT64_MAX when empty, which as a time is never. */
static inline int64_t heap_least_key(const struct heap *h)
{
    return h->count ? h->entries[0].key : INT64_MAX;
}

/* The least when its key is at most that, or NULL: what is due. */
static inline struct heap_node *heap_due(const struct heap *h, int64_t upto)
{
    return h->count && h->entries[0].key <= upto ? h->entries[0].node : NULL;
}

/* Of one that is in it. */
static inline int64_t heap_key(const struct heap *h, const struct heap_node *n)
{
    return h->entries[n->place - 1].key;
}

static inline bool heap_holds(const struct heap_node *n)
{
    return n->place != 0;
}
