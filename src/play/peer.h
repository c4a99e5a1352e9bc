/*
 * peer: a destination that follows a script: the server's side of SMTP or LMTP for tests, written
 * to be lenient in what it takes and exact in what it keeps. Not for strangers: it relays nothing
 * and delivers nothing, and has no limits of patience.
 *
 * Source    RFC 5321; RFC 2033 (LMTP), 2920, 1870, 6152, 6531, 3030, 2034, 3461, 3207.
 * Owns      Nothing given to it. What a message is made of lives until `message` has returned.
 * Limits    PLAY_LINE_BYTES_MAX a command, PLAY_RCPTS_MAX recipients. Content is held whole only
 *           where somebody wants it (`message` is set).
 * Errors    Those of the stream; after an orderly end OK.
 *
 * A peer serves connections of one loop; its counts may be shared with peers on other loops.
 */
#pragma once

#include "base/addr.h"
#include "base/date.h"
#include "base/err.h"
#include "base/map.h"
#include "play/behaviour.h"

#include <stdatomic.h>

struct stream;
struct tls_server;

enum { PLAY_LINE_BYTES_MAX = 16 * 1024, PLAY_RCPTS_MAX = 100 * 1000 };

struct play_counts {
    _Atomic uint64_t connections, open, transactions; /* open: now; transactions: MAIL taken */
    _Atomic uint64_t messages, recipients, bytes;     /* taken, and answered so */
    _Atomic uint64_t refusals, drops, broken;         /* by the script */
    _Atomic uint64_t unanswered;                      /* taken, and the client was never told */
};

struct play_rcpt {
    struct str address, params; /* as they came, without brackets; params "NOTIFY=NEVER" */
    bool refused;               /* LMTP: by the answer after the content */
    struct play_rcpt *next;
};

struct play_message {
    struct str sender, params, helo;
    struct addr client, local;
    bool lmtp, tls, bdat;
    bool unanswered; /* the script drops the connection now */
    struct play_rcpt *to;
    uint32_t to_count;
    struct str content; /* exactly what came, dots removed */
    uint32_t crc32c;    /* of it */
};

struct play_peer {
    struct play_behaviour behaviour;
    struct str hostname;
    bool lmtp, implicit_tls;
    struct tls_server *tls; /* NULL: STARTTLS is not offered */
    struct play_counts *counts;
    /* A whole message is there; an error is said to the client (451). NULL: only counted. */
    struct err (*message)(void *ctx, const struct play_message *m, struct when by);
    void *ctx;
    /* What holds for a while: asked before the script at each stage. How long to wait first, and
     * what shows (NULL: the script decides). NULL: nothing but the script. */
    const struct play_rule *(*mood)(struct play_peer *p, enum play_stage stage, int64_t *wait_ms);
    struct map greylist; /* the peer's own */
};

/* One connection, from the greeting to its end; the caller closes the stream. */
struct err play_serve(struct play_peer *p, struct stream *s, struct when by);
void play_peer_done(struct play_peer *p);
