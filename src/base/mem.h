/*
 * mem: allocation that does not fail, and sums that do not wrap.
 *
 * Ownership  What mem_* returns is freed with mem_free by whoever holds it last.
 * Errors     None: sizes from strangers are limited where they enter, so running out of memory
 *            inside those limits stops the process with one line (style guide, "Memory").
 */
#pragma once

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t size);                         /* zeroed */
void *mem_alloc_raw(size_t size);                     /* not zeroed */
void *mem_array(size_t count, size_t size);           /* zeroed; checks the product */
void *mem_grow(void *old, size_t count, size_t size); /* realloc; checks the product */
char *mem_dup_z(const char *text, size_t len);        /* a copy, ended by NUL */
void mem_free(void *pointer);

/* For what is large and read here and there: the system may give it pages of MEM_HUGE_BYTES, so
 * that a read seldom waits for the page's address too. What is smaller than one is left alone. */
enum { MEM_HUGE_BYTES = 2 * 1024 * 1024 };
void mem_wants_huge(void *at, size_t size);

/* Stops the process, as each of these does when there is no memory: for other allocators. */
_Noreturn void mem_exhausted(size_t size);

#define MEM_NEW(type) ((type *)mem_alloc(sizeof(type)))

/* a + b and a * b into *ret; false, with *ret unchanged, when the result does not fit. */
static inline bool add_size(size_t a, size_t b, size_t *ret)
{
    size_t sum;

    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *ret = sum;
    return true;
}

static inline bool mul_size(size_t a, size_t b, size_t *ret)
{
    size_t product;

    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *ret = product;
    return true;
}
