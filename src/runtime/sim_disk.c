#include "runtime/sim_disk.h"

#include "base/mem.h"
#include "runtime/sim_mount.h"

#include <errno.h>

/* A disk of the world that disk_open can find. */
struct attachment {
    struct link link;
    struct sim_disk *disk;
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
                return err_sys(ERR_DISK, EIO);
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

/* ---- for tests ---- */

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
