#include "server_talk.h"

#define OPEN    "S: 220 mx.example.org ESMTP Postyard\n"
#define GREETED OPEN "C: EHLO client.example\nE:\n"
#define MAIL_OK "C: MAIL FROM:<a@b.example>\nS: 250 2.1.0 Sender ok\n"
#define RCPT_OK "C: RCPT TO:<x@y.example>\nS: 250 2.1.5 Recipient ok\n"
#define QUIT    "C: QUIT\nS: 221 2.0.0 Bye\nX:\n"
#define GO      "S: 354 End data with <CR><LF>.<CR><LF>\n"

struct dialogue {
    const char *name, *script;
};

static void run(const struct dialogue *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        print_message("         %s\n", rows[i].name);
        talk_through(rows[i].name, rows[i].script);
    }
}

static void mail_comes_in(void **state)
{
    static const struct dialogue rows[] = {
        {"one message", GREETED MAIL_OK RCPT_OK
         "C: DATA\n" GO "C: Subject: x\nC: \nC: hello\nC: .\nS: 250 2.0.0 Ok: message 1\n"
         "M: Subject: x||hello|\n" QUIT},
        {"two messages in one session", GREETED MAIL_OK RCPT_OK
         "C: DATA\n" GO "C: a\nC: .\nS: 250 2.0.0 Ok: message 1\nM: a|\n" MAIL_OK RCPT_OK
         "C: DATA\n" GO "C: .\nS: 250 2.0.0 Ok: message 2\nM: \n" QUIT},
        {"pipelined", OPEN "C: EHLO client.example\nE:\n"
                           "C: MAIL FROM:<> SIZE=10 BODY=8BITMIME\nC: RCPT TO:<x@y.example>\nC: "
                           "RCPT TO:<no@y.example>\nC: DATA\n"
                           "S: 250 2.1.0 Sender ok\nS: 250 2.1.5 Recipient ok\n"
                           "S: 550 5.1.1 No such mailbox here\n" GO
                           "C: hi\nC: .\nC: MAIL FROM:<b@b.example>\nS: 250 2.0.0 Ok: message 1\n"
                           "S: 250 2.1.0 Sender ok\nM: hi|\n" QUIT},
        {"dots", GREETED MAIL_OK RCPT_OK
         "C: DATA\n" GO
         "C: ..\nC: .x\nC: ...\nC: a.\nC: .\nS: 250 2.0.0 Ok: message 1\nM: .|x|..|a.|\n" QUIT},
        {"HELO gives nothing but the old commands",
         OPEN "C: HELO client.example\nS: 250 mx.example.org\n"
              "C: MAIL FROM:<a@b.example> SIZE=10\nS: 555 5.5.4 Unknown parameter: SIZE\n" MAIL_OK
                  RCPT_OK "C: DATA\n" GO "C: a\nC: .\nS: 250 2.0.0 Ok: message 1\n" QUIT},
        {"8-bit content", GREETED MAIL_OK RCPT_OK
         "C: DATA\n" GO
         "C: gr\\xc3\\xbc\\xdf\nC: .\nS: 250 2.0.0 Ok: message 1\nM: gr\\xc3\\xbc\\xdf|\n" QUIT},
        {"UTF-8 envelope",
         GREETED "C: MAIL FROM:<j\\xc3\\xb6rg@b.example> SMTPUTF8\nS: 250 2.1.0 Sender ok\n"
                 "C: RCPT TO:<\\xc3\\xbc@y.example>\nS: 250 2.1.5 Recipient ok\n" QUIT},
        {"the client goes away", GREETED MAIL_OK "X:\n"},
    };

    run(rows, COUNT_OF(rows));
    (void)state;
}

static void chunks_come_in(void **state)
{
    static const struct dialogue rows[] = {
        {"one chunk", GREETED MAIL_OK RCPT_OK
         "C: BDAT 7 LAST\nC: hello\nS: 250 2.0.0 Ok: message 1\nM: hello|\n" QUIT},
        {"several, pipelined", GREETED
         "C: MAIL FROM:<a@b.example>\nC: RCPT TO:<x@y.example>\nC: BDAT 3\nR: ab.\nC: BDAT 0\n"
         "C: BDAT 4 LAST\nR: \\r\\n.x\n"
         "S: 250 2.1.0 Sender ok\nS: 250 2.1.5 Recipient ok\nS: 250 2.0.0 3 octets received\n"
         "S: 250 2.0.0 0 octets received\nS: 250 2.0.0 Ok: message 1\nM: ab.|.x\n" QUIT},
        {"an empty last chunk", GREETED MAIL_OK RCPT_OK
         "C: BDAT 5\nR: .\\r\\nab\nC: BDAT 0 LAST\nS: 250 2.0.0 5 octets received\n"
         "S: 250 2.0.0 Ok: message 1\nM: .|ab\n" QUIT},
        {"binary when it was claimed",
         GREETED "C: MAIL FROM:<a@b.example> BODY=BINARYMIME\nS: 250 2.1.0 Sender ok\n" RCPT_OK
                 "C: DATA\nS: 503 5.5.1 BODY=BINARYMIME needs BDAT\n"
                 "C: BDAT 4 LAST\nR: a\\n\\0b\nS: 250 2.0.0 Ok: message 1\nM: a\\n\\0b\n" QUIT},
        {"binary when it was not", GREETED MAIL_OK RCPT_OK
         "C: BDAT 4 LAST\nR: a\\n\\0b\n"
         "S: 550 5.6.0 The message has a bare CR, a bare LF or a NUL\n" QUIT},
        {"nothing but BDAT between chunks", GREETED MAIL_OK RCPT_OK
         "C: BDAT 2\nR: ab\nS: 250 2.0.0 2 octets received\n"
         "C: RCPT TO:<z@y.example>\nS: 503 5.5.1 A message is being sent with BDAT\n"
         "C: MAIL FROM:<>\nS: 503 5.5.1 A message is being sent with BDAT\n"
         "C: DATA\nS: 503 5.5.1 A message is being sent with BDAT\n"
         "C: NOOP\nS: 250 2.0.0 Ok\n"
         "C: BDAT 1 LAST\nR: c\nS: 250 2.0.0 Ok: message 1\nM: abc\n" QUIT},
        {"RSET between chunks",
         GREETED MAIL_OK RCPT_OK "C: BDAT 2\nR: ab\nS: 250 2.0.0 2 octets received\n"
                                 "C: RSET\nS: 250 2.0.0 Reset\n" MAIL_OK RCPT_OK
                                 "C: BDAT 1 LAST\nR: c\nS: 250 2.0.0 Ok: message 1\nM: c\n" QUIT},
        {"after a failed chunk all is refused until RSET", GREETED MAIL_OK RCPT_OK
         "C: BDAT 4\nR: STOP\nS: 451 4.3.0 Stopped\n"
         "C: BDAT 3 LAST\nR: abc\nS: 503 5.5.1 An earlier BDAT failed; say RSET first\n"
         "C: MAIL FROM:<>\nS: 503 5.5.1 An earlier BDAT failed; say RSET first\n"
         "C: RSET\nS: 250 2.0.0 Reset\n" MAIL_OK QUIT},
        {"chunks without recipients are read and refused",
         GREETED "C: BDAT 6\nR: QUIT\\r\\n\nS: 503 5.5.1 Say MAIL first\n" QUIT},
        {"a chunk without a size ends the session", GREETED MAIL_OK RCPT_OK
         "C: BDAT x\nS: 501 5.5.4 Syntax: BDAT size [LAST]; closing connection\nX:\n"},
        {"a chunk with nothing ends the session",
         GREETED "C: BDAT\nS: 501 5.5.4 Syntax: BDAT size [LAST]; closing connection\nX:\n"},
    };

    run(rows, COUNT_OF(rows));
    (void)state;
}

/* no bare CR comes in by DATA, so outside dots are doubled after CR LF and nowhere else. */
static void bad_content_is_read_to_its_end_and_refused(void **state)
{
    static const struct dialogue rows[] = {
        {"only CR LF . CR LF ends data", GREETED MAIL_OK RCPT_OK
         "C: DATA\n" GO "R: a\\n.\\n\nR: b\\r.\\r\nR: c\\r\\n.\\n\nC: d\nC: .\n"
         "S: 550 5.6.0 The message has a bare CR, a bare LF or a NUL\n" QUIT},
        {"a smuggled message stays inside", GREETED MAIL_OK RCPT_OK
         "C: DATA\n" GO
         "R: a\\r\\n.\\n\nC: MAIL FROM:<evil@b.example>\nC: RCPT TO:<x@y.example>\nC: DATA\nC: b\n"
         "C: .\nS: 550 5.6.0 The message has a bare CR, a bare LF or a NUL\n" QUIT},
        {"NUL", GREETED MAIL_OK RCPT_OK
         "C: DATA\n" GO
         "C: a\\0b\nC: .\nS: 550 5.6.0 The message has a bare CR, a bare LF or a NUL\n" QUIT},
        {"stopped in the middle", GREETED MAIL_OK RCPT_OK
         "C: DATA\n" GO "C: STOP\nC: more\nC: .\nS: 451 4.3.0 Stopped\n" MAIL_OK QUIT},
        {"SIZE= too large",
         GREETED "C: MAIL FROM:<a@b.example> SIZE=100001\nS: 552 5.3.4 Message too large\n"
                 "C: MAIL FROM:<a@b.example> SIZE=100000\nS: 250 2.1.0 Sender ok\n" QUIT},
    };

    run(rows, COUNT_OF(rows));
    (void)state;
}

static void the_order_of_commands_is_kept(void **state)
{
    static const struct dialogue rows[] = {
        {"nothing before EHLO",
         OPEN "C: MAIL FROM:<a@b.example>\nS: 503 5.5.1 Say EHLO or HELO first\n"
              "C: DATA\nS: 503 5.5.1 Say EHLO or HELO first\n"
              "C: NOOP\nS: 250 2.0.0 Ok\nC: RSET\nS: 250 2.0.0 Reset\n" QUIT},
        {"RCPT and DATA in their places",
         GREETED "C: RCPT TO:<x@y.example>\nS: 503 5.5.1 Say MAIL first\n"
                 "C: DATA\nS: 503 5.5.1 Say MAIL first\n" MAIL_OK
                 "C: DATA\nS: 503 5.5.1 No valid recipients\n"
                 "C: MAIL FROM:<>\nS: 503 5.5.1 A transaction is open already\n"
                 "C: RCPT TO:<no@y.example>\nS: 550 5.1.1 No such mailbox here\n"
                 "C: DATA\nS: 503 5.5.1 No valid recipients\n" RCPT_OK "C: DATA\n" GO
                 "C: .\nS: 250 2.0.0 Ok: message 1\nC: DATA\nS: 503 5.5.1 Say MAIL first\n" QUIT},
        {"a refused sender opens nothing",
         GREETED "C: MAIL FROM:<no@b.example>\nC: RCPT TO:<x@y.example>\nS: 550 5.7.1 No\n"
                 "S: 503 5.5.1 Say MAIL first\n" QUIT},
        {"RSET and EHLO end the transaction", GREETED MAIL_OK RCPT_OK
         "C: RSET\nS: 250 2.0.0 Reset\nC: RCPT TO:<x@y.example>\nS: 503 5.5.1 Say MAIL "
         "first\n" MAIL_OK
         "C: EHLO other.example\nE:\nC: DATA\nS: 503 5.5.1 Say MAIL first\n" QUIT},
        {"a wrong EHLO changes nothing", GREETED MAIL_OK
         "C: EHLO not_a/name\nS: 501 5.5.4 Give a domain name or an address literal\n" RCPT_OK
         "C: EHLO evil.example\nS: 550 5.7.1 Go away\n"
         "C: RCPT TO:<x@y.example>\nS: 503 5.5.1 Say MAIL first\n" MAIL_OK QUIT},
        {"a refused name is none",
         "S: 220 mx.example.org ESMTP Postyard\nC: EHLO evil.example\nS: 550 5.7.1 Go away\n"
         "C: MAIL FROM:<>\nS: 503 5.5.1 Say EHLO or HELO first\n" QUIT},
        {"!refused DATA with content behind it ends the session", GREETED MAIL_OK
         "C: DATA\nC: RCPT TO:<x@y.example>\nC: .\n"
         "S: 503 5.5.1 Data was sent before it was asked for; closing connection\nX:\n"},
        {"STARTTLS is not offered without a certificate",
         GREETED "C: STARTTLS\nS: 502 5.5.1 Command not implemented\n" QUIT},
    };

    run(rows, COUNT_OF(rows));
    (void)state;
}

static void small_commands_are_answered(void **state)
{
    static const struct dialogue rows[] = {
        {"all of them", GREETED
         "C: noop x\nS: 250 2.0.0 Ok\nC: VRFY x\nS: 252 2.5.2 Send some mail, I will try my best\n"
         "C: EXPN x\nS: 502 5.5.1 Command not implemented\n"
         "C: HELP\nS: 214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP "
         "STARTTLS QUIT; see RFC 5321\n"
         "C: AUTH PLAIN x\nS: 502 5.5.1 Command not implemented\n"
         "C: FOO\nS: 500 5.5.1 Command not recognized\n"
         "C: QUIT now\nS: 501 5.5.4 This command takes no argument\n" QUIT},
        {"parameters that were not offered", GREETED
         "C: MAIL FROM:<a@b.example> HOLDFOR=1\nS: 555 5.5.4 Unknown parameter: HOLDFOR\n"
         "C: MAIL FROM:<a@b.example> REQUIRETLS\nS: 555 5.5.4 Unknown parameter: REQUIRETLS\n"
         "C: MAIL FROM:<a@b.example> BY=1;R\nS: 555 5.5.4 Unknown parameter: BY\n"
         "C: MAIL FROM:<a@b.example> MT-PRIORITY=1\nS: 555 5.5.4 Unknown parameter: "
         "MT-PRIORITY\n"
         "C: MAIL FROM:<a@b.example> AUTH=<>\nS: 555 5.5.4 Unknown parameter: AUTH\n" QUIT},
        {"another protocol",
         OPEN "C: GET / HTTP/1.1\nC: Host: mx\nC: \nC: MAIL FROM:<a@b.example>\n"
              "S: 554 5.5.1 This is a mail server; closing connection\nX:\n"},
    };

    run(rows, COUNT_OF(rows));
    (void)state;
}

static void garbage_is_answered_and_not_obeyed(void **state)
{
    static const struct dialogue rows[] = {
        {"bare LF",
         GREETED "R: MAIL FROM:<a@b.example>\\n\n"
                 "S: 500 5.5.2 Lines end with CR LF; bare CR, bare LF and NUL are not allowed\n"
                 "C: RCPT TO:<x@y.example>\nS: 503 5.5.1 Say MAIL first\n" QUIT},
        {"bare CR", GREETED
         "R: MAIL FROM:<a@b.example>\\rRSET\\r\\n\n"
         "S: 500 5.5.2 Lines end with CR LF; bare CR, bare LF and NUL are not allowed\n" QUIT},
        {"NUL", GREETED
         "C: MAIL FROM:<a@b.example>\\0\n"
         "S: 500 5.5.2 Lines end with CR LF; bare CR, bare LF and NUL are not allowed\n" QUIT},
        {"8-bit in the envelope without SMTPUTF8",
         GREETED "C: MAIL FROM:<\\xc3\\xbc@b.example>\nS: 553 5.6.7 A non-ASCII address needs "
                 "SMTPUTF8\n" MAIL_OK "C: RCPT TO:<\\xc3\\xbc@y.example>\n"
                 "S: 553 5.6.7 A non-ASCII address needs SMTPUTF8\n" QUIT},
        {"a space behind the colon", GREETED
         "C: MAIL FROM: <a@b.example>\nS: 501 5.5.2 No space is allowed after the colon\n" QUIT},
    };

    run(rows, COUNT_OF(rows));
    (void)state;
}

static void repeat(struct buf *script, unsigned times, const char *text)
{
    for (unsigned i = 0; i < times; i++) {
        buf_put(script, str_of(text));
    }
}

static void limits_end_what_goes_beyond(void **state)
{
    struct buf b BUF_LOCAL = {0};

    /* Errors. */
    buf_put(&b, STR(OPEN));
    repeat(&b, 20, "C: FOO\nS: 500 5.5.1 Command not recognized\n");
    buf_put(&b, STR("S: 421 4.7.0 Too many errors, closing connection\nX:\n"));
    buf_byte(&b, '\0');
    talk_through("errors", b.ptr);

    /* Refusals. */
    buf_clear(&b);
    buf_put(&b, STR(GREETED MAIL_OK));
    repeat(&b, 30, "C: RCPT TO:<no@y.example>\nS: 550 5.1.1 No such mailbox here\n");
    buf_put(&b, STR("S: 421 4.7.0 Too many errors, closing connection\nX:\n"));
    buf_byte(&b, '\0');
    talk_through("refusals", b.ptr);

    /* Commands without a message. */
    buf_clear(&b);
    buf_put(&b, STR(GREETED));
    repeat(&b, 99, "C: NOOP\nS: 250 2.0.0 Ok\n");
    buf_put(&b, STR("S: 421 4.7.0 Too many commands, closing connection\nX:\n"));
    buf_byte(&b, '\0');
    talk_through("commands", b.ptr);

    /* A long line, and the session goes on. */
    buf_clear(&b);
    buf_put(&b, STR(GREETED "R: NOOP "));
    repeat(&b, 20000, "x");
    buf_put(&b, STR("\\r\\n\nS: 500 5.5.2 Line too long\nC: NOOP\nS: 250 2.0.0 Ok\n" QUIT));
    buf_byte(&b, '\0');
    talk_through("line", b.ptr);

    /* A line of content over 998 octets. */
    buf_clear(&b);
    buf_put(&b, STR(GREETED MAIL_OK RCPT_OK "C: DATA\n" GO "C: "));
    repeat(&b, 999, "x");
    buf_put(&b, STR("\nC: .\nS: 550 5.6.0 The message has a line over 998 octets\n" QUIT));
    buf_byte(&b, '\0');
    talk_through("content line", b.ptr);

    /* A message over its size, by DATA and by BDAT. */
    buf_clear(&b);
    buf_put(&b, STR(GREETED MAIL_OK RCPT_OK "C: DATA\n" GO "R: "));
    repeat(&b, 10001, "01234567\\r\\n");
    buf_put(&b, STR("\nC: .\nS: 552 5.3.4 Message too large\n" MAIL_OK RCPT_OK
                    "C: BDAT 100001 LAST\nR: "));
    repeat(&b, 100001, "x");
    buf_put(&b, STR("\nS: 552 5.3.4 Message too large\nC: NOOP\nS: 250 2.0.0 Ok\n" QUIT));
    buf_byte(&b, '\0');
    talk_through("size", b.ptr);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_comes_in),
        cmocka_unit_test(chunks_come_in),
        cmocka_unit_test(bad_content_is_read_to_its_end_and_refused),
        cmocka_unit_test(the_order_of_commands_is_kept),
        cmocka_unit_test(small_commands_are_answered),
        cmocka_unit_test(garbage_is_answered_and_not_obeyed),
        cmocka_unit_test(limits_end_what_goes_beyond),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
