/*
 * base64: bytes as text and back.
 *
 * Source    RFC 4648 section 4: with padding, without line breaks.
 * Owns      Nothing.
 * Errors    base64_decode: false for anything but whole, padded groups of the alphabet whose unused
 *           bits are zero; *out may then hold a beginning.
 */
#pragma once

#include "base/buf.h"

void base64_encode(struct buf *out, struct str bytes);
bool base64_decode(struct buf *out, struct str text);
