#include "../unit.h"
#include "mail/header.h"

static void the_section_ends_where_the_standard_says(void **state)
{
    static const struct row {
        const char *text;
        size_t bytes;
        enum header_end end;
        uint32_t fields;
    } rows[] = {
        {"", 0, HEADER_OPEN, 0},
        {"A: b\r\n\r\nbody", 8, HEADER_EMPTY_LINE, 1},
        {"\r\nbody", 2, HEADER_EMPTY_LINE, 0},
        {"A: b\r\n c\r\n\td\r\nE:\r\n\r\n", 20, HEADER_EMPTY_LINE, 2},
        {"A: b\r\n \r\n\r\n", 11, HEADER_EMPTY_LINE, 1},
        {"A \t: b\r\n\r\n", 10, HEADER_EMPTY_LINE, 1},
        {"A: b\r\nnot a field\r\nC: d\r\n\r\n", 6, HEADER_NO_FIELD, 1},
        {"hello\r\n", 0, HEADER_NO_FIELD, 0},
        {"From me Tue Mar 3\r\nA: b\r\n\r\n", 0, HEADER_NO_FIELD, 0},
        {" A: b\r\n\r\n", 0, HEADER_NO_FIELD, 0},
        {": b\r\n\r\n", 0, HEADER_NO_FIELD, 0},
        {"A: b", 4, HEADER_OPEN, 1},
        {"A: b\r\n", 6, HEADER_OPEN, 1},
        {"A: b\r\nC", 6, HEADER_NO_FIELD, 1},
        {"A: b\r\n\r", 6, HEADER_NO_FIELD, 1},
        {"A: b\r\n\rC: d", 6, HEADER_NO_FIELD, 1},
        {"A: b\n\nbody\r\n\r\n", 14, HEADER_EMPTY_LINE, 1},
        {"B\xc3\xa9: x\r\n\r\n", 0, HEADER_NO_FIELD, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str text = str_of(rows[i].text);

        for (size_t cut = 0; cut <= text.len; cut++) {
            struct header_scan h = {0};

            header_scan_add(&h, str_head(text, cut));
            header_scan_add(&h, str_skip(text, cut));
            header_scan_end(&h);
            if (h.bytes != rows[i].bytes || h.end != rows[i].end || h.fields != rows[i].fields) {
                print_error("%s: cut %zu: %zu bytes, end %d, %u fields\n", rows[i].text, cut,
                            (size_t)h.bytes, (int)h.end, h.fields);
                fail();
            }
        }
    }
    (void)state;
}

static void known_fields_are_counted(void **state)
{
    struct header_scan h = {0};

    assert_true(header_scan_add(&h, STR("received: by a\r\nRECEIVED: by b\r\n for c\r\n"
                                        "Received-SPF: pass\r\nDate: x\r\nmessage-id: <y>\r\n"
                                        "Resent-From: z\r\nTLS-Required: No\r\n\r\nDate: body")));
    assert_int_equal(h.counts[HEADER_RECEIVED], 2);
    assert_int_equal(h.counts[HEADER_DATE], 1);
    assert_int_equal(h.counts[HEADER_MESSAGE_ID], 1);
    assert_int_equal(h.counts[HEADER_RESENT_FROM], 1);
    assert_int_equal(h.counts[HEADER_TLS_REQUIRED], 1);
    assert_int_equal(h.counts[HEADER_FROM], 0);
    assert_int_equal(h.fields, 7);
    EXPECT_STR(header_name(HEADER_MESSAGE_ID), "Message-ID");
    (void)state;
}

static void odd_bytes_are_told(void **state)
{
    static const struct row {
        struct str text;
        bool high, bad, nul, bare;
        uint32_t longest;
    } rows[] = {
        {STR_INIT("A: b\r\nCc: d\r\n\r\n\xff"), false, false, false, false, 5},
        {STR_INIT("A: \xc3\xa9\r\n\r\n"), true, false, false, false, 5},
        {STR_INIT("A: \xe2\x82\xac \xf0\x9f\x93\xae\r\n\r\n"), true, false, false, false, 11},
        {STR_INIT("A: \xe9\r\n\r\n"), true, true, false, false, 4},
        {STR_INIT("A: \xe2\x82\r\n\r\n"), true, true, false, false, 5},
        {STR_INIT("A: \xed\xa0\x80\r\n\r\n"), true, true, false, false, 6},
        {STR_INIT("A: \xc0\xaf\r\n\r\n"), true, true, false, false, 5},
        {STR_INIT("A: \xf4\x90\x80\x80\r\n\r\n"), true, true, false, false, 7},
        {STR_INIT("A: \0\r\n\r\n"), false, false, true, false, 4},
        {STR_INIT("A: b\nc\r\n\r\n"), false, false, false, true, 6},
        {STR_INIT("A: b\rc\r\n\r\n"), false, false, false, true, 6},
        {STR_INIT("A: b\r\r\n\r\n"), false, false, false, true, 5},
        {STR_INIT("A: long line at the end"), false, false, false, false, 23},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];

        for (size_t cut = 0; cut <= r->text.len; cut++) {
            struct header_scan h = {0};

            header_scan_add(&h, str_head(r->text, cut));
            header_scan_add(&h, str_skip(r->text, cut));
            header_scan_end(&h);
            if (h.has_8bit != r->high || h.has_bad_utf8 != r->bad || h.has_nul != r->nul ||
                h.has_bare != r->bare || h.line_bytes_longest != r->longest) {
                print_error("row %zu cut %zu: longest %u\n", i, cut, h.line_bytes_longest);
                fail();
            }
        }
    }
    (void)state;
}

static void fields_are_walked_with_their_places(void **state)
{
    struct header_walk w = {STR("Subject: a\r\n  folded\r\nX :y\r\nZ:\r\n\r\nbody: no\r\n"), 0};
    struct header_field f;
    struct buf out BUF_LOCAL = {0};

    assert_true(header_next(&w, &f));
    EXPECT_STR(f.name, "Subject");
    EXPECT_STR(f.value, " a\r\n  folded");
    EXPECT_STR(f.whole, "Subject: a\r\n  folded\r\n");
    header_unfold(&out, f.value);
    EXPECT_STR(buf_str(&out), "a  folded");
    buf_clear(&out);
    header_unfold(&out, STR(" a\r\r\n\nb\r\n"));
    EXPECT_STR(buf_str(&out), "a  b");
    assert_true(header_next(&w, &f));
    EXPECT_STR(f.name, "X");
    EXPECT_STR(f.value, "y");
    assert_int_equal(f.at, 22);
    assert_true(header_next(&w, &f));
    EXPECT_STR(f.value, "");
    assert_false(header_next(&w, &f));
    assert_int_equal(w.at, 34);
    assert_false(header_next(&w, &f));
    (void)state;
}

static void fields_are_found_by_name(void **state)
{
    struct str block = STR("A: 1\r\nb: 2\r\nB: 3\r\n\r\nC: 4\r\n");
    struct header_field f;

    assert_true(header_find(block, STR("B"), &f));
    EXPECT_STR(f.value, " 2");
    assert_false(header_find(block, STR("C"), &f));
    assert_false(header_find(STR_EMPTY, STR("A"), &f));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_section_ends_where_the_standard_says),
        cmocka_unit_test(known_fields_are_counted),
        cmocka_unit_test(odd_bytes_are_told),
        cmocka_unit_test(fields_are_walked_with_their_places),
        cmocka_unit_test(fields_are_found_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
