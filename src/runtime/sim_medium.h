/*
 * sim_medium: what a simulated disk holds: what programs see, what is durable, and every change
 * between the two. Pure: it neither waits nor knows a world. For sim_disk*.c and sim_cut.c
 * only.
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

struct change {
    struct link link;
    uint64_t number;
    bool is_size;
    uint64_t offset; /* or the new size */
    uint64_t len;
    char bytes[];
};

struct folder_change {
    struct link link;
    uint64_t number;
    enum folder_change_kind kind;
    struct str from, to;
    struct inode *inode;
};

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

/* The first `most` bytes of these. */
void medium_write(struct medium *m, struct inode *i, uint64_t offset, const struct iovec *iov,
                  unsigned count, uint64_t most);
void medium_resize(struct medium *m, struct inode *i, uint64_t size);
uint64_t medium_used(const struct medium *m);

/* All changes up to that number become durable. */
void medium_sync(struct medium *m, struct inode *i, uint64_t up_to);
void medium_sync_folder(struct medium *m, uint64_t up_to);
/* Or some of it, and nothing is dirty any more. */
void medium_sync_fails(struct medium *m, struct inode *i, uint64_t up_to);
struct cut medium_power_cut(struct medium *m);
void medium_kill(struct medium *m);

/* For sim_cut.c. */
static inline uint64_t sector_end(uint64_t at)
{
    return (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
}

uint64_t whole_pages(uint64_t bytes);
void image_room(struct image *g, uint64_t room);
void image_blank_from(struct image *g, uint64_t from);
void image_write(struct image *g, uint64_t offset, const char *bytes, uint64_t len);
void image_copy(struct image *to, const struct image *from);
/* False when what it needs is not there. */
bool folder_apply(struct folder *f, const struct folder_change *c);
void folder_copy(struct folder *to, const struct folder *from);
/* The oldest change that is not flushed, if its number is at most that. */
struct change *inode_first_up_to(struct inode *i, uint64_t up_to);
void changes_drop(struct list *changes);
/* What is seen becomes what is durable, and what is still dirty over it. */
void inode_forget_ghosts(struct inode *i);
