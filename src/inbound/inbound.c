#include "inbound/inbound.h"

#include "base/mem.h"
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
    atomic_init(&in->place.held, 0);
    list_init(&in->doors);
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
    must(list_is_empty(&in->doors));
    for (unsigned i = 0; i < in->worker_count; i++) {
        policy_drop(in->workers[i].policy);
    }
    policy_drop(in->policy);
    map_done(&in->clients);
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

/* Orders from home to a worker; the post is freed where it runs. */

struct order {
    struct post post;
    struct worker *worker;
    struct policy *policy;
};

static void order(struct worker *w, void (*run)(struct post *), struct policy *policy)
{
    struct order *o = MEM_NEW(struct order);

    o->post.run = run;
    o->worker = w;
    o->policy = policy;
    loop_post(w->loop, &o->post);
}

static struct worker *order_taken(struct post *post, struct policy **policy)
{
    struct order *o = CONTAINER_OF(post, struct order, post);
    struct worker *w = o->worker;

    if (policy != NULL) {
        *policy = o->policy;
    }
    mem_free(o);
    return w;
}

static void on_use(struct post *post)
{
    struct policy *policy;
    struct worker *w = order_taken(post, &policy);

    policy_drop(w->policy);
    w->policy = policy;
}

static void on_stop(struct post *post)
{
    struct worker *w = order_taken(post, NULL);

    w->stopping = true;
    LIST_EACH (&w->sessions, k) {
        session_stop(CONTAINER_OF(k, struct session, link));
    }
}

static void on_cut(struct post *post)
{
    struct worker *w = order_taken(post, NULL);

    LIST_EACH (&w->sessions, k) {
        struct session *s = CONTAINER_OF(k, struct session, link);

        if (s->server.phase != SERVER_STORING) {
            group_cancel(&s->group);
        }
    }
}

static void on_end(struct post *post)
{
    struct worker *w = order_taken(post, NULL);

    w->finish = true;
    signal_raise(&w->changed);
}

struct err inbound_use(struct inbound *in, struct policy *policy, struct buf *why, struct when by)
{
    struct err e;

    /* The workers' policy must be there before the first session is; posts keep their order. */
    if (in->policy == NULL) {
        for (unsigned i = 0; i < in->worker_count; i++) {
            order(&in->workers[i], on_use, policy_share(policy));
        }
    }
    e = doors_use(in, policy, why);
    if (e.code) {
        policy_drop(policy);
        return e;
    }
    if (in->policy != NULL) {
        for (unsigned i = 0; i < in->worker_count; i++) {
            order(&in->workers[i], on_use, policy_share(policy));
        }
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

    while (!(w->finish && list_is_empty(&w->sessions) && list_is_empty(&w->ended))) {
        send_home(w, WHEN_NEVER);
        if (list_is_empty(&w->ended) && !w->finish &&
            signal_wait(&w->changed, "sessions", WHEN_NEVER).code != OK) {
            break;
        }
        if (w->finish && !list_is_empty(&w->sessions) &&
            signal_wait(&w->changed, "last sessions", WHEN_NEVER).code != OK) {
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

static void order_all(struct inbound *in, void (*run)(struct post *))
{
    for (unsigned i = 0; i < in->worker_count; i++) {
        order(&in->workers[i], run, NULL);
    }
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
    in->stopping = true;
    LIST_EACH (&in->doors, k) {
        CONTAINER_OF(k, struct door, link)->wanted = false;
    }
    doors_close_unwanted(in, WHEN_NEVER);
    order_all(in, on_stop);
    if (!wait_empty(in, when_within(by, grace_ms))) {
        order_all(in, on_cut);
        (void)wait_empty(in, when_within(by, storing_ms));
    }
    order_all(in, on_end);
}
