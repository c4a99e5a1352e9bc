/* Decisions: the first rule whose condition holds names the object. */
#include "base/check.h"
#include "strategy/plan.h"

struct deciding {
    const struct plan *p;
    const struct subject *subject;
    struct arena *arena;
    struct decision *ret;
    struct expr_input input;
};

/* What a look-up that failed says; else the limit that was reached. */
static struct str why_failed(const struct deciding *d, const struct program *program,
                             const struct expr_result *r)
{
    const struct expr_answer *answer = r->status == EXPR_FAILED
                                           ? expr_answers_find(d->subject->answers, &r->lookup)
                                           : NULL;
    struct buf asked BUF_LOCAL = {0};

    if (answer == NULL || answer->err.code == OK) {
        return arena_printf(d->arena, "%.*s: %s", STR_ARG(str_head(expr_text(program), 100)),
                            r->why != NULL ? r->why : err_text(r->err.code));
    }
    expr_lookup_print(&asked, &r->lookup);
    return arena_printf(d->arena, "%.*s failed: %.*s", STR_ARG(str_head(buf_str(&asked), 200)),
                        STR_ARG(answer->why.len > 0 ? str_head(answer->why, 300)
                                                    : str_of(err_text(answer->err.code))));
}

/* Evaluates one program; false when *ret has become the answer. */
static bool evaluate(struct deciding *d, const struct program *program, struct value *value)
{
    struct expr_result r;

    d->ret->reads |= expr_facts(program)->reads;
    switch (expr_eval(program, &d->input, d->subject->answers, d->arena, &r)) {
    case EXPR_VALUE:
        *value = r.value;
        return true;
    case EXPR_NEED:
        d->ret->status = DECISION_NEEDS;
        d->ret->lookup = r.lookup;
        return false;
    case EXPR_NO_VALUE:
    case EXPR_FAILED:
        break;
    }
    d->ret->status = DECISION_FAILED;
    d->ret->why = why_failed(d, program, &r);
    return false;
}

/* The object that a rule names by its expression; NULL when *ret has become the answer. */
static const void *computed(struct deciding *d, const struct plan_list *list,
                            const struct plan_rule *rule)
{
    struct value value;

    if (!evaluate(d, rule->value, &value)) {
        return NULL;
    }
    const void *object = map_get(&list->objects, value.text);

    d->ret->name = arena_dup(d->arena, value.text);
    if (object == NULL) {
        d->ret->status = DECISION_FAILED;
        d->ret->why = arena_printf(d->arena, "there is no %s.%.*s", list->table->key,
                                   STR_ARG(str_head(value.text, 80)));
    }
    return object;
}

/* The object of a rule; NULL: its condition does not hold, or *ret has become the answer. */
static const void *ask_rule(struct deciding *d, const struct plan_list *list,
                            const struct plan_rule *rule)
{
    struct value value;

    d->ret->at = rule->at;
    if (rule->condition != NULL &&
        (!evaluate(d, rule->condition, &value) || !value_truth(&value))) {
        return NULL;
    }
    if (rule->value != NULL) {
        return computed(d, list, rule);
    }
    d->ret->name = rule->use;
    return rule->object;
}

static void show(const struct deciding *d, const struct plan_rule *rule, const void *object)
{
    const struct decision_watch *watch = d->subject->watch;
    struct rule_look look = {.at = rule->at,
                             .result = object != NULL              ? RULE_CHOSE
                                       : d->ret->status == DECIDED ? RULE_PASSED
                                                                   : RULE_STUCK,
                             .condition = STR_EMPTY,
                             .value = STR_EMPTY};

    if (rule->condition != NULL) {
        look.condition = expr_text(rule->condition);
        look.reads = expr_facts(rule->condition)->reads;
    }
    if (rule->value != NULL) {
        look.value = expr_text(rule->value);
        look.reads |= look.result == RULE_PASSED ? 0 : expr_facts(rule->value)->reads;
    }
    watch->look(watch->ctx, &look);
}

static const void *decide(struct deciding *d, enum strategy which)
{
    const struct plan_list *list = &d->p->lists[which];

    for (size_t i = 0; i < list->count; i++) {
        const void *object = ask_rule(d, list, &list->rules[i]);

        if (d->subject->watch != NULL) {
            show(d, &list->rules[i], object);
        }
        if (object != NULL || d->ret->status != DECIDED) {
            return object;
        }
    }
    never("a list without a last rule");
}

static const void *run(const struct plan *p, enum strategy which, const struct subject *s,
                       struct arena *a, struct decision *ret)
{
    struct plan_reading reading = {p, s, a};
    struct captures captures = {0};
    struct deciding d = {
        .p = p,
        .subject = s,
        .arena = a,
        .ret = ret,
        .input = {plan_read, &reading, &p->services->expr, &captures},
    };

    *ret = (struct decision){
        .status = DECIDED, .name = STR_EMPTY, .wanted = STR_EMPTY, .why = STR_EMPTY};
    return decide(&d, which);
}

/* A filter has chosen the schedule: no rule is asked, unless it is gone. */
static const struct schedule *chosen_schedule(const struct plan *p, const struct message *m,
                                              struct decision *ret)
{
    const struct schedule *chosen = plan_schedule(p, m->policy->schedule);

    if (chosen != NULL) {
        *ret = (struct decision){.status = DECIDED,
                                 .name = chosen->name,
                                 .at = chosen->at,
                                 .wanted = STR_EMPTY,
                                 .why = STR_EMPTY};
    }
    return chosen;
}

/* The schedule, with the virtual queue that a filter has chosen in place of its own. */
static const struct schedule *in_queue(const struct plan *p, const struct message *m,
                                       const struct schedule *s, struct arena *a)
{
    const struct plan_queue *queue = plan_queue(p, m->policy->queue);
    struct schedule *changed;

    if (queue == NULL) {
        return s;
    }
    changed = ARENA_NEW(a, struct schedule);
    *changed = *s;
    changed->queue_name = queue->name;
    changed->queue = queue->id;
    return changed;
}

const struct schedule *decide_schedule(const struct plan *p, const struct subject *s,
                                       struct arena *a, struct decision *ret)
{
    const struct message_policy *policy = s->message->policy;
    const struct schedule *chosen = NULL;

    if (policy != NULL && policy->schedule.len > 0) {
        chosen = chosen_schedule(p, s->message, ret);
    }
    if (chosen == NULL) {
        chosen = run(p, STRATEGY_SCHEDULE, s, a, ret);
    }
    if (ret->status == DECISION_FAILED) {
        chosen = decide_fallback(p, ret);
    }
    return chosen != NULL && policy != NULL && policy->queue.len > 0
               ? in_queue(p, s->message, chosen, a)
               : chosen;
}

const struct schedule *plan_schedule(const struct plan *p, struct str name)
{
    return map_get(&p->lists[STRATEGY_SCHEDULE].objects, name);
}

const struct schedule *decide_fallback(const struct plan *p, struct decision *ret)
{
    const struct schedule *chosen = map_get(&p->lists[STRATEGY_SCHEDULE].objects, STR("default"));

    must(chosen != NULL);
    ret->status = DECIDED;
    ret->is_fallback = true;
    ret->wanted = ret->name;
    ret->name = chosen->name;
    return chosen;
}

const struct plan_route *decide_route(const struct plan *p, const struct subject *s,
                                      struct arena *a, struct decision *ret)
{
    struct str name = s->recipient->state.route;
    const struct plan_route *route;

    if (name.len == 0) {
        return run(p, STRATEGY_ROUTE, s, a, ret);
    }
    /* Moved there by an operator: no rule is asked, and none replaces it when it is gone. */
    *ret = (struct decision){.status = DECIDED, .name = name, .why = STR_EMPTY};
    route = plan_route(p, name);
    if (route == NULL) {
        ret->status = DECISION_FAILED;
        ret->why = arena_printf(a, "an operator moved it to the route %.*s, which there is no more",
                                STR_ARG(str_head(name, 80)));
    } else {
        ret->at = route->at;
    }
    return route;
}

const struct plan_connection *decide_connection(const struct plan *p, const struct subject *s,
                                                struct arena *a, struct decision *ret)
{
    return run(p, STRATEGY_CONNECTION, s, a, ret);
}

const struct plan_tls *decide_tls(const struct plan *p, const struct subject *s, struct arena *a,
                                  struct decision *ret)
{
    return run(p, STRATEGY_TLS, s, a, ret);
}

struct str plan_site(const struct plan_route *r, struct str recipient, struct arena *a)
{
    struct str domain = address_domain(recipient);

    if (r->settings->type != ROUTE_MX) {
        return r->name;
    }
    char *bytes = arena_alloc(a, r->name.len + 1 + domain.len + 1);
    char *at = text_put(text_put(bytes, r->name), STR(" "));

    for (size_t i = 0; i < domain.len; i++) {
        at[i] = byte_lower(domain.ptr[i]);
    }
    return str_make(bytes, r->name.len + 1 + domain.len);
}

struct str decision_place(const struct decision *d, struct arena *a)
{
    struct buf out BUF_LOCAL = {0};

    position_print(d->at, &out);
    return arena_dup(a, buf_str(&out));
}
