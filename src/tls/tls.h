/*
 * tls: transport security over a stream, both sides; OpenSSL stays inside this folder.
 *
 * Source    RFC 3207 (STARTTLS), RFC 8446, RFC 5246, RFC 6125 (names in certificates), RFC 8314.
 * Owns      Servers, clients and trusts are counted: load or new gives one reference, keep another,
 *           drop returns one; any thread. A handshake holds its own until stream_close, so a
 *           reload replaces a server while its sessions finish.
 * Limits    TLS 1.2 and newer; names of TLS_NAME_MAX bytes; TLS_SESSIONS_MAX remembered sessions a
 *           client.
 * Errors    tls_accept and tls_connect: ERR_TLS, with tls_failure() in words, or what the lower
 *           transport said (ERR_CLOSED, ERR_NETWORK, ERR_TIMEOUT, ERR_CANCELLED). After any error
 *           the stream is poisoned: it answers every later call with the same error, so nobody
 *           goes on in the clear by mistake. Only stream_close is left.
 *
 * STARTTLS  Bytes that are buffered before the handshake were sent in the clear and must never be
 *           read as if they were protected: both functions refuse such a stream (ERR_TLS). Unsent
 *           bytes of our own are our mistake: flush first.
 * Stack     Certificate checks run on the loop's big stack.
 * Simulated A handshake record carries name, result and requirement (tls_server_sim); the bytes
 *           after it travel as they are.
 */
#pragma once

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum { TLS_NAME_MAX = 255, TLS_SESSIONS_MAX = 1000 };

struct stream;
struct tls_server;
struct tls_client;
struct tls_trust;

/*
 * Certificate chain and key, PEM. ERR_CONFIG with one line in *why that names the file and what is
 * wrong with it: missing, not readable, no PEM, key of another certificate, encrypted key.
 * Reads files: on a loop with traffic, call it through offload. On a loop of a simulated world it
 * is what the scenario says: its sim_service("tls") is a struct tls_sim.
 */
struct err tls_server_load(struct str certificate, struct str key, struct tls_server **ret,
                           struct buf *why);
/* What a simulated server presents. */
struct tls_sim {
    struct str names; /* with "*." wildcards, one space between */
    bool trusted;     /* by the authorities */
    bool broken;      /* fails each handshake */
};

struct tls_server *tls_server_sim(struct tls_sim what);
struct tls_server *tls_server_keep(struct tls_server *s);
void tls_server_drop(struct tls_server *s); /* NULL is harmless */

/* The authorities certificates are judged by: a PEM bundle, or the system's when `file` is empty.
 * Takes tens of milliseconds: load once and share. */
struct err tls_trust_load(struct str file, struct tls_trust **ret, struct buf *why);
/* And what is shown to a server that asks who we are: certificate chain and key, PEM, with errors
 * as those of tls_server_load. For tls_trust_give, and before the trust is shared. */
struct err tls_trust_identify(struct tls_trust *t, struct str certificate, struct str key,
                              struct buf *why);
struct tls_trust *tls_trust_keep(struct tls_trust *t);
void tls_trust_drop(struct tls_trust *t); /* NULL is harmless */
/* Says all that was loaded: trusts of the same authorities and the same certificate have the same,
 * whatever their files are called. Lives as long as the trust. */
struct str tls_trust_digest(const struct tls_trust *t);
/* Another library's SSL_CTX judges by these authorities too (`trust` is a struct tls_trust), shows
 * our certificate, and keeps no buffers while it waits: for http/, which is a neighbour. It holds
 * its own reference. */
void tls_trust_give(void *trust, void *ssl_ctx);

/* Encrypts with whoever answers; certificates are not looked at. */
struct tls_client *tls_client_opportunistic(void);
/* Certificate valid by `trust` (which may be dropped afterwards), for the server name given to
 * tls_connect. Never falls back. */
struct tls_client *tls_client_verified(struct tls_trust *trust);
struct tls_client *tls_client_keep(struct tls_client *c);
void tls_client_drop(struct tls_client *c);

struct err tls_accept(struct stream *s, struct tls_server *server, struct when by);
/* server_name: a host name (sent as SNI, a dot at its end left out) or an address in text. */
struct err tls_connect(struct stream *s, struct tls_client *client, struct str server_name,
                       struct when by);

struct tls_facts {
    bool active;          /* false: the rest is empty, the stream is in the clear */
    bool verified;        /* the peer's certificate was checked, and good, name included */
    bool resumed;         /* a remembered session, no certificate sent */
    struct str protocol;  /* "TLSv1.3" */
    struct str cipher;    /* "TLS_AES_256_GCM_SHA384" */
    struct str peer_name; /* accept: the name asked for (SNI); connect: the name we asked for */
};

/* For Received fields and events. Views live until stream_close. */
struct tls_facts tls_describe(struct stream *s);
/* Why the stream failed, one line for people; empty when it did not. Lives until stream_close. */
struct str tls_failure(struct stream *s);
