/*
 * rdata: one record's bytes, as a server sent them, into a struct dns_record. Pure.
 *
 * Source    RFC 1035 sections 3.1 and 3.3, RFC 3596, RFC 6698.
 * Owns      Copies into the arena.
 * Limits    Names and texts as dns.h says; compression pointers are refused (the library that gives
 *           us rdata has resolved them).
 * Errors    False when the bytes are not such a record, or hold a name that cannot be used.
 */
#pragma once

#include "dns/dns.h"

bool rdata_parse(enum dns_type type, struct str bytes, struct arena *a, struct dns_record *ret);
/* The name at the start of `bytes`, which it must fill. */
bool rdata_name(struct str bytes, struct arena *a, struct str *ret);
