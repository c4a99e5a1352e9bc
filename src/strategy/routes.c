/*
 * routes: the objects of queue.route: which keys go together, and in which order hosts are asked.
 */
#include "base/check.h"
#include "strategy/plan.h"

enum { HOSTS_MAX = 50 };

/* Which keys are for which type of route. */
static const struct {
    const char *key;
    unsigned types;
} route_keys[] = {
    {"address", 1u << ROUTE_RELAY | 1u << ROUTE_LOCAL},
    {"addresses", 1u << ROUTE_RELAY},
    {"port", 1u << ROUTE_MX | 1u << ROUTE_RELAY | 1u << ROUTE_LOCAL},
    {"allow-loopback", 1u << ROUTE_MX},
    {"ip-lookup", 1u << ROUTE_MX},
    {"limits.mx", 1u << ROUTE_MX},
    {"limits.multihomed", 1u << ROUTE_MX},
    {"protocol", 1u << ROUTE_RELAY},
    {"tls.implicit", 1u << ROUTE_RELAY},
    {"tls.allow-invalid-certs", 1u << ROUTE_RELAY},
    {"auth.username", 1u << ROUTE_RELAY},
    {"auth.secret", 1u << ROUTE_RELAY},
    {"allow-plaintext-auth", 1u << ROUTE_RELAY},
    {"deliver", 1u << ROUTE_LOCAL},
    {"path", 1u << ROUTE_LOCAL},
    {"command", 1u << ROUTE_LOCAL},
    {"command-timeout", 1u << ROUTE_LOCAL},
    {"reply.code", 1u << ROUTE_REJECT},
    {"reply.text", 1u << ROUTE_REJECT},
};

/* How mail may be handed over to what is here. */
static const struct {
    const char *key;
    unsigned delivers;
} deliver_keys[] = {
    {"address", 1u << DELIVER_LMTP},         {"port", 1u << DELIVER_LMTP},
    {"path", 1u << DELIVER_MAILDIR},         {"command", 1u << DELIVER_PIPE},
    {"command-timeout", 1u << DELIVER_PIPE},
};

static const char *const types[] = {[ROUTE_MX] = "mx",
                                    [ROUTE_RELAY] = "relay",
                                    [ROUTE_LOCAL] = "local",
                                    [ROUTE_DISCARD] = "discard",
                                    [ROUTE_REJECT] = "reject"};
static const char *const delivers[] = {
    [DELIVER_LMTP] = "lmtp", [DELIVER_MAILDIR] = "maildir", [DELIVER_PIPE] = "pipe"};

static void wrong_key(struct plan_full *p, const struct plan_route *r, const char *key,
                      const char *what, const char *word, const char *better)
{
    fault_error(p->faults, plan_where(p, r->settings, key), "queue.route.%.*s: %s is not for %s %s",
                STR_ARG(r->name), key, what, word);
    if (better != NULL) {
        fault_hint(p->faults, "it is for %s %s", what, better);
    }
}

static void check_keys(struct plan_full *p, const struct plan_route *r)
{
    const struct route_settings *set = r->settings;

    for (size_t i = 0; i < COUNT_OF(route_keys); i++) {
        unsigned good = route_keys[i].types;

        if ((good >> set->type & 1) == 0 && plan_given(p, set, route_keys[i].key)) {
            wrong_key(p, r, route_keys[i].key, "type", types[set->type],
                      (good & (good - 1)) == 0 ? types[__builtin_ctz(good)] : NULL);
        }
    }
    for (size_t i = 0; set->type == ROUTE_LOCAL && i < COUNT_OF(deliver_keys); i++) {
        unsigned good = deliver_keys[i].delivers;

        if ((good >> set->deliver & 1) == 0 && plan_given(p, set, deliver_keys[i].key)) {
            wrong_key(p, r, deliver_keys[i].key, "deliver:", delivers[set->deliver],
                      (good & (good - 1)) == 0 ? delivers[__builtin_ctz(good)] : NULL);
        }
    }
}

/* What must be there, for this type. */
static void check_needs(struct plan_full *p, const struct plan_route *r)
{
    const struct route_settings *set = r->settings;
    bool is_lmtp = set->type == ROUTE_LOCAL && set->deliver == DELIVER_LMTP;

    if (set->type == ROUTE_LOCAL && set->deliver == DELIVER_MAILDIR && set->path.len == 0) {
        fault_error(p->faults, r->at, "queue.route.%.*s: deliver: maildir needs a path",
                    STR_ARG(r->name));
        fault_hint(p->faults, "path: the folder of mailboxes, such as /var/mail");
    }
    if (set->type == ROUTE_LOCAL && set->deliver == DELIVER_PIPE && set->command.count == 0) {
        fault_error(p->faults, r->at, "queue.route.%.*s: deliver: pipe needs a command",
                    STR_ARG(r->name));
        fault_hint(p->faults, "command: [ /usr/bin/program, '${rcpt}' ]");
    }
    if ((set->type == ROUTE_RELAY || is_lmtp) && set->address.len == 0 &&
        set->addresses.count == 0) {
        fault_error(p->faults, r->at, "queue.route.%.*s: type %s needs an address",
                    STR_ARG(r->name), types[set->type]);
        fault_hint(p->faults, "address: a host name or an IP address");
    }
    if (set->address.len > 0 && set->addresses.count > 0) {
        fault_error(p->faults, plan_where(p, set, "addresses"),
                    "queue.route.%.*s: address and addresses exclude each other", STR_ARG(r->name));
        fault_hint(p->faults, "addresses: [ %.*s, ... ]", STR_ARG(set->address));
    }
    if (set->addresses.count > HOSTS_MAX) {
        fault_error(p->faults, plan_where(p, set, "addresses"),
                    "queue.route.%.*s: more than %d addresses", STR_ARG(r->name), HOSTS_MAX);
    }
}

static void check_tls(struct plan_full *p, const struct plan_route *r)
{
    for (size_t i = 0; r->settings->tls_implicit && i < r->target_count; i++) {
        uint16_t port = r->targets[i].port;

        if (port == 25 || port == 587) {
            fault_warn(p->faults, plan_where(p, r->settings, "tls.implicit"),
                       "queue.route.%.*s: port %u speaks STARTTLS, probably, not TLS from the "
                       "first byte",
                       STR_ARG(r->name), port);
            fault_hint(p->faults, "tls: { implicit: false }, or port: 465");
            return;
        }
    }
}

/* Both or none; and nothing in them that would end a line or a field. */
static void check_auth(struct plan_full *p, const struct plan_route *r)
{
    const struct route_settings *set = r->settings;
    struct str secret = set->auth_secret.text;
    bool has_name = plan_given(p, set, "auth.username"),
         has_secret = plan_given(p, set, "auth.secret");

    if (has_name != has_secret) {
        fault_error(p->faults, plan_where(p, set, has_name ? "auth.username" : "auth.secret"),
                    "queue.route.%.*s: auth.%s without auth.%s", STR_ARG(r->name),
                    has_name ? "username" : "secret", has_name ? "secret" : "username");
    }
    if (has_secret && (str_find(secret, '\0') != STR_NONE || str_find(secret, '\n') != STR_NONE)) {
        fault_error(p->faults, plan_where(p, set, "auth.secret"),
                    "queue.route.%.*s: auth.secret holds a NUL byte or a line break",
                    STR_ARG(r->name));
    }
    if (has_secret && !set->auth_secret.is_given) {
        fault_error(p->faults, plan_where(p, set, "auth.secret"),
                    "queue.route.%.*s: auth.secret is empty", STR_ARG(r->name));
    }
    if (plan_given(p, set, "allow-plaintext-auth") && !has_name) {
        fault_error(p->faults, plan_where(p, set, "allow-plaintext-auth"),
                    "queue.route.%.*s: allow-plaintext-auth without auth", STR_ARG(r->name));
        fault_hint(p->faults, "auth: { username: ..., secret: { file: ... } }");
    }
    if (has_name && set->protocol == PROTOCOL_LMTP) {
        fault_error(p->faults, plan_where(p, set, "auth.username"),
                    "queue.route.%.*s: auth is not for protocol: lmtp", STR_ARG(r->name));
    }
}

static struct plan_target target_of(const struct plan_route *r, const struct target *from)
{
    struct plan_target t = {.host = from->host,
                            .port = from->port > 0 ? (uint16_t)from->port : r->port,
                            .priority = from->priority,
                            .weight = from->weight};

    if (addr_parse_ip(t.host, &t.ip)) {
        t.ip.port = t.port;
    }
    return t;
}

/* By priority, those of one priority as they were written. */
static void add_targets(struct plan_full *p, struct plan_route *r)
{
    const struct route_settings *set = r->settings;
    const struct target one = {.host = set->address, .weight = 1};
    const struct target *from = set->addresses.count > 0 ? set->addresses.items : &one;
    size_t count = set->addresses.count > 0 ? set->addresses.count : set->address.len > 0;

    r->targets = arena_array(&p->arena, count + 1, sizeof *r->targets);
    r->targets_are_known = count > 0;
    for (size_t i = 0; i < count; i++) {
        struct plan_target t = target_of(r, &from[i]);
        size_t at = r->target_count++;

        for (; at > 0 && r->targets[at - 1].priority > t.priority; at--) {
            r->targets[at] = r->targets[at - 1];
        }
        r->targets[at] = t;
        r->targets_are_known = r->targets_are_known && t.ip.family != 0;
    }
}

static void add_command(struct plan_full *p, struct plan_route *r)
{
    const struct str_list *command = &r->settings->command;
    const struct strategy_services *services = p->services;
    struct position at = plan_where(p, r->settings, "command");

    if (invocation_compile(command, &p->arena, p->faults, at, r->name, &r->command) &&
        services->is_program != NULL && !services->is_program(services->ctx, command->items[0])) {
        fault_warn(p->faults, at, "queue.route.%.*s: %.*s is no program that may be run",
                   STR_ARG(r->name), STR_ARG(command->items[0]));
    }
}

static void add_route(struct plan_full *p, struct plan_route *r)
{
    const struct route_settings *set = r->settings;
    bool is_lmtp = set->type == ROUTE_LOCAL ||
                   (set->type == ROUTE_RELAY && set->protocol == PROTOCOL_LMTP);

    r->port = set->port > 0 ? (uint16_t)set->port : is_lmtp ? 24 : 25;
    if (set->type == ROUTE_RELAY || set->type == ROUTE_LOCAL) {
        add_targets(p, r);
    }
    if (plan_given(p, set, "type")) {
        check_keys(p, r);
        check_needs(p, r);
        check_tls(p, r);
        check_auth(p, r);
    }
    if (set->command.count > 0) {
        add_command(p, r);
    }
}

void plan_add_routes(struct plan_full *p)
{
    size_t count;
    const struct config_object *objects = config_objects(p->config, &route_table, &count);
    struct plan *plan = &p->plan;

    plan->routes = arena_array(&p->arena, count + 1, sizeof *plan->routes);
    for (size_t i = 0; i < count; i++) {
        struct plan_route *r = &plan->routes[plan->route_count++];

        *r = (struct plan_route){
            .name = objects[i].name, .settings = objects[i].settings, .at = objects[i].at};
        add_route(p, r);
        map_put(&p->lists[STRATEGY_ROUTE].objects, r->name, r);
    }
}

/* Of ret[from] to ret[end - 1] one comes to ret[from], by its weight. */
static void draw_one(const struct plan_route *r, uint64_t chance, uint32_t *ret, size_t from,
                     size_t end)
{
    uint64_t sum = 0, roll;
    size_t at = from;
    uint32_t drawn;

    for (size_t i = from; i < end; i++) {
        sum += r->targets[ret[i]].weight;
    }
    if (sum == 0) {
        return;
    }
    for (roll = chance % sum; roll >= r->targets[ret[at]].weight; at++) {
        roll -= r->targets[ret[at]].weight;
    }
    drawn = ret[at];
    for (; at > from; at--) {
        ret[at] = ret[at - 1];
    }
    ret[from] = drawn;
}

void plan_targets_order(const struct plan_route *r, const uint64_t *chance, uint32_t *ret)
{
    size_t end = 0;

    for (size_t i = 0; i < r->target_count; i++) {
        ret[i] = (uint32_t)i;
    }
    for (size_t i = 0; i < r->target_count; i++) {
        if (i == end) {
            while (end < r->target_count && r->targets[end].priority == r->targets[i].priority) {
                end++;
            }
        }
        draw_one(r, chance[i], ret, i, end);
    }
}
