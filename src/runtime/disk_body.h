/*
 * disk_body: what a real and a simulated disk each provide; for files of runtime/ only. The meaning
 * of each function is disk.h's.
 */
#pragma once

#include "runtime/disk.h"

struct disk_ops {
    void (*close)(struct disk *d);
    struct err (*list)(struct disk *d, struct arena *a, struct str **names, size_t *count,
                       struct when by);
    struct err (*rename)(struct disk *d, struct str from, struct str to, struct when by);
    struct err (*unlink)(struct disk *d, struct str name, struct when by);
    struct err (*sync_folder)(struct disk *d, struct when by);
    struct err (*free_bytes)(struct disk *d, uint64_t *ret, struct when by);
    struct err (*lock)(struct disk *d, struct str name, struct str who, struct arena *a,
                       struct str *holder, struct when by);
    struct err (*file_open)(struct disk *d, struct str name, unsigned flags, struct disk_file **ret,
                            struct when by);
    void (*file_close)(struct disk_file *f);
    struct err (*size)(struct disk_file *f, uint64_t *ret, struct when by);
    struct err (*allocate)(struct disk_file *f, uint64_t size, struct when by);
    struct err (*truncate)(struct disk_file *f, uint64_t size, struct when by);
    struct err (*read)(struct disk_file *f, uint64_t offset, char *at, size_t size, size_t *got,
                       struct when by);
    /* `sync`: and flush, in the same trip. */
    struct err (*write)(struct disk_file *f, uint64_t offset, const struct iovec *iov,
                        unsigned count, bool sync, struct when by);
    struct err (*sync)(struct disk_file *f, struct when by);
};

/* First member of each body's own struct. */
struct disk {
    const struct disk_ops *ops;
    char *path;
    struct disk_counts counts;
};

struct disk_file {
    struct disk *disk;
};
