#include "../unit.h"
#include "mail/content.h"

/* A small generator of our own, so that a failure repeats. */
static uint32_t random_below(uint64_t *seed, uint32_t n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % n;
}

static const struct row {
    const char *wire;
    bool end;
    const char *content;
    const char *left;
} rows[] = {
    {".\r\n", true, "", ""},
    {".\r\nQUIT\r\n", true, "", "QUIT\r\n"},
    {"a\r\n.\r\nb", true, "a\r\n", "b"},
    {"a\r\n..\r\n.\r\n", true, "a\r\n.\r\n", ""},
    {"..a\r\n.b\r\n.\r\n", true, ".a\r\nb\r\n", ""},
    {"\r\n.\r\n", true, "\r\n", ""},
    /* None of these ends the data. */
    {"a\n.\n", false, "a\n.\n", ""},
    {"a\n.\r\n", false, "a\n.\r\n", ""},
    {"a\r.\r\n", false, "a\r.\r\n", ""},
    {"a\r.\r", false, "a\r.\r", ""},
    {"a\r\n.\n", false, "a\r\n\n", ""},
    {"a\r\n.\rb", false, "a\r\n\rb", ""},
    {"a\r\n.\r\r\n", false, "a\r\n\r\r\n", ""},
    {"a\r\n.\r\r\n.\r\n", true, "a\r\n\r\r\n", ""},
    {"a\r\r\n.\r\n", true, "a\r\r\n", ""},
    {"a\n\r\n.\r\n", true, "a\n\r\n", ""},
    {"a\r\n. \r\n", false, "a\r\n \r\n", ""},
    {"0123456789abcdef0123456789\r\n.\r\nX", true, "0123456789abcdef0123456789\r\n", "X"},
};

static void only_crlf_dot_crlf_ends_the_data(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str wire = str_of(rows[i].wire);

        for (size_t cut = 0; cut <= wire.len; cut++) {
            struct unstuff u = {0};
            struct buf out BUF_LOCAL = {0};
            size_t used = 0, more = 0;
            bool end = unstuff(&u, str_head(wire, cut), &out, &used);

            if (!end) {
                assert_int_equal(used, cut);
                end = unstuff(&u, str_skip(wire, cut), &out, &more);
            }
            assert_int_equal(end, rows[i].end);
            EXPECT_STR(buf_str(&out), rows[i].content);
            EXPECT_STR(str_skip(wire, used + more), rows[i].left);
        }
    }
    (void)state;
}

static void nothing_is_read_after_the_end(void **state)
{
    struct unstuff u = {0};
    struct buf out BUF_LOCAL = {0};
    size_t used;

    assert_true(unstuff(&u, STR(".\r\n"), &out, &used));
    assert_true(unstuff(&u, STR("abc"), &out, &used));
    assert_int_equal(used, 0);
    assert_int_equal(out.len, 0);
    (void)state;
}

static void stuffing_doubles_dots_and_completes_the_last_line(void **state)
{
    static const struct {
        const char *content, *wire;
        bool added;
    } sent[] = {
        {"", ".\r\n", false},
        {"a\r\n", "a\r\n.\r\n", false},
        {"a", "a\r\n.\r\n", true},
        {".", "..\r\n.\r\n", true},
        {".a\r\n..b\r\n", "..a\r\n...b\r\n.\r\n", false},
        {"a\n.b\r\n", "a\n.b\r\n.\r\n", false},
        {"a\r.b\r\n", "a\r.b\r\n.\r\n", false},
        {"a\r", "a\r\r\n.\r\n", true},
        {"\r\n.\r\n", "\r\n..\r\n.\r\n", false},
        {"0123456789abcdef0123456789\r\n.x\r\n", "0123456789abcdef0123456789\r\n..x\r\n.\r\n",
         false},
    };

    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
        struct str content = str_of(sent[i].content);

        for (size_t cut = 0; cut <= content.len; cut++) {
            struct stuff s = {0};
            struct buf out BUF_LOCAL = {0};

            stuff(&s, str_head(content, cut), &out);
            stuff(&s, str_skip(content, cut), &out);
            stuff_end(&s, &out);
            EXPECT_STR(buf_str(&out), sent[i].wire);
            assert_int_equal(s.final_crlf_added, sent[i].added);
        }
    }
    (void)state;
}

static void random_content_survives_the_wire_in_random_chunks(void **state)
{
    static const char alphabet[] = "\r\n..a\r\n.\0\xe9 bcdefghijklmnop";
    uint64_t seed = 1;

    for (int round = 0; round < 20000; round++) {
        struct buf content BUF_LOCAL = {0}, wire BUF_LOCAL = {0}, back BUF_LOCAL = {0};
        uint32_t len = random_below(&seed, round % 10 == 0 ? 300 : 24);
        uint32_t letters = round & 1 ? 8 : sizeof alphabet - 1;
        struct stuff s = {0};
        struct unstuff u = {0};
        bool end = false;

        for (uint32_t i = 0; i < len; i++) {
            buf_byte(&content, alphabet[random_below(&seed, letters)]);
        }
        for (struct str rest = buf_str(&content); rest.len > 0;) {
            size_t n = 1 + random_below(&seed, 40);

            stuff(&s, str_head(rest, n), &wire);
            rest = str_skip(rest, n);
        }
        stuff_end(&s, &wire);
        buf_put(&content, s.final_crlf_added ? STR("\r\n") : STR_EMPTY);
        buf_put(&wire, STR("QUIT"));
        struct str rest = buf_str(&wire);
        while (!end) {
            size_t n = 1 + random_below(&seed, 40), used;

            assert_true(rest.len > 0);
            end = unstuff(&u, str_head(rest, n), &back, &used);
            rest = str_skip(rest, used);
        }
        EXPECT_STR(rest, "QUIT");
        assert_true(str_eq(buf_str(&back), buf_str(&content)));
    }
    (void)state;
}

static void content_falls_into_its_class_wherever_it_is_cut(void **state)
{
    static char long_ok[1000], long_bad[1001], twenty[20];
    const struct {
        struct str bytes;
        enum body_class class;
        bool ends_line;
    } classes[] = {
        {STR(""), BODY_7BIT, false},
        {STR("a\r\n"), BODY_7BIT, true},
        {STR("\r\n\r\n"), BODY_7BIT, true},
        {STR("a"), BODY_7BIT, false},
        {STR("caf\xc3\xa9\r\n"), BODY_8BIT, true},
        {STR("0123456789abcdef\xff\r\n0123456789abcdef"), BODY_8BIT, false},
        {STR("a\0b\r\n"), BODY_BINARY, true},
        {STR("0123456789abcdef0123456789\0bcdef"), BODY_BINARY, false},
        {STR("a\nb\r\n"), BODY_BINARY, true},
        {STR("\n"), BODY_BINARY, false},
        {STR("a\rb\r\n"), BODY_BINARY, true},
        {STR("a\r"), BODY_BINARY, false},
        {STR("a\r\r\n"), BODY_BINARY, true},
        {STR("a\r\n\n"), BODY_BINARY, false},
        {STR("0123456789abcde\n0123456789abcdef0123456"), BODY_BINARY, false},
        {STR("0123456789abcdef\r0123456789abcdef0123456"), BODY_BINARY, false},
        {str_make(long_ok, sizeof long_ok), BODY_7BIT, true},
        {str_make(long_ok, 998), BODY_7BIT, false},
        {str_make(long_bad, sizeof long_bad), BODY_BINARY, true},
        {str_make(long_bad, 999), BODY_BINARY, false},
        {str_make(twenty, sizeof twenty), BODY_7BIT, true},
    };

    for (size_t i = 0; i < sizeof long_bad; i++) {
        long_bad[i] = 'x';
        long_ok[i < 1000 ? i : 0] = 'y';
        twenty[i % 20] = i & 1 ? '\n' : '\r';
    }
    long_ok[998] = long_bad[999] = '\r';
    long_ok[999] = long_bad[1000] = '\n';
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        for (size_t cut = 0; cut <= classes[i].bytes.len; cut++) {
            struct content c = {0};

            content_add(&c, str_head(classes[i].bytes, cut));
            content_add(&c, str_skip(classes[i].bytes, cut));
            if (content_class(&c) != classes[i].class || c.ends_line != classes[i].ends_line) {
                print_error("row %zu cut at %zu\n", i, cut);
                fail();
            }
            assert_int_equal(c.bytes, classes[i].bytes.len);
        }
    }
    (void)state;
}

static void long_lines_are_found_among_short_ones(void **state)
{
    for (size_t line = 990; line < 1010; line++) {
        struct buf text BUF_LOCAL = {0};
        struct content c = {0};

        for (int i = 0; i < 30; i++) {
            buf_put(&text, STR("a short line of text\r\n"));
        }
        for (size_t i = 0; i < line; i++) {
            buf_byte(&text, 'x');
        }
        buf_put(&text, STR("\r\nafter\r\n"));
        content_add(&c, buf_str(&text));
        assert_int_equal(content_class(&c), line > 998 ? BODY_BINARY : BODY_7BIT);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_crlf_dot_crlf_ends_the_data),
        cmocka_unit_test(nothing_is_read_after_the_end),
        cmocka_unit_test(stuffing_doubles_dots_and_completes_the_last_line),
        cmocka_unit_test(random_content_survives_the_wire_in_random_chunks),
        cmocka_unit_test(content_falls_into_its_class_wherever_it_is_cut),
        cmocka_unit_test(long_lines_are_found_among_short_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
