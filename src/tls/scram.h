/*
 * scram: the client's side of SCRAM-SHA-256: proves a password without saying it, and has the
 * server prove that it knows it too.
 *
 * Source    RFC 5802 and RFC 7677, without channel binding ("n,,"). Names and passwords are used as
 *           they are: no SASLprep beyond what is ASCII anyway.
 * Owns      A struct scram its first message, until scram_done.
 * Limits    SCRAM_ROUNDS_MIN to SCRAM_ROUNDS_MAX iterations: fewer would give the password away,
 *           more would keep us busy for a stranger. scram_answer takes up to a second: offload it.
 * Errors    false, and one line in *why.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

enum { SCRAM_ROUNDS_MIN = 4096, SCRAM_ROUNDS_MAX = 1000 * 1000, SCRAM_DIGEST_BYTES = 32 };

struct scram {
    struct buf first; /* ours, without its "n,," */
    struct str nonce; /* a view of it */
    unsigned char theirs[SCRAM_DIGEST_BYTES];
};

/* Our first message into `out`. `nonce`: printable, without a comma, never used before. */
void scram_begin(struct scram *s, struct str user, struct str nonce, struct buf *out);
/* Our second, after the server's first. */
bool scram_answer(struct scram *s, struct str secret, struct str challenge, struct buf *out,
                  const char **why);
/* The server's last: whether it knows the password. */
bool scram_is_proof(const struct scram *s, struct str final);
void scram_done(struct scram *s);
