/*
 * queue_walk: all stored messages, or those an expression chooses, a batch at a time; so that no
 * step holds up the queue or the store for long.
 *
 * Owns      What is given to the callback lives until it returns.
 * Errors    The store's; those of the callback, which end the walk; ERR_CONFIG when an evaluation
 *           failed, with *failed.
 */
#pragma once

#include "base/arena.h"
#include "base/date.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct message;
struct store;
struct selection;

struct queue_match {
    const struct message *message;
    const bool *is_meant; /* one a recipient; NULL: all of them */
};

/* How many recipients are meant. */
uint32_t queue_match_count(const struct queue_match *match);

struct queue_walk {
    struct store *store;
    const struct selection *selection; /* NULL: everything */
    uint64_t after;
    struct err (*fn)(void *ctx, const struct queue_match *matches, uint32_t count, struct arena *a,
                     bool *go_on, struct when by);
    void *ctx;

    /* Answers. */
    uint64_t total; /* messages that were given to fn */
    const char *failed;
};

struct err queue_walk(struct queue_walk *w, struct when by);
