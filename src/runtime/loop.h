/*
 * loop: one event loop, on a thread of its own; and the world that all loops of a run live in,
 * real or simulated. Loops talk by posts, not by locks.
 *
 * Owns      A world owns its loops. A post belongs to whoever made it until loop_post, then to the
 *           loop, then to its run function, on the target's thread: usually it is the first member
 *           of a message.
 * Order     Posts from one loop to another run in the order they were posted.
 * Errors    None: a post cannot fail. Posts to a loop that has stopped are never run.
 *
 * A real world runs each loop on its thread with epoll. A simulated one runs all on the calling
 * thread, on a virtual clock, in an order drawn from its seed (sim.h).
 */
#pragma once

#include "runtime/fiber.h"

#include <stdint.h>

struct loop;
struct world;

struct post {
    struct post *next;           /* the loop's */
    void (*run)(struct post *p); /* never suspends; may wake, spawn, post, free p */
};

void loop_post(struct loop *to, struct post *p); /* from any thread */
struct loop *loop_self(void);                    /* NULL outside any loop */
const char *loop_name(const struct loop *l);
/* 0, 1, 2 … in order of creation. */
unsigned loop_index(const struct loop *l);
/* How long one turn of its thread took at most since the start, by the wall clock, and how many
 * took longer than LOOP_TURN_LONG_MS: nothing else is served there for that long. From any thread;
 * nothing in a simulated world. */
enum { LOOP_TURN_LONG_MS = 50 };
struct loop_load {
    int64_t longest_us;
    uint64_t long_turns;
};
struct loop_load loop_load(const struct loop *l);

struct world *world_new(void); /* real */
bool world_is_simulated(void); /* the world this loop lives in; false outside any loop */
/* Before world_run, or from the simulation's own loops. `name` is a literal. */
struct loop *world_loop(struct world *w, const char *name);
/* Puts l on the thread of another loop, before world_run: where there are fewer processors than
 * loops a post then costs no wake-up. They stay apart otherwise: still posts, still no locks. */
void loop_share(struct loop *l, struct loop *with);
/* The loop's first fiber; it owns everything else there. The loop ends when it has returned. */
void loop_main(struct loop *l, void (*fn)(void *), void *arg);
/* Runs all loops until the main fiber of each has returned. */
void world_run(struct world *w);
/* Cancels the main fiber of one loop, or of all; from any thread. */
void loop_cancel(struct loop *l);
void world_cancel(struct world *w);
void world_free(struct world *w);

/* Runs fn as the only fiber of a real world's only loop: for commands and tests. */
void run_alone(const char *name, void (*fn)(void *), void *arg);

/* A system signal as a wait of this loop; real worlds only. The signals are blocked in all threads
 * by signals_block, which main calls first. Writes the number of the one that came. */
void signals_block(void); /* SIGHUP, SIGINT, SIGTERM; SIGPIPE is ignored */
struct err signals_wait(int *ret, struct when by);
