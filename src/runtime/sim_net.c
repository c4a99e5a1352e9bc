#include "runtime/sim_net.h"

#include "base/mem.h"
#include "runtime/sim_part.h"
#include "runtime/sim_wire.h"
#include "runtime/stream.h"

#include <errno.h>

enum { WINDOW_BYTES = 512 * 1024, BACKLOG_MAX = 4096, FIRST_PORT = 32768 };

#define SYN_GIVES_UP_NS (127 * NS_PER_S) /* tcp_syn_retries 6 */

struct sim_rule {
    struct sim_rule *older;
    struct sim_net_rule rule;
};

struct sim_guest {
    struct guest guest;
    struct link link;      /* in sim_listener.guests */
    struct transport *end; /* the far end of its connection */
};

struct sim_listener {
    struct listener listener;
    struct link link; /* in sim_world.listeners */
    struct list guests;
    uint32_t guest_count;
    struct fiber *waiting;
};

/* ---- rules ---- */

void sim_net_rule(struct world *world, const struct sim_net_rule *r)
{
    struct sim_world *w = sim_of(world);
    struct sim_rule *mine = MEM_NEW(struct sim_rule);

    mine->rule = *r;
    if (mine->rule.window_bytes == 0) {
        mine->rule.window_bytes = WINDOW_BYTES;
    }
    mine->older = w->rules;
    w->rules = mine;
}

static const struct sim_net_rule *rule_for(const struct sim_world *w, const struct addr *to)
{
    const struct sim_rule *r = w->rules;

    while ((r->rule.to.net.family != 0 && !cidr_match(&r->rule.to, to)) ||
           (r->rule.port != 0 && r->rule.port != to->port)) {
        r = r->older; /* the oldest fits all */
    }
    return &r->rule;
}

/* ---- listeners and guests ---- */

static struct transport *guest_transport(struct guest *g)
{
    struct sim_guest *mine = CONTAINER_OF(g, struct sim_guest, guest);
    struct transport *t = mine->end;

    mem_free(mine);
    return t;
}

static void guest_turn_away(struct guest *g, struct str farewell)
{
    struct transport *t = guest_transport(g);
    struct iovec iov = {(char *)(uintptr_t)farewell.ptr, farewell.len};
    size_t sent;
    unsigned want;

    (void)t->ops->try_send(t, &iov, 1, &sent, &want);
    t->ops->close(t);
}

static const struct guest_ops sim_guest_ops = {guest_transport, guest_turn_away};

static struct err sim_accept(struct listener *l, struct guest **ret, struct when by)
{
    struct sim_listener *s = CONTAINER_OF(l, struct sim_listener, listener);
    struct sim_world *w = sim_here();
    struct link *k;

    while (w->dead || (k = list_pop(&s->guests)) == NULL) {
        struct err e;

        must(s->waiting == NULL);
        s->waiting = fiber_self();
        e = fiber_wait("a guest", by);
        s->waiting = NULL;
        if (e.code != OK) {
            return e;
        }
    }
    s->guest_count--;
    sim_bill(w, 0);
    sim_point(&w->world, "net-accept");
    *ret = &CONTAINER_OF(k, struct sim_guest, link)->guest;
    return ERR_OK;
}

static void sim_listener_close(struct listener *l)
{
    struct sim_listener *s = CONTAINER_OF(l, struct sim_listener, listener);
    struct link *k;

    while ((k = list_pop(&s->guests)) != NULL) {
        struct transport *t = guest_transport(&CONTAINER_OF(k, struct sim_guest, link)->guest);

        wire_reset_far(t);
        t->ops->close(t);
    }
    must(s->waiting == NULL);
    list_remove(&s->link);
    mem_free(s);
}

static const struct listener_ops sim_listener_ops = {sim_accept, sim_listener_close};

static struct sim_listener *listener_at(const struct sim_world *w, const struct addr *at)
{
    struct sim_listener *wild = NULL;
    bool own = addr_is_loopback(at) || addr_eq_ip(at, &w->options.local_v4) ||
               addr_eq_ip(at, &w->options.local_v6);

    LIST_EACH (&w->listeners, k) {
        struct sim_listener *l = CONTAINER_OF(k, struct sim_listener, link);

        if (addr_eq(&l->listener.addr, at)) {
            return l;
        }
        if (own && addr_is_any(&l->listener.addr) && l->listener.addr.port == at->port &&
            l->listener.addr.family == at->family) {
            wild = l;
        }
    }
    return wild;
}

static uint16_t free_port(struct sim_world *w)
{
    w->next_port = w->next_port < FIRST_PORT ? FIRST_PORT : w->next_port;
    return w->next_port++;
}

struct err net_listen(struct addr at, struct listener **ret)
{
    struct sim_world *w = sim_here();
    struct sim_listener *l;

    if (w->dead) {
        return err_sys(ERR_NETWORK, ENETDOWN);
    }
    at.port = at.port ? at.port : free_port(w);
    LIST_EACH (&w->listeners, k) {
        if (addr_eq(&CONTAINER_OF(k, struct sim_listener, link)->listener.addr, &at)) {
            return err_sys(ERR_NETWORK, EADDRINUSE);
        }
    }
    l = MEM_NEW(struct sim_listener);
    l->listener = (struct listener){&sim_listener_ops, at};
    list_init(&l->guests);
    list_push(&w->listeners, &l->link);
    *ret = &l->listener;
    return ERR_OK;
}

/* ---- connecting ---- */

/* A connection to l, whose next guest is its far end; the near one is returned. */
static struct transport *connect_to(struct sim_world *w, struct sim_listener *l, struct addr to,
                                    struct addr local, const struct sim_net_rule *rule)
{
    struct sim_guest *g = MEM_NEW(struct sim_guest);
    struct transport *near = wire_new(w, to, rule, &g->end);

    g->guest = (struct guest){&sim_guest_ops, local, to};
    list_push(&l->guests, &g->link);
    l->guest_count++;
    if (l->waiting != NULL) {
        fiber_wake_with(l->waiting, OK);
    }
    return near;
}

static struct err travel(struct sim_world *w, int64_t ns, struct when by)
{
    struct when until = when_add(w->now, ns), end = when_earlier(until, by);
    struct err e;

    do {
        e = fiber_wait("a connection", end);
    } while (e.code == OK);
    if (w->dead) {
        return err_sys(ERR_NETWORK, ENETDOWN);
    }
    return e.code == ERR_TIMEOUT && until.ns <= by.ns ? ERR_OK : e;
}

static struct err never_answered(struct sim_world *w, struct when by)
{
    struct err e = travel(w, SYN_GIVES_UP_NS, by);

    return e.code == OK ? err_sys(ERR_NETWORK, ETIMEDOUT) : e;
}

static struct addr source_of(struct sim_world *w, const struct addr *to, struct addr from)
{
    if (from.family == 0) {
        from = addr_is_loopback(to) ? *to
               : to->family == 4    ? w->options.local_v4
                                    : w->options.local_v6;
    }
    from.port = free_port(w);
    return from;
}

static enum sim_net_way way_of(struct sim_world *w, const struct sim_net_rule *r)
{
    enum sim_net_way way = r->way;

    if (way == NET_OPEN && rng_ppm(&w->rng, r->refused_ppm)) {
        way = NET_REFUSED;
    } else if (way == NET_OPEN && rng_ppm(&w->rng, r->silent_ppm)) {
        way = NET_SILENT;
    }
    if (way == NET_REFUSED) {
        sim_fault(&w->world, "net-refused");
    } else if (way == NET_SILENT) {
        sim_fault(&w->world, "net-silent");
    }
    return way;
}

struct err net_connect(struct addr to, struct addr from, struct transport **ret, struct addr *local,
                       struct when by)
{
    struct sim_world *w = sim_here();
    struct sim_net_rule rule = *rule_for(w, &to);
    enum sim_net_way way;
    struct sim_listener *l;
    struct transport *near;
    struct err e;

    if (w->dead) {
        return err_sys(ERR_NETWORK, ENETDOWN);
    }
    sim_bill(w, 0);
    sim_point(&w->world, "net-connect");
    way = way_of(w, &rule);
    if (way == NET_UNREACHABLE || (from.family != 0 && from.family != to.family)) {
        return err_sys(ERR_NETWORK, way == NET_UNREACHABLE ? ENETUNREACH : EINVAL);
    }
    if (from.family != 0 && rule_for(w, &from)->way == NET_UNREACHABLE) {
        return err_of(ERR_SOURCE);
    }
    if (way == NET_SILENT) {
        return never_answered(w, by);
    }
    *local = source_of(w, &to, from);
    e = travel(w, rule.latency_ns + rng_time(&w->rng, rule.jitter_ns), by);
    if (e.code != OK) {
        return e;
    }
    l = way == NET_REFUSED ? NULL : listener_at(w, &to);
    if (l != NULL && l->guest_count >= BACKLOG_MAX) {
        return never_answered(w, by);
    }
    near = l != NULL ? connect_to(w, l, to, *local, &rule) : NULL;
    e = travel(w, rule.latency_ns + rng_time(&w->rng, rule.jitter_ns), by);
    if (e.code == OK && near == NULL) {
        e = err_sys(ERR_NETWORK, ECONNREFUSED);
    } else if (e.code != OK && near != NULL) {
        near->ops->close(near);
    }
    if (e.code == OK) {
        *ret = near;
    }
    return e;
}

/* ---- the whole ---- */

void net_init(struct sim_world *w)
{
    list_init(&w->connections);
    list_init(&w->listeners);
    sim_net_rule(&w->world, &(struct sim_net_rule){.latency_ns = 50 * 1000,
                                                   .jitter_ns = 50 * 1000,
                                                   .bytes_per_s = 1000 * 1000 * 1000});
}

void net_done(struct sim_world *w)
{
    struct sim_rule *r;

    must(list_is_empty(&w->listeners));
    must(list_is_empty(&w->connections));
    while ((r = w->rules) != NULL) {
        w->rules = r->older;
        mem_free(r);
    }
}
