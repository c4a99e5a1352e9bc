#include "../unit.h"
/* the order matters: cmocka first */
#include "base/check.h"
#include "rig.h"
#include "store/offline.h"

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

struct reading {
    struct store_found found;
    struct err result;
    struct buf why;
    uint32_t lines;
    bool dumps;
};

static void count_line(void *ctx, struct str text)
{
    struct reading *k = ctx;

    k->lines++;
    assert_true(text.len > 0);
}

static void read_offline(void *arg)
{
    struct reading *k = arg;
    struct store_lines out = {count_line, k};
    struct disk *d;

    assert_int_equal(disk_open(str_of(folder), &d, WHEN_NEVER).code, OK);
    k->result = k->dumps ? store_dump(d, 0, out, &k->why, WHEN_NEVER)
                         : store_check(d, out, &k->found, &k->why, WHEN_NEVER);
    disk_close(d);
}

/* Changes bytes of the newest, or the oldest, segment. */
static void scribble(bool newest, long offset, const char *bytes, size_t len)
{
    char command[160], name[128] = "";
    FILE *f;

    snprintf(command, sizeof command, "ls %s/log-* | %s -n 1", folder, newest ? "tail" : "head");
    f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(name, sizeof name, f));
    assert_int_equal(pclose(f), 0);
    name[strcspn(name, "\n")] = 0;
    f = fopen(name, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void it_is_read_offline_and_damage_is_said(void **state)
{
    static char junk[50000];
    struct reading check = {0}, dump = {.dumps = true}, again = {0};

    (void)state;
    run_alone("check", read_offline, &check);
    assert_int_equal(check.result.code, OK);
    assert_int_equal(check.found.messages, MANY / 2);
    assert_int_equal(check.found.damaged, 0);
    assert_int_equal(check.lines, 0);
    run_alone("dump", read_offline, &dump);
    assert_int_equal(dump.lines, MANY / 2);
    memset(junk, 'x', sizeof junk);
    scribble(false, 8192, junk, sizeof junk);
    run_alone("check", read_offline, &again);
    assert_int_equal(again.result.code, OK);
    assert_true(again.found.damaged > 0);
    assert_int_equal(again.lines, again.found.damaged);
}

static void nobody(struct rig *r)
{
    (void)r;
    fail(); /* it must not open */
}

static void a_newer_version_is_refused_with_its_file(void **state)
{
    struct rig r = {.folder = str_of(folder), .options = rig_options(), .fn = nobody};
    struct reading check = {0};

    (void)state;
    scribble(true, 8, "\x63", 1);  /* format 99 */
    scribble(true, 16, "????", 4); /* in which the frame looks different */
    run_alone("check", read_offline, &check);
    assert_int_equal(check.result.code, ERR_VERSION);
    assert_true(str_find_str(buf_str(&check.why), STR("newer version")) != STR_NONE);
    buf_done(&check.why);
    rig_run_real(&r);
    assert_int_equal(r.opened.code, ERR_VERSION);
}

static void many_results(struct rig *r)
{
    uint64_t id = store_new_id(r->store);
    struct parcel *p = make_parcel(id, 30, 500), *back;
    struct when until = when_after(20000);
    uint64_t copied = 0;

    assert_int_equal(accept_parcel(r, p).code, OK);
    parcel_drop(p);
    for (uint32_t i = 0; i < 30; i++) {
        assert_int_equal(change_state(r, id, i, 1, RCPT_WAITING, false).code, OK);
    }
    /* The first reader finds thirty places; whoever comes after the keeper finds one. */
    while (copied == 0 && clock_now().ns < until.ns) {
        assert_int_equal(store_fetch(r->store, id, &back, WHEN_NEVER).code, OK);
        parcel_drop(back);
        copied = store_counts(r->store).bytes_copied;
        (void)fiber_sleep(when_after(1), WHEN_NEVER);
    }
    assert_true(copied > 0);
    assert_int_equal(store_fetch(r->store, id, &back, WHEN_NEVER).code, OK);
    for (uint32_t i = 0; i < 30; i++) {
        assert_int_equal(back->message.to[i].state.version, 2);
    }
    parcel_drop(back);
    assert_int_equal(change_state(r, id, 7, 2, RCPT_WAITING, false).code, OK);
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

static void scattered_states_are_brought_together(void **state)
{
    (void)state;
    in_a_folder_of_its_own(many_results);
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

struct tiny {
    struct sim_disk *disk;
    uint64_t id;
    enum store_room room;
    int64_t waited_ms;
};

static void accept_little(struct rig *r)
{
    struct tiny *t = r->arg;
    struct parcel *p;

    t->id = store_new_id(r->store);
    p = make_parcel(t->id, 1, 500);
    assert_int_equal(accept_parcel(r, p).code, OK);
    parcel_drop(p);
}

/* As after flushes that failed: no spare is left, and next to no room to make one. */
static void take_the_reserve_away(struct rig *r)
{
    struct tiny *t = r->arg;
    struct sim_disk_weather full = {.capacity_bytes = RIG_SEGMENT / 2};
    struct arena a ARENA_LOCAL = {0};
    struct str *names;
    size_t count;
    uint64_t bytes = 0;

    assert_int_equal(disk_list(r->disk, &a, &names, &count, WHEN_NEVER).code, OK);
    for (size_t i = 0; i < count; i++) {
        if (str_starts(names[i], STR("spare"))) {
            assert_int_equal(disk_unlink(r->disk, names[i], WHEN_NEVER).code, OK);
        } else {
            struct disk_file *f;
            uint64_t size;

            assert_int_equal(disk_file_open(r->disk, names[i], DISK_READ, &f, WHEN_NEVER).code, OK);
            assert_int_equal(disk_size(f, &size, WHEN_NEVER).code, OK);
            disk_file_close(f);
            bytes += size;
        }
    }
    assert_int_equal(disk_sync_folder(r->disk, WHEN_NEVER).code, OK);
    full.capacity_bytes += bytes;
    sim_disk_set(t->disk, &full);
}

static void deliver_the_little(struct rig *r)
{
    struct tiny *t = r->arg;
    struct when begun = clock_now();
    struct parcel *p = NULL;

    t->room = store_room(r->store);
    assert_int_equal(store_fetch(r->store, t->id, &p, WHEN_NEVER).code, OK);
    parcel_drop(p);
    assert_int_equal(change_state(r, t->id, 0, 1, RCPT_DELIVERED, false).code, OK);
    /* Whoever has made room waits no longer than a second. */
    sim_disk_set(t->disk, NULL);
    while (store_room(r->store) != STORE_ROOM && clock_now().ns - begun.ns < 60 * NS_PER_S) {
        assert_int_equal(fiber_sleep(when_after(100), WHEN_NEVER).code, OK);
    }
    t->waited_ms = (clock_now().ns - begun.ns) / NS_PER_MS;
}

static void reserve_fiber(void *arg)
{
    take_the_reserve_away(arg);
}

static void on_tiny_disk(struct rig *r, void (*fn)(struct rig *), bool with_store)
{
    struct tiny *t = r->arg;
    struct world *w = sim_world(NULL);

    sim_disk_attach(t->disk, w);
    r->disk = sim_disk_mount(t->disk, w);
    r->fn = fn;
    if (with_store) {
        rig_run(r, w);
    } else {
        loop_main(world_loop(w, "user"), reserve_fiber, r);
        world_run(w);
    }
    disk_close(r->disk);
    world_free(w);
}

static void a_full_disk_without_reserve_starts_and_lets_mail_out(void **state)
{
    struct tiny t = {.disk = sim_disk_new("/tiny", 7)};
    struct rig r = {.options = rig_options(), .arg = &t};

    (void)state;
    r.options.min_free_bytes = 4096;
    on_tiny_disk(&r, accept_little, true);
    assert_int_equal(r.opened.code, OK);
    on_tiny_disk(&r, NULL, false);
    on_tiny_disk(&r, deliver_the_little, true);
    if (r.opened.code != OK) {
        print_error("%.*s\n", STR_ARG(buf_str(&r.why)));
    }
    assert_int_equal(r.opened.code, OK);
    assert_int_not_equal(t.room, STORE_ROOM);
    assert_true(t.waited_ms <= 1500);
    buf_done(&r.why);
    sim_disk_free(t.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_accepted_is_there_after_a_restart),
        cmocka_unit_test(a_full_disk_without_reserve_starts_and_lets_mail_out),
        cmocka_unit_test(it_is_read_offline_and_damage_is_said),
        cmocka_unit_test(a_newer_version_is_refused_with_its_file),
        cmocka_unit_test(changes_are_compared_before_they_are_set),
        cmocka_unit_test(scattered_states_are_brought_together),
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
