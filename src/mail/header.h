/*
 * header: the header section of a message: where it ends, what is in it, field by field. Nothing
 * here changes a byte.
 *
 * Source    RFC 5322 sections 2.1, 2.2 and 4.5; RFC 6532 (UTF-8 in fields); RFC 5321 section 6.3
 *           (loops, by counting Received).
 * Owns      Nothing. Fields are views into the caller's block.
 * Limits    None here: the scan tells sizes and counts, the caller compares. Of a line no more than
 *           its name is kept, so a scan is a few hundred bytes whatever comes.
 * Errors    None: malformed headers are described, not refused.
 *
 * A line ends with CR LF only, as everywhere. A field is a name of printable ASCII, a colon, the
 * value with its folded lines; blanks before the colon are borne (RFC 5322 section 4.5). The
 * section ends with the first empty line, which belongs to it; or before the first line that is
 * neither a field nor the continuation of one: such content has no separator and its body begins
 * there; or with the content itself. The scan and the walk agree on this, byte for byte.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum header_name {
#define HEADER_NAME(id, text) HEADER_##id,
#include "mail/header_names.def"
#undef HEADER_NAME
    HEADER_NAMES
};

struct str header_name(enum header_name n); /* "Message-ID" */

enum header_end {
    HEADER_OPEN, /* not ended yet */
    HEADER_EMPTY_LINE,
    HEADER_NO_FIELD /* a line that is no field came before an empty one */
};

enum { HEADER_NAME_BYTES_MAX = 40 }; /* of the names we look for, with room */

/* Zeroed: ready. */
struct header_scan {
    enum header_end end;
    uint64_t bytes; /* of the section: fields and, when there is one, the empty line */
    uint32_t fields;
    uint32_t line_bytes_longest; /* without CR LF */
    uint16_t counts[HEADER_NAMES];
    bool has_8bit;     /* not all ASCII */
    bool has_bad_utf8; /* of the whole section taken as one text */
    bool has_nul;
    bool has_bare; /* a CR or LF by itself */

    /* The rest is the scan's own. */
    uint8_t state, name_len;
    uint8_t utf8_more, utf8_low, utf8_high;
    uint32_t line_bytes;
    uint64_t seen; /* bytes, of which `bytes` are certain */
    char name[HEADER_NAME_BYTES_MAX];
};

/* Looks at the next piece of the content; does nothing once the end was found. True when it is
 * found: `bytes` is then its place, which may lie a line before the start of this piece. */
bool header_scan_add(struct header_scan *h, struct str in);
/* The content is over: what was seen of an unfinished last line is judged as if a line ended here.
 */
void header_scan_end(struct header_scan *h);

struct header_field {
    struct str whole; /* from the name to the CR LF that ends it */
    struct str name;
    struct str value; /* behind the colon: raw, folds inside, without the last CR LF */
    size_t at;        /* of whole, in the block */
};

/* A walk over a complete block, from offset `at` on: struct header_walk w = {block, 0}; */
struct header_walk {
    struct str block;
    size_t at; /* at the end of the walk: the length of the section */
};

bool header_next(struct header_walk *w, struct header_field *ret);
/* The first field of that name, ASCII case apart. */
bool header_find(struct str block, struct str name, struct header_field *ret);
/* Appends a raw value without its folds' CR LF, and without blanks at both ends. A CR or LF by
 * itself becomes a blank, so that the result never ends a line. */
void header_unfold(struct buf *out, struct str value);
