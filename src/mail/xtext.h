/*
 * xtext: text in ESMTP parameters where only some ASCII may stand.
 *
 * Source    RFC 3461 section 4 (xtext: "+3D"), RFC 6533 section 3 (utf-8-addr-xtext and
 *           utf-8-addr-unitext: "\x{3D}").
 * Owns      Nothing. Decoded text lives in the caller's arena.
 * Limits    None: callers limit what they decode and what came out.
 * Errors    Decoding answers false on anything malformed. Decoded text may hold any byte that was
 *           encoded, control bytes too: who puts it in a header looks first (text_is_printable).
 *
 * Hexadecimal digits are taken in both cases, though the grammar of xtext has capitals only: they
 * mean nothing else, and clients write them.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>

bool xtext_decode(struct str in, struct arena *a, struct str *ret);
void xtext_encode(struct buf *out, struct str in);

/* The address after "utf-8;". With `raw`, bytes over 127 may stand for themselves (unitext: only
 * where SMTPUTF8 was negotiated). What comes out is well-formed UTF-8 without NUL. */
bool utf8_addr_decode(struct str in, bool raw, struct arena *a, struct str *ret);
/* in must be well-formed UTF-8. */
void utf8_addr_encode(struct buf *out, struct str in, bool raw);

/* Neither control bytes nor, without `utf8`, bytes over 127; with it, well-formed UTF-8. */
bool text_is_printable(struct str s, bool utf8);
