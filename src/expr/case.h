/*
 * case: characters of UTF-8 text and their capitals.
 *
 * Source    RFC 3629; simple case pairs of the Unicode character database (case.def).
 * Owns      Nothing.
 * Errors    None: a byte that starts no well-formed character counts as one character by itself
 *           and has no case.
 */
#pragma once

#include "base/str.h"

/* The first character of s (not empty): its code, and how many bytes it takes. */
uint32_t char_first(struct str s, size_t *bytes);
/* Writes a character's bytes; how many. */
size_t char_put(uint32_t code, char at[4]);
uint32_t char_lower(uint32_t code);
uint32_t char_upper(uint32_t code);
