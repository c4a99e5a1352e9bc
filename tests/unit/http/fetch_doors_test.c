/* Whom the client trusts, how it finds them, what it is told; and who answers in simulations. */
#include "asking.h"
#include "runtime/sim.h"
#include "tls/tls.h"

#include <errno.h>

/* ---- trust ---- */

static const struct {
    const char *door, *host;
    bool has_ca, has_certificate, allow_invalid;
    enum err_code code;
    const char *words; /* in why */
} trusts[] = {
    {"https", NULL, true, false, false, OK, ""},
    {"https", "hooks.test", true, false, false, OK, ""},
    {"https", NULL, false, false, false, ERR_TLS, "certificate"}, /* not by the system's CAs */
    {"https", "other.test", true, false, false, ERR_TLS, "name"},
    {"self-signed", NULL, true, false, false, ERR_TLS, "self-signed"},
    {"wrong-name", NULL, true, false, false, ERR_TLS, "name"},
    {"expired", NULL, true, false, false, ERR_TLS, "expired"},
    {"old-tls", NULL, true, false, false, ERR_TLS, ""},
    {"not-tls", NULL, true, false, false, ERR_TLS, ""},
    {"self-signed", NULL, false, false, true, OK, ""},
    {"wrong-name", NULL, false, false, true, OK, ""},
    {"expired", NULL, false, false, true, OK, ""},
    {"old-tls", NULL, false, false, true, ERR_TLS, ""},
    {"client-certificate", NULL, true, true, false, OK, ""},
};

static struct err names_here(void *ctx, struct str host, struct arena *a, struct addr **ret,
                             size_t *count, struct buf *why, struct when by)
{
    unsigned *asked = ctx;

    (*asked)++;
    (void)fiber_sleep(when_after(1), by);
    if (str_eq(host, STR("failing.test"))) {
        buf_printf(why, "A failing.test: SERVFAIL");
        return err_of(ERR_DNS);
    }
    *ret = arena_array(a, 2, sizeof **ret);
    (*ret)[0] = (struct addr){.family = 4, .ip = {127, 0, 0, 77}}; /* nobody is there */
    (*ret)[1] = (struct addr){.family = 4, .ip = {127, 0, 0, 1}};
    *count = 2;
    return ERR_OK;
}

static void try_trusts(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < COUNT_OF(trusts); i++) {
        unsigned asked = 0;
        struct fetch_pool_options o = {.allow_invalid_certs = trusts[i].allow_invalid,
                                       .names = {names_here, &asked}};
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct fetch_answer answer;
        struct fetch_pool *p;
        struct err e;

        if (trusts[i].has_ca) {
            o.ca_file = str_of(hostile_door(&hostile, "ca"));
        }
        if (trusts[i].has_certificate) {
            o.certificate = str_of(hostile_door(&hostile, "certificate"));
            o.key = str_of(hostile_door(&hostile, "key"));
        }
        p = open_pool(o);
        for (unsigned n = 0; n < 2; n++) { /* the second may use what the first left */
            struct ask how = {.door = trusts[i].door, .host = trusts[i].host, .path = "/say/words"};

            buf_clear(&why);
            e = ask(p, how, &a, &answer, &why);
            if (e.code != trusts[i].code || !says(buf_str(&why), trusts[i].words)) {
                fail_msg("%zu: %s, %s: %.*s", i, trusts[i].door, err_name(e.code),
                         STR_ARG(buf_str(&why)));
            }
        }
        assert_int_equal(fetch_pool_counts(p).sent_again, 0);
        fetch_pool_free(p, WHEN_NEVER);
    }
}

/* SE-17. */
static void a_call_goes_only_to_whom_is_trusted(void **state)
{
    (void)state;
    run_alone("test", try_trusts, NULL);
}

static void share_trust(void *arg)
{
    struct tls_trust *ours, *system;
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;

    (void)arg;
    assert_int_equal(tls_trust_load(str_of(hostile_door(&hostile, "ca")), &ours, &why).code, OK);
    assert_int_equal(tls_trust_load(STR_EMPTY, &system, &why).code, OK);
    for (unsigned i = 0; i < 4; i++) {
        struct fetch_trust trust = {tls_trust_give, i % 2 == 0 ? ours : system};
        struct fetch_pool *p = open_pool((struct fetch_pool_options){.trust = trust});

        assert_int_equal(
            ask(p, (struct ask){.door = "https", .path = "/say/x"}, &a, &answer, &why).code,
            i % 2 == 0 ? OK : ERR_TLS);
        assert_int_equal(
            ask(p, (struct ask){.door = "self-signed", .path = "/say/x"}, &a, &answer, &why).code,
            ERR_TLS);
        fetch_pool_free(p, WHEN_NEVER);
    }
    tls_trust_drop(ours);
    tls_trust_drop(system);
}

static void pools_may_share_a_trust(void **state)
{
    (void)state;
    run_alone("test", share_trust, NULL);
}

static void meet_silence(void *arg)
{
    struct fetch_pool *p = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;

    (void)arg; /* a handshake that never begins */
    assert_int_equal(
        ask(p, (struct ask){.door = "silent", .path = "/", .ms = 100}, &a, &answer, &why).code,
        ERR_TIMEOUT);
    buf_clear(&why); /* a certificate was asked for, and we have none */
    assert_int_not_equal(
        ask(p, (struct ask){.door = "client-certificate", .path = "/say/x"}, &a, &answer, &why)
            .code,
        OK);
    fetch_pool_free(p, WHEN_NEVER);
}

static void a_silent_handshake_ends_at_the_deadline(void **state)
{
    (void)state;
    run_alone("test", meet_silence, NULL);
}

/* ---- where ---- */

static void use_names(void *arg)
{
    unsigned asked = 0;
    struct fetch_pool *p = open_pool((struct fetch_pool_options){.names = {names_here, &asked}});
    struct fetch_pool *blind = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;
    struct fetch_target nobody;
    struct fetch_request r = {.method = STR("GET"), .target = &nobody, .response_max = 1000};
    struct err e;

    (void)arg;
    /* The first address refuses, the second serves; the library has no other way to know them. */
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(ask(p, (struct ask){.door = "http", .host = "hooks.test", .path = "/echo"},
                             &a, &answer, &why)
                             .code,
                         OK);
        expect_says(answer.body, "\"host\": \"hooks.test:");
    }
    assert_int_equal(asked, 1);
    assert_int_equal(fetch_pool_counts(p).opened, 1);
    assert_int_equal(
        ask(p, (struct ask){.door = "http", .host = "failing.test", .path = "/"}, &a, &answer, &why)
            .code,
        ERR_DNS);
    EXPECT_STR(buf_str(&why), "A failing.test: SERVFAIL");
    buf_clear(&why);
    assert_int_equal(ask(blind, (struct ask){.door = "http", .host = "localhost", .path = "/"}, &a,
                         &answer, &why)
                         .code,
                     ERR_NO_NAME);
    buf_clear(&why);
    assert_int_equal(fetch_target_parse(STR("http://127.0.0.1:1/"), &a, &nobody, &why).code, OK);
    e = fetch(blind, &r, &a, &answer, &why, when_after(1000));
    assert_int_equal(e.code, ERR_NETWORK);
    assert_int_equal(e.sys, ECONNREFUSED);
    EXPECT_STR(buf_str(&why), "cannot connect: Connection refused");
    fetch_pool_free(p, WHEN_NEVER);
    fetch_pool_free(blind, WHEN_NEVER);
}

static void names_are_found_by_whom_the_pool_was_told(void **state)
{
    (void)state;
    run_alone("test", use_names, NULL);
}

static void use_local(void *arg)
{
    struct fetch_pool *p = open_pool(
        (struct fetch_pool_options){.socket = str_of(hostile_door(&hostile, "local"))});
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;

    (void)arg;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(ask(p, (struct ask){.door = "local", .host = "filter", .path = "/echo"},
                             &a, &answer, &why)
                             .code,
                         OK);
        expect_says(answer.body, i == 0 ? "\"served\": 0" : "\"served\": 1");
    }
    fetch_pool_free(p, WHEN_NEVER);
}

static void a_local_socket_needs_no_name(void **state)
{
    (void)state;
    run_alone("test", use_local, NULL);
}

static void ignore_proxies(void *arg)
{
    struct fetch_pool *p = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_answer answer;

    (void)arg;
    assert_int_equal(ask(p, (struct ask){.door = "http", .path = "/say/x"}, &a, &answer, &why).code,
                     OK);
    fetch_pool_free(p, WHEN_NEVER);
}

static void the_environment_names_no_proxy(void **state)
{
    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1/", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
    run_alone("test", ignore_proxies, NULL);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

static void call_often(void *arg)
{
    struct fetch_pool *p = open_pool(
        (struct fetch_pool_options){.ca_file = str_of(hostile_door(&hostile, "ca"))});
    unsigned *served = arg;

    for (unsigned i = 0; i < 50; i++) {
        struct ask how = {.door = i % 2 == 0 ? "https" : "http", .path = "/say/x"};
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct fetch_answer answer;

        *served += ask(p, how, &a, &answer, &why).code == OK;
    }
    fetch_pool_free(p, WHEN_NEVER);
}

static void loops_call_side_by_side(void **state)
{
    static const char *const names[] = {"one", "two", "three"};
    struct world *w = world_new();
    unsigned served[3] = {0};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        loop_main(world_loop(w, names[i]), call_often, &served[i]);
    }
    world_run(w);
    world_free(w);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(served[i], 50);
    }
}

/* ---- options ---- */

static void refuse_options(void *arg)
{
    const char *ca = hostile_door(&hostile, "ca"), *key = hostile_door(&hostile, "key");
    const struct {
        struct str ca, certificate, key;
        const char *words;
    } rows[] = {
        {str_of("/nowhere/ca.pem"), STR_EMPTY, STR_EMPTY,
         "CA file /nowhere/ca.pem: cannot be read"},
        {str_of(key), STR_EMPTY, STR_EMPTY, "BEGIN CERTIFICATE"},
        {STR_EMPTY, str_of(ca), STR_EMPTY, "needs its key"},
        {STR_EMPTY, STR_EMPTY, str_of(key), "its certificate"},
        {STR_EMPTY, str_of("/nowhere/c.pem"), str_of(key), "client certificate /nowhere/c.pem"},
        {STR_EMPTY, str_of(ca), str_of("/nowhere/k.pem"), "client key /nowhere/k.pem"},
        {STR_EMPTY, str_of(ca), str_of(ca), "PRIVATE KEY"},
    };

    (void)arg;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fetch_pool_options o = {.connections_max = 1,
                                       .ca_file = rows[i].ca,
                                       .certificate = rows[i].certificate,
                                       .key = rows[i].key};
        struct buf why BUF_LOCAL = {0};
        struct fetch_pool *p;

        assert_int_equal(fetch_pool_new(&o, &p, &why).code, ERR_CONFIG);
        expect_says(buf_str(&why), rows[i].words);
    }
}

static void options_that_cannot_work_are_refused_with_their_file(void **state)
{
    (void)state;
    run_alone("test", refuse_options, NULL);
}

/* ---- simulated ---- */

static struct err play(void *ctx, const struct fetch_request *r, struct arena *a,
                       struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct err e = fiber_sleep(when_after(*(const int64_t *)ctx), by);

    if (e.code != OK) {
        return e;
    }
    if (str_eq(r->target->path, STR("/broken"))) {
        buf_printf(why, "the scenario wants it so");
        return err_of(ERR_CLOSED);
    }
    ret->status = 200;
    ret->head = STR("Retry-After: 9\r\n");
    return fetch_request_body(r, a, &ret->body, by);
}

static void ask_scenario(void *arg)
{
    struct fetch_pool *p = open_plain();
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct fetch_target target, broken;
    struct fetch_request r = {.method = STR("POST"), .target = &target, .body = STR("words")};
    struct fetch_answer answer;
    struct str value;

    (void)arg;
    assert_int_equal(fetch_target_parse(STR("https://a.test/"), &a, &target, &why).code, OK);
    assert_int_equal(fetch_target_parse(STR("https://a.test/broken"), &a, &broken, &why).code, OK);
    r.response_max = 5;
    assert_int_equal(fetch(p, &r, &a, &answer, &why, when_after(60000)).code, OK);
    EXPECT_STR(answer.body, "words");
    assert_true(fetch_answer_field(&answer, STR("retry-after"), &value));
    EXPECT_STR(value, "9");
    assert_int_equal(fetch(p, &r, &a, &answer, &why, when_after(1000)).code, ERR_TIMEOUT);
    r.response_max = 4;
    assert_int_equal(fetch(p, &r, &a, &answer, &why, when_after(60000)).code, ERR_LIMIT);
    r.target = &broken;
    buf_clear(&why);
    assert_int_equal(fetch(p, &r, &a, &answer, &why, when_after(60000)).code, ERR_CLOSED);
    EXPECT_STR(buf_str(&why), "the scenario wants it so");
    fetch_pool_free(p, WHEN_NEVER);
}

static void in_a_simulation_the_scenario_answers(void **state)
{
    int64_t latency_ms = 30000;
    struct fetch_sim sim = {play, &latency_ms};
    struct world *w = sim_world(NULL);

    (void)state;
    sim_service_set(w, "fetch", &sim);
    loop_main(world_loop(w, "test"), ask_scenario, NULL);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
}

static void open_nothing(void *arg)
{
    struct fetch_pool_options o = {.connections_max = 1};
    struct buf why BUF_LOCAL = {0};
    struct fetch_pool *p;

    (void)arg;
    assert_int_equal(fetch_pool_new(&o, &p, &why).code, ERR_CONFIG);
    expect_says(buf_str(&why), "scenario");
}

static void a_scenario_without_answers_is_refused(void **state)
{
    struct world *w = sim_world(NULL);

    (void)state;
    loop_main(world_loop(w, "test"), open_nothing, NULL);
    world_run(w);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_goes_only_to_whom_is_trusted),
        cmocka_unit_test(pools_may_share_a_trust),
        cmocka_unit_test(a_silent_handshake_ends_at_the_deadline),
        cmocka_unit_test(names_are_found_by_whom_the_pool_was_told),
        cmocka_unit_test(a_local_socket_needs_no_name),
        cmocka_unit_test(the_environment_names_no_proxy),
        cmocka_unit_test(loops_call_side_by_side),
        cmocka_unit_test(options_that_cannot_work_are_refused_with_their_file),
        cmocka_unit_test(in_a_simulation_the_scenario_answers),
        cmocka_unit_test(a_scenario_without_answers_is_refused),
    };

    return cmocka_run_group_tests(tests, start_hostile, stop_hostile);
}
