/*
 * rewrite: a message that filters have changed, put in the place of the one that came.
 *
 * Source    P12, P7.
 * Owns      Nothing. On an error the intake is as before, or given up: then nothing can be stored.
 * Cost      New fields before a body that stays: the header block alone, when it fits beside what
 *           is in memory. Else the body is written to the log anew, in pieces, and the old one
 *           given up.
 * Errors    As answers for the client.
 */
#pragma once

#include "hooks/model.h"
#include "inbound/intake.h"

/* `body_changed`: the view's body is not the intake's. *content becomes that of the new message. */
bool rewrite(struct intake *t, const struct hook_view *view, bool body_changed,
             struct content *content, struct answer *ret, struct when by);
