/*
 * breaker: whether a filter that has failed is asked at all. Pure: the caller brings the time.
 *
 * Source    Design section 9; P9.
 * Owns      Nothing. A zeroed breaker is closed.
 * Rules     1. Closed: each may ask. After `failures` failures in a row it opens.
 *           2. Open: nobody asks until `pause_ms` have passed since it opened.
 *           3. Then one may ask, as a probe, and the others wait for what becomes of it: a good
 *              answer closes the breaker, a failure opens it for another pause, and a probe that
 *              was given up gives its right to the next.
 *           Answers to questions that were asked before it opened change nothing while it is open.
 */
#pragma once

#include "base/date.h"

#include <stdbool.h>
#include <stdint.h>

struct breaker_limits {
    uint32_t failures; /* 0: it never opens */
    int64_t pause_ms;
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };

struct breaker {
    enum breaker_state state;
    uint32_t failures; /* in a row */
    struct when until; /* open: the first moment of a probe */
    bool has_probe;
};

enum breaker_answer { BREAKER_ASK, BREAKER_PROBE, BREAKER_REFUSE };
enum breaker_answer breaker_enter(struct breaker *b, const struct breaker_limits *l,
                                  struct when now);

/* What became of a question that was let in, as the probe or not. */
enum breaker_result { BREAKER_GOOD, BREAKER_FAILED, BREAKER_GIVEN_UP };
/* True when it has opened or closed by this. */
bool breaker_leave(struct breaker *b, const struct breaker_limits *l, bool was_probe,
                   enum breaker_result result, struct when now);
