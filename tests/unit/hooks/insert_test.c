#include "../unit.h"
#include "base/base64.h"
#include "base/check.h"
#include "hooks/insert.h"

/* `in` cut into pieces of `step` bytes. */
static void run(enum hook_insert how, struct str in, size_t step, struct buf *out)
{
    struct inserter i = {0};

    while (in.len > 0) {
        insert_add(&i, how, str_head(in, step), out);
        in = str_skip(in, step);
    }
    insert_end(&i, how, out);
}

#define BAD "\xEF\xBF\xBD"
static const struct {
    struct str in;
    const char *out;
} texts[] = {
    {STR_INIT("plain"), "plain"},
    {STR_INIT(""), ""},
    {STR_INIT("a\"b\\c\r\n\td\x01\x7f\0e"), "a\\\"b\\\\c\\r\\n\\td\\u0001\\u007f\\u0000e"},
    {STR_INIT("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x93\xAC"),
     "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x93\xAC"},
    {STR_INIT("caf\xE9 au"), "caf" BAD " au"}, /* CL-18 */
    {STR_INIT("\xE9"), BAD},
    {STR_INIT("\x80\x80"), BAD BAD},
    {STR_INIT("\xC0\xAF"), BAD BAD},         /* overlong */
    {STR_INIT("\xE0\x80\x80"), BAD BAD BAD}, /* overlong */
    {STR_INIT("\xED\xA0\x80"), BAD BAD BAD}, /* a surrogate */
    {STR_INIT("\xF0\x9F\x93"), BAD},         /* a character cut off at the end */
    {STR_INIT("\xF0\x9F\x93x"), BAD "x"},    /* and in the middle */
    {STR_INIT("\xE2\x82\xE2\x82\xAC"), BAD "\xE2\x82\xAC"},
    {STR_INIT("\xF4\x90\x80\x80"), BAD BAD BAD BAD}, /* above U+10FFFF */
    {STR_INIT("\xF5\xFF"), BAD BAD},
};

static void text_becomes_the_inside_of_a_json_string_wherever_it_is_cut(void **state)
{
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        for (size_t step = 1; step <= texts[i].in.len + 1; step++) {
            struct buf out BUF_LOCAL = {0};

            run(HOOK_INSERT_JSON_BODY, texts[i].in, step, &out);
            EXPECT_STR(buf_str(&out), texts[i].out);
        }
    }
    (void)state;
}

static void base64_is_the_same_wherever_it_is_cut(void **state)
{
    static const char all[] = "Any bytes \x00\xff at all, of which there are some fifty.";

    for (size_t len = 0; len < sizeof all; len++) {
        struct buf want BUF_LOCAL = {0};

        base64_encode(&want, str_make(all, len));
        for (size_t step = 1; step <= len + 1; step++) {
            struct buf out BUF_LOCAL = {0};

            run(HOOK_INSERT_BASE64_MESSAGE, str_make(all, len), step, &out);
            assert_true(str_eq(buf_str(&out), buf_str(&want)));
        }
    }
    (void)state;
}

static void a_header_section_keeps_the_bytes_of_fields_that_nobody_changed(void **state)
{
    static const struct hook_field fields[] = {
        {STR_INIT("Subject"), STR_INIT(" a\r\n\tb"), STR_INIT("subject :  a\r\n\tb\r\n")},
        {STR_INIT("X-New"), STR_INIT("value"), {NULL, 0}},
        {STR_INIT("X-Space"), STR_INIT(" value"), {NULL, 0}},
        {STR_INIT("X-Empty"), STR_INIT(""), {NULL, 0}},
    };
    struct hook_view view = {.fields = fields, .field_count = COUNT_OF(fields)};
    struct buf out BUF_LOCAL = {0};

    insert_header(&view, &out);
    EXPECT_STR(buf_str(&out), "subject :  a\r\n\tb\r\nX-New: value\r\nX-Space: value\r\n"
                              "X-Empty: \r\n\r\n");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_the_inside_of_a_json_string_wherever_it_is_cut),
        cmocka_unit_test(base64_is_the_same_wherever_it_is_cut),
        cmocka_unit_test(a_header_section_keeps_the_bytes_of_fields_that_nobody_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
