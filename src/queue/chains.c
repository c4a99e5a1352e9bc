#include "queue/chains.h"

#include "base/check.h"
#include "queue/job.h"

/* Ids are ours, rising, and nobody chooses them: mixing is all that a hash must do here. */
static uint64_t hash_of(uint64_t message)
{
    return places_mix(message, 0);
}

static uint64_t job_hash(const void *job)
{
    return hash_of(((const struct job *)job)->message);
}

static bool job_is(const void *job, const void *message)
{
    return ((const struct job *)job)->message == *(const uint64_t *)message;
}

static const struct places_keys kind = {job_is, job_hash};

struct job *chains_get(const struct chains *c, uint64_t message)
{
    return places_get(&c->table, &kind, hash_of(message), &message);
}

void chains_put(struct chains *c, struct job *first)
{
    places_put(&c->table, &kind, hash_of(first->message), &first->message, first);
}

void chains_take(struct chains *c, uint64_t message)
{
    must(places_take(&c->table, &kind, hash_of(message), &message) != NULL);
}

struct job *chains_any(const struct chains *c, size_t *at)
{
    return places_any(&c->table, at);
}

void chains_done(struct chains *c)
{
    places_done(&c->table);
}
