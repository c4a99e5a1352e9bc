#include "../unit.h"
#include "lookup/answer.h"
#include "lookup/cache.h"

static void put(struct cache *c, const char *key, const char *value, int64_t until_ns)
{
    struct arena a ARENA_LOCAL = {0};
    struct lookup_answer n = {.why = STR_EMPTY};

    answer_one(&a, &n, cell_text(str_of(value)));
    cache_put(c, str_of(key), &n, (struct when){until_ns});
}

static bool has(struct cache *c, const char *key, int64_t now_ns)
{
    return cache_get(c, str_of(key), (struct when){now_ns}) != NULL;
}

static void an_answer_is_kept_for_its_time(void **state)
{
    struct cache c;

    cache_init(&c, 10, 100000);
    put(&c, "a", "1", 100);
    assert_true(has(&c, "a", 99));
    EXPECT_STR(cache_get(&c, STR("a"), (struct when){99})->cells[0].text, "1");
    put(&c, "a", "2", 200);
    EXPECT_STR(cache_get(&c, STR("a"), (struct when){150})->cells[0].text, "2");
    assert_false(has(&c, "a", 200));
    assert_int_equal(c.map.count, 0);
    put(&c, "b", "1", 100);
    cache_forget(&c, STR("b"));
    cache_forget(&c, STR("never there"));
    assert_false(has(&c, "b", 1));
    assert_int_equal(c.bytes, 0);
    cache_done(&c);
    (void)state;
}

static void the_longest_unused_goes_first(void **state)
{
    struct cache c;

    cache_init(&c, 3, 100000);
    put(&c, "a", "1", 100);
    put(&c, "b", "1", 100);
    put(&c, "c", "1", 100);
    assert_true(has(&c, "a", 1));
    put(&c, "d", "1", 100);
    assert_true(has(&c, "a", 1));
    assert_false(has(&c, "b", 1));
    assert_true(has(&c, "c", 1));
    assert_true(has(&c, "d", 1));
    cache_done(&c);
    (void)state;
}

static void bytes_are_bounded_too(void **state)
{
    char big[2000];
    struct cache c;

    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    cache_init(&c, 1000, 6000);
    put(&c, "a", big, 100);
    put(&c, "b", big, 100);
    put(&c, "c", big, 100);
    assert_in_range(c.bytes, 2000, 6000);
    assert_false(has(&c, "a", 1));
    assert_true(has(&c, "c", 1));
    cache_done(&c);

    cache_init(&c, 1000, 1000);
    put(&c, "a", big, 100); /* more than all there is */
    assert_false(has(&c, "a", 1));
    assert_int_equal(c.bytes, 0);
    cache_done(&c);
    (void)state;
}

static struct str key_of(struct arena *a, enum lookup_verb verb, const char *key, const char *value)
{
    struct lookup_question q = {.verb = verb, .key = str_of(key), .value = str_of(value)};

    return question_key(a, &q);
}

static void questions_that_differ_have_keys_that_differ(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct lookup_cell one = cell_text(STR("1")), number = cell_int(1), real = cell_real(1);
    struct lookup_question q = {.verb = LOOKUP_SQL, .key = STR("s"), .value = STR_EMPTY};
    struct str text_key, int_key;

    assert_true(str_eq(key_of(&a, LOOKUP_GET, "k", ""), key_of(&a, LOOKUP_GET, "k", "")));
    assert_false(str_eq(key_of(&a, LOOKUP_GET, "k", ""), key_of(&a, LOOKUP_EXISTS, "k", "")));
    assert_false(str_eq(key_of(&a, LOOKUP_SET, "k", "1:v"), key_of(&a, LOOKUP_SET, "k1:v", "")));
    q.arg_count = 1;
    q.args = &one;
    text_key = question_key(&a, &q);
    q.args = &number;
    int_key = question_key(&a, &q);
    assert_false(str_eq(text_key, int_key));
    q.args = &real;
    assert_false(str_eq(int_key, question_key(&a, &q)));
    (void)state;
}

static void only_what_reads_is_asked_once_for_many(void **state)
{
    static const struct {
        enum lookup_verb verb;
        const char *key;
        bool reads, kept;
    } cases[] = {
        {LOOKUP_GET, "k", true, true},
        {LOOKUP_EXISTS, "k", true, true},
        {LOOKUP_SET, "k", false, false},
        {LOOKUP_COUNTER, "k", true, false},
        {LOOKUP_COUNTER_INCR, "k", false, false},
        {LOOKUP_SQL, "  select 1", true, true},
        {LOOKUP_SQL, "SELECT 1", true, true},
        {LOOKUP_SQL, "INSERT INTO t VALUES (1)", false, false},
        {LOOKUP_SQL, "WITH x AS (DELETE FROM t) SELECT 1", false, false},
        {LOOKUP_SQL, "selection", false, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lookup_question q = {.verb = cases[i].verb, .key = str_of(cases[i].key)};

        assert_int_equal(question_only_reads(&q), cases[i].reads);
        assert_int_equal(question_is_kept(&q), cases[i].kept);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_kept_for_its_time),
        cmocka_unit_test(the_longest_unused_goes_first),
        cmocka_unit_test(bytes_are_bounded_too),
        cmocka_unit_test(questions_that_differ_have_keys_that_differ),
        cmocka_unit_test(only_what_reads_is_asked_once_for_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
