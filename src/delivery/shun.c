/*
 * shun: addresses that could not be spoken to lately are asked after their neighbours, so that one
 * that is away does not cost every message a time-out. Neighbours are the addresses of a host, the
 * hosts of an equal preference (RFC 5321 section 5.1 orders the others), and all hosts of a relay.
 */
#include "base/check.h"
#include "delivery/part.h"
#include "runtime/clock.h"

static struct shunned *find(struct delivery_loop *l, const struct addr *at)
{
    for (uint32_t i = 0; i < l->shunned_count; i++) {
        if (addr_eq(&l->shunned[i].at, at)) {
            return &l->shunned[i];
        }
    }
    return NULL;
}

/* The place of the one that is forgotten soonest, when there is no other. */
static struct shunned *place(struct delivery_loop *l)
{
    struct shunned *soonest = &l->shunned[0];

    if (l->shunned_count < SHUNNED_MAX) {
        return &l->shunned[l->shunned_count++];
    }
    for (uint32_t i = 1; i < l->shunned_count; i++) {
        soonest = l->shunned[i].until.ns < soonest->until.ns ? &l->shunned[i] : soonest;
    }
    return soonest;
}

void shun(struct delivery_loop *l, const struct addr *at)
{
    struct shunned *s = find(l, at);

    s = s != NULL ? s : place(l);
    *s = (struct shunned){*at, when_after(SHUN_MS)};
}

void shun_no_more(struct delivery_loop *l, const struct addr *at)
{
    struct shunned *s = find(l, at);

    if (s != NULL) {
        *s = l->shunned[--l->shunned_count];
    }
}

static bool is_shunned(struct delivery_loop *l, const struct addr *at)
{
    struct shunned *s = find(l, at);

    if (s != NULL && s->until.ns <= clock_now().ns) {
        shun_no_more(l, at);
        s = NULL;
    }
    return s != NULL;
}

/* Those that are shunned go to the end, all in the order they had. True: every one is shunned. */
static bool order_addresses(struct delivery_loop *l, struct host *h, struct arena *a)
{
    struct addr *last = arena_array(a, h->addr_count, sizeof *last);
    size_t good = 0, bad = 0;

    for (size_t i = 0; i < h->addr_count; i++) {
        if (is_shunned(l, &h->addrs[i])) {
            last[bad++] = h->addrs[i];
        } else {
            h->addrs[good++] = h->addrs[i];
        }
    }
    for (size_t i = 0; i < bad; i++) {
        h->addrs[good + i] = last[i];
    }
    return good == 0 && bad > 0;
}

void shun_order(struct job *j)
{
    struct arena *a = &j->work->arena;
    bool are_all = j->route->settings->type == ROUTE_RELAY;
    struct host *last;
    size_t good = 0, bad = 0;

    if (j->l->shunned_count == 0) {
        return;
    }
    last = arena_array(a, j->host_count, sizeof *last);
    for (size_t i = 0; i < j->host_count; i++) {
        struct host h = j->hosts[i];

        if (order_addresses(j->l, &h, a)) {
            last[bad++] = h;
        } else {
            j->hosts[good++] = h;
        }
        if (i + 1 == j->host_count || (!are_all && j->hosts[i + 1].preference != h.preference)) {
            for (size_t k = 0; k < bad; k++) {
                j->hosts[good++] = last[k];
            }
            bad = 0;
        }
    }
}
