/*
 * content: the bytes of a message as they cross the wire: dots removed on the way in, put back on
 * the way out, and what class of content they are. All three work on chunks cut anywhere.
 *
 * Source    RFC 5321 sections 4.5.2 (dots), 2.3.8 and 4.1.1.4 (CRLF only), 4.5.3.1.6 (998 octets);
 *           RFC 6152 and RFC 3030 (classes).
 * Owns      Nothing; output is appended to the caller's buf.
 * Limits    None here: the caller's buf may have one, and the caller counts what came in.
 * Errors    None. Bytes cannot be wrong, only of class BODY_BINARY.
 *
 * A line ends with CR LF and with nothing else. So CR LF . CR LF is the only end of data, and a
 * lone CR or LF beside a dot is content like any other: two programs that disagree about this are
 * how mail is smuggled. Whoever takes content by DATA refuses BODY_BINARY afterwards.
 *
 * Zeroed structs are ready to start; the first byte stands at the start of a line.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "mail/envelope.h"

#include <stdbool.h>
#include <stdint.h>

enum { CONTENT_LINE_BYTES_MAX = 998 }; /* without its CR LF */

enum unstuff_state {
    UNSTUFF_LINE, /* at the start of a line */
    UNSTUFF_TEXT,
    UNSTUFF_CR,
    UNSTUFF_DOT, /* a line's first dot was seen and is not content, whatever comes */
    UNSTUFF_DOT_CR,
    UNSTUFF_END
};

struct unstuff {
    enum unstuff_state state;
};

/* Appends the content in `in` to out; *used becomes how much of `in` was looked at. True when the
 * end of data was reached: then what follows in `in` is not part of the message. */
bool unstuff(struct unstuff *u, struct str in, struct buf *out, size_t *used);

struct stuff {
    bool in_line, after_cr; /* in_line: not at the start of a line */
    bool final_crlf_added;  /* by stuff_end: the content did not end with CR LF */
};

/* Appends content for DATA, dots doubled at the start of lines. */
void stuff(struct stuff *s, struct str in, struct buf *out);
/* Ends the content: a missing final CR LF, then the dot and its CR LF. */
void stuff_end(struct stuff *s, struct buf *out);

struct content {
    uint64_t bytes;
    uint32_t line_bytes;              /* of the unfinished line */
    bool has_8bit, has_nul, has_bare; /* bare: a CR without LF or a LF without CR, so far */
    bool has_long_line;
    bool ends_line; /* what was added last is CR LF; false of nothing */
    char last;      /* byte seen, 0 before the first */
};

/* Looks at content, unstuffed, piece by piece. */
void content_add(struct content *c, struct str in);
/* Of all that was added, as if it ended here. */
enum body_class content_class(const struct content *c);
