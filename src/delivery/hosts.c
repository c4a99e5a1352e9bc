/*
 * hosts: where a job may be delivered: MX or the relay's names to a list of hosts with addresses.
 *
 * 1. A host is ourselves when it has our name, or an address and port that we listen on. It and all
 *    hosts of an equal or larger preference value are left out (RFC 5321 section 5.1).
 * 2. What is looked up is looked up here, before there is a slot; nothing is asked while one is
 *    held.
 */
#include "base/check.h"
#include "delivery/part.h"
#include "dns/dns.h"
#include "dns/idn.h"
#include "mail/address.h"
#include "runtime/random.h"

enum { RELAY_ADDRESSES_MAX = 10 };

static void host_put(struct host *h, struct arena *a, struct str name, const struct addr *addrs,
                     size_t count, uint16_t port)
{
    h->name = name;
    h->addr_count = count;
    h->addrs = arena_array(a, count, sizeof *h->addrs);
    for (size_t i = 0; i < count; i++) {
        h->addrs[i] = addrs[i];
        h->addrs[i].port = port;
    }
}

/* The route's targets in the order of this attempt. */
static const struct plan_target **targets_of(struct job *j)
{
    const struct plan_route *r = j->route;
    struct arena *a = &j->work->arena;
    const struct plan_target **ret = arena_array(a, r->target_count, sizeof(void *));
    uint64_t *chance;
    uint32_t *order;

    if (r->target_count == 1) {
        ret[0] = &r->targets[0];
        return ret;
    }
    chance = arena_array(a, r->target_count, sizeof *chance);
    order = arena_array(a, r->target_count, sizeof *order);
    for (size_t i = 0; i < r->target_count; i++) {
        chance[i] = random_u64();
    }
    plan_targets_order(r, chance, order);
    for (size_t i = 0; i < r->target_count; i++) {
        ret[i] = &r->targets[order[i]];
    }
    return ret;
}

bool hosts_known(struct job *j)
{
    const struct route_settings *r = j->route->settings;

    if (r->type == ROUTE_LOCAL && r->deliver != DELIVER_LMTP) {
        return true;
    }
    if (!j->route->targets_are_known) {
        return false;
    }
    const struct plan_target **targets = targets_of(j);

    j->host_count = j->route->target_count;
    j->hosts = arena_array(&j->work->arena, j->host_count, sizeof *j->hosts);
    for (size_t i = 0; i < j->host_count; i++) {
        host_put(&j->hosts[i], &j->work->arena, targets[i]->host, &targets[i]->ip, 1,
                 targets[i]->port);
    }
    return true;
}

static struct outcome host_outcome(const struct job *j, const struct dns_host *found,
                                   struct str name, bool is_implicit)
{
    struct arena *a = &j->work->arena;

    switch (found->kind) {
    case DNS_HOST_FAILED:
        return outcome_of(OUTCOME_LATER, LAST_DNS, "4.4.3", arena_dup(a, found->why), name);
    case DNS_HOST_LOOPBACK:
        return outcome_of(OUTCOME_HOST_FAILED, LAST_CONNECTION, "5.4.4", arena_dup(a, found->why),
                          name);
    case DNS_HOST_NONE:
        return is_implicit
                   ? outcome_of(OUTCOME_HOST_FAILED, LAST_DNS, "5.1.2",
                                arena_printf(a, "%.*s has neither mail exchangers nor an address",
                                             STR_ARG(name)),
                                name)
                   : outcome_of(OUTCOME_HOST_FAILED, LAST_CONNECTION, "5.4.4",
                                arena_printf(a, "%.*s has no address", STR_ARG(name)), name);
    case DNS_HOST_FOUND:
        break;
    }
    never("a host that was found has no outcome yet");
}

static enum dns_order order_of(enum ip_lookup how)
{
    switch (how) {
    case IP_V4_THEN_V6:
        return DNS_IPV4_FIRST;
    case IP_V6_THEN_V4:
        return DNS_IPV6_FIRST;
    case IP_V4_ONLY:
        return DNS_IPV4_ONLY;
    case IP_V6_ONLY:
        return DNS_IPV6_ONLY;
    }
    never("all orders were named");
}

/* What no host gave hope for becomes the answer for all; true when some host has an address. */
static bool some_has_address(const struct job *j, struct outcome *ret)
{
    bool some = false;

    for (size_t i = 0; i < j->host_count; i++) {
        some = some || j->hosts[i].addr_count > 0;
        outcome_add(ret, &j->hosts[i].failure);
    }
    if (!some && ret->kind == OUTCOME_HOST_FAILED) {
        ret->kind = OUTCOME_FAILED;
    }
    return some;
}

static bool relay_find(struct job *j, struct outcome *ret, struct when by)
{
    struct arena *a = &j->work->arena;
    const struct plan_target **targets = targets_of(j);

    j->hosts = arena_array(a, j->route->target_count, sizeof *j->hosts);
    for (j->host_count = 0; j->host_count < j->route->target_count; j->host_count++) {
        const struct plan_target *t = targets[j->host_count];
        struct host *h = &j->hosts[j->host_count];
        struct dns_host found = {.kind = DNS_HOST_FOUND, .addrs = NULL};

        if (t->ip.family != 0) {
            host_put(h, a, t->host, &t->ip, 1, t->port);
            continue;
        }
        if (dns_host(j->l->d->options.dns, t->host, DNS_IPV4_FIRST, RELAY_ADDRESSES_MAX, true, a,
                     &found, by)
                .code) {
            return false;
        }
        host_put(h, a, t->host, found.addrs, found.count, t->port);
        if (found.kind != DNS_HOST_FOUND) {
            h->failure = host_outcome(j, &found, t->host, false);
        }
    }
    return some_has_address(j, ret);
}

static struct outcome loops_back(const struct job *j)
{
    return outcome_of(OUTCOME_FAILED, LAST_DNS, "5.4.6",
                      arena_printf(&j->work->arena, "mail for %.*s loops back to this server",
                                   STR_ARG(j->domain)),
                      j->domain);
}

/* user@[192.0.2.1]: the address is the only host. */
static bool literal_find(struct job *j, struct outcome *ret)
{
    const struct delivery_options *o = &j->l->d->options;
    struct addr at;

    if (!literal_parse(j->domain, &at)) {
        *ret = outcome_of(OUTCOME_FAILED, LAST_DNS, "5.1.2", STR("not an address literal"),
                          j->domain);
        return false;
    }
    j->hosts = ARENA_NEW(&j->work->arena, struct host);
    j->host_count = 1;
    host_put(j->hosts, &j->work->arena, j->domain, &at, 1, j->route->port);
    if (o->is_own_address(o->ctx, &j->hosts[0].addrs[0])) {
        *ret = loops_back(j);
        return false;
    }
    if (addr_is_loopback(&at) && !j->route->settings->allow_loopback) {
        *ret = outcome_of(OUTCOME_FAILED, LAST_CONNECTION, "5.4.4",
                          STR("a loopback address is no destination"), j->domain);
        return false;
    }
    return true;
}

/* The smallest preference of a host that is ourselves by name; UINT32_MAX: none. */
static uint32_t own_by_name(const struct delivery_options *o, const struct dns_mx *mx)
{
    uint32_t own = UINT32_MAX;

    for (size_t i = 0; i < mx->count; i++) {
        if (mx->hosts[i].preference < own && o->is_own_name(o->ctx, mx->hosts[i].name)) {
            own = mx->hosts[i].preference;
        }
    }
    return own;
}

/* Addresses of one host into j->hosts; *own falls to its preference when it is ourselves. */
static bool host_add(struct job *j, const struct dns_mx *mx, size_t i, uint32_t *own,
                     struct when by)
{
    const struct delivery_options *o = &j->l->d->options;
    const struct route_settings *r = j->route->settings;
    struct arena *a = &j->work->arena;
    struct host *h = &j->hosts[j->host_count];
    struct dns_host found;

    if (dns_host(o->dns, mx->hosts[i].name, order_of(r->ip_lookup), r->addresses_max,
                 r->allow_loopback, a, &found, by)
            .code) {
        return false;
    }
    *h = (struct host){.name = mx->hosts[i].name,
                       .preference = mx->hosts[i].preference,
                       .addrs = found.addrs,
                       .addr_count = found.count};
    for (size_t k = 0; k < h->addr_count; k++) {
        h->addrs[k].port = j->route->port;
        if (o->is_own_address(o->ctx, &h->addrs[k]) && h->preference < *own) {
            *own = h->preference;
        }
    }
    if (found.kind != DNS_HOST_FOUND) {
        h->failure = host_outcome(j, &found, h->name, mx->kind == DNS_MX_IMPLICIT);
    }
    j->host_count++;
    return true;
}

static bool mx_find(struct job *j, struct outcome *ret, struct when by)
{
    const struct delivery_options *o = &j->l->d->options;
    struct arena *a = &j->work->arena;
    struct str asked;
    struct dns_mx mx;

    if (!idn_to_ascii(j->domain, a, &asked)) {
        *ret = outcome_of(OUTCOME_FAILED, LAST_DNS, "5.1.2",
                          STR("the domain is no valid internationalised name"), j->domain);
        return false;
    }
    if (dns_mx(o->dns, asked, 0, a, &mx, by).code) {
        return false;
    }
    if (mx.kind == DNS_MX_NULL || mx.kind == DNS_MX_FAILED) {
        *ret = mx.kind == DNS_MX_NULL
                   ? outcome_of(OUTCOME_FAILED, LAST_DNS, "5.1.10", mx.why, j->domain)
                   : outcome_of(OUTCOME_LATER, LAST_DNS, "4.4.3", mx.why, j->domain);
        return false;
    }

    uint32_t own = own_by_name(o, &mx);

    j->hosts = arena_array(a, mx.count, sizeof *j->hosts);
    j->host_count = 0;
    for (size_t i = 0; i < mx.count && j->host_count < j->route->settings->hosts_max; i++) {
        if (mx.hosts[i].preference < own && !host_add(j, &mx, i, &own, by)) {
            return false;
        }
    }
    while (j->host_count > 0 && j->hosts[j->host_count - 1].preference >= own) {
        j->host_count--;
    }
    if (j->host_count == 0) {
        *ret = loops_back(j);
        return false;
    }
    return some_has_address(j, ret);
}

bool hosts_find(struct job *j, struct outcome *ret, struct when by)
{
    *ret = (struct outcome){0};
    if (j->route->settings->type != ROUTE_MX) {
        return relay_find(j, ret, by);
    }
    if (str_starts(j->domain, STR("["))) {
        return literal_find(j, ret);
    }
    return mx_find(j, ret, by);
}
