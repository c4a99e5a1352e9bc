#include "base/slab.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_APART 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_APART 1
#endif
#endif

/* A place that holds nothing. */
struct hole {
    struct hole *next;
};

/* Lies near the beginning of its block, which is aligned to its own size: so each thing finds it.
 */
struct slab_block {
    struct link in_slab;
    struct hole *holes; /* given back */
    uint32_t used;      /* things in it */
    uint32_t fresh;     /* places from here on have never been used: their pages are not touched */
};

/* Things of whole lines of memory begin with one. Blocks lie so that their beginnings would all
 * fall in the same few places of a cache: each has its head on another of so many lines. */
enum { LINE_BYTES = 64, HEADS = 16, HEAD_BYTES = HEADS * LINE_BYTES };

_Static_assert(sizeof(struct slab_block) <= LINE_BYTES, "a head is one line");

#ifdef SLAB_APART

void *slab_take(struct slab *s)
{
    return mem_alloc(s->item);
}

void slab_give(struct slab *s, void *thing)
{
    (void)s;
    mem_free(thing);
}

void slab_done(struct slab *s)
{
    (void)s;
}

#else

enum { MANY_BLOCKS = 2 * MEM_HUGE_BYTES / SLAB_BLOCK_BYTES };

static size_t stride(const struct slab *s)
{
    return ((size_t)s->item + 7) / 8 * 8;
}

static uint32_t places(const struct slab *s)
{
    return (uint32_t)((SLAB_BLOCK_BYTES - HEAD_BYTES) / stride(s));
}

/* Twice the size is asked for, and what lies before and behind the aligned part given back. */
static char *map_aligned(size_t size)
{
    char *all = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t before;

    if (all == MAP_FAILED) {
        mem_exhausted(2 * size);
    }
    before = (size - (uintptr_t)all % size) % size;
    if (before > 0) {
        must(munmap(all, before) == 0);
    }
    must(munmap(all + before + size, size - before) == 0);
    return all + before;
}

static char *start_of(const void *thing)
{
    char *at = (char *)(uintptr_t)thing;

    return at - (uintptr_t)at % SLAB_BLOCK_BYTES;
}

static struct slab_block *block_of(const void *thing)
{
    char *start = start_of(thing);
    size_t head = (uintptr_t)start / SLAB_BLOCK_BYTES % HEADS;

    return (struct slab_block *)(void *)(start + head * LINE_BYTES);
}

/* From a slab that has grown large blocks come out of a larger piece. */
static struct slab_block *block_map(struct slab *s)
{
    char *start;

    if (s->spare_bytes == 0 && s->blocks < MANY_BLOCKS) {
        return block_of(map_aligned(SLAB_BLOCK_BYTES));
    }
    if (s->spare_bytes == 0) {
        s->spare = map_aligned(MEM_HUGE_BYTES);
        s->spare_bytes = MEM_HUGE_BYTES;
        mem_wants_huge(s->spare, s->spare_bytes);
    }
    start = s->spare;
    s->spare += SLAB_BLOCK_BYTES;
    s->spare_bytes -= SLAB_BLOCK_BYTES;
    return block_of(start);
}

static void block_free(struct slab *s, struct slab_block *b)
{
    list_remove(&b->in_slab);
    s->blocks--;
    must(munmap(start_of(b), SLAB_BLOCK_BYTES) == 0);
}

void *slab_take(struct slab *s)
{
    struct slab_block *b;
    char *thing;

    if (!s->is_begun) {
        must(s->item >= sizeof(struct hole) && s->item <= SLAB_ITEM_MAX);
        list_init(&s->room);
        list_init(&s->full);
        s->is_begun = true;
    }
    if (list_is_empty(&s->room)) {
        b = block_map(s);
        s->blocks++;
        list_push(&s->room, &b->in_slab);
    }
    b = CONTAINER_OF(list_first(&s->room), struct slab_block, in_slab);
    b->used++;
    if (b->holes != NULL) {
        thing = (char *)b->holes;
        b->holes = b->holes->next;
        memset(thing, 0, s->item);
    } else {
        thing = start_of(b) + HEAD_BYTES + b->fresh * stride(s);
        b->fresh++;
    }
    if (b->used == places(s)) {
        list_remove(&b->in_slab);
        list_push(&s->full, &b->in_slab);
    }
    return thing;
}

/* The last block stays: a queue that is empty again and again is not mapped again and again. */
void slab_give(struct slab *s, void *thing)
{
    struct slab_block *b = block_of(thing);
    struct hole *hole = thing;

    must(b->used > 0);
    if (b->used == places(s)) {
        list_remove(&b->in_slab);
        list_push_front(&s->room, &b->in_slab);
    }
    hole->next = b->holes;
    b->holes = hole;
    b->used--;
    if (b->used == 0 && s->blocks > 1) {
        block_free(s, b);
    }
}

void slab_done(struct slab *s)
{
    while (s->is_begun && !(list_is_empty(&s->room) && list_is_empty(&s->full))) {
        struct list *l = list_is_empty(&s->room) ? &s->full : &s->room;

        block_free(s, CONTAINER_OF(list_first(l), struct slab_block, in_slab));
    }
    if (s->spare_bytes > 0) {
        must(munmap(s->spare, s->spare_bytes) == 0);
    }
    *s = (struct slab){.item = s->item};
}

#endif
