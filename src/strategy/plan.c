/*
 * How a configuration becomes a plan.
 *
 * 1. The rules are compiled first: they say which built-in schedules are wanted.
 * 2. A built-in object stands where none of its name is declared; a built-in schedule that no rule
 *    can name, and a built-in queue that no schedule leads to, are left out. `default` stays: it
 *    serves where the schedule strategy fails (PY-46).
 * 3. Every object that stays is checked; any error means that there is no plan (PY-45).
 */
#include "strategy/plan.h"

#include "base/check.h"
#include "base/mem.h"

enum { EXPIRE_MS = 5 * 86400 * 1000, CLASSES_SLOTS_MIN = 4 };

static const struct setting_table *const tables[STRATEGY_COUNT] = {
    [STRATEGY_SCHEDULE] = &schedule_table,
    [STRATEGY_ROUTE] = &route_table,
    [STRATEGY_CONNECTION] = &connection_table,
    [STRATEGY_TLS] = &tls_table,
};

struct position plan_where(const struct plan_full *p, const void *settings, const char *key)
{
    struct position at;

    config_where(p->config, settings, key, &at);
    return at;
}

bool plan_given(const struct plan_full *p, const void *settings, const char *key)
{
    return config_where(p->config, settings, key, NULL);
}

static bool is_wanted_schedule(const struct plan_full *p, const struct config_object *o)
{
    return !o->is_builtin || !p->lists[STRATEGY_SCHEDULE].names_are_known ||
           str_eq(o->name, STR("default")) ||
           map_get(&p->lists[STRATEGY_SCHEDULE].named, o->name) != NULL;
}

/* When the last attempt of a schedule that counts attempts is due, if each fails at once. */
static int64_t last_attempt_ms(const struct schedule_settings *set)
{
    int64_t sum = 0;

    for (uint32_t i = 0; set->retry.count > 0 && i + 1 < set->max_attempts; i++) {
        sum += set->retry.items[i < set->retry.count ? i : set->retry.count - 1];
    }
    return sum;
}

/* The notices that come too late to be sent. Attempts take time of their own, so where attempts are
 * counted only what is twice too late is told. */
static void check_notify(struct plan_full *p, const struct schedule *s)
{
    const struct schedule_settings *set = s->settings;
    bool counts = s->expire_ms == 0;
    int64_t at = 0, end = counts ? 2 * last_attempt_ms(set) : s->expire_ms;

    for (size_t i = 0; i < set->notify.count; i++) {
        at = set->notify_mode == NOTIFY_RELATIVE ? at + set->notify.items[i] : set->notify.items[i];
        if (at >= end) {
            fault_warn(p->faults, plan_where(p, set, "notify"),
                       "queue.schedule.%.*s: notice %zu is never sent: the mail %s before",
                       STR_ARG(s->name), i + 1, counts ? "has had all its attempts" : "expires");
            if (set->notify_mode == NOTIFY_RELATIVE && i > 0) {
                fault_hint(p->faults, "each notice counts from the one before; notify-mode: "
                                      "absolute counts from acceptance");
            }
            return;
        }
    }
}

static void check_schedule(struct plan_full *p, struct schedule *s)
{
    const struct schedule_settings *set = s->settings;

    if (set->expire_ms > 0 && set->max_attempts > 0) {
        fault_error(p->faults, plan_where(p, set, "max-attempts"),
                    "queue.schedule.%.*s: expire and max-attempts exclude each other",
                    STR_ARG(s->name));
        fault_hint(p->faults, "keep the one by which mail is to be given up");
    }
    if (set->retry.count == 0) {
        fault_error(p->faults, plan_where(p, set, "retry"), "queue.schedule.%.*s: retry is empty",
                    STR_ARG(s->name));
        fault_hint(p->faults, "for instance retry: [5m, 30m, 2h]; to try once, max-attempts: 1");
    }
    s->attempts_max = (uint16_t)set->max_attempts;
    s->expire_ms = set->max_attempts > 0 ? 0 : set->expire_ms > 0 ? set->expire_ms : EXPIRE_MS;
    if (s->expire_ms > 0 && set->retry.count > 0 && set->retry.items[0] >= s->expire_ms) {
        fault_warn(p->faults, plan_where(p, set, "retry"),
                   "queue.schedule.%.*s: there is no second attempt: the mail expires before",
                   STR_ARG(s->name));
        fault_hint(p->faults, "make the first wait shorter than expire");
    }
    check_notify(p, s);
}

static void add_schedules(struct plan_full *p)
{
    size_t count;
    const struct config_object *objects = config_objects(p->config, &schedule_table, &count);
    struct plan *plan = &p->plan;

    plan->schedules = arena_array(&p->arena, count + 1, sizeof *plan->schedules);
    for (size_t i = 0; i < count; i++) {
        if (!is_wanted_schedule(p, &objects[i])) {
            continue;
        }
        struct schedule *s = &plan->schedules[plan->schedule_count++];

        *s = (struct schedule){.name = objects[i].name,
                               .settings = objects[i].settings,
                               .at = objects[i].at,
                               .is_builtin = objects[i].is_builtin};
        s->queue_name = s->settings->queue_name;
        check_schedule(p, s);
        map_put(&p->lists[STRATEGY_SCHEDULE].objects, s->name, s);
    }
}

static bool is_wanted_queue(const struct plan_full *p, struct str name)
{
    for (size_t i = 0; i < p->plan.schedule_count; i++) {
        if (str_eq(p->plan.schedules[i].queue_name, name)) {
            return true;
        }
    }
    return false;
}

static void add_queues(struct plan_full *p)
{
    size_t count;
    const struct config_object *objects = config_objects(p->config, &virtual_table, &count);
    struct plan *plan = &p->plan;

    plan->queues = arena_array(&p->arena, count + 1, sizeof *plan->queues);
    for (size_t i = 0; i < count; i++) {
        const struct virtual_settings *set = objects[i].settings;
        bool wanted = is_wanted_queue(p, objects[i].name);

        if (!wanted && objects[i].is_builtin) {
            continue;
        }
        if (!wanted) {
            fault_warn(p->faults, objects[i].at, "no schedule leads to queue.virtual.%.*s",
                       STR_ARG(objects[i].name));
            fault_hint(p->faults,
                       "queue.schedule: { NAME: { queue-name: %.*s } }, and a rule that "
                       "uses NAME",
                       STR_ARG(objects[i].name));
        }
        if (set->concurrency < CLASSES_SLOTS_MIN) {
            fault_note(p->faults, objects[i].at,
                       "queue.virtual.%.*s: with fewer than %d slots none are kept apart for slow "
                       "and new sites",
                       STR_ARG(objects[i].name), CLASSES_SLOTS_MIN);
        }
        plan->queues[plan->queue_count] = (struct plan_queue){.name = objects[i].name,
                                                              .id = (uint32_t)plan->queue_count,
                                                              .settings = set,
                                                              .at = objects[i].at,
                                                              .is_builtin = objects[i].is_builtin};
        plan_compile_fairness(p, &plan->queues[plan->queue_count]);
        plan->queue_count++;
    }
    for (size_t i = 0; i < plan->schedule_count; i++) {
        struct schedule *s = &plan->schedules[i];
        const struct plan_queue *queue = plan_queue(plan, s->queue_name);

        if (queue == NULL && s->queue_name.len > 0) { /* empty: told already */
            plan_no_object(p, &virtual_table, s->queue_name,
                           plan_where(p, s->settings, "queue-name"), "queue-name");
        } else if (queue != NULL) {
            s->queue = queue->id;
        }
    }
}

static void check_unbuilt(struct plan_full *p, const struct plan_tls *t, const char *key,
                          enum tls_policy policy)
{
    if (policy == TLS_REQUIRE) {
        fault_error(p->faults, plan_where(p, t->settings, key),
                    "queue.tls.%.*s: %s is not offered by this version, so it cannot be required",
                    STR_ARG(t->name), key);
    } else if (policy == TLS_OPTIONAL && plan_given(p, t->settings, key)) {
        fault_note(p->faults, plan_where(p, t->settings, key),
                   "queue.tls.%.*s: %s is not offered by this version; mail goes by starttls alone",
                   STR_ARG(t->name), key);
    }
}

static void add_tls(struct plan_full *p)
{
    size_t count;
    const struct config_object *objects = config_objects(p->config, &tls_table, &count);
    struct plan *plan = &p->plan;

    plan->tls = arena_array(&p->arena, count + 1, sizeof *plan->tls);
    for (size_t i = 0; i < count; i++) {
        struct plan_tls *t = &plan->tls[plan->tls_count++];
        const struct tls_settings *set = objects[i].settings;

        *t = (struct plan_tls){objects[i].name, set, objects[i].at};
        check_unbuilt(p, t, "dane", set->dane);
        check_unbuilt(p, t, "mta-sts", set->mta_sts);
        if (set->starttls == TLS_DISABLE &&
            (set->dane != TLS_DISABLE || set->mta_sts != TLS_DISABLE)) {
            fault_warn(p->faults, plan_where(p, set, "starttls"),
                       "queue.tls.%.*s: without STARTTLS there is neither dane nor mta-sts",
                       STR_ARG(t->name));
            fault_hint(p->faults, "disable these too");
        }
        map_put(&p->lists[STRATEGY_TLS].objects, t->name, t);
    }
}

/* What is declared and never chosen was meant for something: a rule is missing or misspelt. What
 * is built in needs no rule; and where a rule is wrong, that has been told. */
static void check_named(struct plan_full *p, const struct plan_list *list)
{
    size_t count;
    const struct config_object *objects = config_objects(p->config, list->table, &count);

    for (size_t i = 0; p->faults->errors == 0 && list->names_are_known && i < count; i++) {
        bool is_spare = objects[i].is_builtin || str_eq(objects[i].name, STR("default"));

        if (!is_spare && map_get(&list->named, objects[i].name) == NULL) {
            fault_warn(p->faults, objects[i].at, "no rule of queue.strategy.%s leads to %s.%.*s",
                       list->table->key + strlen("queue."), list->table->key,
                       STR_ARG(objects[i].name));
            fault_hint(p->faults, "add a rule that says use: %.*s, or take it away",
                       STR_ARG(objects[i].name));
        }
    }
}

/* What `use` names, now that the objects stand. */
static void link_rules(struct plan_full *p)
{
    for (unsigned which = 0; which < STRATEGY_COUNT; which++) {
        struct plan_list *list = &p->lists[which];

        for (size_t i = 0; i < list->count; i++) {
            if (list->rules[i].use.len > 0) {
                list->rules[i].object = map_get(&list->objects, list->rules[i].use);
                must(list->rules[i].object != NULL);
            }
        }
    }
}

struct plan *strategy_compile(struct config *cfg, const struct strategy_services *services,
                              struct faults *faults)
{
    struct plan_full *p = MEM_NEW(struct plan_full);
    const struct strategy_settings *set = config_settings(cfg, &strategy_table);

    p->config = config_take(cfg);
    p->services = services;
    p->faults = faults;
    p->plan.config = cfg;
    p->plan.number = config_number(cfg);
    p->plan.lists = p->lists;
    p->plan.services = services;
    atomic_init(&p->references, 1);
    for (unsigned i = 0; i < STRATEGY_COUNT; i++) {
        p->lists[i].table = tables[i];
    }
    plan_add_meta(p);
    plan_compile_list(p, STRATEGY_SCHEDULE, &set->schedule);
    plan_compile_list(p, STRATEGY_ROUTE, &set->route);
    plan_compile_list(p, STRATEGY_CONNECTION, &set->connection);
    plan_compile_list(p, STRATEGY_TLS, &set->tls);
    add_schedules(p);
    add_queues(p);
    plan_add_routes(p);
    plan_add_connections(p);
    add_tls(p);
    plan_add_limiters(p);
    plan_add_visitor_limiters(p);
    plan_add_quotas(p);
    for (unsigned i = 0; i < STRATEGY_COUNT; i++) {
        check_named(p, &p->lists[i]);
        map_done(&p->lists[i].named);
    }
    p->faults = NULL;
    if (faults->errors > 0) {
        plan_give(&p->plan);
        return NULL;
    }
    link_rules(p);
    return &p->plan;
}

static struct plan_full *full(struct plan *p)
{
    return CONTAINER_OF(p, struct plan_full, plan);
}

struct plan *plan_take(struct plan *p)
{
    atomic_fetch_add_explicit(&full(p)->references, 1, memory_order_relaxed);
    return p;
}

void plan_give(struct plan *plan)
{
    if (plan == NULL ||
        atomic_fetch_sub_explicit(&full(plan)->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    struct plan_full *p = full(plan);
    const struct strategy_services *services = p->services;

    for (unsigned i = 0; i < STRATEGY_COUNT; i++) {
        map_done(&p->lists[i].objects);
    }
    patterns_done(&p->patterns);
    arena_done(&p->arena);
    config_give(p->config);
    mem_free(p);
    if (services->ended != NULL) {
        services->ended(services->ctx);
    }
}

const struct plan_queue *plan_queue(const struct plan *p, struct str name)
{
    for (size_t i = 0; i < p->queue_count; i++) {
        if (str_eq(p->queues[i].name, name)) {
            return &p->queues[i];
        }
    }
    return NULL;
}

const struct plan_route *plan_route(const struct plan *p, struct str name)
{
    return map_get(&p->lists[STRATEGY_ROUTE].objects, name);
}

const struct plan_connection *plan_connection(const struct plan *p, struct str name)
{
    return map_get(&p->lists[STRATEGY_CONNECTION].objects, name);
}

const struct plan_tls *plan_tls(const struct plan *p, struct str name)
{
    return map_get(&p->lists[STRATEGY_TLS].objects, name);
}

bool plan_is_late(const struct plan *p, enum strategy which)
{
    return p->lists[which].is_late;
}

bool plan_asks(const struct plan *p, enum strategy which)
{
    return p->lists[which].asks;
}
