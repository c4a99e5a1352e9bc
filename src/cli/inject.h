/*
 * inject: gives one message to the running server, over SMTP, as `send` and `sendmail` do.
 *
 * Source    RFC 5321; design section 10 (the first loopback listener).
 * Owns      Answers live in the caller's arena.
 * Limits    The server's.
 * Errors    Said on standard error; the result is the exit code: 75 when the server is not there or
 *           refuses for now, 1 when it refuses for good. Recipients it takes are sent to even when
 *           it refuses others.
 */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "base/date.h"
#include "cli/command.h"

struct injection {
    const char *command; /* who says what goes wrong */
    struct addr server;
    struct str sender;
    struct words to;
    struct str content; /* with CR LF */
    struct arena *arena;

    /* Answers. */
    uint32_t taken;   /* recipients */
    struct words ids; /* what the server calls the message: more than one when it was split */
};

/* The first listener's first address on this machine. False, said, when there is none. */
bool inject_server(const char *command, const struct config *cfg, struct addr *ret);
/* Every address of the injection is one; else said. */
bool inject_check(const struct injection *in);
/* On a fiber. */
enum cli_exit inject(struct injection *in, struct when by);
/* The same outside of any loop. */
enum cli_exit inject_alone(struct injection *in);
/* The last word of "Ok: queued as 0123456789abcdef"; empty when it is no id. */
struct str inject_id(struct str reply);
/* All of a file, or of standard input when `path` is empty or "-". False: said. */
bool read_all(const char *command, struct str path, struct buf *out);
/* Who we are: user and host, "ann@mx.example.org"; *host is its second part. */
struct str local_user(const struct config *cfg, struct arena *a, struct str *host);
