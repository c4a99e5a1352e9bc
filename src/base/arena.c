#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_SEPARATE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_SEPARATE 1
#endif
#endif
#ifndef ARENA_SEPARATE
#define ARENA_SEPARATE 0
#endif

/*
 * The first block is one of those that the C library hands out from a list of each thread, without
 * looking for room: most arenas live for one command or one attempt and need no more, and those
 * that live as long as a message waits are many.
 */
enum { FIRST_BYTES = 1024 - 64, BLOCK_BYTES = 4096 - 64, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    _Alignas(ALIGN) char bytes[];
};

static struct arena_block *block_new(size_t size)
{
    struct arena_block *b = mem_alloc_raw(sizeof *b + size);

    b->next = NULL;
    b->size = size;
    b->used = 0;
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    struct arena_block *b = a->blocks;
    size_t want;
    void *at;

    must(add_size(size, ALIGN - 1, &want));
    want &= ~(size_t)(ALIGN - 1);
    a->held += want;
    if (ARENA_SEPARATE) {
        b = block_new(size);
        b->next = a->blocks;
        a->blocks = b;
        return memset(b->bytes, 0, size);
    }
    if (b == NULL || b->size - b->used < want) {
        size_t least = a->blocks == NULL ? FIRST_BYTES : BLOCK_BYTES;

        b = block_new(want > least ? want : least);
        b->next = a->blocks;
        a->blocks = b;
    }
    at = b->bytes + b->used;
    b->used += want;
    return memset(at, 0, size);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t bytes = 0;

    must(mul_size(count, size, &bytes));
    return arena_alloc(a, bytes);
}

struct str arena_dup(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.len);

    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    return (struct str){copy, s.len};
}

char *arena_z(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.len + 1);

    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    return copy;
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    char *text;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    must(len >= 0);
    text = arena_alloc(a, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (struct str){text, (size_t)len};
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = NULL;

    while (a->blocks != NULL) {
        struct arena_block *b = a->blocks;

        a->blocks = b->next;
        if (!ARENA_SEPARATE && keep == NULL && b->size <= BLOCK_BYTES) {
            keep = b;
        } else {
            mem_free(b);
        }
    }
    if (keep != NULL) {
        keep->next = NULL;
        keep->used = 0;
        a->blocks = keep;
    }
    a->held = 0;
}

void arena_done(struct arena *a)
{
    arena_reset(a);
    mem_free(a->blocks);
    a->blocks = NULL;
}
