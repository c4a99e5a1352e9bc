/*
 * stack: memory for fibers, mapped with a guard below it, pooled by each loop.
 *
 * The guard is a lightweight one (Linux 6.13) where the kernel has it, so that ten thousand stacks
 * are one mapping; else mprotect, two mappings each, and vm.max_map_count bounds their number.
 * Errors    stack_map: NULL when the kernel gives no more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_SCALE 4
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_SCALE 4
#endif
#endif
#ifndef STACK_SCALE
#define STACK_SCALE 1
#endif

enum {
    STACK_BYTES = 64 * 1024 * STACK_SCALE,
    STACK_GUARD_BYTES = 64 * 1024,
    STACK_BIG_BYTES = 1024 * 1024 * STACK_SCALE,
};

/* The lowest usable byte of a new stack. */
char *stack_map(size_t size);
void stack_unmap(char *stack, size_t size);
/* Gives back the pages below `depth` bytes from the top. */
void stack_trim(char *stack, size_t size, size_t depth);
/* With -Dwatermark: paints, and says how many bytes were ever used since; else 0. */
void stack_paint(char *stack, size_t size);
size_t stack_used(const char *stack, size_t size);
