#include "inbound/inbound.h"

#include "base/mem.h"
#include "hooks/engine.h"
#include "inbound/part.h"
#include "runtime/clock.h"

/* After a cut, sessions that wait for the store get this long to say what came of it. */
static const int64_t storing_ms = 30000;

struct inbound *inbound_new(const struct inbound_options *o)
{
    struct inbound *in = MEM_NEW(struct inbound);

    must(o->worker_count > 0);
    in->home = o->home;
    in->worker_count = o->worker_count;
    in->sessions_cap = o->sessions_max;
    in->place.queue = o->queue;
    in->place.store = o->store;
    in->engine = o->engine;
    atomic_init(&in->place.held, 0);
    list_init(&in->doors);
    list_init(&in->all);
    signal_init(&in->came_home);
    in->workers = mem_array(o->worker_count, sizeof *in->workers);
    for (unsigned i = 0; i < o->worker_count; i++) {
        struct worker *w = &in->workers[i];

        w->in = in;
        w->loop = o->workers[i];
        list_init(&w->sessions);
        list_init(&w->ended);
        signal_init(&w->changed);
    }
    return in;
}

void inbound_free(struct inbound *in)
{
    struct link *k;

    must(list_is_empty(&in->doors));
    while ((k = list_pop(&in->all)) != NULL) {
        struct session *s = CONTAINER_OF(k, struct session, all);

        /* Its way was cut short by the end of a loop. */
        if (s->guest != NULL) {
            guest_refuse(s->guest, STR_EMPTY);
        }
        visitor_leaves(in, s);
        mem_free(s);
    }
    for (unsigned i = 0; i < in->worker_count; i++) {
        policy_drop(in->workers[i].policy);
        policy_drop(atomic_load(&in->workers[i].next));
    }
    policy_drop(in->policy);
    clients_free(in);
    limits_free(in->limits);
    mem_free(in->workers);
    mem_free(in);
}

uint32_t inbound_sessions(const struct inbound *in)
{
    return in->sessions;
}

size_t inbound_bound(const struct inbound *in, struct arena *a, const struct addr **ret)
{
    size_t count = 0;
    struct addr *all;

    LIST_EACH (&in->doors, k) {
        count++;
    }
    all = arena_array(a, count, sizeof *all);
    *ret = all;
    LIST_EACH (&in->doors, k) {
        *all++ = listener_addr(CONTAINER_OF(k, struct door, link)->listener);
    }
    return count;
}

struct policy *worker_policy(struct worker *w)
{
    struct policy *next = NULL;

    if (atomic_load_explicit(&w->next, memory_order_relaxed) != NULL) {
        next = atomic_exchange_explicit(&w->next, NULL, memory_order_acquire);
    }
    if (next != NULL) {
        policy_drop(w->policy);
        w->policy = next;
    }
    return w->policy;
}

static void tell_all(struct inbound *in, struct policy *policy)
{
    for (unsigned i = 0; i < in->worker_count; i++) {
        policy_drop(atomic_exchange_explicit(&in->workers[i].next, policy_share(policy),
                                             memory_order_acq_rel));
    }
}

static struct worker *ordered(struct post *post)
{
    return CONTAINER_OF(post, struct order, post)->worker;
}

static void order(struct worker *w, struct order *o, void (*run)(struct post *))
{
    o->worker = w;
    o->post.run = run;
    loop_post(w->loop, &o->post);
}

static void on_stop(struct post *post)
{
    struct worker *w = ordered(post);

    w->stopping = true;
    LIST_EACH (&w->sessions, k) {
        session_stop(CONTAINER_OF(k, struct session, link));
    }
}

static void on_cut(struct post *post)
{
    struct worker *w = ordered(post);

    LIST_EACH (&w->sessions, k) {
        struct session *s = CONTAINER_OF(k, struct session, link);

        if (s->server.phase != SERVER_STORING) {
            group_cancel(&s->group);
        }
    }
}

static void on_end(struct post *post)
{
    struct worker *w = ordered(post);

    w->finish = true;
    signal_raise(&w->changed);
}

struct err inbound_use(struct inbound *in, struct policy *policy, struct buf *why, struct when by)
{
    struct err e;

    if (in->engine != NULL) {
        engine_use(in->engine, policy->chain);
    }
    /* The workers' policy must be there before the first session is. */
    if (in->policy == NULL) {
        tell_all(in, policy);
    }
    e = doors_use(in, policy, why);
    if (e.code) {
        if (in->engine != NULL && in->policy != NULL) {
            engine_use(in->engine, in->policy->chain); /* the old filters stay */
        }
        policy_drop(policy);
        return e;
    }
    visitors_use_plan(in, policy->plan);
    if (in->policy != NULL) {
        tell_all(in, policy);
    }
    policy_drop(in->policy);
    in->policy = policy;
    doors_close_unwanted(in, by);
    return ERR_OK;
}

void session_come_home(struct post *post)
{
    struct session *s = CONTAINER_OF(post, struct session, post);
    struct inbound *in = s->worker->in;

    must(in->sessions > 0 && s->worker->count > 0);
    s->worker->count--;
    in->sessions--;
    client_left(in, s);
    visitor_leaves(in, s);
    list_remove(&s->all);
    mem_free(s);
    signal_raise(&in->came_home);
}

static void send_home(struct worker *w, struct when by)
{
    struct link *k;

    while ((k = list_pop(&w->ended)) != NULL) {
        struct session *s = CONTAINER_OF(k, struct session, link);

        (void)group_join(&s->group, by);
        s->post.run = session_come_home;
        loop_post(w->in->home, &s->post);
    }
}

void inbound_serve(struct inbound *in, unsigned worker)
{
    struct worker *w = &in->workers[worker];
    struct link *k;

    for (;;) {
        send_home(w, WHEN_NEVER);
        if (w->finish && list_is_empty(&w->sessions)) {
            break;
        }
        if (signal_wait(&w->changed, "sessions", WHEN_NEVER).code != OK) {
            break;
        }
    }
    w->closed = true;
    while ((k = list_first(&w->sessions)) != NULL) {
        struct session *s = CONTAINER_OF(k, struct session, link);

        group_cancel(&s->group);
        (void)group_join(&s->group, WHEN_NEVER);
        send_home(w, WHEN_NEVER);
    }
    send_home(w, WHEN_NEVER);
}

/* True when no session is left. */
static bool wait_empty(struct inbound *in, struct when by)
{
    while (in->sessions > 0 && signal_wait(&in->came_home, "sessions to end", by).code == OK) {
    }
    return in->sessions == 0;
}

void inbound_stop(struct inbound *in, int64_t grace_ms, struct when by)
{
    if (in->stopping) {
        (void)wait_empty(in, by);
        return;
    }
    in->stopping = true;
    LIST_EACH (&in->doors, k) {
        CONTAINER_OF(k, struct door, link)->wanted = false;
    }
    doors_close_unwanted(in, WHEN_NEVER);
    for (unsigned i = 0; i < in->worker_count; i++) {
        order(&in->workers[i], &in->workers[i].stop, on_stop);
    }
    if (!wait_empty(in, when_within(by, grace_ms))) {
        for (unsigned i = 0; i < in->worker_count; i++) {
            order(&in->workers[i], &in->workers[i].cut, on_cut);
        }
        (void)wait_empty(in, when_within(by, storing_ms));
    }
    for (unsigned i = 0; i < in->worker_count; i++) {
        order(&in->workers[i], &in->workers[i].end, on_end);
    }
}
