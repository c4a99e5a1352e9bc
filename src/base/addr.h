/*
 * addr: an Internet address with a port, and networks of them; how they are read and written.
 *
 * Source    RFC 4291 section 2.2 and RFC 5952 (text of IPv6), RFC 4632 (CIDR).
 * Owns      Nothing: all are plain values.
 * Limits    No host names, no scopes (fe80::1%eth0), no paths of Unix sockets: those are not
 *           addresses.
 * Errors    Parsers answer false on anything but the whole text; *ret is written only on success.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct addr {
    uint8_t family; /* 4, 6, or 0 for none */
    uint16_t port;  /* 0: none */
    uint8_t ip[16]; /* network order; IPv4 in the first four, the rest zero */
};

struct cidr {
    struct addr net; /* host bits and port zero */
    uint8_t bits;    /* of its own family: at most 32 or 128 */
};

enum { ADDR_BYTES = 56 }; /* "[" 45 "]:65535", and NUL */

bool addr_parse(struct str s, struct addr *ret);    /* "1.2.3.4:25", "[::1]:25"; port 1..65535 */
bool addr_parse_ip(struct str s, struct addr *ret); /* "1.2.3.4", "::1"; port 0 */

/* "1.2.3.4:25", "[::1]:25"; without port (addr_print_ip, and addr_print when the port is 0)
 * "1.2.3.4", "::1". No address: empty. Views into `at`, which also ends in NUL. */
struct str addr_print(const struct addr *a, char at[ADDR_BYTES]);
struct str addr_print_ip(const struct addr *a, char at[ADDR_BYTES]);

bool addr_eq(const struct addr *a, const struct addr *b);    /* with port */
bool addr_eq_ip(const struct addr *a, const struct addr *b); /* without */

/* ::ffff:1.2.3.4 as 1.2.3.4; all others as they are. */
struct addr addr_unmap(const struct addr *a);
bool addr_is_loopback(const struct addr *a); /* 127.0.0.0/8, ::1, and mapped ones */
bool addr_is_any(const struct addr *a);      /* 0.0.0.0, :: */

/* "10.0.0.0/8", "::1/128", or an address alone, which is a network of one. Host bits are cleared.
 */
bool cidr_parse(struct str s, struct cidr *ret);
bool cidr_match(const struct cidr *c, const struct addr *a); /* ports do not count */
struct str cidr_print(const struct cidr *c, char at[ADDR_BYTES]);
