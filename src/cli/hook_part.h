/*
 * hook_part: `postyard hook test` in two files: playing a stage (hook.c), and telling what comes of
 * it (hook_show.c).
 *
 * Owns      Nothing; all lives in the command's arena.
 */
#pragma once

#include "hooks/dialect.h"

/* Header fields and lines of the body that are there no more ("-") or now ("+"), and the envelope.
 */
void hook_show_changes(const struct hook_view *before, const struct hook_view *after,
                       struct buf *out);
/* Text of a stranger for a terminal: control characters but line ends become '?'; cut. */
void hook_show_text(struct str text, struct buf *out);
