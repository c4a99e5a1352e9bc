/*
 * insert: the one large thing of a request (a body, or a whole message) as it stands in the
 * request's text, made piece by piece. Pure.
 *
 * Source    RFC 8259 section 7 (JSON strings), RFC 4648 section 4 (base64). Bytes that are no UTF-8
 *           become U+FFFD, one for each longest run that could have begun a character, as Unicode
 *           recommends (chapter 3.9) and Rust and Python do.
 * Owns      Nothing; output is appended to the caller's buf. A zeroed struct is ready.
 * Limits    One byte in gives at most six out; up to three bytes are kept from one piece to the
 *           next.
 */
#pragma once

#include "base/buf.h"
#include "hooks/dialect.h"

#include <stdbool.h>

struct inserter {
    char kept[4]; /* the beginning of a character, or of a group of three */
    uint8_t kept_count;
};

/* `in` as the next piece of what `how` says; HOOK_INSERT_CBOR_MESSAGE leaves bytes as they are. */
void insert_add(struct inserter *i, enum hook_insert how, struct str in, struct buf *out);
/* There is no more. */
void insert_end(struct inserter *i, enum hook_insert how, struct buf *out);

/* The header section of a view as bytes, with its empty line if it has one: `whole` of the fields
 * that have it, else name, colon, a space unless the value begins with a blank, and the value. */
void insert_header(const struct hook_view *view, struct buf *out);
