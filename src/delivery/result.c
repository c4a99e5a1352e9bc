/*
 * result: from what the hosts said to what is stored.
 *
 * 1. A failure for now asks the schedule strategy again, so a recipient may change its queue; and
 *    the route strategy, for the hint by which jobs are grouped.
 * 2. What was not asked spends no attempt.
 * 3. A failure of mail that nobody can be told about is dropped, loudly.
 */
#include "base/check.h"
#include "base/mem.h"
#include "delivery/events.h"
#include "delivery/filters.h"
#include "delivery/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "smtp/answer.h"

enum { NOT_ASKED_WAIT_MS = 60 * 1000 };

void outcome_add(struct outcome *o, const struct outcome *more)
{
    if (!outcome_is_final(o) && more->kind >= o->kind && more->kind != OUTCOME_NONE) {
        *o = *more;
    }
}

static struct enhanced status_parse(const char *status)
{
    return (struct enhanced){(uint8_t)(status[0] - '0'), (uint16_t)(status[2] - '0'),
                             (uint16_t)(status[4] - '0')};
}

struct outcome outcome_of(enum outcome_kind kind, enum last_error error, const char *status,
                          struct str text, struct str host)
{
    struct outcome o = {.kind = kind, .error = error, .text = text, .host = host};

    o.esc = status_parse(status);
    if (status[5] != '\0') { /* "5.1.10" */
        o.esc.detail = (uint16_t)(o.esc.detail * 10 + (status[5] - '0'));
    }
    return o;
}

struct rcpt_state state_next(const struct recipient *r)
{
    struct rcpt_state s = r->state;

    s.version++;
    return s;
}

static void tell(const struct event_kind *kind, const struct message *m, const struct recipient *r,
                 const struct rcpt_state *s, int64_t duration_us)
{
    const struct last_result *last = &s->last;
    char status[ENHANCED_BYTES];

    event_raise(kind, f_message(m->id), f_rcpt_index(r - m->to), f_rcpt(r->address),
                f_sender(m->sender), f_queue(r->state.queue), f_host(last->host),
                f_code(last->code), f_status(enhanced_print(last->esc, status)), f_text(last->text),
                f_attempts(s->attempts), f_duration(duration_us));
}

static void tell_deferred(const struct message *m, const struct recipient *r,
                          const struct rcpt_state *s, int64_t duration_us)
{
    const struct last_result *last = &s->last;
    char status[ENHANCED_BYTES];

    event_raise(&ev_delivery_deferred, f_message(m->id), f_rcpt_index(r - m->to),
                f_rcpt(r->address), f_sender(m->sender), f_queue(r->state.queue),
                f_host(last->host), f_code(last->code), f_status(enhanced_print(last->esc, status)),
                f_text(last->text), f_attempts(s->attempts), f_next(s->next),
                f_duration(duration_us));
}

void state_fail(const struct message *m, const struct recipient *r, struct rcpt_state *s)
{
    if (s->last.error == LAST_NONE) {
        s->last = (struct last_result){.error = LAST_IO,
                                       .esc = {5, 4, 7},
                                       .text = STR("its time was over before it could be tried"),
                                       .host = STR("localhost"),
                                       .at = clock_date()};
    }
    s->status = RCPT_FAILED;
    s->owed = may_notify(m, r, NOTIFY_FAILURE) ? OWED_FAILED : OWED_NONE;
    s->notice = DATE_NEVER;
    tell(&ev_delivery_failed, m, r, s, 0);
    if (!has_somebody_to_tell(m)) {
        tell(&ev_double_bounce, m, r, s, 0);
    }
}

const struct schedule *schedule_of(struct job *j, const struct recipient *r, struct asking *k,
                                   struct when by)
{
    struct work *w = j->work;
    struct subject s = {.message = &w->parcel->message,
                        .recipient = r,
                        .facts = {.now = clock_date(), .mx = STR_EMPTY}};
    struct decision d = {0};
    const struct schedule *chosen = ask_schedule(w->plan, &s, k, &w->arena, &d, by);

    if (chosen != NULL && d.is_fallback) {
        queue_schedule_fallback(w->queue, w->message, r->address, &d);
    }
    return chosen;
}

/* The server stops, or the slot was taken away, in the middle of a look-up: as if it had not been
 * asked, since a schedule that nobody chose must not move it. */
static void undecided(const struct recipient *r, struct rcpt_state *s)
{
    struct rcpt_state fresh = state_next(r);

    fresh.last = s->last;
    fresh.next = date_add(clock_date(), NOT_ASKED_WAIT_MS);
    *s = fresh;
}

static void fail_for_now(struct job *j, const struct recipient *r, struct rcpt_state *s,
                         int64_t duration_us, struct when by)
{
    const struct message *m = &j->work->parcel->message;
    struct arena *a = &j->work->arena;
    struct asking asking = {.asker = j->l->d->options.asker, .arena = a};
    struct recipient changed = *r;
    struct decision d;
    const struct schedule *schedule;
    const struct plan_route *route;

    changed.state = *s;
    schedule = schedule_of(j, &changed, &asking, by);
    if (schedule == NULL) {
        undecided(r, s);
        return;
    }
    if (schedule_failed(schedule, m->arrived, clock_date(), (uint32_t)random_u64(), s) ==
        SCHEDULE_OVER) {
        state_fail(m, r, s);
        return;
    }
    bool moves = !str_eq(changed.state.queue, s->queue);

    changed.state = *s;
    struct subject subject = {
        .message = m, .recipient = &changed, .facts = {.now = clock_date(), .mx = STR_EMPTY}};

    if (moves) {
        s->lane = decide_lane(j->work->plan, &subject, a);
    }
    route = ask_route(j->work->plan, &subject, &asking, a, &d, by);
    if (route != NULL) {
        s->site = plan_site(route, r->address, a);
    }
    tell_deferred(m, r, s, duration_us);
    j->l->deferred++;
}

/* RFC 2852: a relay is told where it is to be traced, or where the next host does not watch the
 * time. NOTIFY, where it was given, must allow news of something other than failure. */
static bool tells_relay(const struct message *m, const struct recipient *r, const struct outcome *o)
{
    bool wanted = m->by != BY_NONE && (m->by_trace || o->is_untimed);

    return wanted && o->code != 0 && !o->is_local && has_somebody_to_tell(m) &&
           (r->notify == 0 || (r->notify & (NOTIFY_SUCCESS | NOTIFY_DELAY)) != 0);
}

static void done(struct job *j, const struct recipient *r, const struct outcome *o,
                 struct rcpt_state *s, int64_t duration_us)
{
    const struct message *m = &j->work->parcel->message;

    s->status = RCPT_DELIVERED;
    s->notice = DATE_NEVER;
    s->owed = OWED_NONE;
    if (may_notify(m, r, NOTIFY_SUCCESS)) {
        s->owed = o->is_local ? OWED_DELIVERED : o->is_relayed ? OWED_RELAYED : OWED_NONE;
    }
    if (s->owed == OWED_NONE && tells_relay(m, r, o)) {
        s->owed = OWED_RELAYED;
    }
    tell(&ev_delivery_done, m, r, s, duration_us);
    j->l->delivered++;
}

/* What the hosts said to recipient i, as its next state. */
static struct rcpt_state result_of(struct job *j, uint32_t i, struct date now, int64_t duration_us,
                                   struct when by)
{
    const struct message *m = &j->work->parcel->message;
    const struct recipient *r = job_recipient(j, i);
    const struct outcome *o = &j->outcomes[i];
    struct rcpt_state s = state_next(r);

    if (o->kind == OUTCOME_NONE && fiber_is_cancelled()) {
        return s; /* cut short: all is as it was before */
    }
    if (o->kind == OUTCOME_NONE && j->limited_until.ms > 0) {
        s.next = j->limited_until;
        s.last = limited_result(j->limited_by, &j->work->arena);
        return s;
    }
    if (o->kind == OUTCOME_NONE) {
        s.next = date_add(now, NOT_ASKED_WAIT_MS);
        return s;
    }
    s.last = (struct last_result){.error = o->error,
                                  .code = o->code,
                                  .esc = o->esc,
                                  .text = str_head(o->text, RESULT_TEXT_BYTES_MAX),
                                  .host = o->host,
                                  .at = now};
    switch (o->kind) {
    case OUTCOME_DONE:
        done(j, r, o, &s, duration_us);
        break;
    case OUTCOME_FAILED:
    case OUTCOME_HOST_FAILED:
        state_fail(m, r, &s);
        j->l->failed++;
        break;
    case OUTCOME_LATER:
    case OUTCOME_LATER_REPLY:
        fail_for_now(j, r, &s, duration_us, by);
        break;
    case OUTCOME_NONE:
        never("handled above");
    }
    return s;
}

static bool is_recorded(const struct job *j, uint32_t i)
{
    return j->recorded != NULL && j->recorded[i];
}

static bool is_at_end(const struct outcome *o)
{
    return o->kind == OUTCOME_DONE || o->kind == OUTCOME_FAILED;
}

static bool was_attempted(const struct job *j)
{
    for (uint32_t i = 0; i < j->work->to_count; i++) {
        if (j->outcomes[i].kind != OUTCOME_NONE) {
            return true;
        }
    }
    return false;
}

void results_of(struct job *j, int64_t duration_us, struct when by)
{
    struct work *w = j->work;
    struct date now = clock_date();
    uint32_t kept = 0;

    by = when_within(by, LOOKUPS_MS);
    w->tells = filters_hear(j->l) && was_attempted(j);
    for (uint32_t i = 0; i < w->to_count; i++) {
        if (!is_recorded(j, i)) {
            w->to[kept] = w->to[i];
            j->outcomes[kept++] = j->outcomes[i];
        }
    }
    w->to_count = kept;
    w->results = arena_array(&w->arena, w->to_count, sizeof *w->results);
    for (uint32_t i = 0; i < w->to_count; i++) {
        w->results[i] = result_of(j, i, now, duration_us, by);
    }
}

/* Kept in the work, since filters hear of all its recipients at once. */
static void part_keep(struct job *j, uint32_t to, const struct rcpt_state *s)
{
    struct arena *a = &j->work->arena;
    struct rcpt_state *kept;

    if (j->part_to == NULL) {
        j->part_to = arena_array(a, j->work->to_count, sizeof *j->part_to);
        j->part_states = arena_array(a, j->work->to_count, sizeof *j->part_states);
    }
    kept = &j->part_states[j->part_count];
    j->part_to[j->part_count++] = to;
    *kept = *s;
    kept->last.text = arena_dup(a, s->last.text);
    kept->last.host = arena_dup(a, s->last.host);
}

static void part_add(struct work_part *p, uint32_t to, struct rcpt_state s)
{
    struct arena *a = &p->arena;

    s.last.text = arena_dup(a, s.last.text);
    s.last.host = arena_dup(a, s.last.host);
    s.queue = arena_dup(a, s.queue);
    s.lane = arena_dup(a, s.lane);
    s.site = arena_dup(a, s.site);
    s.route = arena_dup(a, s.route);
    s.held_by = arena_dup(a, s.held_by);
    s.held_why = arena_dup(a, s.held_why);
    p->to[p->count] = to;
    p->results[p->count++] = s;
}

void results_part(struct job *j, int64_t duration_us)
{
    struct work *w = j->work;
    struct date now = clock_date();
    struct work_part *p;
    uint32_t ended = 0, left = 0;

    for (uint32_t i = 0; i < w->to_count; i++) {
        bool ends = is_at_end(&j->outcomes[i]);

        ended += ends && !is_recorded(j, i);
        left += !ends;
    }
    if (ended == 0 || left == 0) {
        return; /* nothing new, or the last results come at once */
    }
    if (j->recorded == NULL) {
        j->recorded = arena_array(&w->arena, w->to_count, sizeof *j->recorded);
    }
    p = MEM_NEW(struct work_part);
    p->work = w;
    p->message = w->message;
    p->to = arena_array(&p->arena, ended, sizeof *p->to);
    p->results = arena_array(&p->arena, ended, sizeof *p->results);
    for (uint32_t i = w->to_count; i-- > 0;) {
        if (!is_at_end(&j->outcomes[i])) {
            p->first = w->to[i]; /* in the end: the lowest */
        }
    }
    p->to_count = left;
    for (uint32_t i = 0; i < w->to_count; i++) {
        if (is_at_end(&j->outcomes[i]) && !j->recorded[i]) {
            struct rcpt_state s = result_of(j, i, now, duration_us, WHEN_NEVER); /* no look-ups */

            if (filters_hear(j->l)) {
                part_keep(j, w->to[i], &s);
            }
            part_add(p, w->to[i], s);
            j->recorded[i] = true;
        }
    }
    slot_part(j->slot, p);
}
