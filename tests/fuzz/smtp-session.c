/*
 * A whole session: the server's side of the conversation over a transport in memory that gives it
 * the input in pieces. What it says is replies in due form; content it takes is what it allows.
 */
#include "base/check.h"
#include "base/mem.h"
#include "runtime/loop.h"
#include "runtime/stream.h"
#include "runtime/transport.h"
#include "runtime/world.h"
#include "smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct peer {
    struct transport transport;
    struct str input;
    size_t piece;
    struct buf said, content;
    struct server server;
    bool binary;
};

static struct err peer_recv(struct transport *t, char *at, size_t size, size_t *got, unsigned *want)
{
    struct peer *p = CONTAINER_OF(t, struct peer, transport);
    size_t n = p->input.len < size ? p->input.len : size;

    n = n < p->piece ? n : p->piece;
    *want = WANT_READ;
    *got = n;
    if (n == 0) {
        return err_of(ERR_CLOSED);
    }
    memcpy(at, p->input.ptr, n);
    p->input = str_skip(p->input, n);
    return ERR_OK;
}

static struct err peer_send(struct transport *t, const struct iovec *iov, unsigned count,
                            size_t *sent, unsigned *want)
{
    struct peer *p = CONTAINER_OF(t, struct peer, transport);

    *want = WANT_WRITE;
    *sent = 0;
    for (unsigned i = 0; i < count; i++) {
        buf_put(&p->said, str_make(iov[i].iov_base, iov[i].iov_len));
        *sent += iov[i].iov_len;
    }
    return ERR_OK;
}

static struct err peer_wait(struct transport *t, unsigned want, const char *what, struct when by)
{
    (void)t, (void)want, (void)what, (void)by;
    return err_of(ERR_TIMEOUT);
}

static void peer_close(struct transport *t)
{
    (void)t;
}

static const struct transport_ops peer_ops = {peer_recv, peer_send, peer_wait, peer_close};

static void on_connect(void *ctx, struct answer *ret, struct when by)
{
    (void)ctx, (void)ret, (void)by;
}

static void on_helo(void *ctx, struct str name, bool extended, struct answer *ret, struct when by)
{
    (void)ctx, (void)name, (void)extended, (void)ret, (void)by;
}

static void on_tls(void *ctx, struct err e)
{
    (void)ctx, (void)e;
}

static void on_mail(void *ctx, const struct mail_args *mail, struct answer *ret, struct when by)
{
    struct peer *p = ctx;

    (void)by;
    p->binary = mail->body == BODY_BINARY;
    if (mail->from.address.len > 40) {
        answer_format(ret, 550, "5.7.1", "<%.*s>: no", STR_ARG(mail->from.address));
    }
}

static void on_rcpt(void *ctx, const struct rcpt_args *rcpt, struct answer *ret, struct when by)
{
    (void)ctx, (void)by;
    if (rcpt->to.address.len > 40) {
        answer_fixed(ret, ANSWER_NO_USER);
    }
}

static struct buf *on_data(void *ctx, struct answer *ret, struct when by)
{
    struct peer *p = ctx;

    (void)ret, (void)by;
    buf_clear(&p->content);
    return &p->content;
}

static struct buf *on_more(void *ctx, struct answer *ret, struct when by)
{
    struct peer *p = ctx;

    (void)by;
    if (p->content.len > 0 && p->content.ptr[p->content.len - 1] == '!') {
        answer_fixed(ret, ANSWER_STORE_FAILED);
        return NULL;
    }
    return &p->content;
}

static void on_end(void *ctx, const struct content *content, struct answer *ret, struct when by)
{
    struct peer *p = ctx;

    (void)ret, (void)by;
    must(content->bytes == p->content.len);
    must(content->bytes <= 2000);
    must(p->binary || content_class(content) != BODY_BINARY);
}

static void on_reset(void *ctx)
{
    (void)ctx;
}

static void on_refused(void *ctx, enum command command, const struct answer *a)
{
    (void)ctx, (void)command;
    must(a->code >= 400 && a->code < 600);
}

static const struct server_asks asks = {
    .connect = on_connect,
    .helo = on_helo,
    .tls = on_tls,
    .mail = on_mail,
    .rcpt = on_rcpt,
    .data = on_data,
    .more = on_more,
    .end = on_end,
    .reset = on_reset,
    .refused = on_refused,
};

static void check_replies(struct str said)
{
    while (said.len > 0) {
        struct str line;

        must(str_cut(&said, '\n', &line));
        must(line.len >= 5 && line.len <= 511 && line.ptr[line.len - 1] == '\r');
        must(line.ptr[0] >= '2' && line.ptr[0] <= '5');
        must(byte_is_digit(line.ptr[1]) && byte_is_digit(line.ptr[2]));
        must(line.ptr[3] == ' ' || line.ptr[3] == '-');
        must(str_find(str_head(line, line.len - 1), '\r') == STR_NONE);
        must(str_find(line, '\0') == STR_NONE);
    }
}

static void converse(void *arg)
{
    struct peer *p = arg;

    p->transport.ops = &peer_ops;
    p->server.stream = stream_new(&p->transport, (struct addr){0}, (struct addr){0});
    p->server.asks = &asks;
    p->server.ctx = p;
    p->server.options = (struct server_options){
        .hostname = STR("mx.example.org"),
        .size_max = 2000,
        .extensions = OFFER_FUTURERELEASE | OFFER_DELIVERBY | OFFER_MT_PRIORITY,
        .hold_s_max = 3600,
        .deliver_by_s_min = 60,
        .line_bytes_max = 600,
        .errors_max = 20,
        .refusals_max = 20,
        .commands_max = 100,
        .idle_ms = 300000,
        .data_ms = 300000,
        .message_ms = 3600000,
        .ask_ms = 600000,
    };
    (void)server_run(&p->server, WHEN_NEVER);
    must(p->server.phase == SERVER_OVER);
    server_done(&p->server);
    stream_close(p->server.stream);
    check_replies(buf_str(&p->said));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 3, 17, 100000};
    struct peer p = {0};

    if (size < 1) {
        return 0;
    }
    p.piece = pieces[data[0] % COUNT_OF(pieces)];
    p.input = str_make((const char *)data + 1, size - 1);
    run_alone("fuzz", converse, &p);
    buf_done(&p.said);
    buf_done(&p.content);
    return 0;
}
