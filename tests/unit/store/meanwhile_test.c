/* What happens to the store while one of its own waits for the disk. */
#include "../unit.h"
/* the order matters: cmocka first */
#include "base/check.h"
#include "rig.h"
#include "store/log.h"

/* ---- a walk that reads ahead, and changes that come while it waits ---- */

enum { WALKED = 5, WALKED_BYTES = 40 * 1024 };

struct walked {
    struct rig *rig;
    uint64_t ids[WALKED];
    uint32_t count;
    bool over;
};

static void walk_over_all(void *arg)
{
    struct walked *k = arg;
    struct arena a ARENA_LOCAL = {0};
    struct message *m;

    assert_int_equal(store_walk(k->rig->store, 0, 50, &a, &m, &k->count, WHEN_NEVER).code, OK);
    k->over = true;
}

/* The state of the first is near the end of the log, so that reading it reads what is not written
 * yet. The last one's comes to lie just there. */
static void change_what_is_walked(struct rig *r)
{
    struct walked *k = r->arg;
    struct group g;
    uint32_t version = 1;

    k->rig = r;
    for (int i = 0; i < WALKED; i++) {
        struct parcel *p;

        k->ids[i] = store_new_id(r->store);
        p = make_parcel(k->ids[i], 1, WALKED_BYTES);
        assert_int_equal(accept_parcel(r, p).code, OK);
        parcel_drop(p);
    }
    assert_int_equal(change_state(r, k->ids[0], 0, 1, RCPT_WAITING, false).code, OK);
    group_init(&g, "walk", 1);
    assert_int_equal(group_spawn(&g, "walk", walk_over_all, k, WHEN_NEVER).code, OK);
    while (!k->over) {
        assert_int_equal(change_state(r, k->ids[WALKED - 1], 0, version, RCPT_WAITING, false).code,
                         OK);
        version++;
    }
    group_join(&g, WHEN_NEVER);
    assert_int_not_equal(version, 1);
    assert_int_equal(k->count, WALKED);
    assert_int_equal(store_counts(r->store).damaged, 0);
}

/* In a world of its own; frees the disk. */
static void on_simulated_disk(struct sim_disk *disk, void (*fn)(struct rig *), void *arg)
{
    struct world *w = sim_world(NULL);
    struct rig r = {.options = rig_options(), .arg = arg, .fn = fn};

    sim_disk_attach(disk, w);
    r.disk = sim_disk_mount(disk, w);
    rig_run(&r, w);
    disk_close(r.disk);
    assert_int_equal(sim_end(w), SIM_OVER);
    assert_int_equal(r.opened.code, OK);
    world_free(w);
    buf_done(&r.why);
    sim_disk_free(disk);
}

static void a_walk_finds_what_changes_meanwhile(void **state)
{
    struct sim_disk *disk = sim_disk_new("/walked", 7);
    struct sim_disk_weather slow = {.read_ns = 20 * NS_PER_MS, .sync_ns = 15 * NS_PER_MS};
    struct walked k = {0};

    (void)state;
    sim_disk_set(disk, &slow);
    on_simulated_disk(disk, change_what_is_walked, &k);
    assert_true(k.over);
}

/* ---- spares that are made and won at the same time ---- */

struct spares {
    struct store *store;
    struct segment *dead;
    struct err made;
};

static void win_one(void *arg)
{
    struct spares *k = arg;

    segment_recycle(k->store, k->dead, WHEN_NEVER);
}

static void make_one(void *arg)
{
    struct spares *k = arg;

    k->made = spare_make(k->store, WHEN_NEVER);
}

/* On the store's loop: a segment is recycled and a spare made while its rename is under way. */
static struct err both(struct store *s, void *arg, struct when by)
{
    struct spares *k = arg;
    char at[NAME_BYTES];
    struct disk_file *file;
    struct group g;
    struct err e;

    k->store = s;
    k->dead = segments_add(&s->segments, s->next_generation++);
    e = disk_file_open(s->disk, name_of("log", k->dead->generation, at),
                       DISK_READ | DISK_WRITE | DISK_CREATE, &k->dead->file, by);
    assert_int_equal(e.code, OK);
    group_init(&g, "both", 2);
    assert_int_equal(group_spawn(&g, "win", win_one, k, by).code, OK);
    assert_int_equal(group_spawn(&g, "make", make_one, k, by).code, OK);
    (void)group_join(&g, by);
    assert_int_equal(k->made.code, OK);
    for (uint32_t i = 0; i < s->spare_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            assert_int_not_equal(s->spares[i].number, s->spares[j].number);
        }
        e = disk_file_open(s->disk, name_of("spare", s->spares[i].number, at), DISK_READ, &file,
                           by);
        assert_int_equal(e.code, OK);
        disk_file_close(file);
    }
    return ERR_OK;
}

static void make_and_win(struct rig *r)
{
    struct spares k = {0};

    assert_int_equal(request_wait(r->store, "both", both, &k, WHEN_NEVER).code, OK);
}

static void a_spare_that_is_made_and_one_that_is_won_have_names_of_their_own(void **state)
{
    struct sim_disk *disk = sim_disk_new("/spares", 7);
    struct sim_disk_weather slow = {.write_ns = 5 * NS_PER_MS};

    (void)state;
    sim_disk_set(disk, &slow);
    on_simulated_disk(disk, make_and_win, NULL);
}

/* ---- states in a segment that is no more ---- */

struct gone {
    uint64_t id;
    uint32_t segment; /* where they were */
};

/* On the store's loop: the states of a message get another place. */
static struct err misplace(struct store *s, void *arg, struct when by)
{
    struct gone *k = arg;
    struct slot *slot = &index_find(&s->index, k->id)->one;
    uint32_t was = slot->segment;

    (void)by;
    slot->segment = k->segment;
    k->segment = was;
    return ERR_OK;
}

static void walk_beside_a_gap(struct rig *r)
{
    struct gone k = {.segment = 4711};
    struct arena a ARENA_LOCAL = {0};
    struct parcel *p;
    struct message *m;
    uint32_t count;

    for (int i = 0; i < 3; i++) {
        uint64_t id = store_new_id(r->store);

        p = make_parcel(id, 1, 500);
        assert_int_equal(accept_parcel(r, p).code, OK);
        parcel_drop(p);
        assert_int_equal(change_state(r, id, 0, 1, RCPT_WAITING, false).code, OK);
        k.id = i == 1 ? id : k.id;
    }
    assert_int_equal(request_wait(r->store, "misplace", misplace, &k, WHEN_NEVER).code, OK);
    assert_int_equal(store_walk(r->store, 0, 50, &a, &m, &count, WHEN_NEVER).code, OK);
    assert_int_equal(count, 2);
    assert_int_equal(store_fetch(r->store, k.id, &p, WHEN_NEVER).code, ERR_CORRUPT);
    assert_int_equal(store_counts(r->store).damaged, 2); /* said by each who reads it */
    assert_int_equal(request_wait(r->store, "put back", misplace, &k, WHEN_NEVER).code, OK);
    assert_int_equal(store_fetch(r->store, k.id, &p, WHEN_NEVER).code, OK);
    parcel_drop(p);
}

static void a_message_whose_states_are_gone_is_damaged_and_the_walk_goes_on(void **state)
{
    (void)state;
    on_simulated_disk(sim_disk_new("/gap", 7), walk_beside_a_gap, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_finds_what_changes_meanwhile),
        cmocka_unit_test(a_spare_that_is_made_and_one_that_is_won_have_names_of_their_own),
        cmocka_unit_test(a_message_whose_states_are_gone_is_damaged_and_the_walk_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
