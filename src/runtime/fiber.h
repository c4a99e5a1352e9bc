/*
 * fiber: conversations as straight lines. A fiber lives and dies on one loop, on its own stack of
 * 64 KiB with a guard below it.
 *
 * Rule      A function that may suspend takes `struct when by` last; one without it never suspends.
 *           Three things die at a `by`: errno and the TLS library's error queue; views into a read
 *           buffer; whatever was checked about shared state.
 * Waiting   fiber_wait returns when woken (OK), at its deadline (ERR_TIMEOUT), or because the fiber
 *           was cancelled (ERR_CANCELLED, and then again from every later wait, until the fiber has
 *           returned). A wake that comes before the wait is kept, one at most; so wait in a loop
 *           around your own condition.
 * Groups    Fibers are children of a group in somebody's frame or struct. Whoever owns the group
 *           joins it before it goes away. Cleanup of a cancelled fiber runs by ordinary return.
 * Owns      A fiber's stack and entry belong to the runtime. `name` must be a literal.
 * Errors    ERR_TIMEOUT, ERR_CANCELLED; group_spawn: also ERR_LIMIT when no stack can be had.
 */
#pragma once

#include "base/date.h"
#include "base/err.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct fiber;

struct fiber *fiber_self(void);
bool fiber_is_cancelled(void);

/* `what` names the thing waited for, in the census ("reply to DATA"); a literal. */
struct err fiber_wait(const char *what, struct when by);
/* Waits for one fiber_wake whatever happens: for work that holds pointers into our frame. It cannot
 * be cancelled; `by` only says that it suspends. Wait in a loop around the condition here too. */
void fiber_wait_firm(const char *what, struct when by);
/* Same loop only; from another loop post (loop.h). */
void fiber_wake(struct fiber *f);
/* Lets the others run for one turn. */
struct err fiber_yield(struct when by);
struct err fiber_sleep(struct when until, struct when by);

struct group {
    struct list fibers;
    struct list joining; /* fibers that wait for a place or for the end */
    const char *name;
    uint32_t count, limit;
    bool cancelled;
};

/* limit 0: none but the runtime's own. */
void group_init(struct group *g, const char *name, uint32_t limit);
/* Waits while the group is full. In a cancelled group: ERR_CANCELLED. */
struct err group_spawn(struct group *g, const char *name, void (*fn)(void *), void *arg,
                       struct when by);
/* Never suspends: ERR_LIMIT when full. */
struct err group_spawn_now(struct group *g, const char *name, void (*fn)(void *), void *arg);
void group_cancel(struct group *g);
/* Until all have returned. ERR_TIMEOUT or ERR_CANCELLED leave the group as it is: cancel, and join
 * again. A join is not refused to a cancelled fiber when `by` is WHEN_NEVER: children come first.
 */
struct err group_join(struct group *g, struct when by);

/* One fiber of this loop: its waits fail from now on, as if its group had been cancelled. */
void fiber_cancel(struct fiber *f);
/* Whether it waits for something outside (a wait that can be cancelled), and since when. */
bool fiber_waits(const struct fiber *f, struct when *since);

/* A condition that fibers of one loop wait for. A zeroed signal must be signal_init'ed. */
struct signal {
    struct list waiting;
};

void signal_init(struct signal *s);
void signal_raise(struct signal *s);     /* wakes all that wait now */
void signal_raise_one(struct signal *s); /* the one that has waited longest */
/* Until raised; wait in a loop around the condition. */
struct err signal_wait(struct signal *s, const char *what, struct when by);

/* What lives on this loop: for `postyard` census output and for tests. */
struct fiber_note {
    const char *group, *name, *what; /* what: NULL when running or ready */
    struct when since, until;
    bool cancelled;
};
typedef void fiber_census_fn(void *ctx, const struct fiber_note *note);
void fiber_census(fiber_census_fn *fn, void *ctx);
/* How many live on this loop. */
uint32_t fiber_count(void);

/* Runs fn(arg) on the loop's big stack (1 MiB): for libraries that recurse over foreign input. fn
 * must not suspend. Outside a fiber it just runs. */
void on_big_stack(void (*fn)(void *), void *arg);

/* Gives the stack's pages below the current depth back to the system: after a handshake, say. */
void fiber_trim(void);
