/*
 * keep: what scripted peers took, as files: NAME.eml holds the content, byte by byte as it came,
 * and NAME.json the envelope. The .json appears last and whole, so whoever waits for it finds both.
 *
 * Owns      The folder's handle. One folder may be shared by peers of several loops.
 * Errors    Those of disk.h.
 *
 * Names sort by arrival: milliseconds since 1970, a dash, a number.
 */
#pragma once

#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "play/peer.h"

struct play_keep;

struct err play_keep_open(struct str folder, struct play_keep **ret, struct when by);
/* Fits struct play_peer's `message`; ctx is the struct play_keep. */
struct err play_keep_message(void *ctx, const struct play_message *m, struct when by);
void play_keep_close(struct play_keep *k);

/* The envelope as one line of JSON, without its end. `content`: the file it is in, or empty. */
void play_message_json(struct buf *out, const struct play_message *m, struct date at,
                       struct str content);
