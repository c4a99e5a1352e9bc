#include "../unit.h"
#include "base/base64.h"
#include "base/check.h"

/* RFC 4648 section 10. */
static const struct {
    const char *bytes, *text;
} rows[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff", "+/8="},
};

static void bytes_become_text_and_text_bytes(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out BUF_LOCAL = {0};

        base64_encode(&out, str_of(rows[i].bytes));
        EXPECT_STR(buf_str(&out), rows[i].text);
        buf_clear(&out);
        assert_true(base64_decode(&out, str_of(rows[i].text)));
        EXPECT_STR(buf_str(&out), rows[i].bytes);
    }
    (void)state;
}

static void what_is_no_base64_is_refused(void **state)
{
    static const char *const wrong[] = {
        "Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zh==", "Zm9=", "Zm 9vYg=", "Zm9v\n", "-_8="};

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct buf out BUF_LOCAL = {0};

        if (base64_decode(&out, str_of(wrong[i]))) {
            fail_msg("%s", wrong[i]);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_become_text_and_text_bytes),
        cmocka_unit_test(what_is_no_base64_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
