/*
 * address: the parts of an address by themselves: domains, address literals, local parts, the
 * argument of EHLO.
 *
 * Source    RFC 5321 sections 4.1.2, 4.1.3 and 4.5.3.1; RFC 6531 section 3.3 for UTF-8.
 * Owns      Nothing.
 * Limits    ADDRESS_*_BYTES_MAX below.
 * Errors    None: each check answers yes or no.
 *
 * With `utf8`, bytes over 127 are let through where RFC 6531 allows them; that they form UTF-8 the
 * caller has checked for the whole. Whether a U-label is a good one is a matter of IDNA, not ours.
 */
#pragma once

#include "base/addr.h"
#include "base/str.h"

#include <stdbool.h>

enum {
    ADDRESS_LOCAL_BYTES_MAX = 64,
    ADDRESS_DOMAIN_BYTES_MAX = 255,
    ADDRESS_LABEL_BYTES_MAX = 63,
    ADDRESS_PATH_BYTES_MAX = 256
};

/* Labels of letters, digits and inner hyphens, divided by dots; no dot at either end. */
bool domain_is_valid(struct str domain, bool utf8);
/* "[192.0.2.1]" or "[IPv6:2001:db8::1]". Other tags of RFC 5321 section 4.1.3 do not exist. */
bool literal_is_valid(struct str literal);
/* The same, and which address it is. */
bool literal_parse(struct str literal, struct addr *ret);
/* Dot-string or quoted string; length is checked too. */
bool local_is_valid(struct str local, bool utf8);
/*
 * What EHLO, HELO and LHLO may be given: a domain or a literal. Underscores are let through here
 * and only here: machines are called so, a refusal would help nobody, and no mail is routed by it.
 */
bool helo_is_valid(struct str helo);

/* Equal local parts, byte for byte, and domains, ASCII case apart. */
bool address_eq(struct str a, struct str b);
