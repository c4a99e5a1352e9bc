#include "strategy/course.h"

enum { RANDOM_MIDDLE = 1000 }; /* of a jitter: none */

static const struct schedule *decide(struct course *c, struct date now)
{
    c->decided = c->recipient;
    c->decided_at = now;
    c->subject.recipient = &c->decided;
    c->subject.facts = (struct facts){.now = now, .mx = STR_EMPTY};
    return decide_schedule(c->plan, &c->subject, c->arena, &c->decision);
}

/* As acceptance does it, and delivery/result.c when the queue is another. */
static void choose_lane(struct course *c, struct date now)
{
    c->subject.recipient = &c->recipient;
    c->subject.facts = (struct facts){.now = now, .mx = STR_EMPTY};
    c->recipient.state.lane = decide_lane(c->plan, &c->subject, c->arena);
}

void course_begin(struct course *c, const struct plan *p, const struct subject *s,
                  const struct last_result *failure, struct arena *a)
{
    struct date now = s->message->arrived;
    const struct schedule *schedule;

    *c = (struct course){.plan = p, .recipient = *s->recipient, .failure = *failure, .arena = a};
    c->subject = (struct subject){.message = s->message, .answers = s->answers};
    c->recipient.state.deadline = DATE_NEVER;
    schedule = decide(c, now);
    if (schedule == NULL) { /* it needs a look-up that nobody has answered */
        c->is_over = true;
        return;
    }
    schedule_accept(schedule, now, &c->recipient.state);
    choose_lane(c, now);
}

static void fill(const struct course *c, enum course_kind kind, struct date at, uint32_t number,
                 struct course_step *ret)
{
    *ret = (struct course_step){.kind = kind,
                                .at = at,
                                .number = number,
                                .queue = c->recipient.state.queue,
                                .schedule = c->decision.name,
                                .rule = c->decision.at};
}

static bool end(struct course *c, struct date at, struct course_step *ret)
{
    c->is_over = true;
    fill(c, COURSE_END, at, c->recipient.state.attempts, ret);
    return true;
}

/* The attempt that is due fails. True: that was the end. */
static bool fail(struct course *c, struct date now, struct course_step *ret)
{
    struct rcpt_state *state = &c->recipient.state;
    struct str queue = state->queue;
    const struct schedule *schedule;

    state->last = c->failure;
    state->last.at = now;
    schedule = decide(c, now);
    if (schedule == NULL) {
        c->is_over = true;
        return false;
    }
    if (schedule_failed(schedule, c->subject.message->arrived, now, RANDOM_MIDDLE, state) ==
        SCHEDULE_OVER) {
        return end(c, now, ret);
    }
    if (!str_eq(queue, state->queue)) {
        choose_lane(c, now);
    }
    return false;
}

static bool notice(struct course *c, struct date now, struct course_step *ret)
{
    struct rcpt_state *state = &c->recipient.state;
    const struct schedule *schedule;

    fill(c, COURSE_NOTICE, now, state->notices + 1, ret);
    schedule = decide(c, now);
    if (schedule == NULL) {
        c->is_over = true;
    } else {
        schedule_noticed(schedule, c->subject.message->arrived, now, state);
    }
    return true;
}

bool course_next(struct course *c, struct course_step *ret)
{
    struct rcpt_state *state = &c->recipient.state;
    struct date note;

    if (c->is_tried) {
        c->is_tried = false;
        if (fail(c, state->next, ret)) {
            return true;
        }
    }
    if (c->is_over) {
        return false;
    }
    note = schedule_note(state);
    if (note.ms <= state->next.ms && schedule_verdict(state, note, false) == SCHEDULE_OVER) {
        return end(c, note, ret);
    }
    if (state->notice.ms <= state->next.ms) {
        return notice(c, state->notice, ret);
    }
    c->is_tried = true;
    fill(c, COURSE_ATTEMPT, state->next, state->attempts + 1u, ret);
    return true;
}
