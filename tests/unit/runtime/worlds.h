/* The same fiber in a real world and in a simulated one: both must keep the same contract. */
#pragma once

#include "runtime/loop.h"
#include "runtime/sim.h"

static inline void run_simulated(const char *name, void (*fn)(void *), void *arg)
{
    struct world *w = sim_world(NULL);

    loop_main(world_loop(w, name), fn, arg);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
}

static inline void run_both(const char *name, void (*fn)(void *), void *arg)
{
    run_alone(name, fn, arg);
    run_simulated(name, fn, arg);
}
