/*
 * What a virtual queue decides about lanes: into which one a recipient goes (fair-by), and how much
 * a lane weighs (weight).
 *
 * Both are decided where nobody can wait for a look-up, so look-ups are not offered to them. What
 * gives no value is not an error at that point: the mail goes into the lane without a name.
 */
#include "base/check.h"
#include "strategy/plan.h"

struct plan_choice {
    const struct expr_services *services;
    struct plan_rule *rules;
    size_t count;
};

static const struct expr_variable weight_variables[] = {{"lane", EXPR_TEXT, 0, false, NULL}};

struct plan_choice *plan_compile_choice(struct plan_full *p, const struct rules *rules,
                                        const struct expr_scope *scope, enum expr_wants wants)
{
    struct plan_choice *choice = arena_alloc(&p->arena, sizeof *choice);
    int groups = -1;

    *choice = (struct plan_choice){
        .services = scope->services,
        .rules = arena_array(&p->arena, rules->count + 1, sizeof *choice->rules)};
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->items[i];
        struct plan_rule *new = &choice->rules[choice->count++];

        *new = (struct plan_rule){.at = rule->at, .use = rule->use};
        if (rule->condition.text.len > 0) {
            new->condition = plan_compile_expression(p, scope, &rule->condition, EXPR_WANTS_BOOL,
                                                     &groups);
        }
        if (rule->use.len == 0) {
            new->value = plan_compile_expression(p, scope, &rule->value, wants, &groups);
        }
    }
    return choice;
}

/* A weight that is written as a number is checked where it stands. */
static void check_weights(struct plan_full *p, const struct expr_scope *scope,
                          const struct plan_choice *choice)
{
    for (size_t i = 0; i < choice->count; i++) {
        const struct plan_rule *rule = &choice->rules[i];
        const struct expr_facts *facts = rule->value ? expr_facts(rule->value) : NULL;

        if (rule->use.len > 0) {
            fault_error(p->faults, rule->at, "%s: use names an object, and a weight is none",
                        scope->place);
            fault_hint(p->faults, "write then: %.*s", STR_ARG(rule->use));
        } else if (facts != NULL && facts->is_constant &&
                   (value_to_int(&facts->constant) < 1 ||
                    value_to_int(&facts->constant) > LANE_WEIGHT_MAX)) {
            fault_error(p->faults, rule->at, "%s must be 1 to %d", scope->place, LANE_WEIGHT_MAX);
        }
    }
}

static const char *place_of(struct plan_full *p, const struct plan_queue *q, const char *key)
{
    struct str place = arena_printf(&p->arena, "queue.virtual.%.*s.%s%c", STR_ARG(q->name), key, 0);

    return place.ptr;
}

void plan_compile_fairness(struct plan_full *p, struct plan_queue *q)
{
    struct expr_services *services = arena_alloc(&p->arena, sizeof *services);
    struct expr_scope scope;

    *services = p->services->expr;
    services->lookups = 0;
    if (q->settings->fair_by.count > 0) {
        plan_scope(p, STRATEGY_SCHEDULE, &scope);
        scope.place = place_of(p, q, "fair-by");
        scope.services = services;
        q->fair_by = plan_compile_choice(p, &q->settings->fair_by, &scope, EXPR_WANTS_ANY);
    }
    if (q->settings->weight.count > 0) {
        struct plan_choice *choice;

        scope = (struct expr_scope){.place = place_of(p, q, "weight"),
                                    .variables = weight_variables,
                                    .variable_count = COUNT_OF(weight_variables),
                                    .present = 1,
                                    .services = services};
        choice = plan_compile_choice(p, &q->settings->weight, &scope, EXPR_WANTS_INT);
        check_weights(p, &scope, choice);
        q->weight = choice;
        if (q->fair_by == NULL) {
            fault_warn(p->faults, q->at,
                       "%s: without fair-by there is one lane, so nothing to "
                       "weigh",
                       scope.place);
        }
    }
}

/* False: there is no value. */
static bool choose(const struct plan_choice *choice, struct expr_input *input, struct arena *a,
                   struct value *ret)
{
    input->services = choice->services;
    for (size_t i = 0; i < choice->count; i++) {
        const struct plan_rule *rule = &choice->rules[i];
        struct expr_result r;

        if (rule->condition != NULL) {
            if (expr_eval(rule->condition, input, NULL, a, &r) != EXPR_VALUE) {
                return false;
            }
            if (!value_truth(&r.value)) {
                continue;
            }
        }
        if (rule->value == NULL) {
            *ret = value_text(rule->use);
            return true;
        }
        if (expr_eval(rule->value, input, NULL, a, &r) != EXPR_VALUE) {
            return false;
        }
        *ret = r.value;
        return true;
    }
    return false;
}

struct str decide_lane(const struct plan *p, const struct subject *s, struct arena *a)
{
    const struct plan_queue *q = plan_queue(p, s->recipient->state.queue);
    struct allowance work = work_of(a);
    struct plan_reading reading = {p, s, a};
    struct captures captures = {0};
    struct expr_input input = {plan_read, &reading, NULL, &captures};
    struct value value;
    struct str text;

    if (q == NULL || q->fair_by == NULL || !choose(q->fair_by, &input, a, &value) ||
        value.type == VALUE_LIST || !value_to_text(&work, &value, &text)) {
        return STR_EMPTY;
    }
    return str_head(text, LANE_BYTES_MAX);
}

static struct value get_lane(void *ctx, unsigned id)
{
    (void)id;
    return value_text(*(const struct str *)ctx);
}

uint32_t decide_weight(const struct plan_queue *q, struct str lane)
{
    struct arena a ARENA_LOCAL = {0};
    struct captures captures = {0};
    struct expr_input input = {get_lane, &lane, NULL, &captures};
    struct value value;
    int64_t n;

    if (q->weight == NULL || !choose(q->weight, &input, &a, &value)) {
        return 1;
    }
    n = value_to_int(&value);
    return n < 1 ? 1 : n > LANE_WEIGHT_MAX ? LANE_WEIGHT_MAX : (uint32_t)n;
}
