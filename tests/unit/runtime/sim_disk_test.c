#include "../unit.h"
#include "base/check.h"
#include "runtime/sim.h"
#include "runtime/sim_disk.h"

enum { SEEDS = 200, SECTOR = 512, SIZE = 8 * SECTOR };

/* What one machine does before its power fails: each step writes a letter over the whole file. */
struct story {
    struct sim_disk *disk;
    const char *steps;
    struct err last;
};

static struct err write_letter(struct disk_file *f, char letter, bool sync)
{
    static char bytes[SIZE];
    struct iovec iov[2] = {{bytes, SIZE - 100}, {bytes + SIZE - 100, 100}};

    memset(bytes, letter, sizeof bytes);
    return sync ? disk_write_sync(f, 0, iov, 2, WHEN_NEVER) : disk_write(f, 0, iov, 2, WHEN_NEVER);
}

/* a-z: write it; A-Z: write it and flush; '.': flush; '/': flush the folder; '>': rename to "b". */
static void tell(void *arg)
{
    struct story *s = arg;
    struct disk *d;
    struct disk_file *f;

    assert_int_equal(disk_open(STR("/disk"), &d, WHEN_NEVER).code, OK);
    assert_int_equal(disk_file_open(d, STR("a"), DISK_WRITE | DISK_CREATE, &f, WHEN_NEVER).code,
                     OK);
    for (const char *at = s->steps; *at != 0; at++) {
        if (*at == '.') {
            s->last = disk_sync(f, WHEN_NEVER);
        } else if (*at == '/') {
            s->last = disk_sync_folder(d, WHEN_NEVER);
        } else if (*at == '>') {
            s->last = disk_rename(d, STR("a"), STR("b"), WHEN_NEVER);
        } else {
            s->last = write_letter(f, *at, *at <= 'Z');
        }
    }
    disk_file_close(f);
    disk_close(d);
}

/* How a story was found to have ended, over all seeds. */
struct endings {
    unsigned gone, named_a, named_b, whole, mixed, short_;
    unsigned letters[128]; /* seeds in which a sector holds it */
};

static void look(struct sim_disk *d, struct endings *e)
{
    struct str bytes;
    bool seen[128] = {false};
    unsigned kinds = 0;

    if (sim_disk_bytes(d, STR("a"), &bytes)) {
        e->named_a++;
    } else if (sim_disk_bytes(d, STR("b"), &bytes)) {
        e->named_b++;
    } else {
        e->gone++;
        return;
    }
    for (size_t at = 0; at + SECTOR <= bytes.len; at += SECTOR) {
        unsigned char letter = (unsigned char)bytes.ptr[at];

        for (size_t i = 1; i < SECTOR; i++) {
            assert_int_equal(bytes.ptr[at + i], letter); /* a sector is never torn */
        }
        kinds += !seen[letter];
        seen[letter] = true;
    }
    for (size_t i = 0; i < 128; i++) {
        e->letters[i] += seen[i];
    }
    e->short_ += bytes.len < SIZE;
    e->whole += bytes.len == SIZE && kinds == 1;
    e->mixed += kinds > 1;
}

static struct endings endings_of(const char *steps, const struct sim_disk_weather *weather,
                                 bool power_cut)
{
    struct endings e = {0};

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_options o = {.seed = seed};
        struct story s = {.disk = sim_disk_new("/disk", seed), .steps = steps};
        struct world *w = sim_world(&o);

        sim_disk_set(s.disk, weather);
        sim_disk_attach(s.disk, w);
        loop_main(world_loop(w, "test"), tell, &s);
        world_run(w);
        assert_int_equal(sim_end(w), SIM_OVER);
        world_free(w);
        if (power_cut) {
            sim_disk_power_cut(s.disk);
        } else {
            sim_disk_kill(s.disk);
        }
        look(s.disk, &e);
        sim_disk_free(s.disk);
    }
    return e;
}

static void what_was_flushed_is_never_lost(void **state)
{
    struct endings e = endings_of("A/", NULL, true);

    (void)state;
    assert_int_equal(e.named_a, SEEDS);
    assert_int_equal(e.whole, SEEDS);
    assert_int_equal(e.letters['A'], SEEDS);
}

static void what_was_not_flushed_is_kept_or_lost_or_torn(void **state)
{
    struct endings e = endings_of("A/xy", NULL, true);

    (void)state;
    assert_int_equal(e.named_a, SEEDS);
    assert_int_equal(e.short_, 0);
    assert_in_range(e.mixed, SEEDS / 10, SEEDS);
    assert_in_range(e.whole, SEEDS / 10, SEEDS);
    /* Each version of a sector may be the one that was written back. */
    assert_in_range(e.letters['A'], SEEDS / 10, SEEDS - 1);
    assert_in_range(e.letters['x'], SEEDS / 20, SEEDS - 1);
    assert_in_range(e.letters['y'], SEEDS / 10, SEEDS - 1);
}

static void a_name_without_a_flush_of_the_folder_may_be_lost(void **state)
{
    struct endings e = endings_of("A", NULL, true);

    (void)state;
    assert_in_range(e.gone, SEEDS / 10, SEEDS - 1);
    assert_in_range(e.named_a, SEEDS / 10, SEEDS - 1);
    assert_int_equal(e.whole, e.named_a); /* but its bytes were flushed */
}

static void a_rename_moves_a_name_whole_or_not_at_all(void **state)
{
    struct endings e = endings_of("A/>", NULL, true);

    (void)state;
    assert_int_equal(e.gone, 0);
    assert_in_range(e.named_a, SEEDS / 10, SEEDS - 1);
    assert_in_range(e.named_b, SEEDS / 10, SEEDS - 1);
    e = endings_of("A/>/", NULL, true);
    assert_int_equal(e.named_b, SEEDS);
}

static void a_file_that_was_never_flushed_may_be_short_or_empty(void **state)
{
    struct endings e = endings_of("x/", NULL, true);

    (void)state;
    assert_int_equal(e.named_a, SEEDS);
    assert_in_range(e.short_, SEEDS / 10, SEEDS - 1);
    assert_in_range(e.letters[0], SEEDS / 20, SEEDS - 1); /* room without bytes */
}

static void a_kill_loses_nothing_that_was_written(void **state)
{
    struct endings e = endings_of("A>x", NULL, false);

    (void)state;
    assert_int_equal(e.named_b, SEEDS);
    assert_int_equal(e.letters['x'], SEEDS);
    assert_int_equal(e.whole, SEEDS);
}

/* ---- failures ---- */

static void retries_a_flush(void *arg)
{
    struct sim_disk *sim = arg;
    struct disk *d;
    struct disk_file *f;

    assert_int_equal(disk_open(STR("/disk"), &d, WHEN_NEVER).code, OK);
    assert_int_equal(disk_file_open(d, STR("a"), DISK_WRITE | DISK_CREATE, &f, WHEN_NEVER).code,
                     OK);
    assert_int_equal(disk_sync_folder(d, WHEN_NEVER).code, OK);
    assert_int_equal(write_letter(f, 'A', true).code, OK);
    sim_disk_set(sim, &(struct sim_disk_weather){.sync_failed_ppm = 1000000});
    assert_int_equal(write_letter(f, 'B', true).code, ERR_DISK);
    sim_disk_set(sim, NULL);
    assert_int_equal(disk_sync(f, WHEN_NEVER).code, OK);
    disk_file_close(f);
    disk_close(d);
}

static void after_a_failed_flush_the_next_says_ok_and_the_bytes_are_gone(void **state)
{
    struct endings e = {0};

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_disk *disk = sim_disk_new("/disk", seed);
        struct world *w = sim_world(NULL);

        sim_disk_attach(disk, w);
        loop_main(world_loop(w, "test"), retries_a_flush, disk);
        world_run(w);
        world_free(w);
        sim_disk_power_cut(disk);
        look(disk, &e);
        sim_disk_free(disk);
    }
    assert_in_range(e.letters['A'], SEEDS / 2, SEEDS);
    assert_in_range(e.mixed, SEEDS / 2, SEEDS);
}

static void fills_it(void *arg)
{
    struct disk *d;
    struct disk_file *f;
    uint64_t left;

    sim_disk_set(arg, &(struct sim_disk_weather){.capacity_bytes = 3 * 4096});
    assert_int_equal(disk_open(STR("/disk"), &d, WHEN_NEVER).code, OK);
    assert_int_equal(disk_file_open(d, STR("a"), DISK_WRITE | DISK_CREATE, &f, WHEN_NEVER).code,
                     OK);
    assert_int_equal(disk_allocate(f, 2 * 4096, WHEN_NEVER).code, OK);
    assert_int_equal(disk_free_bytes(d, &left, WHEN_NEVER).code, OK);
    assert_int_equal(left, 4096);
    assert_int_equal(disk_allocate(f, 4 * 4096, WHEN_NEVER).code, ERR_FULL);
    assert_int_equal(write_letter(f, 'A', true).code, OK); /* there is room for that */
    disk_file_close(f);
    assert_int_equal(disk_file_open(d, STR("b"), DISK_WRITE | DISK_CREATE, &f, WHEN_NEVER).code,
                     OK);
    assert_int_equal(write_letter(f, 'B', true).code, OK);
    assert_int_equal(disk_write(f, SIZE, &(struct iovec){(char[]){"x"}, 1}, 1, WHEN_NEVER).code,
                     ERR_FULL);
    disk_file_close(f);
    assert_int_equal(disk_unlink(d, STR("a"), WHEN_NEVER).code, OK);
    assert_int_equal(disk_free_bytes(d, &left, WHEN_NEVER).code, OK);
    assert_int_equal(left, 2 * 4096);
    disk_close(d);
}

static void dies_writing(void *arg)
{
    struct story *s = arg;
    struct disk *d;
    struct disk_file *f;

    assert_int_equal(disk_open(STR("/disk"), &d, WHEN_NEVER).code, OK);
    assert_int_equal(disk_file_open(d, STR("a"), DISK_WRITE | DISK_CREATE, &f, WHEN_NEVER).code,
                     OK);
    assert_int_equal(disk_sync_folder(d, WHEN_NEVER).code, OK);
    s->last = write_letter(f, 'A', true); /* the crash comes before the flush */
    assert_int_equal(disk_sync(f, WHEN_NEVER).code, ERR_DISK);
    assert_int_equal(disk_unlink(d, STR("a"), WHEN_NEVER).code, ERR_DISK);
    disk_file_close(f);
    disk_close(d);
}

static struct world *run_on(struct sim_disk *disk, void (*fn)(void *), void *arg,
                            const char *crash_at)
{
    struct world *w = sim_world(NULL);

    sim_disk_attach(disk, w);
    if (crash_at != NULL) {
        sim_crash_at(w, crash_at, 1);
    }
    loop_main(world_loop(w, "test"), fn, arg);
    world_run(w);
    return w;
}

static void a_disk_can_be_full(void **state)
{
    struct sim_disk *disk = sim_disk_new("/disk", 1);
    struct world *w = run_on(disk, fills_it, disk, NULL);

    (void)state;
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
    sim_disk_free(disk);
}

static void after_a_crash_nothing_reaches_the_disk(void **state)
{
    struct story s = {.disk = sim_disk_new("/disk", 1)};
    struct world *w = run_on(s.disk, dies_writing, &s, "disk-sync");
    struct str bytes;

    (void)state;
    assert_int_equal(sim_end(w), SIM_CRASHED);
    assert_int_equal(s.last.code, ERR_DISK);
    world_free(w);
    sim_disk_kill(s.disk);
    assert_true(sim_disk_bytes(s.disk, STR("a"), &bytes)); /* the unlink did not count */
    assert_int_equal(bytes.len, SIZE);
    sim_disk_free(s.disk);
}

static void a_bit_rots_where_it_was_asked_to(void **state)
{
    struct story s = {.disk = sim_disk_new("/disk", 1), .steps = "A/"};
    struct world *w = run_on(s.disk, tell, &s, NULL);
    struct str bytes;
    uint64_t offset;
    unsigned wrong = 0;

    (void)state;
    world_free(w);
    assert_false(sim_disk_rot(s.disk, STR("none"), 0, 0, &offset));
    assert_false(sim_disk_rot(s.disk, STR("a"), SIZE, 0, &offset));
    assert_true(sim_disk_rot(s.disk, STR("a"), 1000, 1100, &offset));
    assert_in_range(offset, 1000, 1099);
    sim_disk_power_cut(s.disk); /* it is the medium that has rotted */
    assert_true(sim_disk_bytes(s.disk, STR("a"), &bytes));
    for (size_t i = 0; i < bytes.len; i++) {
        wrong += bytes.ptr[i] != 'A';
    }
    assert_int_equal(wrong, 1);
    assert_int_not_equal(bytes.ptr[offset], 'A');
    sim_disk_free(s.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_flushed_is_never_lost),
        cmocka_unit_test(what_was_not_flushed_is_kept_or_lost_or_torn),
        cmocka_unit_test(a_name_without_a_flush_of_the_folder_may_be_lost),
        cmocka_unit_test(a_rename_moves_a_name_whole_or_not_at_all),
        cmocka_unit_test(a_file_that_was_never_flushed_may_be_short_or_empty),
        cmocka_unit_test(a_kill_loses_nothing_that_was_written),
        cmocka_unit_test(after_a_failed_flush_the_next_says_ok_and_the_bytes_are_gone),
        cmocka_unit_test(a_disk_can_be_full),
        cmocka_unit_test(after_a_crash_nothing_reaches_the_disk),
        cmocka_unit_test(a_bit_rots_where_it_was_asked_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
