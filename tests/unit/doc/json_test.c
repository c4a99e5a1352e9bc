#include "../unit.h"
#include "base/check.h"
#include "doc/doc.h"

static const struct doc_limits wide = {
    .bytes_max = 1 << 16, .nodes_max = 10000, .depth_max = 64, .key_bytes_max = 1000};

/* What is written of what was read, or "no: " and why. */
static void reads(const char *file, int line, struct str json, const struct doc_limits *limits,
                  const char *want)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf got BUF_LOCAL = {0}, why BUF_LOCAL = {0};
    struct doc d;

    if (doc_read_json(json, limits, &a, &d, &why).code == OK) {
        doc_write_json(&got, &d);
    } else {
        buf_printf(&got, "no: %.*s", STR_ARG(buf_str(&why)));
    }
    expect_str(buf_str(&got), str_of(want), file, line);
}

/* SE-11, SE-12, and what RFC 8259 does not allow. */
static void one_value_in_due_form_is_read_and_nothing_else(void **state)
{
    static const struct {
        const char *in, *want; /* NULL: the same */
    } rows[] = {
        {"{\"action\":\"accept\"}", NULL},
        {" \r\n\t[ 1 , 2 ] ", "[1,2]"},
        {"\"\\u00e9\\ud83d\\ude00\\/\\b\"", "\"\xc3\xa9\xf0\x9f\x98\x80/\\u0008\""},
        {"[1.5,-2.25e-7,1e300,0.1,3.0]", "[1.5,-2.25e-07,1e+300,0.1,3.0]"},
        {"[30300332331650164.5,-0.0]", "[30300332331650164.0,-0.0]"},
        {"[9007199254740991,-9007199254740991,-0]", "[9007199254740991,-9007199254740991,0]"},
        {"[9007199254740992]", "no: a number in it is too large"},
        {"[-9007199254740992]", "no: a number in it is too large"},
        {"[99999999999999999999]", "no: a number in it is too large (byte 21)"},
        {"[1e999]", "no: a number in it is too large (byte 6)"},
        {"", "no: it ends too early (byte 0)"},
        {"{\"a\":", "no: it ends too early (byte 5)"},
        {"{} {}", "no: there is more behind the value (byte 4)"},
        {"[1,]", "no: it is not JSON (byte 4)"},
        {"[01]", "no: it is not JSON (byte 2)"},
        {"[+1]", "no: it is not JSON (byte 2)"},
        {"[.5]", "no: it is not JSON (byte 2)"},
        {"[NaN]", "no: it is not JSON (byte 4)"},
        {"[Infinity]", "no: it is not JSON (byte 9)"},
        {"{'a':1}", "no: it is not JSON (byte 2)"},
        {"{a:1}", "no: it is not JSON (byte 2)"},
        {"[1] // so", "no: there is more behind the value (byte 5)"},
        {"\"\t\"", "no: it is not JSON (byte 1)"},
        {"\"\\x\"", "no: it is not JSON (byte 3)"},
        {"\"\\u12\"", "no: it is not JSON (byte 6)"},
        {"\xef\xbb\xbf{}", "no: it is not JSON (byte 3)"},
        {"\"\xe9\"", "no: a text in it is not UTF-8 (byte 1)"},
        {"\"\xed\xa0\x80\"", "no: a text in it is not UTF-8 (byte 1)"},
        {"\"\xc0\x80\"", "no: a text in it is not UTF-8 (byte 1)"},
        {"\"\\ud800\"", "no: it is not JSON (byte 8)"},
        {"\"\\udc00\"", "no: it is not JSON (byte 8)"},
        {"\"\\u0000\"", "no: a text in it holds NUL (byte 8)"},
        {"{\"\\u0000\":1}", "no: a text in it holds NUL (byte 9)"},
        {"{\"a\":1,\"\\u0061\":1}", "no: a key stands twice in one object (byte 15)"},
        {"{\"b\":{\"a\":1},\"a\":1}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        reads(__FILE__, __LINE__, str_of(rows[i].in), &wide,
              rows[i].want != NULL ? rows[i].want : rows[i].in);
    }
}

static void a_nul_is_borne_where_it_is_said_so(void **state)
{
    struct doc_limits limits = wide;

    (void)state;
    limits.bears_nul = true;
    reads(__FILE__, __LINE__, STR("\"a\\u0000b\""), &limits, "\"a\\u0000b\"");
    reads(__FILE__, __LINE__, STR("{\"\\u0000\":1}"), &limits,
          "no: a text in it holds NUL (byte 9)");
    reads(__FILE__, __LINE__, STR("\"\0\""), &limits, "no: it is not JSON (byte 1)");
}

static void limits_hold_to_the_last_byte_and_value(void **state)
{
    static const struct doc_limits limits = {
        .bytes_max = 22, .nodes_max = 5, .depth_max = 2, .key_bytes_max = 3};
    static const struct {
        const char *in;
        const char *want; /* NULL: the same */
    } rows[] = {
        {"[1,2,3,4]", NULL},
        {"[1,2,3,4,5]", "no: it has more values than we take"},
        {"[\"a\",\"b\",\"c\",\"d\"]", NULL},
        {"[\"\",\"\",\"\",\"\",\"\"]", "no: it has more values than we take"},
        {"[[],[],{},null]", NULL},
        {"[[],[],{},null,[]]", "no: it has more values than we take"},
        {"{\"a\":{\"b\":[]}}", "no: its values are nested deeper than we take"},
        {"{\"a\":{},\"b\":[1]}", NULL},
        {"{\"abc\":1}", NULL},
        {"{\"abcd\":1}", "no: a key in it is longer than we take"},
        {"[\"abcd]]:[[\\\"[[]\"]", NULL},
        {"\"aaaaaaaaaaaaaaaaaaaa\"", NULL},
        {"\"aaaaaaaaaaaaaaaaaaaaa\"", "no: it is larger than we take"},
        {"1 2 3 4 5 6", "no: it has more values than we take"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        reads(__FILE__, __LINE__, str_of(rows[i].in), &limits,
              rows[i].want != NULL ? rows[i].want : rows[i].in);
    }
}

/* SE-09, SE-10: no stack and no memory is taken for them. */
static void what_is_too_deep_or_too_much_is_refused_before_it_is_read(void **state)
{
    enum { DEEP = 10000, MANY = 10 * 1000 * 1000 };
    struct doc_limits limits = wide;
    struct arena a ARENA_LOCAL = {0};
    struct buf deep BUF_LOCAL = {0}, many BUF_LOCAL = {0}, why BUF_LOCAL = {0};
    struct doc d;

    (void)state;
    limits.bytes_max = SIZE_MAX;
    for (int i = 0; i < DEEP; i++) {
        buf_put(&deep, STR("{\"a\":["));
    }
    buf_byte(&many, '[');
    for (int i = 0; i < MANY; i++) {
        buf_put(&many, STR("1,"));
    }
    buf_put(&many, STR("1]"));
    assert_int_equal(doc_read_json(buf_str(&deep), &limits, &a, &d, &why).code, ERR_LIMIT);
    assert_int_equal(doc_read_json(buf_str(&many), &limits, &a, &d, &why).code, ERR_LIMIT);
    assert_int_equal(a.held, 0);
}

static void bytes_are_written_as_base64_and_texts_with_escapes(void **state)
{
    struct buf out BUF_LOCAL = {0};
    struct doc bytes = {.kind = DOC_BYTES, .text = STR("\0\xff\r\n")};
    struct doc text = doc_text(STR("\"\\\r\n\t\x01\xc3\xa9"));

    (void)state;
    doc_write_json(&out, &bytes);
    doc_write_json(&out, &text);
    EXPECT_STR(buf_str(&out), "\"AP8NCg==\"\"\\\"\\\\\\u000d\\n\\u0009\\u0001\xc3\xa9\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_value_in_due_form_is_read_and_nothing_else),
        cmocka_unit_test(a_nul_is_borne_where_it_is_said_so),
        cmocka_unit_test(limits_hold_to_the_last_byte_and_value),
        cmocka_unit_test(what_is_too_deep_or_too_much_is_refused_before_it_is_read),
        cmocka_unit_test(bytes_are_written_as_base64_and_texts_with_escapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
