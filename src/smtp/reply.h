/*
 * reply: read one SMTP reply, of one line or many, from the server we speak to as a client.
 *
 * Source    RFC 5321 sections 4.2 and 4.5.3.1.5; enhanced codes RFC 2034 and RFC 3463.
 * Owns      A parser owns the text of the latest reply, until the next one begins or
 *           reply_parser_done. A zeroed parser is ready.
 * Limits    REPLY_LINE_BYTES_MAX a line with its end, REPLY_LINES_MAX lines: beyond either the
 *           reply is bad. Of the text REPLY_TEXT_BYTES_MAX are kept, whole lines.
 * Errors    reply_parse: REPLY_BAD, and why in `fault`. reply_read: ERR_PROTOCOL for that, else the
 *           stream's. *ret is written only on success.
 *
 * A line may end with LF alone: here, unlike in content, nobody reads meaning into the difference.
 * Lines of one reply must agree in their code. An enhanced code counts only when its class is the
 * code's first digit. Control bytes, and bytes over 127 that are not UTF-8, become '?': the text
 * goes into logs and reports.
 */
#pragma once

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "mail/envelope.h"

#include <stdbool.h>
#include <stdint.h>

struct stream;

enum { REPLY_LINE_BYTES_MAX = 2048, REPLY_LINES_MAX = 512, REPLY_TEXT_BYTES_MAX = 8192 };

struct reply {
    uint16_t code;       /* 200..599 */
    struct enhanced esc; /* class 0: the peer sent none */
    struct str text;     /* lines joined by '\n', codes removed */
};

struct reply_parser {
    struct buf text;
    uint16_t code;
    struct enhanced esc;
    uint32_t lines;    /* of the reply in hand */
    bool is_whole;     /* the latest reply is complete: the next byte begins another */
    const char *fault; /* what was wrong, in words */
};

enum reply_state { REPLY_PART, REPLY_WHOLE, REPLY_BAD };

/* Looks at what stands in the read buffer; *used of it belong to the reply and may be taken, also
 * when more is needed. */
enum reply_state reply_parse(struct reply_parser *p, struct str in, size_t *used,
                             struct reply *ret);
void reply_parser_done(struct reply_parser *p);

/* `what` is for the census: "reply to MAIL". */
struct err reply_read(struct reply_parser *p, struct stream *s, const char *what, struct reply *ret,
                      struct when by);

/* Whether the code's first digit is this one. */
static inline bool reply_is(const struct reply *r, unsigned digit)
{
    return r->code / 100u == digit;
}
