#include "base/mem.h"
#include "runtime/disk_body.h"
#include "runtime/offload.h"
#include "runtime/real.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/*
 * Plain libc calls and nothing else, so that the power-cut shim sees each of them: openat, pwritev,
 * fdatasync, fsync, fallocate, ftruncate, renameat, unlinkat. Every call runs on an offload thread
 * with its arguments in the waiting fiber's frame.
 */

struct real_disk {
    struct disk disk;
    int fd, lock;
};

struct real_file {
    struct disk_file file;
    int fd;
};

/* One call's arguments and result; each operation uses what it needs. */
struct call {
    int fd, fd_flags;
    const char *name, *to;
    uint64_t offset, size;
    char *at;
    const struct iovec *iov;
    unsigned count;
    bool sync;
    int64_t result;
    int sys;
};

static int fd_of(struct disk *d)
{
    return CONTAINER_OF(d, struct real_disk, disk)->fd;
}

static int fd_of_file(struct disk_file *f)
{
    return CONTAINER_OF(f, struct real_file, file)->fd;
}

static struct err error_of(int sys)
{
    switch (sys) {
    case ENOENT:
        return err_sys(ERR_NOT_FOUND, sys);
    case EEXIST:
        return err_sys(ERR_EXISTS, sys);
    case ENOSPC:
    case EDQUOT:
        return err_sys(ERR_FULL, sys);
    case EWOULDBLOCK:
        return err_sys(ERR_BUSY, sys);
    default:
        return err_sys(ERR_DISK, sys);
    }
}

static struct err go(const char *what, void (*fn)(void *), struct call *c, struct when by)
{
    offload(what, fn, c, by);
    return c->sys ? error_of(c->sys) : ERR_OK;
}

/* ---- the folder ---- */

static bool make_folders(char *path)
{
    for (char *at = path + 1; *at != 0; at++) {
        if (*at == '/') {
            *at = 0;
            if (mkdir(path, 0700) != 0 && errno != EEXIST) {
                return false;
            }
            *at = '/';
        }
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static void do_open_folder(void *arg)
{
    struct call *c = arg;
    char *path = mem_dup_z(c->name, strlen(c->name));

    if (!make_folders(path) || (c->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        c->sys = errno;
    }
    mem_free(path);
}

static void do_list(void *arg)
{
    struct call *c = arg;

    c->fd = openat(c->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    c->sys = c->fd < 0 ? errno : 0;
}

static struct err real_list(struct disk *d, struct arena *a, struct str **names, size_t *count,
                            struct when by)
{
    struct call c = {.fd = fd_of(d)};
    struct err e = go("a folder listing", do_list, &c, by);
    size_t size = 0;
    struct dirent *entry;
    DIR *dir;

    if (e.code != OK) {
        return e;
    }
    dir = fdopendir(c.fd);
    must(dir != NULL);
    *names = NULL;
    *count = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (*count == size) {
            struct str *more = arena_array(a, size * 2 + 64, sizeof **names);

            if (size > 0) {
                memcpy(more, *names, size * sizeof **names);
            }
            *names = more;
            size = size * 2 + 64;
        }
        (*names)[(*count)++] = arena_dup(a, str_of(entry->d_name));
    }
    closedir(dir);
    return ERR_OK;
}

static void do_rename(void *arg)
{
    struct call *c = arg;

    c->sys = renameat(c->fd, c->name, c->fd, c->to) != 0 ? errno : 0;
}

static struct err real_rename(struct disk *d, struct str from, struct str to, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct call c = {.fd = fd_of(d), .name = arena_z(&a, from), .to = arena_z(&a, to)};

    return go("a rename", do_rename, &c, by);
}

static void do_unlink(void *arg)
{
    struct call *c = arg;

    c->sys = unlinkat(c->fd, c->name, 0) != 0 ? errno : 0;
}

static struct err real_unlink(struct disk *d, struct str name, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct call c = {.fd = fd_of(d), .name = arena_z(&a, name)};

    return go("a removal", do_unlink, &c, by);
}

static void do_fsync(void *arg)
{
    struct call *c = arg;

    c->sys = fsync(c->fd) != 0 ? errno : 0;
}

static struct err real_sync_folder(struct disk *d, struct when by)
{
    struct call c = {.fd = fd_of(d)};

    return go("a flush of the folder", do_fsync, &c, by);
}

static void do_free_bytes(void *arg)
{
    struct call *c = arg;
    struct statvfs s;

    if (fstatvfs(c->fd, &s) != 0) {
        c->sys = errno;
    } else {
        c->result = (int64_t)(s.f_bavail * s.f_frsize);
    }
}

static struct err real_free_bytes(struct disk *d, uint64_t *ret, struct when by)
{
    struct call c = {.fd = fd_of(d)};
    struct err e = go("the free space", do_free_bytes, &c, by);

    if (e.code == OK) {
        *ret = (uint64_t)c.result;
    }
    return e;
}

static void do_lock(void *arg)
{
    struct call *c = arg;
    ssize_t n;

    c->result = openat(c->fd, c->name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (c->result < 0) {
        c->sys = errno;
        return;
    }
    if (flock((int)c->result, LOCK_EX | LOCK_NB) != 0) {
        c->sys = errno;
        n = pread((int)c->result, c->at, c->size - 1, 0);
        c->at[n > 0 ? n : 0] = 0;
        close((int)c->result);
        return;
    }
    if (ftruncate((int)c->result, 0) != 0 ||
        pwrite((int)c->result, c->to, strlen(c->to), 0) != (ssize_t)strlen(c->to)) {
        c->sys = errno;
        close((int)c->result);
    }
}

static struct err real_lock(struct disk *d, struct str name, struct str who, struct arena *a,
                            struct str *holder, struct when by)
{
    struct real_disk *r = CONTAINER_OF(d, struct real_disk, disk);
    char *other = arena_alloc(a, 256);
    struct call c = {
        .fd = r->fd, .name = arena_z(a, name), .to = arena_z(a, who), .at = other, .size = 256};
    struct err e = go("the lock", do_lock, &c, by);

    if (e.code == OK) {
        r->lock = (int)c.result;
    } else {
        *holder = str_trim_ws(str_of(other));
    }
    return e;
}

static void real_close(struct disk *d)
{
    struct real_disk *r = CONTAINER_OF(d, struct real_disk, disk);

    if (r->lock >= 0) {
        close(r->lock);
    }
    close(r->fd);
    mem_free(d->path);
    mem_free(r);
}

/* ---- files ---- */

static void do_file_open(void *arg)
{
    struct call *c = arg;

    c->result = openat(c->fd, c->name, c->fd_flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    c->sys = c->result < 0 ? errno : 0;
}

static struct err real_file_open(struct disk *d, struct str name, unsigned flags,
                                 struct disk_file **ret, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct call c = {.fd = fd_of(d), .name = arena_z(&a, name)};
    struct real_file *f;
    struct err e;

    c.fd_flags = flags & DISK_WRITE ? O_RDWR : O_RDONLY;
    c.fd_flags |= flags & DISK_CREATE ? O_CREAT : 0;
    c.fd_flags |= flags & DISK_EXCLUSIVE ? O_EXCL : 0;
    e = go("a file to open", do_file_open, &c, by);
    if (e.code == OK) {
        f = MEM_NEW(struct real_file);
        f->file.disk = d;
        f->fd = (int)c.result;
        *ret = &f->file;
    }
    return e;
}

static void real_file_close(struct disk_file *f)
{
    close(fd_of_file(f));
    mem_free(CONTAINER_OF(f, struct real_file, file));
}

static void do_size(void *arg)
{
    struct call *c = arg;
    struct stat s;

    if (fstat(c->fd, &s) != 0) {
        c->sys = errno;
    } else {
        c->result = s.st_size;
    }
}

static struct err real_size(struct disk_file *f, uint64_t *ret, struct when by)
{
    struct call c = {.fd = fd_of_file(f)};
    struct err e = go("a file's size", do_size, &c, by);

    if (e.code == OK) {
        *ret = (uint64_t)c.result;
    }
    return e;
}

static void do_allocate(void *arg)
{
    struct call *c = arg;

    if (fallocate(c->fd, 0, 0, (off_t)c->size) != 0) {
        c->sys = errno;
        if (errno == EOPNOTSUPP) { /* then only the size can be had, not the promise of room */
            c->sys = ftruncate(c->fd, (off_t)c->size) != 0 ? errno : 0;
        }
    }
}

static struct err real_allocate(struct disk_file *f, uint64_t size, struct when by)
{
    struct call c = {.fd = fd_of_file(f), .size = size};

    return go("an allocation", do_allocate, &c, by);
}

static void do_truncate(void *arg)
{
    struct call *c = arg;

    c->sys = ftruncate(c->fd, (off_t)c->size) != 0 ? errno : 0;
}

static struct err real_truncate(struct disk_file *f, uint64_t size, struct when by)
{
    struct call c = {.fd = fd_of_file(f), .size = size};

    return go("a truncation", do_truncate, &c, by);
}

static void do_read(void *arg)
{
    struct call *c = arg;

    while ((uint64_t)c->result < c->size) {
        ssize_t n = pread(c->fd, c->at + c->result, c->size - (size_t)c->result,
                          (off_t)c->offset + (off_t)c->result);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            c->sys = errno;
        }
        if (n <= 0) {
            return;
        }
        c->result += n;
    }
}

static struct err real_read(struct disk_file *f, uint64_t offset, char *at, size_t size,
                            size_t *got, struct when by)
{
    struct call c = {.fd = fd_of_file(f), .offset = offset, .at = at, .size = size};
    struct err e = go("bytes from disk", do_read, &c, by);

    *got = (size_t)c.result;
    return e;
}

/* All of iov, however the system cuts it; false with errno set on failure. */
static bool write_all(int fd, const struct iovec *iov, unsigned count, off_t offset)
{
    size_t skip = 0;

    while (count > 0) {
        struct iovec part[64];
        unsigned n = count < 64 ? count : 64;
        ssize_t wrote;

        memcpy(part, iov, n * sizeof *part);
        part[0].iov_base = (char *)part[0].iov_base + skip;
        part[0].iov_len -= skip;
        wrote = pwritev(fd, part, (int)n, offset);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0) {
            return false;
        }
        offset += wrote;
        skip += (size_t)wrote;
        while (count > 0 && skip >= iov->iov_len) {
            skip -= iov->iov_len;
            iov++;
            count--;
        }
    }
    return true;
}

static void do_write(void *arg)
{
    struct call *c = arg;

    if (!write_all(c->fd, c->iov, c->count, (off_t)c->offset) ||
        (c->sync && fdatasync(c->fd) != 0)) {
        c->sys = errno;
    }
}

static struct err real_write(struct disk_file *f, uint64_t offset, const struct iovec *iov,
                             unsigned count, bool sync, struct when by)
{
    struct call c = {
        .fd = fd_of_file(f), .offset = offset, .iov = iov, .count = count, .sync = sync};

    return go(sync ? "a flush" : "a write", do_write, &c, by);
}

static void do_sync(void *arg)
{
    struct call *c = arg;

    c->sys = fdatasync(c->fd) != 0 ? errno : 0;
}

static struct err real_sync(struct disk_file *f, struct when by)
{
    struct call c = {.fd = fd_of_file(f)};

    return go("a flush", do_sync, &c, by);
}

static const struct disk_ops real_disk_ops = {
    .close = real_close,
    .list = real_list,
    .rename = real_rename,
    .unlink = real_unlink,
    .sync_folder = real_sync_folder,
    .free_bytes = real_free_bytes,
    .lock = real_lock,
    .file_open = real_file_open,
    .file_close = real_file_close,
    .size = real_size,
    .allocate = real_allocate,
    .truncate = real_truncate,
    .read = real_read,
    .write = real_write,
    .sync = real_sync,
};

struct err real_disk_open(struct str path, struct disk **ret, struct when by)
{
    struct call c = {.name = mem_dup_z(path.ptr, path.len)};
    struct err e = go("a folder to open", do_open_folder, &c, by);
    struct real_disk *r;

    if (e.code != OK) {
        mem_free((char *)(uintptr_t)c.name);
        return e;
    }
    r = MEM_NEW(struct real_disk);
    r->disk = (struct disk){.ops = &real_disk_ops, .path = (char *)(uintptr_t)c.name};
    r->fd = c.fd;
    r->lock = -1;
    *ret = &r->disk;
    return ERR_OK;
}
