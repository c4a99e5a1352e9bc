#include "../unit.h"
#include "base/mem.h"
#include "queue/chains.h"
#include "queue/job.h"

enum { MANY = 3000 };

/* Ids as they are given: a run of neighbours, and then jumps. */
static uint64_t id_of(unsigned i)
{
    return 0x019a000000000000u + (i < MANY / 2 ? i : (uint64_t)i << 22);
}

static void what_was_put_is_found_until_it_is_taken(void **state)
{
    struct job *jobs = mem_array(MANY, sizeof *jobs);
    struct chains c = {0};

    (void)state;
    assert_null(chains_get(&c, id_of(0)));
    for (unsigned i = 0; i < MANY; i++) {
        jobs[i].message = id_of(i);
        chains_put(&c, &jobs[i]);
    }
    /* Every third goes: its neighbours must stay reachable over the gaps. */
    for (unsigned i = 0; i < MANY; i += 3) {
        chains_take(&c, id_of(i));
    }
    for (unsigned i = 0; i < MANY; i++) {
        assert_ptr_equal(chains_get(&c, id_of(i)), i % 3 == 0 ? NULL : &jobs[i]);
    }
    assert_int_equal(c.table.count, MANY - MANY / 3);
    chains_done(&c);
    mem_free(jobs);
}

static void another_first_takes_the_place(void **state)
{
    struct job one = {.message = 7}, two = {.message = 7};
    struct chains c = {0};

    (void)state;
    chains_put(&c, &one);
    chains_put(&c, &two);
    assert_int_equal(c.table.count, 1);
    assert_ptr_equal(chains_get(&c, 7), &two);
    chains_done(&c);
}

/* As queue_free does. */
static void one_walk_takes_all(void **state)
{
    struct job *jobs = mem_array(MANY, sizeof *jobs), *j;
    struct chains c = {0};
    size_t at = 0;

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        jobs[i].message = id_of(i);
        chains_put(&c, &jobs[i]);
    }
    while ((j = chains_any(&c, &at)) != NULL) {
        chains_take(&c, j->message);
    }
    assert_int_equal(c.table.count, 0);
    chains_done(&c);
    mem_free(jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found_until_it_is_taken),
        cmocka_unit_test(another_first_takes_the_place),
        cmocka_unit_test(one_walk_takes_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
