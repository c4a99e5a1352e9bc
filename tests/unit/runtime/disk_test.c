#include "../unit.h"
#include "runtime/disk.h"
#include "runtime/loop.h"
#include "runtime/sim_disk.h"
#include "worlds.h"

#include <stdlib.h>
#include <unistd.h>

static void a_folder_of_files_fiber(void *arg)
{
    struct arena a = {0};
    struct str root = str_of(arg), *names, holder;
    struct disk *d, *again;
    struct disk_file *f;
    struct iovec iov[2] = {{(char[]){"hello "}, 6}, {(char[]){"disk"}, 4}};
    char back[32];
    size_t got, count;
    uint64_t size;

    assert_int_equal(disk_open(arena_printf(&a, "%.*s/a/b", STR_ARG(root)), &d, WHEN_NEVER).code,
                     OK);
    assert_int_equal(disk_lock(d, STR("lock"), STR("first"), &a, &holder, WHEN_NEVER).code, OK);
    assert_int_equal(disk_open(disk_path(d), &again, WHEN_NEVER).code, OK);
    assert_int_equal(disk_lock(again, STR("lock"), STR("second"), &a, &holder, WHEN_NEVER).code,
                     ERR_BUSY);
    EXPECT_STR(holder, "first");
    disk_close(again);

    assert_int_equal(disk_file_open(d, STR("none"), DISK_READ, &f, WHEN_NEVER).code, ERR_NOT_FOUND);
    assert_int_equal(
        disk_file_open(d, STR("one"), DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &f, WHEN_NEVER)
            .code,
        OK);
    assert_int_equal(disk_allocate(f, 8192, WHEN_NEVER).code, OK);
    assert_int_equal(disk_write_sync(f, 4096, iov, 2, WHEN_NEVER).code, OK);
    assert_int_equal(disk_read(f, 4096, back, 10, &got, WHEN_NEVER).code, OK);
    EXPECT_STR(str_make(back, got), "hello disk");
    assert_int_equal(disk_size(f, &size, WHEN_NEVER).code, OK);
    assert_int_equal(size, 8192);
    assert_int_equal(disk_read(f, 8190, back, 10, &got, WHEN_NEVER).code, OK);
    assert_int_equal(got, 2);
    disk_file_close(f);
    assert_int_equal(disk_rename(d, STR("one"), STR("two"), WHEN_NEVER).code, OK);
    assert_int_equal(disk_sync_folder(d, WHEN_NEVER).code, OK);
    assert_int_equal(disk_list(d, &a, &names, &count, WHEN_NEVER).code, OK);
    assert_int_equal(count, 2); /* lock, two */
    assert_int_equal(disk_unlink(d, STR("two"), WHEN_NEVER).code, OK);
    assert_int_equal(disk_unlink(d, STR("two"), WHEN_NEVER).code, ERR_NOT_FOUND);
    assert_int_equal(disk_unlink(d, STR("lock"), WHEN_NEVER).code, OK);
    disk_close(d);
    arena_done(&a);
}

static void a_folder_of_files(void **state)
{
    char root[] = "/tmp/postyard-disk-XXXXXX";
    char path[64];

    assert_non_null(mkdtemp(root));
    run_alone("test", a_folder_of_files_fiber, root);
    snprintf(path, sizeof path, "%s/a/b", root);
    assert_int_equal(rmdir(path), 0);
    snprintf(path, sizeof path, "%s/a", root);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(root), 0);
    (void)state;
}

/* The same, on a disk that is not there. */
static void a_simulated_folder_of_files(void **state)
{
    char root[] = "/nowhere";
    struct sim_disk *sim = sim_disk_new("/nowhere/a/b", 1);
    struct world *w = sim_world(NULL);

    sim_disk_attach(sim, w);
    loop_main(world_loop(w, "test"), a_folder_of_files_fiber, root);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
    sim_disk_free(sim);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_folder_of_files),
                                       cmocka_unit_test(a_simulated_folder_of_files)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
