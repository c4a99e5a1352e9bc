#include "http/local.h"

#include "base/buf.h"
#include "http/reply.h"
#include "runtime/stream.h"

/* One answer being read. */
struct reading {
    const struct http_local *ask;
    struct stream *stream;
    struct buf body;
    bool in_pieces;
};

struct str http_local_encode(struct str s, struct arena *a)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = 0;
    char *at;

    for (size_t i = 0; i < s.len; i++) {
        len += byte_is_alnum(s.ptr[i]) || str_find(STR("-._~"), s.ptr[i]) != STR_NONE ? 1 : 3;
    }
    at = arena_alloc(a, len + 1);
    len = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (byte_is_alnum(s.ptr[i]) || str_find(STR("-._~"), s.ptr[i]) != STR_NONE) {
            at[len++] = s.ptr[i];
        } else {
            at[len++] = '%';
            at[len++] = hex[(unsigned char)s.ptr[i] >> 4];
            at[len++] = hex[(unsigned char)s.ptr[i] & 15];
        }
    }
    return str_make(at, len);
}

static struct err send_request(const struct http_local *ask, struct stream *s, struct when by)
{
    struct buf head BUF_LOCAL = {0};
    struct err e;

    buf_printf(&head, "%s %.*s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", ask->method,
               STR_ARG(ask->target));
    if (ask->type.len > 0) {
        buf_printf(&head, "Content-Type: %.*s\r\n", STR_ARG(ask->type));
    }
    if (ask->type.len > 0 || ask->body.len > 0) {
        buf_printf(&head, "Content-Length: %zu\r\n", ask->body.len);
    }
    buf_put(&head, STR("\r\n"));
    e = stream_put(s, buf_str(&head), by);
    e = e.code == OK ? stream_put(s, ask->body, by) : e;
    return e.code == OK ? stream_flush(s, by) : e;
}

static struct err read_head(struct stream *s, struct arena *a, struct reply_head *ret,
                            struct when by)
{
    size_t size;

    while ((size = reply_head_size(stream_buffered(s))) == 0) {
        struct err e;

        if (stream_buffered(s).len >= REPLY_HEAD_MAX) {
            return err_of(ERR_PROTOCOL);
        }
        e = stream_fill(s, "head of the answer", by);
        if (e.code != OK) {
            return e;
        }
    }
    struct str head = arena_dup(a, str_head(stream_buffered(s), size));

    stream_take(s, size);
    return reply_head_parse(head, ret);
}

static struct err take_bytes(struct reading *r, struct str bytes)
{
    if (r->in_pieces) {
        return r->ask->piece(r->ask->ctx, bytes);
    }
    buf_put(&r->body, bytes);
    return r->body.failed ? err_of(ERR_LIMIT) : ERR_OK;
}

static struct err fill_if_empty(struct stream *s, struct when by)
{
    return stream_buffered(s).len > 0 ? ERR_OK : stream_fill(s, "body of the answer", by);
}

/* Just so many bytes. */
static struct err read_length(struct reading *r, uint64_t left, struct when by)
{
    while (left > 0) {
        struct err e = fill_if_empty(r->stream, by);
        struct str bytes;

        if (e.code != OK) {
            return e;
        }
        bytes = stream_buffered(r->stream);
        bytes = bytes.len > left ? str_head(bytes, (size_t)left) : bytes;
        e = take_bytes(r, bytes);
        if (e.code != OK) {
            return e;
        }
        left -= bytes.len;
        stream_take(r->stream, bytes.len);
    }
    return ERR_OK;
}

static struct err read_until_close(struct reading *r, struct when by)
{
    struct err e = fill_if_empty(r->stream, by);

    while (e.code == OK) {
        struct str bytes = stream_buffered(r->stream);

        e = take_bytes(r, bytes);
        stream_take(r->stream, bytes.len);
        e = e.code == OK ? stream_fill(r->stream, "body of the answer", by) : e;
    }
    return e.code == ERR_CLOSED ? ERR_OK : e;
}

/* A short line, taken; valid until the next wait. */
static struct err read_line(struct stream *s, char at[REPLY_SIZE_LINE_MAX], struct str *ret,
                            struct when by)
{
    size_t end;

    while ((end = str_find_str(stream_buffered(s), STR("\r\n"))) == STR_NONE) {
        struct err e;

        if (stream_buffered(s).len > REPLY_SIZE_LINE_MAX) {
            return err_of(ERR_PROTOCOL);
        }
        e = stream_fill(s, "chunk of the answer", by);
        if (e.code != OK) {
            return e;
        }
    }
    if (end > REPLY_SIZE_LINE_MAX) {
        return err_of(ERR_PROTOCOL);
    }
    memcpy(at, stream_buffered(s).ptr, end);
    *ret = str_make(at, end);
    stream_take(s, end + 2);
    return ERR_OK;
}

static struct err read_chunks(struct reading *r, struct when by)
{
    char at[REPLY_SIZE_LINE_MAX];
    uint64_t size = 1;
    struct str line;
    struct err e;

    while (size > 0) {
        e = read_line(r->stream, at, &line, by);
        if (e.code == OK && !reply_chunk_size(line, &size)) {
            e = err_of(ERR_PROTOCOL);
        }
        e = e.code == OK ? read_length(r, size, by) : e;
        /* After the bytes of a chunk, and after the last one: our server sends no trailers. */
        e = e.code == OK ? read_line(r->stream, at, &line, by) : e;
        if (e.code == OK && line.len > 0) {
            e = err_of(ERR_PROTOCOL);
        }
        if (e.code != OK) {
            return e;
        }
    }
    return ERR_OK;
}

static struct err converse(struct reading *r, struct arena *a, struct http_local_answer *ret,
                           struct when by)
{
    struct reply_head head = {0};
    struct err e = send_request(r->ask, r->stream, by);

    e = e.code == OK ? read_head(r->stream, a, &head, by) : e;
    if (e.code != OK) {
        return e;
    }
    r->in_pieces = r->ask->piece != NULL && head.status / 100 == 2;
    r->body.max = r->ask->body_max;
    if (str_eq(str_of(r->ask->method), STR("HEAD"))) {
        head.body = REPLY_NO_BODY;
    }
    switch (head.body) {
    case REPLY_NO_BODY:
        break;
    case REPLY_LENGTH:
        e = read_length(r, head.length, by);
        break;
    case REPLY_CHUNKED:
        e = read_chunks(r, by);
        break;
    case REPLY_UNTIL_CLOSE:
        e = read_until_close(r, by);
        break;
    }
    if (e.code == OK) {
        *ret = (struct http_local_answer){head.status, arena_dup(a, head.type),
                                          arena_dup(a, buf_str(&r->body))};
    }
    return e;
}

struct err http_local(const struct http_local *ask, struct arena *a, struct http_local_answer *ret,
                      struct when by)
{
    struct reading r = {.ask = ask};
    struct err e = stream_connect_path(ask->socket, &r.stream, by);

    if (e.code != OK) {
        return e;
    }
    e = converse(&r, a, ret, by);
    stream_close(r.stream);
    buf_done(&r.body);
    return e;
}
