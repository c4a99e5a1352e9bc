/*
 * hook_part: `postyard hook test` in four files: the command and the classic dialect (hook.c), the
 * draft dialects (hook_draft.c), what the scanner is shown (hook_view.c), and telling what comes of
 * it (hook_show.c).
 *
 * Owns      Nothing; all lives in the command's arena.
 */
#pragma once

#include "cli/command.h"
#include "hooks/dialect.h"
#include "http/fetch.h"

struct chain;
struct dns;

enum { HOOK_TEST_MS = 30000 };

struct play {
    /* As given. */
    struct str config, dialect, stage, message, from, client, helo, login, ca;
    struct str format, token, certificate, key;
    struct words to, fields, properties, allow;
    bool allow_invalid_certs, no_discovery;

    bool is_draft, is_registered, was_given_back;
    struct fetch_target target;
    struct config *cfg;
    struct dns *dns;
    struct chain *chain; /* draft: of the one hook */
    struct hook_view view;
    struct arena arena;
    struct buf out;
    int exit;
};

/* hook_view.c. False: said. */
bool hook_play_view(struct play *p, enum hook_stage stage);

/* hook_draft.c */

/* False: said. Wants a thread's stack. */
bool hook_load_draft(struct play *p, struct str url);
/* On a fiber. */
void hook_play_draft(struct play *p);

/* hook_show.c */

/* Text of a stranger for a terminal: control characters but line ends become '?'; cut. */
void hook_show_text(struct str text, struct buf *out);
/* False: it is told, and the exit code says so too. */
bool hook_is_ok(struct play *p, struct err e, const struct buf *why);
/* What the outcome means, if it may be applied: the action, and what becomes of the mail. */
void hook_tell_outcome(struct play *p, struct hook_outcome *o);
