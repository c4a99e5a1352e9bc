#include "../unit.h"
#include "base/check.h"
#include "doc/patch.h"

static const struct doc_limits limits = {100000, 5000, 40, 2000, false};

static struct doc read_json(struct arena *a, const char *json)
{
    struct buf why BUF_LOCAL = {0};
    struct doc d;

    if (doc_read_json(str_of(json), &limits, a, &d, &why).code != OK) {
        fail_msg("%s: %.*s", json, STR_ARG(buf_str(&why)));
    }
    return d;
}

/* Most are those of RFC 6902's appendix A. */
static const struct patch_limits small = {1000, 10000};

static void patches_are_applied_whole_or_not_at_all(void **state)
{
    static const struct row {
        const char *before, *patch, *after; /* after NULL: refused */
    } rows[] = {
        {"{\"a\":1}", "[]", "{\"a\":1}"},
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
         "{\"foo\":\"bar\",\"baz\":\"qux\"}"},
        {"{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
         "{\"foo\":[\"bar\",\"qux\",\"baz\"]}"},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":2}]", "{\"a\":2}"},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/-\",\"value\":2}]", "[1,2]"},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/1\",\"value\":2}]", "[1,2]"},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/0\",\"value\":2}]", "[2,1]"},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":2}]", NULL},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/01\",\"value\":2}]", NULL},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/-1\",\"value\":2}]", NULL},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":2}]", NULL},
        {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]", NULL},
        {"{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"/foo/bat\",\"value\":\"qux\"}]", NULL},
        {"{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":[]}]", "[]"},
        {"{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"/foo\"}]", NULL},
        {"{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"/foo\",\"value\":null}]", "{\"foo\":null}"},
        {"{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]",
         "{\"foo\":\"bar\"}"},
        {"[1,2,3]", "[{\"op\":\"remove\",\"path\":\"/1\"},{\"op\":\"remove\",\"path\":\"/1\"}]",
         "[1]"},
        {"[1]", "[{\"op\":\"remove\",\"path\":\"/-\"}]", NULL},
        {"[1]", "[{\"op\":\"remove\",\"path\":\"/1\"}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2}]", "{\"a\":2}"},
        {"{\"a\":1}",
         "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":2},"
         "{\"op\":\"replace\",\"path\":\"/b\",\"value\":2}]",
         NULL},
        {"{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
         "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
         "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}"},
        {"[1,2,3,4]", "[{\"op\":\"move\",\"from\":\"/1\",\"path\":\"/3\"}]", "[1,3,4,2]"},
        {"[1,2,3,4]", "[{\"op\":\"move\",\"from\":\"/3\",\"path\":\"/0\"}]", "[4,1,2,3]"},
        {"[1,2]", "[{\"op\":\"move\",\"from\":\"/0\",\"path\":\"/2\"}]", NULL},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]",
         "{\"a\":{\"b\":1}}"},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/x\",\"path\":\"/a\"}]", NULL},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"path\":\"/a\"}]", NULL},
        {"{\"a\":[1]}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/-\"}]", "{\"a\":[1,[1]]}"},
        {"{\"a\":[1]}", "[{\"op\":\"copy\",\"from\":\"/b\",\"path\":\"/a/-\"}]", NULL},
        {"{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
         "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},"
         "{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}]",
         "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}"},
        {"{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", NULL},
        {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]",
         "{\"/\":9,\"~1\":10}"},
        {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]", NULL},
        {"{\"a\":{\"x\":1,\"y\":2}}",
         "[{\"op\":\"test\",\"path\":\"/a\",\"value\":{\"y\":2,\"x\":1}}]",
         "{\"a\":{\"x\":1,\"y\":2}}"},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/b\",\"value\":null}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":2,\"xyz\":123}]",
         "{\"a\":1,\"b\":2}"},
        {"{\"a\":1}", "[{\"op\":\"spam\",\"path\":\"/b\",\"value\":2}]", NULL},
        {"{\"a\":1}", "[{\"path\":\"/b\",\"value\":2}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"b\",\"value\":2}]", NULL},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":1,\"value\":2}]", NULL},
        {"{\"a\":1}", "[1]", NULL},
        {"{\"a\":1}", "{\"op\":\"add\",\"path\":\"/b\",\"value\":2}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0}, json BUF_LOCAL = {0};
        struct doc before = read_json(&a, rows[i].before), raw = read_json(&a, rows[i].patch);
        struct patch patch;
        struct doc after;
        struct err e = patch_parse(&raw, 10, &a, &patch, &why);

        if (e.code == OK) {
            e = patch_apply(&patch, &before, &small, &a, &after, &why);
        }
        if ((e.code == OK) != (rows[i].after != NULL)) {
            fail_msg("%s %s: %.*s", rows[i].before, rows[i].patch, STR_ARG(buf_str(&why)));
        }
        if (e.code == OK) {
            doc_write_json(&json, &after);
            EXPECT_STR(buf_str(&json), rows[i].after);
        } else {
            assert_true(why.len > 0);
        }
        buf_clear(&json);
        doc_write_json(&json, &before); /* never touched */
        EXPECT_STR(buf_str(&json), rows[i].before);
    }
}

static void patches_stay_within_limits(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0}, json BUF_LOCAL = {0};
    struct doc before = read_json(&a, "{\"a\":{\"x\":{}},\"b\":{}}"), raw, after;
    struct patch patch;

    (void)state;
    /* Each copy doubles: 2^20 would be beyond any limit. */
    buf_put(&json, STR("["));
    for (int i = 0; i < 20; i++) {
        buf_printf(&json, "%s{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/%d\"}", i ? "," : "",
                   i);
    }
    buf_put(&json, STR("]"));
    raw = read_json(&a, arena_z(&a, buf_str(&json)));
    assert_int_equal(patch_parse(&raw, 19, &a, &patch, &why).code, ERR_LIMIT);
    assert_int_equal(patch_parse(&raw, 20, &a, &patch, &why).code, OK);
    assert_int_equal(patch_apply(&patch, &before, &small, &a, &after, &why).code, ERR_LIMIT);

    /* Each round hangs all there is below a chain of ten: depth without many values. */
    buf_clear(&json);
    buf_put(&json, STR("["));
    for (int i = 0; i < 20; i++) {
        buf_printf(
            &json,
            "%s{\"op\":\"add\",\"path\":\"/b\",\"value\":{\"x\":{\"x\":{\"x\":{\"x\":{}}}}}},"
            "{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b/x/x/x/x/x\"},"
            "{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/a\"}",
            i ? "," : "");
    }
    buf_put(&json, STR("]"));
    raw = read_json(&a, arena_z(&a, buf_str(&json)));
    assert_int_equal(patch_parse(&raw, 100, &a, &patch, &why).code, OK);
    assert_int_equal(patch_apply(&patch, &before, &small, &a, &after, &why).code, ERR_LIMIT);
}

/* One long text, copied again and again, is few values; and a tree moved again and again none. */
static void copied_bytes_and_moved_values_count(void **state)
{
    static const struct row {
        const char *op, *back; /* one, and what goes before the next */
        int rounds;
        enum err_code code;
    } rows[] = {
        {"{\"op\":\"copy\",\"from\":\"/text\",\"path\":\"/b%d\"}", "", 9, OK},
        {"{\"op\":\"copy\",\"from\":\"/text\",\"path\":\"/b%d\"}", "", 11, ERR_LIMIT},
        {"{\"op\":\"copy\",\"from\":\"/keys\",\"path\":\"/b%d\"}", "", 11, ERR_LIMIT},
        {"{\"op\":\"move\",\"from\":\"/text\",\"path\":\"/b%d\"}",
         ",{\"op\":\"move\",\"from\":\"/b%d\",\"path\":\"/text\"}", 40, OK},
        {"{\"op\":\"move\",\"from\":\"/many\",\"path\":\"/b%d\"}",
         ",{\"op\":\"move\",\"from\":\"/b%d\",\"path\":\"/many\"}", 40, ERR_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0}, json BUF_LOCAL = {0};
        struct doc before, raw, after;
        struct patch patch;

        buf_printf(&json, "{\"text\":\"%01000d\",\"keys\":{\"%0999d\":1},\"many\":[0", 0, 0);
        for (int k = 0; k < 50; k++) {
            buf_put(&json, STR(",0"));
        }
        buf_put(&json, STR("]}"));
        before = read_json(&a, arena_z(&a, buf_str(&json)));
        buf_clear(&json);
        for (int k = 0; k < rows[i].rounds; k++) {
            buf_put(&json, k > 0 ? STR(",") : STR("["));
            for (int n = 0; n < 2; n++) {
                struct str part = str_of(n ? rows[i].back : rows[i].op), head;

                if (str_cut(&part, '%', &head)) {
                    buf_printf(&json, "%.*s%d%.*s", STR_ARG(head), k, STR_ARG(str_skip(part, 1)));
                }
            }
        }
        buf_put(&json, STR("]"));
        raw = read_json(&a, arena_z(&a, buf_str(&json)));
        assert_int_equal(patch_parse(&raw, 100, &a, &patch, &why).code, OK);
        if (patch_apply(&patch, &before, &small, &a, &after, &why).code != rows[i].code) {
            fail_msg("row %zu: %.*s", i, STR_ARG(buf_str(&why)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches_are_applied_whole_or_not_at_all),
        cmocka_unit_test(patches_stay_within_limits),
        cmocka_unit_test(copied_bytes_and_moved_values_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
