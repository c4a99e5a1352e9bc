#include "../unit.h"
#include "base/check.h"
#include "http/local.h"
#include "http/reply.h"
#include "http/route.h"

static const struct {
    const char *head;
    int status; /* 0: refused */
    enum reply_body body;
    uint64_t length;
} heads[] = {
    {"HTTP/1.1 200 OK\r\n\r\n", 200, REPLY_UNTIL_CLOSE, 0},
    {"HTTP/1.1 200\r\n\r\n", 200, REPLY_UNTIL_CLOSE, 0},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", 200, REPLY_LENGTH, 5},
    {"HTTP/1.1 200 OK\r\ncontent-length:5\r\nContent-Length: 5\r\n\r\n", 200, REPLY_LENGTH, 5},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", 200, REPLY_CHUNKED, 0},
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, REPLY_NO_BODY, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 200 OK\r\nA\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 200 OK\r\n: b\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 2000 OK\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 100 Continue\r\n\r\n", 0, 0, 0},
    {"HTTP/1.1 +20 OK\r\n\r\n", 0, 0, 0},
    {"HTTP/2.0 200 OK\r\n\r\n", 0, 0, 0},
    {"220 mail.example.org ESMTP\r\n\r\n", 0, 0, 0},
};

static void only_strict_heads_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        struct str head = str_of(heads[i].head);
        struct reply_head r = {0};
        struct err e = reply_head_parse(head, &r);

        assert_int_equal(reply_head_size(head), head.len);
        if ((e.code == OK) != (heads[i].status != 0)) {
            print_error("case %zu: %s\n", i, heads[i].head);
            fail();
        }
        assert_int_equal(r.status, heads[i].status);
        assert_int_equal(r.body, heads[i].status ? heads[i].body : REPLY_NO_BODY);
        assert_int_equal(r.length, heads[i].length);
    }
}

static void sizes_of_chunks_are_hexadecimal_alone(void **state)
{
    uint64_t size;

    (void)state;
    assert_true(reply_chunk_size(STR("1fF"), &size));
    assert_int_equal(size, 0x1ff);
    assert_false(reply_chunk_size(STR(""), &size));
    assert_false(reply_chunk_size(STR("5;a=b"), &size));
    assert_false(reply_chunk_size(STR("0x5"), &size));
    assert_false(reply_chunk_size(STR(" 5"), &size));
    assert_false(reply_chunk_size(STR("11111111111111111"), &size));
}

static void nothing(const struct http_request *r, struct http_answer *a, struct when by)
{
    (void)r;
    (void)a;
    (void)by;
}

static const struct http_route table[] = {
    {"GET", "/", nothing},        {"GET", "/queue", nothing},   {"POST", "/queue", nothing},
    {"GET", "/queue/*", nothing}, {"PUT", "/a/*/b/*", nothing}, {"GET", "/ui/**", nothing},
};

static const struct {
    const char *method, *path;
    enum route_result result;
    int row;
    const char *parts[2];
} found[] = {
    {"GET", "/", ROUTE_FOUND, 0, {"", ""}},
    {"HEAD", "/", ROUTE_FOUND, 0, {"", ""}},
    {"POST", "/queue", ROUTE_FOUND, 2, {"", ""}},
    {"GET", "/queue/x", ROUTE_FOUND, 3, {"x", ""}},
    {"GET", "/queue/a%2fb%00", ROUTE_FOUND, 3, {"a/b", ""}},
    {"PUT", "/a/1/b/2", ROUTE_FOUND, 4, {"1", "2"}},
    {"GET", "/ui/", ROUTE_FOUND, 5, {"", ""}},
    {"GET", "/ui/x/y.js", ROUTE_FOUND, 5, {"x/y.js", ""}},
    {"GET", "/queue/", ROUTE_NO_PATH, 0, {"", ""}},
    {"GET", "/queue/x/", ROUTE_NO_PATH, 0, {"", ""}},
    {"GET", "queue", ROUTE_NO_PATH, 0, {"", ""}},
    {"GET", "", ROUTE_NO_PATH, 0, {"", ""}},
    {"GET", "/Queue", ROUTE_NO_PATH, 0, {"", ""}},
    {"PUT", "/queue", ROUTE_NO_METHOD, 0, {"", ""}},
    {"get", "/", ROUTE_NO_METHOD, 0, {"", ""}},
    {"GET", "/queue/%2", ROUTE_BAD, 0, {"", ""}},
    {"GET", "/queue/%g0", ROUTE_BAD, 0, {"", ""}},
};

static void the_first_row_that_fits_serves(void **state)
{
    struct arena a ARENA_LOCAL = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(found); i++) {
        struct str parts[HTTP_PARTS_MAX] = {{NULL, 0}};
        const struct http_route *row = NULL;
        struct buf allow BUF_LOCAL = {0};
        enum route_result result = route_find(table, COUNT_OF(table), str_of(found[i].method),
                                              str_of(found[i].path), &a, &row, parts, &allow);

        if (result != found[i].result) {
            print_error("case %zu: %d\n", i, (int)result);
            fail();
        }
        if (result == ROUTE_FOUND) {
            assert_ptr_equal(row, &table[found[i].row]);
            EXPECT_STR(str_head(parts[0], strlen(found[i].parts[0])), found[i].parts[0]);
            EXPECT_STR(parts[1], found[i].parts[1]);
        } else {
            assert_null(row);
            assert_int_equal(allow.len > 0, result == ROUTE_NO_METHOD);
        }
    }
}

static void what_is_encoded_is_decoded_again(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct str back;

    (void)state;
    EXPECT_STR(http_local_encode(STR("a/b c\n~\xc3\xbc"), &a), "a%2Fb%20c%0A~%C3%BC");
    assert_true(url_decode(http_local_encode(STR("\x01%\x00 +&=?#"), &a), &a, &back));
    assert_true(str_eq(back, STR("\x01%\x00 +&=?#")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_strict_heads_are_taken),
        cmocka_unit_test(sizes_of_chunks_are_hexadecimal_alone),
        cmocka_unit_test(the_first_row_that_fits_serves),
        cmocka_unit_test(what_is_encoded_is_decoded_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
