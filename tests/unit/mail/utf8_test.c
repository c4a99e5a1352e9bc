#include "../unit.h"
#include "base/check.h"
#include "mail/utf8.h"

#define BAD "\xef\xbf\xbd"

static void faults_are_replaced_part_by_part(void **state)
{
    static const struct row {
        struct str in;
        const char *out;
    } rows[] = {
        {STR_INIT(""), ""},
        {STR_INIT("plain"), "plain"},
        {STR_INIT("\xc3\xbc \xe2\x82\xac \xf0\x9f\x90\x88"),
         "\xc3\xbc \xe2\x82\xac \xf0\x9f\x90\x88"},
        {STR_INIT("a\0b"), "a" BAD "b"},
        {STR_INIT("\x80"), BAD},
        {STR_INIT("\xc3"), BAD},
        {STR_INIT("\xc3x"), BAD "x"},
        {STR_INIT("\xc0\x80"), BAD BAD},         /* overlong */
        {STR_INIT("\xed\xa0\x80"), BAD BAD BAD}, /* a surrogate */
        {STR_INIT("\xf4\x90\x80\x80"), BAD BAD BAD BAD},
        {STR_INIT("\xe2\x82"), BAD}, /* one fault: it could have begun a character */
        {STR_INIT("\xf0\x9f\x90x"), BAD "x"},
        {STR_INIT("\xff\xfe"), BAD BAD},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf out BUF_LOCAL = {0};

        utf8_put(&out, rows[i].in);
        EXPECT_STR(buf_str(&out), rows[i].out);
        EXPECT_STR(utf8_clean(&a, rows[i].in), rows[i].out);
    }
}

static void words_are_encoded_where_they_must_be(void **state)
{
    static const struct row {
        const char *in, *out;
    } rows[] = {
        {"", ""},
        {"plain = text", "plain = text"},
        {"gr\xc3\xbc\xc3\x9f", "=?UTF-8?B?Z3LDvMOf?="},
        /* 42 bytes to a word, and no character over two of them */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xc3\xbc",
         "=?UTF-8?B?YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=?=\r\n"
         " =?UTF-8?B?w7w=?="},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out BUF_LOCAL = {0};

        utf8_put_encoded_words(&out, str_of(rows[i].in));
        EXPECT_STR(buf_str(&out), rows[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_replaced_part_by_part),
        cmocka_unit_test(words_are_encoded_where_they_must_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
