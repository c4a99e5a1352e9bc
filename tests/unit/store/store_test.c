#include "../unit.h"
/* the order matters: cmocka first */
#include "base/check.h"
#include "rig.h"

#include <unistd.h>

enum { MANY = 400, BIG = 1000000 };

static char folder[64];

static uint64_t ids[MANY];

static void accept_some(struct rig *r)
{
    assert_int_equal(store_ready(r->store, WHEN_NEVER).code, OK);
    for (int i = 0; i < MANY; i++) {
        struct parcel *p;

        ids[i] = store_new_id(r->store);
        assert_true(i == 0 || ids[i] > ids[i - 1]);
        p = make_parcel(ids[i], (uint32_t)(1 + i % 3), i == 7 ? BIG : (uint64_t)(300 + i * 10));
        assert_int_equal(accept_parcel(r, p).code, OK);
        parcel_drop(p);
    }
    for (int i = 0; i < MANY; i += 2) { /* every other is delivered, the rest tried once */
        for (uint32_t k = 0; k < (uint32_t)(1 + i % 3); k++) {
            assert_int_equal(change_state(r, ids[i], k, 1, RCPT_DELIVERED, false).code, OK);
        }
    }
    for (int i = 1; i < MANY; i += 2) {
        assert_int_equal(change_state(r, ids[i], 0, 1, RCPT_WAITING, i < 10).code, OK);
    }
}

static void find_the_rest(struct rig *r)
{
    uint64_t after = 0;
    struct message *m;
    uint32_t count;
    int at = 1;
    bool same;

    assert_int_equal(store_ready(r->store, WHEN_NEVER).code, OK);
    assert_true(store_new_id(r->store) > ids[MANY - 1]);
    do {
        struct arena a = {0};

        assert_int_equal(store_walk(r->store, after, 50, &a, &m, &count, WHEN_NEVER).code, OK);
        for (uint32_t i = 0; i < count; i++, at += 2) {
            assert_int_equal(m[i].id, ids[at]);
            assert_int_equal(m[i].to_count, 1 + at % 3);
            assert_int_equal(m[i].to[0].state.version, 2);
            EXPECT_STR(m[i].to[0].state.last.text, "not now");
            after = m[i].id;
        }
        arena_done(&a);
    } while (count > 0);
    assert_int_equal(at, MANY + 1);
    for (int i = 0; i < MANY; i++) {
        struct parcel *p;
        struct err e = store_fetch(r->store, ids[i], &p, WHEN_NEVER);

        assert_int_equal(e.code, i % 2 ? OK : ERR_NOT_FOUND);
        if (!e.code) {
            assert_int_equal(check_content(r, p, &same).code, OK);
            assert_true(same);
            parcel_drop(p);
        }
    }
}

static void what_was_accepted_is_there_after_a_restart(void **state)
{
    struct rig r = {.folder = str_of(folder), .options = rig_options(), .fn = accept_some};

    (void)state;
    rig_run_real(&r);
    assert_int_equal(r.opened.code, OK);
    r.fn = find_the_rest;
    rig_run_real(&r); /* from a checkpoint */
    assert_int_equal(r.opened.code, OK);
    rig_run_real(&r);
}

static void wrong_changes(struct rig *r)
{
    uint64_t id = store_new_id(r->store);
    struct parcel *p = make_parcel(id, 2, 500);

    assert_int_equal(accept_parcel(r, p).code, OK);
    assert_int_equal(accept_parcel(r, p).code, ERR_EXISTS);
    parcel_drop(p);
    assert_int_equal(change_state(r, id, 0, 4, RCPT_WAITING, false).code, ERR_STALE);
    assert_int_equal(change_state(r, id, 2, 1, RCPT_WAITING, false).code, ERR_NOT_FOUND);
    assert_int_equal(change_state(r, id + 1, 0, 1, RCPT_WAITING, false).code, ERR_NOT_FOUND);
    assert_int_equal(change_state(r, id, 0, 1, RCPT_DROPPED, false).code, OK);
    assert_int_equal(change_state(r, id, 0, 1, RCPT_DROPPED, false).code, ERR_STALE);
    assert_int_equal(change_state(r, id, 1, 1, RCPT_DELIVERED, false).code, OK);
    assert_int_equal(change_state(r, id, 1, 2, RCPT_DELIVERED, false).code, ERR_NOT_FOUND);
}

static void values(struct rig *r)
{
    struct arena a = {0};
    struct str got;
    struct store_value v[2] = {{.name = STR("pause one"), .bytes = STR("until noon")},
                               {.name = STR("pause two"), .bytes = STR("")}};
    struct store_commit c = {.values = v, .value_count = 2};

    assert_int_equal(store_commit(r->store, &c, WHEN_NEVER).code, OK);
    assert_int_equal(store_value_read(r->store, v[0].name, &a, &got, WHEN_NEVER).code, OK);
    EXPECT_STR(got, "until noon");
    v[0].remove = true;
    c = (struct store_commit){.values = v, .value_count = 1};
    assert_int_equal(store_commit(r->store, &c, WHEN_NEVER).code, OK);
    assert_int_equal(store_value_read(r->store, v[0].name, &a, &got, WHEN_NEVER).code,
                     ERR_NOT_FOUND);
    assert_int_equal(store_value_read(r->store, v[1].name, &a, &got, WHEN_NEVER).code, OK);
    arena_done(&a);
}

static void a_body_given_up(struct rig *r)
{
    struct store_body *b = store_body_open(r->store);
    static char bytes[200000];

    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(store_body_add(b, str_make(bytes, sizeof bytes), WHEN_NEVER).code, OK);
    store_body_abandon(b);
    assert_int_equal(store_counts(r->store).live_messages, 0);
}

static void in_a_folder_of_its_own(void (*fn)(struct rig *))
{
    char root[] = "/tmp/postyard-store-XXXXXX", command[64];
    struct rig r = {.options = rig_options(), .fn = fn};

    assert_non_null(mkdtemp(root));
    r.folder = str_of(root);
    rig_run_real(&r);
    assert_int_equal(r.opened.code, OK);
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

static void changes_are_compared_before_they_are_set(void **state)
{
    (void)state;
    in_a_folder_of_its_own(wrong_changes);
}

static void small_values_are_kept_and_removed(void **state)
{
    (void)state;
    in_a_folder_of_its_own(values);
}

static void a_body_that_is_given_up_is_garbage(void **state)
{
    (void)state;
    in_a_folder_of_its_own(a_body_given_up);
}

static void second_server(struct rig *r)
{
    struct rig *second = r->arg;
    struct disk *d;

    assert_int_equal(store_ready(r->store, WHEN_NEVER).code, OK);
    assert_int_equal(disk_open(disk_path(r->disk), &d, WHEN_NEVER).code, OK);
    second->store = store_new(r->user_loop, d, &r->options);
    store_serve(second->store, &second->opened, &second->why);
    store_free(second->store);
    disk_close(d);
}

static void a_second_server_names_the_holder(void **state)
{
    char root[] = "/tmp/postyard-store-XXXXXX", command[64];
    struct rig second = {0};
    struct rig r = {.options = rig_options(), .fn = second_server, .arg = &second};

    (void)state;
    assert_non_null(mkdtemp(root));
    r.folder = str_of(root);
    rig_run_real(&r);
    assert_int_equal(second.opened.code, ERR_BUSY);
    assert_true(str_find_str(buf_str(&second.why), STR("lock is held by postyard, process ")) !=
                STR_NONE);
    buf_done(&second.why);
    snprintf(command, sizeof command, "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_accepted_is_there_after_a_restart),
        cmocka_unit_test(changes_are_compared_before_they_are_set),
        cmocka_unit_test(small_values_are_kept_and_removed),
        cmocka_unit_test(a_body_that_is_given_up_is_garbage),
        cmocka_unit_test(a_second_server_names_the_holder),
    };
    char command[96];
    int failed;

    snprintf(folder, sizeof folder, "/tmp/postyard-store-XXXXXX");
    must(mkdtemp(folder) != NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) != 0 ? 1 : failed;
}
