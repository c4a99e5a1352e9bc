#include "../unit.h"
#include "store/index.h"

#include <stdlib.h>

static uint64_t next(uint64_t *x)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return *x >> 33;
}

static void it_agrees_with_a_plain_array(void **state)
{
    enum { IDS = 3000, STEPS = 40000 };
    static bool is_in[IDS + 1];
    struct index x = {0};
    uint64_t seed = 7, count = 0;

    (void)state;
    for (int i = 0; i < STEPS; i++) {
        uint64_t id = 1 + next(&seed) % IDS;

        if (is_in[id] && next(&seed) % 3 != 0) {
            index_remove(&x, id);
            is_in[id] = false;
            count--;
        } else if (!is_in[id] && (i < STEPS / 2 || next(&seed) % 4 == 0)) {
            struct entry *e = index_add(&x, id, (uint32_t)(1 + id % 3));

            assert_int_equal(e->id, id);
            is_in[id] = true;
            count++;
        }
        assert_int_equal(x.count, count);
        assert_int_equal(index_find(&x, id) != NULL, is_in[id]);
    }
    for (uint64_t id = 0, after = 0; id <= IDS; id++) {
        if (id > 0 && is_in[id]) {
            struct entry *e = index_after(&x, after);

            assert_non_null(e);
            assert_int_equal(e->id, id);
            after = id;
        }
    }
    index_done(&x);
}

static void rising_ids_fill_their_chunks(void **state)
{
    struct index x = {0};

    (void)state;
    for (uint64_t id = 1; id <= 100000; id++) {
        index_add(&x, id, 1);
    }
    assert_true(x.chunk_count <= 100000 / 256 + 2); /* memory for a million: the promise P7 */
    assert_null(index_after(&x, 100000));
    assert_int_equal(index_after(&x, 0)->id, 1);
    index_done(&x);
}

/* Sessions that take their ids one after the other are answered in any order. */
static void ids_that_rise_in_disorder_fill_them_nearly(void **state)
{
    enum { IDS = 100000, SESSIONS = 50 };
    uint64_t open[SESSIONS], seed = 11, id = 0, before = 0;
    struct index x = {0};

    (void)state;
    for (unsigned i = 0; i < SESSIONS; i++) {
        open[i] = ++id;
    }
    while (id < IDS) {
        uint64_t *done = &open[next(&seed) % SESSIONS];

        (void)index_add(&x, *done, 1);
        *done = ++id;
    }
    assert_in_range(x.chunk_count, x.count / 256, x.count / 256 * 11 / 10);
    for (struct entry *e = index_after(&x, 0); e != NULL; e = index_after(&x, before), x.count--) {
        assert_true(e->id > before);
        before = e->id;
    }
    assert_int_equal(x.count, 0);
    index_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_a_plain_array),
        cmocka_unit_test(rising_ids_fill_their_chunks),
        cmocka_unit_test(ids_that_rise_in_disorder_fill_them_nearly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
