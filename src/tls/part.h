/*
 * part: what the files of this folder share; nobody else includes it.
 *
 * A layer is the transport that tls_accept or tls_connect puts over the stream's own, in one of
 * two bodies: OpenSSL (layer.c) or simulated (sim.c). Both keep its failure the same way.
 */
#pragma once

#include "runtime/transport.h"
#include "tls/tls.h"

#include <openssl/ssl.h>

enum { TLS_FAILURE_MAX = 256 };

struct tls_server {
    SSL_CTX *ctx;       /* NULL: simulated */
    struct tls_sim sim; /* names: own copy */
    _Atomic unsigned refs;
};

struct tls_sessions;

struct tls_client {
    SSL_CTX *ctx;
    struct tls_sessions *sessions;
    bool verify;
    _Atomic unsigned refs;
};

struct tls_layer {
    struct transport transport; /* first: a layer is a transport */
    struct transport *lower;
    struct tls_server *server; /* one of the two */
    struct tls_client *client;
    SSL *ssl;                /* NULL: simulated, or already failed for good */
    struct err failed;       /* sticky */
    struct err lower_said;   /* the lower transport's error behind one of OpenSSL's */
    unsigned lower_wants[2]; /* what it waited for last, by direction: receive, send */
    bool open;               /* the handshake is done */
    bool verified, sim_resumed;
    char name[TLS_NAME_MAX + 1];
    char key[TLS_NAME_MAX + 64]; /* of the session cache: name and address */
    char failure[TLS_FAILURE_MAX];
};

/* Marks the layer as failed, first failure wins, and says so. */
struct err tls_fail(struct tls_layer *t, struct err e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The two bodies of a handshake over t->lower. */
struct err tls_handshake_real(struct tls_layer *t, struct when by);
struct err tls_handshake_sim(struct tls_layer *t, struct when by);

extern const struct transport_ops tls_layer_ops, tls_sim_ops;

void tls_layer_free(struct tls_layer *t); /* the lower transport too */

/* True when one of the names (space between, "*." for one label) is `name`; ASCII, any case. */
bool tls_name_matches(struct str names, struct str name);

/* The first of OpenSSL's errors (the cause of the others) as words, and an empty queue. */
struct str tls_openssl_says(char *at, size_t size);

struct tls_sessions *tls_sessions_new(void);
void tls_sessions_free(struct tls_sessions *c);
/* Takes the reference. */
void tls_sessions_put(struct tls_sessions *c, struct str key, SSL_SESSION *session);
/* A reference, or NULL. A session of TLS 1.3 is given once only (RFC 8446 C.4). */
SSL_SESSION *tls_sessions_take(struct tls_sessions *c, struct str key);
