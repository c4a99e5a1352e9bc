/*
 * note: a recipient's second clock has come while it waits: a delay notice is due, or its time is
 * over. A notice that was reached always moves on, told or not (PY-05).
 */
#include "delivery/events.h"
#include "delivery/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"

enum { READ_AGAIN_MS = 10 * 1000 };

/* All clocks of what is held stand still, but for the end of a quarantine: nobody is told. */
static void note_held(const struct message *m, const struct recipient *r, struct date now,
                      struct rcpt_state *s)
{
    if (s->held_drop.ms == 0 || s->held_drop.ms > now.ms) {
        return;
    }
    s->status = RCPT_DROPPED;
    s->owed = OWED_NONE;
    s->notice = DATE_NEVER;
    event_raise(&ev_quarantine_over, f_message(m->id), f_rcpt_index(r - m->to), f_rcpt(r->address),
                f_sender(m->sender), f_queue(s->queue), f_text(s->held_why));
}

static void note_one(struct job *j, const struct recipient *r, struct rcpt_state *s, struct when by)
{
    struct asking asking = {.asker = j->l->d->options.asker, .arena = &j->work->arena};
    const struct schedule *schedule;
    const struct message *m = &j->work->parcel->message;
    struct date now = clock_date();

    if (s->held_since.ms > 0) {
        note_held(m, r, now, s);
        return;
    }
    if (schedule_verdict(s, now, j->work->was_limited) == SCHEDULE_OVER) {
        if (j->work->was_limited && s->attempts == 0) {
            s->last = limited_result(STR_EMPTY, &j->work->arena);
        }
        state_fail(m, r, s);
        j->l->failed++;
        return;
    }
    if (s->notice.ms > now.ms) {
        return; /* over, but never tried: one attempt first (PY-20) */
    }
    schedule = schedule_of(j, r, &asking, by);
    if (schedule == NULL) {
        return; /* the server stops: the clock comes again after the next start */
    }
    if (s->owed == OWED_NONE && may_notify(m, r, NOTIFY_DELAY)) {
        s->owed = OWED_DELAYED;
        event_raise(&ev_delivery_delayed, f_message(m->id), f_rcpt_index(r - m->to),
                    f_rcpt(r->address), f_attempts(s->attempts), f_next(s->next));
    }
    schedule_noticed(schedule, m->arrived, now, s);
}

static void note(struct job *j, struct when by)
{
    struct work *w = j->work;

    by = when_within(by, LOOKUPS_MS);
    w->results = arena_array(&w->arena, w->to_count, sizeof *w->results);
    for (uint32_t i = 0; i < w->to_count; i++) {
        w->results[i] = state_next(job_recipient(j, i));
        note_one(j, job_recipient(j, i), &w->results[i], by);
    }
    queue_noted(w);
}

bool note_at_once(struct job *j)
{
    struct work *w = j->work;

    if (w->parcel == NULL || plan_asks(w->plan, STRATEGY_SCHEDULE)) {
        return false;
    }
    if (w->to == NULL) {
        w->to_count = job_members(&w->parcel->message, w->first, &w->arena, &w->to);
    }
    note(j, WHEN_NEVER); /* without look-ups nothing is waited for */
    return true;
}

void note_given_up(struct job *j)
{
    j->work->to_count = 0;
    queue_noted(j->work);
}

void note_fiber(void *arg)
{
    struct job *j = arg;
    struct err e;

    /* A store that cannot be read now is asked again: the job must not be lost from memory. */
    for (;;) {
        e = envelope_read(j->work, j->l->d->options.store, WHEN_NEVER);
        if (e.code == OK) {
            note(j, WHEN_NEVER);
            return;
        }
        if (e.code == ERR_NOT_FOUND || fiber_sleep(when_after(READ_AGAIN_MS), WHEN_NEVER).code) {
            note_given_up(j);
            return;
        }
    }
}
