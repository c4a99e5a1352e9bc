/*
 * limiters: the limits on leaving mail: what they count, and by which values.
 *
 * A match without value leaves the limiter out (PY-46 is about ways and requirements, which this is
 * not: mail flows, and an event says so).
 */
#include "base/check.h"
#include "strategy/plan.h"

static const struct count_word words[] = {
    {"sender", LIMITER_MESSAGES},      {"sender_domain", LIMITER_MESSAGES},
    {"rcpt_domain", LIMITER_MESSAGES}, {"mx", LIMITER_HOSTS},
    {"remote_ip", LIMITER_HOSTS},      {"local_ip", LIMITER_HOSTS},
};

static const struct count_kind kind = {&limiter_table, words, COUNT_OF(words), "leaving mail"};

void plan_check_limits(struct plan_full *p, const struct setting_table *table, struct str name,
                       struct position at, const struct limiter_settings *set)
{
    /* A rate that is wrong has been told, and one mistake is told once. */
    if (set->rate.count == 0 && set->concurrency == 0 &&
        !(p->faults->errors > 0 && plan_given(p, set, "rate"))) {
        fault_error(p->faults, at, "%s.%.*s limits nothing", table->key, STR_ARG(name));
        fault_hint(p->faults, "give it a rate, such as 20/1m, or a concurrency");
    }
}

static void add(struct plan_full *p, const struct config_object *o)
{
    struct plan_limiter *l = &p->plan.limiters[p->plan.limiter_count];
    const struct limiter_settings *set = o->settings;
    struct count_source from = {o->name, set, &set->key, &set->match};
    struct expr_scope scope;

    if (!set->enable) {
        return;
    }
    p->plan.limiter_count++;
    *l = (struct plan_limiter){.name = o->name, .settings = set, .at = o->at};
    plan_scope(p, STRATEGY_CONNECTION, &scope);
    l->class = (enum limiter_class)plan_add_count(p, &kind, &from, &scope, &l->by);
    if (l->by.match != NULL && expr_facts(l->by.match)->is_late) {
        l->class = LIMITER_HOSTS;
    }
    plan_check_limits(p, &limiter_table, o->name, o->at, set);
    p->plan.host_limiter_count += l->class == LIMITER_HOSTS;
}

void plan_add_limiters(struct plan_full *p)
{
    size_t count;
    const struct config_object *objects = config_objects(p->config, &limiter_table, &count);

    p->plan.limiters = arena_array(&p->arena, count + 1, sizeof *p->plan.limiters);
    for (size_t i = 0; i < count; i++) {
        add(p, &objects[i]);
    }
}

/* ---- deciding ---- */

uint32_t decide_limits(const struct plan *p, enum limiter_class c, const struct subject *s,
                       bool is_local, struct arena *a, struct limit_use *ret,
                       const struct plan_limiter **failed)
{
    struct plan_reading reading = {p, s, a};
    struct counting about = {plan_read, &reading, a};
    uint32_t count = 0;

    *failed = NULL;
    for (uint32_t i = 0; i < p->limiter_count; i++) {
        const struct plan_limiter *l = &p->limiters[i];

        if (l->class != c || (is_local && !l->settings->include_local)) {
            continue;
        }
        switch (count_matches(p, &l->by, &about)) {
        case COUNT_YES:
            ret[count++] = (struct limit_use){i, count_values(&l->by, &about)};
            break;
        case COUNT_UNKNOWN:
            *failed = l;
            break;
        case COUNT_NO:
            break;
        }
    }
    return count;
}
