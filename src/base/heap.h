/*
 * heap: a 4-ary heap of numbered keys threaded through the things it holds; least key first, equal
 * keys in the order they were put (so that simulated runs repeat).
 *
 * Owns      Its array of pointers, until heap_done; not the nodes. A zeroed heap is empty, a zeroed
 *           node is in no heap.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    uint64_t order; /* set by heap_put */
    uint32_t place; /* 1-based; 0: in no heap */
};

struct heap {
    struct heap_node **nodes;
    uint32_t count, size;
    uint64_t orders;
};

void heap_put(struct heap *h, struct heap_node *n,
              int64_t key);                            /* moves it when it is in already */
void heap_remove(struct heap *h, struct heap_node *n); /* harmless when in none */
void heap_done(struct heap *h);

static inline struct heap_node *heap_least(const struct heap *h) /* NULL when empty */
{
    return h->count ? h->nodes[0] : NULL;
}

static inline bool heap_holds(const struct heap_node *n)
{
    return n->place != 0;
}
