#include "queue/action.h"

#include "base/check.h"
#include "strategy/ask.h"

static const char *const names[] = {"hold", "release", "retry", "cancel", "move", "reschedule"};

_Static_assert(COUNT_OF(names) == ACTION_COUNT, "one name for each action");

const char *action_name(enum action_kind k)
{
    return names[k];
}

bool action_by_name(struct str name, enum action_kind *ret)
{
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_eq(name, str_of(names[i]))) {
            *ret = (enum action_kind)i;
            return true;
        }
    }
    return false;
}

/* ---- one state ---- */

static enum action_effect hold(const struct action *act, struct date now, struct rcpt_state *s)
{
    if (s->held_since.ms > 0) {
        return EFFECT_NONE;
    }
    s->held_since = now;
    s->held_by = act->who;
    s->held_why = act->why;
    s->held_drop = act->drop;
    return EFFECT_CHANGES;
}

static void end_hold(struct rcpt_state *s)
{
    s->held_since = s->held_drop = (struct date){0};
    s->held_by = s->held_why = STR_EMPTY;
}

static enum action_effect release(const struct message *m, struct date now, struct rcpt_state *s)
{
    int64_t held_ms = now.ms - s->held_since.ms;

    if (s->held_since.ms == 0) {
        return EFFECT_NONE;
    }
    held_ms = held_ms > 0 ? held_ms : 0; /* the clock may have been set back */
    schedule_shift(s, held_ms);
    /* Later retries, notices and expiry count from the base: it moves as well. */
    s->hold_end = date_add(s->hold_end.ms > m->arrived.ms ? s->hold_end : m->arrived, held_ms);
    end_hold(s);
    return EFFECT_CHANGES;
}

static enum action_effect retry(const struct action *act, struct date now, struct rcpt_state *s)
{
    if (s->held_since.ms > 0) {
        return EFFECT_HELD;
    }
    if (act->at.ms > 0 ? s->next.ms == act->at.ms : s->next.ms <= now.ms) {
        return EFFECT_NONE;
    }
    s->next = act->at.ms > 0 ? act->at : now;
    return EFFECT_CHANGES;
}

static struct last_result given_up(struct date now, struct str text)
{
    return (struct last_result){
        .error = LAST_IO, .esc = {5, 7, 1}, .text = text, .host = STR("localhost"), .at = now};
}

static enum action_effect cancel(const struct action *act, const struct message *m,
                                 const struct recipient *r, struct date now, struct arena *a,
                                 struct rcpt_state *s)
{
    bool tells = !act->is_silent && may_notify(m, r, NOTIFY_FAILURE);

    end_hold(s);
    s->status = act->is_silent ? RCPT_DROPPED : RCPT_FAILED;
    s->owed = tells ? OWED_FAILED : OWED_NONE;
    s->notice = DATE_NEVER;
    s->last = given_up(now, act->filter.len > 0 ? arena_printf(a, "cancelled by the filter %.*s",
                                                               STR_ARG(act->filter))
                            : act->why.len > 0  ? arena_printf(a, "cancelled by an operator: %.*s",
                                                               STR_ARG(str_head(act->why, 400)))
                                                : STR("cancelled by an operator"));
    return EFFECT_CHANGES;
}

/* ---- a filter's wishes ---- */

const struct action_change *action_change_of(const struct action *act, uint32_t index)
{
    for (uint32_t i = 0; i < act->change_count; i++) {
        if (act->changes[i].index == index) {
            return &act->changes[i];
        }
    }
    return NULL;
}

/* Not before soon, and not after its time. */
static struct date within(struct date at, struct date now, const struct rcpt_state *s)
{
    struct date end = date_earlier(s->expires, s->deadline);

    end = date_is_never(end) ? date_add(now, wish_ms_max) : end;
    at = date_earlier(at, end);
    return at.ms < now.ms + WISH_MS_MIN ? date_add(now, WISH_MS_MIN) : at;
}

static enum action_effect set_times(const struct action_change *c, struct date now,
                                    struct rcpt_state *s)
{
    struct rcpt_state was = *s;

    if (c->next.ms > 0) {
        s->next = within(c->next, now, s);
    }
    if (c->notice.ms > 0) {
        s->notice = date_is_never(c->notice) ? DATE_NEVER : within(c->notice, now, s);
    }
    return s->next.ms == was.next.ms && s->notice.ms == was.notice.ms ? EFFECT_NONE
                                                                      : EFFECT_CHANGES;
}

static enum action_effect try_again(const struct action_change *c, struct date now,
                                    struct rcpt_state *s)
{
    if (date_earlier(s->expires, s->deadline).ms <= now.ms) {
        return EFFECT_NONE;
    }
    s->status = RCPT_WAITING;
    s->owed = OWED_NONE;
    s->next = c->next.ms > 0 ? c->next : now;
    s->next = within(s->next, now, s);
    (void)set_times(c, now, s);
    return EFFECT_CHANGES;
}

static enum action_effect give_up(const struct action_change *c, const struct message *m,
                                  const struct recipient *r, struct date now, struct arena *a,
                                  struct rcpt_state *s)
{
    bool tells = c->wish == WISH_FAIL && may_notify(m, r, NOTIFY_FAILURE);

    end_hold(s);
    s->status = c->wish == WISH_FAIL ? RCPT_FAILED : RCPT_DROPPED;
    s->owed = tells ? OWED_FAILED : OWED_NONE;
    s->notice = DATE_NEVER;
    s->last = given_up(now, arena_printf(a, "given up by the filter %.*s", STR_ARG(c->by)));
    return EFFECT_CHANGES;
}

static enum action_effect obey_filter(const struct action *act, const struct message *m,
                                      const struct recipient *r, uint32_t index, struct date now,
                                      struct arena *a, struct rcpt_state *s)
{
    const struct action_change *c = action_change_of(act, index);
    bool waits = s->status == RCPT_WAITING;

    if (c == NULL || c->version != s->version || (!waits && s->status != RCPT_FAILED)) {
        return EFFECT_NONE;
    }
    switch (c->wish) {
    case WISH_TIMES:
        return waits ? set_times(c, now, s) : EFFECT_NONE;
    case WISH_AGAIN:
        return waits ? EFFECT_NONE : try_again(c, now, s);
    case WISH_FAIL:
        return waits ? give_up(c, m, r, now, a, s) : EFFECT_NONE;
    case WISH_DROP:
        return give_up(c, m, r, now, a, s);
    }
    never("all wishes were named");
}

/* ---- decisions ---- */

/* One recipient about whom strategies are asked. */
struct deciding {
    const struct action *act;
    const struct message *message;
    const struct acting *k;
    struct asking asking;
};

/* Lane and hint of site, by which jobs are grouped, follow queue and route. Without a route the
 * hint stays: preparing finds out. */
static void settle(struct deciding *d, const struct recipient *r, struct rcpt_state *s,
                   struct when by)
{
    struct arena *a = d->k->arena;
    struct recipient changed = *r;
    struct subject subject = {
        .message = d->message, .recipient = &changed, .facts = {.now = d->k->now, .mx = STR_EMPTY}};
    const struct plan_route *route;
    struct decision decision;

    changed.state = *s;
    s->lane = decide_lane(d->act->plan, &subject, a);
    route = ask_route(d->act->plan, &subject, &d->asking, a, &decision, by);
    if (route != NULL) {
        s->site = plan_site(route, r->address, a);
    }
}

static enum action_effect move(struct deciding *d, const struct recipient *r, struct rcpt_state *s,
                               struct when by)
{
    const struct action *act = d->act;
    bool changes = false;

    if (act->queue.len > 0 && !str_eq(act->queue, s->queue)) {
        s->queue = act->queue;
        changes = true;
    }
    if (act->route.len > 0 && !str_eq(act->route, s->route)) {
        s->route = act->route;
        changes = true;
    }
    if (changes) {
        settle(d, r, s, by);
    }
    return changes ? EFFECT_CHANGES : EFFECT_NONE;
}

static enum action_effect reschedule(struct deciding *d, const struct recipient *r,
                                     struct rcpt_state *s, struct when by)
{
    struct subject subject = {
        .message = d->message, .recipient = r, .facts = {.now = d->k->now, .mx = STR_EMPTY}};
    const struct schedule *schedule;
    struct decision decision;

    if (s->held_since.ms > 0) {
        return EFFECT_HELD;
    }
    schedule = ask_schedule(d->act->plan, &subject, &d->asking, d->k->arena, &decision, by);
    if (schedule == NULL || decision.is_fallback) {
        return EFFECT_UNDECIDED;
    }
    schedule_change(schedule, d->message->arrived, d->k->now, s);
    s->route = STR_EMPTY;
    settle(d, r, s, by);
    return EFFECT_CHANGES;
}

enum action_effect action_apply(const struct action *act, const struct message *m, uint32_t index,
                                const struct acting *k, struct rcpt_state *state, struct when by)
{
    struct recipient now_is = m->to[index], *r = &now_is;
    struct deciding d = {act, m, k, {.asker = k->asker, .arena = k->arena}};
    struct rcpt_state s = *state;
    enum action_effect effect = EFFECT_NONE;

    r->state = s; /* an action before this one may have changed it */
    if (act->kind == ACTION_FILTER) {
        return obey_filter(act, m, r, index, k->now, k->arena, state);
    }
    if (s.status != RCPT_WAITING) {
        return EFFECT_NONE;
    }
    switch (act->kind) {
    case ACTION_HOLD:
        effect = hold(act, k->now, &s);
        break;
    case ACTION_RELEASE:
        effect = release(m, k->now, &s);
        break;
    case ACTION_RETRY:
        effect = retry(act, k->now, &s);
        break;
    case ACTION_CANCEL:
        effect = cancel(act, m, r, k->now, k->arena, &s);
        break;
    case ACTION_MOVE:
        effect = move(&d, r, &s, by);
        break;
    case ACTION_RESCHEDULE:
        effect = reschedule(&d, r, &s, by);
        break;
    case ACTION_COUNT:
    case ACTION_FILTER:
        break;
    }
    if (effect == EFFECT_CHANGES) {
        *state = s;
    }
    return effect;
}
