/*
 * state: what is known of one filter over all sessions and reloads: how many ask it now, whether it
 * is asked at all, and what came of it.
 *
 * Threads   Gate and breaker belong to the home loop, where one place decides for all loops,
 *           exactly in time; who asks goes there by post and back. Counters are for any thread.
 * Owns      A state belongs to the engine until engine_free. A pass is the asker's: state_enter
 *           gives it, state_leave takes it.
 * Errors    state_enter: ERR_BUSY (the line is full), ERR_LIMIT (the breaker is open), ERR_TIMEOUT,
 *           ERR_CANCELLED; *why says it in words.
 */
#pragma once

#include "hooks/breaker.h"
#include "hooks/chain.h"
#include "hooks/gate.h"
#include "runtime/loop.h"

#include <stdatomic.h>

enum { LATENCY_BUCKETS = 12 };
extern const int64_t latency_bounds_ms[LATENCY_BUCKETS]; /* the last is beyond all */

/* What came of the questions to one filter. */
struct filter_counts {
    uint64_t asked, answered, failed, timed_out, refused, busy;
    uint64_t unasked; /* by itself: what it is not shown, a session that has failed before */
    uint64_t acted;   /* decided something else than to accept */
    uint64_t edits, skipped, shadowed;
    uint64_t latency[LATENCY_BUCKETS]; /* of answers and failures, each in its bucket alone */
    uint64_t latency_us;
    uint64_t working, waiting; /* now */
    enum breaker_state breaker;
};

struct filter_state {
    struct str name;
    const char *kind;
    struct loop *home;
    struct gate gate;
    struct breaker breaker;
    struct filter_limits limits; /* of the newest configuration */
    struct filter_state *next;
    atomic_uint breaker_now;
    atomic_uint working, waiting;
    atomic_uint_fast64_t asked, answered, failed, timed_out, refused, busy, unasked, acted, edits,
        skipped, shadowed, latency_us;
    atomic_uint_fast64_t latency[LATENCY_BUCKETS];
};

struct pass;
struct err state_enter(struct filter_state *s, struct pass **ret, struct buf *why, struct when by);
/* Never suspends; from the loop that entered. */
void state_leave(struct pass *p, enum breaker_result result);

void state_count_latency(struct filter_state *s, int64_t us);
struct filter_counts state_counts(const struct filter_state *s);
#define state_add(s, what, n) atomic_fetch_add_explicit(&(s)->what, (n), memory_order_relaxed)
