/*
 * fetch: an HTTP client for calls to other programs (hooks, policies); libcurl stays behind this
 * header. One call is one straight line of the caller's fiber; a thousand calls under way are a
 * thousand waiting fibers and one fiber of the pool.
 *
 * Source    RFC 9110, RFC 9112 (HTTP/1.1, keep-alive). TLS 1.2 and newer.
 * Owns      A pool belongs to the loop that made it. The request, its bytes and its target stay in
 *           place until fetch has returned; the answer is in the caller's arena.
 * Limits    connections_max calls under way, the others wait their turn; REPLY_HEAD_MAX bytes of
 *           head, interim responses and trailers included; response_max bytes of body, judged by
 *           Content-Length before they are read and counted while they are. `by` is for all of it:
 *           the turn, names, connecting, TLS, sending, answer, a second sending.
 * Errors    *ret is written only on OK, and *why (which must not be NULL) only on errors, with one
 *           line for people: no secret, no address of the target, no bytes of the other side but
 *           printable ones.
 *           ERR_TIMEOUT    `by` has passed
 *           ERR_CANCELLED  the caller was
 *           ERR_DNS, ERR_NO_NAME  as the names' function says
 *           ERR_NETWORK    no connection, with errno
 *           ERR_TLS        no trust: certificate, name, date, version
 *           ERR_CLOSED     the connection ended before the answer was whole
 *           ERR_LIMIT      head or body too large
 *           ERR_PROTOCOL   not an HTTP/1.1 response; one in a coding that was not asked for
 *           ERR_CONFIG     a field that may not be sent (fetch_field_check)
 *           and whatever the request's source returned.
 *           A status is not an error, whatever it is: 3xx and 5xx are answers.
 *
 * Never     Redirects, proxies, cookies, decompression, credentials from files or the environment,
 *           name look-ups by the library, HTTP/0.9.
 * Again     A connection that was kept may be closed by the other side just when we use it. When
 *           one fails before the first line of an answer is whole, the request is sent once more,
 *           over a fresh connection, within the same deadline; never after a fresh one failed.
 * Simulated There are no sockets there: the scenario answers, its sim_service("fetch") is a struct
 *           fetch_sim. Turns, fields and response_max hold there too.
 */
#pragma once

#include "base/date.h"
#include "http/target.h"

struct fetch_pool;
struct fetch_request;
struct fetch_answer;

/* Addresses of a host, in the order to be tried; ERR_DNS (may pass), ERR_NO_NAME, with *why. */
typedef struct err fetch_names_fn(void *ctx, struct str host, struct arena *a, struct addr **ret,
                                  size_t *count, struct buf *why, struct when by);
struct fetch_names {
    fetch_names_fn *fn; /* NULL: only addresses in text and local sockets can be called */
    void *ctx;
};

/* What answers instead of the network: runs in the caller's fiber, may wait (latency), and fills
 * *ret from the arena, or says one of the errors above. */
typedef struct err fetch_sim_fn(void *ctx, const struct fetch_request *r, struct arena *a,
                                struct fetch_answer *ret, struct buf *why, struct when by);
struct fetch_sim {
    fetch_sim_fn *fn;
    void *ctx;
};

/* Gives the authorities of a trust to an SSL_CTX: tls_trust_give. A trust that is shared saves each
 * pool the reading (30 ms) and keeping (1.2 MiB) of the system's bundle. */
struct fetch_trust {
    void (*give)(void *trust, void *ssl_ctx);
    void *trust; /* stays as long as the pool */
};

/* All texts are copied. */
struct fetch_pool_options {
    unsigned connections_max;
    int64_t idle_ms;             /* how long an idle connection is kept; about */
    struct fetch_trust trust;    /* give NULL: ca_file */
    struct str ca_file;          /* PEM bundle; empty: the system's */
    struct str certificate, key; /* PEM, to show to the other side; empty: none */
    bool allow_invalid_certs;    /* encrypts with whoever answers */
    struct str socket;           /* a local (Unix) socket, instead of the target's address */
    struct fetch_names names;
    struct fetch_sim sim; /* fn: in any world */
};

/* ERR_CONFIG with a line in *why that names the file. Reads files: call it when nothing waits. */
struct err fetch_pool_new(const struct fetch_pool_options *options, struct fetch_pool **ret,
                          struct buf *why);
/* When all calls have returned. */
void fetch_pool_free(struct fetch_pool *p, struct when by);

/* For the census and metrics. */
struct fetch_counts {
    unsigned calls, waiting;           /* now: under way, and before their turn */
    uint64_t sent, sent_again, opened; /* requests, those sent once more, connections */
};
struct fetch_counts fetch_pool_counts(const struct fetch_pool *p);

/* A body in pieces, so that a large one is never held whole. */
struct fetch_source {
    uint64_t length; /* FETCH_LENGTH_UNKNOWN: it is sent chunked */
    /* The next piece: a view that stays in place until the next call; empty: the end. May wait. */
    struct err (*next)(void *ctx, struct str *ret, struct when by);
    void (*rewind)(void *ctx); /* from the beginning again */
    void *ctx;
};

#define FETCH_LENGTH_UNKNOWN UINT64_MAX

struct fetch_request {
    struct str method; /* "POST": capitals */
    const struct fetch_target *target;
    const struct fetch_field *fields;
    size_t field_count;
    struct str body;
    const struct fetch_source *source; /* instead of `body` */
    size_t response_max;
};

struct fetch_answer {
    int status;              /* 200..599 */
    struct str content_type; /* as sent; empty: none */
    struct str retry_after;
    struct str head; /* its fields, "Name: value" CRLF each */
    struct str body;
    bool was_sent_again;
};

struct err fetch(struct fetch_pool *p, const struct fetch_request *r, struct arena *a,
                 struct fetch_answer *ret, struct buf *why, struct when by);

/* The first field of that name; false when absent. A view into the head. */
bool fetch_answer_field(const struct fetch_answer *answer, struct str name, struct str *ret);

/* The whole body of a request, collected: for those who answer in simulations. */
struct err fetch_request_body(const struct fetch_request *r, struct arena *a, struct str *ret,
                              struct when by);
