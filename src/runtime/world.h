/*
 * world: what the real and the simulated world share; for files of runtime/ only.
 *
 * A loop turns: run what was posted, wake whose time has come, run each ready fiber once. Between
 * turns its world lets time pass: epoll (real.c), or the virtual clock (sim.c).
 */
#pragma once

#include "base/addr.h"
#include "base/event.h"
#include "base/heap.h"
#include "runtime/context.h"
#include "runtime/loop.h"
#include "runtime/stack.h"
#include "runtime/transport.h"

#include <stdatomic.h>

struct disk;
struct stream;
struct listener;
struct guest;

enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_WAITING, FIBER_DONE };

struct fiber {
    struct context context;
    struct loop *loop;
    struct group *group;
    void (*fn)(void *);
    void *arg;
    const char *name;
    struct link run;        /* in loop->ready */
    struct link all;        /* in loop->fibers */
    struct link in_group;   /* in group->fibers */
    struct link in_wait;    /* in a signal or a group's joining list */
    struct heap_node timer; /* in loop->timers while it waits with a deadline */
    enum fiber_state state;
    enum err_code wake; /* what the wait returns */
    bool woken;         /* a wake that came before the wait */
    bool cancelled;
    bool firm;        /* this wait cannot be cancelled */
    const char *what; /* waited for */
    struct when since, until;
};

enum { RANDOM_POOL = 32, BUFFERS_KEPT_MAX = 128, STACKS_KEPT_MAX = 256 };

struct loop {
    struct world *world;
    const char *name;
    unsigned index;
    struct when now;
    struct date date;
    _Atomic(struct post *) inbox; /* newest first */
    struct list ready;
    struct list fibers;
    struct heap timers;
    struct fiber *current;
    struct context scheduler;
    struct group main;
    void (*main_fn)(void *);
    void *main_arg;
    uint32_t fiber_count;
    uint64_t fibers_run, posts_run; /* since the start */
    _Atomic int64_t longest_ns;     /* of its thread's turns */
    _Atomic uint64_t long_turns;
    char *stacks[STACKS_KEPT_MAX];
    uint32_t stack_count;
    char *big_stack;
    bool on_big_stack;
    char *buffers[BUFFERS_KEPT_MAX];
    uint32_t buffer_count;
    uint64_t randoms[RANDOM_POOL];
    uint32_t random_left;
    struct post cancel; /* posted once, by loop_cancel */
    atomic_bool cancelling;
    struct post shrink; /* memory.c's, while `shrinking` */
    atomic_bool shrinking;
    bool cancelled, entered;
    void *backend; /* the world's: struct real_thread or struct sim_loop */
};

void random_system(uint64_t *at, uint32_t count); /* getrandom */

enum { LOOPS_MAX = 256 };

struct world_ops {
    bool simulated;
    void (*loop_new)(struct loop *l);
    void (*loop_share)(struct loop *l, struct loop *with); /* NULL: all share one thread anyway */
    void (*loop_free)(struct loop *l);
    void (*run)(struct world *w);
    void (*wake)(struct loop *l); /* something is in its inbox; from any thread */
    void (*random)(struct loop *l, uint64_t *at, uint32_t count);
    void (*offload)(const char *what, void (*fn)(void *), void *arg, struct when by);
    struct err (*connect)(struct addr to, struct addr from, struct transport **ret,
                          struct addr *local, struct when by);
    struct err (*listen)(struct addr at, struct listener **ret);
    struct err (*disk_open)(struct str path, struct disk **ret, struct when by);
    /* An event raised in a simulation; a real world has none (log.c writes it). */
    void (*log)(const struct event_kind *kind, const struct event_field *fields, size_t count);
    void (*free)(struct world *w);
};

struct world {
    const struct world_ops *ops;
    struct loop *loops[LOOPS_MAX];
    unsigned loop_count;
};

/* A listener and a guest are one of these, with a body behind. */
struct listener {
    const struct listener_ops *ops;
    struct addr addr;
};
struct guest {
    const struct guest_ops *ops;
    struct addr remote, local;
};
struct listener_ops {
    struct err (*accept)(struct listener *l, struct guest **ret, struct when by);
    void (*close)(struct listener *l);
};
struct guest_ops {
    struct transport *(*transport)(
        struct guest *g); /* on the loop that takes it; frees the guest */
    void (*refuse)(struct guest *g, struct str farewell);
};

void world_init(struct world *w, const struct world_ops *ops);
void world_done(struct world *w);

/* One turn; true when something ran. The world has set now and date. */
bool loop_turn(struct loop *l);
bool loop_has_work(const struct loop *l); /* ready fibers or posts */
bool loop_is_over(const struct loop *l);  /* the main fiber has returned */
void loop_enter(struct loop *l);          /* this thread now runs l */
void loop_leave(void);
void loop_start_main(struct loop *l);
/* When the next deadline is; WHEN_NEVER for none. */
struct when loop_next_timer(const struct loop *l);

/* Buffers of BUFFER_BYTES for streams, from the loop's pool. */
enum { BUFFER_BYTES = 64 * 1024 };
char *buffer_take(struct loop *l);
void buffer_give(struct loop *l, char *buffer);
void buffers_shrink(struct loop *l, uint32_t keep);

void fiber_run(struct fiber *f); /* by loop_turn */
void fiber_wake_with(struct fiber *f, enum err_code why);
void fiber_pool_free(struct loop *l);
void fiber_pool_shrink(struct loop *l, uint32_t keep); /* stacks of fibers that ended */

struct stream *stream_new(struct transport *t, struct addr remote, struct addr local);
