/*
 * The two doors, and what can be asked about an open one. What both bodies share is here: what
 * must hold before a layer goes on, and the poison after a failure.
 */
#include "tls/tls.h"

#include "base/addr.h"
#include "base/mem.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/stream.h"
#include "tls/part.h"

#include <stdio.h>

/* A host name or address that can be sent as a name at all; without the dot at its end. */
static bool take_name(struct tls_layer *t, struct str name)
{
    if (name.len > 1 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    if (name.len == 0 || name.len > TLS_NAME_MAX || str_find(name, '\0') != STR_NONE) {
        return false;
    }
    memcpy(t->name, name.ptr, name.len);
    return true;
}

static struct err handshake(struct stream *s, struct tls_layer *t, bool name_ok, struct when by)
{
    char at[ADDR_BYTES];
    struct addr remote = stream_remote(s);
    struct str peer = addr_print(&remote, at);
    struct err e;

    must(stream_unsent(s) == 0);
    t->transport.ops = world_is_simulated() ? &tls_sim_ops : &tls_layer_ops;
    t->lower = stream_transport(s);
    (void)snprintf(t->key, sizeof t->key, "%s %.*s", t->name, STR_ARG(peer));
    if (stream_buffered(s).len > 0) {
        e = tls_fail(t, err_of(ERR_TLS), "bytes in the clear arrived before the TLS handshake");
    } else if (!name_ok) {
        e = tls_fail(t, err_of(ERR_TLS), "not a name to ask for in a TLS handshake");
    } else {
        e = world_is_simulated() ? tls_handshake_sim(t, by) : tls_handshake_real(t, by);
    }
    t->open = e.code == OK;
    stream_take(s, stream_buffered(s).len); /* never read as bytes of the layer */
    stream_layer(s, &t->transport);
    fiber_trim(); /* the deepest a session's stack ever is */
    return e;
}

struct err tls_accept(struct stream *s, struct tls_server *server, struct when by)
{
    struct tls_layer *t = MEM_NEW(struct tls_layer);

    t->server = tls_server_keep(server);
    return handshake(s, t, true, by);
}

struct err tls_connect(struct stream *s, struct tls_client *client, struct str server_name,
                       struct when by)
{
    struct tls_layer *t = MEM_NEW(struct tls_layer);

    t->client = tls_client_keep(client);
    return handshake(s, t, take_name(t, server_name), by);
}

/* NULL when the stream carries no layer of ours. */
static struct tls_layer *layer_of(struct stream *s)
{
    struct transport *top = stream_transport(s);

    return top->ops == &tls_layer_ops || top->ops == &tls_sim_ops
               ? CONTAINER_OF(top, struct tls_layer, transport)
               : NULL;
}

struct tls_facts tls_describe(struct stream *s)
{
    struct tls_layer *t = layer_of(s);
    struct tls_facts f = {0};

    f.protocol = f.cipher = f.peer_name = STR_EMPTY;
    if (t == NULL || !t->open) {
        return f;
    }
    f.active = true;
    f.verified = t->verified;
    if (t->ssl == NULL) {
        f.resumed = t->sim_resumed;
        f.protocol = STR("TLSv1.3");
        f.cipher = STR("SIMULATED");
        f.peer_name = str_of(t->name);
        return f;
    }
    f.resumed = SSL_session_reused(t->ssl) == 1;
    f.protocol = str_of(SSL_get_version(t->ssl));
    f.cipher = str_of(SSL_get_cipher_name(t->ssl));
    f.peer_name = str_of(t->client ? t->name
                                   : SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name));
    return f;
}

struct str tls_failure(struct stream *s)
{
    struct tls_layer *t = layer_of(s);

    return t != NULL && t->failed.code != OK ? str_of(t->failure) : STR_EMPTY;
}
