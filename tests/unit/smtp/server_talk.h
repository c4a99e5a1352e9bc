/*
 * server_talk: dialogues with the server half of smtp/ over a transport in memory.
 *
 * A dialogue is lines: "C: x" the client sends x CR LF, "R: x" it sends x as it is, "S: x" the
 * server has said x CR LF, "E:" it has given the whole EHLO reply, "M: x" a message with content x
 * was accepted ('|' stands for CR LF), "X:" the server has closed the connection. In x, \r \n \0
 * \\ and \xNN mean what they do in C. All that the client sends between two checks arrives at once;
 * with `one` set, byte by byte.
 */
#pragma once

#include "../unit.h"
#include "base/buf.h"
#include "base/check.h"
#include "runtime/loop.h"
#include "runtime/stream.h"
#include "runtime/transport.h"
#include "runtime/world.h"
#include "smtp/server.h"

#include <stdlib.h>

struct talk {
    struct transport transport;
    struct str script;
    bool one;
    struct buf to_server;
    size_t taken;
    struct buf said; /* by the server and not yet checked */
    struct server server;
    struct buf content; /* of the message that is coming */
    struct buf message; /* the last accepted one */
    unsigned resets, refusals, messages;
    struct str end_answer; /* what to answer a whole message, or empty */
    struct err ended;
};

static inline void talk_unescape(struct buf *out, struct str s, bool bars)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (c == '|' && bars) {
            buf_put(out, STR("\r\n"));
        } else if (c != '\\') {
            buf_byte(out, c);
        } else if (s.ptr[++i] == 'x') {
            buf_byte(out, (char)(byte_hex(s.ptr[i + 1]) * 16 + byte_hex(s.ptr[i + 2])));
            i += 2;
        } else {
            buf_byte(out, s.ptr[i] == 'r'   ? '\r'
                          : s.ptr[i] == 'n' ? '\n'
                          : s.ptr[i] == '0' ? '\0'
                                            : s.ptr[i]);
        }
    }
}

static const char talk_ehlo[] = "250-mx.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
                                "250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n"
                                "250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250 SIZE 100000\r\n";

static inline bool talk_line(struct talk *t, struct str *line)
{
    struct str rest = t->script;

    if (rest.len == 0) {
        return false;
    }
    str_cut(&rest, '\n', line);
    t->script = rest;
    return true;
}

/* Checks what the server said, up to the next thing the client sends. */
static inline void talk_check(struct talk *t, bool closed)
{
    struct buf want BUF_LOCAL = {0};
    struct buf message BUF_LOCAL = {0};
    struct str line, after;
    bool closing = false;

    for (after = t->script; talk_line(t, &line); after = t->script) {
        if (line.len < 2 || line.ptr[0] == 'C' || line.ptr[0] == 'R') {
            t->script = after;
            break;
        }
        if (line.ptr[0] == 'S') {
            talk_unescape(&want, str_skip(line, 3), false);
            buf_put(&want, STR("\r\n"));
        } else if (line.ptr[0] == 'E') {
            buf_put(&want, str_of(talk_ehlo));
        } else if (line.ptr[0] == 'M') {
            buf_clear(&message);
            talk_unescape(&message, str_skip(line, 3), true);
            if (!str_eq(buf_str(&message), buf_str(&t->message))) {
                print_error("got  \"%.*s\"\nwant \"%.*s\"\n", STR_ARG(buf_str(&t->message)),
                            STR_ARG(buf_str(&message)));
                abort();
            }
        } else {
            closing = true;
        }
    }
    if (!str_eq(buf_str(&want), buf_str(&t->said))) {
        print_error("got  \"%.*s\"\nwant \"%.*s\"\n", STR_ARG(buf_str(&t->said)),
                    STR_ARG(buf_str(&want)));
        abort();
    }
    if (closing != closed && (closed || t->script.len > 0)) {
        print_error("%s after \"%.*s\"\n", closed ? "closed" : "not closed", STR_ARG(want));
        abort();
    }
    buf_clear(&t->said);
}

static inline struct err talk_recv(struct transport *transport, char *at, size_t size, size_t *got,
                                   unsigned *want)
{
    struct talk *t = CONTAINER_OF(transport, struct talk, transport);
    struct str line, after;
    size_t n;

    *want = WANT_READ;
    if (t->taken == t->to_server.len) {
        buf_clear(&t->to_server);
        t->taken = 0;
        talk_check(t, false);
        for (after = t->script; talk_line(t, &line); after = t->script) {
            if (line.len < 2 || (line.ptr[0] != 'C' && line.ptr[0] != 'R')) {
                t->script = after;
                break;
            }
            talk_unescape(&t->to_server, str_skip(line, 3), false);
            if (line.ptr[0] == 'C') {
                buf_put(&t->to_server, STR("\r\n"));
            }
        }
    }
    n = t->to_server.len - t->taken;
    n = n > size ? size : n;
    n = t->one && n > 1 ? 1 : n;
    if (n > 0) {
        memcpy(at, t->to_server.ptr + t->taken, n);
    }
    t->taken += n;
    *got = n;
    return n == 0 ? err_of(ERR_CLOSED) : ERR_OK;
}

static inline struct err talk_send(struct transport *transport, const struct iovec *iov,
                                   unsigned count, size_t *sent, unsigned *want)
{
    struct talk *t = CONTAINER_OF(transport, struct talk, transport);

    *want = WANT_WRITE;
    *sent = 0;
    for (unsigned i = 0; i < count; i++) {
        buf_put(&t->said, str_make(iov[i].iov_base, iov[i].iov_len));
        *sent += iov[i].iov_len;
    }
    return ERR_OK;
}

static inline struct err talk_wait(struct transport *transport, unsigned want, const char *what,
                                   struct when by)
{
    (void)transport, (void)want, (void)what, (void)by;
    return err_of(ERR_TIMEOUT); /* there is always something to read */
}

static inline void talk_close(struct transport *transport)
{
    (void)transport;
}

/* The asked one: refuses senders and recipients whose local part is "no", and content for
 * "nodata"; gives up in the middle of content that has "STOP" in it. */
static inline bool talk_is(struct str address, const char *local)
{
    struct str head = str_head(address, str_find(address, '@'));

    return str_eq(head, str_of(local));
}

static inline void talk_connect(void *ctx, struct answer *ret, struct when by)
{
    (void)ctx, (void)ret, (void)by;
}

static inline void talk_helo(void *ctx, struct str name, bool extended, struct answer *ret,
                             struct when by)
{
    (void)ctx, (void)extended, (void)by;
    if (str_eq(name, STR("evil.example"))) {
        answer_format(ret, 550, "5.7.1", "Go away");
    }
}

static inline void talk_tls(void *ctx, struct err e)
{
    (void)ctx, (void)e;
}

static inline void talk_mail(void *ctx, const struct mail_args *mail, struct answer *ret,
                             struct when by)
{
    (void)ctx, (void)by;
    if (talk_is(mail->from.address, "no")) {
        answer_format(ret, 550, "5.7.1", "No");
    }
}

static inline void talk_rcpt(void *ctx, const struct rcpt_args *rcpt, struct answer *ret,
                             struct when by)
{
    (void)ctx, (void)by;
    if (talk_is(rcpt->to.address, "no")) {
        answer_fixed(ret, ANSWER_NO_USER);
    }
}

static inline struct buf *talk_data(void *ctx, struct answer *ret, struct when by)
{
    struct talk *t = ctx;

    (void)ret, (void)by;
    buf_clear(&t->content);
    return &t->content;
}

static inline struct buf *talk_more(void *ctx, struct answer *ret, struct when by)
{
    struct talk *t = ctx;

    (void)by;
    if (str_find_str(buf_str(&t->content), STR("STOP")) != STR_NONE) {
        answer_format(ret, 451, "4.3.0", "Stopped");
        return NULL;
    }
    return &t->content;
}

static inline void talk_end(void *ctx, const struct content *content, struct answer *ret,
                            struct when by)
{
    struct talk *t = ctx;

    (void)by;
    assert_int_equal(content->bytes, t->content.len);
    buf_clear(&t->message);
    buf_put(&t->message, buf_str(&t->content));
    t->messages++;
    answer_format(ret, 250, "2.0.0", "Ok: message %u", t->messages);
}

static inline void talk_reset(void *ctx)
{
    struct talk *t = ctx;

    t->resets++;
}

static inline void talk_refused(void *ctx, enum command command, const struct answer *a)
{
    struct talk *t = ctx;

    (void)command;
    assert_true(a->code >= 400);
    t->refusals++;
}

static const struct server_asks talk_asks = {
    .connect = talk_connect,
    .helo = talk_helo,
    .tls = talk_tls,
    .mail = talk_mail,
    .rcpt = talk_rcpt,
    .data = talk_data,
    .more = talk_more,
    .end = talk_end,
    .reset = talk_reset,
    .refused = talk_refused,
};

static const struct transport_ops talk_ops = {talk_recv, talk_send, talk_wait, talk_close};

static inline void talk_fiber(void *arg)
{
    struct talk *t = arg;

    t->transport.ops = &talk_ops;
    t->server.stream = stream_new(&t->transport, (struct addr){0}, (struct addr){0});
    t->server.asks = &talk_asks;
    t->server.ctx = t;
    t->server.options = (struct server_options){
        .hostname = STR("mx.example.org"),
        .size_max = 100000,
        .line_bytes_max = 1024,
        .errors_max = 20,
        .refusals_max = 30,
        .commands_max = 100,
        .idle_ms = 300000,
        .data_ms = 300000,
        .message_ms = 3600000,
        .ask_ms = 600000,
    };
    t->ended = server_run(&t->server, WHEN_NEVER);
    server_done(&t->server);
    stream_close(t->server.stream);
    if (t->ended.code != ERR_CLOSED) {
        talk_check(t, true);
    }
}

static inline void talk_done(struct talk *t)
{
    buf_done(&t->to_server);
    buf_done(&t->said);
    buf_done(&t->content);
    buf_done(&t->message);
}

/* Runs a dialogue at once and byte by byte; one whose name begins with '!' only at once. */
static inline void talk_through(const char *name, const char *script)
{
    for (int one = 0; one < (name[0] == '!' ? 1 : 2); one++) {
        struct talk t = {.script = str_of(script), .one = one != 0};

        run_alone("talk", talk_fiber, &t);
        if (t.script.len > 0) {
            print_error("%s: the dialogue ended before \"%.*s\"\n", name, STR_ARG(t.script));
            fail();
        }
        talk_done(&t);
    }
}
