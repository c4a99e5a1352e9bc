/*
 * limits: how much may arrive (queue.limiter.inbound): asked at connect, at MAIL and at each RCPT.
 *
 * What was counted is known on the home loop alone. A session asks it by a post and waits; what it
 * was given it holds until its end, or that of its transaction, and gives back in any case: the
 * session's when it comes home, the transaction's at its reset. The wait is a firm one, so that
 * nothing is given to a session that no longer knows of it.
 */
#include "base/mem.h"
#include "inbound/events.h"
#include "inbound/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "strategy/visitors.h"

enum { UNMATCHED_TOLD_MS = 60 * 1000 };

static const char *const stages[] = {
    [VISITOR_CLIENTS] = "CONNECT", [VISITOR_SENDERS] = "MAIL", [VISITOR_RECIPIENTS] = "RCPT"};

/* ---- asking home ---- */

struct asking {
    struct post post;
    struct inbound *in;
    struct limit_key *keys;
    uint32_t count;
    struct limit_refusal why;
    struct loop *back;
    struct fiber *fiber;
    bool taken, answered;
};

static void answered(struct post *p)
{
    struct asking *a = CONTAINER_OF(p, struct asking, post);

    a->answered = true;
    fiber_wake(a->fiber);
}

static void ask_here(struct post *p)
{
    struct asking *a = CONTAINER_OF(p, struct asking, post);
    struct limits *l = a->in->limits;
    struct when now = clock_now();

    /* Nobody stands in line: who is refused comes again. */
    must(limits_next(l, now) == NULL); /* forgets what is as good as new */
    a->taken = limits_take(l, a->keys, a->count, true, now, &a->why);
    p->run = answered;
    loop_post(a->back, p);
}

static void ask(struct asking *a, struct when by)
{
    a->post.run = ask_here;
    a->back = loop_self();
    a->fiber = fiber_self();
    loop_post(a->in->home, &a->post);
    while (!a->answered) {
        fiber_wait_firm("a limit's answer", by);
    }
}

/* ---- what is held ---- */

static bool holds(const struct held *h, const struct limit_key *k)
{
    for (uint32_t i = 0; i < h->count; i++) {
        if (str_eq(h->keys[i].rule, k->rule) && str_eq(h->keys[i].values, k->values)) {
            return true;
        }
    }
    return false;
}

static void hold(struct held *h, const struct limit_key *k)
{
    if (h->count == h->size) {
        h->size = h->size == 0 ? 4 : h->size * 2;
        h->keys = mem_grow(h->keys, h->size, sizeof *h->keys);
    }
    h->keys[h->count++] = (struct limit_key){.rule = arena_dup(&h->arena, k->rule),
                                             .values = arena_dup(&h->arena, k->values),
                                             .since = k->since};
}

static void held_done(struct held *h)
{
    mem_free(h->keys);
    arena_done(&h->arena);
    *h = (struct held){0};
}

struct giving {
    struct post post;
    struct inbound *in;
    struct held held;
};

static void give_here(struct post *p)
{
    struct giving *g = CONTAINER_OF(p, struct giving, post);

    limits_give(g->in->limits, g->held.keys, g->held.count, clock_now());
    held_done(&g->held);
    mem_free(g);
}

void visitor_resets(struct session *s)
{
    struct giving *g;

    if (s->transaction_held.count == 0) {
        return;
    }
    g = MEM_NEW(struct giving);
    g->post.run = give_here;
    g->in = s->worker->in;
    g->held = s->transaction_held;
    s->transaction_held = (struct held){0};
    loop_post(g->in->home, &g->post);
}

void visitor_leaves(struct inbound *in, struct session *s)
{
    must(s->transaction_held.count == 0);
    if (s->session_held.count > 0) {
        limits_give(in->limits, s->session_held.keys, s->session_held.count, clock_now());
        held_done(&s->session_held);
    }
}

/* ---- deciding ---- */

static void tell_unmatched(struct session *s, struct str limiter)
{
    struct worker *w = s->worker;

    if (limiter.len > 0 && w->unmatched_told.ns <= clock_now().ns) {
        w->unmatched_told = when_after(UNMATCHED_TOLD_MS);
        event_raise(&ev_arrival_unmatched, f_session(s->id), f_name(limiter));
    }
}

/* The keys of those that count this and did not yet. */
static uint32_t keys_for(struct session *s, enum visitor_class class, const struct visitor *v,
                         struct arena *a, struct limit_key **ret)
{
    const struct plan *p = s->policy->plan;
    struct visitor_use *uses = arena_array(a, p->visitor_limiter_count, sizeof *uses);
    struct str failed;
    uint32_t count = decide_visitor(p, class, v, a, uses, &failed), wanted = 0;

    tell_unmatched(s, failed);
    *ret = arena_array(a, count + 1, sizeof **ret);
    for (uint32_t i = 0; i < count; i++) {
        struct limit_key k = {.rule = uses[i].limiter->name, .values = uses[i].values};

        if (!uses[i].limiter->is_once || !holds(&s->transaction_held, &k)) {
            (*ret)[wanted++] = k;
        }
    }
    return wanted;
}

static bool let(struct session *s, enum visitor_class class, struct visitor *v,
                struct answer *answer, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct held *held = class == VISITOR_CLIENTS ? &s->session_held : &s->transaction_held;
    struct asking asking = {.in = s->worker->in};
    struct limit_key *keys;

    v->listener = str_of(s->listener);
    v->remote = s->remote;
    v->local = stream_local(s->stream);
    v->is_trusted = s->trusted;
    v->is_tls = s->server.is_tls;
    v->helo = s->server.helo;
    v->authenticated_as = STR_EMPTY; /* AUTH is not offered yet */
    asking.count = keys_for(s, class, v, &a, &keys);
    asking.keys = keys;
    if (asking.count == 0) {
        return true;
    }
    ask(&asking, by);
    if (!asking.taken) {
        answer_fixed(answer, class == VISITOR_CLIENTS ? ANSWER_RATE_CLIENT : ANSWER_RATE);
        event_raise(&ev_arrival_limited, f_session(s->id), f_remote(s->remote_text),
                    f_listener(v->listener), f_stage(str_of(stages[class])),
                    f_name(keys[asking.why.key].rule), f_sender(v->sender), f_rcpt(v->rcpt));
        return false;
    }
    for (uint32_t i = 0; i < asking.count; i++) {
        hold(held, &keys[i]);
    }
    return true;
}

static bool has_limits(const struct session *s)
{
    return s->policy->plan != NULL && s->policy->plan->visitor_limiter_count > 0;
}

static bool let_connect(struct session *s, struct answer *ret, struct when by)
{
    struct visitor v = {.sender = STR_EMPTY, .rcpt = STR_EMPTY};

    return let(s, VISITOR_CLIENTS, &v, ret, by);
}

bool visitor_connects(struct session *s, struct answer *ret, struct when by)
{
    return !has_limits(s) || let_connect(s, ret, by);
}

static bool let_send(struct session *s, const struct mail_args *mail, struct answer *ret,
                     struct when by)
{
    struct visitor v = {
        .sender = mail->from.address, .rcpt = STR_EMPTY, .priority = mail->priority};

    return let(s, VISITOR_SENDERS, &v, ret, by);
}

bool visitor_sends(struct session *s, const struct mail_args *mail, struct answer *ret,
                   struct when by)
{
    return !has_limits(s) || let_send(s, mail, ret, by);
}

static bool let_name(struct session *s, struct str rcpt, struct answer *ret, struct when by)
{
    const struct message *m = &s->intake.parcel->message;
    struct visitor v = {.sender = m->sender, .rcpt = rcpt, .priority = m->priority};

    return let(s, VISITOR_RECIPIENTS, &v, ret, by);
}

bool visitor_names(struct session *s, struct str rcpt, struct answer *ret, struct when by)
{
    return !has_limits(s) || let_name(s, rcpt, ret, by);
}

/* ---- the plan ---- */

void visitors_use_plan(struct inbound *in, const struct plan *plan)
{
    uint32_t count = plan != NULL ? plan->visitor_limiter_count : 0;
    struct limit_rule *rules;

    if (in->limits == NULL && count == 0) {
        return;
    }
    rules = mem_array((size_t)count + 1, sizeof *rules);
    if (in->limits == NULL) {
        in->limits = limits_new(random_u64());
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct plan_visitor_limiter *l = &plan->visitor_limiters[i];

        rules[i] = (struct limit_rule){
            .name = l->name, .rate = l->settings->rate, .concurrency = l->settings->concurrency};
    }
    limits_use(in->limits, rules, count);
    mem_free(rules);
}

uint32_t inbound_refusals(const struct inbound *in, const struct limit_count **ret)
{
    *ret = NULL;
    return in->limits != NULL ? limits_counts(in->limits, ret) : 0;
}
