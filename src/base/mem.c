#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

_Noreturn void check_failed(const char *file, int line, const char *fact)
{
    fprintf(stderr, "postyard: %s:%d: must hold: %s\n", file, line, fact);
    abort();
}

_Noreturn void mem_exhausted(size_t size)
{
    fprintf(stderr, "postyard: out of memory (%zu bytes wanted)\n", size);
    abort();
}

enum { SMALL_BYTES = 1024 };

static void *or_stop(void *pointer, size_t size)
{
    if (pointer == NULL) {
        mem_exhausted(size);
    }
    return pointer;
}

/* Small blocks come out of the thread's own stock, which calloc passes by; large ones may be fresh
 * pages, which are zero and better not touched. */
void *mem_alloc(size_t size)
{
    void *p;

    if (size > SMALL_BYTES) {
        return or_stop(calloc(1, size), size);
    }
    p = mem_alloc_raw(size);
    memset(p, 0, size);
    return p;
}

void *mem_alloc_raw(size_t size)
{
    return or_stop(malloc(size ? size : 1), size);
}

void *mem_array(size_t count, size_t size)
{
    size_t bytes = 0;

    must(mul_size(count, size, &bytes));
    return mem_alloc(bytes);
}

void *mem_grow(void *old, size_t count, size_t size)
{
    size_t bytes = 0;

    must(mul_size(count, size, &bytes));
    return or_stop(realloc(old, bytes ? bytes : 1), bytes);
}

void mem_wants_huge(void *at, size_t size)
{
    enum { PAGE = 4096 };
    uintptr_t from = ((uintptr_t)at + PAGE - 1) / PAGE * PAGE,
              upto = ((uintptr_t)at + size) / PAGE * PAGE;

    if (size >= MEM_HUGE_BYTES && from < upto) {
        (void)madvise((void *)from, upto - from, MADV_HUGEPAGE); /* a wish: it may be denied */
    }
}

char *mem_dup_z(const char *text, size_t len)
{
    char *copy = mem_alloc_raw(len + 1);

    if (len > 0) {
        memcpy(copy, text, len);
    }
    copy[len] = 0;
    return copy;
}

void mem_free(void *pointer)
{
    free(pointer);
}
