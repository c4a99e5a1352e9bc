#include "../unit.h"
#include "base/check.h"
#include "cli/compose.h"
#include "cli/inject.h"

static const struct composition us = {.from = STR_INIT("ann@here.example"),
                                      .from_name = STR_INIT("Ann \"A\" Ash"),
                                      .host = STR_INIT("here.example"),
                                      .at = {1772532000000},
                                      .number = 0xabc};

#define FROM "From: \"Ann \\\"A\\\" Ash\" <ann@here.example>\r\n"
#define DATE "Date: Tue, 03 Mar 2026 10:00:00 +0000\r\n"
#define ID   "Message-ID: <0000000000000abc@here.example>\r\n"

static void a_line_feed_by_itself_ends_a_line(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"", ""},
        {"a", "a"},
        {"a\nb\n", "a\r\nb\r\n"},
        {"a\r\nb\n", "a\r\nb\r\n"},
        {"\n\n", "\r\n\r\n"},
        {"a\rb\n", "a\rb\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out BUF_LOCAL = {0};

        compose_lines(str_of(rows[i].in), &out);
        EXPECT_STR(buf_str(&out), rows[i].want);
    }
}

static void a_message_gets_the_fields_it_lacks_and_loses_bcc(void **state)
{
    static const struct {
        const char *in, *want;
        bool is_message;
    } rows[] = {
        {"From: a@b\r\n\r\nhi\r\n", DATE ID "From: a@b\r\n\r\nhi\r\n", true},
        {"from: a@b\r\nDATE: x\r\nMessage-Id: y\r\n\r\nhi\r\n",
         "from: a@b\r\nDATE: x\r\nMessage-Id: y\r\n\r\nhi\r\n", true},
        {"Subject: s\r\nBcc: x@y,\r\n z@y\r\nTo: q@r\r\n\r\n.\r\n",
         FROM DATE ID "Subject: s\r\nTo: q@r\r\n\r\n.\r\n", false},
        {"hello you\r\n", FROM DATE ID "\r\nhello you\r\n", false},
        {"", FROM DATE ID "\r\n", false},
        {"From: a@b", DATE ID "From: a@b\r\n\r\n", true},
        {"From: a@b\r\nno field\r\n", DATE ID "From: a@b\r\n\r\nno field\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out BUF_LOCAL = {0};

        compose_complete(&us, str_of(rows[i].in), &out);
        EXPECT_STR(buf_str(&out), rows[i].want);
        assert_int_equal(compose_is_message(str_of(rows[i].in)), rows[i].is_message);
    }
}

static void a_text_becomes_the_body_of_a_message(void **state)
{
    static struct str to[] = {STR_INIT("x@a.example"), STR_INIT("y@b.example")};
    static const struct words both = {to, 2};
    static const struct {
        const char *subject, *body, *fields, *want_body;
    } rows[] = {
        {"hi", "a\r\n", "Subject: hi\r\n" DATE ID, "a\r\n"},
        {"hi", "no end", "Subject: hi\r\n" DATE ID, "no end\r\n"},
        {"a\r\nBcc: x", "", "Subject: =?utf-8?Q?a=0D=0ABcc=3A=20x?=\r\n" DATE ID, ""},
        {"=?x?", "", "Subject: =?utf-8?Q?=3D=3Fx=3F?=\r\n" DATE ID, ""},
        {"gr\xc3\xbc\xc3\x9f"
         "e und mehr als f\xc3\xbcnfzehn",
         "",
         "Subject: =?utf-8?Q?gr=C3=BC=C3=9Fe=20und=20meh?=\r\n"
         " =?utf-8?Q?r=20als=20f=C3=BCnfzehn?=\r\n" DATE ID,
         ""},
        {"s", "\xc3\xbc\r\n",
         "Subject: s\r\n" DATE ID "MIME-Version: 1.0\r\n"
         "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
         "\xc3\xbc\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out BUF_LOCAL = {0}, want BUF_LOCAL = {0};

        compose_text(&us, &both, str_of(rows[i].subject), str_of(rows[i].body), &out);
        buf_printf(&want, FROM "To: <x@a.example>,\r\n <y@b.example>\r\n%s\r\n%s", rows[i].fields,
                   rows[i].want_body);
        buf_byte(&want, 0);
        EXPECT_STR(buf_str(&out), want.ptr);
    }
}

static void recipients_are_those_of_the_fields(void **state)
{
    static const struct {
        const char *fields, *want;
    } rows[] = {
        {"To: a@b\r\n", "a@b"},
        {"To: a@b, c@d\r\nCC: e@f\r\nBcc: g@h\r\nReply-To: no@where\r\n", "a@b c@d e@f g@h"},
        {"To: Ann Ash <a@b>,\r\n \"Q, R\" <c@d> (and, more)\r\n", "a@b c@d"},
        {"To: \"x, y\"@b\r\n", "\"x, y\"@b"},
        {"To: friends: a@b, c@d;, e@f\r\n", "a@b c@d e@f"},
        {"To: nobody:;\r\n", ""},
        {"To: ann\r\n", "ann@here.example"},
        {"To: <@x,@y:a@b>\r\n", "a@b"},
        {"To: a@[IPv6:::1]\r\n", "a@[IPv6:::1]"},
        {"To: (unclosed\r\n", ""},
        {"To: \"unclosed\r\n", "\"unclosed@here.example"},
        {"To: <a@b\r\n", "a@b"},
        {"To:\r\n", ""},
        {"To: ,,;,\r\n", ""},
        {"Subject: x\r\n\r\nTo: body@x\r\n", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf got BUF_LOCAL = {0};
        struct words list;

        compose_recipients(&us, str_of(rows[i].fields), &a, &list);
        for (size_t n = 0; n < list.count; n++) {
            buf_printf(&got, "%s%.*s", n > 0 ? " " : "", STR_ARG(list.items[n]));
        }
        EXPECT_STR(buf_str(&got), rows[i].want);
    }
}

static void the_id_is_the_last_word_of_the_reply(void **state)
{
    static const struct {
        const char *reply, *want;
    } rows[] = {
        {"Ok: queued as 0123456789abcdef", "0123456789abcdef"},
        {"0123456789abcdef", "0123456789abcdef"},
        {"Ok", ""},
        {"Ok: queued as 0123456789abcdeg", ""},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        EXPECT_STR(inject_id(str_of(rows[i].reply)), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_feed_by_itself_ends_a_line),
        cmocka_unit_test(a_message_gets_the_fields_it_lacks_and_loses_bcc),
        cmocka_unit_test(a_text_becomes_the_body_of_a_message),
        cmocka_unit_test(recipients_are_those_of_the_fields),
        cmocka_unit_test(the_id_is_the_last_word_of_the_reply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
