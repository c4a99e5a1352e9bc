/* Programs run for real: what they are given, what is kept of what they say, and how they end. */
#include "../unit.h"
#include "base/check.h"
#include "base/err.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/process.h"
#include "valgrind.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PIECES = 40, PIECE_BYTES = 16 * 1024 };

struct row {
    const char *name, *script; /* for /bin/sh; NULL: a program that is not there */
    unsigned pieces;           /* of input */
    int64_t within_ms;
    enum err_code code;
    int exit, signal;
    const char *output;
    size_t output_bytes;
};

static const struct row rows[] = {
    {"it says what it read", "cat; echo err >&2; exit 0", 0, 5000, OK, 0, 0, "hello err\n", 10},
    {"its exit", "cat >/dev/null; exit 75", 0, 5000, OK, 75, 0, "", 0},
    {"its arguments stay what they are", "cat >/dev/null; printf '%s|' \"$@\"", 0, 5000, OK, 0, 0,
     "$(reboot)|a b|", 14},
    {"its surroundings", "cat >/dev/null; pwd; echo $ONE; ls /proc/self/fd | wc -l", 0, 5000, OK, 0,
     0, "/\n1\n4\n", 6}, /* the fourth is of ls itself */
    {"more than is kept", "head -c 100000 /dev/zero | tr '\\0' x", 0, 5000, OK, 0, 0, "xxxx", 64},
    {"both sides say much at once", "cat", PIECES, 5000, OK, 0, 0, "zzzz", 64},
    {"it reads nothing", "exit 3", PIECES, 5000, OK, 3, 0, "", 0},
    {"it dies", "kill -9 $$", 0, 5000, OK, 0, SIGKILL, "", 0},
    {"it never ends", "sleep 60", 0, 300, ERR_TIMEOUT, 0, 0, "", 0},
    {"it does not even read", "sleep 60", PIECES, 300, ERR_TIMEOUT, 0, 0, "", 0},
    {"it is there no more, but a child of it still is", "sleep 60 & exit 4", 0, 5000, OK, 4, 0, "",
     0},
    {"it is not there", NULL, 0, 5000, ERR_SYSTEM, 0, 0, "", 0},
};

struct feed {
    unsigned left;
    bool began;
    char piece[PIECE_BYTES];
};

static struct err give(void *ctx, struct str *ret, struct when by)
{
    struct feed *f = ctx;

    (void)by;
    if (!f->began) {
        f->began = true;
        *ret = f->left > 0 ? STR_EMPTY : STR("hello ");
    }
    if (f->left > 0) {
        f->left--;
        *ret = str_make(f->piece, sizeof f->piece);
    }
    return ERR_OK;
}

static void run_row(const struct row *row)
{
    static struct feed f;
    const char *const argv[] = {"/bin/sh", "-c", row->script ? row->script : "", "sh", "$(reboot)",
                                "a b",     NULL};
    const char *const nobody[] = {"/nonexistent/program", NULL};
    const char *const environment[] = {"PATH=/bin:/usr/bin", "ONE=1", NULL};
    struct buf output BUF_LOCAL = {0};
    struct process_spec spec = {.argv = row->script ? argv : nobody,
                                .environment = environment,
                                .input = give,
                                .ctx = &f,
                                .output = &output,
                                .output_bytes_max = 64};
    struct process_end end = {0};
    struct err e;

    print_message("  %s\n", row->name);
    f = (struct feed){.left = row->pieces};
    memset(f.piece, 'z', sizeof f.piece);
    e = process_run(&spec, &end, when_after(row->within_ms));
    assert_int_equal(e.code, row->code);
    assert_int_equal(e.sys, row->script ? 0 : ENOENT);
    assert_int_equal(end.code, row->exit);
    assert_int_equal(end.signal, row->signal);
    assert_int_equal(output.len, row->output_bytes);
    assert_true(str_starts(buf_str(&output), str_of(row->output)));
}

static void all_rows(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        run_row(&rows[i]);
    }
}

/* Valgrind 3.19 does not know pidfd_open, without which no end of a program is heard of. Anywhere
 * else its absence is a fault. */
static bool no_pidfd_under_valgrind(void)
{
    int fd;

    if (!under_valgrind()) {
        return false;
    }
    fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (fd >= 0) {
        (void)close(fd);
        return false;
    }
    if (errno == ENOSYS) {
        print_message("skipped: this Valgrind has no pidfd_open\n");
        return true;
    }
    return false;
}

static void programs_run_as_they_should(void **state)
{
    if (no_pidfd_under_valgrind()) {
        skip();
    }
    run_alone("test", all_rows, NULL);
    (void)state;
}

struct cut {
    struct group group;
    struct err e;
    bool over;
};

static void long_run(void *arg)
{
    static struct feed f;
    struct cut *c = arg;
    const char *const argv[] = {"/bin/sleep", "60", NULL}, *const environment[] = {NULL};
    struct buf output BUF_LOCAL = {0};
    struct process_spec spec = {
        .argv = argv, .environment = environment, .input = give, .ctx = &f, .output = &output};
    struct process_end end;

    c->e = process_run(&spec, &end, WHEN_NEVER);
    c->over = true;
}

static void cancel_it(void *arg)
{
    struct cut *c = arg;

    group_init(&c->group, "cut", 0);
    assert_int_equal(group_spawn_now(&c->group, "run", long_run, c).code, OK);
    (void)fiber_sleep(when_after(100), WHEN_NEVER);
    group_cancel(&c->group);
    assert_int_equal(group_join(&c->group, when_after(5000)).code, OK);
}

static void a_cancelled_fiber_leaves_no_program_behind(void **state)
{
    struct cut c = {0};

    if (no_pidfd_under_valgrind()) {
        skip();
    }
    run_alone("test", cancel_it, &c);
    assert_true(c.over);
    assert_int_equal(c.e.code, ERR_CANCELLED);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_run_as_they_should),
        cmocka_unit_test(a_cancelled_fiber_leaves_no_program_behind),
    };

    signals_block();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
