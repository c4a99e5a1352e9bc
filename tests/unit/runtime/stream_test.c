#include "../unit.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/stream.h"
#include "worlds.h"

enum { LOTS = 8 * 1024 * 1024 };

static const struct addr anywhere = {.family = 4, .ip = {127, 0, 0, 1}};

struct pair {
    struct listener *listener;
    struct stream *server;
    struct group group;
    size_t got;
};

static void accepts(void *arg)
{
    struct pair *p = arg;
    struct guest *g;

    assert_int_equal(listener_accept(p->listener, &g, when_after(2000)).code, OK);
    p->server = guest_stream(g);
}

/* A connected pair of streams over loopback: the client's end is returned. */
static struct stream *connect_pair(struct pair *p)
{
    struct stream *client;

    assert_int_equal(listener_open(anywhere, &p->listener).code, OK);
    group_init(&p->group, "pair", 0);
    assert_int_equal(group_spawn_now(&p->group, "accept", accepts, p).code, OK);
    assert_int_equal(
        stream_connect(listener_addr(p->listener), (struct addr){0}, &client, when_after(2000))
            .code,
        OK);
    assert_int_equal(group_join(&p->group, WHEN_NEVER).code, OK);
    listener_close(p->listener);
    return client;
}

static void a_conversation_fiber(void *arg)
{
    struct pair p = {0};
    struct stream *client = connect_pair(&p);
    struct addr remote = stream_remote(p.server), local = stream_local(client);

    assert_true(addr_eq(&remote, &local));
    assert_int_equal(stream_put(client, STR("EHLO "), WHEN_NEVER).code, OK);
    assert_int_equal(stream_put(client, STR("there\r\n"), WHEN_NEVER).code, OK);
    assert_int_equal(stream_unsent(client), 12);
    assert_int_equal(stream_flush(client, WHEN_NEVER).code, OK);
    assert_int_equal(stream_fill(p.server, "a command", when_after(2000)).code, OK);
    EXPECT_STR(stream_buffered(p.server), "EHLO there\r\n");
    stream_take(p.server, 5);
    EXPECT_STR(stream_buffered(p.server), "there\r\n");
    /* Nothing more comes: the deadline ends the wait, not the stream. */
    assert_int_equal(stream_fill(p.server, "more", when_after(5)).code, ERR_TIMEOUT);
    EXPECT_STR(stream_buffered(p.server), "there\r\n");
    stream_farewell(p.server, STR("421 bye\r\n"));
    stream_close(p.server);
    assert_int_equal(stream_fill(client, "a farewell", when_after(2000)).code, OK);
    EXPECT_STR(stream_buffered(client), "421 bye\r\n");
    stream_take(client, 9);
    assert_int_not_equal(stream_fill(client, "the end", when_after(2000)).code, OK);
    stream_close(client);
    (void)arg;
}

static void a_conversation(void **state)
{
    run_both("test", a_conversation_fiber, *state);
}

static void swallows(void *arg)
{
    struct pair *p = arg;

    while (p->got < LOTS) {
        size_t n = stream_buffered(p->server).len;

        if (n == 0) {
            assert_int_equal(stream_fill(p->server, "lots", when_after(5000)).code, OK);
            continue;
        }
        stream_take(p->server, n);
        p->got += n;
    }
}

static void a_flood_arrives_whole_fiber(void *arg)
{
    static char chunk[100 * 1000];
    struct pair p = {0};
    struct stream *client = connect_pair(&p);

    assert_int_equal(group_spawn_now(&p.group, "reader", swallows, &p).code, OK);
    for (size_t sent = 0; sent < LOTS; sent += sizeof chunk) {
        size_t n = LOTS - sent < sizeof chunk ? LOTS - sent : sizeof chunk;

        assert_int_equal(stream_put(client, str_make(chunk, n), when_after(5000)).code, OK);
    }
    assert_int_equal(stream_flush(client, when_after(5000)).code, OK);
    assert_int_equal(group_join(&p.group, WHEN_NEVER).code, OK);
    assert_int_equal(p.got, LOTS);
    assert_true(stream_bytes_out(client) == LOTS);
    stream_close(client);
    stream_close(p.server);
    (void)arg;
}

static void a_flood_arrives_whole(void **state)
{
    run_both("test", a_flood_arrives_whole_fiber, *state);
}

static void a_peer_that_never_reads_meets_the_deadline_fiber(void *arg)
{
    static char chunk[1000 * 1000];
    struct pair p = {0};
    struct stream *client = connect_pair(&p);
    struct err e = ERR_OK;

    for (int i = 0; i < 100 && e.code == OK; i++) {
        e = stream_put(client, str_make(chunk, sizeof chunk), when_after(50));
    }
    assert_int_equal(e.code, ERR_TIMEOUT);
    /* Half a thought is on the wire: the stream stays broken. */
    assert_int_equal(stream_put(client, STR("x"), when_after(50)).code, ERR_TIMEOUT);
    stream_close(client);
    stream_close(p.server);
    (void)arg;
}

static void a_peer_that_never_reads_meets_the_deadline(void **state)
{
    run_both("test", a_peer_that_never_reads_meets_the_deadline_fiber, *state);
}

static void writes_a_flood(void *arg)
{
    static char chunk[300 * 1000];
    struct stream *s = arg;

    assert_int_equal(stream_put(s, str_make(chunk, sizeof chunk), when_after(5000)).code, OK);
    assert_int_equal(stream_put(s, str_make(chunk, 30000), when_after(5000)).code, OK);
    assert_int_equal(stream_flush(s, when_after(5000)).code, OK);
}

/* Both write more than the other's read buffer before either reads: writing goes on reading. The
 * kernel's buffers take part of it too, so the amounts are small enough to fit in both. */
static void two_that_write_at_once_do_not_wedge_fiber(void *arg)
{
    struct pair p = {0};
    struct stream *client = connect_pair(&p);

    assert_int_equal(group_spawn_now(&p.group, "one", writes_a_flood, client).code, OK);
    assert_int_equal(group_spawn_now(&p.group, "two", writes_a_flood, p.server).code, OK);
    assert_int_equal(group_join(&p.group, WHEN_NEVER).code, OK);
    stream_close(client);
    stream_close(p.server);
    (void)arg;
}

static void two_that_write_at_once_do_not_wedge(void **state)
{
    run_both("test", two_that_write_at_once_do_not_wedge_fiber, *state);
}

static void refused_is_an_error_fiber(void *arg)
{
    struct listener *l;
    struct stream *s;
    struct addr gone;

    assert_int_equal(listener_open(anywhere, &l).code, OK);
    gone = listener_addr(l);
    listener_close(l);
    assert_int_equal(stream_connect(gone, (struct addr){0}, &s, when_after(2000)).code,
                     ERR_NETWORK);
    (void)arg;
}

static void refused_is_an_error(void **state)
{
    run_both("test", refused_is_an_error_fiber, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation),
        cmocka_unit_test(a_flood_arrives_whole),
        cmocka_unit_test(a_peer_that_never_reads_meets_the_deadline),
        cmocka_unit_test(two_that_write_at_once_do_not_wedge),
        cmocka_unit_test(refused_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
