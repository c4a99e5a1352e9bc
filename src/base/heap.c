#include "base/heap.h"

#include "base/mem.h"

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->key < b->key || (a->key == b->key && a->order < b->order);
}

static void place(struct heap *h, const struct heap_entry *e, uint32_t at)
{
    h->entries[at] = *e;
    e->node->place = at + 1;
}

static void rise(struct heap *h, const struct heap_entry *e, uint32_t at)
{
    while (at > 0) {
        uint32_t up = (at - 1) / 4;

        if (!before(e, &h->entries[up])) {
            break;
        }
        place(h, &h->entries[up], at);
        at = up;
    }
    place(h, e, at);
}

static void sink(struct heap *h, const struct heap_entry *e, uint32_t at)
{
    for (;;) {
        uint32_t first = at * 4 + 1, least = first;

        if (first >= h->count) {
            break;
        }
        for (uint32_t i = first + 1; i < first + 4 && i < h->count; i++) {
            if (before(&h->entries[i], &h->entries[least])) {
                least = i;
            }
        }
        if (!before(&h->entries[least], e)) {
            break;
        }
        place(h, &h->entries[least], at);
        at = least;
    }
    place(h, e, at);
}

static void settle(struct heap *h, const struct heap_entry *e, uint32_t at)
{
    if (at > 0 && before(e, &h->entries[(at - 1) / 4])) {
        rise(h, e, at);
    } else {
        sink(h, e, at);
    }
}

void heap_put(struct heap *h, struct heap_node *n, int64_t key)
{
    struct heap_entry e = {key, h->orders++, n};

    if (n->place != 0) {
        settle(h, &e, n->place - 1);
        return;
    }
    if (h->count == h->size) {
        must(h->size < UINT32_MAX / 2);
        h->size = h->size ? h->size * 2 : 4;
        h->entries = mem_grow(h->entries, h->size, sizeof *h->entries);
        mem_wants_huge(h->entries, h->size * sizeof *h->entries);
    }
    rise(h, &e, h->count++);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    uint32_t at = n->place - 1;
    struct heap_entry last;

    if (n->place == 0) {
        return;
    }
    must(h->entries[at].node == n);
    n->place = 0;
    last = h->entries[--h->count];
    if (last.node != n) {
        settle(h, &last, at);
    }
}

void heap_done(struct heap *h)
{
    mem_free(h->entries);
    *h = (struct heap){0};
}
