#include "../unit.h"
#include "certificates.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/sim.h"
#include "runtime/stream.h"
#include "tls/part.h"
#include "tls/tls.h"

#include <stdlib.h>
#include <unistd.h>

enum { LOTS = 2 * 1024 * 1024 };

static const struct addr anywhere = {.family = 4, .ip = {127, 0, 0, 1}};
static char folder[] = "/tmp/postyard-tls-XXXXXX";
static struct tls_server *server;
static struct tls_trust *trust, *stranger;

static struct str write_file(const char *name, const char *text, char at[64])
{
    FILE *f;

    (void)snprintf(at, 64, "%s/%s", folder, name);
    f = fopen(at, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return str_of(at);
}

static int set_up(void **state)
{
    char cert[64], key[64], ca[64];
    struct buf why BUF_LOCAL = {0};

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(tls_server_load(write_file("server.pem", server_pem, cert),
                                     write_file("server.key", server_key, key), &server, &why)
                         .code,
                     OK);
    assert_int_equal(tls_trust_load(write_file("ca.pem", authority_pem, ca), &trust, &why).code,
                     OK);
    assert_int_equal(tls_trust_load(STR_EMPTY, &stranger, &why).code, OK);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"server.pem", "server.key", "ca.pem",
                                        "other.key",  "locked.key", "text"};
    char at[64];

    (void)state;
    tls_server_drop(server);
    tls_trust_drop(trust);
    tls_trust_drop(stranger);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(at, sizeof at, "%s/%s", folder, names[i]);
        (void)unlink(at);
    }
    return rmdir(folder);
}

/* A server fiber on the other end, and what it found. */
struct other {
    struct listener *listener;
    struct group group;
    void (*then)(struct other *o); /* after the handshake */
    struct err result;
    struct tls_facts facts;
    char failure[TLS_FAILURE_MAX], peer_name[TLS_NAME_MAX];
    struct stream *stream;
    bool in_the_clear;
};

static void serves(void *arg)
{
    struct other *o = arg;
    struct guest *g;
    struct str why;

    assert_int_equal(listener_accept(o->listener, &g, when_after(5000)).code, OK);
    o->stream = guest_stream(g);
    if (!o->in_the_clear) {
        o->result = tls_accept(o->stream, server, when_after(5000));
        o->facts = tls_describe(o->stream);
        memcpy(o->peer_name, o->facts.peer_name.ptr, o->facts.peer_name.len);
        why = tls_failure(o->stream);
        memcpy(o->failure, why.ptr, why.len);
    }
    if (o->result.code == OK && o->then != NULL) {
        o->then(o);
    }
    stream_close(o->stream);
}

static struct stream *meet(struct other *o)
{
    struct stream *s = NULL;

    assert_int_equal(listener_open(anywhere, &o->listener).code, OK);
    group_init(&o->group, "other", 0);
    assert_int_equal(group_spawn_now(&o->group, "serves", serves, o).code, OK);
    assert_int_equal(
        stream_connect(listener_addr(o->listener), (struct addr){0}, &s, when_after(2000)).code,
        OK);
    return s;
}

static void part(struct other *o, struct stream *s)
{
    stream_close(s);
    assert_int_equal(group_join(&o->group, WHEN_NEVER).code, OK);
    listener_close(o->listener);
}

static void echoes(struct other *o)
{
    struct str got;

    while (stream_fill(o->stream, "words", when_after(5000)).code == OK) {
        got = stream_buffered(o->stream);
        assert_int_equal(stream_put(o->stream, got, when_after(5000)).code, OK);
        stream_take(o->stream, got.len);
    }
}

static void expect_echo(struct stream *s, const char *words)
{
    assert_int_equal(stream_put(s, str_of(words), when_after(5000)).code, OK);
    assert_int_equal(stream_fill(s, "echo", when_after(5000)).code, OK);
    EXPECT_STR(stream_buffered(s), words);
    stream_take(s, stream_buffered(s).len);
}

static void opportunistic_fiber(void *arg)
{
    struct other o = {.then = echoes};
    struct stream *s = meet(&o);
    struct tls_client *c = tls_client_opportunistic();
    struct tls_facts f;

    (void)arg;
    assert_false(tls_describe(s).active);
    assert_int_equal(tls_connect(s, c, STR("any.name.test."), when_after(5000)).code, OK);
    f = tls_describe(s);
    assert_true(f.active);
    assert_false(f.verified);
    assert_false(f.resumed);
    EXPECT_STR(f.protocol, "TLSv1.3");
    assert_true(f.cipher.len > 0);
    EXPECT_STR(f.peer_name, "any.name.test");
    expect_echo(s, "EHLO there\r\n");
    tls_client_drop(c); /* the stream holds its own */
    expect_echo(s, "QUIT\r\n");
    part(&o, s);
    EXPECT_STR(str_of(o.peer_name), "any.name.test");
}

static void an_opportunistic_client_encrypts_with_anybody(void **state)
{
    (void)state;
    run_alone("test", opportunistic_fiber, NULL);
}

static const struct {
    const char *name;
    bool is_stranger; /* judged by authorities that do not know the server's */
    const char *failure;
} judged[] = {
    {"mx.example.test", false, NULL},
    {"MX.example.test.", false, NULL},
    {"a.wild.test", false, NULL},
    {"127.0.0.1", false, NULL},
    {"a.b.wild.test", false, "certificate of a.b.wild.test refused: hostname mismatch"},
    {"wild.test", false, "certificate of wild.test refused: hostname mismatch"},
    {"mx.example.tes", false, "certificate of mx.example.tes refused: hostname mismatch"},
    {"127.0.0.2", false, "certificate of 127.0.0.2 refused: IP address mismatch"},
    {"mx.example.test", true,
     "certificate of mx.example.test refused: unable to get local issuer certificate"},
    {"", false, "not a name to ask for in a TLS handshake"},
};

static void judged_fiber(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < COUNT_OF(judged); i++) {
        struct other o = {.then = echoes};
        struct stream *s = meet(&o);
        struct tls_client *c = tls_client_verified(judged[i].is_stranger ? stranger : trust);
        struct err e = tls_connect(s, c, str_of(judged[i].name), when_after(5000));

        assert_int_equal(e.code, judged[i].failure ? ERR_TLS : OK);
        assert_int_equal(tls_describe(s).verified, judged[i].failure == NULL);
        EXPECT_STR(tls_failure(s), judged[i].failure ? judged[i].failure : "");
        if (e.code == OK) {
            expect_echo(s, "over");
        } else {
            /* Nobody goes on in the clear. */
            assert_int_equal(stream_put(s, STR("MAIL"), WHEN_NEVER).code, OK);
            assert_int_equal(stream_flush(s, WHEN_NEVER).code, ERR_TLS);
            assert_int_equal(stream_fill(s, "x", WHEN_NEVER).code, ERR_TLS);
        }
        tls_client_drop(c);
        part(&o, s);
    }
}

static void a_verifying_client_takes_only_the_right_certificate(void **state)
{
    (void)state;
    run_alone("test", judged_fiber, NULL);
}

static void elsewhere_fiber(void *arg)
{
    struct tls_client *c = tls_client_verified(trust);

    (void)arg;
    for (unsigned i = 0; i < 2; i++) {
        struct other o = {.then = echoes};
        struct stream *s = meet(&o);

        /* Each round listens at another port: not the host that gave the session. */
        assert_int_equal(tls_connect(s, c, STR("mx.example.test"), when_after(5000)).code, OK);
        assert_true(tls_describe(s).verified);
        assert_false(tls_describe(s).resumed);
        expect_echo(s, "x");
        part(&o, s);
    }
    tls_client_drop(c);
}

static void a_session_of_another_address_is_not_used(void **state)
{
    (void)state;
    run_alone("test", elsewhere_fiber, NULL);
}

static void again_fiber(void *arg)
{
    struct tls_client *c = tls_client_verified(trust);
    struct other o = {.then = echoes};
    struct listener *l;

    (void)arg;
    assert_int_equal(listener_open(anywhere, &l).code, OK);
    for (unsigned i = 0; i < 3; i++) {
        struct stream *s;

        o = (struct other){.listener = l, .then = echoes};
        group_init(&o.group, "other", 0);
        assert_int_equal(group_spawn_now(&o.group, "serves", serves, &o).code, OK);
        assert_int_equal(
            stream_connect(listener_addr(l), (struct addr){0}, &s, when_after(2000)).code, OK);
        assert_int_equal(tls_connect(s, c, STR("mx.example.test"), when_after(5000)).code, OK);
        assert_true(tls_describe(s).verified);
        assert_int_equal(tls_describe(s).resumed, i > 0);
        expect_echo(s, "x");
        stream_close(s);
        assert_int_equal(group_join(&o.group, WHEN_NEVER).code, OK);
        assert_int_equal(o.facts.resumed, i > 0);
    }
    listener_close(l);
    tls_client_drop(c);
}

static void the_next_connection_to_a_host_resumes(void **state)
{
    (void)state;
    run_alone("test", again_fiber, NULL);
}

static void says_too_early(struct other *o)
{
    assert_int_equal(stream_put(o->stream, STR("220 go\r\nextra"), WHEN_NEVER).code, OK);
    assert_int_equal(stream_flush(o->stream, WHEN_NEVER).code, OK);
    (void)stream_fill(o->stream, "the end", when_after(5000));
}

static void injected_fiber(void *arg)
{
    struct other o = {.then = says_too_early, .in_the_clear = true};
    struct stream *s = meet(&o);
    struct tls_client *c = tls_client_opportunistic();

    (void)arg;
    assert_int_equal(stream_fill(s, "220", when_after(5000)).code, OK);
    stream_take(s, 8);
    assert_int_equal(tls_connect(s, c, STR("a.test"), when_after(5000)).code, ERR_TLS);
    EXPECT_STR(tls_failure(s), "bytes in the clear arrived before the TLS handshake");
    EXPECT_STR(stream_buffered(s), "");
    assert_int_equal(stream_fill(s, "x", WHEN_NEVER).code, ERR_TLS);
    tls_client_drop(c);
    part(&o, s);
}

static void bytes_before_the_handshake_are_refused(void **state)
{
    (void)state;
    run_alone("test", injected_fiber, NULL);
}

static void plain_fiber(void *arg)
{
    struct other o = {0};
    struct stream *s = meet(&o);

    (void)arg;
    assert_int_equal(stream_put(s, STR("EHLO in.the.clear\r\n"), WHEN_NEVER).code, OK);
    (void)stream_fill(s, "alert", when_after(5000));
    part(&o, s);
    assert_int_equal(o.result.code, ERR_TLS);
    assert_true(str_starts(str_of(o.failure), STR("TLS handshake: ")));
}

static void a_client_in_the_clear_fails_the_handshake(void **state)
{
    (void)state;
    run_alone("test", plain_fiber, NULL);
}

static void stays_silent(struct other *o)
{
    (void)stream_fill(o->stream, "hello", when_after(5000));
    (void)stream_fill(o->stream, "the end", when_after(5000));
}

static void late_fiber(void *arg)
{
    struct other o = {.then = stays_silent, .in_the_clear = true};
    struct stream *s = meet(&o);
    struct tls_client *c = tls_client_opportunistic();

    (void)arg;
    assert_int_equal(tls_connect(s, c, STR("a.test"), when_after(20)).code, ERR_TIMEOUT);
    assert_int_equal(stream_fill(s, "x", WHEN_NEVER).code, ERR_TIMEOUT);
    tls_client_drop(c);
    part(&o, s);
}

static void a_deadline_ends_the_handshake_and_the_stream(void **state)
{
    (void)state;
    run_alone("test", late_fiber, NULL);
}

static void much_fiber(void *arg)
{
    static char bytes[70000];
    struct other o = {.then = echoes};
    struct stream *s = meet(&o);
    struct tls_client *c = tls_client_opportunistic();
    size_t sent = 0, got = 0, n;

    (void)arg;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i * 7 % 251);
    }
    assert_int_equal(tls_connect(s, c, STR("a.test"), when_after(5000)).code, OK);
    /* Pieces of many sizes; what comes back must be the same run of bytes. */
    while (got < LOTS) {
        n = 1 + (sent * 31) % sizeof bytes;
        n = sent >= LOTS                             ? 0
            : sent % sizeof bytes + n > sizeof bytes ? sizeof bytes - sent % sizeof bytes
                                                     : n;
        if (n > 0) {
            assert_int_equal(
                stream_put(s, str_make(bytes + sent % sizeof bytes, n), when_after(5000)).code, OK);
            sent += n;
        }
        if (sent - got > 20000) {
            struct str b;

            assert_int_equal(stream_fill(s, "echo", when_after(5000)).code, OK);
            b = stream_buffered(s);
            for (size_t i = 0; i < b.len; i++) {
                assert_int_equal(b.ptr[i], bytes[(got + i) % sizeof bytes]);
            }
            got += b.len;
            stream_take(s, b.len);
        }
        if (sent >= LOTS && sent - got <= 20000) {
            break;
        }
    }
    tls_client_drop(c);
    part(&o, s);
}

static void large_and_small_pieces_arrive_in_order(void **state)
{
    (void)state;
    run_alone("test", much_fiber, NULL);
}

static void says_goodbye(struct other *o)
{
    stream_farewell(o->stream, STR("421 bye\r\n"));
}

static void goodbye_fiber(void *arg)
{
    struct other o = {.then = says_goodbye};
    struct stream *s = meet(&o);
    struct tls_client *c = tls_client_opportunistic();

    (void)arg;
    assert_int_equal(tls_connect(s, c, STR("a.test"), when_after(5000)).code, OK);
    assert_int_equal(stream_fill(s, "farewell", when_after(5000)).code, OK);
    EXPECT_STR(stream_buffered(s), "421 bye\r\n");
    stream_take(s, 9);
    assert_int_equal(stream_fill(s, "end", when_after(5000)).code, ERR_CLOSED);
    EXPECT_STR(tls_failure(s), "closed by the other side");
    tls_client_drop(c);
    part(&o, s);
}

static void a_farewell_arrives_and_then_the_end(void **state)
{
    (void)state;
    run_alone("test", goodbye_fiber, NULL);
}

static void wrong_files_are_named(void **state)
{
    char cert[64], key[64], other[64], locked[64], text[64];
    struct str c = write_file("server.pem", server_pem, cert);
    struct str k = write_file("server.key", server_key, key);
    struct str o = write_file("other.key", other_key, other);
    struct str l = write_file("locked.key", locked_key, locked);
    struct str t = write_file("text", "no PEM here\n", text);
    const struct {
        struct str certificate, key;
        const char *starts, *says;
    } cases[] = {
        {STR("/nowhere/c.pem"), k, "certificate file /nowhere/c.pem: ", "No such file"},
        {c, STR("/nowhere/k.pem"), "key file /nowhere/k.pem: ", "No such file"},
        {t, k, "certificate file /tmp/", "no start line"},
        {c, t, "key file /tmp/", ""},
        {c, o, "key file /tmp/", "not the key of the certificate"},
        {c, l, "key file /tmp/", "protected by a pass phrase"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf why BUF_LOCAL = {0};
        struct tls_server *s = NULL;

        assert_int_equal(tls_server_load(cases[i].certificate, cases[i].key, &s, &why).code,
                         ERR_CONFIG);
        assert_null(s);
        if (!str_starts(buf_str(&why), str_of(cases[i].starts)) ||
            str_find_str(buf_str(&why), str_of(cases[i].says)) == STR_NONE) {
            print_error("case %zu: %.*s\n", i, STR_ARG(buf_str(&why)));
            fail();
        }
    }
}

static void a_missing_bundle_is_named(void **state)
{
    struct buf why BUF_LOCAL = {0};
    struct tls_trust *t = NULL;

    (void)state;
    assert_int_equal(tls_trust_load(STR("/nowhere/ca.pem"), &t, &why).code, ERR_CONFIG);
    assert_null(t);
    assert_true(str_starts(buf_str(&why), STR("authorities /nowhere/ca.pem: ")));
}

static const struct {
    struct tls_sim presented;
    bool verify, clear; /* clear: the other side speaks SMTP instead */
    const char *failure, *other_failure;
} simulated[] = {
    {{STR_INIT("mx.test"), true, false}, true, false, NULL, NULL},
    {{STR_INIT("a.test *.test"), true, false}, true, false, NULL, NULL},
    {{STR_INIT("other.test"), false, false}, false, false, NULL, NULL},
    {{STR_INIT("mx.test"), false, false},
     true,
     false,
     "certificate of mx.test refused: unknown authority",
     NULL},
    {{STR_INIT("other.test"), true, false},
     true,
     false,
     "certificate of mx.test refused: hostname mismatch",
     NULL},
    {{STR_INIT("mx.test"), true, true},
     false,
     false,
     "TLS handshake: alert handshake failure",
     "TLS handshake: no shared cipher"},
    {{STR_INIT("mx.test"), true, false}, false, true, "TLS handshake: wrong version number", NULL},
};

static void speaks_smtp(struct other *o)
{
    assert_int_equal(stream_fill(o->stream, "anything", when_after(5000)).code, OK);
    assert_int_equal(stream_put(o->stream, STR("500 what?\r\n"), WHEN_NEVER).code, OK);
    assert_int_equal(stream_flush(o->stream, WHEN_NEVER).code, OK);
    stream_take(o->stream, stream_buffered(o->stream).len);
    (void)stream_fill(o->stream, "the end", when_after(5000));
}

static void simulated_fiber(void *arg)
{
    struct tls_server *real = server;
    struct buf why BUF_LOCAL = {0};
    size_t i = *(size_t *)arg;
    struct tls_client *c = simulated[i].verify ? tls_client_verified(trust)
                                               : tls_client_opportunistic();
    struct other o = {.then = simulated[i].clear ? speaks_smtp : echoes,
                      .in_the_clear = simulated[i].clear};
    struct stream *s;
    struct err e;

    assert_int_equal(tls_server_load(STR("c"), STR("k"), &server, &why).code, OK);
    s = meet(&o);
    e = tls_connect(s, c, STR("mx.test."), when_after(5000));
    assert_int_equal(e.code, simulated[i].failure ? ERR_TLS : OK);
    EXPECT_STR(tls_failure(s), simulated[i].failure ? simulated[i].failure : "");
    if (e.code == OK) {
        struct tls_facts f = tls_describe(s);

        assert_true(f.active);
        assert_int_equal(f.verified, simulated[i].verify);
        EXPECT_STR(f.peer_name, "mx.test");
        expect_echo(s, "over");
    } else {
        assert_int_equal(stream_fill(s, "x", WHEN_NEVER).code, ERR_TLS);
    }
    part(&o, s);
    EXPECT_STR(str_of(o.failure), simulated[i].other_failure ? simulated[i].other_failure : "");
    if (!simulated[i].clear) {
        EXPECT_STR(str_of(o.peer_name), o.facts.active ? "mx.test" : "");
    }
    tls_client_drop(c);
    tls_server_drop(server);
    server = real;
}

static void a_simulated_handshake_judges_like_a_real_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(simulated); i++) {
        struct world *w = sim_world(NULL);
        struct tls_sim presented = simulated[i].presented;

        sim_service_set(w, "tls", &presented);
        loop_main(world_loop(w, "test"), simulated_fiber, &i);
        world_run(w);
        assert_int_equal(sim_end(w), SIM_OVER);
        world_free(w);
    }
}

static const struct {
    const char *names, *name;
    bool matches;
} matches[] = {
    {"a.test", "a.test", true},    {"a.test", "A.TEST", true},    {"b.test a.test", "a.test", true},
    {"*.test", "a.test", true},    {"*.test", "a.b.test", false}, {"*.test", "test", false},
    {"", "a.test", false},         {"a.test", "", false},         {"*.a.test", ".a.test", false},
    {"x.a.test", "a.test", false},
};

static void simulated_names_match_like_real_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(matches); i++) {
        assert_int_equal(tls_name_matches(str_of(matches[i].names), str_of(matches[i].name)),
                         matches[i].matches);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_opportunistic_client_encrypts_with_anybody),
        cmocka_unit_test(a_verifying_client_takes_only_the_right_certificate),
        cmocka_unit_test(a_session_of_another_address_is_not_used),
        cmocka_unit_test(the_next_connection_to_a_host_resumes),
        cmocka_unit_test(bytes_before_the_handshake_are_refused),
        cmocka_unit_test(a_client_in_the_clear_fails_the_handshake),
        cmocka_unit_test(a_deadline_ends_the_handshake_and_the_stream),
        cmocka_unit_test(large_and_small_pieces_arrive_in_order),
        cmocka_unit_test(a_farewell_arrives_and_then_the_end),
        cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(a_missing_bundle_is_named),
        cmocka_unit_test(a_simulated_handshake_judges_like_a_real_one),
        cmocka_unit_test(simulated_names_match_like_real_ones),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
