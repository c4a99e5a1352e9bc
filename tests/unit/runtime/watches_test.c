/* Sockets of a library behind one wait: what is told, how often, and what the kernel is asked. */
#include "../unit.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/watches.h"

#include <sys/socket.h>
#include <unistd.h>

enum { SHORT_MS = 20, LONG_MS = 5000 };

/* Ours, which is watched, and the other side's. */
struct pair {
    int ours, theirs;
};

static struct pair pair_open(void)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    return (struct pair){fds[0], fds[1]};
}

static void pair_close(struct watches *w, struct pair p)
{
    watches_end(w, p.ours);
    close(p.theirs);
}

static void say(struct pair p)
{
    assert_int_equal(write(p.theirs, "x", 1), 1);
}

static void hear(struct pair p)
{
    char c;

    assert_int_equal(read(p.ours, &c, 1), 1);
}

static void expect(struct watches *w, int fd, unsigned ready)
{
    struct watches_event at[4];

    assert_int_equal(watches_wait(w, "test", when_after(LONG_MS)).code, OK);
    assert_int_equal(watches_take(w, at, 4), 1);
    assert_int_equal(at[0].fd, fd);
    assert_int_equal(at[0].ready, ready);
}

static void expect_quiet(struct watches *w)
{
    struct watches_event at[4];

    assert_int_equal(watches_wait(w, "test", when_after(SHORT_MS)).code, ERR_TIMEOUT);
    assert_int_equal(watches_take(w, at, 4), 0);
}

/* It may stir the wait once, and is told to nobody. */
static void expect_untold(struct watches *w)
{
    struct watches_event at[4];

    assert_int_equal(watches_wait(w, "test", when_after(LONG_MS)).code, OK);
    assert_int_equal(watches_take(w, at, 4), 0);
}

static void is_told_again(struct watches *w)
{
    struct pair p = pair_open();

    watches_set(w, p.ours, WANT_READ);
    expect_quiet(w);
    say(p);
    say(p);
    expect(w, p.ours, WANT_READ);
    hear(p); /* and one byte is left for later */
    expect(w, p.ours, WANT_READ);
    hear(p);
    expect_quiet(w);
    pair_close(w, p);
}

static void stirs_once(struct watches *w)
{
    struct pair p = pair_open();

    watches_set(w, p.ours, WANT_READ);
    watches_set(w, p.ours, 0);
    expect_quiet(w);
    say(p);
    expect_untold(w);
    expect_quiet(w); /* though the byte is still there: nothing turns in circles */
    watches_set(w, p.ours, WANT_READ);
    expect(w, p.ours, WANT_READ);
    pair_close(w, p);
}

static void writes(struct watches *w)
{
    struct pair p = pair_open();

    watches_set(w, p.ours, WANT_WRITE);
    expect(w, p.ours, WANT_WRITE);
    expect(w, p.ours, WANT_WRITE);
    watches_set(w, p.ours, WANT_READ);
    expect_quiet(w);
    watches_set(w, p.ours, WANT_READ | WANT_WRITE);
    say(p);
    expect(w, p.ours, WANT_READ | WANT_WRITE);
    watches_set(w, p.ours, WANT_WRITE);
    expect(w, p.ours, WANT_WRITE); /* and not the byte */
    watches_set(w, p.ours, 0);
    expect_untold(w);
    expect_quiet(w);
    pair_close(w, p);
}

static void the_other_side_leaves(struct watches *w)
{
    struct pair p = pair_open(), idle = pair_open();

    watches_set(w, p.ours, WANT_READ);
    watches_set(w, idle.ours, WANT_READ);
    watches_set(w, idle.ours, 0);
    close(idle.theirs);
    expect_untold(w);
    expect_quiet(w);
    close(p.theirs);
    expect(w, p.ours, WANT_READ);
    watches_end(w, p.ours);
    expect_quiet(w);
    watches_end(w, idle.ours);
}

/* The number of a closed descriptor is the next one's, of which nothing has been said yet. */
static void a_number_comes_again(struct watches *w)
{
    struct pair first = pair_open(), second;
    int kept = dup(first.ours); /* it lives on elsewhere: in a child, for a moment */

    watches_set(w, first.ours, WANT_READ);
    watches_end(w, first.ours);
    second = pair_open();
    assert_int_equal(second.ours, first.ours);
    say(first);
    say(second);
    expect_quiet(w);
    watches_set(w, second.ours, WANT_READ);
    expect(w, second.ours, WANT_READ);
    close(kept);
    close(first.theirs);
    pair_close(w, second);
}

static void ended_after_it_stirred(struct watches *w)
{
    struct pair p = pair_open();
    struct watches_event at[4];

    watches_set(w, p.ours, WANT_READ);
    say(p);
    assert_int_equal(watches_wait(w, "test", when_after(LONG_MS)).code, OK);
    pair_close(w, p);
    assert_int_equal(watches_take(w, at, 4), 0);
    expect_quiet(w);
    watches_end(w, socket(AF_UNIX, SOCK_STREAM, 0)); /* that was never set */
}

static void more_than_are_taken(struct watches *w)
{
    struct pair pairs[10];
    struct watches_event at[4];
    unsigned told = 0;

    for (unsigned i = 0; i < 10; i++) {
        pairs[i] = pair_open();
        watches_set(w, pairs[i].ours, WANT_READ);
        say(pairs[i]);
    }
    while (told < 10) {
        size_t count;

        assert_int_equal(watches_wait(w, "test", when_after(LONG_MS)).code, OK);
        count = watches_take(w, at, 4);
        for (size_t n = 0; n < count; n++) {
            char c;

            told += read(at[n].fd, &c, 1) == 1;
        }
    }
    expect_quiet(w);
    for (unsigned i = 0; i < 10; i++) {
        pair_close(w, pairs[i]);
    }
}

/* A library that closes by itself must tell of the next: with one number they may come behind one
 * wish, of which the kernel would know nothing. */
static void a_number_comes_again_untold(struct watches *w)
{
    struct pair first = pair_open(), second;

    watches_begin(w, first.ours);
    watches_set(w, first.ours, WANT_WRITE);
    expect(w, first.ours, WANT_WRITE);
    close(first.ours);
    second = pair_open();
    assert_int_equal(second.ours, first.ours);
    watches_begin(w, second.ours);
    expect(w, second.ours, WANT_WRITE);
    watches_set(w, second.ours, WANT_READ);
    say(second);
    expect(w, second.ours, WANT_READ);
    watches_set(w, second.ours, 0);
    close(second.ours);
    close(second.theirs);
    close(first.theirs);
    first = pair_open();
    watches_begin(w, first.ours);
    watches_set(w, first.ours, WANT_READ);
    say(first);
    expect(w, first.ours, WANT_READ);
    pair_close(w, first);
}

/* It says later that it wants nothing of them. */
static void closed_before_it_is_told(struct watches *w)
{
    struct pair p = pair_open();

    watches_set(w, p.ours, WANT_WRITE);
    close(p.ours);
    watches_set(w, p.ours, 0);
    expect_quiet(w);
    close(p.theirs);
}

static void is_woken(struct watches *w)
{
    struct watches_event at[4];

    watches_wake(w);
    assert_int_equal(watches_wait(w, "test", when_after(LONG_MS)).code, OK);
    assert_int_equal(watches_take(w, at, 4), 0);
    expect_quiet(w);
}

static void all_of_it(void *arg)
{
    static void (*const cases[])(struct watches *) = {
        is_told_again,
        stirs_once,
        writes,
        the_other_side_leaves,
        a_number_comes_again,
        a_number_comes_again_untold,
        closed_before_it_is_told,
        ended_after_it_stirred,
        more_than_are_taken,
        is_woken,
    };

    (void)arg;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct watches *w = watches_open();

        cases[i](w);
        watches_close(w);
    }
}

static void what_stirs_is_told_to_who_wants_it_and_else_stirs_once(void **state)
{
    run_alone("test", all_of_it, NULL);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stirs_is_told_to_who_wants_it_and_else_stirs_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
