#include "draft_view.h"
#include "hooks/draft_filter.h"

static const struct doc_limits limits = {DRAFT_FILTER_BYTES_MAX, 500, 32, 64, false};

static struct doc read_json(struct arena *a, const char *json)
{
    struct buf why BUF_LOCAL = {0};
    struct doc d;

    assert_int_equal(doc_read_json(str_of(json), &limits, a, &d, &why).code, OK);
    return d;
}

/* The mail is from ann@a.example to bo@example.net and cy@example.org, 80 bytes. */
static void mail_is_asked_about_or_not(void **state)
{
    static const struct row {
        enum hook_stage stage;
        const char *filter;
        bool asks;
    } rows[] = {
        /* DR-69 */
        {HOOK_MAIL, "{\"envelopeFrom\":\"*@a.example\"}", true},
        {HOOK_MAIL, "{\"envelopeFrom\":\"*@b.example\"}", false},
        {HOOK_MAIL, "{\"envelopeFrom\":\"ANN@A.example\"}", true},
        {HOOK_MAIL, "{\"envelopeFrom\":\"ann\"}", false},
        {HOOK_MAIL, "{\"envelopeFrom\":\"*nn*ex*\"}", true},
        {HOOK_MAIL, "{\"envelopeFrom\":\"*\"}", true},
        {HOOK_MAIL, "{\"envelopeFrom\":\"\"}", false},
        /* the recipient in question is the last */
        {HOOK_RCPT, "{\"envelopeTo\":\"cy@*\"}", true},
        {HOOK_RCPT, "{\"envelopeTo\":\"bo@*\"}", false},
        {HOOK_DATA, "{\"envelopeTo\":\"bo@*\"}", true},
        {HOOK_DATA, "{\"envelopeTo\":\"di@*\"}", false},
        /* what is not known yet does not count */
        {HOOK_CONNECT, "{\"envelopeFrom\":\"x\"}", true},
        {HOOK_MAIL, "{\"envelopeTo\":\"x\"}", true},
        {HOOK_RCPT, "{\"subject\":\"x\"}", true},
        {HOOK_RCPT, "{\"envelopeFrom\":\"x\",\"subject\":\"x\"}", false},
        {HOOK_RCPT,
         "{\"operator\":\"OR\",\"conditions\":[{\"envelopeFrom\":\"x\"},{\"subject\":\"x\"}]}",
         false},
        {HOOK_RCPT, "{\"operator\":\"NOT\",\"conditions\":[{\"subject\":\"x\"}]}", true},
        /* contents */
        {HOOK_DATA, "{\"subject\":\"INVOICE\"}", true},
        {HOOK_DATA, "{\"subject\":\"receipt\"}", false},
        {HOOK_DATA, "{\"from\":\"a\"}", true},
        {HOOK_DATA, "{\"to\":\"a\"}", false},
        {HOOK_DATA, "{\"header\":[\"x-tag\"]}", true},
        {HOOK_DATA, "{\"header\":[\"X-Tag\",\"TWO\"]}", true},
        {HOOK_DATA, "{\"header\":[\"X-Tag\",\"three\"]}", false},
        {HOOK_DATA, "{\"body\":\"please\"}", true},
        {HOOK_DATA, "{\"body\":\"invoice\"}", false},
        {HOOK_DATA, "{\"text\":\"invoice\"}", true},
        {HOOK_DATA, "{\"minSize\":80,\"maxSize\":81}", true},
        {HOOK_DATA, "{\"minSize\":81}", false},
        {HOOK_DATA, "{\"maxSize\":80}", false},
        {HOOK_DATA, "{\"hasAttachment\":false}", true},
        {HOOK_DATA, "{\"hasAttachment\":true}", false},
        /* operators */
        {HOOK_DATA,
         "{\"operator\":\"AND\",\"conditions\":[{\"subject\":\"invoice\"},{\"body\":\"pay\"}]}",
         true},
        {HOOK_DATA,
         "{\"operator\":\"AND\",\"conditions\":[{\"subject\":\"invoice\"},{\"body\":\"x\"}]}",
         false},
        {HOOK_DATA, "{\"operator\":\"OR\",\"conditions\":[{\"subject\":\"x\"},{\"body\":\"pay\"}]}",
         true},
        {HOOK_DATA, "{\"operator\":\"NOT\",\"conditions\":[{\"subject\":\"x\"},{\"body\":\"z\"}]}",
         true},
        {HOOK_DATA,
         "{\"operator\":\"NOT\",\"conditions\":[{\"subject\":\"x\"},{\"body\":\"pay\"}]}", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct hook_view view = example_view(rows[i].stage);
        struct doc filter = read_json(&a, rows[i].filter);

        assert_true(draft_filter_check(&filter, &why));
        if (draft_filter_matches(&filter, &view, &a) != rows[i].asks) {
            fail_msg("%s", rows[i].filter);
        }
    }
}

static void filters_that_are_none_are_refused(void **state)
{
    static const char *const rows[] = {
        "[]",
        "{}",
        "{\"inMailbox\":\"x\"}",
        "{\"envelopeFrom\":1}",
        "{\"minSize\":-1}",
        "{\"header\":[]}",
        "{\"header\":[\"a\",\"b\",\"c\"]}",
        "{\"hasAttachment\":\"true\"}",
        "{\"operator\":\"XOR\",\"conditions\":[{\"from\":\"x\"}]}",
        "{\"operator\":\"AND\",\"conditions\":[]}",
        "{\"operator\":\"AND\"}",
        "{\"operator\":\"AND\",\"conditions\":[{\"from\":\"x\"}],\"from\":\"x\"}",
        "{\"operator\":\"AND\",\"conditions\":[1]}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct doc filter = read_json(&a, rows[i]);

        if (draft_filter_check(&filter, &why) || why.len == 0) {
            fail_msg("%s", rows[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_is_asked_about_or_not),
        cmocka_unit_test(filters_that_are_none_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
