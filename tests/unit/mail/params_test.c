#include "../unit.h"
#include "mail/params.h"

enum { ALL = 511 };

#define HUNDRED                                                                                    \
    "01234567890123456789012345678901234567890123456789"                                           \
    "01234567890123456789012345678901234567890123456789"

static void mail_arguments_are_taken_or_refused(void **state)
{
    static const struct row {
        const char *in;
        unsigned offered;
        enum refusal why;
        const char *culprit;
    } rows[] = {
        {"<a@b>", 0, REFUSAL_NONE, ""},
        {"<a@b> ", 0, REFUSAL_NONE, ""},
        {"<a@b>  SIZE=10   BODY=8bitmime ", ALL, REFUSAL_NONE, ""},
        {"<a@b>SIZE=10", ALL, REFUSAL_PATH_SYNTAX, ""},
        {"<a@b>\tSIZE=10", ALL, REFUSAL_PATH_SYNTAX, ""},
        {" <a@b>", ALL, REFUSAL_SPACE, ""},
        {"<a@b> SIZE=10", OFFER_DSN, REFUSAL_PARAM_UNKNOWN, "SIZE"},
        {"<a@b> size=99999999999999999999", ALL, REFUSAL_NONE, ""},
        {"<a@b> SIZE=999999999999999999999", ALL, REFUSAL_PARAM_VALUE, "SIZE"},
        {"<a@b> SIZE", ALL, REFUSAL_PARAM_VALUE, "SIZE"},
        {"<a@b> SIZE=", ALL, REFUSAL_PARAM_SYNTAX, "SIZE"},
        {"<a@b> SIZE=-1", ALL, REFUSAL_PARAM_VALUE, "SIZE"},
        {"<a@b> SIZE=1 Size=1", ALL, REFUSAL_PARAM_TWICE, "Size"},
        {"<a@b> BODY=9BIT", ALL, REFUSAL_PARAM_VALUE, "BODY"},
        {"<a@b> BODY=BINARYMIME", OFFER_8BITMIME, REFUSAL_PARAM_VALUE, "BODY"},
        {"<a@b> SMTPUTF8=1", ALL, REFUSAL_PARAM_VALUE, "SMTPUTF8"},
        {"<a@b> FOO=1", ALL, REFUSAL_PARAM_UNKNOWN, "FOO"},
        {"<a@b> FOO", ALL, REFUSAL_PARAM_UNKNOWN, "FOO"},
        {"<a@b> -FOO", ALL, REFUSAL_PARAM_SYNTAX, "-FOO"},
        {"<a@b> =1", ALL, REFUSAL_PARAM_SYNTAX, ""},
        {"<a@b> FOO=a=b", ALL, REFUSAL_PARAM_SYNTAX, "FOO"},
        {"<a@b> RET=FULL", ALL, REFUSAL_NONE, ""},
        {"<a@b> RET=SOME", ALL, REFUSAL_PARAM_VALUE, "RET"},
        {"<a@b> RET=HDRS RET=HDRS", ALL, REFUSAL_PARAM_TWICE, "RET"},
        {"<a@b> RET=HDRS", 0, REFUSAL_PARAM_UNKNOWN, "RET"},
        {"<a@b> ENVID=" HUNDRED, ALL, REFUSAL_NONE, ""},
        {"<a@b> ENVID=" HUNDRED "x", ALL, REFUSAL_PARAM_VALUE, "ENVID"},
        {"<a@b> ENVID=a+0D+0AX:+20y", ALL, REFUSAL_PARAM_VALUE, "ENVID"},
        {"<a@b> ENVID=a+2", ALL, REFUSAL_PARAM_VALUE, "ENVID"},
        {"<a@b> ENVID", ALL, REFUSAL_PARAM_VALUE, "ENVID"},
        {"<a@b> AUTH=<>", ALL, REFUSAL_NONE, ""},
        {"<a@b> AUTH=x+40y", ALL, REFUSAL_NONE, ""},
        {"<a@b> AUTH=+00", ALL, REFUSAL_PARAM_VALUE, "AUTH"},
        {"<a@b> NOTIFY=NEVER", ALL, REFUSAL_PARAM_UNKNOWN, "NOTIFY"},
        /* RFC 4865 */
        {"<a@b> HOLDFOR=1", ALL, REFUSAL_NONE, ""},
        {"<a@b> HOLDFOR=999999999", ALL, REFUSAL_NONE, ""},
        {"<a@b> HOLDFOR=1", ALL - OFFER_FUTURERELEASE, REFUSAL_PARAM_UNKNOWN, "HOLDFOR"},
        {"<a@b> HOLDUNTIL=1", ALL - OFFER_FUTURERELEASE, REFUSAL_PARAM_UNKNOWN, "HOLDUNTIL"},
        {"<a@b> HOLDFOR", ALL, REFUSAL_PARAM_VALUE, "HOLDFOR"},
        {"<a@b> HOLDFOR=0", ALL, REFUSAL_PARAM_VALUE, "HOLDFOR"},
        {"<a@b> HOLDFOR=-1", ALL, REFUSAL_PARAM_VALUE, "HOLDFOR"},
        {"<a@b> HOLDFOR=+1", ALL, REFUSAL_PARAM_VALUE, "HOLDFOR"},
        {"<a@b> HOLDFOR=1000000000", ALL, REFUSAL_PARAM_VALUE, "HOLDFOR"},
        {"<a@b> HOLDFOR=1h", ALL, REFUSAL_PARAM_VALUE, "HOLDFOR"},
        {"<a@b> HOLDFOR=1 HOLDFOR=1", ALL, REFUSAL_PARAM_TWICE, "HOLDFOR"},
        {"<a@b> HOLDFOR=1 HOLDUNTIL=1772532000", ALL, REFUSAL_PARAM_TWICE, "HOLDUNTIL"},
        {"<a@b> HOLDUNTIL=1772532000 HOLDFOR=1", ALL, REFUSAL_PARAM_TWICE, "HOLDFOR"},
        {"<a@b> HOLDUNTIL=2026-03-03T10:00:00Z", ALL, REFUSAL_NONE, ""},
        {"<a@b> HOLDUNTIL=2026-03-03T10:00:00.25+01:00", ALL, REFUSAL_NONE, ""},
        {"<a@b> HOLDUNTIL=2026-03-03T10:00:00", ALL, REFUSAL_PARAM_VALUE, "HOLDUNTIL"},
        {"<a@b> HOLDUNTIL=2026-02-30T10:00:00Z", ALL, REFUSAL_PARAM_VALUE, "HOLDUNTIL"},
        {"<a@b> HOLDUNTIL=tomorrow", ALL, REFUSAL_PARAM_VALUE, "HOLDUNTIL"},
        {"<a@b> HOLDUNTIL=0", ALL, REFUSAL_PARAM_VALUE, "HOLDUNTIL"},
        {"<a@b> HOLDUNTIL=99999999999", ALL, REFUSAL_PARAM_VALUE, "HOLDUNTIL"},
        /* RFC 2852 */
        {"<a@b> BY=120;R", ALL, REFUSAL_NONE, ""},
        {"<a@b> BY=+120;rt", ALL, REFUSAL_NONE, ""},
        {"<a@b> BY=-999999999;N", ALL, REFUSAL_NONE, ""},
        {"<a@b> BY=0;n", ALL, REFUSAL_NONE, ""},
        {"<a@b> BY=1;R", ALL - OFFER_DELIVERBY, REFUSAL_PARAM_UNKNOWN, "BY"},
        {"<a@b> BY=0;R", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=-1;R", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=120", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=;R", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=-;N", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=--1;N", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=120;", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=120;X", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=120;RR", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=120;T", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=120;RTT", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=1000000000;R", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY", ALL, REFUSAL_PARAM_VALUE, "BY"},
        {"<a@b> BY=1;R BY=1;R", ALL, REFUSAL_PARAM_TWICE, "BY"},
        /* RFC 6710 */
        {"<a@b> MT-PRIORITY=9", ALL, REFUSAL_NONE, ""},
        {"<a@b> mt-priority=-9", ALL, REFUSAL_NONE, ""},
        {"<a@b> MT-PRIORITY=0", ALL, REFUSAL_NONE, ""},
        {"<a@b> MT-PRIORITY=1", ALL - OFFER_MT_PRIORITY, REFUSAL_PARAM_UNKNOWN, "MT-PRIORITY"},
        {"<a@b> MT-PRIORITY=10", ALL, REFUSAL_PARAM_VALUE, "MT-PRIORITY"},
        {"<a@b> MT-PRIORITY=-0", ALL, REFUSAL_PARAM_VALUE, "MT-PRIORITY"},
        {"<a@b> MT-PRIORITY=+1", ALL, REFUSAL_PARAM_VALUE, "MT-PRIORITY"},
        {"<a@b> MT-PRIORITY=-", ALL, REFUSAL_PARAM_VALUE, "MT-PRIORITY"},
        {"<a@b> MT-PRIORITY=high", ALL, REFUSAL_PARAM_VALUE, "MT-PRIORITY"},
        {"<a@b> MT-PRIORITY", ALL, REFUSAL_PARAM_VALUE, "MT-PRIORITY"},
        {"<a@b> MT-PRIORITY=1 MT-PRIORITY=2", ALL, REFUSAL_PARAM_TWICE, "MT-PRIORITY"},
        {"<\xc3\xa9@b> SMTPUTF8", ALL, REFUSAL_NONE, ""},
        {"<\xc3\xa9@b>", ALL, REFUSAL_UTF8_NOT_ASKED, ""},
        {"<\xc3\xa9@b> SMTPUTF8", OFFER_SIZE, REFUSAL_PARAM_UNKNOWN, "SMTPUTF8"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena ARENA_LOCAL = {0};
        struct mail_args args;
        enum refusal why = mail_args_parse(str_of(rows[i].in), rows[i].offered, &arena, &args);

        if (why != rows[i].why) {
            print_error("%s: got %d, want %d\n", rows[i].in, (int)why, (int)rows[i].why);
        }
        assert_int_equal(why, rows[i].why);
        EXPECT_STR(args.culprit, rows[i].culprit);
    }
    (void)state;
}

static void mail_values_are_ready_for_the_envelope(void **state)
{
    struct arena arena ARENA_LOCAL = {0};
    struct mail_args args;

    assert_int_equal(
        mail_args_parse(STR("<A@B> RET=hdrs ENVID=QQ+2B+20x SIZE=12 BODY=BINARYMIME AUTH=u+3Dv"),
                        ALL, &arena, &args),
        REFUSAL_NONE);
    EXPECT_STR(args.from.address, "A@b");
    EXPECT_STR(args.envid, "QQ+ x");
    EXPECT_STR(args.auth, "u=v");
    assert_int_equal(args.ret, RET_HDRS);
    assert_true(args.has_size && args.has_body && args.has_auth && !args.smtputf8);
    assert_int_equal(args.size, 12);
    assert_int_equal(args.body, BODY_BINARY);
    assert_int_equal(mail_args_parse(STR("<> SIZE=18446744073709551616"), ALL, &arena, &args),
                     REFUSAL_NONE);
    assert_true(args.size == UINT64_MAX);
    assert_int_equal(args.ret, RET_NONE);
    (void)state;
}

static void wishes_are_ready_for_the_envelope(void **state)
{
    struct arena arena ARENA_LOCAL = {0};
    struct mail_args args;

    assert_int_equal(
        mail_args_parse(STR("<a@b> HOLDFOR=60 BY=-5;NT MT-PRIORITY=-3"), ALL, &arena, &args),
        REFUSAL_NONE);
    assert_int_equal(args.hold_s, 60);
    assert_int_equal(args.hold_until.ms, 0);
    assert_int_equal(args.by, BY_NOTIFY);
    assert_int_equal(args.by_s, -5);
    assert_true(args.by_trace);
    assert_int_equal(args.priority, -3);
    /* PY-18: a date-time, or seconds since 1970. */
    assert_int_equal(mail_args_parse(STR("<a@b> BY=7;R HOLDUNTIL=2026-03-03T11:00:00+01:00"), ALL,
                                     &arena, &args),
                     REFUSAL_NONE);
    assert_int_equal(args.hold_until.ms, 1772532000000);
    assert_true(args.by == BY_RETURN && args.by_s == 7 && !args.by_trace);
    assert_int_equal(mail_args_parse(STR("<a@b> HOLDUNTIL=1772532000"), ALL, &arena, &args),
                     REFUSAL_NONE);
    assert_int_equal(args.hold_until.ms, 1772532000000);
    assert_true(args.by == BY_NONE && args.priority == 0);
    (void)state;
}

static void rcpt_arguments_are_taken_or_refused(void **state)
{
    static const struct row {
        const char *in;
        bool smtputf8;
        enum refusal why;
        uint8_t notify;
        const char *orcpt;
    } rows[] = {
        {"<a@b>", false, REFUSAL_NONE, 0, ""},
        {"<postmaster> NOTIFY=NEVER", false, REFUSAL_NONE, NOTIFY_NEVER, ""},
        {"<a@b> NOTIFY=success,delay", false, REFUSAL_NONE, NOTIFY_SUCCESS | NOTIFY_DELAY, ""},
        {"<a@b> NOTIFY=FAILURE,SUCCESS,DELAY", false, REFUSAL_NONE, 7, ""},
        {"<a@b> NOTIFY=NEVER,SUCCESS", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> NOTIFY=SUCCESS,NEVER", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> NOTIFY=SUCCESS,SUCCESS", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> NOTIFY=NEVER,NEVER", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> NOTIFY=", false, REFUSAL_PARAM_SYNTAX, 0, NULL},
        {"<a@b> NOTIFY", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> NOTIFY=SUCCESS,", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> NOTIFY=SOMETIMES", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> NOTIFY=NEVER NOTIFY=NEVER", false, REFUSAL_PARAM_TWICE, 0, NULL},
        {"<a@b> ORCPT=rfc822;Bob+2Bx@c.example", false, REFUSAL_NONE, 0, "rfc822;Bob+x@c.example"},
        {"<a@b> ORCPT=X400;c+3Dus", false, REFUSAL_NONE, 0, "X400;c=us"},
        {"<a@b> ORCPT=utf-8;\\x{E9}@c", false, REFUSAL_NONE, 0, "utf-8;\xc3\xa9@c"},
        {"<a@b> ORCPT=utf-8;\xc3\xa9@c", true, REFUSAL_NONE, 0, "utf-8;\xc3\xa9@c"},
        {"<a@b> ORCPT=utf-8;\xc3\xa9@c", false, REFUSAL_PARAM_SYNTAX, 0, NULL},
        {"<a@b> ORCPT=rfc822;\xc3\xa9@c", true, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> ORCPT=utf-8;a\\x{0A}b", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> ORCPT=rfc822;a+0D+0AB:c", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> ORCPT=rfc822;+C3+A9@c", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> ORCPT=rfc822", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> ORCPT=rfc822;", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> ORCPT=;x@y", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> ORCPT=a.b;x@y", false, REFUSAL_PARAM_VALUE, 0, NULL},
        {"<a@b> SIZE=1", false, REFUSAL_PARAM_UNKNOWN, 0, NULL},
        {"<\xc3\xa9@b>", false, REFUSAL_UTF8_NOT_ASKED, 0, NULL},
        {"<\xc3\xa9@b>", true, REFUSAL_NONE, 0, ""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena ARENA_LOCAL = {0};
        struct rcpt_args args;
        enum refusal why = rcpt_args_parse(str_of(rows[i].in), OFFER_DSN, rows[i].smtputf8, &arena,
                                           &args);

        if (why != rows[i].why) {
            print_error("%s: got %d, want %d\n", rows[i].in, (int)why, (int)rows[i].why);
        }
        assert_int_equal(why, rows[i].why);
        if (why == REFUSAL_NONE) {
            assert_int_equal(args.notify, rows[i].notify);
            EXPECT_STR(args.orcpt, rows[i].orcpt);
        }
    }
    (void)state;
}

static void what_was_decoded_is_encoded_again_for_the_next_hop(void **state)
{
    struct buf out BUF_LOCAL = {0};

    orcpt_write(&out, STR("rfc822;a+b c@d"), false);
    EXPECT_STR(buf_str(&out), "rfc822;a+2Bb+20c@d");
    buf_clear(&out);
    orcpt_write(&out, STR("UTF-8;\xc3\xa9@d"), false);
    EXPECT_STR(buf_str(&out), "UTF-8;\\x{E9}@d");
    buf_clear(&out);
    orcpt_write(&out, STR("utf-8;\xc3\xa9@d"), true);
    EXPECT_STR(buf_str(&out), "utf-8;\xc3\xa9@d");
    buf_clear(&out);
    notify_write(&out, NOTIFY_DELAY | NOTIFY_SUCCESS);
    EXPECT_STR(buf_str(&out), "SUCCESS,DELAY");
    buf_clear(&out);
    notify_write(&out, NOTIFY_NEVER);
    EXPECT_STR(buf_str(&out), "NEVER");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_arguments_are_taken_or_refused),
        cmocka_unit_test(mail_values_are_ready_for_the_envelope),
        cmocka_unit_test(wishes_are_ready_for_the_envelope),
        cmocka_unit_test(rcpt_arguments_are_taken_or_refused),
        cmocka_unit_test(what_was_decoded_is_encoded_again_for_the_next_hop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
