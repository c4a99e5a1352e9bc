#include "runtime/memory.h"

#include "base/check.h"
#include "runtime/clock.h"
#include "runtime/world.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    ARENAS_MIN = 4,
    STEP_BYTES = 1024 * 1024,
    TRIM_BYTES = 16 * 1024 * 1024, /* at the end of an arena, before it is given back at once */
    APART_BYTES = 1024 * 1024,     /* what is larger is mapped for itself */
    BUSY_MS = 100,                 /* less in a watch is rest: nothing is worth giving back after */
    FALLEN = 4,                    /* to this part of the most */
    POOL_KEPT = 16
};

void memory_tune(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    (void)mallopt(M_ARENA_MAX, processors > ARENAS_MIN ? (int)processors : ARENAS_MIN);
    (void)mallopt(M_TOP_PAD, STEP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, APART_BYTES);
}

/* ---- a loop's pools ---- */

static void shrink_here(struct post *p)
{
    struct loop *l = CONTAINER_OF(p, struct loop, shrink);

    atomic_store(&l->shrinking, false);
    fiber_pool_shrink(l, POOL_KEPT);
    buffers_shrink(l, POOL_KEPT);
}

static void shrink_all(const struct world *w)
{
    for (unsigned i = 0; i < w->loop_count; i++) {
        struct loop *l = w->loops[i];

        if (!atomic_exchange(&l->shrinking, true)) {
            l->shrink.run = shrink_here;
            loop_post(l, &l->shrink);
        }
    }
}

/* ---- the watch ---- */

static int64_t used_ms(void)
{
    struct rusage u;

    must(getrusage(RUSAGE_SELF, &u) == 0);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
           (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

void memory_watch(void *arg)
{
    int64_t most = 0, last = used_ms();

    (void)arg;
    /* A round hands the pools to the allocator, the next the allocator's pages to the system. */
    for (bool shrunk = false; fiber_sleep(when_after(MEMORY_WATCH_MS), WHEN_NEVER).code == OK;) {
        int64_t now = used_ms(), used = now - last;

        last = now;
        if (shrunk) {
            (void)malloc_trim(0);
            shrunk = false;
            last = used_ms(); /* what that took is no load */
        } else if (most >= BUSY_MS && used < most / FALLEN) {
            shrink_all(loop_self()->world);
            most = used;
            shrunk = true;
        } else if (used > most) {
            most = used;
        }
    }
}
