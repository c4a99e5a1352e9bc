#include "hooks/breaker.h"

enum breaker_answer breaker_enter(struct breaker *b, const struct breaker_limits *l,
                                  struct when now)
{
    if (l->failures == 0 || b->state == BREAKER_CLOSED) {
        return BREAKER_ASK;
    }
    if (b->state == BREAKER_OPEN && now.ns >= b->until.ns) {
        b->state = BREAKER_PROBING;
        b->has_probe = false;
    }
    if (b->state == BREAKER_OPEN || b->has_probe) {
        return BREAKER_REFUSE;
    }
    b->has_probe = true;
    return BREAKER_PROBE;
}

static void open_until(struct breaker *b, const struct breaker_limits *l, struct when now)
{
    b->state = BREAKER_OPEN;
    b->has_probe = false;
    b->until = when_add(now, l->pause_ms * NS_PER_MS);
}

static void close_again(struct breaker *b)
{
    *b = (struct breaker){.state = BREAKER_CLOSED};
}

bool breaker_leave(struct breaker *b, const struct breaker_limits *l, bool was_probe,
                   enum breaker_result result, struct when now)
{
    if (l->failures == 0) { /* by a configuration of later on */
        bool was_open = b->state != BREAKER_CLOSED;

        close_again(b);
        return was_open;
    }
    if (b->state != BREAKER_CLOSED && !was_probe) {
        return false;
    }
    switch (result) {
    case BREAKER_GIVEN_UP:
        b->has_probe = false;
        return false;
    case BREAKER_GOOD:
        was_probe = b->state != BREAKER_CLOSED;
        close_again(b);
        return was_probe;
    case BREAKER_FAILED:
        break;
    }
    b->failures = b->failures == UINT32_MAX ? b->failures : b->failures + 1;
    if (b->state == BREAKER_CLOSED && b->failures < l->failures) {
        return false;
    }
    was_probe = b->state == BREAKER_CLOSED;
    open_until(b, l, now);
    return was_probe; /* a probe that failed keeps it open */
}
