/*
 * client: our side of a conversation with the next host, SMTP or LMTP, as straight lines over a
 * stream. It knows the protocol and no policy: what a refusal means for a recipient, and who is
 * asked next, is decided in delivery/.
 *
 * Source    RFC 5321; RFC 2033 (LMTP), 2920 (PIPELINING), 1870 (SIZE), 6152 (8BITMIME), 6531
 *           (SMTPUTF8), 3030 (CHUNKING, BINARYMIME), 3207 (STARTTLS), 3461 (DSN), 4954 (AUTH), 9422
 *           (LIMITS).
 * Owns      Its buffers, until client_done. Neither the stream nor any text given to it. `said`
 *           lives until the next reply is read; what client_send keeps of replies is in the arena
 *           of the mail.
 * Limits    Those of reply.h; content passes in pieces, never whole when large.
 * Errors    The stream's, and ERR_PROTOCOL with `fault` in words; then the connection is of no more
 *           use (`over`). A refusal is no error: `said` and `stage`, or the fates of recipients.
 *
 * 1. Commands of a burst are written at once where PIPELINING was offered; replies are read in
 *    order.
 * 2. Nothing is said that was not offered, and nothing that the sender did not say (PY-44).
 * 3. Content whose end must not be reached (it cannot be read, nobody wanted it but DATA was
 *    allowed) is cut by closing: no end of data, nor the last octet of a chunk, is ever sent by way
 *    of giving up.
 * 4. A recipient's own answer is never overwritten by one for all (PY-07).
 * 5. A reply that nobody asked for means that both sides no longer speak of the same thing. Nothing
 *    is said after one; and a recipient is taken only by a reply that can be no other's. 503 says
 *    the same from the other end: it speaks of the conversation, not of a recipient, and ends it.
 */
#pragma once

#include "base/arena.h"
#include "smtp/reply.h"

struct stream;

/* What the peer offered. */
enum {
    CLIENT_PIPELINING = 1,
    CLIENT_SIZE = 2,
    CLIENT_8BITMIME = 4,
    CLIENT_BINARYMIME = 8,
    CLIENT_CHUNKING = 16,
    CLIENT_SMTPUTF8 = 32,
    CLIENT_DSN = 64,
    CLIENT_STARTTLS = 128,
    CLIENT_EXTENDED = 256, /* it understood EHLO or LHLO */
    CLIENT_DELIVERBY = 512,
    CLIENT_MT_PRIORITY = 1024
};

enum client_mechanism {
#define MECHANISM(name, key, fn) CLIENT_AUTH_##key,
#include "smtp/mechanisms.def"
#undef MECHANISM
    CLIENT_MECHANISMS
};

enum client_stage {
    CLIENT_AT_CONNECT,
    CLIENT_AT_GREETING,
    CLIENT_AT_EHLO,
    CLIENT_AT_STARTTLS,
    CLIENT_AT_AUTH,
    CLIENT_AT_MAIL,
    CLIENT_AT_RCPT,
    CLIENT_AT_DATA, /* DATA itself */
    CLIENT_AT_END,  /* the content, and the reply to its end */
    CLIENT_STAGES
};
const char *client_stage_name(enum client_stage stage); /* "MAIL" */

struct client_times {
    int64_t greeting_ms, ehlo_ms, mail_ms, rcpt_ms;
    int64_t data_ms; /* for DATA, for each piece of content, and for the reply to its end */
};

struct client {
    struct stream *stream;
    struct str helo;
    bool lmtp;
    struct client_times times;

    /* For the owner to read. */
    unsigned offers;
    unsigned mechanisms;  /* set of 1 << enum client_mechanism: offered, and known to us */
    uint64_t size_max;    /* 0: none told */
    uint64_t by_s_min;    /* of DELIVERBY; 0: none told */
    uint32_t rcpts_max;   /* RCPTMAX of LIMITS; 0: none told */
    uint32_t mails_max;   /* MAILMAX: transactions of a connection */
    uint32_t domains_max; /* RCPTDOMAINMAX: domains of the recipients of one transaction */
    bool spent;           /* MAILMAX was reached: no more transactions */
    bool over;            /* nothing more may be said but a farewell */
    struct reply said;
    enum client_stage stage;
    const char *fault;  /* of ERR_PROTOCOL */
    int64_t slowest_ns; /* longest single wait since it was last set to 0 */
    uint32_t replies;   /* heard so far */
    uint32_t delivered; /* recipients that were taken */
    uint32_t mails;     /* transactions begun */

    /* The conversation's own. */
    struct reply_parser parser;
    struct buf out, body;
    bool needs_reset;
};

/* Fill stream, helo, lmtp and times of a zeroed struct client first. Reads the greeting and says
 * EHLO (HELO where that is not understood) or LHLO. *ret false: refused. */
struct err client_greet(struct client *c, bool *ret, struct when by);
/* EHLO alone: after TLS. What was offered before is forgotten. */
struct err client_hello(struct client *c, bool *ret, struct when by);
/* *ret true: the handshake may begin (tls_connect on the stream, then client_hello). */
struct err client_starttls(struct client *c, bool *ret, struct when by);

/* Who we are, where c->mechanisms is not empty. *ret false: refused, the last answer is in `said`.
 * Whether the connection is safe enough for a password is the caller's to know. */
struct err client_auth(struct client *c, struct str user, struct str secret, bool *ret,
                       struct when by);

enum { CLIENT_OUT_OF_STEP = 503 }; /* "bad sequence of commands" */

enum client_fate {
    CLIENT_OPEN,    /* no answer */
    CLIENT_GOOD,    /* RCPT was accepted, the end of data is not answered */
    CLIENT_TAKEN,   /* delivered */
    CLIENT_REFUSED, /* code, esc, text and stage say why */
    CLIENT_LATER    /* too many for this transaction: put it in another */
};

struct client_rcpt {
    struct str address, orcpt;
    uint8_t notify;
    enum client_fate fate;
    enum client_stage stage;
    uint16_t code;
    struct enhanced esc;
    struct str text; /* one line */
};

struct client_mail {
    struct str sender, envid;
    enum dsn_ret ret;
    enum body_class body;
    bool smtputf8;
    int8_t priority;
    enum by_mode by;
    bool by_trace;
    int64_t by_s; /* left now, when by is not BY_NONE */
    bool hasty;   /* a small content may leave before RCPT is answered: only where the connection is
                     known to be alive */
    uint64_t size;
    /* A run of content from offset on, at least one byte; valid until the next call. */
    struct err (*content)(void *ctx, uint64_t offset, struct str *ret, struct when by);
    void *ctx;
    struct client_rcpt *to; /* all CLIENT_OPEN */
    uint32_t to_count;
    struct arena *arena;

    /* Answers. */
    bool accepted; /* MAIL was */
    bool sent;     /* the end of data was given to the stream: without a reply it may be taken */
};

/* What the peer would need for this mail and did not offer. */
enum client_lack {
    CLIENT_LACKS_NOTHING,
    CLIENT_LACKS_BINARY,
    CLIENT_LACKS_8BIT,
    CLIENT_LACKS_UTF8,
    CLIENT_LACKS_SIZE,
    CLIENT_LACKS_TIME /* it does not promise DELIVERY by then: RFC 2852 forbids mode R to go on */
};
enum client_lack client_lacks(const struct client *c, const struct client_mail *m,
                              bool utf8_headers);

/* One transaction. On an error recipients that are OPEN or GOOD have no answer. */
struct err client_send(struct client *c, struct client_mail *m, struct when by);
/* Whether an idle connection is still of use: the peer neither closed nor spoke. */
bool client_is_quiet(struct client *c);
/* QUIT where it may be said; never waits. The stream is then closed by its owner. */
void client_quit(struct client *c);
/* The buffers of an idle connection are given back; it stays usable. */
void client_rest(struct client *c);
void client_done(struct client *c);
