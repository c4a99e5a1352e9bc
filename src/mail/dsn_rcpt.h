/*
 * dsn_rcpt: what a notification says of each recipient, to people and to programs; dsn.h uses it.
 *
 * Source    RFC 3464 section 2.3, RFC 6533 section 3, RFC 3463.
 * Owns      Nothing; lines with CR LF are appended to the caller's buf.
 * Limits    Lines stay under 998 octets.
 * Errors    None.
 */
#pragma once

#include "base/buf.h"
#include "mail/dsn.h"

#include <stdbool.h>

/* All recipients that are owed something: headed blocks, in the order delivered, relayed, delayed,
 * failed. */
void dsn_put_people(struct buf *out, const struct dsn *d, bool utf8);
/* The fields of one recipient, after the empty line that sets it off. */
void dsn_put_fields(struct buf *out, const struct dsn *d, const struct recipient *r, bool utf8);
