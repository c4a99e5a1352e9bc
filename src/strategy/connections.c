/*
 * connections: the objects of queue.connection, each with the addresses it connects from.
 */
#include "base/check.h"
#include "strategy/plan.h"

static const struct source_ip_settings *particulars(const struct plan_full *p,
                                                    const struct addr *ip)
{
    char usual[ADDR_BYTES];
    const struct config_object *o = config_object(p->config, &source_ip_table,
                                                  addr_print_ip(ip, usual));

    return o != NULL ? o->settings : NULL;
}

static void add_sources(struct plan_full *p, struct plan_connection *c)
{
    const struct addr_list *ips = &c->settings->source_ips;
    const struct strategy_services *services = p->services;
    struct position at = plan_where(p, c->settings, "source-ips");
    char room[ADDR_BYTES];

    c->sources = arena_array(&p->arena, ips->count + 1, sizeof *c->sources);
    for (size_t i = 0; i < ips->count; i++) {
        const struct source_ip_settings *more = particulars(p, &ips->items[i]);
        struct str shown = addr_print_ip(&ips->items[i], room);

        for (size_t k = 0; k < i; k++) {
            if (addr_eq_ip(&ips->items[i], &ips->items[k])) {
                fault_error(p->faults, at, "queue.connection.%.*s: %.*s stands twice in source-ips",
                            STR_ARG(c->name), STR_ARG(shown));
                fault_hint(p->faults, "weights are in queue.source-ip: { \"%.*s\": { weight: 2 } }",
                           STR_ARG(shown));
            }
        }
        if (services->is_own_address != NULL &&
            !services->is_own_address(services->ctx, &ips->items[i])) {
            fault_warn(p->faults, at, "%.*s is no address of this host", STR_ARG(shown));
            fault_hint(p->faults, "until it is one, what would leave from it waits");
        }
        c->sources[c->source_count++] = (struct plan_source){
            .ip = ips->items[i],
            .ehlo_hostname = more != NULL && more->ehlo_hostname.len > 0 ? more->ehlo_hostname
                                                                         : c->ehlo_hostname,
            .weight = more != NULL ? more->weight : 1};
    }
}

/* Those that no connection names. */
static void check_source_objects(struct plan_full *p)
{
    size_t count;
    const struct config_object *objects = config_objects(p->config, &source_ip_table, &count);
    const struct plan *plan = &p->plan;

    for (size_t i = 0; i < count; i++) {
        struct addr ip;
        bool is_named = false;

        must(addr_parse_ip(objects[i].name, &ip));
        for (size_t k = 0; k < plan->connection_count; k++) {
            for (size_t s = 0; s < plan->connections[k].source_count; s++) {
                is_named = is_named || addr_eq_ip(&plan->connections[k].sources[s].ip, &ip);
            }
        }
        if (!is_named) {
            fault_warn(p->faults, objects[i].at,
                       "queue.source-ip.%.*s: no queue.connection has it in source-ips",
                       STR_ARG(objects[i].name));
        }
    }
}

void plan_add_connections(struct plan_full *p)
{
    size_t count;
    const struct config_object *objects = config_objects(p->config, &connection_table, &count);
    struct plan *plan = &p->plan;

    plan->connections = arena_array(&p->arena, count + 1, sizeof *plan->connections);
    for (size_t i = 0; i < count; i++) {
        struct plan_connection *c = &plan->connections[plan->connection_count++];
        const struct connection_settings *set = objects[i].settings;

        *c = (struct plan_connection){.name = objects[i].name,
                                      .settings = set,
                                      .at = objects[i].at,
                                      .ehlo_hostname = set->ehlo_hostname};
        if (c->ehlo_hostname.len == 0) {
            c->ehlo_hostname = arena_dup(&p->arena, p->services->hostname);
        }
        if (set->rest.count == 0) {
            fault_error(p->faults, plan_where(p, set, "rest"),
                        "queue.connection.%.*s: rest is empty", STR_ARG(c->name));
        }
        add_sources(p, c);
        map_put(&p->lists[STRATEGY_CONNECTION].objects, c->name, c);
    }
    check_source_objects(p);
}

const struct plan_source *plan_source_for(const struct plan_connection *c, uint8_t family,
                                          uint64_t chance)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < c->source_count; i++) {
        sum += c->sources[i].ip.family == family ? c->sources[i].weight : 0;
    }
    if (sum == 0) {
        return NULL;
    }
    chance %= sum;
    for (size_t i = 0; i < c->source_count; i++) {
        uint64_t weight = c->sources[i].ip.family == family ? c->sources[i].weight : 0;

        if (chance < weight) {
            return &c->sources[i];
        }
        chance -= weight;
    }
    never("the weights have a sum");
}
