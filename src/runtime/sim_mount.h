/*
 * sim_mount: a simulated disk, and a program's handle of it. For sim_disk.c and sim_disk_ops.c
 * only.
 */
#pragma once

#include "runtime/disk_body.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_medium.h"
#include "runtime/sim_part.h"

struct sim_disk {
    const char *name;
    struct medium medium;
    struct sim_disk_weather weather;
    struct mount *locker;
};

/* One program's handle. */
struct mount {
    struct disk disk;
    struct sim_disk *sim;
    struct sim_world *world;
};

extern const struct disk_ops sim_disk_ops;
