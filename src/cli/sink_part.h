/* sink_part: what the two files of `postyard sink` share: the command line and the running of it.
 */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "play/keep.h"
#include "play/server.h"

enum { SINK_DESTINATIONS_MAX = 64, SINK_THREADS_MAX = 64 };

struct sink_destination {
    struct addr at;
    struct play_behaviour behaviour;
    struct buf words; /* of the behaviour, as they were written */
    struct play_counts counts;
    struct play_lane lanes[SINK_THREADS_MAX];
    struct listener *listener;
    struct sink *sink;
};

struct sink {
    struct sink_destination *to[SINK_DESTINATIONS_MAX];
    unsigned count, threads;
    struct str hostname, save, certificate, key;
    int64_t stats_ms;
    bool lmtp, implicit_tls, print, json, quiet;

    struct tls_server *tls;
    struct play_keep *keep;
    struct loop *loops[SINK_THREADS_MAX];
    struct world *world;
    int status;
};

/* False: *why says what was wrong; an empty one: the usage was asked for. */
bool sink_args(struct sink *s, int argc, char **argv, struct buf *why);
void sink_usage(struct buf *out);
void sink_free(struct sink *s);
