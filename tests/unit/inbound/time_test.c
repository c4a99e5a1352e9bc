#include "scene.h"
#include "tls/tls.h"

/* Takes up the same policy again, with a certificate. */
static void offer_tls(struct scene *scene, bool broken)
{
    struct faults faults = {0};
    struct buf why BUF_LOCAL = {0};
    struct policy *p = policy_of(scene->extra, scene->at.port, &faults);

    must_load(p, &faults);
    p->tls = tls_server_sim((struct tls_sim){.names = STR("mx.example.org"), .broken = broken});
    assert_int_equal(inbound_use(scene->in, p, &why, WHEN_NEVER).code, OK);
}

#define GREETED_TLS                                                                                \
    "S: 220 mx.example.org ESMTP Postyard\nC: EHLO client.example\nS: 250-mx.example.org\n"        \
    "S: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-CHUNKING\nS: 250-BINARYMIME\n"    \
    "S: 250-ENHANCEDSTATUSCODES\nS: 250-DSN\nS: 250-STARTTLS\nS: 250 SIZE 104857600\n"
#define READY "C: STARTTLS\nS: 220 2.0.0 Ready to start TLS\n"

static void starts_tls(struct scene *scene)
{
    struct tls_client *tls = tls_client_opportunistic();
    struct stream *s;

    offer_tls(scene, false);
    s = client(scene);
    talk(s, GREETED_TLS MAIL_OK READY);
    assert_int_equal(tls_connect(s, tls, STR("mx.example.org"), when_after(10000)).code, OK);
    /* What was before is forgotten, and STARTTLS is not offered again. */
    talk(s, "C: MAIL FROM:<a@b.example>\nS: 503 5.5.1 Say EHLO or HELO first\n"
            "C: EHLO client.example\nS: 250-mx.example.org\nS: 250-PIPELINING\n"
            "S: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-CHUNKING\nS: 250-BINARYMIME\n"
            "S: 250-ENHANCEDSTATUSCODES\nS: 250-DSN\nS: 250 SIZE 104857600\n"
            "C: STARTTLS\nS: 503 5.5.1 TLS is active already\n" MAIL_OK RCPT_OK GO
            "C: x\nC: .\nS: 250 2.0.0 Ok: queued as 0000000000000001\n" QUIT);
    hear_end(s);
    assert_true(str_find_str(buf_str(&fake.content), STR(" with ESMTPS")) != STR_NONE);

    /* Commands sent in the clear behind STARTTLS are never read as if they were protected. */
    s = client(scene);
    talk(s, GREETED_TLS "C: STARTTLS\nC: MAIL FROM:<evil@b.example>\n"
                        "S: 501 5.5.4 Bytes were sent behind STARTTLS; closing connection\n");
    hear_end(s);

    /* A handshake that fails ends the session; nothing goes on in the clear. */
    offer_tls(scene, true);
    s = client(scene);
    talk(s, GREETED_TLS READY);
    assert_int_not_equal(tls_connect(s, tls, STR("mx.example.org"), when_after(10000)).code, OK);
    stream_close(s);
    tls_client_drop(tls);
}

static void starttls_begins_anew(void **state)
{
    play_sim("", starts_tls);
    (void)state;
}

/* Waits for the server's last words; answers how many seconds that took. */
static int64_t seconds_until(struct stream *s, const char *want)
{
    struct when began = clock_now();
    struct str last = str_of(want);

    while (stream_buffered(s).len < last.len &&
           stream_fill(s, "last words", WHEN_NEVER).code == OK) {
    }
    hear(s, last);
    hear_end(s);
    return (clock_now().ns - began.ns + NS_PER_S / 2) / NS_PER_S;
}

static void waits(struct scene *scene)
{
    static const char idle[] = "421 4.4.2 Idle for too long, closing connection\r\n";
    static const char slow[] = "421 4.4.2 The message took too long, closing connection\r\n";
    struct stream *s = client(scene);
    struct when began;

    /* No command, and half a command. */
    talk(s, GREETED);
    assert_int_equal(seconds_until(s, idle), 300);
    s = client(scene);
    talk(s, GREETED MAIL_OK "R: RCPT TO\n");
    assert_int_equal(seconds_until(s, idle), 300);
    /* A command that drips does not last longer. */
    s = client(scene);
    talk(s, GREETED);
    began = clock_now();
    for (int i = 0; i < 4; i++) {
        talk(s, "R: x\n");
        assert_int_equal(fiber_sleep(when_after(60000), WHEN_NEVER).code, OK);
    }
    (void)seconds_until(s, idle);
    assert_int_equal((clock_now().ns - began.ns + NS_PER_S / 2) / NS_PER_S, 300);
    /* Content that stops, and content that drips. */
    s = client(scene);
    talk(s, OPENED "C: half\n");
    assert_int_equal(seconds_until(s, slow), 120);
    s = client(scene);
    talk(s, OPENED);
    began = clock_now();
    for (int i = 0; i < 59; i++) {
        talk(s, "C: drip\n");
        assert_int_equal(fiber_sleep(when_after(60000), WHEN_NEVER).code, OK);
    }
    (void)seconds_until(s, slow);
    assert_int_equal((clock_now().ns - began.ns + NS_PER_S / 2) / NS_PER_S, 3600);
    assert_int_equal(fake.accepted, 0);
}

static void nobody_may_take_for_ever(void **state)
{
    play_sim("  limits: { data: 2m }\n", waits);
    (void)state;
}

static void stops_in_time(struct scene *scene)
{
    struct stream *s = client(scene);
    struct when began = clock_now();

    talk(s, OPENED "C: half\n");
    inbound_stop(scene->in, 30000, WHEN_NEVER);
    assert_int_equal((clock_now().ns - began.ns + NS_PER_S / 2) / NS_PER_S, 30);
    hear(s, STR("421 4.3.2 Going down, closing connection\r\n"));
    hear_end(s);
}

static void a_transaction_has_so_long_when_we_stop(void **state)
{
    play_sim("", stops_in_time);
    (void)state;
}

/* Three loops: home, a worker, and clients that send until the machine stops. */
struct crash {
    struct inbound *in;
    struct loop *home, *worker;
};

static void crash_worker(void *arg)
{
    struct crash *c = arg;

    inbound_serve(c->in, 0);
}

static void crash_home(void *arg)
{
    struct crash *c = arg;
    struct faults faults = {0};
    struct buf why BUF_LOCAL = {0};
    struct policy *p = policy_of("", 2525, &faults);

    must_load(p, &faults);
    (void)inbound_use(c->in, p, &why, WHEN_NEVER);
    (void)fiber_sleep(WHEN_NEVER, WHEN_NEVER);
    inbound_stop(c->in, 30000, WHEN_NEVER);
}

static void crash_client(void *arg)
{
    static const char all[] =
        "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n";
    struct addr at;
    struct err e = ERR_OK;

    (void)arg;
    assert_true(addr_parse(STR("127.0.0.1:2525"), &at));
    while (e.code != ERR_CANCELLED) {
        struct stream *s;

        e = stream_connect(at, (struct addr){0}, &s, when_after(1000));
        if (e.code) {
            e = fiber_sleep(when_after(1), WHEN_NEVER);
            continue;
        }
        e = stream_put(s, str_of(all), when_after(1000));
        for (int i = 0; i < 5500 && !e.code; i++) {
            e = stream_put(s, STR("0123456789\r\n"), when_after(1000));
        }
        e = e.code ? e : stream_put(s, STR(".\r\nQUIT\r\n"), when_after(1000));
        while (!e.code) {
            stream_take(s, stream_buffered(s).len);
            e = stream_fill(s, "replies", when_after(1000));
        }
        stream_close(s);
    }
}

static void crash_clients(void *arg)
{
    struct group g;

    group_init(&g, "clients", 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(group_spawn_now(&g, "client", crash_client, arg).code, OK);
    }
    (void)fiber_sleep(WHEN_NEVER, WHEN_NEVER);
    group_cancel(&g);
    (void)group_join(&g, WHEN_NEVER);
}

static void a_crash_leaves_nothing_behind(void **state)
{
    unsigned accepted = 0;

    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct sim_options o = {.seed = seed, .least = LEVEL_ERROR};
        struct world *w = sim_world(&o);
        struct crash c = {.home = world_loop(w, "home"), .worker = world_loop(w, "worker")};
        struct inbound_options in = {.home = c.home, .workers = &c.worker, .worker_count = 1};

        fake_start();
        c.in = inbound_new(&in);
        loop_main(c.home, crash_home, &c);
        loop_main(c.worker, crash_worker, &c);
        loop_main(world_loop(w, "clients"), crash_clients, &c);
        sim_crash_after(w, (int64_t)seed * 7 * NS_PER_MS / 3);
        world_run(w);
        assert_int_equal(sim_end(w), SIM_CRASHED);
        inbound_free(c.in);
        world_free(w);
        accepted += fake.accepted;
        fake_end();
    }
    assert_true(accepted > 10);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starttls_begins_anew),
        cmocka_unit_test(nobody_may_take_for_ever),
        cmocka_unit_test(a_transaction_has_so_long_when_we_stop),
        cmocka_unit_test(a_crash_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
