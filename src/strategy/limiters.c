/*
 * limiters: the limits on leaving mail: what they count, and by which values.
 *
 * A limiter is asked where nobody can wait for a look-up, so its match offers none; a match without
 * value leaves the limiter out (PY-46 is about ways and requirements, which this is not: mail
 * flows, and an event says so).
 */
#include "base/check.h"
#include "config/hint.h"
#include "strategy/plan.h"

static const struct {
    const char *name;
    enum limiter_class class;
} key_words[] = {
    {"sender", LIMITER_MESSAGES},      {"sender_domain", LIMITER_MESSAGES},
    {"rcpt_domain", LIMITER_MESSAGES}, {"mx", LIMITER_HOSTS},
    {"remote_ip", LIMITER_HOSTS},      {"local_ip", LIMITER_HOSTS},
};

_Static_assert(COUNT_OF(key_words) == LIMITER_KEYS_MAX, "each may be named once");

static unsigned id_of(const char *name)
{
    for (unsigned id = 0; variable_name(id) != NULL; id++) {
        if (str_eq(str_of(variable_name(id)), str_of(name))) {
            return id;
        }
    }
    never("all words are variables");
}

static void tell_unknown_key(struct plan_full *p, const struct plan_limiter *l, struct str word)
{
    struct hint_words near = {.given = word};

    for (size_t i = 0; i < COUNT_OF(key_words); i++) {
        hint_word_try(&near, str_of(key_words[i].name));
    }
    fault_error(p->faults, plan_where(p, l->settings, "key"),
                "queue.limiter.outbound.%.*s: leaving mail cannot be counted by \"%.*s\"",
                STR_ARG(l->name), STR_ARG(str_head(word, 80)));
    if (hint_word_found(&near)) {
        fault_hint(p->faults, "did you mean %.*s?", STR_ARG(near.best));
    } else {
        fault_hint(p->faults,
                   "it can by sender, sender_domain, rcpt_domain, mx, remote_ip and local_ip");
    }
}

static void add_key(struct plan_full *p, struct plan_limiter *l, struct str word)
{
    for (size_t i = 0; i < COUNT_OF(key_words); i++) {
        uint8_t id;

        if (!str_eq(word, str_of(key_words[i].name))) {
            continue;
        }
        id = (uint8_t)id_of(key_words[i].name);
        for (uint32_t k = 0; k < l->key_count; k++) {
            if (l->keys[k] == id) {
                fault_error(p->faults, plan_where(p, l->settings, "key"),
                            "queue.limiter.outbound.%.*s: key names %s twice", STR_ARG(l->name),
                            key_words[i].name);
                return;
            }
        }
        l->keys[l->key_count++] = id;
        l->class = key_words[i].class == LIMITER_HOSTS ? LIMITER_HOSTS : l->class;
        return;
    }
    tell_unknown_key(p, l, word);
}

static void compile_match(struct plan_full *p, struct plan_limiter *l)
{
    struct expr_services *services = arena_alloc(&p->arena, sizeof *services);
    struct expr_scope scope;
    int groups = -1;

    *services = p->services->expr;
    services->lookups = 0;
    strategy_scope(STRATEGY_CONNECTION, p->services, &scope);
    scope.place =
        arena_printf(&p->arena, "queue.limiter.outbound.%.*s.match%c", STR_ARG(l->name), 0).ptr;
    scope.services = services;
    l->match = plan_compile_expression(p, &scope, &l->settings->match, EXPR_WANTS_BOOL, &groups);
    if (l->match != NULL && expr_facts(l->match)->is_late) {
        l->class = LIMITER_HOSTS;
    }
}

static void add(struct plan_full *p, const struct config_object *o)
{
    struct plan_limiter *l = &p->plan.limiters[p->plan.limiter_count];
    const struct limiter_settings *set = o->settings;

    if (!set->enable) {
        return;
    }
    p->plan.limiter_count++;
    *l = (struct plan_limiter){.name = o->name, .settings = set, .at = o->at};
    for (size_t i = 0; i < set->key.count; i++) {
        add_key(p, l, set->key.items[i]);
    }
    if (set->match.text.len > 0) {
        compile_match(p, l);
    }
    /* A rate that is wrong has been told, and one mistake is told once. */
    if (set->rate.count == 0 && set->concurrency == 0 &&
        !(p->faults->errors > 0 && plan_given(p, set, "rate"))) {
        fault_error(p->faults, o->at, "queue.limiter.outbound.%.*s limits nothing",
                    STR_ARG(o->name));
        fault_hint(p->faults, "give it a rate, such as 20/1m, or a concurrency");
    }
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

struct reading {
    const struct subject *subject;
    struct arena *arena;
};

static struct value get(void *ctx, unsigned id)
{
    const struct reading *r = ctx;

    return variable_value(r->subject, id, r->arena);
}

/* The values one after the other; the null sender and an empty domain are "<>". */
static struct str values_of(const struct plan_limiter *l, const struct subject *s, struct arena *a)
{
    struct buf out BUF_LOCAL = {0};

    for (uint32_t i = 0; i < l->key_count; i++) {
        struct value v = variable_value(s, l->keys[i], a);

        must(v.type == VALUE_TEXT);
        buf_put(&out, v.text.len > 0 ? v.text : STR("<>"));
        buf_byte(&out, '\0');
    }
    return arena_dup(a, buf_str(&out));
}

static bool matches(const struct plan *p, const struct plan_limiter *l, const struct subject *s,
                    struct arena *a, const struct plan_limiter **failed)
{
    struct reading reading = {s, a};
    struct captures captures = {0};
    struct expr_input input = {get, &reading, &p->services->expr, &captures};
    struct expr_result r;

    if (l->match == NULL) {
        return true;
    }
    if (expr_eval(l->match, &input, NULL, a, &r) == EXPR_VALUE) {
        return value_truth(&r.value);
    }
    *failed = l;
    return false;
}

uint32_t decide_limits(const struct plan *p, enum limiter_class c, const struct subject *s,
                       bool is_local, struct arena *a, struct limit_use *ret,
                       const struct plan_limiter **failed)
{
    uint32_t count = 0;

    *failed = NULL;
    for (uint32_t i = 0; i < p->limiter_count; i++) {
        const struct plan_limiter *l = &p->limiters[i];

        if (l->class == c && (!is_local || l->settings->include_local) &&
            matches(p, l, s, a, failed)) {
            ret[count++] = (struct limit_use){i, values_of(l, s, a)};
        }
    }
    return count;
}
