/*
 * peer: one connection to a next host, and the idle ones that a loop keeps for what comes next.
 *
 * Source    RFC 5321 section 4.5.3.2 (times); RFC 3207 (STARTTLS); design section 3 (peer).
 * Owns      A link owns its stream, its client and the texts of its key. It belongs to whoever took
 *           or opened it until peer_rest or peer_end.
 * Limits    delivery_options.idle_max idle links in all, each loop an equal part of them; each for
 *           its connection object's `idle`.
 * Errors    struct outcome: why a host could not be spoken to.
 *
 * A link serves only mail with an equal key, the TLS requirement and the
 * configuration it is from included (P8). Idle links hold no slot.
 */
#pragma once

#include "base/arena.h"
#include "delivery/part.h"
#include "smtp/client.h"

enum peer_tls {
    PEER_CLEAR,     /* never */
    PEER_OPTIONAL,  /* where it is offered and works; nobody's certificate is looked at */
    PEER_ENCRYPTED, /* always; nobody's certificate is looked at */
    PEER_VERIFIED   /* always, and the certificate is good for `host` */
};

struct peer {
    struct addr to;
    struct addr source;  /* family 0: the system chooses */
    bool lmtp, implicit; /* implicit: TLS from the first byte */
    enum peer_tls tls;
    bool clear_if_not_offered; /* with ENCRYPTED and VERIFIED: a host without TLS will do */
    struct str helo;
    struct str host;                   /* its name: certificates, and what people read */
    const struct route_settings *auth; /* whose credentials are told; NULL: nobody's */
    const struct plan_connection *connection;
    const struct plan_tls *tls_object;
    struct plan *plan; /* both are from; a link holds a reference */
};

/* What limits count a connection by. */
struct link_limits {
    struct limit_key *keys;
    uint32_t count;
};

struct peer_link {
    struct client client;
    struct link_limits limits;
    struct peer key;
    bool is_used; /* it has served a transaction */
    bool is_warm; /* known to be alive: its last reply came just now */
    struct when idle_since, idle_until;
    struct link link;
    struct arena arena;
};

/* limits.c */
void link_limits_copy(struct link_limits *ret, const struct link_limits *from, struct arena *a);
void limits_disconnect(struct delivery_loop *l, const struct link_limits *limits);

/* Whether this link, which is in use, would do for that key. */
bool peer_serves(const struct peer_link *k, const struct peer *key);
/* An idle link with an equal key that is still quiet, or NULL. */
struct peer_link *peer_take(struct delivery_loop *l, const struct peer *key);
/* Opens one: connection, TLS as the key wants it, greeting, EHLO. NULL: *why says it, and
 * *next_host whether other addresses of this host are of no use either. `a` keeps the text. */
struct peer_link *peer_open(struct delivery_loop *l, const struct peer *key, struct arena *a,
                            struct outcome *why, bool *next_host, struct when by);
/* What went wrong in the conversation, told for people. */
struct outcome peer_failure(const struct peer_link *k, struct err e, struct arena *a);
/* A refusal that is the host's alone: greeting, EHLO, STARTTLS. */
struct outcome peer_refusal(const struct peer_link *k, struct arena *a);

/* No more use for it now: kept idle if that may be, else ended. */
void peer_rest(struct delivery_loop *l, struct peer_link *k);
/* QUIT, if it may still be said, and closed. */
void peer_end(struct delivery_loop *l, struct peer_link *k);
void peer_end_all(struct delivery_loop *l);
