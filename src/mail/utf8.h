/*
 * utf8: text made of what strangers call text, and text put where only ASCII may stand.
 *
 * Source    Unicode 15 section 3.9 (U+FFFD for each maximal part that is ill-formed); RFC 2047.
 * Owns      Nothing.
 * Errors    None.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/* How many bytes at the start of `s`, which is not empty, are one character; 0: none is there, and
 * *bad bytes belong together as one fault. */
size_t utf8_next(struct str s, size_t *bad);
/* Appends s; faults and NUL, which many readers of JSON refuse, become U+FFFD. */
void utf8_put(struct buf *out, struct str s);
/* The same as a str: s itself when there is nothing to replace. */
struct str utf8_clean(struct arena *a, struct str s);
/* The text of an unstructured field: as it is when all is ASCII, else words of RFC 2047 in UTF-8,
 * on lines of at most 76 bytes; `s` is well-formed. */
void utf8_put_encoded_words(struct buf *out, struct str s);
