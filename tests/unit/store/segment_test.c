#include "../unit.h"
#include "base/check.h"
#include "store/segment.h"

static void a_segment_is_recycled_only_when_dead_and_covered(void **state)
{
    static const struct {
        struct segment g;
        uint32_t covered;
        bool may;
    } cases[] = {
        {{.generation = 3, .is_sealed = true}, 4, true},
        {{.generation = 3, .is_sealed = true}, 3, false}, /* its results are in no checkpoint */
        {{.generation = 3, .is_sealed = false}, 4, false},
        {{.generation = 3, .is_sealed = true, .refs = 1}, 4, false},
        {{.generation = 3, .is_sealed = true, .pins = 1}, 4, false},
        {{.generation = 3, .is_sealed = true, .readers = 1}, 4, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(segment_may_be_recycled(&cases[i].g, cases[i].covered), cases[i].may);
    }
}

/* A book of sealed segments with these live bytes, from generation 1 on. */
static struct segments book(const uint64_t *live, uint32_t count)
{
    struct segments all = {0};

    for (uint32_t i = 0; i < count; i++) {
        struct segment *g = segments_add(&all, i + 1);

        g->is_sealed = true;
        if (live[i] > 0) {
            segments_ref(&all, i + 1, (uint32_t)live[i]);
        }
    }
    return all;
}

static void survivors_move_only_where_it_pays(void **state)
{
    static const struct {
        uint64_t live[8];
        uint32_t covered;
        uint64_t credit;
        uint32_t wanted; /* 0: none */
    } cases[] = {
        {{60, 50, 10, 40, 90, 20, 5, 70}, 9, 1000, 7}, /* the emptiest */
        {{60, 50, 10, 40, 90, 20, 5, 70}, 7, 1000, 3}, /* of those a checkpoint covers */
        {{60, 50, 10, 40, 90, 20, 5, 70}, 9, 4, 0},    /* nothing was accepted in return */
        {{90, 90, 90, 90, 90, 90, 5, 90}, 9, 1000, 0}, /* the disk is well used */
        {{60, 60, 60, 0, 0, 0, 0, 0}, 9, 1000, 0},     /* more than half of it lives */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct segments all = book(cases[i].live, 8);
        const struct segment *g = segments_to_move(&all, 100, cases[i].covered, cases[i].credit);

        assert_int_equal(g ? g->generation : 0, cases[i].wanted);
        segments_done(&all);
    }
}

static void the_account_of_what_lives_adds_up(void **state)
{
    struct segments all = {0};
    const struct segment *g = segments_add(&all, 5);

    (void)state;
    segments_ref(&all, 5, 100);
    segments_ref(&all, 5, 50);
    segments_ref(&all, 6, 50); /* not in the book */
    assert_int_equal(g->refs, 2);
    assert_int_equal(g->live_bytes, 150);
    segments_unref(&all, 5, 100);
    segments_unref(&all, 0, 7); /* no place */
    assert_int_equal(g->live_bytes, 50);
    assert_ptr_equal(segments_find(&all, 5), g);
    assert_null(segments_find(&all, 6));
    segments_done(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_is_recycled_only_when_dead_and_covered),
        cmocka_unit_test(survivors_move_only_where_it_pays),
        cmocka_unit_test(the_account_of_what_lives_adds_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
