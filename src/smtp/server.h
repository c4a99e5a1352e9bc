/*
 * server: the server's side of an SMTP conversation, top to bottom over a stream. It knows the
 * protocol and no policy: who may send what to whom it asks through struct server_asks.
 *
 * Source    RFC 5321; RFC 2920 (PIPELINING), 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8), 3030
 *           (CHUNKING, BINARYMIME), 2034 (enhanced status), 3461 (DSN), 3207 (STARTTLS), 4865
 *           (FUTURERELEASE), 2852 (DELIVERBY), 6710 (MT-PRIORITY).
 * Owns      Its scratch memory, until server_done. Not the stream, the options' texts, or ctx.
 * Limits    struct server_options. A content is handed over in pieces of SERVER_PIECE_MAX bytes, so
 *           a message is never held whole here.
 * Errors    What ended the conversation: OK when either side said goodbye in due form, else the
 *           stream's error, when whatever could still be said (421) was said.
 *
 * 1. Replies gather in the stream and go out when the client has nothing more to be read.
 * 2. What stood before STARTTLS is forgotten; bytes sent behind it end the session.
 * 3. A command that is not a line in due form is answered and never acted upon.
 * 4. Content ends at CR LF . CR LF, or at the octet that BDAT announced, and nowhere else.
 * 5. After a refusal the rest of the content is read and thrown away, then the refusal is said.
 * 6. Where content might be taken for commands (BDAT without a size, a refused DATA with bytes
 *    behind it) the session ends.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "mail/content.h"
#include "mail/params.h"
#include "smtp/answer.h"
#include "smtp/command.h"

#include <stdbool.h>
#include <stdint.h>

struct stream;
struct tls_server;

enum { SERVER_PIECE_MAX = 16 * 1024, SERVER_NAME_BYTES_MAX = 255 };

/* The questions. Each answer is preset to yes; the asked one changes it to say no, or to say more.
 * After `more` or `end` said no the transaction is over. `ctx` is the asked one's own. */
struct server_asks {
    /* A client is there: greet it? */
    void (*connect)(void *ctx, struct answer *ret, struct when by);
    /* It has named itself. When that is not taken, the name it had before stays, if any. */
    void (*helo)(void *ctx, struct str name, bool extended, struct answer *ret, struct when by);
    /* TLS is active (OK), or could not be had. */
    void (*tls)(void *ctx, struct err e);
    /* MAIL, parsed; SIZE=, HOLDFOR= and the like are within the options. Options may be changed
     * here. */
    void (*mail)(void *ctx, const struct mail_args *mail, struct answer *ret, struct when by);
    void (*rcpt)(void *ctx, const struct rcpt_args *rcpt, struct answer *ret, struct when by);
    /* Content is about to come: where to? NULL when *ret says no. */
    struct buf *(*data)(void *ctx, struct answer *ret, struct when by);
    /* At most SERVER_PIECE_MAX bytes were appended; where shall the next go? NULL as above. */
    struct buf *(*more)(void *ctx, struct answer *ret, struct when by);
    /* All of it is there. A good answer promises that it is on stable storage. */
    void (*end)(void *ctx, const struct content *content, struct answer *ret, struct when by);
    /* The transaction is over or given up; also without one. */
    void (*reset)(void *ctx);
    /* An answer of 400 or more was given; for the log. */
    void (*refused)(void *ctx, enum command command, const struct answer *a);
};

struct server_options {
    struct str hostname;
    struct tls_server *tls; /* NULL: STARTTLS is not offered */
    uint64_t size_max;
    unsigned extensions;       /* of OFFER_FUTURERELEASE, _DELIVERBY, _MT_PRIORITY: offered */
    uint32_t hold_s_max;       /* FUTURERELEASE */
    uint32_t deliver_by_s_min; /* DELIVERBY in mode R; 0: none */
    uint32_t line_bytes_max;
    uint32_t errors_max;   /* commands that were no good */
    uint32_t refusals_max; /* refused senders and recipients */
    uint32_t commands_max; /* without a message accepted between them */
    int64_t idle_ms;       /* for a whole command */
    int64_t data_ms;       /* for the next bytes of content */
    int64_t message_ms;    /* for a whole content */
    int64_t ask_ms;        /* for a question */
};

enum server_phase {
    SERVER_IDLE,    /* waits for a command, no transaction open, nothing half said */
    SERVER_BUSY,    /* in a transaction, or in the middle of something short */
    SERVER_STORING, /* has the whole content and asks `end` */
    SERVER_OVER
};

enum server_bdat { BDAT_NONE, BDAT_OPEN, BDAT_FAILED };

struct server {
    struct stream *stream;
    const struct server_asks *asks;
    void *ctx;
    struct server_options options;
    bool stopping; /* set by the owner: say 421 as soon as no transaction is open */

    /* For the owner to read. */
    enum server_phase phase;
    bool greeted, extended, is_tls;
    struct str helo; /* what the client called itself */

    /* The conversation's own. */
    char helo_room[SERVER_NAME_BYTES_MAX + 1];
    unsigned extensions; /* as the last EHLO offered them */
    bool in_mail, binary_claimed, smtputf8, over;
    enum server_bdat bdat;
    uint32_t rcpts, errors, refusals, commands;
    struct buf *into; /* where content goes */
    bool discarding;  /* the content was refused */
    struct content content;
    struct when message_by;
    struct arena scratch; /* of one command */
    struct buf waste;     /* refused content passes through */
};

/* Fill stream, asks, ctx and options of a zeroed struct server first. */
struct err server_run(struct server *s, struct when by);
void server_done(struct server *s);
