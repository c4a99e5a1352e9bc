/*
 * mishap: what goes wrong with the names, maildirs and programs of a scenario, in words of
 * mishaps.def; the first that shows wins, and what only slows adds up.
 *
 * Owns      Nothing: texts live where the words lived.
 * Limits    MISHAPS_MAX words.
 * Errors    mishap_add: false, with one line in *why.
 *
 * A zeroed struct mishaps is that of what always works.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum mishap_kind {
#define MISHAP(name, key, where, argument, text) MISHAP_##key,
#include "play/mishaps.def"
#undef MISHAP
    MISHAP_COUNT
};

/* A set of what it can happen to. */
enum { MISHAP_NAMES = 1, MISHAP_MAILDIR = 2, MISHAP_PROGRAM = 4 };

enum { MISHAPS_MAX = 16 };

struct mishap {
    enum mishap_kind kind;
    uint32_t chance; /* in a million */
    int64_t ms;      /* slow */
    uint8_t code;    /* exit */
    struct str text;
};

struct mishaps {
    struct mishap items[MISHAPS_MAX];
    unsigned count;
};

/* One word for something of the set `where`. */
bool mishap_add(struct mishaps *m, unsigned where, struct str word, struct buf *why);
/* The first one that cannot happen there, or NULL. */
const struct mishap *mishap_misplaced(const struct mishaps *m, unsigned where);
struct str mishap_name(enum mishap_kind kind);
/* What happens now, or NULL; *wait_ms grows by what slows it. `dice` as of play_rule_at. */
const struct mishap *mishap_now(const struct mishaps *m, int64_t *wait_ms, uint32_t (*dice)(void));
