#include "runtime/disk.h"

#include "runtime/disk_body.h"
#include "runtime/world.h"

struct err disk_open(struct str path, struct disk **ret, struct when by)
{
    return loop_self()->world->ops->disk_open(path, ret, by);
}

void disk_close(struct disk *d)
{
    d->ops->close(d);
}

struct str disk_path(const struct disk *d)
{
    return str_of(d->path);
}

struct err disk_list(struct disk *d, struct arena *a, struct str **names, size_t *count,
                     struct when by)
{
    return d->ops->list(d, a, names, count, by);
}

struct err disk_rename(struct disk *d, struct str from, struct str to, struct when by)
{
    return d->ops->rename(d, from, to, by);
}

struct err disk_unlink(struct disk *d, struct str name, struct when by)
{
    return d->ops->unlink(d, name, by);
}

struct err disk_sync_folder(struct disk *d, struct when by)
{
    d->counts.syncs++;
    return d->ops->sync_folder(d, by);
}

struct err disk_free_bytes(struct disk *d, uint64_t *ret, struct when by)
{
    return d->ops->free_bytes(d, ret, by);
}

struct err disk_lock(struct disk *d, struct str name, struct str who, struct arena *a,
                     struct str *holder, struct when by)
{
    return d->ops->lock(d, name, who, a, holder, by);
}

struct err disk_file_open(struct disk *d, struct str name, unsigned flags, struct disk_file **ret,
                          struct when by)
{
    return d->ops->file_open(d, name, flags, ret, by);
}

void disk_file_close(struct disk_file *f)
{
    f->disk->ops->file_close(f);
}

struct err disk_size(struct disk_file *f, uint64_t *ret, struct when by)
{
    return f->disk->ops->size(f, ret, by);
}

struct err disk_allocate(struct disk_file *f, uint64_t size, struct when by)
{
    return f->disk->ops->allocate(f, size, by);
}

struct err disk_truncate(struct disk_file *f, uint64_t size, struct when by)
{
    return f->disk->ops->truncate(f, size, by);
}

struct err disk_read(struct disk_file *f, uint64_t offset, char *at, size_t size, size_t *got,
                     struct when by)
{
    struct err e = f->disk->ops->read(f, offset, at, size, got, by);

    if (e.code == OK) {
        f->disk->counts.reads++;
        f->disk->counts.bytes_read += *got;
    }
    return e;
}

static struct err write_out(struct disk_file *f, uint64_t offset, const struct iovec *iov,
                            unsigned count, bool sync, struct when by)
{
    struct disk_counts *counts = &f->disk->counts;

    counts->writes++;
    counts->syncs += sync;
    for (unsigned i = 0; i < count; i++) {
        counts->bytes_written += iov[i].iov_len;
    }
    return f->disk->ops->write(f, offset, iov, count, sync, by);
}

struct err disk_write(struct disk_file *f, uint64_t offset, const struct iovec *iov, unsigned count,
                      struct when by)
{
    return write_out(f, offset, iov, count, false, by);
}

struct err disk_sync(struct disk_file *f, struct when by)
{
    f->disk->counts.syncs++;
    return f->disk->ops->sync(f, by);
}

struct err disk_write_sync(struct disk_file *f, uint64_t offset, const struct iovec *iov,
                           unsigned count, struct when by)
{
    return write_out(f, offset, iov, count, true, by);
}

struct disk_counts disk_counts(const struct disk *d)
{
    return d->counts;
}
