/* What a person is told about an expression: mistakes, doubtful comparisons, and what to write. */
#include "base/check.h"

#include "base/addr.h"
#include "expr/compiler.h"

enum { WORDS_SHOWN_MAX = 16 };

void problem(struct compiler *c, bool is_warning, size_t at, struct str message,
             struct str suggestion)
{
    struct expr_problems *all = c->problems;
    struct expr_problem *p;
    unsigned line = 1, column = 1;

    if (is_warning) {
        all->warnings++;
    } else {
        all->errors++;
    }
    if (all->errors + all->warnings > EXPR_PROBLEMS_MAX) {
        return; /* counted, not told */
    }
    for (size_t i = 0; i < at && i < c->text.len; i++) {
        if (c->text.ptr[i] == '\n') {
            line++;
            column = 1;
        } else if ((c->text.ptr[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    p = ARENA_NEW(c->arena, struct expr_problem);
    *p = (struct expr_problem){.is_warning = is_warning,
                               .line = line,
                               .column = column,
                               .message = message,
                               .suggestion = suggestion};
    if (all->last != NULL) {
        all->last->next = p;
    } else {
        all->first = p;
    }
    all->last = p;
}

/* The candidate nearest to what was written, when it is near enough to be meant. */
struct nearest {
    struct str written, best;
    unsigned distance;
};

static struct nearest near_to(struct str written)
{
    unsigned most = written.len < 4 ? 1 : written.len < 9 ? 2 : 3;

    return (struct nearest){written, STR_EMPTY, most + 1};
}

static void consider(struct nearest *n, struct str candidate)
{
    unsigned distance = n->written.len <= 64 ? str_distance(n->written, candidate) : n->distance;
    bool extends = n->written.len >= 4 && (str_starts(candidate, n->written));

    if (distance < n->distance) {
        n->distance = distance;
        n->best = candidate;
    } else if (extends && n->best.len == 0) {
        n->best = candidate;
    }
}

static struct str did_you_mean(struct compiler *c, const struct nearest *n)
{
    return n->best.len > 0 ? arena_printf(c->arena, "did you mean %.*s?", STR_ARG(n->best))
                           : STR_EMPTY;
}

bool is_present(const struct compiler *c, const struct expr_variable *v)
{
    must(v->id < EXPR_VARIABLES_MAX);
    return (c->scope->present >> v->id & 1) != 0;
}

/* Known elsewhere, but without a value here. */
static bool is_absent_variable(const struct compiler *c, struct str name)
{
    for (size_t i = 0; i < c->scope->variable_count; i++) {
        if (str_eq(name, str_of(c->scope->variables[i].name))) {
            return true;
        }
    }
    return false;
}

void check_unknown(struct compiler *c, size_t at, struct str name)
{
    struct nearest n = near_to(name);
    int len = (int)(name.len < 64 ? name.len : 64);
    bool is_whole = str_eq(str_trim_ws(c->text), name);

    if (function_find(name) != NULL || str_eq(name, STR("matches"))) {
        problem_error(c, at, arena_printf(c->arena, "%.*s is a function", len, name.ptr),
                      arena_printf(c->arena, "call it: %.*s(...)", len, name.ptr));
        return;
    }
    if (is_absent_variable(c, name)) {
        problem_error(
            c, at,
            arena_printf(c->arena, "%.*s has no value yet in %s", len, name.ptr, c->scope->place),
            STR("it has one once a host is chosen: in queue.strategy.connection and tls"));
        return;
    }
    for (size_t i = 0; i < c->scope->variable_count; i++) {
        if (is_present(c, &c->scope->variables[i])) {
            consider(&n, str_of(c->scope->variables[i].name));
        }
    }
    for (size_t i = 0; c->scope->constants != NULL && c->scope->constants[i] != NULL; i++) {
        consider(&n, str_of(c->scope->constants[i]));
    }
    struct str suggestion = did_you_mean(c, &n);

    if (c->wants == EXPR_WANTS_NAME && is_whole) {
        suggestion = arena_printf(c->arena, "for the name itself write use: %.*s", len, name.ptr);
    } else if (str_eq(name, STR("not"))) {
        suggestion = STR("write ! for not");
    }
    problem_error(c, at, arena_printf(c->arena, "there is no variable \"%.*s\"", len, name.ptr),
                  suggestion);
}

void check_unknown_function(struct compiler *c, size_t at, struct str name)
{
    struct nearest n = near_to(name);
    const struct function *f;

    consider(&n, STR("matches"));
    for (unsigned i = 0; (f = function_at(i)) != NULL; i++) {
        if (f->how != FN_REFUSED) {
            consider(&n, f->name);
        }
    }
    problem_error(c, at,
                  arena_printf(c->arena, "there is no function \"%.*s\"",
                               (int)(name.len < 64 ? name.len : 64), name.ptr),
                  did_you_mean(c, &n));
}

static const char *kind_say(unsigned kinds)
{
    if (kinds == KIND_TEXT) {
        return "text";
    }
    if (kinds == KIND_LIST) {
        return "a list";
    }
    if ((kinds & ~(unsigned)(KIND_DURATION | KIND_MS)) == 0) {
        return "a duration";
    }
    return (kinds & ~(unsigned)KIND_NUMBER) == 0 ? "a number" : "several kinds";
}

static bool is_only(unsigned kinds, unsigned of)
{
    return (kinds & ~of) == 0;
}

static struct str all_words(struct compiler *c, const char *const *values)
{
    struct str list = STR_EMPTY;

    for (size_t i = 0; values[i] != NULL && i < WORDS_SHOWN_MAX; i++) {
        if (values[i][0] != 0) {
            list = arena_printf(c->arena, "%.*s%s'%s'", STR_ARG(list), list.len > 0 ? ", " : "",
                                values[i]);
        }
    }
    return arena_printf(c->arena, "it is one of %.*s", STR_ARG(list));
}

/* A variable that is one of few words, beside a word it never is. */
static void check_word(struct compiler *c, const struct operand *variable,
                       const struct operand *other)
{
    const struct expr_variable *v = variable->variable;
    struct nearest n;
    struct str word;

    if (v == NULL || v->values == NULL || !other->constant ||
        operand_value(c, other)->type != VALUE_TEXT) {
        return;
    }
    word = operand_value(c, other)->text;
    n = near_to(word);
    n.distance = word.len < 6 ? 3 : 4; /* of few words one is meant more likely than not */
    for (size_t i = 0; v->values[i] != NULL; i++) {
        if (str_eq(word, str_of(v->values[i]))) {
            return;
        }
        consider(&n, str_of(v->values[i]));
    }
    problem_warning(c, other->at,
                    arena_printf(c->arena, "%s is never '%.*s'", v->name,
                                 (int)(word.len < 64 ? word.len : 64), word.ptr),
                    n.best.len > 0 ? did_you_mean(c, &n) : all_words(c, v->values));
}

static struct str compare_advice(struct compiler *c, const struct operand *left,
                                 const struct operand *right)
{
    const struct operand *text = left->kinds == KIND_TEXT ? left : right;
    struct value n;

    if (left->kinds == KIND_LIST || right->kinds == KIND_LIST) {
        return STR("to look into a list write contains(list, value)");
    }
    if (is_only(left->kinds, KIND_MS) || is_only(right->kinds, KIND_MS)) {
        const struct operand *time = is_only(left->kinds, KIND_MS) ? left : right;

        return time->constant ? arena_printf(c->arena,
                                             "a duration beside a plain number counts "
                                             "milliseconds: %lld here",
                                             (long long)operand_value(c, time)->num)
                              : STR_EMPTY;
    }
    if (text->constant && value_parse(operand_value(c, text)->text, &n)) {
        return STR("write the number without quotes");
    }
    return STR("text that is no number counts as 0 here");
}

void check_compare(struct compiler *c, size_t at, enum value_op op, const struct operand *left,
                   const struct operand *right)
{
    unsigned l = left->kinds, r = right->kinds;
    bool differ;

    if (op < OP_EQ || op > OP_GE) {
        return;
    }
    if (op == OP_EQ || op == OP_NE) {
        check_word(c, left, right);
        check_word(c, right, left);
    }
    differ = (l == KIND_TEXT && is_only(r, KIND_NUMBER)) ||
             (r == KIND_TEXT && is_only(l, KIND_NUMBER)) ||
             (l == KIND_LIST && (r & KIND_LIST) == 0) || (r == KIND_LIST && (l & KIND_LIST) == 0) ||
             (l == KIND_MS && is_only(r, KIND_INT | KIND_REAL)) ||
             (r == KIND_MS && is_only(l, KIND_INT | KIND_REAL));
    if (differ) {
        problem_warning(c, at,
                        arena_printf(c->arena, "compares %s with %s", kind_say(l), kind_say(r)),
                        compare_advice(c, left, right));
    }
}

void check_logic(struct compiler *c, const struct operand *side)
{
    if (side->constant && operand_value(c, side)->type == VALUE_TEXT) {
        problem_warning(c, side->at,
                        arena_printf(c->arena, "this text is always %s here",
                                     value_truth(operand_value(c, side)) ? "true" : "false"),
                        STR("to compare with one of several write contains(['a', 'b'], value)"));
    }
}

static bool is_choice(const char *choices, struct str word)
{
    struct str rest = str_of(choices), choice;
    bool more = true;

    while (more) {
        more = str_cut(&rest, ' ', &choice);
        if (str_eq(choice, word)) {
            return true;
        }
    }
    return false;
}

/* The network or networks written literally. */
static bool are_networks(const struct value *v)
{
    struct cidr network;

    if (v->type != VALUE_LIST) {
        return v->type == VALUE_TEXT && cidr_parse(v->text, &network);
    }
    for (size_t i = 0; i < v->list.count; i++) {
        const struct value *one = &v->list.at[i];

        if (one->type != VALUE_TEXT || !cidr_parse(one->text, &network)) {
            return false;
        }
    }
    return true;
}

static bool check_choice(struct compiler *c, const struct function *f, const struct operand *arg)
{
    const struct value *v;

    if (f->choices == NULL || !arg->constant) {
        return true;
    }
    v = operand_value(c, arg);
    if (str_eq(str_of(f->choices), STR("<network>"))) {
        if (are_networks(v)) {
            return true;
        }
        problem_error(c, arg->at, STR("this is no network"),
                      STR("write it like '10.0.0.0/8' or '2001:db8::/32'"));
        return false;
    }
    if (v->type == VALUE_TEXT && is_choice(f->choices, v->text)) {
        return true;
    }
    problem_error(c, arg->at,
                  arena_printf(c->arena, "the second argument of %.*s is not one of its words",
                               STR_ARG(f->name)),
                  arena_printf(c->arena, "one of: %s", f->choices));
    return false;
}

static bool is_offered(const struct expr_services *s, const struct function *f)
{
    bool by_lookup = f->lookup != EXPR_LOOKUP_COUNT && s != NULL &&
                     (s->lookups & EXPR_LOOKUP_BIT(f->lookup)) != 0;

    if (f->how == FN_PURE || f->how == FN_EACH || by_lookup) {
        return true;
    }
    if (f->how == FN_DIGEST) {
        return s != NULL && s->digest != NULL;
    }
    if (s == NULL || f->how != FN_LOCAL) {
        return false;
    }
    return f->lookup == EXPR_LOOKUP_is_local_domain ? s->is_local_domain != NULL
                                                    : s->is_local_address != NULL;
}

bool check_call(struct compiler *c, size_t at, const struct function *f, unsigned count)
{
    if (count < f->args_min || count > f->args_max) {
        struct str wants = f->args_min == f->args_max
                               ? arena_printf(c->arena, "%u", f->args_min)
                               : arena_printf(c->arena, "%u or %u", f->args_min, f->args_max);

        problem_error(c, at,
                      arena_printf(c->arena, "%.*s takes %.*s argument%s, not %u", STR_ARG(f->name),
                                   STR_ARG(wants), f->args_max == 1 ? "" : "s", count),
                      STR_EMPTY);
        return false;
    }
    if (!is_offered(c->scope->services, f)) {
        problem_error(c, at,
                      arena_printf(c->arena,
                                   "%.*s cannot be asked in %s: what answers it is not "
                                   "there",
                                   STR_ARG(f->name), c->scope->place),
                      STR_EMPTY);
        return false;
    }
    return count < 2 || check_choice(c, f, operand_top(c, count - 2));
}

static void check_constant(struct compiler *c, const struct operand *result)
{
    const struct value *v = operand_value(c, result);
    struct allowance w = work_of(c->arena);
    const char *why = "";

    if (c->wants == EXPR_WANTS_DURATION && (v->type == VALUE_INT || v->type == VALUE_REAL) &&
        value_truth(v)) {
        problem_error(c, result->at, STR("a duration needs a unit"),
                      STR("write it like 90s, 5m or 1d12h"));
        return;
    }
    if (c->wants == EXPR_WANTS_BOOL && v->type == VALUE_TEXT && v->text.len > 0) {
        problem_warning(
            c, result->at, STR("this text is always true"),
            STR("any text is true but the empty one; write true or false without quotes"));
    }
    if (!program_convert(&w, c->wants, c->scope->constants, v, &c->facts.constant, &why)) {
        problem_error(c, result->at, str_of(why), STR_EMPTY);
        return;
    }
    c->facts.is_constant = true;
}

void check_result(struct compiler *c, const struct operand *result)
{
    if (result->constant) {
        check_constant(c, result);
        return;
    }
    bool wants_text = c->wants == EXPR_WANTS_NAME || c->wants == EXPR_WANTS_CONSTANT;
    bool wants_number = c->wants == EXPR_WANTS_INT || c->wants == EXPR_WANTS_DURATION;

    if (wants_text && (result->kinds & KIND_TEXT) == 0) {
        problem_error(
            c, result->at,
            arena_printf(c->arena, "this gives %s, never a name", kind_say(result->kinds)),
            STR("a name is text"));
    } else if (wants_number && result->kinds == KIND_LIST) {
        problem_error(c, result->at, STR("this gives a list, never a number"), STR_EMPTY);
    } else if (c->wants == EXPR_WANTS_DURATION && is_only(result->kinds, KIND_INT | KIND_REAL)) {
        problem_warning(c, result->at, STR("this gives a plain number, which counts milliseconds"),
                        STR("multiply with a duration: retry_num * 5m"));
    }
}
