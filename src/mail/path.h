/*
 * path: reverse-paths and forward-paths, and addresses without their brackets.
 *
 * Source    RFC 5321 section 4.1.2, limits 4.5.3.1, source routes appendix C; RFC 6531 section 3.3.
 * Owns      Nothing. The address is copied to the caller's arena.
 * Limits    Local part 64 octets, domain 255, path 256 with brackets and any source route.
 * Errors    enum refusal (mail/refusal.h); *ret is written only on REFUSAL_NONE.
 *
 * The domain comes out in lower case (ASCII), the local part exactly as it was given, quotes and
 * all: who may read meaning into it is the final destination alone. A source route is checked and
 * left away, as appendix C asks.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "mail/refusal.h"

#include <stdbool.h>

struct path {
    struct str address; /* local@domain; empty: the null path; "postmaster" may lack a domain */
    struct str local;   /* both are parts of address */
    struct str domain;  /* for a literal with its brackets */
    bool is_literal;    /* the domain is an address literal */
    bool is_utf8;       /* not all ASCII */
    bool had_route;     /* a source route was left away */
};

enum path_kind {
    PATH_REVERSE, /* of MAIL: "<>" is allowed */
    PATH_FORWARD  /* of RCPT: "<postmaster>" is allowed */
};

/* A path at the start of `in`; *rest becomes what follows the closing bracket. Whether UTF-8 was
 * asked for is often known only from what follows: then pass true, and look at is_utf8. */
enum refusal path_parse(struct str in, enum path_kind kind, bool utf8, struct arena *a,
                        struct path *ret, struct str *rest);

/* The whole of `in` as local@domain, without brackets; for configuration, hooks and reports. */
enum refusal path_parse_address(struct str in, bool utf8, struct arena *a, struct path *ret);
