/*
 * A whole conversation of the client with a host that says what the input says, in pieces: three
 * transactions. After each NUL the host waits until it has heard something more. The first byte
 * chooses the client's wishes. Whatever is said, a recipient that was
 * taken was told a 2xx after its content was sent, and no end of data is sent that nobody answers.
 */
#include "base/check.h"
#include "runtime/loop.h"
#include "runtime/stream.h"
#include "runtime/transport.h"
#include "runtime/world.h"
#include "smtp/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RCPTS = 3 };

static const char content[] = "Subject: x\r\n\r\n.dot\r\nend";

struct host {
    struct transport transport;
    struct str input;
    size_t piece;
    unsigned wishes;
    bool waits; /* for the client */
    struct buf said;
};

static struct err host_recv(struct transport *t, char *at, size_t size, size_t *got, unsigned *want)
{
    struct host *h = CONTAINER_OF(t, struct host, transport);
    size_t n = h->input.len < size ? h->input.len : size;

    n = n < h->piece ? n : h->piece;
    *want = WANT_READ;
    *got = 0;
    if (h->waits) {
        return ERR_OK;
    }
    if (n == 0) {
        return err_of(ERR_CLOSED);
    }
    if (h->input.ptr[0] == '\0') {
        h->input = str_skip(h->input, 1);
        h->waits = true;
        return ERR_OK;
    }
    if (str_find(str_head(h->input, n), '\0') != STR_NONE) {
        n = str_find(h->input, '\0');
    }
    *got = n;
    memcpy(at, h->input.ptr, n);
    h->input = str_skip(h->input, n);
    return ERR_OK;
}

static struct err host_send(struct transport *t, const struct iovec *iov, unsigned count,
                            size_t *sent, unsigned *want)
{
    struct host *h = CONTAINER_OF(t, struct host, transport);

    h->waits = false;
    *want = WANT_WRITE;
    *sent = 0;
    for (unsigned i = 0; i < count; i++) {
        buf_put(&h->said, str_make(iov[i].iov_base, iov[i].iov_len));
        *sent += iov[i].iov_len;
    }
    return ERR_OK;
}

static struct err host_wait(struct transport *t, unsigned want, const char *what, struct when by)
{
    (void)t, (void)want, (void)what, (void)by;
    return err_of(ERR_TIMEOUT);
}

static void host_close(struct transport *t)
{
    (void)t;
}

static const struct transport_ops host_ops = {host_recv, host_send, host_wait, host_close};

static struct err give(void *ctx, uint64_t offset, struct str *ret, struct when by)
{
    const struct host *h = ctx;

    (void)by;
    if ((h->wishes & 32) && offset > 0) {
        return err_of(ERR_DISK);
    }
    *ret = str_head(str_skip(str_of(content), (size_t)offset), 5);
    return ERR_OK;
}

static void check_fates(const struct client *c, const struct client_mail *m, struct err e)
{
    for (uint32_t i = 0; i < m->to_count; i++) {
        const struct client_rcpt *to = &m->to[i];

        must(to->fate != CLIENT_TAKEN || (m->accepted && m->sent && to->code / 100 == 2));
        must(to->fate != CLIENT_REFUSED || (to->code >= 200 && to->code <= 599));
        must(to->fate != CLIENT_GOOD || e.code != OK || c->over);
        must(to->text.len <= RESULT_TEXT_BYTES_MAX);
        must(str_find(to->text, '\n') == STR_NONE);
    }
    must(e.code == OK || c->over);
}

static void converse(void *arg)
{
    struct host *h = arg;
    struct client c = {.helo = STR("mx.example.org"),
                       .lmtp = h->wishes & 1,
                       .times = {1000, 1000, 1000, 1000, 1000}};
    bool greeted = false;

    h->transport.ops = &host_ops;
    c.stream = stream_new(&h->transport, (struct addr){0}, (struct addr){0});
    if (client_greet(&c, &greeted, WHEN_NEVER).code != OK) {
        greeted = false;
    }
    if (greeted && (h->wishes & 64) && c.mechanisms != 0) {
        struct err e = client_auth(&c, STR("ann"), STR("tea"), &greeted, WHEN_NEVER);

        must(e.code == OK || c.over);
        must(!greeted || e.code != OK || c.said.code == 235);
        greeted = greeted && e.code == OK;
    }
    for (int i = 0; i < 3 && greeted && !c.over; i++) {
        struct arena arena ARENA_LOCAL = {0};
        struct client_rcpt to[RCPTS] = {
            {.address = STR("a@x.example"), .notify = NOTIFY_NEVER},
            {.address = STR("b@x.example"), .orcpt = STR("rfc822;b+c@x")},
            {.address = STR("c@x.example")}};
        struct client_mail m = {.sender = STR("s@y.example"),
                                .envid = STR("id"),
                                .ret = RET_HDRS,
                                .body = h->wishes & 2   ? BODY_BINARY
                                        : h->wishes & 4 ? BODY_8BIT
                                                        : BODY_7BIT,
                                .smtputf8 = h->wishes & 8,
                                .hasty = h->wishes & 16,
                                .priority = h->wishes & 8 ? 5 : 0,
                                .by = h->wishes & 8 ? BY_NOTIFY : BY_NONE,
                                .by_trace = h->wishes & 1,
                                .by_s = INT64_MIN,
                                .size = sizeof content - 1,
                                .content = give,
                                .ctx = h,
                                .to = to,
                                .to_count = RCPTS,
                                .arena = &arena};

        if (client_lacks(&c, &m, false) != CLIENT_LACKS_NOTHING) {
            break;
        }
        check_fates(&c, &m, client_send(&c, &m, WHEN_NEVER));
    }
    client_quit(&c);
    stream_close(c.stream);
    client_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 7, 100000};

    for (size_t i = 0; i < COUNT_OF(pieces) && size > 0; i++) {
        struct host h = {
            .input = {(const char *)data + 1, size - 1}, .piece = pieces[i], .wishes = data[0]};

        run_alone("fuzz", converse, &h);
        buf_done(&h.said);
    }
    return 0;
}
