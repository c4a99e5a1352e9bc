/*
 * chains: from a message's id to the first of its jobs; the others hang on that (job->sibling).
 *
 * A table of its own and not a map, because there is an entry for each queued message and the key
 * is in the job already: eight bytes a place instead of thirty-two (P7).
 *
 * Owns      Its places, until chains_done; not the jobs. A zeroed one is empty.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct job;

struct chains {
    struct job **places;
    size_t count, size; /* size: power of two, or 0 */
};

struct job *chains_get(const struct chains *c, uint64_t message); /* NULL: none */
void chains_put(struct chains *c, struct job *first);       /* in the place of who was first */
void chains_take(struct chains *c, uint64_t message);       /* must be there */
struct job *chains_any(const struct chains *c, size_t *at); /* in or after place *at, or NULL */
void chains_done(struct chains *c);
