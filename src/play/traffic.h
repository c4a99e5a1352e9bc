/*
 * traffic: the classes of a scenario put mail into the queue, each at its rate and in its bursts.
 *
 * Time      A message counts from the instant it was meant to come, so waiting for the store counts
 *           too, as it does for a client.
 * Limits    TRAFFIC_SENDERS messages of a flow are on their way into the store at once.
 * Owns      Nothing beyond the run: its fibers end with the run's duration, or when cancelled.
 */
#pragma once

#include "play/tally.h"

struct plan;
struct store;

enum { TRAFFIC_SENDERS = 64 };

struct traffic {
    const struct scenario *scenario;
    struct tally *tally;
    struct queue *queue;
    struct store *store;
    struct plan *plan;
    struct when began;
    struct flow *flows; /* its own */
};

/* In fibers of `g`; returns at once. */
void traffic_begin(struct traffic *t, struct group *g);
/* When all its fibers have ended. */
void traffic_free(struct traffic *t);
