#include "../unit.h"
#include "base/check.h"
#include "doc/doc.h"

static const struct doc_limits limits = {1000, 50, 8, 16, false};

/* "a1 63 …" as bytes. */
static struct str bytes_of(struct arena *a, const char *hex)
{
    size_t len = strlen(hex), n = 0;
    char *at = arena_alloc(a, len / 2 + 1);

    for (size_t i = 0; i + 1 < len; i++) {
        if (hex[i] != ' ') {
            at[n++] = (char)(byte_hex(hex[i]) * 16 + byte_hex(hex[i + 1]));
            i++;
        }
    }
    return str_make(at, n);
}

static void values_are_read(void **state)
{
    static const struct row {
        const char *hex, *json;
    } rows[] = {
        {"00", "0"},
        {"17", "23"},
        {"18 18", "24"},
        {"19 02 26", "550"},
        {"1a 00 0f 42 40", "1000000"},
        {"1b 00 1f ff ff ff ff ff ff", "9007199254740991"},
        {"20", "-1"},
        {"38 63", "-100"},
        {"3b 00 1f ff ff ff ff ff fe", "-9007199254740991"},
        {"f4", "false"},
        {"f5", "true"},
        {"f6", "null"},
        {"f9 3c 00", "1"}, /* reals that are whole */
        {"fa 47 c3 50 00", "100000"},
        {"fb c0 10 00 00 00 00 00 00", "-4"},
        {"f9 3e 00", "1.5"},
        {"60", "\"\""},
        {"62 c3 bc", "\"\xc3\xbc\""},
        {"43 01 02 03", "\"AQID\""}, /* bytes as base64 */
        {"7f 61 61 62 62 63 ff", "\"abc\""},
        {"5f 41 01 42 02 03 ff", "\"AQID\""},
        {"80", "[]"},
        {"82 01 80", "[1,[]]"},
        {"9f 01 9f ff ff", "[1,[]]"},
        {"a0", "{}"},
        {"bf 61 61 01 61 62 a0 ff", "{\"a\":1,\"b\":{}}"},
        {"d9 d9 f7 a1 61 61 01", "{\"a\":1}"}, /* this is CBOR */
        {"a1 7f 61 61 61 62 ff 01", "{\"ab\":1}"},
        /* the answer of the reference's section 3.19 */
        {"a1 63 73 65 74 82 a2 64 70 61 74 68 67 2f 61 63 74 69 6f 6e 65 76 61 6c 75 65 66 72 65 6a"
         "65 63 74 a2 64 70 61 74 68 6e 2f 72 65 73 70 6f 6e 73 65 2f 63 6f 64 65 65 76 61 6c 75 65"
         "19 02 26",
         "{\"set\":[{\"path\":\"/action\",\"value\":\"reject\"},"
         "{\"path\":\"/response/code\",\"value\":550}]}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0}, json BUF_LOCAL = {0};
        struct doc d;
        struct err e = doc_read_cbor(bytes_of(&a, rows[i].hex), &limits, &a, &d, &why);

        if (e.code != OK) {
            fail_msg("%s: %.*s", rows[i].hex, STR_ARG(buf_str(&why)));
        }
        doc_write_json(&json, &d);
        EXPECT_STR(buf_str(&json), rows[i].json);
    }
}

static void what_is_wrong_is_refused(void **state)
{
    static const struct row {
        const char *hex;
        enum err_code code;
    } rows[] = {
        {"", ERR_PROTOCOL},
        {"00 00", ERR_PROTOCOL},                      /* bytes behind it */
        {"18", ERR_PROTOCOL},                         /* ends within */
        {"1b 00 20 00 00 00 00 00 00", ERR_PROTOCOL}, /* 2^53 */
        {"3b 00 1f ff ff ff ff ff ff", ERR_PROTOCOL},
        {"1b ff ff ff ff ff ff ff ff", ERR_PROTOCOL},
        {"1c", ERR_PROTOCOL},       /* no length is meant so */
        {"f9 7e 00", ERR_PROTOCOL}, /* NaN */
        {"f9 7c 00", ERR_PROTOCOL}, /* infinite */
        {"f7", ERR_PROTOCOL},       /* undefined */
        {"f0", ERR_PROTOCOL},       /* unknown simple values */
        {"f8 20", ERR_PROTOCOL},
        {"ff", ERR_PROTOCOL},          /* a break alone */
        {"61 ff", ERR_PROTOCOL},       /* not UTF-8 */
        {"63 ed a0 80", ERR_PROTOCOL}, /* a surrogate */
        {"61 00", ERR_PROTOCOL},       /* NUL */
        {"7f 41 61 ff", ERR_PROTOCOL}, /* bytes in text */
        {"7f 7f 61 61 ff ff", ERR_PROTOCOL},
        {"7f 61 c3 61 bc ff", ERR_PROTOCOL}, /* a character over two pieces */
        {"a1 01 02", ERR_PROTOCOL},          /* keys that are no text */
        {"a1 41 61 02", ERR_PROTOCOL},
        {"a1 80 02", ERR_PROTOCOL},
        {"a2 61 61 01 61 61 02", ERR_PROTOCOL}, /* a key twice */
        {"bf 61 61 ff", ERR_PROTOCOL},          /* a key without a value */
        {"82 01 ff", ERR_PROTOCOL},
        {"c1 00", ERR_PROTOCOL}, /* tags */
        {"81 d9 d9 f7 00", ERR_PROTOCOL},
        {"d9 d9 f7 d9 d9 f7 00", ERR_PROTOCOL},
        {"5b ff ff ff ff ff ff ff ff 00", ERR_PROTOCOL}, /* more than is there */
        {"9b 00 00 00 ff ff ff ff ff", ERR_LIMIT},       /* announced, never come */
        {"bb ff ff ff ff ff ff ff ff", ERR_LIMIT},
        {"9f 9f 9f 9f 9f 9f 9f 9f 9f", ERR_LIMIT}, /* nine deep */
        {"a1 71 61 61 61 61 61 61 61 61 61 61 61 61 61 61 61 61 61 01", ERR_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct doc d;
        struct err e = doc_read_cbor(bytes_of(&a, rows[i].hex), &limits, &a, &d, &why);

        if (e.code != rows[i].code || why.len == 0) {
            fail_msg("%s: %s", rows[i].hex, err_name(e.code));
        }
    }
}

static void limits_are_counted_while_reading(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf bytes BUF_LOCAL = {0}, why BUF_LOCAL = {0};
    struct doc d;

    (void)state;
    buf_byte(&bytes, (char)0x9f);
    for (int i = 0; i < 60; i++) {
        buf_byte(&bytes, 1);
    }
    buf_byte(&bytes, (char)0xff);
    assert_int_equal(doc_read_cbor(buf_str(&bytes), &limits, &a, &d, &why).code, ERR_LIMIT);
    while (bytes.len <= limits.bytes_max) {
        buf_byte(&bytes, 1);
    }
    assert_int_equal(doc_read_cbor(buf_str(&bytes), &limits, &a, &d, &why).code, ERR_LIMIT);
}

static void many_keys_are_compared_too(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf bytes BUF_LOCAL = {0}, why BUF_LOCAL = {0};
    struct doc d;

    (void)state;
    for (int last = 0; last < 2; last++) {
        buf_clear(&bytes);
        buf_byte(&bytes, (char)(0xa0 + 20));
        for (int i = 0; i < 20; i++) {
            buf_byte(&bytes, 0x61);
            buf_byte(&bytes, (char)('a' + (i == 19 ? last * 19 : i)));
            buf_byte(&bytes, 0);
        }
        assert_int_equal(doc_read_cbor(buf_str(&bytes), &limits, &a, &d, &why).code,
                         last == 0 ? ERR_PROTOCOL : OK);
    }
}

static void values_are_written_in_their_shortest_form(void **state)
{
    static const char *const rows[] = {
        "00",
        "17",
        "18 18",
        "18 ff",
        "19 01 00",
        "1a 00 01 00 00",
        "1b 00 00 00 01 00 00 00 00",
        "20",
        "37",
        "38 18",
        "39 01 00",
        "f4",
        "f5",
        "f6",
        "fb 3f f8 00 00 00 00 00 00",
        "61 61",
        "43 01 02 03",
        "82 01 80",
        "a2 61 61 01 61 62 a0",
        /* the request of the reference's section 3.19 */
        ("a3 65 73 74 61 67 65 64 64 61 74 61 66 61 63 74 69 6f 6e 66 61 63 63 65 70 74 6a 72 61 77"
         "4d 65 73 73 61 67 65 4c 41 3a 20 62 0d 0a 0d 0a 68 69 0d 0a"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0}, out BUF_LOCAL = {0};
        struct str bytes = bytes_of(&a, rows[i]);
        struct doc d;

        assert_int_equal(doc_read_cbor(bytes, &limits, &a, &d, &why).code, OK);
        doc_write_cbor(&out, &d);
        if (!str_eq(buf_str(&out), bytes)) {
            fail_msg("%s", rows[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(limits_are_counted_while_reading),
        cmocka_unit_test(many_keys_are_compared_too),
        cmocka_unit_test(values_are_written_in_their_shortest_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
