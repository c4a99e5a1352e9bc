/*
 * users: fibers that use a simulated store at random, and tell the oracle what they were answered.
 *
 * Owns      Nothing; each user works on messages of its own.
 */
#pragma once

#include "oracle.h"
#include "runtime/fiber.h"
#include "runtime/sim_disk.h"
#include "store/store.h"

enum { USERS = 6, USER_MESSAGES = 40 };

struct rng64 {
    uint64_t state;
};

uint64_t rng_next(struct rng64 *r, uint64_t below);

struct user {
    struct run *run;
    uint32_t number;
    struct rng64 rng;
    struct known *mine[USER_MESSAGES];
    uint32_t mine_count;
    uint32_t errors; /* in a row */
    uint32_t value_number;
};

/* One life of the store, from its start to a crash or its end. */
struct run {
    struct world *world;
    struct loop *store_loop, *user_loop;
    struct sim_disk *sim_disk;
    struct disk *disk;
    struct store_options options;
    struct store *store;
    struct oracle *oracle;
    struct err opened;
    struct buf why;
    struct rng64 rng;
    struct sim_disk_weather weather; /* once it is open */
    struct user users[USERS];
    uint32_t operations; /* for each user */
    bool only_checks;    /* reads all, and ends */
    bool checks_lock;
    bool is_filling;       /* mail until the disk is full: results must still find room */
    uint64_t results_full; /* results that did not */
};

void user_run(void *user);
/* Everything that is there, told to the oracle; every content read and compared. */
void read_all(struct run *r);
