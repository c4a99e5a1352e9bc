/*
 * chains: from a message's id to the first of its jobs; the others hang on that (job->sibling).
 *
 * Owns      Its places, until chains_done; not the jobs. A zeroed one is empty.
 */
#pragma once

#include "base/places.h"

struct job;

struct chains {
    struct places table;
};

struct job *chains_get(const struct chains *c, uint64_t message); /* NULL: none */
void chains_put(struct chains *c, struct job *first);       /* in the place of who was first */
void chains_take(struct chains *c, uint64_t message);       /* must be there */
struct job *chains_any(const struct chains *c, size_t *at); /* in or after place *at, or NULL */
void chains_done(struct chains *c);
