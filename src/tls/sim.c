/*
 * The simulated body. Each side sends one record and reads one:
 *
 *     client  0x16 'C' length  "verify NAME" or "any NAME"
 *     server  0x16 'S' length  "trusted NAMES", "unknown NAMES" or "broken"
 *
 * and the client judges what it read as a real one would. Length is one byte pair, high first. A
 * side that speaks in the clear is noticed by its first byte, as with the real protocol.
 */
#include "base/mem.h"
#include "runtime/loop.h"
#include "tls/part.h"

#include <stdio.h>

enum { HEAD = 4, RECORD_BYTES_MAX = 1024, HANDSHAKE_BYTE = 0x16 };

bool tls_name_matches(struct str names, struct str name)
{
    struct str one, parent = name, label;

    str_cut(&parent, '.', &label);
    while (names.len > 0) {
        str_cut(&names, ' ', &one);
        if (str_eq_nocase(one, name)) {
            return one.len > 0;
        }
        if (str_starts(one, STR("*.")) && label.len > 0 && parent.len > 0 &&
            str_eq_nocase(str_skip(one, 2), parent)) {
            return true;
        }
    }
    return false;
}

static struct err wait_lower(struct tls_layer *t, unsigned want, struct when by)
{
    struct err e = t->lower->ops->wait(t->lower, want, "TLS handshake", by);

    return e.code == OK ? e : tls_fail(t, e, "TLS handshake: %s", err_text(e.code));
}

static struct err send_all(struct tls_layer *t, struct str bytes, struct when by)
{
    while (bytes.len > 0) {
        struct iovec iov = {(void *)(uintptr_t)bytes.ptr, bytes.len};
        unsigned want = WANT_WRITE;
        size_t sent = 0;
        struct err e = t->lower->ops->try_send(t->lower, &iov, 1, &sent, &want);

        if (e.code != OK) {
            return tls_fail(t, e, "TLS handshake: %s", err_text(e.code));
        }
        bytes = str_skip(bytes, sent);
        if (sent == 0) {
            e = wait_lower(t, want, by);
            if (e.code != OK) {
                return e;
            }
        }
    }
    return ERR_OK;
}

static struct err recv_all(struct tls_layer *t, char *at, size_t size, struct when by)
{
    size_t got;

    for (; size > 0; at += got, size -= got) {
        unsigned want = WANT_READ;
        struct err e;

        got = 0;
        e = t->lower->ops->try_recv(t->lower, at, size, &got, &want);
        if (e.code != OK) {
            return tls_fail(t, e, "TLS handshake: %s", err_text(e.code));
        }
        if (got == 0) {
            e = wait_lower(t, want, by);
            if (e.code != OK) {
                return e;
            }
        }
    }
    return ERR_OK;
}

static struct err send_record(struct tls_layer *t, char side, struct str body, struct when by)
{
    char at[HEAD + RECORD_BYTES_MAX];

    must(body.len <= RECORD_BYTES_MAX);
    at[0] = HANDSHAKE_BYTE;
    at[1] = side;
    at[2] = (char)(body.len >> 8);
    at[3] = (char)(body.len & 255);
    memcpy(at + HEAD, body.ptr, body.len);
    return send_all(t, str_make(at, HEAD + body.len), by);
}

static struct err recv_record(struct tls_layer *t, char side, char at[RECORD_BYTES_MAX],
                              struct str *ret, struct when by)
{
    unsigned char head[HEAD];
    size_t len;
    struct err e = recv_all(t, (char *)head, HEAD, by);

    if (e.code != OK) {
        return e;
    }
    len = (size_t)head[2] << 8 | head[3];
    if (head[0] != HANDSHAKE_BYTE || head[1] != (unsigned char)side || len > RECORD_BYTES_MAX) {
        return tls_fail(t, err_of(ERR_TLS), "TLS handshake: wrong version number");
    }
    e = recv_all(t, at, len, by);
    if (e.code == OK) {
        *ret = str_make(at, len);
    }
    return e;
}

static struct err sim_client(struct tls_layer *t, struct when by)
{
    char at[RECORD_BYTES_MAX];
    struct str said, result;
    int n = snprintf(at, sizeof at, "%s %s", t->client->verify ? "verify" : "any", t->name);
    struct err e = send_record(t, 'C', str_make(at, (size_t)n), by);

    e = e.code == OK ? recv_record(t, 'S', at, &said, by) : e;
    if (e.code != OK) {
        return e;
    }
    str_cut(&said, ' ', &result);
    if (str_eq(result, STR("broken"))) {
        return tls_fail(t, err_of(ERR_TLS), "TLS handshake: alert handshake failure");
    }
    if (t->client->verify && !str_eq(result, STR("trusted"))) {
        return tls_fail(t, err_of(ERR_TLS), "certificate of %s refused: unknown authority",
                        t->name);
    }
    if (t->client->verify && !tls_name_matches(said, str_of(t->name))) {
        return tls_fail(t, err_of(ERR_TLS), "certificate of %s refused: hostname mismatch",
                        t->name);
    }
    t->verified = t->client->verify;
    return ERR_OK;
}

static struct err sim_server(struct tls_layer *t, struct when by)
{
    char at[RECORD_BYTES_MAX];
    struct tls_server *server = t->server;
    struct str said, requirement;
    struct err e = recv_record(t, 'C', at, &said, by);
    int n;

    if (e.code != OK) {
        return e;
    }
    str_cut(&said, ' ', &requirement);
    said = str_head(said, TLS_NAME_MAX);
    memcpy(t->name, said.ptr, said.len);
    if (server->sim.broken) {
        (void)send_record(t, 'S', STR("broken"), by);
        return tls_fail(t, err_of(ERR_TLS), "TLS handshake: no shared cipher");
    }
    must(server->sim.names.len <= RECORD_BYTES_MAX - 16);
    n = snprintf(at, sizeof at, "%s %.*s", server->sim.trusted ? "trusted" : "unknown",
                 STR_ARG(server->sim.names));
    return send_record(t, 'S', str_make(at, (size_t)n), by);
}

struct err tls_handshake_sim(struct tls_layer *t, struct when by)
{
    return t->client != NULL ? sim_client(t, by) : sim_server(t, by);
}

static struct err sim_try_recv(struct transport *transport, char *at, size_t size, size_t *got,
                               unsigned *want)
{
    struct tls_layer *t = CONTAINER_OF(transport, struct tls_layer, transport);

    *got = 0;
    return t->failed.code != OK ? t->failed
                                : t->lower->ops->try_recv(t->lower, at, size, got, want);
}

static struct err sim_try_send(struct transport *transport, const struct iovec *iov, unsigned count,
                               size_t *sent, unsigned *want)
{
    struct tls_layer *t = CONTAINER_OF(transport, struct tls_layer, transport);

    *sent = 0;
    return t->failed.code != OK ? t->failed
                                : t->lower->ops->try_send(t->lower, iov, count, sent, want);
}

static struct err sim_wait(struct transport *transport, unsigned want, const char *what,
                           struct when by)
{
    struct tls_layer *t = CONTAINER_OF(transport, struct tls_layer, transport);

    return t->failed.code != OK ? t->failed : t->lower->ops->wait(t->lower, want, what, by);
}

static void sim_close(struct transport *transport)
{
    tls_layer_free(CONTAINER_OF(transport, struct tls_layer, transport));
}

const struct transport_ops tls_sim_ops = {sim_try_recv, sim_try_send, sim_wait, sim_close};
