#include "base/mem.h"
#include "runtime/sim_mount.h"

#include <errno.h>

struct sim_file {
    struct disk_file file;
    struct inode *inode;
};

static struct mount *mount_of(struct disk *d)
{
    return CONTAINER_OF(d, struct mount, disk);
}

static struct inode *inode_of(struct disk_file *f)
{
    return CONTAINER_OF(f, struct sim_file, file)->inode;
}

static struct err dead(void)
{
    return err_sys(ERR_DISK, EIO);
}

/* Passes the points of one call and lets its time pass; false when the disk is dead by then. */
static bool spend(struct mount *m, const char *point, int64_t ns, uint64_t bytes)
{
    const struct sim_disk_weather *weather = &m->sim->weather;
    struct rng *r = &m->sim->medium.rng;

    sim_bill(m->world, 0);
    sim_point(&m->world->world, "disk-op");
    sim_point(&m->world->world, point);
    ns += (int64_t)(bytes * (uint64_t)NS_PER_S / weather->bytes_per_s);
    return sim_pause(m->world, point, ns / 2 + rng_time(r, ns));
}

static bool harm(struct mount *m, uint32_t ppm, const char *name)
{
    if (rng_ppm(&m->sim->medium.rng, ppm)) {
        sim_fault(&m->world->world, name);
        return true;
    }
    return false;
}

/* ---- the folder ---- */

static struct err sim_list(struct disk *d, struct arena *a, struct str **names, size_t *count,
                           struct when by)
{
    struct mount *m = mount_of(d);

    (void)by;
    if (!spend(m, "disk-list", m->sim->weather.read_ns, 0)) {
        return dead();
    }
    sim_disk_names(m->sim, a, names, count);
    return ERR_OK;
}

static struct err sim_rename(struct disk *d, struct str from, struct str to, struct when by)
{
    struct mount *m = mount_of(d);

    (void)by;
    if (!spend(m, "disk-rename", m->sim->weather.write_ns, 0)) {
        return dead();
    }
    return medium_rename(&m->sim->medium, from, to) ? ERR_OK : err_sys(ERR_NOT_FOUND, ENOENT);
}

static struct err sim_unlink(struct disk *d, struct str name, struct when by)
{
    struct mount *m = mount_of(d);

    (void)by;
    if (!spend(m, "disk-unlink", m->sim->weather.write_ns, 0)) {
        return dead();
    }
    return medium_unlink(&m->sim->medium, name) ? ERR_OK : err_sys(ERR_NOT_FOUND, ENOENT);
}

/* How long a flush takes this time. */
static int64_t flush_ns(struct mount *m)
{
    return harm(m, m->sim->weather.slow_sync_ppm, "disk-slow-sync") ? m->sim->weather.slow_sync_ns
                                                                    : m->sim->weather.sync_ns;
}

static struct err sim_sync_folder(struct disk *d, struct when by)
{
    struct mount *m = mount_of(d);
    uint64_t up_to = m->sim->medium.number;

    (void)by;
    if (!spend(m, "disk-sync-folder", flush_ns(m), 0)) {
        return dead();
    }
    if (harm(m, m->sim->weather.sync_failed_ppm, "disk-sync-failed")) {
        return dead();
    }
    medium_sync_folder(&m->sim->medium, up_to);
    return ERR_OK;
}

static uint64_t room_left(const struct sim_disk *d)
{
    uint64_t used = medium_used(&d->medium);

    return used < d->weather.capacity_bytes ? d->weather.capacity_bytes - used : 0;
}

static struct err sim_free_bytes(struct disk *d, uint64_t *ret, struct when by)
{
    struct mount *m = mount_of(d);

    (void)by;
    if (!spend(m, "disk-free-bytes", m->sim->weather.write_ns, 0)) {
        return dead();
    }
    *ret = room_left(m->sim);
    return ERR_OK;
}

static struct err sim_lock(struct disk *d, struct str name, struct str who, struct arena *a,
                           struct str *holder, struct when by)
{
    struct mount *m = mount_of(d);
    struct medium *medium = &m->sim->medium;
    struct inode *i;

    (void)by;
    if (!spend(m, "disk-lock", m->sim->weather.write_ns, 0)) {
        return dead();
    }
    i = medium_find(medium, name);
    if (m->sim->locker != NULL) {
        *holder = arena_dup(a, i ? str_make(i->now.bytes, (size_t)i->now.size) : STR_EMPTY);
        return err_sys(ERR_BUSY, EWOULDBLOCK);
    }
    i = i ? i : medium_create(medium, name);
    medium_resize(medium, i, 0);
    medium_write(medium, i, 0, &(struct iovec){(char *)(uintptr_t)who.ptr, who.len}, 1, who.len);
    m->sim->locker = m;
    return ERR_OK;
}

static void sim_close(struct disk *d)
{
    struct mount *m = mount_of(d);

    if (m->sim->locker == m) {
        m->sim->locker = NULL;
    }
    mem_free(d->path);
    mem_free(m);
}

/* ---- files ---- */

static struct err sim_file_open(struct disk *d, struct str name, unsigned flags,
                                struct disk_file **ret, struct when by)
{
    struct mount *m = mount_of(d);
    struct inode *i;
    struct sim_file *f;

    (void)by;
    if (!spend(m, "disk-open", m->sim->weather.write_ns, 0)) {
        return dead();
    }
    i = medium_find(&m->sim->medium, name);
    if (i != NULL && flags & DISK_EXCLUSIVE) {
        return err_sys(ERR_EXISTS, EEXIST);
    }
    if (i == NULL && !(flags & DISK_CREATE)) {
        return err_sys(ERR_NOT_FOUND, ENOENT);
    }
    f = MEM_NEW(struct sim_file);
    f->file.disk = d;
    f->inode = i ? i : medium_create(&m->sim->medium, name);
    f->inode->handles++;
    *ret = &f->file;
    return ERR_OK;
}

static void sim_file_close(struct disk_file *f)
{
    must(inode_of(f)->handles > 0);
    inode_of(f)->handles--;
    medium_sweep(&mount_of(f->disk)->sim->medium);
    mem_free(CONTAINER_OF(f, struct sim_file, file));
}

static struct err sim_size(struct disk_file *f, uint64_t *ret, struct when by)
{
    struct mount *m = mount_of(f->disk);

    (void)by;
    if (!spend(m, "disk-size", m->sim->weather.write_ns, 0)) {
        return dead();
    }
    *ret = inode_of(f)->now.size;
    return ERR_OK;
}

/* Whether a file may grow to so many bytes. */
static bool fits(struct mount *m, const struct inode *i, uint64_t size)
{
    if (size <= i->reserved || size - i->reserved <= room_left(m->sim)) {
        return true;
    }
    sim_fault(&m->world->world, "disk-full");
    return false;
}

static struct err sim_allocate(struct disk_file *f, uint64_t size, struct when by)
{
    struct mount *m = mount_of(f->disk);
    struct inode *i = inode_of(f);

    (void)by;
    if (!spend(m, "disk-allocate", m->sim->weather.write_ns, 0)) {
        return dead();
    }
    if (!fits(m, i, size)) {
        return err_sys(ERR_FULL, ENOSPC);
    }
    if (size > i->now.size) {
        medium_resize(&m->sim->medium, i, size);
    }
    return ERR_OK;
}

static struct err sim_truncate(struct disk_file *f, uint64_t size, struct when by)
{
    struct mount *m = mount_of(f->disk);

    (void)by;
    if (!spend(m, "disk-truncate", m->sim->weather.write_ns, 0)) {
        return dead();
    }
    medium_resize(&m->sim->medium, inode_of(f), size);
    return ERR_OK;
}

static struct err sim_read(struct disk_file *f, uint64_t offset, char *at, size_t size, size_t *got,
                           struct when by)
{
    struct mount *m = mount_of(f->disk);
    const struct image *g = &inode_of(f)->now;

    (void)by;
    *got = 0;
    if (!spend(m, "disk-read", m->sim->weather.read_ns, size) ||
        harm(m, m->sim->weather.read_failed_ppm, "disk-read-failed")) {
        return dead();
    }
    if (offset < g->size && size > 0) {
        *got = g->size - offset < size ? (size_t)(g->size - offset) : size;
        memcpy(at, g->bytes + offset, *got);
    }
    return ERR_OK;
}

static uint64_t total(const struct iovec *iov, unsigned count)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < count; i++) {
        sum += iov[i].iov_len;
    }
    return sum;
}

/* What a write that was cut short has left behind: some whole pages. */
static void write_some(struct mount *m, struct inode *i, uint64_t offset, const struct iovec *iov,
                       unsigned count)
{
    uint64_t pages = total(iov, count) / PAGE_BYTES;

    medium_write(&m->sim->medium, i, offset, iov, count,
                 rng_below(&m->sim->medium.rng, pages + 1) * PAGE_BYTES);
}

static struct err flush(struct mount *m, struct inode *i)
{
    uint64_t up_to = m->sim->medium.number;

    if (!spend(m, "disk-sync", flush_ns(m), 0)) {
        return dead();
    }
    if (harm(m, m->sim->weather.sync_failed_ppm, "disk-sync-failed")) {
        medium_sync_fails(&m->sim->medium, i, up_to);
        return dead();
    }
    medium_sync(&m->sim->medium, i, up_to);
    return ERR_OK;
}

static struct err sim_write(struct disk_file *f, uint64_t offset, const struct iovec *iov,
                            unsigned count, bool sync, struct when by)
{
    struct mount *m = mount_of(f->disk);
    struct inode *i = inode_of(f);
    uint64_t size = total(iov, count);
    bool alive;

    (void)by;
    if (m->world->dead) {
        return dead();
    }
    alive = spend(m, "disk-write", m->sim->weather.write_ns, size);
    if (!alive || harm(m, m->sim->weather.write_failed_ppm, "disk-write-failed")) {
        write_some(m, i, offset, iov, count);
        return dead();
    }
    if (!fits(m, i, offset + size)) {
        return err_sys(ERR_FULL, ENOSPC);
    }
    medium_write(&m->sim->medium, i, offset, iov, count, size);
    return sync ? flush(m, i) : ERR_OK;
}

static struct err sim_sync(struct disk_file *f, struct when by)
{
    (void)by;
    return flush(mount_of(f->disk), inode_of(f));
}

const struct disk_ops sim_disk_ops = {
    .close = sim_close,
    .list = sim_list,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .sync_folder = sim_sync_folder,
    .free_bytes = sim_free_bytes,
    .lock = sim_lock,
    .file_open = sim_file_open,
    .file_close = sim_file_close,
    .size = sim_size,
    .allocate = sim_allocate,
    .truncate = sim_truncate,
    .read = sim_read,
    .write = sim_write,
    .sync = sim_sync,
};
