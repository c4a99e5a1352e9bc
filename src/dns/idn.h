/*
 * idn: a domain in UTF-8 as the name servers know it.
 *
 * Source    RFC 5890 and 5891 (A-labels), UTS 46 (non-transitional); RFC 6531 section 3.7.1.
 * Owns      Nothing; the answer lives in the caller's arena.
 * Errors    False: the domain cannot be written in A-labels, so nobody can own it.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

#include <stdbool.h>

/* An ASCII domain is its own answer. libidn2 runs on the loop's big stack. */
bool idn_to_ascii(struct str domain, struct arena *a, struct str *ret);
