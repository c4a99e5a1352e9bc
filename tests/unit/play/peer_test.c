#include "talk.h"

#define OPEN       "S: 220 sink.example ESMTP postyard sink\nC: EHLO client.example\nE:\n"
#define GREET_LMTP "S: 220 sink.example LMTP"
#define OPEN_LMTP  GREET_LMTP " postyard sink\nC: LHLO x\nE:\n"
#define MAIL_OK    "C: MAIL FROM:<a@b.example>\nS: 250 2.1.0 Sender ok\n"
#define RCPT_OK    "C: RCPT TO:<x@y.example>\nS: 250 2.1.5 Recipient ok\n"
#define CONTENT    "C: DATA\nS: 354 Go ahead\nC: Subject: x\nC: \nC: ..dot\nC: .\n"
#define BYE        "C: QUIT\nS: 221 2.0.0 Bye\nX:\n"

struct row {
    const char *name;
    const char *words[8];
    const char *script;
    const char *envelope, *content; /* NULL: no message is taken */
};

static void run(struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int simulated = 0; simulated < 2; simulated++) {
            struct talk t = {.script = rows[i].script,
                             .lmtp = str_starts(str_of(rows[i].script), STR(GREET_LMTP))};

            memcpy(t.words, rows[i].words, sizeof t.words);
            print_message("         %s\n", rows[i].name);
            if (simulated) {
                talk_simulated(&t);
            } else {
                run_alone("talk", talk_fiber, &t);
            }
            assert_int_equal(t.messages, rows[i].envelope != NULL);
            if (rows[i].envelope != NULL) {
                EXPECT_STR(buf_str(&t.envelope), rows[i].envelope);
                EXPECT_STR(buf_str(&t.content), rows[i].content);
            }
            assert_int_equal(t.counts.open, 0);
            talk_done(&t);
        }
    }
}

static void mail_is_taken_exactly(void **state)
{
    struct row rows[] = {
        {"one message by DATA",
         {NULL},
         OPEN MAIL_OK RCPT_OK CONTENT "S: 250 2.0.0 Ok\n" BYE,
         "a@b.example > x@y.example ",
         "Subject: x\r\n\r\n.dot\r\n"},
        {"pipelined, with parameters",
         {NULL},
         OPEN "C: MAIL FROM:<> SIZE=10 RET=HDRS\nC: RCPT TO:<\"a>b\"@y> NOTIFY=NEVER\n"
              "C: RCPT TO:<z@y>\nC: DATA\nS: 250 2.1.0 Sender ok\n"
              "S: 250 2.1.5 Recipient ok\nS: 250 2.1.5 Recipient ok\nS: 354 Go ahead\n"
              "C: .\nS: 250 2.0.0 Ok\n" BYE,
         " SIZE=10 RET=HDRS> \"a>b\"@y NOTIFY=NEVER z@y ",
         ""},
        {"chunks, dots untouched",
         {NULL},
         OPEN MAIL_OK RCPT_OK "C: BDAT 3\nC: a\nC: BDAT 4 LAST\nC: ..\n"
                              "S: 250 2.0.0 Go on\nS: 250 2.0.0 Ok\n" BYE,
         "a@b.example > x@y.example ",
         "a\r\n..\r\n"},
        {"nothing out of order",
         {NULL},
         "S: 220 sink.example ESMTP postyard sink\nC: MAIL FROM:<a@b>\n"
         "S: 503 5.5.1 Say EHLO first\nC: LHLO x\nS: 500 5.5.1 Say EHLO\n"
         "C: EHLO x\nE:\nC: RCPT TO:<x@y>\nS: 503 5.5.1 Say MAIL first\n"
         "C: MAIL FROM:<a@b>\nS: 250 2.1.0 Sender ok\nC: DATA\n"
         "S: 554 5.5.1 No recipients\nC: WHAT\nS: 500 5.5.1 What do you mean?\n"
         "R: NOOP\nC: \nS: 250 2.0.0 Ok\n" BYE,
         NULL,
         NULL},
    };

    run(rows, COUNT_OF(rows));
    (void)state;
}

static void each_behaviour_shows_where_it_should(void **state)
{
    struct row rows[] = {
        {"slow", {"slow:20ms"}, OPEN MAIL_OK BYE, NULL, NULL},
        {"tarpit", {"tarpit:1ms"}, OPEN MAIL_OK BYE, NULL, NULL},
        {"refuse:connect", {"refuse:connect:554"}, "S: 554 5.7.1 Refused\nX:\n", NULL, NULL},
        {"refuse:mail with a text",
         {"refuse:mail:451:come back"},
         OPEN "C: MAIL FROM:<a@b>\nS: 451 4.0.0 come back\n" BYE,
         NULL,
         NULL},
        {"refuse:rcpt with a status",
         {"refuse:rcpt:550:5.7.1 never"},
         OPEN MAIL_OK "C: RCPT TO:<x@y>\nS: 550 5.7.1 never\n" BYE,
         NULL,
         NULL},
        {"refuse:dot",
         {"refuse:dot:554"},
         OPEN MAIL_OK RCPT_OK CONTENT "S: 554 5.7.1 Refused\n" BYE,
         NULL,
         NULL},
        {"421 closes",
         {"refuse:mail:421"},
         OPEN "C: MAIL FROM:<a@b>\nS: 421 4.3.2 Closing the connection\nX:\n",
         NULL,
         NULL},
        {"drop:ehlo",
         {"drop:ehlo"},
         "S: 220 sink.example ESMTP postyard sink\nC: EHLO x\nX:\n",
         NULL,
         NULL},
        {"drop-after-dot takes the message",
         {"drop-after-dot"},
         OPEN MAIL_OK RCPT_OK CONTENT "X:\n",
         "a@b.example > x@y.example ",
         "Subject: x\r\n\r\n.dot\r\n"},
        {"drop-in-content",
         {"drop-in-content:5B"},
         OPEN MAIL_OK RCPT_OK CONTENT "X:\n",
         NULL,
         NULL},
        {"rcpt-limit",
         {"rcpt-limit:1"},
         OPEN MAIL_OK RCPT_OK "C: RCPT TO:<z@y>\nS: 452 4.5.3 Too many\n" BYE,
         NULL,
         NULL},
        {"by-recipient",
         {"by-recipient"},
         OPEN MAIL_OK "C: RCPT TO:<451-x@y>\nS: 451 4.3.0 Try again later\n"
                      "C: RCPT TO:<550-x@y>\nS: 550 5.1.1 No such mailbox here\n" RCPT_OK BYE,
         NULL,
         NULL},
        {"greylist",
         {"greylist:1h"},
         OPEN MAIL_OK "C: RCPT TO:<x@y>\nS: 450 4.2.1 Mailbox busy\n"
                      "C: RCPT TO:<x@y>\nS: 450 4.2.1 Mailbox busy\n" BYE,
         NULL,
         NULL},
        {"greylist lets by whom it knows", {"greylist:0s"}, OPEN MAIL_OK RCPT_OK BYE, NULL, NULL},
        {"broken replies",
         {"broken-replies:mixed-codes:mail", "broken-replies:wrong-code:rset"},
         OPEN "C: MAIL FROM:<a@b>\nS: 250-Ok\nS: 550 5.7.1 Or not\nC: RSET\n"
              "S: 999 2.0.0 Beyond\n" BYE,
         NULL,
         NULL},
        {"broken TLS",
         {"broken-tls"},
         OPEN "C: STARTTLS\nS: 220 2.0.0 Go ahead\nS: 220 this is not a handshake\nX:\n",
         NULL,
         NULL},
        {"without everything",
         {"without:dsn", "without:chunking", "without:PIPELINING", "without:deliverby",
          "without:MT-PRIORITY", "size-limit:3B"},
         "S: 220 sink.example ESMTP postyard sink\nC: EHLO x\nS: 250-sink.example\n"
         "S: 250-SIZE 3\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-BINARYMIME\n"
         "S: 250-ENHANCEDSTATUSCODES\nS: 250 HELP\n" MAIL_OK RCPT_OK CONTENT
         "S: 552 5.3.4 Message too large\n" BYE,
         NULL,
         NULL},
    };

    run(rows, COUNT_OF(rows));
    (void)state;
}

static void lmtp_answers_each_recipient(void **state)
{
    struct row rows[] = {
        {"taken",
         {NULL},
         OPEN_LMTP MAIL_OK RCPT_OK RCPT_OK CONTENT
         "S: 250 2.0.0 Delivered\nS: 250 2.0.0 Delivered\n" BYE,
         "a@b.example > x@y.example  x@y.example ",
         "Subject: x\r\n\r\n.dot\r\n"},
        {"refused",
         {"refuse:dot:552"},
         OPEN_LMTP MAIL_OK RCPT_OK RCPT_OK CONTENT
         "S: 552 5.2.2 Mailbox full\nS: 552 5.2.2 Mailbox full\n" BYE,
         NULL,
         NULL},
    };

    run(rows, COUNT_OF(rows));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_is_taken_exactly),
        cmocka_unit_test(each_behaviour_shows_where_it_should),
        cmocka_unit_test(lmtp_answers_each_recipient),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
