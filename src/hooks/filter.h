/*
 * filter: one program that is asked about a session's mail: a hook over HTTP or a milter. The
 * engine (engine.h) knows these functions and nothing of how they are done.
 *
 * Source    Design section 9; P9.
 * Owns      What `begin` gives belongs to the session until `end`.
 * Errors    ask: anything but OK means that there is no answer: the failure policy of the filter
 *           speaks. `why`: a sentence for the log, without secrets and without message content.
 */
#pragma once

#include "hooks/model.h"

struct dns;
struct engine;
struct registries;

/* What filters may use beside their settings; there is one as long as the server lives. */
struct filter_world {
    struct dns *dns; /* names of hosts; NULL: addresses only */
    struct engine *engine;
    struct registries *registries; /* of draft hooks; home's */
};

struct filter_kind {
    const char *name; /* "hook", "milter" */
    /* Once, before anything else, on the home loop; NULL: there is nothing to do. */
    void (*attach)(void *filter, const struct filter_world *world);
    /* Last of all, on any thread; NULL: there is nothing to do. */
    void (*drop)(void *filter);
    /* For one session; may not suspend. NULL is a good value. `filter`: as compiled. */
    void *(*begin)(const void *filter, const struct hook_view *view);
    struct err (*ask)(const void *filter, void *session, const struct hook_view *view,
                      struct arena *a, struct hook_outcome *ret, struct buf *why, struct when by);
    /* The transaction is over or given up. */
    void (*reset)(const void *filter, void *session);
    void (*end)(const void *filter, void *session);
};
