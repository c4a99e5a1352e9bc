/*
 * answer: one reply of our server, and how it is written.
 *
 * Source    RFC 5321 section 4.2, RFC 2034, RFC 3463.
 * Owns      Nothing but the room for a formatted text; a struct answer is not copied, since its
 *           text may lie in that room.
 * Limits    A formatted text is cut at ANSWER_BYTES_MAX. Lines stay under the 512 octets of
 *           RFC 5321 section 4.5.3.1.5. What is not printable ASCII in it becomes '?': what a
 *           client said never breaks out of the line that quotes it, and replies are ASCII.
 * Errors    Those of the stream.
 */
#pragma once

#include "base/date.h"
#include "base/err.h"
#include "mail/envelope.h"
#include "mail/refusal.h"

#include <stdbool.h>
#include <stdint.h>

struct stream;

enum answer_row {
#define ANSWER(name, code, status, text) ANSWER_##name,
#include "smtp/answers.def"
#undef ANSWER
    ANSWER_COUNT
};

enum { ANSWER_BYTES_MAX = 400 };

struct answer {
    uint16_t code;
    struct enhanced esc; /* class 0: none */
    struct str text;
    bool close;     /* nothing follows this answer */
    bool by_policy; /* a refusal that is no fault of the command, whatever its code says */
    char room[ANSWER_BYTES_MAX];
};

void answer_fixed(struct answer *ret, enum answer_row row);
/* status: "2.0.0", or "" for none. */
void answer_format(struct answer *ret, uint16_t code, const char *status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What somebody else decided, in their words; it does not end the session by itself. */
void answer_quote(struct answer *ret, uint16_t code, struct enhanced esc, struct str text);
/* Why the argument of MAIL or RCPT was refused; culprit: the parameter at fault, or empty. */
void answer_refusal(struct answer *ret, enum refusal why, bool is_rcpt, struct str culprit);

static inline bool answer_is_good(const struct answer *a)
{
    return a->code < 400;
}

/* "5.1.1" into at; empty when there is none. */
enum { ENHANCED_BYTES = 16 };
struct str enhanced_print(struct enhanced esc, char at[ENHANCED_BYTES]);

/* The reply as one line with its end, into the stream's buffer. */
struct err answer_write(struct stream *s, const struct answer *a, struct when by);
/* The same for a farewell that cannot wait: into at, for stream_farewell and guest_refuse. */
enum { ANSWER_LINE_BYTES = ANSWER_BYTES_MAX + 32 };
struct str answer_line(const struct answer *a, char at[ANSWER_LINE_BYTES]);
