/*
 * draft_filter: which mail a draft hook is asked about, as its `filter` says: looked at here, so
 * that the others cost no call.
 *
 * Source    draft-degennaro-mta-hooks-01 section 4 (filter); RFC 8621 section 4.4.1, without what
 *           is about mailboxes.
 * Owns      Nothing: a filter is the tree it was read as.
 * Limits    Those it was read with.
 * Errors    draft_filter_check: false, and *why says what is wrong.
 *
 * Envelope conditions count from `mail` on (envelopeTo from `rcpt` on, where it is about the
 * recipient in question), all others at `data` and later. One that does not count yet is left out
 * of its operator; where nothing is left the hook is asked.
 */
#pragma once

#include "base/buf.h"
#include "doc/doc.h"
#include "hooks/model.h"

#include <stdbool.h>

enum { DRAFT_FILTER_BYTES_MAX = 16 * 1024, DRAFT_FILTER_DEPTH_MAX = 8 };

bool draft_filter_check(const struct doc *filter, struct buf *why);
/* It looks into the body, which should then be in memory. */
bool draft_filter_wants_body(const struct doc *filter);
bool draft_filter_matches(const struct doc *filter, const struct hook_view *view, struct arena *a);
