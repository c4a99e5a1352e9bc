/*
 * recover: what recovery is told and what it finds, between recover.c and replay.c.
 *
 * Owns      The records of a commit that is not complete yet, until replay_done.
 */
#pragma once

#include "store/log.h"
#include "store/scan.h"

/* One record of a commit that has more. */
struct held {
    struct record record;
    struct str meta, data;
    bool is_damaged;
};

struct replay {
    struct store *s;
    uint32_t generation;
    struct arena group; /* of the records held */
    struct held *held;
    uint32_t held_count, held_size;
    struct arena scratch;
    uint64_t records, bytes;
    struct piece *lost; /* pieces whose bytes are damaged */
    uint32_t lost_count, lost_size;
};

/* Reads one segment from `from` on into the index. *end: 0 for the last one, then where it ends;
 * *proven: up to where something behind it says that it is durable.
 * ERR_VERSION: it holds what only a newer version understands. */
struct err replay_segment(struct replay *p, struct disk_file *file, uint32_t generation,
                          uint32_t from, uint32_t *end, uint32_t most, uint32_t *proven,
                          struct when by);
void replay_done(struct replay *p);
