/*
 * A pass goes to the home loop to be let in, and again to be let out. Its asker waits firmly for
 * the answer to each post that it has sent, so the pass may be looked at on both sides in turn;
 * when its time is over while it stands in line, it sends a second post to be taken out, and goes
 * by what home has decided in the end.
 */
#include "hooks/state.h"

#include "base/mem.h"
#include "hooks/events.h"
#include "runtime/clock.h"
#include "runtime/log.h"

const int64_t latency_bounds_ms[LATENCY_BUCKETS] = {1,   2,   5,    10,   20,    50,
                                                    100, 500, 1000, 5000, 30000, INT64_MAX};

enum pass_at { PASS_SENT, PASS_WAITS, PASS_IN, PASS_SHUT, PASS_FULL };

/* Each answer has a post of its own: an earlier one may still be on its way. */
enum { ANSWER_ENTER, ANSWER_TURN, ANSWER_WITHDRAWN, ANSWERS };
struct pass_answer {
    struct post post;
    struct pass *pass;
    enum pass_at at;
};

struct pass {
    struct post post;
    struct pass_answer answers[ANSWERS];
    struct gate_waiter waiter;
    struct filter_state *state;
    struct loop *loop;
    struct fiber *asker;
    enum pass_at at;     /* home's */
    enum pass_at answer; /* the asker's */
    bool is_withdrawn;   /* the asker's */
    bool is_probe;
    enum breaker_result result;
    struct when until; /* PASS_SHUT: the end of the breaker's pause */
};

/* ---- at home ---- */

static void returns(struct post *post)
{
    struct pass_answer *a = CONTAINER_OF(post, struct pass_answer, post);
    struct pass *p = a->pass;

    if (a == &p->answers[ANSWER_WITHDRAWN]) {
        p->is_withdrawn = true;
    } else {
        p->answer = a->at;
    }
    fiber_wake(p->asker);
}

static void send_back(struct pass *p, unsigned which, enum pass_at at)
{
    struct pass_answer *a = &p->answers[which];

    p->at = at;
    *a = (struct pass_answer){.post.run = returns, .pass = p, .at = at};
    loop_post(p->loop, &a->post);
}

static void note_breaker(struct filter_state *s)
{
    atomic_store_explicit(&s->breaker_now, (unsigned)s->breaker.state, memory_order_relaxed);
    atomic_store_explicit(&s->working, s->gate.busy, memory_order_relaxed);
    atomic_store_explicit(&s->waiting, s->gate.waiting_count, memory_order_relaxed);
}

/* It is in the gate; the breaker has the last word. */
static void admit(struct pass *p, unsigned which)
{
    struct filter_state *s = p->state;

    switch (breaker_enter(&s->breaker, &s->limits.breaker, clock_now())) {
    case BREAKER_PROBE:
        p->is_probe = true;
        break;
    case BREAKER_ASK:
        break;
    case BREAKER_REFUSE:
        gate_leave(&s->gate);
        p->until = s->breaker.until;
        send_back(p, which, PASS_SHUT);
        return;
    }
    send_back(p, which, PASS_IN);
}

static void admit_next(struct filter_state *s)
{
    struct gate_waiter *w;

    while ((w = gate_next(&s->gate, s->limits.concurrency)) != NULL) {
        admit(CONTAINER_OF(w, struct pass, waiter), ANSWER_TURN);
    }
    note_breaker(s);
}

static void enters(struct post *post)
{
    struct pass *p = CONTAINER_OF(post, struct pass, post);
    struct filter_state *s = p->state;

    switch (gate_enter(&s->gate, &p->waiter, s->limits.concurrency, s->limits.queue)) {
    case GATE_IN:
        admit(p, ANSWER_ENTER);
        break;
    case GATE_WAIT:
        send_back(p, ANSWER_ENTER, PASS_WAITS);
        break;
    case GATE_FULL:
        send_back(p, ANSWER_ENTER, PASS_FULL);
        break;
    }
    note_breaker(s);
}

/* Its time was over; it may have come in all the same. */
static void withdraws(struct post *post)
{
    struct pass *p = CONTAINER_OF(post, struct pass, post);
    struct filter_state *s = p->state;

    gate_withdraw(&s->gate, &p->waiter);
    if (p->at == PASS_IN) {
        (void)breaker_leave(&s->breaker, &s->limits.breaker, p->is_probe, BREAKER_GIVEN_UP,
                            clock_now());
        gate_leave(&s->gate);
    }
    send_back(p, ANSWER_WITHDRAWN, p->at);
    admit_next(s);
}

static void leaves(struct post *post)
{
    struct pass *p = CONTAINER_OF(post, struct pass, post);
    struct filter_state *s = p->state;

    if (breaker_leave(&s->breaker, &s->limits.breaker, p->is_probe, p->result, clock_now())) {
        event_raise(
            s->breaker.state == BREAKER_OPEN ? &ev_filter_shunned : &ev_filter_back,
            f_name(s->name),
            f_duration(s->breaker.state == BREAKER_OPEN ? s->limits.breaker.pause_ms * 1000 : 0));
    }
    gate_leave(&s->gate);
    admit_next(s);
    mem_free(p);
}

/* ---- the asker's side ---- */

static void go_home(struct pass *p, void (*run)(struct post *))
{
    p->post.run = run;
    loop_post(p->state->home, &p->post);
}

static struct err refused(struct pass *p, struct buf *why)
{
    struct err e = err_of(ERR_LIMIT);

    if (p->answer == PASS_FULL) {
        buf_put(why, STR("too many wait for it already"));
        state_add(p->state, busy, 1);
        e = err_of(ERR_BUSY);
    } else {
        int64_t ms = (p->until.ns - clock_now().ns) / NS_PER_MS;

        buf_printf(why, "it has failed too often and is not asked for another %lld ms",
                   (long long)(ms > 0 ? ms : 0));
        state_add(p->state, refused, 1);
    }
    mem_free(p);
    return e;
}

struct err state_enter(struct filter_state *s, struct pass **ret, struct buf *why, struct when by)
{
    struct pass *p = MEM_NEW(struct pass);
    struct err e = ERR_OK;

    p->state = s;
    p->loop = loop_self();
    p->asker = fiber_self();
    go_home(p, enters);
    while (p->answer == PASS_SENT) {
        fiber_wait_firm("to be let in to a filter", by);
    }
    while (p->answer == PASS_WAITS && e.code == OK) {
        e = fiber_wait("turn at a filter", by);
    }
    if (e.code != OK) {
        go_home(p, withdraws);
        while (!p->is_withdrawn) {
            fiber_wait_firm("to be let out of the line", by);
        }
        buf_put(why, STR("no turn came in time"));
        state_add(s, timed_out, e.code == ERR_TIMEOUT ? 1 : 0);
        mem_free(p);
        return e;
    }
    if (p->answer != PASS_IN) {
        return refused(p, why);
    }
    *ret = p;
    return ERR_OK;
}

void state_leave(struct pass *p, enum breaker_result result)
{
    p->result = result;
    go_home(p, leaves);
}

void state_count_latency(struct filter_state *s, int64_t us)
{
    size_t i = 0;

    while (i < LATENCY_BUCKETS - 1 && us > latency_bounds_ms[i] * 1000) {
        i++;
    }
    state_add(s, latency[i], 1);
    state_add(s, latency_us, us > 0 ? (uint64_t)us : 0);
}

struct filter_counts state_counts(const struct filter_state *s)
{
    struct filter_counts c;

#define COPY(what) c.what = atomic_load_explicit(&s->what, memory_order_relaxed)
    COPY(asked);
    COPY(answered);
    COPY(failed);
    COPY(timed_out);
    COPY(refused);
    COPY(busy);
    COPY(acted);
    COPY(edits);
    COPY(skipped);
    COPY(shadowed);
    COPY(unasked);
    COPY(latency_us);
    COPY(working);
    COPY(waiting);
#undef COPY
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        c.latency[i] = atomic_load_explicit(&s->latency[i], memory_order_relaxed);
    }
    c.breaker = (enum breaker_state)atomic_load_explicit(&s->breaker_now, memory_order_relaxed);
    return c;
}
