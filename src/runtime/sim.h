/*
 * sim: a simulated world. All its loops are actors of one scheduler on the calling thread, on
 * virtual clocks, and everything that real life leaves to chance is drawn from one seed.
 *
 * Replay    The same seed, program and scenario give the same log, byte for byte (sim_log). Its
 *           last line carries a digest of every scheduling decision. What the program decides must
 *           not depend on addresses, on hash order, or on anything outside the world.
 * Time      Stands still while a loop turns; each turn then keeps its loop busy for virtual CPU
 *           time (struct sim_costs, stretched up to twice, by the seed). Loops are busy side by
 *           side, like threads on cores of their own.
 * Crash     sim_crash stops the machine at any instant: disks go dead, connections are reset, the
 *           log ends, and all mains are cancelled, so that fibers unwind and memory is freed; what
 *           they still try reaches nothing. Then sim_disk.h says what the disks remember, and a new
 *           world starts on them.
 * Owns      A world owns its loops, connections and log. Simulated disks live outside of it.
 * Limits    Virtual time (time_max_ms) and turns (turns_max): beyond either, or when all wait and
 *           nothing can come any more, the census goes to standard error and the world is crashed.
 * Errors    sim_end says how it went.
 */
#pragma once

#include "base/addr.h"
#include "base/event.h"
#include "runtime/loop.h"

/* Virtual CPU time, in nanoseconds. */
struct sim_costs {
    int64_t turn;  /* one turn of a loop: epoll_pwait2 and two clocks */
    int64_t fiber; /* one run of a fiber: two switches and its bookkeeping */
    int64_t post;  /* one post run */
    int64_t call;  /* one system call that moves bytes */
    int64_t kbyte; /* 1,024 bytes moved by it */
    int64_t wake;  /* from ringing a sleeping loop until it looks */
};

struct sim_options {
    uint64_t seed;
    struct date start;      /* 0: 2026-01-01 */
    int64_t time_max_ms;    /* 0: 400 days */
    uint64_t turns_max;     /* 0: 2^32 */
    struct sim_costs costs; /* turn 0: those measured on the real world */
    struct addr local_v4,
        local_v6;           /* what we are seen as from outside; 0: 192.0.2.1, 2001:db8::1 */
    enum event_level least; /* of events that go into the log */
};

struct world *sim_world(const struct sim_options *o); /* NULL: seed 0 and defaults */

enum sim_end { SIM_RUNNING, SIM_OVER, SIM_CRASHED, SIM_STUCK, SIM_TOO_LONG };
enum sim_end sim_end(const struct world *w); /* SIM_RUNNING until it ends or crashes */
struct str sim_log(const struct world *w);   /* JSON lines; the world's */
struct when sim_now(const struct world *w);
/* Somebody sets the wall clock forward or back. */
void sim_step_date(struct world *w, int64_t ms);
/* The running turn also takes so much CPU time. */
void sim_charge(int64_t ns);

void sim_crash(struct world *w);
void sim_crash_after(struct world *w, int64_t ns);
/* At the nth time from now that the named point is passed, or the event of that name is raised. */
void sim_crash_at(struct world *w, const char *point, uint64_t nth);

/* What stands in for the outside: a folder with a simulated body finds its scenario here, on the
 * running loop's world. NULL when the scenario has set none. `name` is a literal. */
void *sim_service(const char *name);
void sim_service_set(struct world *w, const char *name, void *service);

/* Points that simulations pass and faults they inject, counted for the whole process, so that a run
 * can show that it has met each of them. A fault is also a line of the log. */
uint64_t sim_count(const char *name);
void sim_count_each(void (*fn)(void *ctx, const char *name, uint64_t count), void *ctx);
void sim_count_forget(void);
void sim_point(struct world *w, const char *name);
void sim_fault(struct world *w, const char *name);
