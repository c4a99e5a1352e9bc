/*
 * sim_disk: a disk that lives outside any world, so that it survives their crashes, and forgets
 * what was never flushed.
 *
 * Use       sim_disk_mount gives a world's program the disk at once; or sim_disk_attach lets
 *           disk_open find it by its name. After world_run, when the world crashed, say what
 *           happened to the machine (sim_disk_power_cut or sim_disk_kill), then attach to the next.
 * Model     One folder. Each write, change of size and change of a name is remembered until a flush
 *           covers it. A power cut keeps all, nothing, or a random part of what was not flushed:
 *           bytes by sectors of 512, each with any of its unflushed versions; names each by itself
 *           as far as what they need is there (a rename moves a name whole or not at all); sizes up
 *           to any point. Room without bytes reads as zeros.
 * Kill      kill -9 keeps what was written, flushed or not; a write under way is cut at a page.
 * Failing   A failed flush is final: what it covered was written or dropped, sector by sector, and
 *           is not dirty any more; the next flush says OK. Reads may show either from then on.
 * Faults    disk-sync-failed disk-slow-sync disk-write-failed disk-read-failed disk-full power-cut
 *           (with cut-lost-bytes, cut-torn-bytes, cut-lost-name) kill; points disk-op and disk-open
 *           -read -write -sync -sync-folder -rename -unlink -allocate -truncate -list -lock.
 */
#pragma once

#include "base/arena.h"
#include "runtime/disk.h"
#include "runtime/loop.h"

struct sim_disk;

struct sim_disk_weather {
    uint64_t capacity_bytes;            /* 0: 16 GiB */
    int64_t read_ns, write_ns, sync_ns; /* 0: 80 µs, 10 µs, 1 ms; each half to one and a half */
    uint64_t bytes_per_s;               /* 0: 1 GB/s */
    int64_t slow_sync_ns;               /* 0: 3 s */
    /* So many of a million calls meet this. */
    uint32_t read_failed_ppm, write_failed_ppm, sync_failed_ppm, slow_sync_ppm;
};

/* `name` is the path that disk_open gets; a literal. */
struct sim_disk *sim_disk_new(const char *name, uint64_t seed);
void sim_disk_free(struct sim_disk *d);
/* At any time; NULL: fair. */
void sim_disk_set(struct sim_disk *d, const struct sim_disk_weather *weather);

void sim_disk_attach(struct sim_disk *d, struct world *w);
struct disk *sim_disk_mount(struct sim_disk *d, struct world *w);

/* When no world runs on it. */
void sim_disk_power_cut(struct sim_disk *d);
void sim_disk_kill(struct sim_disk *d);

/* A bit of a file rots, among its bytes from `least` on and before `below` (0: its end). False when
 * there are none. */
bool sim_disk_rot(struct sim_disk *d, struct str name, uint64_t least, uint64_t below,
                  uint64_t *offset);
/* What programs see now, for tests: names in no particular order; a view of a file's bytes. */
void sim_disk_names(struct sim_disk *d, struct arena *a, struct str **names, size_t *count);
bool sim_disk_bytes(struct sim_disk *d, struct str name, struct str *ret);
