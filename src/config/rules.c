/*
 * Rule lists: how a strategy is written.
 *
 * 1. Rules are tried in the order of the file; the last one, and only it, is unconditional.
 * 2. A rule says `use: NAME`, a name as it stands, or `then: EXPRESSION`, which computes one.
 * 3. `else: EXPRESSION` is the last rule in the manner of Stalwart; a text in place of the list
 *    is one unconditional expression.
 */
#include "base/check.h"
#include "config/condition.h"
#include "config/hint.h"
#include "config/value.h"

/* A quote stands open at the end: " #" began a comment inside it. */
static bool is_open(struct str s)
{
    char quote = '\0';

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\\') {
            i++;
        } else if (quote == '\0' && (s.ptr[i] == '\'' || s.ptr[i] == '"')) {
            quote = s.ptr[i];
        } else if (s.ptr[i] == quote) {
            quote = '\0';
        }
    }
    return quote != '\0';
}

bool expression_read(struct value_reading *v, const struct yaml *node, struct expression *ret)
{
    if (node->tag.len > 0) {
        fault_error(v->faults, node->at,
                    "%.*s: YAML reads what begins with \"!\" as a tag, not as an expression",
                    STR_ARG(v->key));
        hint_expression_at(v->faults, node->at);
        return false;
    }
    if (node->kind != YAML_TEXT) {
        fault_error(v->faults, node->at, "%.*s must be an expression; YAML reads %s here",
                    STR_ARG(v->key), yaml_kind_name(node));
        hint_expression_at(v->faults, node->at);
        return false;
    }
    if (yaml_is_null(node) || str_trim_ws(node->text).len == 0) {
        fault_error(v->faults, node->at, "%.*s has no expression", STR_ARG(v->key));
        return false;
    }
    if (str_find(node->text, '\0') != STR_NONE) {
        fault_error(v->faults, node->at, "%.*s holds a NUL byte", STR_ARG(v->key));
        return false;
    }
    struct str line = faults_line(v->faults, node->at.file, node->at.line);

    if (node->style == YAML_PLAIN && is_open(node->text) &&
        str_find_str(line, STR(" #")) != STR_NONE) {
        fault_error(v->faults, node->at, "%.*s: YAML reads what follows \" #\" as a comment",
                    STR_ARG(v->key));
        hint_expression_at(v->faults, node->at);
        return false;
    }
    ret->text = arena_dup(v->arena, node->text);
    ret->at = node->at;
    return true;
}

static const struct str rule_keys[] = {STR_INIT("if"), STR_INIT("use"), STR_INIT("then"),
                                       STR_INIT("else")};

/* Keys that are none of ours; without a value, as in { if: f(a, b) }, they are what a comma cut
 * off an expression. */
static bool check_keys(struct value_reading *v, const struct yaml *node)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct yaml_pair *pair = &node->pairs[i];
        struct hint_words words = {.given = pair->key};
        bool known = false;

        for (size_t k = 0; k < COUNT_OF(rule_keys); k++) {
            known = known || str_eq(pair->key, rule_keys[k]);
            hint_word_try(&words, rule_keys[k]);
        }
        if (known) {
            continue;
        }
        if (yaml_is_null(pair->value)) {
            fault_error(v->faults, pair->at,
                        "%.*s: \"%.*s\" looks like the rest of an expression that a comma cut off",
                        STR_ARG(v->key), STR_ARG(str_head(pair->key, 80)));
            hint_expression_at(v->faults, pair->at);
        } else {
            fault_error(v->faults, pair->at,
                        "%.*s: a rule has no \"%.*s\", only if, use, then and else",
                        STR_ARG(v->key), STR_ARG(str_head(pair->key, 80)));
            if (hint_word_found(&words)) {
                fault_hint(v->faults, "did you mean %.*s?", STR_ARG(words.best));
            }
        }
        return false;
    }
    return true;
}

static bool read_use(struct value_reading *v, const struct yaml *node, struct rule *ret)
{
    if (node->kind != YAML_TEXT || node->tag.len > 0 || yaml_is_null(node)) {
        fault_error(v->faults, node->at, "%.*s: use takes a name; then takes an expression",
                    STR_ARG(v->key));
        return false;
    }
    if (!name_is_good(node->text)) {
        fault_error(v->faults, node->at, "%.*s: use takes a name, not \"%.*s\"", STR_ARG(v->key),
                    STR_ARG(str_head(node->text, 80)));
        fault_hint(v->faults, "then: takes an expression that yields a name");
        return false;
    }
    ret->use = arena_dup(v->arena, node->text);
    ret->use_at = node->at;
    return true;
}

static bool read_rule(struct value_reading *v, const struct yaml *node, struct rule *ret)
{
    const struct yaml_pair *condition, *use, *then, *otherwise;

    if (node->kind != YAML_MAP) {
        fault_error(v->faults, node->at,
                    "%.*s: a rule is a map such as { if: \"source == 'dsn'\", use: dsn }, not %s",
                    STR_ARG(v->key), yaml_kind_name(node));
        return false;
    }
    if (!check_keys(v, node)) {
        return false;
    }
    condition = yaml_get(node, STR("if"));
    use = yaml_get(node, STR("use"));
    then = yaml_get(node, STR("then"));
    otherwise = yaml_get(node, STR("else"));
    ret->at = node->at;
    if ((use != NULL) + (then != NULL) + (otherwise != NULL) != 1) {
        fault_error(v->faults, node->at, "%.*s: a rule has one of use, then and else",
                    STR_ARG(v->key));
        return false;
    }
    if (condition != NULL && otherwise != NULL) {
        fault_error(v->faults, otherwise->at, "%.*s: else stands in a rule of its own, without if",
                    STR_ARG(v->key));
        return false;
    }
    if (condition != NULL && !expression_read(v, condition->value, &ret->condition)) {
        return false;
    }
    return use != NULL ? read_use(v, use->value, ret)
                       : expression_read(v, (then != NULL ? then : otherwise)->value, &ret->value);
}

static bool check_order(struct value_reading *v, const struct yaml *node, const struct rule *rules,
                        size_t count)
{
    if (count == 0 || rules[count - 1].condition.text.len > 0) {
        fault_error(v->faults, count == 0 ? node->at : rules[count - 1].at,
                    "%.*s: the last rule must be unconditional", STR_ARG(v->key));
        fault_hint(v->faults, "end the list with { use: NAME }");
        return false;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        if (rules[i].condition.text.len == 0) {
            fault_warn(v->faults, rules[i + 1].at,
                       "%.*s: this rule is never reached: the one in line %u has no condition",
                       STR_ARG(v->key), rules[i].at.line);
            fault_hint(v->faults, "put it before that one, or take it away");
            return true;
        }
        for (size_t k = 0; k < i; k++) {
            struct str before = rules[k].condition.text, here = rules[i].condition.text;

            if (condition_implies(here, before)) {
                fault_warn(v->faults, rules[i].at,
                           "%.*s: this rule is never reached: line %u has %s condition",
                           STR_ARG(v->key), rules[k].at.line,
                           str_eq(here, before) ? "the same" : "a wider");
                if (!str_eq(here, before)) {
                    fault_hint(v->faults, "put the narrower rule first");
                }
                break;
            }
        }
    }
    return true;
}

bool rules_read(struct value_reading *v, const struct yaml *node, struct rules *ret)
{
    bool is_list = node->kind == YAML_LIST && node->tag.len == 0, ok = true;
    size_t count = is_list ? node->count : 1;

    if (count > SETTING_ITEMS_MAX) {
        fault_error(v->faults, node->at, "%.*s: more than %d rules", STR_ARG(v->key),
                    SETTING_ITEMS_MAX);
        return false;
    }
    struct rule *rules = arena_array(v->arena, count == 0 ? 1 : count, sizeof *rules);

    if (!is_list && node->kind == YAML_MAP) {
        fault_error(v->faults, node->at, "%.*s must be a list of rules, not a map",
                    STR_ARG(v->key));
        fault_hint(v->faults, "begin each rule with \"- \"");
        return false;
    }
    if (!is_list) {
        ok = expression_read(v, node, &rules[0].value);
        rules[0].at = node->at;
    }
    for (size_t i = 0; is_list && i < count; i++) {
        ok = read_rule(v, node->items[i], &rules[i]) && ok;
    }
    if (!ok || !check_order(v, node, rules, count)) {
        return false;
    }
    *ret = (struct rules){rules, count};
    return true;
}
