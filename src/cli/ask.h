/*
 * ask: a question of the command line to the running server, through its local socket.
 *
 * Source    docs/api.md.
 * Owns      Answers live in the caller's arena.
 * Limits    ASK_BYTES_MAX of answer.
 * Errors    Said on standard error, with what to do; the result is the exit code: 75 when nobody
 *           answers, 1 when the server refuses. *ret is written on EXIT_DONE only.
 */
#pragma once

#include "base/arena.h"
#include "base/date.h"
#include "cli/command.h"

enum { ASK_BYTES_MAX = 64 * 1024 * 1024, ASK_MS = 180000 };

struct ask {
    const char *command; /* who says what goes wrong */
    struct str socket;
    const char *method;
    struct str target;
    struct str body; /* JSON, or empty */
    bool takes_all;  /* refusals are answers too: the caller looks at status */
    int status;      /* of HTTP */
    int64_t ms;      /* how long the whole may take; 0: ASK_MS */
    /* When set, called with each piece of the answer as it comes; then *ret is empty. */
    struct err (*piece)(void *ctx, struct str bytes);
    void *ctx;
};

/* The socket of the configuration; false, said, when there is none. */
bool ask_socket(const char *command, const struct config *cfg, struct arena *a, struct str *ret);
/* On a fiber. */
enum cli_exit ask(struct ask *q, struct arena *a, struct str *ret, struct when by);
/* The same outside of any loop. */
enum cli_exit ask_alone(struct ask *q, struct arena *a, struct str *ret);
/* The text of {"error": "..."}, or the whole when it is none. */
struct str ask_error(struct str body, struct arena *a);
/* Why the socket could not be asked. */
enum cli_exit ask_failed(const struct ask *q, struct err e);
