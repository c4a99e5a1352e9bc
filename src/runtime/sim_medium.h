/*
 * sim_medium: what a simulated disk holds: what programs see, what is durable, and every change
 * between the two. Pure: it neither waits nor knows a world. For sim_disk.c only.
 */
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "runtime/sim_part.h"

enum { SECTOR_BYTES = 512, PAGE_BYTES = 4096 };

struct image {
    char *bytes;
    uint64_t size, room; /* bytes from size to room are zero */
};

struct inode {
    struct link link;    /* in medium.inodes */
    struct image now;    /* what programs see */
    struct image kept;   /* what is durable */
    struct list changes; /* not flushed, oldest first */
    uint64_t reserved;   /* bytes of room it takes */
    uint32_t handles;    /* open files */
    bool ghosts;         /* now has bytes that a failed flush has dropped */
    bool marked;         /* by the sweep */
};

struct entry {
    struct str name;
    struct inode *inode;
};

struct folder {
    struct entry *entries;
    size_t count, size;
};

enum folder_change_kind { NAME_MADE, NAME_REMOVED, NAME_MOVED };

struct medium {
    struct rng rng;
    struct arena names;
    struct list inodes;
    struct folder now, kept;
    struct list folder_changes; /* not flushed, oldest first */
    uint64_t number;            /* of the last change */
};

/* How the last cut treated what was not flushed. */
struct cut {
    uint32_t lost_sectors, torn_files, lost_names;
};

void medium_init(struct medium *m, uint64_t seed);
void medium_done(struct medium *m);

struct inode *medium_find(const struct medium *m, struct str name); /* NULL: none */
struct inode *medium_create(struct medium *m, struct str name);     /* must not exist */
bool medium_rename(struct medium *m, struct str from, struct str to);
bool medium_unlink(struct medium *m, struct str name);
void medium_sweep(struct medium *m); /* frees inodes that nothing names or holds */

void medium_write(struct medium *m, struct inode *i, uint64_t offset, struct str bytes);
void medium_resize(struct medium *m, struct inode *i, uint64_t size);
uint64_t medium_used(const struct medium *m);

/* All changes up to that number become durable. */
void medium_sync(struct medium *m, struct inode *i, uint64_t up_to);
void medium_sync_folder(struct medium *m, uint64_t up_to);
/* Or some of it, and nothing is dirty any more. */
void medium_sync_fails(struct medium *m, struct inode *i, uint64_t up_to);
struct cut medium_power_cut(struct medium *m);
void medium_kill(struct medium *m);
