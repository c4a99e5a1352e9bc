#include "../unit.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/crc.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/places.h"
#include "base/slab.h"

/* A small generator, so that the sequence is the same on every machine. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void a_map_agrees_with_an_array(void **state)
{
    enum { KEYS = 500, STEPS = 20000 };
    static int values[KEYS];
    bool in[KEYS] = {false};
    struct map m = {.seed = 7};
    uint32_t seed = 1;
    size_t count = 0, at = 0, seen = 0;

    for (int step = 0; step < STEPS; step++) {
        uint32_t key = next_random(&seed) % KEYS;

        if (next_random(&seed) % 2) {
            count += !in[key];
            in[key] = true;
            map_put_num(&m, key, &values[key]);
        } else {
            count -= in[key];
            assert_ptr_equal(map_take_num(&m, key), in[key] ? &values[key] : NULL);
            in[key] = false;
        }
        assert_int_equal(m.count, count);
    }
    for (uint32_t key = 0; key < KEYS; key++) {
        assert_ptr_equal(map_get_num(&m, key), in[key] ? &values[key] : NULL);
    }
    while (map_each(&m, &at) != NULL) {
        seen++;
    }
    assert_int_equal(seen, count);
    map_done(&m);

    map_put(&m, STR("a"), &values[0]);
    map_put(&m, STR(""), &values[1]);
    assert_ptr_equal(map_get(&m, STR("a")), &values[0]);
    assert_ptr_equal(map_get(&m, STR("")), &values[1]);
    assert_null(map_get(&m, STR("b")));
    map_done(&m);
    (void)state;
}

struct numbered {
    uint64_t number;
};

static uint64_t poor_spread;

static uint64_t poor_hash(uint64_t number, uint64_t spread)
{
    return places_mix(number % spread, 0);
}

static uint64_t poor_hash_of(const void *thing)
{
    return poor_hash(((const struct numbered *)thing)->number, poor_spread);
}

static bool is_number(const void *thing, const void *key)
{
    return ((const struct numbered *)thing)->number == *(const uint64_t *)key;
}

/* With few values of the hash things stand far from where they would. */
static void check_places(uint64_t spread)
{
    enum { KEYS = 3000, STEPS = 20000 };
    static const struct places_keys kind = {is_number, poor_hash_of};
    static struct numbered things[KEYS], others[KEYS];
    static struct numbered *in[KEYS];
    struct places t = {0};
    uint32_t seed = 1;
    size_t count = 0, seen = 0;

    poor_spread = spread;
    memset(in, 0, sizeof in);
    for (uint64_t key = 0; key < KEYS; key++) {
        things[key].number = others[key].number = key;
    }
    for (int step = 0; step < STEPS; step++) {
        uint64_t key = next_random(&seed) % KEYS;
        struct numbered *n = next_random(&seed) % 2 ? &things[key] : &others[key];

        if (next_random(&seed) % 2) {
            count += in[key] == NULL;
            in[key] = n;
            places_put(&t, &kind, poor_hash(key, spread), &key, n);
        } else {
            count -= in[key] != NULL;
            assert_ptr_equal(places_take(&t, &kind, poor_hash(key, spread), &key), in[key]);
            in[key] = NULL;
        }
        assert_int_equal(t.count, count);
    }
    for (uint64_t key = 0; key < KEYS; key++) {
        assert_ptr_equal(places_get(&t, &kind, poor_hash(key, spread), &key), in[key]);
    }
    for (size_t at = 0; places_any(&t, &at) != NULL; at++) {
        seen++;
    }
    assert_int_equal(seen, count);
    places_done(&t);
}

static void places_agree_with_an_array(void **state)
{
    check_places(1);
    check_places(2);
    check_places(97);
    check_places(100000);
    (void)state;
}

static void a_heap_gives_the_least_first_and_equals_in_order(void **state)
{
    enum { NODES = 1000 };
    static struct heap_node nodes[NODES];
    static uint64_t put_as[NODES];
    struct heap h = {0};
    uint32_t seed = 3;
    int64_t last = INT64_MIN;
    uint64_t last_put = 0, puts = 0;
    uint32_t left = NODES;

    assert_int_equal(heap_least_key(&h), INT64_MAX);
    for (int i = 0; i < NODES; i++) {
        put_as[i] = ++puts;
        heap_put(&h, &nodes[i], next_random(&seed) % 50);
    }
    for (int i = 0; i < NODES; i += 7) {
        put_as[i] = ++puts;
        heap_put(&h, &nodes[i], next_random(&seed) % 50);
    }
    for (int i = 0; i < NODES; i += 3) {
        heap_remove(&h, &nodes[i]);
        heap_remove(&h, &nodes[i]);
        left--;
    }
    assert_int_equal(h.count, left);
    while (heap_least(&h) != NULL) {
        struct heap_node *n = heap_least(&h);
        int64_t key = heap_key(&h, n);
        uint64_t put = put_as[n - nodes];

        assert_int_equal(key, heap_least_key(&h));
        assert_null(heap_due(&h, key - 1));
        assert_ptr_equal(heap_due(&h, key), n);
        assert_true(key > last || (key == last && put > last_put));
        last = key;
        last_put = put;
        heap_remove(&h, n);
    }
    heap_done(&h);
    (void)state;
}

static void a_buf_fails_once_and_stays_failed(void **state)
{
    struct buf b = {.max = 5};

    buf_put(&b, STR("abc"));
    buf_put(&b, STR("def"));
    assert_true(b.failed);
    buf_put(&b, STR("x"));
    EXPECT_STR(buf_str(&b), "abc");
    buf_clear(&b);
    buf_printf(&b, "%d", 42);
    EXPECT_STR(buf_str(&b), "42");
    buf_byte(&b, '!');
    buf_num(&b, -5);
    assert_false(b.failed);
    EXPECT_STR(buf_str(&b), "42!-5");
    buf_byte(&b, '.');
    assert_true(b.failed);
    buf_done(&b);
    (void)state;
}

static void an_arena_keeps_what_it_gave(void **state)
{
    struct arena a = {0};
    struct str one = arena_dup(&a, STR("one"));

    for (int i = 0; i < 1000; i++) {
        char *bytes = arena_alloc(&a, (size_t)i);

        for (int k = 0; k < i; k++) {
            assert_int_equal(bytes[k], 0);
            bytes[k] = 'x';
        }
    }
    EXPECT_STR(one, "one");
    EXPECT_STR(arena_printf(&a, "%s-%d", "n", 5), "n-5");
    arena_reset(&a);
    assert_int_equal(a.held, 0);
    arena_done(&a);
    (void)state;
}

static void crc_is_the_published_one(void **state)
{
    char zeros[32] = {0};

    /* RFC 3720 appendix B.4, and the usual check value. */
    assert_int_equal(crc32c(0, str_make(zeros, 32)), 0x8a9136aa);
    assert_int_equal(crc32c(0, STR("123456789")), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, STR("1234")), STR("56789")), 0xe3069283);
    (void)state;
}

struct thing {
    int n;
    struct link link;
};

static void a_list_keeps_order(void **state)
{
    struct list l;
    struct thing things[3] = {{.n = 0}, {.n = 1}, {.n = 2}};
    int want = 0;

    list_init(&l);
    assert_null(list_pop(&l));
    for (int i = 0; i < 3; i++) {
        list_push(&l, &things[i].link);
    }
    LIST_EACH (&l, k) {
        assert_int_equal(CONTAINER_OF(k, struct thing, link)->n, want++);
    }
    list_remove(&things[1].link);
    list_remove(&things[1].link);
    assert_ptr_equal(list_pop(&l), &things[0].link);
    assert_ptr_equal(list_pop(&l), &things[2].link);
    assert_true(list_is_empty(&l));
    (void)state;
}

static void a_buf_writes_numbers_as_printf_does(void **state)
{
    static const int64_t numbers[] = {0, 9, 10, -1, 1234567890, INT64_MAX, INT64_MIN};
    char want[64];

    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct buf b = {0};

        buf_num(&b, numbers[i]);
        buf_hex16(&b, (uint64_t)numbers[i]);
        buf_printf(&b, "%c%s", 'x', ""); /* into room that is there */
        snprintf(want, sizeof want, "%lld%016llxx", (long long)numbers[i],
                 (unsigned long long)numbers[i]);
        EXPECT_STR(buf_str(&b), want);
        buf_done(&b);
    }
    (void)state;
}

static void a_buf_grows_for_what_is_printed(void **state)
{
    struct buf b = {0};
    char want[2001] = {0};

    for (int i = 0; i < 1000; i++) {
        buf_printf(&b, "%d.", i % 10);
        want[2 * i] = (char)('0' + i % 10);
        want[2 * i + 1] = '.';
    }
    EXPECT_STR(buf_str(&b), want);
    buf_done(&b);
    (void)state;
}

/* Many times as many as a block holds, coming and going in any order. */
static void a_slab_gives_each_its_own_zeroed_place(void **state)
{
    enum { THINGS = 5000, STEPS = 40000, BYTES = 112 };
    static unsigned char *things[THINGS];
    struct slab s = {.item = BYTES};
    uint32_t seed = 3;

    for (int step = 0; step < STEPS; step++) {
        uint32_t at = next_random(&seed) % THINGS;

        if (things[at] == NULL) {
            things[at] = slab_take(&s);
            assert_int_equal((uintptr_t)things[at] % 8, 0);
            for (int i = 0; i < BYTES; i++) {
                assert_int_equal(things[at][i], 0);
            }
            memset(things[at], (int)(at % 251) + 1, BYTES);
        } else {
            for (int i = 0; i < BYTES; i++) {
                assert_int_equal(things[at][i], at % 251 + 1);
            }
            slab_give(&s, things[at]);
            things[at] = NULL;
        }
    }
    assert_true(s.blocks <= THINGS * BYTES / SLAB_BLOCK_BYTES + 2);
    for (int at = 0; at < THINGS; at++) {
        if (things[at] != NULL) {
            slab_give(&s, things[at]);
            things[at] = NULL;
        }
    }
    assert_true(s.blocks <= 1);
    slab_done(&s);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slab_gives_each_its_own_zeroed_place),
        cmocka_unit_test(a_map_agrees_with_an_array),
        cmocka_unit_test(places_agree_with_an_array),
        cmocka_unit_test(a_heap_gives_the_least_first_and_equals_in_order),
        cmocka_unit_test(a_buf_fails_once_and_stays_failed),
        cmocka_unit_test(a_buf_writes_numbers_as_printf_does),
        cmocka_unit_test(a_buf_grows_for_what_is_printed),
        cmocka_unit_test(an_arena_keeps_what_it_gave),
        cmocka_unit_test(crc_is_the_published_one),
        cmocka_unit_test(a_list_keeps_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
