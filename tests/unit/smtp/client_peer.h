/* A peer that follows a script, line by line, for the tests of the client. */
#pragma once

#include "../unit.h"
#include "base/buf.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/stream.h"
#include "smtp/client.h"

static const struct addr anywhere = {.family = 4, .ip = {127, 0, 0, 1}};
static const char body[] = "Subject: x\r\n\r\n.dot\r\nend\r\n";
enum { BODY_BYTES = sizeof body - 1 };

#define HELLO_PLAIN "S:220 hi", "C:EHLO mx.example.org", "S:250 peer"
#define HELLO_PIPE                                                                                 \
    "S:220-hi", "S:220 there", "C:EHLO mx.example.org", "S:250-peer", "S:250-8BITMIME",            \
        "S:250 PIPELINING"
#define HELLO_CHUNK                                                                                \
    "S:220 hi", "C:EHLO mx.example.org", "S:250-peer", "S:250-PIPELINING", "S:250-chunking",       \
        "S:250-SIZE 1000", "S:250-BINARYMIME", "S:250-8BITMIME", "S:250-SMTPUTF8", "S:250 DSN"
#define HELLO_LMTP  "S:220 hi", "C:LHLO mx.example.org", "S:250-peer", "S:250 PIPELINING"
#define BODY_DOTTED "C:Subject: x", "C:", "C:..dot", "C:end", "C:."

/* S: said by the peer; C: expected from us; B: so many bytes expected, the content as it is;
 * R: raw bytes from the peer, without an end of line; X: closes. */
struct peer {
    struct listener *listener;
    const char *const *script;
    struct group group;
};

static struct str peer_line(struct stream *s, const char *want)
{
    for (;;) {
        struct str in = stream_buffered(s);
        size_t end = str_find(in, '\n');

        if (end != STR_NONE) {
            assert_true(end > 0 && in.ptr[end - 1] == '\r');
            return str_head(in, end - 1);
        }
        if (stream_fill(s, "a line", when_after(2000)).code != OK) {
            print_error("the client says no more; wanted \"%s\"\n", want);
            fail();
        }
    }
}

static void peer_bytes(struct stream *s, struct str want)
{
    while (stream_buffered(s).len < want.len) {
        assert_int_equal(stream_fill(s, "content", when_after(2000)).code, OK);
    }
    assert_true(str_eq(str_head(stream_buffered(s), want.len), want));
    stream_take(s, want.len);
}

static void peer_plays(void *arg)
{
    struct peer *p = arg;
    struct guest *g;
    struct stream *s;

    assert_int_equal(listener_accept(p->listener, &g, when_after(2000)).code, OK);
    s = guest_stream(g);
    for (const char *const *line = p->script; *line != NULL; line++) {
        struct str text = (*line)[1] != 0 ? str_of(*line + 2) : STR_EMPTY;

        switch ((*line)[0]) {
        case 'S':
            assert_int_equal(stream_put(s, text, when_after(2000)).code, OK);
            assert_int_equal(stream_put(s, STR("\r\n"), when_after(2000)).code, OK);
            if (line[1] == NULL || line[1][0] != 'S') {
                assert_int_equal(stream_flush(s, when_after(2000)).code, OK);
            }
            break;
        case 'R':
            assert_int_equal(stream_put(s, text, when_after(2000)).code, OK);
            assert_int_equal(stream_flush(s, when_after(2000)).code, OK);
            break;
        case 'C': {
            struct str got = peer_line(s, *line);

            EXPECT_STR(got, *line + 2);
            stream_take(s, got.len + 2);
            break;
        }
        case 'B':
            peer_bytes(s, str_make(body, BODY_BYTES));
            break;
        default:
            goto out;
        }
    }
    /* Nobody says more than the script knows. */
    assert_int_equal(stream_fill(s, "the end", when_after(2000)).code, ERR_CLOSED);
    assert_int_equal(stream_buffered(s).len, 0);
out:
    stream_close(s);
}

static void with_peer(struct peer *p, const char *const *script, struct client *c)
{
    struct addr at;

    p->script = script;
    assert_int_equal(listener_open(anywhere, &p->listener).code, OK);
    at = listener_addr(p->listener);
    group_init(&p->group, "peer", 0);
    assert_int_equal(group_spawn_now(&p->group, "peer", peer_plays, p).code, OK);
    assert_int_equal(stream_connect(at, (struct addr){0}, &c->stream, when_after(2000)).code, OK);
    c->helo = STR("mx.example.org");
    c->times = (struct client_times){2000, 2000, 2000, 2000, 2000};
}

static void without_peer(struct peer *p, struct client *c)
{
    client_quit(c);
    stream_close(c->stream);
    client_done(c);
    assert_int_equal(group_join(&p->group, WHEN_NEVER).code, OK);
    listener_close(p->listener);
}

static inline struct err give_body(void *ctx, uint64_t offset, struct str *ret, struct when by)
{
    assert_true(offset < BODY_BYTES);
    /* In two runs. */
    *ret = offset < 9 ? str_make(body + offset, 9 - offset)
                      : str_make(body + offset, BODY_BYTES - offset);
    (void)ctx;
    (void)by;
    return ERR_OK;
}
