#include "../unit.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/offload.h"
#include "worlds.h"

#include <unistd.h>

/* Who holds the thread is seen by others (no sleep would do it). */
static void a_long_turn_is_counted_fiber(void *arg)
{
    struct when until;

    assert_int_equal(fiber_yield(WHEN_NEVER).code, OK);
    until = when_add(clock_read(), 60 * NS_PER_MS);
    while (clock_read().ns < until.ns) {
    }
    assert_int_equal(fiber_yield(WHEN_NEVER).code, OK);
    assert_int_equal(fiber_yield(WHEN_NEVER).code, OK);
    assert_true(loop_load(loop_self()).long_turns >= 1);
    assert_true(loop_load(loop_self()).longest_us >= 60000);
    (void)arg;
}

static void a_long_turn_is_counted(void **state)
{
    run_alone("long", a_long_turn_is_counted_fiber, NULL);
    (void)state;
}

static void sleeps(void *arg)
{
    struct err *ret = arg;

    *ret = fiber_sleep(WHEN_NEVER, WHEN_NEVER);
    /* Cancelling is sticky: no later wait succeeds. */
    assert_int_equal(fiber_sleep(when_after(0), WHEN_NEVER).code, ERR_CANCELLED);
}

static void a_group_is_cancelled_and_joined_fiber(void *arg)
{
    struct err got[3] = {0};
    struct group g;

    group_init(&g, "sleepers", 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(group_spawn(&g, "sleeper", sleeps, &got[i], WHEN_NEVER).code, OK);
    }
    assert_int_equal(group_spawn_now(&g, "one too many", sleeps, &got[0]).code, ERR_LIMIT);
    assert_int_equal(group_spawn(&g, "late", sleeps, &got[0], when_after(5)).code, ERR_TIMEOUT);
    assert_int_equal(group_join(&g, when_after(5)).code, ERR_TIMEOUT);
    group_cancel(&g);
    assert_int_equal(group_spawn_now(&g, "after", sleeps, &got[0]).code, ERR_CANCELLED);
    assert_int_equal(group_join(&g, WHEN_NEVER).code, OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(got[i].code, ERR_CANCELLED);
    }
    assert_int_equal(fiber_count(), 1);
    (void)arg;
}

static void a_group_is_cancelled_and_joined(void **state)
{
    run_both("test", a_group_is_cancelled_and_joined_fiber, *state);
}

struct relay {
    struct signal signal;
    int turn, rounds, id;
    struct relay *shared;
};

static void takes_turns(void *arg)
{
    struct relay *me = arg, *all = me->shared;

    for (int i = 0; i < 1000; i++) {
        while (all->turn % 3 != me->id) {
            assert_int_equal(signal_wait(&all->signal, "my turn", WHEN_NEVER).code, OK);
        }
        all->turn++;
        signal_raise(&all->signal);
    }
}

static void fibers_take_turns_fiber(void *arg)
{
    struct relay all = {0}, each[3];
    struct group g;

    signal_init(&all.signal);
    group_init(&g, "turns", 0);
    for (int i = 0; i < 3; i++) {
        each[i] = (struct relay){.id = i, .shared = &all};
        assert_int_equal(group_spawn_now(&g, "turn", takes_turns, &each[i]).code, OK);
    }
    assert_int_equal(group_join(&g, WHEN_NEVER).code, OK);
    assert_int_equal(all.turn, 3000);
    (void)arg;
}

static void fibers_take_turns(void **state)
{
    run_both("test", fibers_take_turns_fiber, *state);
}

static void a_deadline_is_kept_fiber(void *arg)
{
    struct signal s;
    struct when start = clock_now();

    signal_init(&s);
    assert_int_equal(signal_wait(&s, "nothing", when_after(20)).code, ERR_TIMEOUT);
    assert_true(clock_now().ns - start.ns >= 20 * NS_PER_MS);
    assert_int_equal(signal_wait(&s, "nothing", start).code, ERR_TIMEOUT);
    (void)arg;
}

static void a_deadline_is_kept(void **state)
{
    run_both("test", a_deadline_is_kept_fiber, *state);
}

struct ball {
    struct post post;
    struct loop *left, *right;
    struct fiber *waiting;
    int bounces;
    bool over;
};

static void bounce(struct post *p)
{
    struct ball *b = CONTAINER_OF(p, struct ball, post);

    if (++b->bounces < 10000) {
        loop_post(loop_self() == b->left ? b->right : b->left, p);
        return;
    }
    if (loop_self() != b->left) {
        loop_post(b->left, p);
        return;
    }
    b->over = true;
    fiber_wake(b->waiting);
}

static void serves_the_ball(void *arg)
{
    struct ball *b = arg;

    b->waiting = fiber_self();
    loop_post(b->right, &b->post);
    while (!b->over) {
        assert_int_equal(fiber_wait("the ball", WHEN_NEVER).code, OK);
    }
    loop_cancel(b->right);
}

static void waits_to_be_cancelled(void *arg)
{
    (void)arg;
    assert_int_equal(fiber_sleep(WHEN_NEVER, WHEN_NEVER).code, ERR_CANCELLED);
}

static void posts_cross(struct world *w)
{
    struct ball b = {.post.run = bounce};

    b.left = world_loop(w, "left");
    b.right = world_loop(w, "right");
    loop_main(b.left, serves_the_ball, &b);
    loop_main(b.right, waits_to_be_cancelled, NULL);
    world_run(w);
    world_free(w);
    assert_true(b.bounces >= 10000);
}

static void posts_cross_between_loops(void **state)
{
    posts_cross(world_new());
    posts_cross(sim_world(NULL));
    (void)state;
}

static void blocks(void *arg)
{
    int *fd = arg;
    char byte;

    assert_int_equal(read(*fd, &byte, 1), 1);
}

static void offloads(void *arg)
{
    offload("a byte", blocks, arg, WHEN_NEVER);
}

static void what_blocks_holds_up_nobody_fiber(void *arg)
{
    int pipe_ends[2];
    struct group g;

    assert_int_equal(pipe(pipe_ends), 0);
    group_init(&g, "offloaded", 0);
    assert_int_equal(group_spawn_now(&g, "blocked", offloads, &pipe_ends[0]).code, OK);
    assert_int_equal(fiber_yield(WHEN_NEVER).code, OK);
    /* A cancelled fiber still waits for what uses its frame. */
    group_cancel(&g);
    assert_int_equal(group_join(&g, when_after(10)).code, ERR_TIMEOUT);
    assert_int_equal(write(pipe_ends[1], "x", 1), 1);
    assert_int_equal(group_join(&g, WHEN_NEVER).code, OK);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    (void)arg;
}

static void what_blocks_holds_up_nobody(void **state)
{
    run_alone("test", what_blocks_holds_up_nobody_fiber, *state);
}

static int deep(int n)
{
    volatile char frame[512];

    frame[0] = (char)n;
    return n == 0 ? frame[0] : deep(n - 1) + (frame[0] != 0);
}

static void goes_deep(void *arg)
{
    *(int *)arg = deep(1000); /* half a megabyte: far more than a fiber has */
}

static void the_big_stack_is_big_fiber(void *arg)
{
    int got = 0;

    on_big_stack(goes_deep, &got);
    assert_true(got > 0);
    on_big_stack(goes_deep, &got);
    fiber_trim();
    (void)arg;
}

static void the_big_stack_is_big(void **state)
{
    run_both("test", the_big_stack_is_big_fiber, *state);
}

struct sought {
    bool found;
};

static void seek(void *ctx, const struct fiber_note *note)
{
    struct sought *s = ctx;

    if (strcmp(note->name, "sleeper") == 0) {
        assert_string_equal(note->group, "sleepers");
        assert_string_equal(note->what, "a while");
        assert_true(when_is_never(note->until));
        s->found = true;
    }
}

static void the_census_says_who_waits_for_what_fiber(void *arg)
{
    struct sought s = {false};
    struct err got;
    struct group g;

    group_init(&g, "sleepers", 0);
    assert_int_equal(group_spawn_now(&g, "sleeper", sleeps, &got).code, OK);
    assert_int_equal(fiber_yield(WHEN_NEVER).code, OK);
    assert_int_equal(fiber_yield(WHEN_NEVER).code, OK);
    fiber_census(seek, &s);
    assert_true(s.found);
    group_cancel(&g);
    assert_int_equal(group_join(&g, WHEN_NEVER).code, OK);
    (void)arg;
}

static void the_census_says_who_waits_for_what(void **state)
{
    run_both("test", the_census_says_who_waits_for_what_fiber, *state);
}

static void thousands(void *arg)
{
    enum { MANY = 5000 };
    struct err *got = mem_array(MANY, sizeof *got);
    struct group g;

    group_init(&g, "many", 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(group_spawn_now(&g, "one of many", sleeps, &got[i]).code, OK);
    }
    assert_int_equal(fiber_yield(WHEN_NEVER).code, OK);
    group_cancel(&g);
    assert_int_equal(group_join(&g, WHEN_NEVER).code, OK);
    assert_int_equal(got[MANY - 1].code, ERR_CANCELLED);
    mem_free(got);
    (void)arg;
}

static void thousands_of_fibers_wait_at_once(void **state)
{
    run_both("test", thousands, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_cancelled_and_joined),
        cmocka_unit_test(a_long_turn_is_counted),
        cmocka_unit_test(fibers_take_turns),
        cmocka_unit_test(a_deadline_is_kept),
        cmocka_unit_test(posts_cross_between_loops),
        cmocka_unit_test(what_blocks_holds_up_nobody),
        cmocka_unit_test(the_big_stack_is_big),
        cmocka_unit_test(the_census_says_who_waits_for_what),
        cmocka_unit_test(thousands_of_fibers_wait_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
