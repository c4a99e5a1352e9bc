/*
 * disk: one folder and the files in it; real (plain libc calls on offload threads, so that a
 * preloaded shim can see and cut each) or simulated (virtual time, lost and torn writes).
 *
 * Durable   Written bytes are durable after disk_sync of that file has returned OK; a new, renamed
 *           or removed name after disk_sync_folder. A failed sync is final for what it covered: the
 *           system may have dropped the dirty pages, and the next sync says OK. Simulated disks do
 *           the same.
 * Waits     Calls wait firmly (fiber.h): a write that was begun is finished. `by` says that they
 *           suspend; pass WHEN_NEVER.
 * Owns      A disk owns nothing but its folder's handle; a file its descriptor.
 * Errors    ERR_DISK with errno, ERR_FULL (ENOSPC, EDQUOT), ERR_NOT_FOUND, ERR_EXISTS, ERR_BUSY.
 */
#pragma once

#include "base/arena.h"
#include "base/date.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct disk;
struct disk_file;

/* Opens the folder, making it (and its parents, mode 0700) if need be. */
struct err disk_open(struct str path, struct disk **ret, struct when by);
void disk_close(struct disk *d);
struct str disk_path(const struct disk *d);

struct err disk_list(struct disk *d, struct arena *a, struct str **names, size_t *count,
                     struct when by);
struct err disk_rename(struct disk *d, struct str from, struct str to, struct when by);
struct err disk_unlink(struct disk *d, struct str name, struct when by);
struct err disk_sync_folder(struct disk *d, struct when by);
/* Bytes a caller without privileges may still write. */
struct err disk_free_bytes(struct disk *d, uint64_t *ret, struct when by);
/* Takes the lock file `name` for the life of the disk, and writes who we are into it. ERR_BUSY when
 * another process holds it; *holder then is what it wrote. */
struct err disk_lock(struct disk *d, struct str name, struct str who, struct arena *a,
                     struct str *holder, struct when by);

enum { DISK_READ = 1, DISK_WRITE = 2, DISK_CREATE = 4, DISK_EXCLUSIVE = 8 };

struct err disk_file_open(struct disk *d, struct str name, unsigned flags, struct disk_file **ret,
                          struct when by);
void disk_file_close(struct disk_file *f); /* never waits */
struct err disk_size(struct disk_file *f, uint64_t *ret, struct when by);
/* Reserves bytes up to `size`, so that later writes there do not run out of room. */
struct err disk_allocate(struct disk_file *f, uint64_t size, struct when by);
struct err disk_truncate(struct disk_file *f, uint64_t size, struct when by);
/* *got is less than `size` only at the end of the file. */
struct err disk_read(struct disk_file *f, uint64_t offset, char *at, size_t size, size_t *got,
                     struct when by);
/* All of it, or an error. */
struct err disk_write(struct disk_file *f, uint64_t offset, const struct iovec *iov, unsigned count,
                      struct when by);
struct err disk_sync(struct disk_file *f, struct when by); /* data and what is needed to read it */
/* Both in one trip to the offload thread: the group commit's way. */
struct err disk_write_sync(struct disk_file *f, uint64_t offset, const struct iovec *iov,
                           unsigned count, struct when by);

/* How often each was called since the start, for bench and tests. */
struct disk_counts {
    uint64_t writes, bytes_written, syncs, reads, bytes_read;
};
struct disk_counts disk_counts(const struct disk *d);
