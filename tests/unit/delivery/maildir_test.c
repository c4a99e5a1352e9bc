/* Final delivery into folders of the real file system. */
#include "../unit.h"
#include "delivery/part.h"
#include "runtime/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static struct str file_of(struct arena *a, const char *folder)
{
    struct str path = arena_printf(a, "%s/%s", root, folder);
    DIR *d = opendir(arena_z(a, path));
    struct dirent *entry;
    char *bytes = arena_alloc(a, 4096);
    ssize_t n = 0;
    unsigned count = 0;

    assert_non_null(d);
    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] != '.') {
            int fd = openat(dirfd(d), entry->d_name, O_RDONLY);

            assert_true(fd >= 0);
            n = read(fd, bytes, 4096);
            close(fd);
            count++;
        }
    }
    closedir(d);
    assert_true(count <= 1);
    return str_make(bytes, (size_t)n);
}

/* A work for each recipient: of one with several, what is done after a while is told to the queue,
 * and here is none. */
static void deliver(const char *sender, const char *const *to, uint32_t count,
                    struct outcome *outcomes)
{
    struct delivery d = {.options = {.hostname = STR("mx.here.example")}};
    struct delivery_loop l = {.d = &d};
    struct route_settings settings = {
        .type = ROUTE_LOCAL, .deliver = DELIVER_MAILDIR, .path = str_of(root)};
    struct plan_route route = {.name = STR("local"), .settings = &settings};
    struct work w = {.parcel = parcel_new(), .to_count = 1};
    struct job j = {.l = &l, .work = &w, .route = &route};
    struct message *m = &w.parcel->message;

    m->id = 0x42;
    m->arrived = (struct date){1767225600000};
    m->sender = str_of(sender);
    m->to_count = count;
    m->to = arena_array(&w.arena, count, sizeof *m->to);
    for (uint32_t i = 0; i < count; i++) {
        m->to[i].address = str_of(to[i]);
    }
    buf_put(&w.parcel->head, STR("Subject: x\r\n\r\n.body\r\n"));
    m->size = w.parcel->head.len;
    for (uint32_t i = 0; i < count; i++) {
        w.to = &i;
        j.outcomes = &outcomes[i];
        maildir_deliver(&j, WHEN_NEVER);
    }
    parcel_drop(w.parcel);
    arena_done(&w.arena);
}

static void a_message_is_in_new_and_nothing_is_left_in_tmp_fiber(void *arg)
{
    static const char *const to[] = {"U.ser@Here.example", "../evil/..@here.example"};
    struct arena a ARENA_LOCAL = {0};
    struct outcome outcomes[2] = {0};
    struct stat st;

    (void)arg;
    /* Twice: what was repeated replaces its twin. */
    for (int i = 0; i < 2; i++) {
        memset(outcomes, 0, sizeof outcomes);
        deliver("a@b.example", to, 2, outcomes);
        assert_int_equal(outcomes[0].kind, OUTCOME_DONE);
        assert_true(outcomes[0].is_local);
        assert_int_equal(outcomes[1].kind, OUTCOME_DONE);
    }
    EXPECT_STR(file_of(&a, "u.ser@here.example/new"),
               "Return-Path: <a@b.example>\r\nDelivered-To: U.ser@Here.example\r\n"
               "Subject: x\r\n\r\n.body\r\n");
    EXPECT_STR(file_of(&a, "u.ser@here.example/tmp"), "");
    EXPECT_STR(file_of(&a, "u.ser@here.example/cur"), "");
    assert_true(file_of(&a, "=2E.=2Fevil=2F..@here.example/new").len > 0);
    assert_int_equal(stat(arena_z(&a, arena_printf(&a, "%s/../evil", root)), &st), -1);
}

static void a_message_is_in_new_and_nothing_is_left_in_tmp(void **state)
{
    run_alone("test", a_message_is_in_new_and_nothing_is_left_in_tmp_fiber, *state);
}

static void what_cannot_be_written_waits_fiber(void *arg)
{
    static const char *const to[] = {"u@here.example"};
    struct outcome outcome = {0};
    char path[96];

    (void)arg;
    /* A file stands where the folder should be. */
    snprintf(path, sizeof path, "%s/u@here.example", root);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    assert_true(fd >= 0);
    close(fd);
    deliver("a@b.example", to, 1, &outcome);
    assert_int_equal(outcome.kind, OUTCOME_LATER);
    assert_int_equal(outcome.error, LAST_IO);
    assert_int_equal(outcome.esc.class, 4);
}

static void what_cannot_be_written_waits(void **state)
{
    run_alone("test", what_cannot_be_written_waits_fiber, *state);
}

static void an_address_too_long_for_a_name_fails_fiber(void *arg)
{
    static char longest[201 + 14];
    const char *to[] = {longest};
    struct outcome outcome = {0};

    (void)arg;
    memset(longest, 'x', 201);
    memcpy(longest + 201, "@here.example", 14);
    deliver("", to, 1, &outcome);
    assert_int_equal(outcome.kind, OUTCOME_FAILED);
}

static void an_address_too_long_for_a_name_fails(void **state)
{
    run_alone("test", an_address_too_long_for_a_name_fails_fiber, *state);
}

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/postyard-maildir-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int remove_root(void **state)
{
    char command[96];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_is_in_new_and_nothing_is_left_in_tmp, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_waits, make_root, remove_root),
        cmocka_unit_test_setup_teardown(an_address_too_long_for_a_name_fails, make_root,
                                        remove_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
