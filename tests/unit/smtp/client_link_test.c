/* What a client knows of its peer before, between and after transactions. */
#include "client_peer.h"

static void greetings_and_refusals_fiber(void *arg)
{
    static const struct {
        enum err_code err;
        bool greeted;
        unsigned code, offers;
        const char *script[6];
    } rows[] = {
        {OK, false, 554, 0, {"S:554 no service", "C:QUIT"}},
        {OK, false, 421, 0, {"S:421 busy", "X"}},
        {OK, false, 250, 0, {"S:250 hi", "C:QUIT"}},
        {OK, false, 550, 0, {"S:220 hi", "C:EHLO mx.example.org", "S:550 5.7.1 no", "C:QUIT"}},
        {OK,
         true,
         250,
         CLIENT_EXTENDED | CLIENT_STARTTLS,
         {"S:220 hi", "C:EHLO mx.example.org", "S:250-x", "S:250 starttls", "C:QUIT"}},
        {ERR_CLOSED, false, 0, 0, {"X"}},
        {ERR_CLOSED, false, 0, 0, {"R:220 half a gree", "X"}},
        {ERR_CLOSED, false, 0, 0, {"S:220-hi", "X"}},
        {ERR_PROTOCOL, false, 0, 0, {"S:SSH-2.0-OpenSSH_9.2", "X"}},
        {ERR_PROTOCOL, false, 0, 0, {"S:\x16\x03\x01\x02", "X"}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c = {0};
        struct peer peer = {0};
        bool greeted = false;

        with_peer(&peer, rows[i].script, &c);
        assert_int_equal(client_greet(&c, &greeted, when_after(2000)).code, rows[i].err);
        assert_int_equal(greeted, rows[i].greeted);
        assert_int_equal(c.said.code, rows[i].code);
        assert_int_equal(c.offers, rows[i].offers);
        assert_int_equal(c.over, rows[i].err != OK || rows[i].code == 421);
        without_peer(&peer, &c);
    }
    (void)arg;
}

static void greetings_and_refusals(void **state)
{
    run_alone("test", greetings_and_refusals_fiber, *state);
}

/* After a transaction that came to nothing RSET precedes the next, in the same burst. */
static void what_was_left_open_is_reset_fiber(void *arg)
{
    static const char *const script[] = {HELLO_PIPE,
                                         "C:MAIL FROM:<a@b.example>",
                                         "C:RCPT TO:<u@c.example>",
                                         "C:DATA",
                                         "S:250 ok",
                                         "S:550 who?",
                                         "S:503 nobody",
                                         "C:RSET",
                                         "C:MAIL FROM:<a@b.example>",
                                         "C:RCPT TO:<v@c.example>",
                                         "C:DATA",
                                         "S:250 fresh",
                                         "S:250 ok",
                                         "S:250 ok",
                                         "S:354 go",
                                         BODY_DOTTED,
                                         "S:250 2.0.0 taken",
                                         "C:MAIL FROM:<a@b.example>",
                                         "C:RCPT TO:<u@c.example>",
                                         "C:DATA",
                                         "S:451 no more",
                                         "S:503 no",
                                         "S:503 no",
                                         "C:QUIT",
                                         NULL};
    static const struct {
        const char *to;
        enum client_fate fate;
    } rows[] = {{"u@c.example", CLIENT_REFUSED},
                {"v@c.example", CLIENT_TAKEN},
                {"u@c.example", CLIENT_REFUSED}};
    struct client c = {0};
    struct peer peer = {0};
    struct arena arena ARENA_LOCAL = {0};
    bool greeted;

    with_peer(&peer, script, &c);
    assert_int_equal(client_greet(&c, &greeted, when_after(2000)).code, OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client_rcpt to = {.address = str_of(rows[i].to)};
        struct client_mail m = {.sender = STR("a@b.example"),
                                .size = BODY_BYTES,
                                .content = give_body,
                                .to = &to,
                                .to_count = 1,
                                .arena = &arena};

        assert_int_equal(client_send(&c, &m, when_after(2000)).code, OK);
        assert_int_equal(to.fate, rows[i].fate);
    }
    assert_true(client_is_quiet(&c));
    without_peer(&peer, &c);
    (void)arg;
}

static void what_was_left_open_is_reset(void **state)
{
    run_alone("test", what_was_left_open_is_reset_fiber, *state);
}

static void a_peer_that_spoke_or_left_is_not_quiet_fiber(void *arg)
{
    static const char *const scripts[][6] = {
        {"S:220 hi", "C:EHLO mx.example.org", "S:250 peer", "S:421 idle", NULL},
        {"S:220 hi", "C:EHLO mx.example.org", "S:250 peer", "X"},
    };

    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        struct client c = {0};
        struct peer peer = {0};
        bool greeted, quiet = true;

        with_peer(&peer, scripts[i], &c);
        assert_int_equal(client_greet(&c, &greeted, when_after(2000)).code, OK);
        for (int tries = 0; quiet && tries < 100; tries++) {
            quiet = client_is_quiet(&c);
            fiber_sleep(when_after(1), WHEN_NEVER);
        }
        assert_false(quiet);
        without_peer(&peer, &c);
    }
    (void)arg;
}

static void a_peer_that_spoke_or_left_is_not_quiet(void **state)
{
    run_alone("test", a_peer_that_spoke_or_left_is_not_quiet_fiber, *state);
}

static void what_a_peer_lacks_is_known_before(void **state)
{
    static const struct {
        enum body_class body;
        unsigned offers;
        bool utf8, utf8_headers;
        const char *to;
        uint64_t size_max;
        enum client_lack want;
    } rows[] = {
        {BODY_7BIT, 0, false, false, "u@c", 0, CLIENT_LACKS_NOTHING},
        {BODY_8BIT, 0, false, false, "u@c", 0, CLIENT_LACKS_8BIT},
        {BODY_8BIT, CLIENT_8BITMIME, false, false, "u@c", 0, CLIENT_LACKS_NOTHING},
        {BODY_BINARY, CLIENT_CHUNKING, false, false, "u@c", 0, CLIENT_LACKS_BINARY},
        {BODY_BINARY, CLIENT_BINARYMIME, false, false, "u@c", 0, CLIENT_LACKS_BINARY},
        {BODY_BINARY, CLIENT_BINARYMIME | CLIENT_CHUNKING, false, false, "u@c", 0,
         CLIENT_LACKS_NOTHING},
        {BODY_7BIT, 0, true, false, "u@c", 0, CLIENT_LACKS_NOTHING},
        {BODY_7BIT, 0, true, true, "u@c", 0, CLIENT_LACKS_UTF8},
        {BODY_7BIT, 0, true, false, "\xc3\xbc@c", 0, CLIENT_LACKS_UTF8},
        {BODY_7BIT, CLIENT_SMTPUTF8, true, false, "\xc3\xbc@c", 0, CLIENT_LACKS_NOTHING},
        /* Raw bytes in header fields of a client that never said SMTPUTF8 are 8-bit content. */
        {BODY_7BIT, 0, false, true, "u@c", 0, CLIENT_LACKS_NOTHING},
        {BODY_7BIT, CLIENT_SIZE, false, false, "u@c", 24, CLIENT_LACKS_SIZE},
        {BODY_7BIT, CLIENT_SIZE, false, false, "u@c", 25, CLIENT_LACKS_NOTHING},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c = {.offers = rows[i].offers, .size_max = rows[i].size_max};
        struct client_rcpt to = {.address = str_of(rows[i].to)};
        struct client_mail m = {.body = rows[i].body,
                                .smtputf8 = rows[i].utf8,
                                .size = 25,
                                .sender = STR("a@b"),
                                .to = &to,
                                .to_count = 1};

        assert_int_equal(client_lacks(&c, &m, rows[i].utf8_headers), rows[i].want);
    }
    (void)state;
}

/* RFC 2852: mail that is to be returned in time goes to nobody who does not watch the time. */
static void time_is_given_only_to_a_host_that_keeps_it(void **state)
{
    static const struct {
        enum by_mode by;
        int64_t by_s;
        unsigned offers;
        uint64_t by_s_min;
        bool lmtp;
        enum client_lack want;
    } rows[] = {
        {BY_NONE, 0, 0, 0, false, CLIENT_LACKS_NOTHING},
        {BY_NOTIFY, 60, 0, 0, false, CLIENT_LACKS_NOTHING},
        {BY_RETURN, 60, 0, 0, false, CLIENT_LACKS_TIME},
        {BY_RETURN, 60, CLIENT_DELIVERBY, 0, false, CLIENT_LACKS_NOTHING},
        {BY_RETURN, 60, CLIENT_DELIVERBY, 60, false, CLIENT_LACKS_NOTHING},
        {BY_RETURN, 59, CLIENT_DELIVERBY, 60, false, CLIENT_LACKS_TIME},
        {BY_NOTIFY, 59, CLIENT_DELIVERBY, 60, false, CLIENT_LACKS_NOTHING},
        {BY_RETURN, 0, CLIENT_DELIVERBY, 0, false, CLIENT_LACKS_TIME}, /* none is left */
        {BY_RETURN, 60, 0, 0, true, CLIENT_LACKS_NOTHING},             /* this is delivery */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c = {
            .offers = rows[i].offers, .by_s_min = rows[i].by_s_min, .lmtp = rows[i].lmtp};
        struct client_rcpt to = {.address = STR("u@c")};
        struct client_mail m = {
            .sender = STR("a@b"), .by = rows[i].by, .by_s = rows[i].by_s, .to = &to, .to_count = 1};

        assert_int_equal(client_lacks(&c, &m, false), rows[i].want);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greetings_and_refusals),
        cmocka_unit_test(what_was_left_open_is_reset),
        cmocka_unit_test(a_peer_that_spoke_or_left_is_not_quiet),
        cmocka_unit_test(what_a_peer_lacks_is_known_before),
        cmocka_unit_test(time_is_given_only_to_a_host_that_keeps_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
