#include "base/check.h"
#include "dns/dns.h"
#include "hooks/milter_part.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/stream.h"

#include <stdarg.h>

enum {
    PACKETS_MAX = 100 * 1000, /* of one answer */
    PACKETS_A_TURN = 64,      /* then the others' turn: a flood never makes us wait by itself */
    REPLY_BYTES = 16,         /* how many of each answer a long question may bring by itself */
    ADDRESSES_MAX = 8
};

struct err milter_wrong(struct milter_talk *t, enum err_code code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_clear(t->why);
    buf_vprintf(t->why, format, args);
    va_end(args);
    return err_of(code);
}

/* The stream's own word for what went wrong while `what` was awaited. */
static struct err broken(struct milter_talk *t, struct err e, const char *what)
{
    char at[200];

    if (t->why->len == 0) {
        buf_printf(t->why, "%s: %.*s", what, STR_ARG(err_say(e, at, sizeof at)));
    }
    return e;
}

void milter_close(struct milter_session *s)
{
    struct buf out BUF_LOCAL = {0};

    if (s->stream != NULL) {
        milter_put_bare(&out, MILTER_QUIT);
        stream_farewell(s->stream, buf_str(&out));
        stream_close(s->stream);
        s->stream = NULL;
    }
}

/* ---- packets ---- */

static struct err flush(struct milter_talk *t, const char *what, struct when by)
{
    struct err e = stream_flush(t->s->stream, by);

    return e.code != OK ? broken(t, e, what) : e;
}

struct err milter_send(struct milter_talk *t, struct when by)
{
    struct err e = ERR_OK;

    must_not(t->out.failed);
    /* Each answer was taken: what stands here would pass for the answer to what we say now. */
    if (stream_buffered(t->s->stream).len > 0) {
        return milter_wrong(t, ERR_PROTOCOL, "a reply that nobody asked for");
    }
    if (t->out.len > 0) {
        /* What was heard answered what was said before. How often we ask is the sender's doing:
         * each field and recipient is a question, and their answers add up to nothing bad. */
        t->answer_bytes = 0;
        t->heard_packets = 0;
        t->said++;
        e = stream_put(t->s->stream, buf_str(&t->out),
                       when_within(by, t->s->milter->settings->timeout_ms));
        buf_clear(&t->out);
    }
    return e.code != OK ? broken(t, e, "sending") : e;
}

/* Exactly n more bytes to the end of t->in. */
static struct err gather(struct milter_talk *t, size_t n, const char *what, struct when by)
{
    while (n > 0) {
        struct str got = str_head(stream_buffered(t->s->stream), n);

        if (got.len == 0) {
            struct err e = stream_fill(t->s->stream, what, by);

            if (e.code != OK) {
                return broken(t, e, what);
            }
            continue;
        }
        buf_put(&t->in, got);
        stream_take(t->s->stream, got.len);
        n -= got.len;
    }
    return ERR_OK;
}

/* An answer has the whole size; all answers of a stage have it too, beyond what a verdict takes. */
static bool is_too_much(struct milter_talk *t, uint32_t bytes)
{
    uint64_t most = t->s->milter->settings->response_bytes_max;

    t->answer_bytes += bytes;
    t->heard_bytes += bytes;
    return t->answer_bytes > most || t->heard_bytes > most + (uint64_t)REPLY_BYTES * t->said;
}

/* One packet into t->in, without its length. */
static struct err read_packet(struct milter_talk *t, const char *what, struct when by)
{
    char head[MILTER_HEAD_BYTES];
    uint32_t bytes;
    struct err e;

    buf_clear(&t->in);
    e = gather(t, sizeof head, what, by);
    if (e.code != OK) {
        return e;
    }
    memcpy(head, t->in.ptr, sizeof head);
    if (!milter_packet_bytes(head, &bytes)) {
        return milter_wrong(t, ERR_PROTOCOL, "%s: a packet of impossible length", what);
    }
    if (is_too_much(t, bytes)) {
        return milter_wrong(t, ERR_LIMIT, "%s: more than response-size-max", what);
    }
    if (++t->heard_packets > PACKETS_MAX) {
        return milter_wrong(t, ERR_LIMIT, "%s: too many packets", what);
    }
    buf_clear(&t->in);
    e = gather(t, bytes, what, by);
    if (e.code == OK && t->heard_packets % PACKETS_A_TURN == 0) {
        e = fiber_yield(by);
        if (e.code == OK && clock_now().ns >= by.ns) {
            e = err_of(ERR_TIMEOUT);
        }
        e = e.code != OK ? broken(t, e, what) : e;
    }
    return e;
}

struct err milter_hear(struct milter_talk *t, int64_t patience_ms, const char *what, struct when by)
{
    struct err e = flush(t, what, when_within(by, patience_ms));
    const char *why = "";

    while (e.code == OK) {
        e = read_packet(t, what, when_within(by, patience_ms));
        if (e.code != OK) {
            return e;
        }
        e = milter_decode(buf_str(&t->in), &t->reply, &why);
        if (e.code != OK) {
            return milter_wrong(t, e.code, "%s: %s", what, why);
        }
        if (t->reply.word != MILTER_PROGRESS) {
            break;
        }
    }
    return e;
}

/* ---- opening ---- */

/* Trying the next is no use once nobody waits any more. */
static bool is_hopeless(struct err e, struct when by)
{
    return e.code == ERR_CANCELLED || clock_now().ns >= by.ns;
}

static struct err connect_one(struct milter_talk *t, struct addr to, struct when by)
{
    char at[ADDR_BYTES], said[200];
    struct err e = stream_connect(to, (struct addr){0}, &t->s->stream,
                                  when_within(by, t->s->milter->settings->connect_timeout_ms));

    if (e.code != OK) {
        return milter_wrong(t, e.code, "connect to %.*s: %.*s", STR_ARG(addr_print(&to, at)),
                            STR_ARG(err_say(e, said, sizeof said)));
    }
    return e;
}

static struct err connect_host(struct milter_talk *t, struct when by)
{
    const struct milter *m = t->s->milter;
    struct dns_host host = {.kind = DNS_HOST_NONE};
    struct addr to;
    struct err e;

    if (addr_parse_ip(m->address.host, &to)) {
        to.port = m->address.port;
        return connect_one(t, to, by);
    }
    if (m->dns == NULL) {
        return milter_wrong(t, ERR_CONFIG, "there is no resolver for its name");
    }
    e = dns_host(m->dns, m->address.host, m->address.is_ipv6 ? DNS_IPV6_ONLY : DNS_IPV4_FIRST,
                 ADDRESSES_MAX, true, t->a, &host,
                 when_within(by, m->settings->connect_timeout_ms));
    if (e.code != OK) {
        return broken(t, e, "looking up its name");
    }
    if (host.kind != DNS_HOST_FOUND || host.count == 0) {
        return milter_wrong(t, ERR_DNS, "looking up its name: %.*s", STR_ARG(host.why));
    }
    for (size_t i = 0; i < host.count; i++) {
        to = host.addrs[i];
        to.port = m->address.port;
        e = connect_one(t, to, by);
        if (e.code == OK || is_hopeless(e, by)) {
            break;
        }
    }
    return e;
}

static struct err connect_any(struct milter_talk *t, struct when by)
{
    const struct milter *m = t->s->milter;
    struct err e;

    if (m->address.path.len == 0) {
        return connect_host(t, by);
    }
    e = stream_connect_path(m->address.path, &t->s->stream,
                            when_within(by, m->settings->connect_timeout_ms));
    return e.code != OK ? broken(t, e, "connecting to its socket") : e;
}

static struct err negotiate(struct milter_talk *t, struct when by)
{
    static const char what[] = "reply to the negotiation";
    const struct milter_settings *settings = t->s->milter->settings;
    struct milter_terms offer = milter_offer(settings->protocol);
    const char *why = "";
    struct err e;

    by = when_within(by, settings->timeout_ms);
    milter_put_offer(&t->out, &offer);
    e = milter_send(t, by);
    if (e.code == OK) {
        e = flush(t, what, by);
    }
    if (e.code == OK) {
        e = read_packet(t, what, by);
    }
    if (e.code == OK) {
        e = milter_decode_terms(buf_str(&t->in), &offer, &t->s->kept, &t->s->terms, &why);
        if (e.code != OK) {
            return milter_wrong(t, e.code, "%s: %s", what, why);
        }
    }
    return e;
}

struct err milter_open(struct milter_talk *t, struct when by)
{
    struct err e = connect_any(t, by);

    return e.code == OK ? negotiate(t, by) : e;
}
