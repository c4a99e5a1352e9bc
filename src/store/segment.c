#include "store/segment.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

/* Below so many segments the disk is not short of room, and nothing is moved. */
enum { SEGMENTS_UNMOVED = 4 };

struct segment *segments_find(const struct segments *all, uint32_t generation)
{
    return map_get_num(&all->by_generation, generation);
}

struct segment *segments_add(struct segments *all, uint32_t generation)
{
    struct segment *g = MEM_NEW(struct segment);

    must(generation != 0);
    must(all->count == 0 || all->list[all->count - 1]->generation < generation);
    g->generation = generation;
    if (all->count == all->size) {
        all->size = all->size ? all->size * 2 : 16;
        all->list = mem_grow(all->list, all->size, sizeof *all->list);
    }
    all->list[all->count++] = g;
    map_put_num(&all->by_generation, generation, g);
    return g;
}

void segments_remove(struct segments *all, struct segment *g)
{
    uint32_t at = 0;

    while (all->list[at] != g) {
        at++;
        must(at < all->count);
    }
    all->count--;
    memmove(&all->list[at], &all->list[at + 1], (all->count - at) * sizeof *all->list);
    map_take_num(&all->by_generation, g->generation);
    mem_free(g);
}

void segments_done(struct segments *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        mem_free(all->list[i]);
    }
    mem_free(all->list);
    map_done(&all->by_generation);
    *all = (struct segments){0};
}

void segments_ref(struct segments *all, uint32_t generation, uint32_t bytes)
{
    struct segment *g = generation ? segments_find(all, generation) : NULL;

    if (g != NULL) {
        g->refs++;
        g->live_bytes += bytes;
    }
}

void segments_unref(struct segments *all, uint32_t generation, uint32_t bytes)
{
    struct segment *g = generation ? segments_find(all, generation) : NULL;

    if (g != NULL) {
        must(g->refs > 0 && g->live_bytes >= bytes);
        g->refs--;
        g->live_bytes -= bytes;
    }
}

bool segment_may_be_recycled(const struct segment *g, uint32_t covered)
{
    if (!g->is_sealed || g->refs > 0 || g->pins > 0 || g->readers > 0) {
        return false;
    }
    return g->generation < covered;
}

struct segment *segments_to_move(const struct segments *all, uint64_t segment_bytes,
                                 uint32_t covered, uint64_t credit)
{
    struct segment *best = NULL;
    uint64_t live = 0;

    for (uint32_t i = 0; i < all->count; i++) {
        struct segment *g = all->list[i];

        live += g->live_bytes;
        if (!g->is_sealed || g->generation >= covered || g->refs == 0 || g->pins > 0 ||
            g->is_stuck) {
            continue;
        }
        if (g->live_bytes * 2 <= segment_bytes &&
            (best == NULL || g->live_bytes < best->live_bytes)) {
            best = g;
        }
    }
    if (all->count <= SEGMENTS_UNMOVED || all->count * segment_bytes < 2 * live) {
        return NULL;
    }
    return best != NULL && best->live_bytes <= credit ? best : NULL;
}
