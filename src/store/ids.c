#include "base/check.h"
#include "runtime/clock.h"
#include "store/log.h"

/*
 * A message id: 42 bits of milliseconds since 1970, 10 bits of node, 12 bits of sequence.
 *
 * Ids rise over restarts, also over those that were given and never stored: the log holds a limit,
 * ahead of the clock, and no id beyond the durable limit is given. After a restart ids go on from
 * there. A clock that steps back does not matter: then ids are counted up.
 */
enum { SEQUENCE_BITS = 12, NODE_BITS = 10, MS_SHIFT = SEQUENCE_BITS + NODE_BITS };
enum { LIMIT_AHEAD_MS = 10000, LIMIT_LEAST_MS = 5000, LIMIT_COUNTED_MS = 1000 };

static uint64_t id_make(const struct store *s, uint64_t ms, uint64_t sequence)
{
    return ms << MS_SHIFT | (uint64_t)s->options.node << SEQUENCE_BITS | sequence;
}

static uint64_t next_after(const struct store *s, uint64_t id)
{
    uint64_t ms = id >> MS_SHIFT, sequence = id & ((1U << SEQUENCE_BITS) - 1);

    /* Another node's id, seen in the log, may be greater at the same millisecond. */
    if ((sequence + 1) >> SEQUENCE_BITS != 0 || id_make(s, ms, sequence + 1) <= id) {
        return id_make(s, ms + 1, 0);
    }
    return id_make(s, ms, sequence + 1);
}

uint64_t store_new_id(struct store *s)
{
    uint64_t last = atomic_load_explicit(&s->last_id, memory_order_relaxed);
    int64_t now = clock_date().ms;
    uint64_t limit_ms = atomic_load_explicit(&s->id_limit, memory_order_acquire) >> MS_SHIFT;
    uint64_t ms = now > 0 ? (uint64_t)now : 0;
    uint64_t id;

    /* Just below the limit, with room to count up until a new one is durable. */
    must(limit_ms > LIMIT_COUNTED_MS);
    ms = ms < limit_ms - LIMIT_COUNTED_MS ? ms : limit_ms - LIMIT_COUNTED_MS;
    do {
        id = id_make(s, ms, 0);
        if (id <= last) {
            id = next_after(s, last);
        }
    } while (!atomic_compare_exchange_weak_explicit(&s->last_id, &last, id, memory_order_relaxed,
                                                    memory_order_relaxed));
    return id;
}

uint64_t store_id_at_start(const struct store *s)
{
    return s->id_at_start;
}

/* The limit to write with the next batch: ahead of both the clock and what was given; 0: the one
 * that is durable does. */
uint64_t id_limit_for(const struct store *s)
{
    uint64_t limit_ms = atomic_load_explicit(&s->id_limit, memory_order_relaxed) >> MS_SHIFT;
    uint64_t last_ms = atomic_load_explicit(&s->last_id, memory_order_relaxed) >> MS_SHIFT;
    uint64_t now = (uint64_t)clock_date().ms;
    uint64_t most = last_ms > now ? last_ms : now;

    if (most + LIMIT_LEAST_MS < limit_ms) {
        return 0;
    }
    /* With a clock behind the ids, or a mad one far ahead, little is enough: ids are counted. */
    return (last_ms >= now ? last_ms + LIMIT_COUNTED_MS + LIMIT_LEAST_MS : now + LIMIT_AHEAD_MS)
           << MS_SHIFT;
}

void id_seen(struct store *s, uint64_t id)
{
    if (id > atomic_load_explicit(&s->last_id, memory_order_relaxed)) {
        atomic_store_explicit(&s->last_id, id, memory_order_relaxed);
    }
}
