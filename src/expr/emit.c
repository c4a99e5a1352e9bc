#include "base/check.h"
#include "base/mem.h"
#include "expr/compiler.h"

/* Room for one more element. */
#define GROW(array, count, size)                                                                   \
    do {                                                                                           \
        if ((count) == (size)) {                                                                   \
            (size) = (size) ? 2 * (size) : 16;                                                     \
            (array) = mem_grow((array), (size), sizeof *(array));                                  \
        }                                                                                          \
    } while (0)

void emit(struct compiler *c, enum op_code code, unsigned detail, unsigned arg)
{
    /* The parser stops soon after EXPR_OPS_MAX; until then numbers still fit. */
    must(arg <= UINT16_MAX);
    must(detail <= UINT8_MAX);
    GROW(c->ops, c->op_count, c->op_size);
    c->ops[c->op_count++] = (struct op){
        .code = (uint8_t)code, .detail = (uint8_t)detail, .arg = (uint16_t)arg};
}

struct operand *push_operand(struct compiler *c, size_t at, unsigned kinds)
{
    GROW(c->operands, c->operand_count, c->operand_size);
    struct operand *o = &c->operands[c->operand_count++];

    *o = (struct operand){.at = at, .start = c->op_count, .kinds = kinds};
    return o;
}

static unsigned kind_of(const struct value *v)
{
    switch (v->type) {
    case VALUE_TEXT:
        return KIND_TEXT;
    case VALUE_INT:
        return KIND_INT;
    case VALUE_REAL:
        return KIND_REAL;
    case VALUE_DURATION:
        return KIND_DURATION;
    case VALUE_MS:
        return KIND_MS;
    case VALUE_LIST:
        break;
    }
    return KIND_LIST;
}

void push_const(struct compiler *c, size_t at, const struct value *v)
{
    struct operand *o = push_operand(c, at, kind_of(v));

    o->constant = true;
    o->texts_all = true;
    if (v->type == VALUE_TEXT) {
        struct literal *l = ARENA_NEW(c->arena, struct literal);

        l->text = v->text;
        o->texts = l;
    }
    GROW(c->consts, c->const_count, c->const_size);
    c->consts[c->const_count++] = *v;
    emit(c, DO_CONST, 0, c->const_count - 1);
}

struct operand *operand_top(struct compiler *c, unsigned below)
{
    must(c->operand_count > below);
    return &c->operands[c->operand_count - 1 - below];
}

const struct value *operand_value(const struct compiler *c, const struct operand *o)
{
    must(o->constant);
    must(c->ops[o->start].code == DO_CONST);
    return &c->consts[c->ops[o->start].arg];
}

static bool all_constant(struct compiler *c, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!operand_top(c, i)->constant) {
            return false;
        }
    }
    return true;
}

/* Puts v where the last `count` operands, all constant, were. */
static void fold(struct compiler *c, size_t at, unsigned count, const struct value *v)
{
    if (count > 0) {
        unsigned start = operand_top(c, count - 1)->start;

        c->const_count = c->ops[start].arg;
        c->op_count = start;
        c->operand_count -= count;
    }
    push_const(c, at, v);
}

/* The last `count` operands become one of these kinds. */
static struct operand *merge(struct compiler *c, size_t at, unsigned count, unsigned kinds)
{
    unsigned start = count > 0 ? operand_top(c, count - 1)->start : c->op_count;

    c->operand_count -= count;
    struct operand *o = push_operand(c, at, kinds);

    o->start = start;
    return o;
}

static bool over(struct compiler *c, size_t at, const struct allowance *w)
{
    problem_error(c, at, str_of(w->why), STR_EMPTY);
    return false;
}

/* The values of the last `count` operands, all constant. They lie side by side: each is one. */
static const struct value *constants(struct compiler *c, unsigned count)
{
    return count > 0 ? operand_value(c, operand_top(c, count - 1)) : NULL;
}

bool emit_list(struct compiler *c, size_t at, unsigned count)
{
    if (!all_constant(c, count)) {
        emit(c, DO_LIST, 0, count);
        merge(c, at, count, KIND_LIST);
        return true;
    }
    struct value *elements = arena_array(c->arena, count ? count : 1, sizeof *elements);
    const struct value *from = constants(c, count);

    for (unsigned i = 0; i < count; i++) {
        elements[i] = from[i];
    }
    struct value list = value_list(elements, count);

    fold(c, at, count, &list);
    return true;
}

/* Every literal of two operands; copied, since lists of literals are shared. */
static const struct literal *join_literals(struct compiler *c, const struct literal *a,
                                           const struct literal *b)
{
    for (; a != NULL; a = a->next) {
        struct literal *l = ARENA_NEW(c->arena, struct literal);

        l->text = a->text;
        l->next = b;
        b = l;
    }
    return b;
}

bool emit_call(struct compiler *c, size_t at, const struct function *f, unsigned count)
{
    bool is_pure = f->how == FN_PURE || f->how == FN_EACH;

    if (is_pure && all_constant(c, count)) {
        struct allowance w = work_of(c->arena);
        struct value v;

        if (!function_call(f, &w, constants(c, count), count, &v)) {
            return over(c, at, &w);
        }
        fold(c, at, count, &v);
        return true;
    }
    if (f->how == FN_LOOKUP || f->how == FN_LOCAL) {
        const struct operand *store = operand_top(c, count - 1);

        bool is_literal = store->constant && store->kinds == KIND_TEXT;

        GROW(c->uses, c->use_count, c->use_size);
        c->uses[c->use_count++] = (struct expr_use){
            f->lookup, is_literal ? operand_value(c, store)->text : STR_EMPTY, is_literal};
    }
    bool chooses = is_pure && f->body == fn_if_then;
    struct operand yes = chooses ? *operand_top(c, 1) : (struct operand){0};
    struct operand no = chooses ? *operand_top(c, 0) : (struct operand){0};

    emit(c, DO_CALL, count, function_index(f));
    struct operand *o = merge(c, at, count, chooses ? yes.kinds | no.kinds : f->kinds);

    if (chooses) {
        o->texts_all = yes.texts_all && no.texts_all;
        o->texts = join_literals(c, yes.texts, no.texts);
    }
    return true;
}

bool emit_unary(struct compiler *c, size_t at, bool is_not)
{
    struct operand *o = operand_top(c, 0);

    if (o->constant) {
        const struct value *v = operand_value(c, o);
        struct value result = is_not ? value_bool(!value_truth(v)) : value_negated(v);

        fold(c, at, 1, &result);
        return true;
    }
    emit(c, is_not ? DO_NOT : DO_NEGATE, 0, 0);
    merge(c, at, 1, is_not ? KIND_INT : KIND_NUMBER);
    return true;
}

static unsigned kinds_of_binary(enum value_op op, const struct operand *a, const struct operand *b)
{
    unsigned either = a->kinds | b->kinds;
    unsigned times = either & (KIND_DURATION | KIND_MS);

    switch (op) {
    case OP_ADD:
        return either & KIND_LIST   ? (either == KIND_LIST ? KIND_LIST : KIND_ANY)
               : either & KIND_TEXT ? KIND_TEXT | (either & KIND_NUMBER)
                                    : either;
    case OP_SUB:
        return either & KIND_LIST ? KIND_ANY : times ? KIND_NUMBER : KIND_INT | KIND_REAL;
    case OP_MUL:
    case OP_DIV:
        return times ? KIND_NUMBER : KIND_INT | KIND_REAL;
    case OP_OR:
    case OP_AND:
    case OP_XOR:
    case OP_EQ:
    case OP_NE:
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
        break;
    }
    return KIND_INT;
}

bool emit_binary(struct compiler *c, size_t at, enum value_op op)
{
    const struct operand *left = operand_top(c, 1), *right = operand_top(c, 0);

    check_compare(c, at, op, left, right);
    if (left->constant && right->constant) {
        struct allowance w = work_of(c->arena);
        struct value v;

        if (!value_calc(&w, op, operand_value(c, left), operand_value(c, right), &v)) {
            return over(c, at, &w);
        }
        fold(c, left->at, 2, &v);
        return true;
    }
    unsigned kinds = kinds_of_binary(op, left, right);

    emit(c, DO_BINARY, op, 0);
    merge(c, left->at, 2, kinds);
    return true;
}

bool emit_index(struct compiler *c, size_t at)
{
    const struct operand *list = operand_top(c, 1), *index = operand_top(c, 0);

    if (list->constant && index->constant) {
        struct value v = value_at(operand_value(c, list), value_to_int(operand_value(c, index)));

        fold(c, at, 2, &v);
        return true;
    }
    emit(c, DO_INDEX, 0, 0);
    merge(c, at, 2, KIND_ANY);
    return true;
}

void emit_match(struct compiler *c, size_t at, const struct pattern *p)
{
    int groups = (int)pattern_groups(p);

    GROW(c->patterns, c->pattern_count, c->pattern_size);
    c->patterns[c->pattern_count++] = p;
    emit(c, DO_MATCH, 0, c->pattern_count - 1);
    merge(c, at, 1, KIND_INT);
    c->facts.runs_pattern = true;
    if (groups > c->facts.capture_groups) {
        c->facts.capture_groups = groups;
    }
}

unsigned emit_jump(struct compiler *c, enum value_op op)
{
    emit(c, op == OP_AND ? DO_AND : DO_OR, 0, 0);
    return c->op_count - 1;
}

/* The side that decides is the value itself; else it is 1 or 0. */
void emit_jump_end(struct compiler *c, size_t at, enum value_op op, unsigned jump)
{
    struct operand left = *operand_top(c, 1);
    const struct operand *right = operand_top(c, 0);

    check_logic(c, &left);
    check_logic(c, right);
    if (left.constant && right->constant) {
        struct value l = *operand_value(c, &left);
        bool truth = value_truth(&l), decides = truth == (op == OP_OR);
        struct value v = decides ? l : value_bool(value_truth(operand_value(c, right)));

        fold(c, left.at, 2, &v);
        return;
    }
    emit(c, DO_TRUTH, 0, 0);
    c->ops[jump].arg = (uint16_t)c->op_count;
    struct operand *o = merge(c, at, 2, left.kinds | KIND_INT);

    o->at = left.at;
    o->texts_all = left.texts_all;
    o->texts = left.texts;
}

/* The most values on the stack at once. Jumps land where the way around them has as many. */
static unsigned stack_depth(const struct compiler *c)
{
    unsigned depth = 0, most = 0;

    for (unsigned i = 0; i < c->op_count; i++) {
        switch ((enum op_code)c->ops[i].code) {
        case DO_CONST:
        case DO_VARIABLE:
        case DO_CAPTURE:
            depth++;
            break;
        case DO_BINARY:
        case DO_INDEX:
        case DO_OR:
        case DO_AND:
            depth--;
            break;
        case DO_LIST:
            depth = depth + 1 - c->ops[i].arg;
            break;
        case DO_CALL:
            depth = depth + 1 - c->ops[i].detail;
            break;
        case DO_NOT:
        case DO_NEGATE:
        case DO_TRUTH:
        case DO_MATCH:
            break;
        }
        most = depth > most ? depth : most;
    }
    must(depth == 1);
    return most;
}

/* `count` elements in the arena. */
static void *kept(struct compiler *c, const void *from, size_t count, size_t size)
{
    void *at = arena_array(c->arena, count ? count : 1, size);

    if (count > 0) {
        memcpy(at, from, count * size);
    }
    return at;
}

static void keep_texts(struct compiler *c, const struct operand *result)
{
    size_t count = 0;
    struct str *texts;

    for (const struct literal *l = result->texts; l != NULL; l = l->next) {
        count++;
    }
    texts = arena_array(c->arena, count ? count : 1, sizeof *texts);
    count = 0;
    for (const struct literal *l = result->texts; l != NULL; l = l->next) {
        texts[count++] = l->text;
    }
    c->facts.texts = texts;
    c->facts.text_count = count;
    c->facts.texts_are_all = result->texts_all;
}

const struct program *emit_program(struct compiler *c)
{
    struct program *p;
    const struct operand *result = operand_top(c, 0);

    must(c->operand_count == 1);
    if (stack_depth(c) > EXPR_STACK_MAX) {
        problem_error(c, 0, STR("the expression needs more than 64 values at once"),
                      STR("split it, or write long lists with constants only"));
        return NULL;
    }
    keep_texts(c, result);
    c->facts.lone_variable = result->variable != NULL ? (int)result->variable->id : -1;
    p = ARENA_NEW(c->arena, struct program);
    p->text = c->text;
    p->wants = c->wants;
    p->constants = c->scope->constants;
    p->op_count = c->op_count;
    p->ops = kept(c, c->ops, c->op_count, sizeof *c->ops);
    p->consts = kept(c, c->consts, c->const_count, sizeof *c->consts);
    p->patterns = kept(c, c->patterns, c->pattern_count, sizeof *c->patterns);
    c->facts.uses = kept(c, c->uses, c->use_count, sizeof *c->uses);
    c->facts.use_count = c->use_count;
    p->facts = c->facts;
    return p;
}

void compiler_done(struct compiler *c)
{
    mem_free(c->ops);
    mem_free(c->consts);
    mem_free(c->patterns);
    mem_free(c->operands);
    mem_free(c->uses);
}
