#include "runtime/sim_disk.h"

#include "base/mem.h"
#include "runtime/disk_body.h"
#include "runtime/sim_medium.h"
#include "runtime/sim_part.h"

#include <errno.h>

struct sim_disk {
    const char *name;
    struct medium medium;
    struct sim_disk_weather weather;
    struct mount *locker;
    struct world *world; /* the last it was attached to */
};

/* A disk of the world that disk_open can find. */
struct attachment {
    struct link link;
    struct sim_disk *disk;
};

/* One program's handle. */
struct mount {
    struct disk disk;
    struct sim_disk *sim;
    struct sim_world *world;
};

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

static void shuffle(struct rng *r, struct str *names, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)rng_below(r, i);
        struct str name = names[j];

        names[j] = names[i - 1];
        names[i - 1] = name;
    }
}

void sim_disk_names(struct sim_disk *d, struct arena *a, struct str **names, size_t *count)
{
    const struct folder *f = &d->medium.now;

    *names = arena_array(a, f->count + 1, sizeof **names);
    *count = 0;
    for (size_t i = 0; i < f->count; i++) {
        if (!str_starts(f->entries[i].name, STR("."))) {
            (*names)[(*count)++] = arena_dup(a, f->entries[i].name);
        }
    }
    shuffle(&d->medium.rng, *names, *count);
}

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
    medium_write(medium, i, 0, who);
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

static void write_first(struct mount *m, struct inode *i, uint64_t offset, const struct iovec *iov,
                        unsigned count, uint64_t most)
{
    for (unsigned k = 0; k < count && most > 0; k++) {
        uint64_t n = iov[k].iov_len < most ? iov[k].iov_len : most;

        medium_write(&m->sim->medium, i, offset, str_make(iov[k].iov_base, (size_t)n));
        offset += n;
        most -= n;
    }
}

/* What a write that was cut short has left behind: some whole pages. */
static void write_some(struct mount *m, struct inode *i, uint64_t offset, const struct iovec *iov,
                       unsigned count)
{
    uint64_t pages = total(iov, count) / PAGE_BYTES;

    write_first(m, i, offset, iov, count, rng_below(&m->sim->medium.rng, pages + 1) * PAGE_BYTES);
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
    write_first(m, i, offset, iov, count, size);
    return sync ? flush(m, i) : ERR_OK;
}

static struct err sim_sync(struct disk_file *f, struct when by)
{
    (void)by;
    return flush(mount_of(f->disk), inode_of(f));
}

static const struct disk_ops sim_disk_ops = {
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

/* ---- disks and worlds ---- */

struct sim_disk *sim_disk_new(const char *name, uint64_t seed)
{
    struct sim_disk *d = MEM_NEW(struct sim_disk);

    d->name = name;
    medium_init(&d->medium, seed ^ str_hash(str_of(name), 0));
    sim_disk_set(d, NULL);
    return d;
}

void sim_disk_free(struct sim_disk *d)
{
    must(d->locker == NULL);
    medium_done(&d->medium);
    mem_free(d);
}

void sim_disk_set(struct sim_disk *d, const struct sim_disk_weather *weather)
{
    struct sim_disk_weather *w = &d->weather;

    *w = weather ? *weather : (struct sim_disk_weather){0};
    w->capacity_bytes = w->capacity_bytes ? w->capacity_bytes : (uint64_t)16 << 30;
    w->read_ns = w->read_ns ? w->read_ns : 80 * 1000;
    w->write_ns = w->write_ns ? w->write_ns : 10 * 1000;
    w->sync_ns = w->sync_ns ? w->sync_ns : NS_PER_MS;
    w->bytes_per_s = w->bytes_per_s ? w->bytes_per_s : 1000 * 1000 * 1000;
    w->slow_sync_ns = w->slow_sync_ns ? w->slow_sync_ns : 3 * NS_PER_S;
}

void sim_disk_attach(struct sim_disk *d, struct world *world)
{
    struct sim_world *w = sim_of(world);
    struct attachment *a = MEM_NEW(struct attachment);

    a->disk = d;
    list_push(&w->mounts, &a->link);
}

struct disk *sim_disk_mount(struct sim_disk *d, struct world *world)
{
    struct mount *m = MEM_NEW(struct mount);

    m->disk = (struct disk){.ops = &sim_disk_ops, .path = mem_dup_z(d->name, strlen(d->name))};
    m->sim = d;
    m->world = sim_of(world);
    return &m->disk;
}

struct err mounts_open(struct str path, struct disk **ret, struct when by)
{
    struct sim_world *w = sim_here();

    (void)by;
    LIST_EACH (&w->mounts, k) {
        struct sim_disk *d = CONTAINER_OF(k, struct attachment, link)->disk;

        if (str_eq(str_of(d->name), path)) {
            sim_point(&w->world, "disk-op");
            if (!sim_pause(w, "a folder to open", d->weather.read_ns)) {
                return dead();
            }
            *ret = sim_disk_mount(d, &w->world);
            return ERR_OK;
        }
    }
    return err_sys(ERR_DISK, ENODEV); /* the scenario attached no such disk */
}

void mounts_done(struct sim_world *w)
{
    struct link *k;

    while ((k = list_pop(&w->mounts)) != NULL) {
        mem_free(CONTAINER_OF(k, struct attachment, link));
    }
}

/* ---- what a crash leaves ---- */

static void count_if(bool is, const char *name)
{
    if (is) {
        sim_count_up(name);
    }
}

void sim_disk_power_cut(struct sim_disk *d)
{
    struct cut cut = medium_power_cut(&d->medium);

    sim_count_up("power-cut");
    count_if(cut.lost_sectors > 0, "cut-lost-bytes");
    count_if(cut.torn_files > 0, "cut-torn-bytes");
    count_if(cut.lost_names > 0, "cut-lost-name");
}

void sim_disk_kill(struct sim_disk *d)
{
    medium_kill(&d->medium);
    sim_count_up("kill");
}

bool sim_disk_bytes(struct sim_disk *d, struct str name, struct str *ret)
{
    const struct inode *i = medium_find(&d->medium, name);

    if (i != NULL) {
        *ret = str_make(i->now.bytes ? i->now.bytes : "", (size_t)i->now.size);
    }
    return i != NULL;
}

bool sim_disk_rot(struct sim_disk *d, struct str name, uint64_t least, uint64_t below,
                  uint64_t *offset)
{
    struct inode *i = medium_find(&d->medium, name);
    uint64_t end = i ? i->now.size : 0;
    char bit;

    end = below > 0 && below < end ? below : end;
    if (least >= end) {
        return false;
    }
    *offset = least + rng_below(&d->medium.rng, end - least);
    bit = (char)(1 << rng_below(&d->medium.rng, 8));
    i->now.bytes[*offset] ^= bit;
    if (*offset < i->kept.size) {
        i->kept.bytes[*offset] ^= bit;
    }
    sim_count_up("rot");
    return true;
}
