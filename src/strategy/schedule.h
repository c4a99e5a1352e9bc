/*
 * schedule: when the next attempt is due, when the sender is told, when it is over. Arithmetic on
 * struct rcpt_state and nothing else: no clock, no chance; the caller gives both.
 *
 * Source    Promise P6; PY-05, PY-06, PY-19, PY-20, PY-39, PY-40; time lines of the manual.
 * Owns      Nothing. state.queue becomes a view of the schedule's name, as long as its plan lives.
 * Limits    No interval is shorter than a second, so no state is ever due in its own present.
 *
 * Rules
 * 1. Time counts from the base: acceptance, or the end of a FUTURERELEASE hold.
 * 2. `attempts` counts real attempts that failed for now. What did not try does not call
 *    schedule_failed, and so spends nothing.
 * 3. The n-th failure waits retry[n-1], the last entry again and again.
 * 4. `next` may lie beyond `expires`: expiry comes first then.
 * 5. A schedule by time ends at `expires`; one by attempts ends with the failure that fills them.
 * 6. A DELIVERBY deadline belongs to the message: no schedule moves it or reaches past it.
 * 7. So does the time at which DELIVERBY;N wants a notice: then it is the only one, unless time is
 *    over before it comes.
 */
#pragma once

#include "base/date.h"
#include "mail/envelope.h"
#include "strategy/settings.h"

struct schedule {
    struct str name;
    const struct schedule_settings *settings;
    struct position at;
    bool is_builtin;
    int64_t expire_ms;     /* 0: counted by attempts */
    uint16_t attempts_max; /* 0: counted by time */
    uint32_t queue;        /* index among the queues of the plan */
    struct str queue_name;
};

enum schedule_verdict { SCHEDULE_WAITS, SCHEDULE_OVER };

/* At acceptance. Of *state only hold_end, deadline and by_notice are read. */
void schedule_accept(const struct schedule *s, struct date arrived, struct rcpt_state *state);

/* An attempt failed for now: counts it and sets next, queue and expiry by `s`, which the strategy
 * chose after the failure. `random` is any number: jitter. The notice is left as it was. */
enum schedule_verdict schedule_failed(const struct schedule *s, struct date arrived,
                                      struct date now, uint32_t random, struct rcpt_state *state);

/* A notice was made at `now`: counts it and sets the next one, which is later than now. */
void schedule_noticed(const struct schedule *s, struct date arrived, struct date now,
                      struct rcpt_state *state);

/* The operator asks for the new schedule at once: queue, expiry, notice and next follow it as if
 * it had been in force since the last attempt; next is never in the past. */
void schedule_change(const struct schedule *s, struct date arrived, struct date now,
                     struct rcpt_state *state);

/* Whether it is over at `now`. A recipient that was never tried gets one attempt before it
 * expires, unless a limit kept it waiting all that time (was_limited), or its deadline is past. */
enum schedule_verdict schedule_verdict(const struct rcpt_state *state, struct date now,
                                       bool was_limited);

/* The first of notice, expiry and deadline: when the recipient wants attention without a slot. */
struct date schedule_note(const struct rcpt_state *state);

/* A hold of held_ms ends: all clocks move by it, except the deadline. */
void schedule_shift(struct rcpt_state *state, int64_t held_ms);
