/* The message taken apart, as RFC 8621 section 4.1.4 says which parts are its body. */
#include "draft_view.h"
#include "mail/header.h"

static struct doc take_apart(struct arena *a, const char *text)
{
    struct header_walk walk = {str_of(text), 0};
    struct hook_field *fields = arena_array(a, 16, sizeof(*fields));
    struct hook_view view = example_view(HOOK_DATA);
    struct header_field f;
    struct doc d;

    view.field_count = 0;
    while (header_next(&walk, &f)) {
        fields[view.field_count++] = (struct hook_field){f.name, f.value, f.whole};
    }
    view.fields = fields;
    view.body = (struct hook_bytes){.whole = str_skip(str_of(text), walk.at)};
    view.body.size = view.body.whole.len;
    view.message_bytes = strlen(text);
    draft_tree(&view, true, NULL, a, &d);
    return *doc_get(&d, "message");
}

/* "1 2 / 1 3 / 4": text body, html body, attachments. */
static void say_views(struct buf *out, const struct doc *m)
{
    static const char *const lists[] = {"textBody", "htmlBody", "attachments"};

    for (int k = 0; k < 3; k++) {
        const struct doc *list = doc_get(m, lists[k]);

        buf_put(out, k > 0 ? STR("/") : STR(""));
        for (uint32_t i = 0; i < list->count; i++) {
            buf_put(out, i > 0 ? STR(" ") : STR(""));
            buf_put(out, doc_get(&list->members[i].value, "partId")->text);
        }
    }
}

#define MULTI(kind, boundary) "Content-Type: multipart/" kind "; boundary=" boundary "\r\n\r\n"
#define PART(boundary, type)  "--" boundary "\r\nContent-Type: " type "\r\n\r\nx\r\n"
#define NEST(boundary)        "--" boundary "\r\n"
#define END(boundary)         "--" boundary "--\r\n"

static void bodies_and_attachments(void **state)
{
    static const struct row {
        const char *message, *want;
    } rows[] = {
        {"Subject: x\r\n\r\nhi\r\n", "1/1/"},
        {"Content-Type: text/html\r\n\r\nhi\r\n", "1/1/"},
        {"Content-Type: application/pdf\r\n\r\nhi\r\n", "//1"},
        {MULTI("alternative", "a") PART("a", "text/plain") PART("a", "text/html") END("a"), "1/2/"},
        {MULTI("alternative", "a") PART("a", "text/plain") END("a"), "1/1/"},
        {MULTI("alternative", "a") PART("a", "text/plain") PART("a", "image/png") END("a"),
         "1/1/2"},
        {MULTI("mixed", "a") PART("a", "text/plain") PART("a", "application/pdf") END("a"),
         "1/1/2"},
        {MULTI("mixed", "a") PART("a", "text/plain") PART("a", "image/png")
             PART("a", "text/plain; name=a.txt") PART("a", "text/plain") END("a"),
         "1 2 4/1 2 4/3"},
        {MULTI("mixed", "a") NEST("a") MULTI("alternative", "b") PART("b", "text/plain") NEST("b")
             MULTI("related", "c") PART("c", "text/html") PART("c", "image/png") END("c") END("b")
                 PART("a", "application/pdf") END("a"),
         "1/2/3 4"},
        {MULTI("related", "a") PART("a", "text/html") PART("a", "image/png") END("a"), "1/1/2"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf said BUF_LOCAL = {0};
        struct doc m = take_apart(&a, rows[i].message);

        say_views(&said, &m);
        if (!str_eq(buf_str(&said), str_of(rows[i].want))) {
            fail_msg("row %zu: got %.*s, want %s", i, STR_ARG(buf_str(&said)), rows[i].want);
        }
        assert_int_equal(doc_get(&m, "hasAttachment")->yes, !str_ends(buf_str(&said), STR("/")));
    }
}

static void contents_take_the_place_of_blobs(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf json BUF_LOCAL = {0};
    struct doc m = take_apart(&a, MULTI("mixed", "a") "--a\r\n"
                                                      "Content-Type: text/plain; charset=utf-8\r\n"
                                                      "\r\n"
                                                      "gr\xc3\xbc\xff\r\n"
                                                      "--a\r\n"
                                                      "Content-Type: image/png\r\n"
                                                      "Content-Transfer-Encoding: base64\r\n"
                                                      "\r\n"
                                                      "AQID\r\n" END("a"));

    (void)state;
    doc_write_json(&json, doc_get(&m, "bodyValues"));
    EXPECT_STR(buf_str(&json), "{\"1\":{\"value\":\"gr\xc3\xbc\xef\xbf\xbd\",\"isEncodingProblem\":"
                               "true,\"isTruncated\":false}}");
    buf_clear(&json);
    doc_write_json(
        &json,
        doc_get(&doc_get(doc_get(&m, "bodyStructure"), "subParts")->members[1].value, "blob"));
    EXPECT_STR(buf_str(&json), "\"AQID\"");
    assert_null(doc_get(&doc_get(&m, "textBody")->members[1].value, "blob"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_and_attachments),
        cmocka_unit_test(contents_take_the_place_of_blobs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
