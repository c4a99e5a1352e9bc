#include "../unit.h"
#include "base/check.h"
#include "doc/doc.h"

static const struct doc_limits wide = {
    .bytes_max = 1 << 16, .nodes_max = 10000, .depth_max = 64, .key_bytes_max = 1000};

static struct doc read(const char *json, struct arena *a)
{
    struct buf why BUF_LOCAL = {0};
    struct doc d;

    assert_int_equal(doc_read_json(str_of(json), &wide, a, &d, &why).code, OK);
    return d;
}

static void values_are_equal_as_a_patch_compares_them(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_equal;
    } rows[] = {
        {"1", "1.0", true},
        {"1", "1.5", false},
        {"0", "-0.0", true},
        {"1", "\"1\"", false},
        {"0", "false", false},
        {"null", "false", false},
        {"null", "null", true},
        {"true", "true", true},
        {"true", "false", false},
        {"\"a\"", "\"\\u0061\"", true},
        {"\"a\"", "\"A\"", false},
        {"[1,2]", "[1,2]", true},
        {"[1,2]", "[2,1]", false},
        {"[1]", "[1,1]", false},
        {"[]", "{}", false},
        {"{\"a\":1,\"b\":[2]}", "{\"b\":[2],\"a\":1}", true},
        {"{\"a\":1,\"b\":2}", "{\"b\":1,\"a\":2}", false},
        {"{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":2}", false},
        {"{\"a\":1}", "{\"a\":1,\"b\":2}", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena ARENA_LOCAL = {0};
        struct doc a = read(rows[i].a, &arena), b = read(rows[i].b, &arena);

        assert_int_equal(doc_equal(&a, &b), rows[i].is_equal);
        assert_int_equal(doc_equal(&b, &a), rows[i].is_equal);
    }
}

static void members_are_found_by_key_and_only_in_objects(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct doc d = read("{\"a\":{\"b\":[7]},\"ab\":null}", &a);
    const struct doc *list = doc_get(doc_get(&d, "a"), "b");

    (void)state;
    assert_non_null(list);
    assert_int_equal(list->members[0].value.number, 7);
    assert_null(doc_get(list, "b"));
    assert_null(doc_get(&d, "b"));
    assert_null(doc_get(NULL, "b"));
    assert_int_equal(doc_at(&d, STR("ab"))->kind, DOC_NULL);
}

static void trees_are_made_and_changed_in_place(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf out BUF_LOCAL = {0};
    struct doc d = doc_object(), copy, *list;

    (void)state;
    doc_put(&d, &a, STR("one"), doc_int(1));
    list = doc_put(&d, &a, STR("list"), doc_list());
    for (int i = 0; i < 9; i++) {
        doc_insert(list, &a, 0, doc_int(i));
    }
    list->members[3].value.tag = 42;
    doc_insert(list, &a, list->count, doc_text(STR("end")));
    doc_insert(list, &a, 4, doc_bool(true));
    doc_remove(list, 0);
    copy = doc_copy(&d, &a);
    doc_put(&d, &a, STR("one"), doc_null());
    doc_remove(list, list->count - 1);
    doc_remove(&d, 1);
    doc_write_json(&out, &d);
    EXPECT_STR(buf_str(&out), "{\"one\":null}");
    buf_clear(&out);
    doc_write_json(&out, &copy);
    EXPECT_STR(buf_str(&out), "{\"one\":1,\"list\":[7,6,5,true,4,3,2,1,0,\"end\"]}");
    assert_int_equal(doc_get(&copy, "list")->members[2].value.tag, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_equal_as_a_patch_compares_them),
        cmocka_unit_test(members_are_found_by_key_and_only_in_objects),
        cmocka_unit_test(trees_are_made_and_changed_in_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
