#include "base/check.h"
#include "expr/compiler.h"

/*
 * The parser: operators by priority with a stack of its own, so that only brackets recurse.
 *
 *   expression = unary { operator unary }
 *   unary      = { "!" | "-" } postfix
 *   postfix    = primary { "[" expression "]" }
 *   primary    = number | text | capture | name | call | "[" list "]" | "(" expression ")"
 */
enum { PRIORITIES = 7, SIGNS_MAX = 32 };

static bool parse_expression(struct compiler *c);

static unsigned priority(enum value_op op)
{
    static const unsigned char table[] = {
        [OP_OR] = 1,  [OP_AND] = 2, [OP_XOR] = 3, [OP_EQ] = 4, [OP_NE] = 4,
        [OP_LT] = 5,  [OP_LE] = 5,  [OP_GT] = 5,  [OP_GE] = 5, [OP_ADD] = 6,
        [OP_SUB] = 6, [OP_MUL] = 7, [OP_DIV] = 7,
    };

    return table[op];
}

static void advance(struct compiler *c)
{
    c->token = lex_next(c->text, c->token.end);
}

static bool syntax(struct compiler *c, const char *message, const char *suggestion)
{
    problem_error(c, c->token.at, str_of(message), str_of(suggestion));
    return false;
}

/* What stands where something else should. */
static bool unexpected(struct compiler *c, const char *wanted)
{
    struct str message;

    if (c->token.type == TOKEN_BAD) {
        return syntax(c, c->token.error, c->token.suggestion);
    }
    message = c->token.type == TOKEN_END
                  ? arena_printf(c->arena, "the expression ends where %s should stand", wanted)
                  : arena_printf(c->arena, "\"%.*s\" stands where %s should",
                                 (int)(c->token.end - c->token.at), c->text.ptr + c->token.at,
                                 wanted);
    problem_error(c, c->token.at, message, STR_EMPTY);
    return false;
}

static bool expect(struct compiler *c, enum token_type type, const char *wanted)
{
    if (c->token.type != type) {
        return unexpected(c, wanted);
    }
    advance(c);
    return true;
}

static bool parse_inner(struct compiler *c)
{
    if (c->depth == EXPR_DEPTH_MAX) {
        return syntax(c, "brackets nest deeper than 32 levels", NULL);
    }
    c->depth++;
    bool ok = parse_expression(c);

    c->depth--;
    return ok;
}

/* Expressions between commas up to `close`; how many there were. */
static bool parse_several(struct compiler *c, enum token_type close, const char *wanted,
                          unsigned *count)
{
    *count = 0;
    if (c->token.type == close) {
        advance(c);
        return true;
    }
    for (;;) {
        if (!parse_inner(c)) {
            return false;
        }
        (*count)++;
        if (c->token.type != TOKEN_COMMA) {
            return expect(c, close, wanted);
        }
        advance(c);
    }
}

static void push_unknown(struct compiler *c, size_t at)
{
    struct value nothing = value_text(STR_EMPTY);

    push_const(c, at, &nothing);
    /* Not to be computed with: it is refused already. */
    operand_top(c, 0)->constant = false;
    operand_top(c, 0)->kinds = KIND_ANY;
    operand_top(c, 0)->texts_all = false;
}

static bool parse_matches(struct compiler *c, size_t at)
{
    const struct pattern *p;
    struct str error;
    size_t place;

    advance(c);
    if (c->token.type != TOKEN_TEXT) {
        if (c->token.type != TOKEN_BAD && c->token.type != TOKEN_END) {
            return syntax(c, "the pattern of matches() must be written literally",
                          "matches('pattern', value): patterns are compiled at load");
        }
        return unexpected(c, "a pattern in quotes");
    }
    p = pattern_get(c->all_patterns, c->arena, c->token.raw, &error, &place);
    if (p == NULL) {
        problem_error(c, c->token.at + 1 + place,
                      arena_printf(c->arena, "the pattern is wrong: %.*s", STR_ARG(error)),
                      STR_EMPTY);
    }
    advance(c);
    if (!expect(c, TOKEN_COMMA, "a comma and the value to look at") || !parse_inner(c)) {
        return false;
    }
    if (c->token.type == TOKEN_COMMA) {
        return syntax(c, "matches() takes 2 arguments", "matches('pattern', value)");
    }
    if (!expect(c, TOKEN_CLOSE, "\")\"")) {
        return false;
    }
    if (p != NULL) {
        emit_match(c, at, p);
    }
    return true;
}

static bool parse_call(struct compiler *c, size_t at, struct str name)
{
    const struct function *f = function_find(name);
    unsigned count;

    if (str_eq(name, STR("matches"))) {
        return parse_matches(c, at);
    }
    if (f == NULL) {
        check_unknown_function(c, at, name);
    } else if (f->how == FN_REFUSED) {
        problem_error(c, at,
                      arena_printf(c->arena, "%.*s is not offered: %s", STR_ARG(name), f->choices),
                      STR_EMPTY);
    }
    advance(c);
    if (!parse_several(c, TOKEN_CLOSE, "a comma or \")\"", &count)) {
        return false;
    }
    if (f != NULL && f->how != FN_REFUSED && check_call(c, at, f, count)) {
        return emit_call(c, at, f, count);
    }
    /* Go on with something in its place, to find further mistakes. */
    push_unknown(c, at);
    emit_list(c, at, count + 1);
    operand_top(c, 0)->kinds = KIND_ANY;
    return true;
}

static void push_variable(struct compiler *c, size_t at, const struct expr_variable *v)
{
    static const unsigned kinds[] = {[EXPR_TEXT] = KIND_TEXT,
                                     [EXPR_INT] = KIND_INT,
                                     [EXPR_BOOL] = KIND_INT,
                                     [EXPR_DURATION] = KIND_DURATION,
                                     [EXPR_LIST] = KIND_LIST};
    struct operand *o = push_operand(c, at, kinds[v->type]);

    o->variable = v;
    o->texts_all = v->values != NULL;
    for (size_t i = 0; v->values != NULL && v->values[i] != NULL; i++) {
        struct literal *l = ARENA_NEW(c->arena, struct literal);

        l->text = str_of(v->values[i]);
        l->next = o->texts;
        o->texts = l;
    }
    emit(c, DO_VARIABLE, 0, v->id);
    c->facts.reads |= 1ull << v->id;
    c->facts.is_late = c->facts.is_late || v->late;
}

static bool parse_name(struct compiler *c)
{
    struct str name = c->token.raw;
    size_t at = c->token.at;
    struct value v;

    advance(c);
    if (c->token.type == TOKEN_OPEN) {
        return parse_call(c, at, name);
    }
    for (size_t i = 0; i < c->scope->variable_count; i++) {
        const struct expr_variable *row = &c->scope->variables[i];

        if (str_eq(name, str_of(row->name)) && is_present(c, row)) {
            push_variable(c, at, row);
            return true;
        }
    }
    for (size_t i = 0; c->scope->constants != NULL && c->scope->constants[i] != NULL; i++) {
        if (str_eq(name, str_of(c->scope->constants[i]))) {
            v = value_text(name);
            push_const(c, at, &v);
            return true;
        }
    }
    if (str_eq(name, STR("true")) || str_eq(name, STR("false"))) {
        v = value_bool(name.ptr[0] == 't');
        push_const(c, at, &v);
        return true;
    }
    check_unknown(c, at, name);
    push_unknown(c, at);
    return true;
}

static void parse_capture(struct compiler *c)
{
    int n = (int)c->token.value.num;

    if (n >= PATTERN_GROUPS_MAX || (c->facts.runs_pattern && n > c->facts.capture_groups)) {
        problem_error(
            c, c->token.at, arena_printf(c->arena, "no pattern before this has a group %d", n),
            STR("groups are counted by their opening brackets, from $1; $0 is the whole"));
        n = 0;
    } else if (!c->facts.runs_pattern && n > c->facts.capture_reads) {
        c->facts.capture_reads = n;
    }
    /* A capture is text that often holds a number: comparing it with one is no mistake. */
    push_operand(c, c->token.at, KIND_TEXT | KIND_INT);
    emit(c, DO_CAPTURE, 0, (unsigned)n);
    advance(c);
}

/* *may_index: "[" behind it asks for an element. */
static bool parse_primary(struct compiler *c, bool *may_index)
{
    size_t at = c->token.at;
    struct value v;
    unsigned count;

    *may_index = true;
    if (c->op_count > EXPR_OPS_MAX) {
        return syntax(c, "the expression has more than 4096 operations", NULL);
    }
    if (c->token.type == TOKEN_NUMBER || c->token.type == TOKEN_TEXT) {
        *may_index = false;
        v = c->token.type == TOKEN_NUMBER ? c->token.value
                                          : value_text(lex_unescape(c->arena, c->token.raw));
        push_const(c, at, &v);
        advance(c);
        return true;
    }
    if (c->token.type == TOKEN_NAME) {
        return parse_name(c);
    }
    if (c->token.type == TOKEN_CAPTURE) {
        parse_capture(c);
        return true;
    }
    if (c->token.type == TOKEN_OPEN) {
        advance(c);
        return parse_inner(c) && expect(c, TOKEN_CLOSE, "\")\"");
    }
    if (c->token.type == TOKEN_LIST_OPEN) {
        advance(c);
        return parse_several(c, TOKEN_LIST_CLOSE, "a comma or \"]\"", &count) &&
               emit_list(c, at, count);
    }
    return unexpected(c, "a value");
}

static bool parse_unary(struct compiler *c)
{
    uint32_t nots = 0; /* one bit a sign, set for "!": this frame is one of many */
    size_t at = c->token.at;
    unsigned signs = 0;
    bool may_index;

    while (c->token.type == TOKEN_NOT || (c->token.type == TOKEN_OP && c->token.op == OP_SUB)) {
        if (signs == SIGNS_MAX) {
            return syntax(c, "more than 32 signs in a row", NULL);
        }
        nots = nots << 1 | (c->token.type == TOKEN_NOT);
        signs++;
        advance(c);
    }
    if (!parse_primary(c, &may_index)) {
        return false;
    }
    while (may_index && c->token.type == TOKEN_LIST_OPEN) {
        size_t bracket = c->token.at;

        advance(c);
        if (!parse_inner(c) || !expect(c, TOKEN_LIST_CLOSE, "\"]\"") || !emit_index(c, bracket)) {
            return false;
        }
    }
    for (; signs > 0; signs--, nots >>= 1) {
        if (!emit_unary(c, at, (nots & 1) != 0)) {
            return false;
        }
    }
    return true;
}

struct pending {
    enum value_op op;
    size_t at;
    unsigned jump;
};

static bool apply(struct compiler *c, const struct pending *p)
{
    if (p->op == OP_AND || p->op == OP_OR) {
        emit_jump_end(c, p->at, p->op, p->jump);
        return true;
    }
    return emit_binary(c, p->at, p->op);
}

static bool parse_expression(struct compiler *c)
{
    struct pending pending[PRIORITIES];
    unsigned count = 0;

    for (;;) {
        if (!parse_unary(c)) {
            return false;
        }
        unsigned next = c->token.type == TOKEN_OP ? priority(c->token.op) : 0;

        while (count > 0 && priority(pending[count - 1].op) >= next) {
            if (!apply(c, &pending[--count])) {
                return false;
            }
        }
        if (next == 0) {
            return true;
        }
        must(count < PRIORITIES);
        struct pending *p = &pending[count++];

        *p = (struct pending){.op = c->token.op, .at = c->token.at};
        if (p->op == OP_AND || p->op == OP_OR) {
            p->jump = emit_jump(c, p->op);
        }
        advance(c);
    }
}

static bool parse_whole(struct compiler *c)
{
    if (c->text.len > EXPR_BYTES_MAX) {
        return syntax(c, "the expression is longer than 64 KiB", NULL);
    }
    c->token = lex_next(c->text, 0);
    if (c->token.type == TOKEN_END) {
        return syntax(c, "the expression is empty", "for no text at all write ''");
    }
    if (!parse_expression(c)) {
        return false;
    }
    if (c->token.type == TOKEN_END) {
        return true;
    }
    if (c->token.type == TOKEN_NAME &&
        (str_eq(c->token.raw, STR("and")) || str_eq(c->token.raw, STR("or")))) {
        return syntax(c, "there is no such operator",
                      c->token.raw.ptr[0] == 'a' ? "write && for and" : "write || for or");
    }
    return unexpected(c, "an operator or the end");
}

struct err expr_compile(const struct expr_scope *scope, enum expr_wants wants, struct str text,
                        struct arena *a, struct patterns *patterns, const struct program **ret,
                        struct expr_problems *problems)
{
    struct compiler c = {.scope = scope,
                         .text = text,
                         .arena = a,
                         .all_patterns = patterns,
                         .problems = problems,
                         .wants = wants,
                         .facts = {.capture_groups = -1, .capture_reads = -1, .lone_variable = -1}};
    unsigned errors = problems->errors;
    const struct program *p = NULL;

    if (parse_whole(&c) && problems->errors == errors) {
        check_result(&c, operand_top(&c, 0));
    }
    if (problems->errors == errors) {
        p = emit_program(&c);
    }
    compiler_done(&c);
    if (problems->errors != errors) {
        return err_of(ERR_CONFIG);
    }
    *ret = p;
    return ERR_OK;
}

const struct expr_facts *expr_facts(const struct program *p)
{
    return &p->facts;
}

struct str expr_text(const struct program *p)
{
    return p->text;
}
