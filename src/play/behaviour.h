/*
 * behaviour: how a scripted peer treats its clients: a few numbers, and rules for the stages of a
 * conversation, of which the first that shows wins.
 *
 * Owns      Nothing: texts live where the words given to play_behave lived.
 * Limits    PLAY_RULES_MAX rules.
 * Errors    play_behave: false, with one line in *why.
 *
 * A zeroed struct play_behaviour is that of a fast, kind peer; each word adds to it.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum play_stage {
#define STAGE(name, key) PLAY_AT_##key,
#include "play/stages.def"
#undef STAGE
    PLAY_STAGES
};

enum play_breakage {
#define BREAKAGE(name, key, bytes) PLAY_BREAK_##key,
#include "play/breakages.def"
#undef BREAKAGE
    PLAY_BREAK_ANY /* one of them, by chance */
};

enum play_offer {
#define OFFER(keyword, key, argument) PLAY_OFFER_##key,
#include "play/offers.def"
#undef OFFER
    PLAY_OFFERS
};

enum play_act {
    PLAY_REFUSE,
    PLAY_DROP,   /* close without a word */
    PLAY_SILENT, /* never answer */
    PLAY_BREAK   /* answer with something that is no good reply */
};

enum { PLAY_RULES_MAX = 16, PLAY_CHANCE_ALWAYS = 1000 * 1000 };

struct play_rule {
    unsigned stages; /* set of 1 << enum play_stage */
    enum play_act act;
    uint32_t chance; /* in a million */
    enum play_breakage breakage;
    uint16_t code;
    struct str text; /* empty: one that fits the code */
};

struct play_behaviour {
    struct play_rule rules[PLAY_RULES_MAX];
    unsigned rule_count;
    int64_t slow_ms; /* before each reply */
    int64_t drip_ms; /* between the bytes of a reply */
    int64_t greylist_ms;
    uint64_t content_drop_bytes; /* 0: never */
    uint32_t content_drop_chance;
    uint64_t size_max; /* 0: no limit */
    uint32_t rcpts_max, messages_max, connections_max;
    unsigned withheld; /* set of 1 << enum play_offer */
    bool broken_tls, by_recipient;
};

/* Takes "@P" off the end; without it the chance is PLAY_CHANCE_ALWAYS. False: P is no chance. */
bool play_chance_cut(struct str *s, uint32_t *ret);
bool play_behave(struct play_behaviour *b, struct str word, struct buf *why);
/* The rule that shows at this stage, or NULL. `dice` is asked for each rule that leaves it to
 * chance, and answers from 0 to below PLAY_CHANCE_ALWAYS. */
const struct play_rule *play_rule_at(const struct play_behaviour *b, enum play_stage stage,
                                     uint32_t (*dice)(void));
/* All behaviours with their meaning, for a usage text. */
void play_behaviours_print(struct buf *out);
/* What a breakage says; for those that are made, an empty text. */
struct str play_breakage_bytes(enum play_breakage b);
struct str play_offer_keyword(enum play_offer o);
/* A text for a refusal without one: "4.3.0 Try again later". */
const char *play_refusal_text(uint16_t code);
