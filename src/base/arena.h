/*
 * arena: memory of one lifetime, freed together.
 *
 * Owns      All it hands out. arena_reset frees everything but keeps one block for the next round;
 *           arena_done frees that too. A zeroed struct arena is ready for use.
 * Limits    None of its own: callers limit what strangers may put in.
 * Errors    None (mem.h).
 *
 * Under sanitizers each allocation stands alone, so that overruns are seen.
 */
#pragma once

#include "base/str.h"

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t held;                /* bytes handed out since the last reset */
};

void *arena_alloc(struct arena *a, size_t size); /* zeroed, aligned for any type */
void *arena_array(struct arena *a, size_t count, size_t size);
struct str arena_dup(struct arena *a, struct str s);
char *arena_z(struct arena *a, struct str s); /* a copy ended by NUL, for system calls */
struct str arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *a);
void arena_done(struct arena *a);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
/* struct arena a ARENA_LOCAL = {0};  freed when the block is left */
#define ARENA_LOCAL __attribute__((cleanup(arena_done)))
