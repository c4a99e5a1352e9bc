#include "../unit.h"
#include "base/check.h"
#include "doc/pointer.h"

static const struct doc_limits limits = {10000, 500, 32, 64, false};

static struct doc read_json(struct arena *a, const char *json)
{
    struct buf why BUF_LOCAL = {0};
    struct doc d;

    assert_int_equal(doc_read_json(str_of(json), &limits, a, &d, &why).code, OK);
    return d;
}

/* The document of RFC 6901 section 5. */
static const char *const rfc =
    "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,\"i\\\\j\":5,"
    "\"k\\\"l\":6,\" \":7,\"m~n\":8}";

static void places_are_found(void **state)
{
    static const struct row {
        const char *pointer, *json; /* NULL: nothing there */
    } rows[] = {
        {"/foo", "[\"bar\",\"baz\"]"},
        {"/foo/0", "\"bar\""},
        {"/", "0"},
        {"/a~1b", "1"},
        {"/c%d", "2"},
        {"/e^f", "3"},
        {"/g|h", "4"},
        {"/i\\j", "5"},
        {"/k\"l", "6"},
        {"/ ", "7"},
        {"/m~0n", "8"},
        {"/foo/2", NULL},
        {"/foo/-", NULL},
        {"/foo/00", NULL},
        {"/foo/+1", NULL},
        {"/foo/-1", NULL},
        {"/foo/", NULL},
        {"/foo/4294967296", NULL},
        {"/foo/0/0", NULL},
        {"/bar", NULL},
        {"/a/b", NULL},
    };
    struct arena a ARENA_LOCAL = {0};
    struct doc d = read_json(&a, rfc);
    struct pointer p;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf json BUF_LOCAL = {0};
        struct doc *at;

        assert_true(pointer_parse(str_of(rows[i].pointer), &a, &p));
        at = pointer_find(&d, &p);
        if ((at == NULL) != (rows[i].json == NULL)) {
            fail_msg("%s", rows[i].pointer);
        }
        if (at != NULL) {
            doc_write_json(&json, at);
            EXPECT_STR(buf_str(&json), rows[i].json);
        }
    }
    assert_true(pointer_parse(STR(""), &a, &p));
    assert_ptr_equal(pointer_find(&d, &p), &d);
}

static void pointers_that_are_none_are_refused(void **state)
{
    static const char *const rows[] = {"a", "a/b", "#/a", "/~", "/a~", "/~2", "/a~/b", " /a"};
    struct arena a ARENA_LOCAL = {0};
    struct buf deep BUF_LOCAL = {0};
    struct pointer p;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (pointer_parse(str_of(rows[i]), &a, &p)) {
            fail_msg("%s", rows[i]);
        }
    }
    for (int i = 0; i < POINTER_TOKENS_MAX; i++) {
        buf_put(&deep, STR("/a"));
    }
    assert_true(pointer_parse(buf_str(&deep), &a, &p));
    buf_put(&deep, STR("/a"));
    assert_false(pointer_parse(buf_str(&deep), &a, &p));
}

/* PT-09: "~01" is "~1", never "/". */
static void escapes_are_read_in_one_pass(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct pointer p;

    (void)state;
    assert_true(pointer_parse(STR("/~01/~10/~0~1"), &a, &p));
    assert_int_equal(p.count, 3);
    EXPECT_STR(p.tokens[0], "~1");
    EXPECT_STR(p.tokens[1], "/0");
    EXPECT_STR(p.tokens[2], "~/");
}

static void a_prefix_is_one_of_whole_tokens(void **state)
{
    static const struct row {
        const char *p, *prefix;
        bool yes;
    } rows[] = {
        {"/envelope/to", "/envelope/to", true},
        {"/envelope/to/0/status", "/envelope/to", true},
        {"/envelope/tox", "/envelope/to", false},
        {"/envelope", "/envelope/to", false},
        {"/a", "", true},
        {"", "/a", false},
        {"/a~1b/c", "/a~1b", true},
        {"/a/b", "/a~1b", false},
    };
    struct arena a ARENA_LOCAL = {0};
    struct pointer p, prefix;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(pointer_parse(str_of(rows[i].p), &a, &p));
        assert_true(pointer_parse(str_of(rows[i].prefix), &a, &prefix));
        if (pointer_is_within(&p, &prefix) != rows[i].yes) {
            fail_msg("%s %s", rows[i].p, rows[i].prefix);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_found),
        cmocka_unit_test(pointers_that_are_none_are_refused),
        cmocka_unit_test(escapes_are_read_in_one_pass),
        cmocka_unit_test(a_prefix_is_one_of_whole_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
