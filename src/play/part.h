/* part: what the files of a scripted peer share. */
#pragma once

#include "base/arena.h"
#include "play/peer.h"

struct play_talk {
    struct play_peer *peer;
    struct stream *stream;
    struct arena arena; /* of the transaction */
    struct buf helo;
    bool greeted, tls, over;
    uint32_t messages;
    /* The transaction. */
    bool in_mail, bdat_open, bdat_failed;
    struct play_message mail;
    struct play_rcpt **tail;
    struct buf content; /* all of it, or what was read last */
    uint64_t content_bytes;
    uint32_t content_crc;
    bool dropping; /* this content is to be cut */
};

uint32_t play_dice(void);
void play_count(_Atomic uint64_t *c, uint64_t by_how_many);
/* One reply by the script's manner of speaking: slow, dripping, or at once. */
struct err play_say(struct play_talk *t, unsigned code, const char *text, struct when by);
/* The rule that shows here, or NULL, once the peer's mood has waited as it wants. */
struct err play_shows(struct play_talk *t, enum play_stage stage, const struct play_rule **ret,
                      struct when by);
/* What the script wants here; *go: nothing, so go on and answer well. Otherwise it was done. */
struct err play_ask(struct play_talk *t, enum play_stage stage, bool *go, struct when by);
struct err play_follow(struct play_talk *t, const struct play_rule *r, struct when by);
/* More bytes, sending first what was said. */
struct err play_fill(struct play_talk *t, const char *what, struct when by);
void play_reset(struct play_talk *t);
struct err play_data(struct play_talk *t, struct when by);
struct err play_bdat(struct play_talk *t, struct str arg, struct when by);
