/*
 * follow: gives a message to the server and tells its story until its last recipient is done.
 *
 * Source    GET /api/v1/events (docs/api.md). Listening begins before the message is sent, so that
 *           nothing of it is missed.
 * Owns      Nothing beyond the call.
 * Errors    Said on standard error; exit code 1 when a recipient failed, 75 when the server is not
 *           there or goes away.
 */
#pragma once

#include "cli/inject.h"

enum cli_exit inject_and_follow(struct injection *in, struct str socket, bool json);

/* One event as a line for people, without its end; false when it is not about one of `ids`.
 * *failed: it tells that a recipient is given up. */
bool follow_line(struct str json, const struct words *ids, struct arena *a, struct buf *out,
                 bool *failed);
