#include "runtime/log.h"
#include "scene.h"

#include <sys/resource.h>

static void too_many(struct scene *scene)
{
    struct stream *a = client(scene), *b = client(scene), *c;

    talk(a, "S: 220 mx.example.org ESMTP Postyard\n");
    talk(b, "S: 220 mx.example.org ESMTP Postyard\n");
    c = client(scene);
    talk(c, "S: 421 4.7.0 Too many connections from your address\n");
    hear_end(c);
    talk(a, QUIT);
    hear_end(a);
    while (inbound_sessions(scene->in) > 1) {
        assert_int_equal(signal_wait(&scene->in->came_home, "end", when_after(10000)).code, OK);
    }
    c = client(scene);
    talk(c, "S: 220 mx.example.org ESMTP Postyard\n" QUIT);
    hear_end(c);
    talk(b, QUIT);
    hear_end(b);
}

static void an_address_has_so_many_sessions(void **state)
{
    play("  trusted-networks: []\n  limits: { sessions-per-address: 2 }\n", too_many);
    (void)state;
}

static void lacks_memory(struct scene *scene)
{
    struct stream *s = client(scene), *late;

    talk(s, GREETED);
    atomic_fetch_add(&scene->in->place.held, 17U * 1024 * 1024);
    late = client(scene);
    talk(late, "S: 421 4.3.2 Out of memory for now, try again later\n");
    hear_end(late);
    talk(s, "C: MAIL FROM:<a@b.example>\nS: 421 4.3.2 Out of memory for now, try again later\n");
    hear_end(s);
    /* And a message that begins in time ends when there is none left. */
    atomic_fetch_sub(&scene->in->place.held, 17U * 1024 * 1024);
    s = client(scene);
    talk(s, OPENED);
    atomic_fetch_add(&scene->in->place.held, 17U * 1024 * 1024);
    talk(s, "C: x\nC: .\nS: 421 4.3.2 Out of memory for now, try again later\n");
    hear_end(s);
    atomic_fetch_sub(&scene->in->place.held, 17U * 1024 * 1024);
    assert_int_equal(fake.accepted, 0);
}

static void clients_are_put_off_before_memory_is_used_up(void **state)
{
    play("  memory: 16MiB\n", lacks_memory);
    (void)state;
}

static unsigned rests;

static void count_rests(void *ctx, const struct event_kind *kind, const struct event_field *fields,
                        size_t count)
{
    (void)ctx, (void)fields, (void)count;
    rests += str_eq(str_of(kind->name), STR("listener_rests"));
}

static void lacks_descriptors(struct scene *scene)
{
    struct rlimit before, one;
    int next = dup(0);
    struct stream *s;

    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    one = before;
    one.rlim_cur = (rlim_t)next + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &one), 0);
    rests = 0;
    s = client(scene); /* takes the last one */
    while (rests < 1) {
        assert_int_equal(fiber_yield(when_after(10000)).code, OK);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    talk(s, GREETED QUIT);
    hear_end(s);
    assert_int_equal(rests, 1);
}

static void without_descriptors_accepting_rests(void **state)
{
    const char *loaded = getenv("LD_PRELOAD");

    (void)state;
    /* Valgrind keeps the limit on descriptors itself: it lets the kernel accept one too many,
     * closes it and says EMFILE, so that the client which should have waited is lost. */
    if (loaded != NULL && strstr(loaded, "vgpreload") != NULL) {
        skip();
    }
    play("", lacks_descriptors);
}

static void stop_now(void *arg)
{
    struct scene *scene = arg;

    inbound_stop(scene->in, 100, WHEN_NEVER);
}

static void stops(struct scene *scene)
{
    struct stream *idle = client(scene), *busy = client(scene), *stuck = client(scene);
    struct stream *storing = client(scene), *late;

    talk(idle, GREETED);
    talk(busy, GREETED MAIL_OK);
    talk(stuck, OPENED "C: half a message\n");
    talk(storing, OPENED);
    fake.hang = true;
    talk(storing, "C: x\nC: .\n");
    assert_int_equal(group_spawn_now(&scene->group, "stop", stop_now, scene).code, OK);
    hear(idle, STR("421 4.3.2 Going down, closing connection\r\n"));
    hear_end(idle);
    assert_true(stream_connect(scene->at, (struct addr){0}, &late, when_after(5000)).code != OK);
    /* A transaction that is open goes on, and then it is over. */
    fake.hang = false;
    signal_raise(&fake.released);
    hear(storing, STR("250 2.0.0 Ok: queued as 0000000000000002\r\n"
                      "421 4.3.2 Going down, closing connection\r\n"));
    hear_end(storing);
    talk(busy, RCPT_OK GO "C: x\nC: .\nS: 250 2.0.0 Ok: queued as 0000000000000003\n"
                          "S: 421 4.3.2 Going down, closing connection\n");
    hear_end(busy);
    hear(stuck, STR("421 4.3.2 Going down, closing connection\r\n"));
    hear_end(stuck);
}

static void stopping_lets_transactions_end(void **state)
{
    play("", stops);
    (void)state;
}

static void reloads(struct scene *scene)
{
    struct stream *s = client(scene);
    struct faults faults = {0};
    struct buf why BUF_LOCAL = {0};
    struct policy *p = policy_of("  local-domains: [y.example]\n  postmaster: admin@y.example\n"
                                 "  trusted-networks: [192.0.2.0/24]\n",
                                 scene->at.port, &faults);

    must_load(p, &faults);
    talk(s, GREETED MAIL_OK "C: RCPT TO:<x@z.example>\nS: 250 2.1.5 Recipient ok\n");
    assert_int_equal(inbound_use(scene->in, p, &why, WHEN_NEVER).code, OK);
    /* The transaction keeps what it began with; the next one does not. */
    talk(s, "C: RCPT TO:<x2@z.example>\nS: 250 2.1.5 Recipient ok\n"
            "C: RSET\nS: 250 2.0.0 Reset\n" MAIL_OK
            "C: RCPT TO:<x@z.example>\nS: 550 5.7.1 Relaying denied\n" RCPT_OK QUIT);
    hear_end(s);

    /* One that cannot be had leaves all as it is. */
    p = policy_of("", 1, &faults);
    must_load(p, &faults);
    if (getuid() != 0) {
        assert_int_not_equal(inbound_use(scene->in, p, &why, WHEN_NEVER).code, OK);
    } else {
        policy_drop(p);
    }
    s = client(scene);
    talk(s, GREETED QUIT);
    hear_end(s);
}

static void a_reload_holds_from_the_next_mail_on(void **state)
{
    play("", reloads);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_so_many_sessions),
        cmocka_unit_test(clients_are_put_off_before_memory_is_used_up),
        cmocka_unit_test(without_descriptors_accepting_rests),
        cmocka_unit_test(stopping_lets_transactions_end),
        cmocka_unit_test(a_reload_holds_from_the_next_mail_on),
    };

    log_tap(count_rests, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
