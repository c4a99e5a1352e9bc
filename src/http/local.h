/*
 * local: a question to a server on this machine, through its local (Unix) socket: how the command
 * line talks to the running server.
 *
 * Source    RFC 9110, RFC 9112: one request a connection.
 * Owns      The answer is copied into the arena.
 * Limits    Head of 16 KiB; a body of `body_max` bytes, unless it is taken piece by piece.
 * Errors    What stream_connect_path says (ERR_NETWORK with ENOENT or ECONNREFUSED: nobody is
 *           there), ERR_PROTOCOL, ERR_LIMIT (body), ERR_CLOSED (before the answer was whole), and
 *           whatever `piece` returned.
 */
#pragma once

#include "base/arena.h"
#include "base/date.h"
#include "base/err.h"
#include "base/str.h"

struct http_local {
    struct str socket;
    const char *method;
    struct str target; /* path and query, encoded (http_local_encode) */
    struct str type;   /* of the body; empty: none */
    struct str body;
    size_t body_max;
    /* When set, called with each piece of a 2xx body as it arrives; must not keep it. */
    struct err (*piece)(void *ctx, struct str bytes);
    void *ctx;
};

struct http_local_answer {
    int status;
    struct str type, body;
};

struct err http_local(const struct http_local *ask, struct arena *a, struct http_local_answer *ret,
                      struct when by);

/* s as one part of a path or one value of a query: all but letters, digits and "-._~" as %XX. */
struct str http_local_encode(struct str s, struct arena *a);
