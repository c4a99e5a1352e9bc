/*
 * slab: many things of one size that live long, packed in blocks of their own.
 *
 * For what there is a million of: no header for each, and no sharing of pages with what comes and
 * goes, so that a block whose things are all gone is given back to the system (P7).
 *
 * Owns      Its blocks; whatever is still in them goes with slab_done. A slab is made with its
 *           item's size and otherwise zeroed: struct slab s = {.item = sizeof(struct thing)}.
 * Cost      O(1). A thing is zeroed when it is given out, and aligned to eight bytes; to a line of
 *           memory when its size is whole lines.
 * Checks    Under AddressSanitizer each thing is allocated for itself, so that its use after its
 *           end is seen; slab_done then frees nothing.
 * Limits    One thread. Things of at most SLAB_ITEM_MAX bytes.
 */
#pragma once

#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

enum { SLAB_BLOCK_BYTES = 128 * 1024, SLAB_ITEM_MAX = 16 * 1024 };

struct slab_block;

struct slab {
    uint32_t item;    /* bytes of one thing */
    uint32_t blocks;  /* that exist */
    struct list room; /* blocks with a free place */
    struct list full;
    bool is_begun;
    char *spare; /* mapped, and in no block yet */
    size_t spare_bytes;
};

void *slab_take(struct slab *s);
void slab_give(struct slab *s, void *thing);
void slab_done(struct slab *s);
