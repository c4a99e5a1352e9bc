/* Rule lists become programs, and every name and pattern in them is checked. */
#include "config/hint.h"
#include "lookup/settings.h"
#include "strategy/ask.h"
#include "strategy/plan.h"

enum { SHOWN_MAX = 8 };

struct compiling {
    struct plan_full *p;
    enum strategy which;
    struct expr_scope scope;
    int groups; /* highest $n that a pattern so far may have set, -1: none */
};

void plan_no_object(struct plan_full *p, const struct setting_table *table, struct str name,
                    struct position at, const char *where)
{
    struct hint_words near = {.given = name};
    struct buf there BUF_LOCAL = {0};
    size_t count;
    const struct config_object *objects = config_objects(p->config, table, &count);

    for (size_t i = 0; i < count; i++) {
        hint_word_try(&near, objects[i].name);
        if (i < SHOWN_MAX) {
            buf_printf(&there, "%s%.*s", i > 0 ? ", " : "", STR_ARG(objects[i].name));
        }
    }
    fault_error(p->faults, at, "%s: there is no %s.%.*s", where, table->key,
                STR_ARG(str_head(name, 80)));
    if (hint_word_found(&near)) {
        fault_hint(p->faults, "did you mean %.*s?", STR_ARG(near.best));
    } else if (count == 0) {
        fault_hint(p->faults, "declare it: %s has nothing yet", table->key);
    } else {
        fault_hint(p->faults, "declare it, or name one that is there: %.*s%s",
                   STR_ARG(buf_str(&there)), count > SHOWN_MAX ? ", ..." : "");
    }
}

/* Where a place inside an expression is in the file. */
static struct position place_of(struct position text, unsigned line, unsigned column)
{
    if (text.line == 0) {
        return text;
    }
    return line <= 1 ? (struct position){text.file, text.line, text.col + column - 1}
                     : (struct position){text.file, text.line + line - 1, column};
}

static void tell_problems(struct plan_full *p, const char *place, const struct expression *e,
                          const struct expr_problems *problems)
{
    for (const struct expr_problem *each = problems->first; each != NULL; each = each->next) {
        struct position at = place_of(e->at, each->line, each->column);

        if (each->is_warning) {
            fault_warn(p->faults, at, "%s: %.*s", place, STR_ARG(each->message));
        } else {
            fault_error(p->faults, at, "%s: %.*s", place, STR_ARG(each->message));
        }
        if (each->suggestion.len > 0) {
            fault_hint(p->faults, "%.*s", STR_ARG(each->suggestion));
        }
    }
}

const struct program *plan_compile_expression(struct plan_full *p, const struct expr_scope *scope,
                                              const struct expression *e, enum expr_wants wants,
                                              int *groups)
{
    struct expr_problems problems = {0};
    const struct program *program = NULL;
    struct err err = expr_compile(scope, wants, e->text, &p->arena, &p->patterns, &program,
                                  &problems);

    tell_problems(p, scope->place, e, &problems);
    if (err.code != OK) {
        if (problems.errors == 0) {
            fault_error(p->faults, e->at, "%s: %s", scope->place, err_text(err.code));
        }
        return NULL;
    }
    const struct expr_facts *facts = expr_facts(program);

    if (facts->capture_reads > *groups) {
        fault_warn(p->faults, e->at, "%s: $%d is always empty: no pattern before sets it",
                   scope->place, facts->capture_reads);
    }
    *groups = facts->capture_groups > *groups ? facts->capture_groups : *groups;
    return program;
}

/* The stores that it names literally are there, and can be asked this. */
static void check_uses(struct compiling *c, const struct expression *e,
                       const struct expr_facts *facts)
{
    unsigned performed = c->p->services->expr.lookups;

    for (size_t i = 0; i < facts->use_count; i++) {
        const struct expr_use *use = &facts->uses[i];
        const struct config_object *o;
        enum lookup_verb verb;

        c->p->lists[c->which].asks |= (performed & EXPR_LOOKUP_BIT(use->kind)) != 0;
        if (!ask_verb(use->kind, &verb) || !use->is_literal) {
            continue;
        }
        o = config_object(c->p->config, &lookup_table, ask_store(use->store));
        if (o == NULL) {
            plan_no_object(c->p, &lookup_table, ask_store(use->store), e->at, c->scope.place);
        } else if ((lookup_verbs(o->settings) & LOOKUP_VERB_BIT(verb)) == 0) {
            const struct lookup_settings *s = o->settings;

            fault_error(c->p->faults, e->at, "%s: lookup.%.*s is of type %s and cannot be asked %s",
                        c->scope.place, STR_ARG(o->name), store_type_name(s->type),
                        lookup_verb_name(verb));
            if (verb <= LOOKUP_EXISTS) {
                fault_hint(c->p->faults, "give it a `query` for keys, or use sql_query");
            }
        }
    }
}

static const struct program *compile(struct compiling *c, const struct expression *e,
                                     enum expr_wants wants)
{
    const struct program *program = plan_compile_expression(c->p, &c->scope, e, wants, &c->groups);

    if (program != NULL) {
        c->p->lists[c->which].is_late |= expr_facts(program)->is_late;
        check_uses(c, e, expr_facts(program));
    }
    return program;
}

static void note_name(struct compiling *c, struct str name, struct position at)
{
    const struct plan_list *list = &c->p->lists[c->which];
    const struct config_object *object = config_object(c->p->config, list->table, name);

    if (object == NULL) {
        plan_no_object(c->p, list->table, name, at, c->scope.place);
    } else {
        map_put(&c->p->lists[c->which].named, object->name, c->p);
    }
}

static void note_names(struct compiling *c, const struct rule *rule, const struct program *value)
{
    const struct expr_facts *facts = expr_facts(value);
    struct str text = str_trim_ws(rule->value.text);

    if (facts->lone_variable >= 0 &&
        config_object(c->p->config, c->p->lists[c->which].table, text) != NULL) {
        fault_warn(c->p->faults, rule->value.at,
                   "%s: %.*s is the variable here, not the object of that name", c->scope.place,
                   STR_ARG(text));
        fault_hint(c->p->faults, "write use: %.*s", STR_ARG(text));
    }
    if (!facts->texts_are_all) {
        c->p->lists[c->which].names_are_known = false;
        return;
    }
    for (size_t i = 0; i < facts->text_count; i++) {
        note_name(c, facts->texts[i], rule->value.at);
    }
}

/* The rules that stand when none are written send local domains to a route that only the operator
 * can declare; where there are none, the rule is left out. True: leave it out. */
static bool is_local_without_route(struct compiling *c, const struct rule *rule)
{
    if (c->which != STRATEGY_ROUTE || rule->at.line != 0 || !str_eq(rule->use, STR("local")) ||
        config_object(c->p->config, c->p->lists[c->which].table, rule->use) != NULL) {
        return false;
    }
    /* Rules that were given but are wrong have been told; these stand in for them. */
    if (c->p->services->has_local_domains &&
        !config_where(c->p->config, config_settings(c->p->config, &strategy_table), "route",
                      NULL)) {
        fault_error(c->p->faults, (struct position){config_file(c->p->config), 1, 1},
                    "there are local domains, but no queue.route.local that takes their mail");
        fault_hint(c->p->faults, "for instance queue: { route: { local: { type: local, deliver: "
                                 "lmtp, address: 127.0.0.1, port: 24 } } }");
    }
    return true;
}

/* A condition without variables decides for all mail alike. */
static void check_constant(struct compiling *c, const struct rule *rules, size_t i, size_t count,
                           const struct program *condition)
{
    const struct expr_facts *facts = expr_facts(condition);

    if (!facts->is_constant) {
        return;
    }
    if (!value_truth(&facts->constant)) {
        fault_warn(c->p->faults, rules[i].condition.at,
                   "%s: this rule never applies: its condition is always false", c->scope.place);
    } else if (i + 1 < count) {
        fault_warn(c->p->faults, rules[i + 1].at,
                   "%s: this rule is never reached: the condition in line %u is always true",
                   c->scope.place, rules[i].at.line);
    }
}

/* The names that queue_name can have are those of the queues, and none at acceptance. */
static void know_queues(struct compiling *c)
{
    struct arena *a = &c->p->arena;
    struct expr_variable *variables = arena_array(a, c->scope.variable_count, sizeof *variables);
    size_t count;
    const struct config_object *o = config_objects(c->p->config, &virtual_table, &count);
    const char **names = arena_array(a, count + 2, sizeof *names);

    for (size_t i = 0; i < count; i++) {
        names[i] = arena_printf(a, "%.*s%c", STR_ARG(o[i].name), 0).ptr;
    }
    names[count] = "";
    for (size_t i = 0; i < c->scope.variable_count; i++) {
        variables[i] = c->scope.variables[i];
        if (str_eq(str_of(variables[i].name), STR("queue_name"))) {
            variables[i].values = names;
        }
    }
    c->scope.variables = variables;
}

void plan_compile_list(struct plan_full *p, enum strategy which, const struct rules *rules)
{
    struct plan_list *list = &p->lists[which];
    struct compiling c = {.p = p, .which = which, .groups = -1};

    plan_scope(p, which, &c.scope);
    know_queues(&c);
    list->names_are_known = true;
    list->rules = arena_array(&p->arena, rules->count + 1, sizeof *list->rules);
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->items[i];
        struct plan_rule *new = &list->rules[list->count];

        if (is_local_without_route(&c, rule)) {
            continue;
        }
        *new = (struct plan_rule){.at = rule->at, .use = rule->use};
        if (rule->condition.text.len > 0) {
            new->condition = compile(&c, &rule->condition, EXPR_WANTS_BOOL);
            if (new->condition != NULL) {
                check_constant(&c, rules->items, i, rules->count, new->condition);
            }
        }
        if (rule->use.len > 0) {
            note_name(&c, rule->use, rule->use_at);
        } else {
            new->value = compile(&c, &rule->value, EXPR_WANTS_NAME);
            if (new->value != NULL) {
                note_names(&c, rule, new->value);
            }
        }
        list->count++;
    }
}
