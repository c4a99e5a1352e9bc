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

/* Lies at the beginning of its block, which is aligned to its own size: so each thing finds it. */
struct slab_block {
    struct link in_slab;
    struct hole *holes; /* given back */
    uint32_t used;      /* things in it */
    uint32_t fresh;     /* places from here on have never been used: their pages are not touched */
};

enum { HEAD_BYTES = (sizeof(struct slab_block) + 7) / 8 * 8 };

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

static size_t stride(const struct slab *s)
{
    return ((size_t)s->item + 7) / 8 * 8;
}

static uint32_t places(const struct slab *s)
{
    return (uint32_t)((SLAB_BLOCK_BYTES - HEAD_BYTES) / stride(s));
}

/* Twice the size is asked for, and what lies before and behind the aligned part given back. */
static struct slab_block *block_map(void)
{
    const size_t size = SLAB_BLOCK_BYTES;
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
    return (struct slab_block *)(void *)(all + before);
}

static struct slab_block *block_of(void *thing)
{
    char *at = thing;

    return (struct slab_block *)(void *)(at - (uintptr_t)at % SLAB_BLOCK_BYTES);
}

static void block_free(struct slab *s, struct slab_block *b)
{
    list_remove(&b->in_slab);
    s->blocks--;
    must(munmap(b, SLAB_BLOCK_BYTES) == 0);
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
        b = block_map();
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
        thing = (char *)b + HEAD_BYTES + b->fresh * stride(s);
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
    *s = (struct slab){.item = s->item};
}

#endif
