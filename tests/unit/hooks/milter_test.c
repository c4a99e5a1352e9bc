#include "../unit.h"
/* What comes next wants it. */

#include "../runtime/worlds.h"
#include "base/check.h"
#include "base/version.h"
#include "milter_peer.h"

/* ---- order ---- */

#define OFFER                                                                                      \
    "O|||\6||\1\xff"                                                                               \
    "0\x1f\xff\xff "
#define HELLO                                                                                      \
    "Cclient.example|4\4\1"                                                                        \
    "192.0.2.1| Hclient| "
#define ENVELOPE "M<a@x.example>|SIZE=7|SMTPUTF8| R<b@x.example>| "
#define LETTER   "T LFrom|a@x.example| LTo|b,\n\tc| N Bhello\r\n E "

static void everything_is_told_in_order_fiber(void *arg)
{
    static const struct script script = {0};
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &script);
    assert_int_equal(whole(&y), OK);
    assert_int_equal(y.outcome.action, HOOK_ACCEPT);
    assert_int_equal(y.outcome.edit_count, 0);
    EXPECT_STR(buf_str(&y.peer.told), OFFER HELLO ENVELOPE LETTER);
    EXPECT_STR(buf_str(&y.peer.macros),
               "DCj|mx.example.org|v|Postyard " POSTYARD_VERSION
               "|_|client.example [192.0.2.1]|{daemon_name}|smtp|"
               "{daemon_addr}|192.0.2.9|{daemon_port}|25|{if_name}|mx.example.org|"
               "{if_addr}|192.0.2.9|{client_addr}|192.0.2.1|{client_name}|client.example|"
               "{client_ptr}|client.example|{client_port}|1025|{client_connections}|2| "
               "DM{mail_addr}|a@x.example|{mail_host}|x.example|{mail_mailer}|smtp| "
               "DR{rcpt_addr}|b@x.example|{rcpt_host}|x.example|{rcpt_mailer}|smtp| "
               "DTi|0000000000000abc| DNi|0000000000000abc| DEi|0000000000000abc| ");
    yard_close(&y);
}

static void everything_is_told_in_order(void **state)
{
    run_both("test", everything_is_told_in_order_fiber, *state);
}

static void what_was_not_told_comes_first_fiber(void *arg)
{
    static const struct script script = {0};
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &script);
    y.view.to_count = 2;
    assert_int_equal(ask(&y, HOOK_DATA), OK);
    EXPECT_STR(buf_str(&y.peer.told), OFFER HELLO
               "M<a@x.example>|SIZE=7|SMTPUTF8| R<b@x.example>| R<c@x.example>| " LETTER);
    yard_close(&y);
}

static void what_was_not_told_comes_first(void **state)
{
    run_both("test", what_was_not_told_comes_first_fiber, *state);
}

static void one_connection_serves_all_messages_fiber(void *arg)
{
    static const struct script script = {0};
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &script);
    assert_int_equal(whole(&y), OK);
    filter_milter.reset(&y.milter, y.session);
    assert_int_equal(ask(&y, HOOK_MAIL), OK);
    filter_milter.reset(&y.milter, y.session); /* given up: it must hear of that */
    assert_int_equal(ask(&y, HOOK_MAIL), OK);
    y.view.to_count = 1;
    assert_int_equal(ask(&y, HOOK_RCPT), OK);
    assert_int_equal(ask(&y, HOOK_DATA), OK);
    EXPECT_STR(buf_str(&y.peer.told),
               OFFER HELLO ENVELOPE LETTER "M<a@x.example>|SIZE=7|SMTPUTF8| A " ENVELOPE LETTER);
    assert_int_equal(y.peer.sessions, 1);
    yard_close(&y);
}

static void one_connection_serves_all_messages(void **state)
{
    run_both("test", one_connection_serves_all_messages_fiber, *state);
}

static void encryption_begins_a_new_greeting_fiber(void *arg)
{
    static const struct script script = {0};
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &script);
    assert_int_equal(ask(&y, HOOK_CONNECT), OK);
    assert_int_equal(ask(&y, HOOK_EHLO), OK);
    y.view.tls = (struct hook_tls){.active = true,
                                   .version = STR("TLSv1.3"),
                                   .cipher = STR("X"),
                                   .bits = 256,
                                   .cert_issuer = STR_EMPTY,
                                   .cert_subject = STR_EMPTY};
    assert_int_equal(ask(&y, HOOK_MAIL), OK);
    EXPECT_STR(buf_str(&y.peer.told), OFFER HELLO "Hclient| M<a@x.example>|SIZE=7|SMTPUTF8| ");
    assert_true(str_find_str(buf_str(&y.peer.macros),
                             STR("DH{tls_version}|TLSv1.3|{cipher}|X|{cipher_bits}|256| ")) !=
                STR_NONE);
    yard_close(&y);
}

static void encryption_begins_a_new_greeting(void **state)
{
    run_both("test", encryption_begins_a_new_greeting_fiber, *state);
}

/* ---- negotiation ---- */

static void what_it_wants_not_is_not_sent_fiber(void *arg)
{
    static const struct script script = {
        .version = 6,
        .steps = MILTER_NO_CONNECT | MILTER_NO_HELO | MILTER_NO_MAIL | MILTER_NO_RCPT |
                 MILTER_NO_BODY | MILTER_NO_HEADERS | MILTER_NO_HEADER_END | MILTER_NO_DATA};
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &script);
    assert_int_equal(whole(&y), OK);
    EXPECT_STR(buf_str(&y.peer.told), OFFER "E ");
    yard_close(&y);
}

static void what_it_wants_not_is_not_sent(void **state)
{
    run_both("test", what_it_wants_not_is_not_sent_fiber, *state);
}

static void what_it_does_not_answer_is_not_waited_for_fiber(void *arg)
{
    static const struct script script = {
        .version = 6,
        .steps = MILTER_SILENT_HEADER | MILTER_SILENT_CONNECT | MILTER_SILENT_HELO |
                 MILTER_SILENT_MAIL | MILTER_SILENT_RCPT | MILTER_SILENT_DATA |
                 MILTER_SILENT_HEADER_END | MILTER_SILENT_BODY | MILTER_LEADING_SPACE};
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &script);
    assert_int_equal(whole(&y), OK);
    EXPECT_STR(buf_str(&y.peer.told),
               OFFER HELLO ENVELOPE "T LFrom| a@x.example| LTo| b,\n\tc| N Bhello\r\n E ");
    yard_close(&y);
}

static void what_it_does_not_answer_is_not_waited_for(void **state)
{
    run_both("test", what_it_does_not_answer_is_not_waited_for_fiber, *state);
}

static void an_old_filter_hears_no_data_command_fiber(void *arg)
{
    static const struct script script = {.version = 2, .rights = MILTER_RIGHTS_2};
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &script);
    y.settings.protocol = 2;
    assert_int_equal(whole(&y), OK);
    EXPECT_STR(buf_str(&y.peer.told), "O|||\2|||?|||\x7f " HELLO ENVELOPE
                                      "LFrom|a@x.example| LTo|b,\n\tc| N Bhello\r\n E ");
    yard_close(&y);
}

static void an_old_filter_hears_no_data_command(void **state)
{
    run_both("test", an_old_filter_hears_no_data_command_fiber, *state);
}

static void symbols_are_those_it_listed_fiber(void *arg)
{
    static const struct script script = {.version = 6,
                                         .rights = MILTER_RIGHTS,
                                         .symbols = STR_INIT("\0\0\0\0j {client_addr} {nothing}\0"
                                                             "\0\0\0\2i,mail_addr {client_name}\0"
                                                             "\0\0\0\3\0"
                                                             "\0\0\0\5{mail_addr} i\0")};
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &script);
    assert_int_equal(whole(&y), OK);
    EXPECT_STR(buf_str(&y.peer.macros), "DCj|mx.example.org|{client_addr}|192.0.2.1| "
                                        "DM{client_name}|client.example|{mail_addr}|a@x.example| "
                                        "DTi|0000000000000abc| DNi|0000000000000abc| "
                                        "DEi|0000000000000abc|{mail_addr}|a@x.example| ");
    yard_close(&y);
}

static void symbols_are_those_it_listed(void **state)
{
    run_both("test", symbols_are_those_it_listed_fiber, *state);
}

/* ---- the body ---- */

enum { BIG = 200 * 1000 };
static char big_body[BIG];

struct piecewise {
    uint32_t reads;
};

/* In pieces of no round size. */
static struct err read_piece(void *ctx, uint64_t offset, struct buf *into, struct str *ret,
                             struct when by)
{
    struct piecewise *p = ctx;

    p->reads++;
    buf_put(into, str_head(str_make(big_body + offset, BIG - offset), 7777));
    *ret = buf_str(into);
    (void)by;
    return ERR_OK;
}

static void a_large_body_goes_in_pieces_fiber(void *arg)
{
    static const struct script scripts[] = {
        {0},
        {.version = 6, .steps = MILTER_SILENT_BODY},
        {.version = 6, .steps = MILTER_DATA_256K},
        {.version = 6, .steps = MILTER_CAN_SKIP, .cues = {{.on = 'B', .packets = {STR_INIT("s")}}}},
    };
    static const uint32_t bytes[] = {BIG, BIG, BIG, 65535};
    static const uint32_t packets[] = {4, 4, 1, 1};

    (void)arg;
    memset(big_body, 'x', sizeof big_body);
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        struct yard y = {0};
        struct piecewise p = {0};
        uint32_t count = 0;

        yard_open(&y, &scripts[i]);
        y.view.body = (struct hook_bytes){.size = BIG, .read = read_piece, .ctx = &p};
        assert_int_equal(whole(&y), OK);
        assert_int_equal(y.peer.body_bytes, bytes[i]);
        for (size_t at = 0; at + 2 < y.peer.told.len; at++) {
            count += memcmp(y.peer.told.ptr + at, " Bx", 3) == 0;
        }
        assert_int_equal(count, packets[i]);
        assert_true(str_ends(buf_str(&y.peer.told), STR(" E ")));
        yard_close(&y);
    }
}

static void a_large_body_goes_in_pieces(void **state)
{
    run_both("test", a_large_body_goes_in_pieces_fiber, *state);
}

/* ---- verdicts ---- */

static void verdicts_are_followed_fiber(void *arg)
{
    static const struct {
        char on;
        struct str packet;
        enum hook_stage stage;
        enum hook_action action;
        unsigned code;
        bool disconnect;
    } cases[] = {
        {'C', STR_INIT("r"), HOOK_CONNECT, HOOK_REJECT, 550, false},
        {'C', STR_INIT("t"), HOOK_CONNECT, HOOK_REJECT, 451, false},
        {'C', STR_INIT("y554 5.7.1 no\0"), HOOK_CONNECT, HOOK_REJECT, 554, false},
        {'C', STR_INIT("f"), HOOK_CONNECT, HOOK_DISCONNECT, 421, true},
        {'C', STR_INIT("4"), HOOK_CONNECT, HOOK_DISCONNECT, 421, true},
        {'C', STR_INIT("a"), HOOK_CONNECT, HOOK_ACCEPT, 0, false},
        {'H', STR_INIT("r"), HOOK_EHLO, HOOK_REJECT, 550, false},
        {'M', STR_INIT("r"), HOOK_MAIL, HOOK_REJECT, 550, false},
        {'M', STR_INIT("d"), HOOK_MAIL, HOOK_DISCARD, 0, false},
        {'M', STR_INIT("y421 4.7.0 bye\0"), HOOK_MAIL, HOOK_REJECT, 421, true},
        {'R', STR_INIT("t"), HOOK_RCPT, HOOK_REJECT, 451, false},
        {'R', STR_INIT("d"), HOOK_RCPT, HOOK_DISCARD, 0, false},
        {'T', STR_INIT("r"), HOOK_DATA, HOOK_REJECT, 550, false},
        {'L', STR_INIT("r"), HOOK_DATA, HOOK_REJECT, 550, false},
        {'N', STR_INIT("t"), HOOK_DATA, HOOK_REJECT, 451, false},
        {'B', STR_INIT("y550 5.7.1 bad\0"), HOOK_DATA, HOOK_REJECT, 550, false},
        {'E', STR_INIT("d"), HOOK_DATA, HOOK_DISCARD, 0, false},
        {'E', STR_INIT("r"), HOOK_DATA, HOOK_REJECT, 550, false},
        {'E', STR_INIT("a"), HOOK_DATA, HOOK_ACCEPT, 0, false},
    };

    (void)arg;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        static const enum hook_stage stages[] = {HOOK_CONNECT, HOOK_EHLO, HOOK_MAIL, HOOK_RCPT,
                                                 HOOK_DATA};
        struct script script = {.cues = {{.on = cases[i].on, .packets = {cases[i].packet}}}};
        struct yard y = {0};

        yard_open(&y, &script);
        y.view.to_count = 1;
        for (size_t s = 0; s < COUNT_OF(stages) && stages[s] <= cases[i].stage; s++) {
            assert_int_equal(ask(&y, stages[s]), OK);
            assert_int_equal(y.outcome.action,
                             stages[s] == cases[i].stage ? cases[i].action : HOOK_ACCEPT);
        }
        assert_int_equal(y.outcome.reply.code, cases[i].code);
        assert_int_equal(y.outcome.disconnect, cases[i].disconnect);
        yard_close(&y);
    }
}

static void verdicts_are_followed(void **state)
{
    run_both("test", verdicts_are_followed_fiber, *state);
}

static void a_verdict_lasts_as_long_as_what_it_is_about_fiber(void *arg)
{
    static const struct script no_client = {.cues = {{.on = 'C',
                                                      .packets = {STR_INIT("y554 x\0")}}}},
                               good_client = {.cues = {{.on = 'H', .packets = {STR_INIT("a")}}}},
                               no_sender = {.cues = {{.on = 'M', .packets = {STR_INIT("r")}}}},
                               good_rcpt = {.cues = {{.on = 'R', .packets = {STR_INIT("a")}}}},
                               no_rcpt = {.cues = {{.on = 'R', .packets = {STR_INIT("r")}}}};
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &no_client);
    assert_int_equal(ask(&y, HOOK_CONNECT), OK);
    filter_milter.reset(&y.milter, y.session);
    assert_int_equal(ask(&y, HOOK_MAIL), OK);
    assert_int_equal(y.outcome.action, HOOK_REJECT);
    assert_int_equal(y.outcome.reply.code, 554);
    EXPECT_STR(y.outcome.reply.text, "x");
    yard_close(&y);

    yard_open(&y, &good_client);
    assert_int_equal(whole(&y), OK);
    filter_milter.reset(&y.milter, y.session);
    assert_int_equal(whole(&y), OK);
    assert_int_equal(fiber_sleep(when_after(20), WHEN_NEVER).code, OK);
    EXPECT_STR(buf_str(&y.peer.told), OFFER HELLO "Q ");
    yard_close(&y);

    /* Refused at MAIL, told late: no later recipient passes; the next transaction is asked anew. */
    yard_open(&y, &no_sender);
    y.view.to_count = 1;
    assert_int_equal(ask(&y, HOOK_RCPT), OK);
    assert_int_equal(y.outcome.action, HOOK_REJECT);
    assert_int_equal(ask(&y, HOOK_RCPT), OK);
    assert_int_equal(y.outcome.action, HOOK_REJECT);
    filter_milter.reset(&y.milter, y.session);
    assert_int_equal(ask(&y, HOOK_RCPT), OK);
    EXPECT_STR(buf_str(&y.peer.told),
               OFFER HELLO "M<a@x.example>|SIZE=7|SMTPUTF8| A M<a@x.example>|SIZE=7|SMTPUTF8| ");
    yard_close(&y);

    yard_open(&y, &good_rcpt);
    assert_int_equal(whole(&y), OK);
    EXPECT_STR(buf_str(&y.peer.told), OFFER HELLO ENVELOPE);
    yard_close(&y);

    /* A refused recipient is not there; others are. */
    yard_open(&y, &no_rcpt);
    assert_int_equal(ask(&y, HOOK_MAIL), OK);
    y.view.to_count = 1;
    assert_int_equal(ask(&y, HOOK_RCPT), OK);
    assert_int_equal(y.outcome.action, HOOK_REJECT);
    assert_int_equal(ask(&y, HOOK_RCPT), OK);
    EXPECT_STR(buf_str(&y.peer.told), OFFER HELLO ENVELOPE "R<b@x.example>| ");
    yard_close(&y);
}

static void a_verdict_lasts_as_long_as_what_it_is_about(void **state)
{
    run_both("test", a_verdict_lasts_as_long_as_what_it_is_about_fiber, *state);
}

static void edits_come_before_the_verdict_fiber(void *arg)
{
    static const struct script
        passes = {.cues = {{.on = 'E',
                            .packets = {STR_INIT("p"), STR_INIT("hX\0v\0"), STR_INIT("p"),
                                        STR_INIT("bnew\n"), STR_INIT("qbad\0"), STR_INIT("c")}}}},
        refuses = {.cues = {{.on = 'E', .packets = {STR_INIT("hX\0v\0"), STR_INIT("r")}}}};
    struct yard y = {0};

    (void)arg;
    yard_open(&y, &passes);
    assert_int_equal(whole(&y), OK);
    assert_int_equal(y.outcome.action, HOOK_QUARANTINE);
    assert_int_equal(y.outcome.edit_count, 2);
    yard_close(&y);
    yard_open(&y, &refuses);
    assert_int_equal(whole(&y), OK);
    assert_int_equal(y.outcome.action, HOOK_REJECT);
    assert_int_equal(y.outcome.edit_count, 0);
    yard_close(&y);
}

static void edits_come_before_the_verdict(void **state)
{
    run_both("test", edits_come_before_the_verdict_fiber, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_told_in_order),
        cmocka_unit_test(what_was_not_told_comes_first),
        cmocka_unit_test(one_connection_serves_all_messages),
        cmocka_unit_test(encryption_begins_a_new_greeting),
        cmocka_unit_test(what_it_wants_not_is_not_sent),
        cmocka_unit_test(what_it_does_not_answer_is_not_waited_for),
        cmocka_unit_test(an_old_filter_hears_no_data_command),
        cmocka_unit_test(symbols_are_those_it_listed),
        cmocka_unit_test(a_large_body_goes_in_pieces),
        cmocka_unit_test(verdicts_are_followed),
        cmocka_unit_test(a_verdict_lasts_as_long_as_what_it_is_about),
        cmocka_unit_test(edits_come_before_the_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
