/*
 * serve: an HTTP server for the admin interface; libmicrohttpd stays behind this header.
 *
 * Source    RFC 9110, RFC 9112 (HTTP/1.1, keep-alive).
 * Owns      A server belongs to the loop that opened it; handlers run there, one fiber a request,
 *           and may wait. A request and its answer live until the handler has returned. The routes
 *           must stay as long as the server.
 * Limits    Body of HTTP_BODY_MAX bytes, then 413; head of 32 KiB, then 431; HTTP_CONNECTIONS_MAX
 *           connections; HTTP_HANDLERS_MAX handlers at once, then 503; 30 s of silence, or
 *           HTTP_REQUEST_MS for a whole body, ends a connection.
 * Errors    http_server_open: ERR_CONFIG with a line in *why. http_push: ERR_CLOSED when the client
 *           has gone.
 *
 * 404, 405 (with Allow) and errors of syntax are answered here, as {"error": "…"}. HEAD goes to
 * GET's handler.
 */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

enum {
    HTTP_BODY_MAX = 1024 * 1024,
    HTTP_CONNECTIONS_MAX = 256,
    HTTP_HANDLERS_MAX = 128,
    HTTP_REQUEST_MS = 60000,
    HTTP_PARTS_MAX = 4,
    HTTP_UNSENT_MAX = 256 * 1024, /* of a pushed body */
};

struct http_request {
    const char *method;
    struct str path;                  /* as sent, without the query */
    struct str parts[HTTP_PARTS_MAX]; /* what the pattern's stars stand for, decoded */
    struct str body;
    struct addr remote;  /* family 0: through the local socket */
    void *ctx;           /* the server's */
    struct arena *arena; /* ends with the request */
};

/* 200, application/json and empty, until the handler says otherwise. */
struct http_answer {
    int status;
    const char *type;
    struct buf body;
};

/* `by`: when the handler should have answered. */
typedef void http_handler_fn(const struct http_request *r, struct http_answer *answer,
                             struct when by);

/* path: "/api/v1/messages/" and "*" for one part that is not empty, or at the end "**" for all the
 * rest, empty or not. The first row that fits serves. */
struct http_route {
    const char *method, *path;
    http_handler_fn *fn;
};

struct http_server_options {
    const struct addr *bind; /* TCP */
    size_t bind_count;
    struct str socket;    /* empty: none */
    unsigned socket_mode; /* 0600, 0660 */
    const struct http_route *routes;
    size_t route_count;
    void *ctx;
    int64_t handler_ms; /* for `by` */
};

struct http_server;

struct err http_server_open(const struct http_server_options *options, struct http_server **ret,
                            struct buf *why);
/* Where it really listens, in the order of `bind`. */
struct addr http_server_addr(const struct http_server *s, size_t index);
/* Listens no more, cancels the handlers that run, and waits for them. */
void http_server_close(struct http_server *s, struct when by);

/* A field of the request's head; of the query, decoded. False when absent. */
bool http_header(const struct http_request *r, const char *name, struct str *ret);
bool http_query(const struct http_request *r, const char *name, struct str *ret);

/* A further field of the answer's head. */
void http_answer_header(struct http_answer *a, const char *name, const char *value);
/* Status and {"error": "…"}. */
void http_answer_error(struct http_answer *a, int status, struct str text);
/* Sends a piece of the body at once, and with the first piece the head. Waits while the client is
 * HTTP_UNSENT_MAX bytes behind. Whether the client has gone is noticed by pushing only: a handler
 * that has nothing to say pushes an empty line from time to time. */
struct err http_push(struct http_answer *a, struct str bytes, struct when by);
