/*
 * limits: what queue.limiter.outbound counts a job or a connection by.
 *
 * A job is counted once by each value that its recipients have; so are connections, when they are
 * opened, by the recipient they are opened for. Mail that a limit on connections keeps from all its
 * hosts waits, and has spent no attempt.
 */
#include "base/mem.h"
#include "delivery/events.h"
#include "delivery/run_part.h"
#include "runtime/clock.h"
#include "runtime/log.h"

enum { UNMATCHED_TOLD_MS = 60 * 1000, BUSY_WAIT_MS = 5 * 1000 };

static void tell_unmatched(struct delivery_loop *l, const struct plan_limiter *failed)
{
    if (failed != NULL && l->limiter_told.ns <= clock_now().ns) {
        l->limiter_told = when_after(UNMATCHED_TOLD_MS);
        event_raise(&ev_limiter_unmatched, f_name(failed->name));
    }
}

static bool is_counted(const struct limit_key *keys, uint32_t count, const struct limit_key *one)
{
    for (uint32_t i = 0; i < count; i++) {
        if (str_eq(keys[i].rule, one->rule) && str_eq(keys[i].values, one->values)) {
            return true;
        }
    }
    return false;
}

void job_limits(struct job *j)
{
    struct work *w = j->work;
    const struct plan *p = w->plan;
    struct arena *a = &w->arena;
    bool is_local = j->route->settings->type == ROUTE_LOCAL;
    struct limit_use *uses;

    w->limit_count = 0;
    if (p->limiter_count == p->host_limiter_count) {
        return;
    }
    uses = arena_array(a, p->limiter_count, sizeof *uses);
    w->limits = arena_array(a, (size_t)p->limiter_count * w->to_count, sizeof *w->limits);
    for (uint32_t i = 0; i < w->to_count; i++) {
        struct subject s = {.message = &w->parcel->message,
                            .recipient = job_recipient(j, i),
                            .facts = {.now = clock_date(), .mx = STR_EMPTY}};
        const struct plan_limiter *failed;
        uint32_t count = decide_limits(p, LIMITER_MESSAGES, &s, is_local, a, uses, &failed);

        tell_unmatched(j->l, failed);
        for (uint32_t k = 0; k < count; k++) {
            struct limit_key one = {.rule = p->limiters[uses[k].limiter].name,
                                    .values = uses[k].values};

            if (!is_counted(w->limits, w->limit_count, &one)) {
                w->limits[w->limit_count++] = one;
            }
        }
    }
}

bool limits_let_connect(struct run *r, const struct peer *key, uint32_t to, struct link_limits *ret,
                        struct when by)
{
    struct job *j = r->j;
    struct arena *a = &j->work->arena;
    const struct plan *p = j->work->plan;
    struct subject s = {
        .message = &j->work->parcel->message,
        .recipient = job_recipient(j, to),
        .facts = {
            .now = clock_date(), .mx = key->host, .remote_ip = key->to, .local_ip = key->source}};
    const struct plan_limiter *failed;
    struct limit_refusal why;
    struct limit_use *uses;
    int64_t wait_ms;

    *ret = (struct link_limits){0};
    if (p->host_limiter_count == 0) {
        return true;
    }
    uses = arena_array(a, p->limiter_count, sizeof *uses);
    ret->count = decide_limits(p, LIMITER_HOSTS, &s, j->route->settings->type == ROUTE_LOCAL, a,
                               uses, &failed);
    tell_unmatched(j->l, failed);
    ret->keys = arena_array(a, ret->count, sizeof *ret->keys);
    for (uint32_t i = 0; i < ret->count; i++) {
        ret->keys[i] = (struct limit_key){.rule = p->limiters[uses[i].limiter].name,
                                          .values = uses[i].values};
    }
    if (ret->count == 0 || queue_limits_take(j->l->d->queue, ret->keys, ret->count, &why, by)) {
        return true;
    }
    /* A connection that ends tells nobody, so those who wait for one look again. */
    wait_ms = when_is_never(why.until) ? BUSY_WAIT_MS
                                       : (why.until.ns - clock_now().ns) / NS_PER_MS + 1;
    j->limited_until = date_add(clock_date(), wait_ms);
    j->limited_by = ret->keys[why.key].rule;
    ret->count = 0;
    return false;
}

void limits_disconnect(struct delivery_loop *l, const struct link_limits *limits)
{
    if (limits->count > 0) {
        queue_limits_give(l->d->queue, limits->keys, limits->count);
    }
}

void link_limits_copy(struct link_limits *ret, const struct link_limits *from, struct arena *a)
{
    ret->count = from->count;
    ret->keys = arena_array(a, from->count, sizeof *ret->keys);
    for (uint32_t i = 0; i < from->count; i++) {
        ret->keys[i].rule = arena_dup(a, from->keys[i].rule);
        ret->keys[i].values = arena_dup(a, from->keys[i].values);
        ret->keys[i].since = from->keys[i].since;
    }
}

struct last_result limited_result(struct str limiter, struct arena *a)
{
    return (struct last_result){
        .error = LAST_RATE,
        .esc = {4, 4, 5},
        .text = limiter.len > 0 ? arena_printf(a, "held back by limiter %.*s", STR_ARG(limiter))
                                : STR("held back by a limit until its time was over"),
        .host = STR("localhost"),
        .at = clock_date()};
}
