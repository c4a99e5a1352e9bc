/* What a load that has ended left is given back, and nothing while it goes on. In a simulated world
 * the looks of the watch are five seconds of its clock apart; the processor time is real. */
#include "../unit.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/memory.h"
#include "valgrind.h"
#include "worlds.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ANOTHER_ALLOCATOR 1 /* which keeps what is freed for a while, by intent */
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define ANOTHER_ALLOCATOR 1
#endif

enum { PIECES = 16 * 1024, PIECE_BYTES = 4000, LOAD_MS = 150, GIVEN_PAGES = 8 * 1024 };

static long resident_pages(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long all = 0, resident = 0;

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &all, &resident), 2);
    fclose(f);
    return resident;
}

/* Processor time, as the watch counts it. */
static void work(int64_t ms)
{
    struct rusage u;
    int64_t begin = -1, now;

    do {
        must(getrusage(RUSAGE_SELF, &u) == 0);
        now = (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
              (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
        begin = begin < 0 ? now : begin;
    } while (now - begin < ms);
}

/* Pages that are free and stay resident, as what lies behind them is in use. */
static void *leave_holes(void)
{
    void **pieces = mem_array(PIECES, sizeof *pieces);
    void *last;

    for (int i = 0; i < PIECES; i++) {
        pieces[i] = mem_alloc_raw(PIECE_BYTES);
        memset(pieces[i], 1, PIECE_BYTES);
    }
    last = pieces[PIECES - 1];
    for (int i = 0; i < PIECES - 1; i++) {
        mem_free(pieces[i]);
    }
    mem_free(pieces);
    return last;
}

static void watched_fiber(void *arg)
{
    struct group g;
    long loaded, after;
    void *last;

    (void)arg;
    group_init(&g, "watch", 1);
    assert_int_equal(group_spawn(&g, "memory", memory_watch, NULL, WHEN_NEVER).code, OK);
    (void)fiber_yield(WHEN_NEVER); /* it has begun to count */
    last = leave_holes();
    loaded = resident_pages();
    /* As much in each look as before: nothing is given back. */
    for (int i = 0; i < 4; i++) {
        work(LOAD_MS);
        (void)fiber_sleep(when_after(MEMORY_WATCH_MS), WHEN_NEVER);
    }
    assert_true(resident_pages() > loaded - GIVEN_PAGES / 4);
    /* It has fallen: one look to see that, one to give back. */
    for (int i = 0; i < 3; i++) {
        (void)fiber_sleep(when_after(MEMORY_WATCH_MS), WHEN_NEVER);
    }
    after = resident_pages();
    mem_free(last);
    group_cancel(&g);
    assert_int_equal(group_join(&g, WHEN_NEVER).code, OK);
#ifdef ANOTHER_ALLOCATOR
    (void)after;
#else
    assert_true(after < loaded - GIVEN_PAGES);
#endif
}

static void what_a_load_left_is_given_back_after_it(void **state)
{
    (void)state;
    if (under_valgrind()) {
        print_message("skipped: Valgrind's allocator gives nothing back\n");
        skip();
    }
    memory_tune();
    run_simulated("test", watched_fiber, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_load_left_is_given_back_after_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
