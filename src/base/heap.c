#include "base/heap.h"

#include "base/mem.h"

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key < b->key || (a->key == b->key && a->order < b->order);
}

static void place(struct heap *h, struct heap_node *n, uint32_t at)
{
    h->nodes[at] = n;
    n->place = at + 1;
}

static void rise(struct heap *h, struct heap_node *n, uint32_t at)
{
    while (at > 0) {
        uint32_t up = (at - 1) / 4;

        if (!before(n, h->nodes[up])) {
            break;
        }
        place(h, h->nodes[up], at);
        at = up;
    }
    place(h, n, at);
}

static void sink(struct heap *h, struct heap_node *n, uint32_t at)
{
    for (;;) {
        uint32_t first = at * 4 + 1, least = first;

        if (first >= h->count) {
            break;
        }
        for (uint32_t i = first + 1; i < first + 4 && i < h->count; i++) {
            if (before(h->nodes[i], h->nodes[least])) {
                least = i;
            }
        }
        if (!before(h->nodes[least], n)) {
            break;
        }
        place(h, h->nodes[least], at);
        at = least;
    }
    place(h, n, at);
}

static void settle(struct heap *h, struct heap_node *n, uint32_t at)
{
    if (at > 0 && before(n, h->nodes[(at - 1) / 4])) {
        rise(h, n, at);
    } else {
        sink(h, n, at);
    }
}

void heap_put(struct heap *h, struct heap_node *n, int64_t key)
{
    n->key = key;
    n->order = h->orders++;
    if (n->place != 0) {
        settle(h, n, n->place - 1);
        return;
    }
    if (h->count == h->size) {
        must(h->size < UINT32_MAX / 2);
        h->size = h->size ? h->size * 2 : 4;
        h->nodes = mem_grow(h->nodes, h->size, sizeof *h->nodes);
    }
    rise(h, n, h->count++);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    uint32_t at = n->place - 1;
    struct heap_node *last;

    if (n->place == 0) {
        return;
    }
    must(h->nodes[at] == n);
    n->place = 0;
    last = h->nodes[--h->count];
    if (last != n) {
        settle(h, last, at);
    }
}

void heap_done(struct heap *h)
{
    mem_free(h->nodes);
    *h = (struct heap){0};
}
