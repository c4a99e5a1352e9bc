/*
 * text: words of strangers put where a line of a header or of a report is written.
 *
 * Source    RFC 5322 section 2.2 and 3.2.2 (what may stand in a field and in a comment), RFC 6532.
 * Owns      Nothing.
 * Limits    None: callers cut first (str_head).
 * Errors    None: what may not stand is replaced, so that no text can end the line it stands in.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>

/* Control bytes become blanks, bytes over 127 '?' unless `utf8` and all of s is well-formed. */
void text_put(struct buf *out, struct str s, bool utf8);
/* The same inside of a comment or quoted string: brackets, quotes and backslashes become '?' too.
 */
void text_put_quoted(struct buf *out, struct str s, bool utf8);
/* A name on the wire, domain or literal: anything but letters, digits and ".-_:[]" becomes '?'. */
void text_put_host(struct buf *out, struct str s);
