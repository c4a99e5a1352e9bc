#include "strategy/schedule.h"

#include "base/check.h"

enum { INTERVAL_MS_MIN = 1000 };

static struct date later(struct date a, struct date b)
{
    return a.ms > b.ms ? a : b;
}

static struct date base_of(struct date arrived, const struct rcpt_state *state)
{
    return later(arrived, state->hold_end);
}

/* retry[n-1] after the n-th failure, changed by up to the jitter either way. */
static int64_t interval(const struct schedule *s, uint32_t attempts, uint32_t random)
{
    const struct duration_list *retry = &s->settings->retry;

    must(retry->count > 0 && attempts > 0);
    size_t i = attempts - 1 < retry->count ? attempts - 1 : retry->count - 1;
    int64_t ms = retry->items[i];
    int64_t span = ms * s->settings->retry_jitter_percent / 100; /* ms: at most 30 days */

    ms += span * ((int64_t)(random % 2001) - 1000) / 1000;
    return ms < INTERVAL_MS_MIN ? INTERVAL_MS_MIN : ms;
}

static void follow(const struct schedule *s, struct date base, struct rcpt_state *state)
{
    state->queue = s->queue_name;
    state->attempts_max = s->attempts_max;
    state->expires = s->attempts_max > 0 ? DATE_NEVER : date_add(base, s->expire_ms);
    state->expires = date_earlier(state->expires, state->deadline);
}

/* The notice after `made` of them, the last at `last`; strictly later than last. */
static struct date notice_after(const struct schedule *s, struct date base, struct date last,
                                const struct rcpt_state *state)
{
    const struct duration_list *notify = &s->settings->notify;
    uint32_t made = state->notices;

    if (state->by_notice.ms > 0 && state->by_notice.ms < state->expires.ms) {
        return made == 0 ? state->by_notice : DATE_NEVER; /* rule 7 */
    }
    if (s->settings->notify_mode == NOTIFY_RELATIVE) {
        return made < notify->count ? date_add(last, notify->items[made]) : DATE_NEVER;
    }
    for (size_t i = made; i < notify->count; i++) {
        struct date at = date_add(base, notify->items[i]);

        if (at.ms > last.ms) { /* what downtime has skipped is not told late */
            return at;
        }
    }
    return DATE_NEVER;
}

void schedule_accept(const struct schedule *s, struct date arrived, struct rcpt_state *state)
{
    struct date base = base_of(arrived, state);

    if (state->deadline.ms == 0) {
        state->deadline = DATE_NEVER;
    }
    state->attempts = 0;
    state->notices = 0;
    state->next = base;
    follow(s, base, state);
    state->notice = notice_after(s, base, base, state);
}

enum schedule_verdict schedule_failed(const struct schedule *s, struct date arrived,
                                      struct date now, uint32_t random, struct rcpt_state *state)
{
    state->attempts = state->attempts == UINT16_MAX ? UINT16_MAX : state->attempts + 1;
    state->next = date_add(now, interval(s, state->attempts, random));
    follow(s, base_of(arrived, state), state);
    return schedule_verdict(state, now, false);
}

void schedule_noticed(const struct schedule *s, struct date arrived, struct date now,
                      struct rcpt_state *state)
{
    state->notices = state->notices == UINT16_MAX ? UINT16_MAX : state->notices + 1;
    state->notice = notice_after(s, base_of(arrived, state), now, state);
}

void schedule_change(const struct schedule *s, struct date arrived, struct date now,
                     struct rcpt_state *state)
{
    struct date base = base_of(arrived, state);

    follow(s, base, state);
    state->notice = notice_after(s, base, state->notices > 0 ? now : base, state);
    if (state->attempts > 0) {
        state->next = later(now, date_add(state->last.at, interval(s, state->attempts, 1000)));
    } else {
        state->next = later(now, base);
    }
}

enum schedule_verdict schedule_verdict(const struct rcpt_state *state, struct date now,
                                       bool was_limited)
{
    if (!date_is_never(state->deadline) && state->deadline.ms > 0 && now.ms >= state->deadline.ms) {
        return SCHEDULE_OVER;
    }
    if (state->attempts_max > 0 && state->attempts >= state->attempts_max) {
        return SCHEDULE_OVER;
    }
    if (now.ms < state->expires.ms) {
        return SCHEDULE_WAITS;
    }
    return state->attempts == 0 && !was_limited ? SCHEDULE_WAITS : SCHEDULE_OVER;
}

struct date schedule_note(const struct rcpt_state *state)
{
    struct date note = date_earlier(state->notice, state->expires);

    return state->deadline.ms > 0 ? date_earlier(note, state->deadline) : note;
}

void schedule_shift(struct rcpt_state *state, int64_t held_ms)
{
    must(held_ms >= 0);
    state->next = date_add(state->next, held_ms);
    if (state->by_notice.ms == 0 || state->notice.ms != state->by_notice.ms) {
        state->notice = date_add(state->notice, held_ms);
    }
    state->expires = date_add(state->expires, held_ms);
    if (state->deadline.ms > 0) {
        state->expires = date_earlier(state->expires, state->deadline);
    }
}
