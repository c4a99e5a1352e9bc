#include "../unit.h"
#include "base/buf.h"
#include "base/check.h"
#include "mime/mime.h"
#include "runtime/loop.h"

static struct mime_message parse(struct arena *a, struct str text)
{
    struct mime_message m;

    assert_int_equal(mime_parse(text, a, &m).code, OK);
    return m;
}

static void a_message_is_taken_apart(void **state)
{
    static const struct str text = STR_INIT(
        "From: =?utf-8?Q?Ann_=C3=84?= <ann@a.example>, b@b.example\r\n"
        "To: friends: c@c.example, \"D, d\" <d@d.example>;\r\n"
        "Message-ID: <1@a.example>\r\n"
        "References: <2@a.example>\r\n <3@a.example>\r\n"
        "Date: Mon, 2 Nov 2026 11:00:00 +0100\r\n"
        "Subject: =?iso-8859-1?Q?gr=FC=DF?=\r\n"
        "Content-Type: multipart/mixed; boundary=x\r\n"
        "\r\n"
        "--x\r\n"
        "Content-Type: text/plain; charset=iso-8859-1\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "gr=FC=DF\r\n"
        "--x\r\n"
        "Content-Type: application/pdf; name=a.pdf\r\n"
        "Content-Disposition: attachment; filename=b.pdf\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        "Content-ID: <part@a>\r\n"
        "\r\n"
        "AQID\r\n"
        "--x\r\n"
        "Content-Type: message/rfc822\r\n"
        "\r\n"
        "Subject: inner\r\n"
        "\r\n"
        "inside\r\n"
        "--x--\r\n");
    struct arena a ARENA_LOCAL = {0};
    struct mime_message m = parse(&a, text);

    (void)state;
    assert_int_equal(m.from.count, 2);
    EXPECT_STR(m.from.items[0].name, "Ann \xc3\x84");
    EXPECT_STR(m.from.items[0].email, "ann@a.example");
    EXPECT_STR(m.from.items[1].name, "");
    assert_int_equal(m.to.count, 2);
    EXPECT_STR(m.to.items[1].name, "D, d");
    EXPECT_STR(m.message_id.items[0], "1@a.example");
    assert_int_equal(m.references.count, 2);
    EXPECT_STR(m.references.items[1], "3@a.example");
    EXPECT_STR(m.subject, "gr\xc3\xbc\xc3\x9f");
    EXPECT_STR(m.sent_at, "2026-11-02T11:00:00+01:00");
    EXPECT_STR(m.root.type, "multipart/mixed");
    assert_int_equal(m.root.part_count, 3);
    EXPECT_STR(m.root.parts[0].id, "1");
    EXPECT_STR(m.root.parts[0].text, "gr\xc3\xbc\xc3\x9f");
    assert_false(m.root.parts[0].has_problem);
    EXPECT_STR(m.root.parts[1].name, "b.pdf");
    EXPECT_STR(m.root.parts[1].disposition, "attachment");
    EXPECT_STR(m.root.parts[1].cid, "part@a");
    assert_true(str_eq(m.root.parts[1].content, STR("\x01\x02\x03")));
    EXPECT_STR(m.root.parts[2].type, "message/rfc822");
    assert_true(str_find_str(m.root.parts[2].content, STR("inside")) != STR_NONE);
    assert_int_equal(m.root.parts[2].part_count, 0);
}

static void mail_that_is_hardly_mail(void **state)
{
    static const struct str rows[] = {
        STR_INIT(""),
        STR_INIT("\r\n"),
        STR_INIT("no header at all"),
        STR_INIT("Content-Type: multipart/mixed\r\n\r\nno boundary\r\n"),
        STR_INIT("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"),
        STR_INIT("Content-Type: \xff\xfe; charset=\"\xff\"\r\nSubject: \xff\r\n\r\n\xff\xfe"),
        STR_INIT("Content-Type: text/plain; charset=no-such-thing\r\n\r\n\xff\r\n"),
        STR_INIT("Date: nonsense\r\nFrom: <<>>,,@:;\r\nReferences: <<\r\n\r\n"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct mime_message m = parse(&a, rows[i]);

        assert_true(str_is_utf8(m.subject));
        assert_true(str_is_utf8(m.root.text));
        assert_true(str_is_utf8(m.root.type));
    }
}

/* In a fiber, since what is at stake is the big stack's size. */
static void announce_too_much(void *arg)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf text BUF_LOCAL = {0};
    struct mime_message m;

    (void)arg;
    for (int depth = 0; depth < MIME_PARTS_MAX; depth++) {
        buf_printf(&text, "%s%d%s", "Content-Type: multipart/mixed; boundary=b", depth, "\r\n\r\n");
        buf_printf(&text, "--b%d\r\n", depth);
    }
    /* as deep as it may be announced: read by the library, but not shown */
    assert_int_equal(mime_parse(buf_str(&text), &a, &m).code, ERR_LIMIT);
    buf_put(&text, STR("Content-Type: text/plain\r\n"));
    assert_int_equal(mime_parse(buf_str(&text), &a, &m).code, ERR_LIMIT);
    /* messages in messages are not shown either, but the library reads them */
    buf_clear(&text);
    for (int depth = 0; depth < MIME_PARTS_MAX; depth++) {
        buf_put(&text, STR("Content-Type: message/rfc822\r\n\r\n"));
    }
    assert_int_equal(mime_parse(buf_str(&text), &a, &m).code, OK);
    assert_int_equal(m.root.part_count, 0);
}

static void parts_and_depth_are_limited(void **state)
{
    (void)state;
    run_alone("mime", announce_too_much, NULL);
}

static void fields_of_parts_are_limited(void **state)
{
    static const struct row {
        int parts, fields; /* of each part, beside its type */
        enum err_code code;
    } rows[] = {
        {1, MIME_PART_HEADERS_MAX - 1, OK},
        {1, MIME_PART_HEADERS_MAX, ERR_LIMIT},
        {19, MIME_PART_HEADERS_MAX - 1, OK},
        {21, MIME_PART_HEADERS_MAX - 1, ERR_LIMIT},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf text BUF_LOCAL = {0};
        struct mime_message m;

        buf_put(&text, STR("Content-Type: multipart/mixed; boundary=b\r\n\r\n"));
        for (int p = 0; p < rows[i].parts; p++) {
            buf_put(&text, STR("--b\r\nContent-Type: text/plain\r\n"));
            for (int f = 0; f < rows[i].fields; f++) {
                buf_put(&text, STR("a:\r\n"));
            }
            buf_put(&text, STR("\r\nx\r\n"));
        }
        buf_put(&text, STR("--b--\r\n"));
        if (mime_parse(buf_str(&text), &a, &m).code != rows[i].code) {
            fail_msg("row %zu", i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_taken_apart),
        cmocka_unit_test(mail_that_is_hardly_mail),
        cmocka_unit_test(parts_and_depth_are_limited),
        cmocka_unit_test(fields_of_parts_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
