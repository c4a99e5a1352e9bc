/*
 * mime: what is inside of a message, for those who ask to see it taken apart; GMime stays behind
 * this header.
 *
 * Source    RFC 2045 to 2047, 2183, 2231, 5322; the shape is that of RFC 8621 section 4, which does
 *           not descend into attached messages.
 * Owns      All of the result lives in the arena given.
 * Limits    MIME_BYTES_MAX for the message, MIME_PARTS_MAX for what announces itself as a part,
 *           MIME_DEPTH_MAX for parts in parts, MIME_PART_HEADERS_MAX and MIME_HEADERS_MAX for fields,
 *           MIME_CONTENT_BYTES_MAX for all contents decoded.
 * Errors    ERR_LIMIT; mail itself is never wrong here: what cannot be understood is shown as text.
 *
 * All texts are well-formed UTF-8 without NUL. A view is for reading: GMime normalises, so a
 * message is never written again from what is here.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MIME_BYTES_MAX = 8 * 1024 * 1024,
    MIME_CONTENT_BYTES_MAX = 16 * 1024 * 1024, /* texts count twice: as bytes and as UTF-8 */
    MIME_PARTS_MAX = 400,
    MIME_DEPTH_MAX = 32,
    MIME_PART_HEADERS_MAX = 1000,
    MIME_HEADERS_MAX = 20 * 1000 /* of all parts */
};

struct mime_texts {
    struct str *items;
    uint32_t count;
};

struct mime_address {
    struct str name, email; /* name: empty: none */
};

struct mime_addresses {
    struct mime_address *items;
    uint32_t count;
};

struct mime_header {
    struct str name, value; /* value: raw, behind the colon */
};

struct mime_part {
    struct str id; /* "1", "2", ...; empty: a multipart */
    struct str type, charset, disposition, cid, location, name;
    struct mime_texts language;
    struct mime_header *headers;
    uint32_t header_count;
    struct str content; /* decoded */
    struct str text;    /* of text: in UTF-8 */
    bool is_text, has_problem;
    struct mime_part *parts;
    uint32_t part_count;
};

struct mime_message {
    struct mime_texts message_id, in_reply_to, references;
    struct str subject, sent_at; /* sent_at: RFC 3339, with the offset it was written with */
    bool has_subject;
    struct mime_addresses sender, from, to, cc, bcc, reply_to;
    struct mime_part root;
};

/* Uses the big stack; does not suspend. */
struct err mime_parse(struct str message, struct arena *a, struct mime_message *ret);
