#include "runtime/stream.h"

#include "base/mem.h"
#include "runtime/world.h"

#include <string.h>

_Static_assert((int)STREAM_READ_MAX <= (int)BUFFER_BYTES, "a read buffer is one pooled buffer");
_Static_assert((int)STREAM_WRITE_MAX <= (int)BUFFER_BYTES, "so is a write buffer");

struct stream {
    struct transport *transport;
    struct addr remote, local;
    char *in, *out; /* pooled; NULL when empty */
    size_t in_start, in_end, out_start, out_end;
    uint64_t bytes_in, bytes_out;
    struct err failed;
};

struct stream *stream_new(struct transport *t, struct addr remote, struct addr local)
{
    struct stream *s = MEM_NEW(struct stream);

    s->transport = t;
    s->remote = remote;
    s->local = local;
    return s;
}

struct err stream_connect(struct addr to, struct addr from, struct stream **ret, struct when by)
{
    struct transport *t;
    struct addr local = {0};
    struct err e = loop_self()->world->ops->connect(to, from, &t, &local, by);

    if (e.code == OK) {
        *ret = stream_new(t, to, local);
    }
    return e;
}

static void drop_in(struct stream *s)
{
    if (s->in != NULL && s->in_start == s->in_end) {
        buffer_give(loop_self(), s->in);
        s->in = NULL;
        s->in_start = s->in_end = 0;
    }
}

static void drop_out(struct stream *s)
{
    if (s->out != NULL && s->out_start == s->out_end) {
        buffer_give(loop_self(), s->out);
        s->out = NULL;
        s->out_start = s->out_end = 0;
    }
}

void stream_close(struct stream *s)
{
    s->in_start = s->in_end;
    s->out_start = s->out_end;
    drop_in(s);
    drop_out(s);
    s->transport->ops->close(s->transport);
    mem_free(s);
}

struct addr stream_remote(const struct stream *s)
{
    return s->remote;
}

struct addr stream_local(const struct stream *s)
{
    return s->local;
}

/* ---- reading ---- */

struct str stream_buffered(const struct stream *s)
{
    return s->in ? (struct str){s->in + s->in_start, s->in_end - s->in_start} : STR_EMPTY;
}

void stream_take(struct stream *s, size_t n)
{
    must(n <= s->in_end - s->in_start);
    s->in_start += n;
}

/* Makes room in the read buffer; false when STREAM_READ_MAX bytes stand unread. */
static bool make_room(struct stream *s)
{
    if (s->in == NULL) {
        s->in = buffer_take(loop_self());
    } else if (s->in_start == s->in_end) {
        s->in_start = s->in_end = 0;
    } else if (s->in_end == STREAM_READ_MAX && s->in_start > 0) {
        memmove(s->in, s->in + s->in_start, s->in_end - s->in_start);
        s->in_end -= s->in_start;
        s->in_start = 0;
    }
    return s->in_end < STREAM_READ_MAX;
}

static struct err read_once(struct stream *s, size_t *got, unsigned *want)
{
    struct err e = s->transport->ops->try_recv(s->transport, s->in + s->in_end,
                                               STREAM_READ_MAX - s->in_end, got, want);

    if (e.code == OK) {
        s->in_end += *got;
        s->bytes_in += *got;
    }
    return e;
}

static struct err fail(struct stream *s, struct err e)
{
    /* Time and cancelling end a wait, not the connection. */
    if (e.code != ERR_TIMEOUT && e.code != ERR_CANCELLED && e.code != ERR_LIMIT) {
        s->failed = e;
    }
    return e;
}

struct err stream_fill(struct stream *s, const char *what, struct when by)
{
    struct err e = stream_flush(s, by);
    size_t got = 0;
    unsigned want;

    if (e.code != OK) {
        return e;
    }
    for (;;) {
        if (!make_room(s)) {
            return err_of(ERR_LIMIT);
        }
        e = read_once(s, &got, &want);
        if (e.code != OK || got > 0) {
            return fail(s, e);
        }
        drop_in(s);
        e = s->transport->ops->wait(s->transport, want, what, by);
        if (e.code != OK) {
            return fail(s, e);
        }
    }
}

/* ---- writing ---- */

/* Sends iov whole; meanwhile takes in what the other side sends, as far as there is room. */
static struct err send_all(struct stream *s, struct iovec *iov, unsigned count, struct when by)
{
    while (count > 0) {
        unsigned want, read_want;
        size_t sent, got = 0;
        struct err e = s->transport->ops->try_send(s->transport, iov, count, &sent, &want);

        if (e.code != OK) {
            return e;
        }
        s->bytes_out += sent;
        while (count > 0 && sent >= iov->iov_len) {
            sent -= iov->iov_len;
            iov++;
            count--;
        }
        if (count == 0) {
            break;
        }
        iov->iov_base = (char *)iov->iov_base + sent;
        iov->iov_len -= sent;
        if (sent > 0) {
            continue;
        }
        if (make_room(s)) {
            e = read_once(s, &got, &read_want);
            if (e.code != OK && e.code != ERR_CLOSED) {
                return e;
            }
            /* After the other side's end there is nothing to read, but writing may go on. */
            want |= e.code == OK && got == 0 ? read_want : 0;
            drop_in(s);
        }
        if (got == 0) {
            e = s->transport->ops->wait(s->transport, want, "the other side to read", by);
            if (e.code != OK) {
                return e;
            }
        }
    }
    return ERR_OK;
}

struct err stream_flush(struct stream *s, struct when by)
{
    struct iovec iov;
    struct err e;

    if (s->failed.code != OK) {
        return s->failed;
    }
    if (s->out_start == s->out_end) {
        return ERR_OK;
    }
    iov = (struct iovec){s->out + s->out_start, s->out_end - s->out_start};
    e = send_all(s, &iov, 1, by);
    if (e.code == OK) {
        s->out_start = s->out_end;
    } else {
        s->out_start = s->out_end - iov.iov_len;
    }
    drop_out(s);
    return fail(s, e);
}

struct err stream_put(struct stream *s, struct str bytes, struct when by)
{
    struct iovec iov[2];
    struct err e;

    if (s->failed.code != OK) {
        return s->failed;
    }
    if (s->out_end + bytes.len <= STREAM_WRITE_MAX) {
        if (bytes.len > 0) {
            if (s->out == NULL) {
                s->out = buffer_take(loop_self());
            }
            memcpy(s->out + s->out_end, bytes.ptr, bytes.len);
            s->out_end += bytes.len;
        }
        return ERR_OK;
    }
    iov[0] = (struct iovec){s->out + s->out_start, s->out_end - s->out_start};
    iov[1] = (struct iovec){(char *)(uintptr_t)bytes.ptr, bytes.len};
    e = iov[0].iov_len > 0 ? send_all(s, iov, 2, by) : send_all(s, iov + 1, 1, by);
    s->out_start = s->out_end;
    drop_out(s);
    /* A write cut short has left half a thought on the wire: the stream is of no more use. */
    if (e.code != OK) {
        s->failed = e;
    }
    return e;
}

size_t stream_unsent(const struct stream *s)
{
    return s->out_end - s->out_start;
}

void stream_farewell(struct stream *s, struct str bytes)
{
    struct iovec iov[2] = {{s->out + s->out_start, s->out_end - s->out_start},
                           {(char *)(uintptr_t)bytes.ptr, bytes.len}};
    size_t sent;
    unsigned want;

    if (s->failed.code == OK) {
        (void)s->transport->ops->try_send(s->transport, s->out ? iov : iov + 1, s->out ? 2 : 1,
                                          &sent, &want);
        s->failed = err_of(ERR_CLOSED);
    }
}

struct transport *stream_transport(struct stream *s)
{
    return s->transport;
}

void stream_layer(struct stream *s, struct transport *upper)
{
    must(s->in_start == s->in_end);
    must(s->out_start == s->out_end);
    s->transport = upper;
}

uint64_t stream_bytes_in(const struct stream *s)
{
    return s->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *s)
{
    return s->bytes_out;
}

/* ---- listeners and guests ---- */

struct err listener_open(struct addr at, struct listener **ret)
{
    return loop_self()->world->ops->listen(at, ret);
}

struct addr listener_addr(const struct listener *l)
{
    return l->addr;
}

struct err listener_accept(struct listener *l, struct guest **ret, struct when by)
{
    return l->ops->accept(l, ret, by);
}

void listener_close(struct listener *l)
{
    l->ops->close(l);
}

struct addr guest_remote(const struct guest *g)
{
    return g->remote;
}

struct stream *guest_stream(struct guest *g)
{
    struct addr remote = g->remote, local = g->local;

    return stream_new(g->ops->transport(g), remote, local);
}

void guest_refuse(struct guest *g, struct str farewell)
{
    g->ops->refuse(g, farewell);
}
