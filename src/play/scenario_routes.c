/*
 * Destinations and the local routes of a plan: which destination takes the mail of which, and who
 * takes that of a route which the scenario does not speak of.
 */
#include "base/check.h"
#include "config/hint.h"
#include "play/scenario.h"
#include "strategy/strategy.h"

/* Addresses of hosts have the number of their destination in an octet. */
enum { DESTINATIONS_MAX = 250 };

struct matching {
    struct scenario *s;
    const struct plan *plan;
    struct faults *faults;
};

static bool is_by_lmtp(const struct plan_route *r)
{
    return r->settings->deliver == DELIVER_LMTP;
}

static bool is_local(const struct plan_route *r)
{
    return r->settings->type == ROUTE_LOCAL;
}

/* ---- more room ---- */

static void follow(struct pattern_of *p, const struct destination *old, struct destination *new)
{
    if (p->numbers != NULL) {
        p->numbers = new + (p->numbers - old);
    }
}

static void grow(struct scenario *s, size_t more)
{
    struct destination *old = s->destinations;
    struct destination *new = arena_array(&s->arena, s->destination_count + more + 1, sizeof *new);

    memcpy(new, old, s->destination_count * sizeof *new);
    for (size_t i = 0; i < s->class_count; i++) {
        struct traffic_class *c = &s->classes[i];

        follow(&c->from, old, new);
        for (size_t k = 0; k < c->to_count; k++) {
            follow(&c->to[k], old, new);
        }
    }
    s->destinations = new;
}

/* ---- those that the scenario describes ---- */

static const struct plan_route *find(struct matching *m, const struct destination *d,
                                     struct position at)
{
    struct str name = d->settings->route;
    const struct plan_route *r = plan_route(m->plan, name);
    struct hint_words near = {.given = name};

    if (r != NULL && is_local(r)) {
        return r;
    }
    for (size_t i = 0; i < m->plan->route_count; i++) {
        if (is_local(&m->plan->routes[i])) {
            hint_word_try(&near, m->plan->routes[i].name);
        }
    }
    fault_error(m->faults, at,
                r == NULL ? "the configuration has no route %.*s"
                          : "route %.*s is not local: describe its hosts",
                STR_ARG(name));
    if (r == NULL && hint_word_found(&near)) {
        fault_hint(m->faults, "did you mean %.*s?", STR_ARG(near.best));
    }
    return NULL;
}

/* Keys that mean nothing for what it is. */
static void refuse_keys(struct matching *m, const void *settings, const char *const *keys,
                        const char *what)
{
    struct position at;

    for (; *keys != NULL; keys++) {
        if (config_where(m->s->config, settings, *keys, &at)) {
            fault_error(m->faults, at, "%s is not for %s", *keys, what);
        }
    }
}

static void check_words(struct matching *m, const void *settings, const struct mishaps *words,
                        unsigned where, const char *what)
{
    const struct mishap *wrong = mishap_misplaced(words, where);
    struct position at;

    if (wrong != NULL) {
        (void)config_where(m->s->config, settings, "local", &at);
        fault_error(m->faults, at, "local: %.*s cannot happen to %s",
                    STR_ARG(mishap_name(wrong->kind)), what);
    }
}

/* A maildir or a program. */
static void use_quiet(struct matching *m, struct destination *d, const struct plan_route *r)
{
    static const char *const keys[] = {
        "count",           "port",         "lmtp",        "starttls",        "network",
        "latency-connect", "latency-rcpt", "latency-dot", "connections-max", "messages-max",
        "rate-max",        "behaviour",    NULL};
    static const char *const weather_keys[] = {"network", "behaviour", NULL};
    bool is_maildir = r->settings->deliver == DELIVER_MAILDIR;
    unsigned where = is_maildir ? MISHAP_MAILDIR : MISHAP_PROGRAM;
    const char *what = is_maildir ? "a maildir" : "a program";

    d->kind = is_maildir ? DESTINATION_MAILDIR : DESTINATION_PROGRAM;
    refuse_keys(m, d->settings, keys, what);
    check_words(m, d->settings, &d->local, where, what);
    for (size_t i = 0; i < d->weather_count; i++) {
        refuse_keys(m, d->weather[i]->settings, weather_keys, what);
        check_words(m, d->weather[i]->settings, &d->weather[i]->local, where, what);
    }
}

/* Where the route finds it. */
static void place(struct scenario *s, const struct plan_target *t, struct destination_settings *set)
{
    set->lmtp = true;
    set->port = t->port;
    if (t->ip.family != 0) {
        set->address = t->ip;
    } else {
        struct str *name = ARENA_NEW(&s->arena, struct str);

        *name = t->host;
        set->domains = (struct str_list){name, 1};
    }
}

static void use_lmtp(struct matching *m, struct destination *d, const struct plan_route *r)
{
    static const char *const keys[] = {"count", "port", "lmtp", "local", "dns", NULL};
    static const char *const weather_keys[] = {"local", NULL};
    struct destination_settings *set = ARENA_NEW(&m->s->arena, struct destination_settings);

    refuse_keys(m, d->settings, keys, "a route by LMTP");
    for (size_t i = 0; i < d->weather_count; i++) {
        refuse_keys(m, d->weather[i]->settings, weather_keys, "a route by LMTP");
    }
    *set = *d->settings;
    place(m->s, &r->targets[0], set);
    d->settings = set;
}

static void use_described(struct matching *m, size_t number)
{
    struct destination *d = &m->s->destinations[number];
    const struct plan_route *r;
    struct position at;

    if (d->settings->route.len == 0) {
        return;
    }
    (void)config_where(m->s->config, d->settings, "route", &at);
    for (size_t i = 0; i < number; i++) {
        if (str_eq(m->s->destinations[i].settings->route, d->settings->route)) {
            fault_error(m->faults, at, "destination %.*s stands for route %.*s already",
                        STR_ARG(m->s->destinations[i].name), STR_ARG(d->settings->route));
            return;
        }
    }
    r = find(m, d, at);
    if (r == NULL) {
        return;
    }
    if (is_by_lmtp(r)) {
        use_lmtp(m, d, r);
    } else {
        use_quiet(m, d, r);
    }
}

/* ---- the others ---- */

static struct destination *assume(struct scenario *s, const struct plan_route *r,
                                  struct destination_settings **ret)
{
    static const int64_t at_once[] = {1};
    struct destination *d = &s->destinations[s->destination_count];
    struct destination_settings *set = ARENA_NEW(&s->arena, struct destination_settings);

    *set = (struct destination_settings){
        .count = 1, .route = r->name, .latency = {at_once, COUNT_OF(at_once)}};
    *d = (struct destination){.name = arena_printf(&s->arena, "(%.*s)", STR_ARG(r->name)),
                              .settings = set,
                              .number = (unsigned)s->destination_count++,
                              .is_assumed = true};
    *ret = set;
    return d;
}

static bool has_host(const struct scenario *s, const struct plan_target *t)
{
    uint32_t number;

    for (size_t i = 0; i < s->destination_count; i++) {
        if (t->ip.family != 0 && addr_eq(&s->destinations[i].settings->address, &t->ip)) {
            return true;
        }
    }
    return t->ip.family == 0 && scenario_host(s, t->host, &number) != NULL;
}

static bool is_described(const struct scenario *s, struct str route)
{
    for (size_t i = 0; i < s->destination_count; i++) {
        if (str_eq(s->destinations[i].settings->route, route)) {
            return true;
        }
    }
    return false;
}

static void assume_route(struct scenario *s, const struct plan_route *r)
{
    struct destination_settings *set;

    if (is_described(s, r->name) || (is_by_lmtp(r) && has_host(s, &r->targets[0]))) {
        return;
    }
    struct destination *d = assume(s, r, &set);

    if (is_by_lmtp(r)) {
        place(s, &r->targets[0], set);
    } else {
        d->kind = r->settings->deliver == DELIVER_MAILDIR ? DESTINATION_MAILDIR
                                                          : DESTINATION_PROGRAM;
    }
}

void scenario_use_plan(struct scenario *s, const struct plan *p, struct faults *faults)
{
    struct matching m = {s, p, faults};
    size_t more = 0;

    for (size_t i = 0; i < s->destination_count; i++) {
        use_described(&m, i);
    }
    for (size_t i = 0; i < p->route_count; i++) {
        more += is_local(&p->routes[i]);
    }
    if (s->destination_count + more > DESTINATIONS_MAX) {
        fault_error(faults, (struct position){s->file, 1, 1},
                    "more than %d destinations, with the local routes of the configuration",
                    DESTINATIONS_MAX);
    }
    if (faults->errors > 0) {
        return;
    }
    grow(s, more);
    for (size_t i = 0; i < p->route_count; i++) {
        if (is_local(&p->routes[i])) {
            assume_route(s, &p->routes[i]);
        }
    }
}
