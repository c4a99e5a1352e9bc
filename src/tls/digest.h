/*
 * digest: the digest of some bytes, by the name of its algorithm.
 *
 * Source    RFC 1321 (md5), FIPS 180-4 (sha1, sha256, sha512). md5 and sha1 protect nothing; they
 *           serve those whose tables were made with them.
 * Owns      Nothing.
 * Errors    0 bytes: no such algorithm, or the library does not offer it (md5 in FIPS mode).
 */
#pragma once

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_BYTES_MAX = 64 };

/* How many bytes of `out` it has. */
size_t digest_of(struct str algorithm, struct str bytes, uint8_t out[DIGEST_BYTES_MAX]);
