#include "watch.h"

#include "base/mem.h"
#include "runtime/disk_body.h"

#include <string.h>

/* A test may look behind the contract: this is a third body of a disk. */

struct watched {
    struct disk disk;
    struct disk *inner;
};

struct watched_file {
    struct disk_file file;
    struct disk_file *inner;
    bool is_log; /* renamed to be one: written from its start on */
    uint64_t flushed, written;
};

static uint64_t violations;

uint64_t watch_violations(void)
{
    uint64_t n = violations;

    violations = 0;
    return n;
}

static struct disk *inner_of(struct disk *d)
{
    return CONTAINER_OF(d, struct watched, disk)->inner;
}

static struct watched_file *file_of(struct disk_file *f)
{
    return CONTAINER_OF(f, struct watched_file, file);
}

static void w_close(struct disk *d)
{
    disk_close(inner_of(d));
    mem_free(d->path);
    mem_free(CONTAINER_OF(d, struct watched, disk));
}

static struct err w_list(struct disk *d, struct arena *a, struct str **names, size_t *count,
                         struct when by)
{
    return disk_list(inner_of(d), a, names, count, by);
}

static struct err w_rename(struct disk *d, struct str from, struct str to, struct when by)
{
    return disk_rename(inner_of(d), from, to, by);
}

static struct err w_unlink(struct disk *d, struct str name, struct when by)
{
    return disk_unlink(inner_of(d), name, by);
}

static struct err w_sync_folder(struct disk *d, struct when by)
{
    return disk_sync_folder(inner_of(d), by);
}

static struct err w_free_bytes(struct disk *d, uint64_t *ret, struct when by)
{
    return disk_free_bytes(inner_of(d), ret, by);
}

static struct err w_lock(struct disk *d, struct str name, struct str who, struct arena *a,
                         struct str *holder, struct when by)
{
    return disk_lock(inner_of(d), name, who, a, holder, by);
}

static struct err w_file_open(struct disk *d, struct str name, unsigned flags,
                              struct disk_file **ret, struct when by)
{
    struct watched_file *f;
    struct disk_file *inner;
    struct err e = disk_file_open(inner_of(d), name, flags, &inner, by);

    if (!e.code) {
        f = MEM_NEW(struct watched_file);
        f->file.disk = d;
        f->inner = inner;
        *ret = &f->file;
    }
    return e;
}

static void w_file_close(struct disk_file *file)
{
    struct watched_file *f = file_of(file);

    disk_file_close(f->inner);
    mem_free(f);
}

static struct err w_size(struct disk_file *f, uint64_t *ret, struct when by)
{
    return disk_size(file_of(f)->inner, ret, by);
}

static struct err w_allocate(struct disk_file *f, uint64_t size, struct when by)
{
    return disk_allocate(file_of(f)->inner, size, by);
}

static struct err w_truncate(struct disk_file *f, uint64_t size, struct when by)
{
    return disk_truncate(file_of(f)->inner, size, by);
}

static struct err w_read(struct disk_file *f, uint64_t offset, char *at, size_t size, size_t *got,
                         struct when by)
{
    return disk_read(file_of(f)->inner, offset, at, size, got, by);
}

/* A handle writes one life of a segment: it is opened anew when the file is used again. */
static struct err w_write(struct disk_file *file, uint64_t offset, const struct iovec *iov,
                          unsigned count, bool sync, struct when by)
{
    struct watched_file *f = file_of(file);
    uint64_t end = offset;
    struct err e;

    for (unsigned i = 0; i < count; i++) {
        end += iov[i].iov_len;
    }
    if (offset / 4096 * 4096 < f->flushed) {
        violations++;
    }
    f->written = end > f->written ? end : f->written;
    e = sync ? disk_write_sync(f->inner, offset, iov, count, by)
             : disk_write(f->inner, offset, iov, count, by);
    if (sync && !e.code) {
        f->flushed = f->written;
    }
    return e;
}

static struct err w_sync(struct disk_file *file, struct when by)
{
    struct watched_file *f = file_of(file);
    struct err e = disk_sync(f->inner, by);

    if (!e.code) {
        f->flushed = f->written;
    }
    return e;
}

static const struct disk_ops ops = {
    .close = w_close,
    .list = w_list,
    .rename = w_rename,
    .unlink = w_unlink,
    .sync_folder = w_sync_folder,
    .free_bytes = w_free_bytes,
    .lock = w_lock,
    .file_open = w_file_open,
    .file_close = w_file_close,
    .size = w_size,
    .allocate = w_allocate,
    .truncate = w_truncate,
    .read = w_read,
    .write = w_write,
    .sync = w_sync,
};

struct disk *watch_new(struct disk *inner)
{
    struct watched *w = MEM_NEW(struct watched);
    struct str path = disk_path(inner);

    w->disk.ops = &ops;
    w->disk.path = mem_dup_z(path.ptr, path.len);
    w->inner = inner;
    return &w->disk;
}
