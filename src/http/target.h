/*
 * target: where a call of ours goes: an http or https address, taken apart once. Pure.
 *
 * Source    RFC 3986 (syntax), RFC 9110 sections 4.2.1 and 4.2.2 (http, https).
 * Owns      All parts are copied into the arena.
 * Limits    FETCH_URL_MAX bytes. Absolute addresses only. No user info (a secret belongs into a
 *           field), no fragment, no scopes of IPv6 addresses. Names are ASCII, without a dot at the
 *           end; internationalised ones are written as A-labels. What looks like a number must be
 *           an address in four decimal parts: "127.1" and "0x7f.1" mean 127.0.0.1 to some
 *           programs and something else to others.
 * Errors    ERR_CONFIG, with one line for people in *why. It never repeats user info.
 */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum { FETCH_URL_MAX = 2048 };

struct fetch_target {
    bool is_tls;
    struct str host;  /* lower case; an IPv6 address without its brackets */
    struct addr addr; /* when the host is an address in text: with the port; else family 0 */
    uint16_t port;
    struct str path;   /* with the query; at least "/" */
    struct str origin; /* "https://host:port", the port always said */
    const char *url;   /* origin and path */
};

struct err fetch_target_parse(struct str url, struct arena *a, struct fetch_target *ret,
                              struct buf *why);
/* Another path at the same origin: what a server may be told to name. */
bool fetch_target_is_near(const struct fetch_target *t, const struct fetch_target *other);
/* An address of this machine in text; a name is never taken for one. */
bool fetch_target_is_loopback(const struct fetch_target *t);

/* "X-Name: value" in the head of a request. Refused: names that are no tokens, fields that say how
 * the message is framed or routed (Content-Length, Transfer-Encoding, Connection, Host and such),
 * control characters in values. Values may be secrets: *why never repeats them. */
struct fetch_field {
    struct str name, value;
};
struct err fetch_field_check(const struct fetch_field *f, struct buf *why);
