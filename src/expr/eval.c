#include "base/check.h"
#include "expr/program.h"

/*
 * The machine: one pass over the operations with a stack of EXPR_STACK_MAX values. Invariants that
 * bound it are in program.h.
 */
struct machine {
    const struct program *p;
    const struct expr_input *input;
    const struct expr_answers *answers;
    struct allowance work;
    struct captures *captures;
    struct expr_result *ret;
};

static bool stop(struct machine *m, enum expr_status status, enum err_code code, const char *why)
{
    m->ret->status = status;
    m->ret->err = err_of(code);
    m->ret->why = why;
    return false;
}

static bool used_up(struct machine *m)
{
    return stop(m, EXPR_FAILED, ERR_LIMIT, m->work.why);
}

static bool same_lookup(const struct expr_lookup *a, const struct expr_lookup *b)
{
    if (a->kind != b->kind || a->arg_count != b->arg_count) {
        return false;
    }
    for (unsigned i = 0; i < a->arg_count; i++) {
        if (a->args[i].type != b->args[i].type || !value_eq(&a->args[i], &b->args[i])) {
            return false;
        }
    }
    return true;
}

const struct expr_answer *expr_answers_find(const struct expr_answers *answers,
                                            const struct expr_lookup *lookup)
{
    const struct expr_answer *answer = answers != NULL ? answers->first : NULL;

    while (answer != NULL && !same_lookup(&answer->lookup, lookup)) {
        answer = answer->next;
    }
    return answer;
}

/* The answer, when it is there; else the run ends with what is needed. */
static bool ask(struct machine *m, const struct expr_lookup *lookup, struct value *ret)
{
    const struct expr_answer *answer = expr_answers_find(m->answers, lookup);

    m->ret->lookup = *lookup;
    if (answer == NULL) {
        return stop(m, EXPR_NEED, OK, NULL);
    }
    if (answer->err.code != OK) {
        stop(m, EXPR_FAILED, OK, "a look-up failed");
        m->ret->err = answer->err;
        return false;
    }
    *ret = answer->value;
    return true;
}

/* Look-ups are asked with text, so that equal questions are equal. */
static bool lookup_of(struct machine *m, const struct function *f, const struct value *args,
                      unsigned count, struct expr_lookup *ret)
{
    struct str s;

    *ret = (struct expr_lookup){.kind = f->lookup, .arg_count = count};
    for (unsigned i = 0; i < count; i++) {
        if (i == 2 && f->lookup == EXPR_LOOKUP_sql_query) {
            ret->args[i] = args[i];
        } else if (i == 2 && f->lookup == EXPR_LOOKUP_counter_incr) {
            ret->args[i] = value_int(value_to_int(&args[i]));
        } else if (value_to_text(&m->work, &args[i], &s)) {
            ret->args[i] = value_text(s);
        } else {
            return used_up(m);
        }
    }
    return true;
}

static bool call_local(struct machine *m, const struct function *f, const struct value *args,
                       unsigned count, struct value *ret)
{
    const struct expr_services *s = m->input->services;
    struct value two[2] = {value_text(STR("*")), args[count - 1]};
    struct expr_lookup lookup;
    enum expr_local is = EXPR_LOCAL_ASK;

    if (count == 2) {
        two[0] = args[0];
    }
    if (!lookup_of(m, f, two, 2, &lookup)) {
        return false;
    }
    if (lookup.args[0].text.len == 0) {
        lookup.args[0] = value_text(STR("*"));
    }
    enum expr_local (*asked)(void *, struct str, struct str) = s == NULL ? NULL
                                                               : f->lookup ==
                                                                       EXPR_LOOKUP_is_local_domain
                                                                   ? s->is_local_domain
                                                                   : s->is_local_address;

    if (asked != NULL) {
        is = asked(s->ctx, lookup.args[0].text, lookup.args[1].text);
    }
    if (is == EXPR_LOCAL_ASK) {
        return ask(m, &lookup, ret);
    }
    *ret = value_bool(is == EXPR_LOCAL_YES);
    return true;
}

static bool call_digest(struct machine *m, const struct value *args, struct value *ret)
{
    static const char hex[] = "0123456789abcdef";
    const struct expr_services *s = m->input->services;
    uint8_t digest[64];
    struct str bytes, algorithm;
    size_t len;
    char *text;

    must(s != NULL);
    must(s->digest != NULL);
    if (!value_to_text(&m->work, &args[0], &bytes) ||
        !value_to_text(&m->work, &args[1], &algorithm) || !work_step(&m->work, 1 + bytes.len / 8)) {
        return used_up(m);
    }
    len = s->digest(s->ctx, algorithm, bytes, digest);
    must(len <= sizeof digest);
    text = work_alloc(&m->work, 2 * len, 1);
    if (text == NULL) {
        return used_up(m);
    }
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = hex[digest[i] >> 4];
        text[2 * i + 1] = hex[digest[i] & 15];
    }
    *ret = value_text(str_make(text, 2 * len));
    return true;
}

static bool call_how(struct machine *m, const struct function *f, const struct op *op,
                     const struct value *args, struct value *ret)
{
    struct expr_lookup lookup;

    switch (f->how) {
    case FN_PURE:
    case FN_EACH:
        return function_call(f, &m->work, args, op->detail, ret) || used_up(m);
    case FN_LOOKUP:
        return lookup_of(m, f, args, op->detail, &lookup) && ask(m, &lookup, ret);
    case FN_LOCAL:
        return call_local(m, f, args, op->detail, ret);
    case FN_DIGEST:
        return call_digest(m, args, ret);
    case FN_REFUSED:
        break;
    }
    never("a refused function was compiled");
}

/* The result takes the first argument's place, after all have been read. */
static bool call(struct machine *m, const struct op *op, struct value *args)
{
    const struct function *f = function_at(op->arg);
    struct value v;

    must(f != NULL);
    if (!call_how(m, f, op, args, &v)) {
        return false;
    }
    args[0] = v;
    return true;
}

static bool match(struct machine *m, const struct pattern *p, struct value *v)
{
    struct str subject;

    if (!value_to_text(&m->work, v, &subject) || !work_step(&m->work, 100 + subject.len)) {
        return used_up(m);
    }
    switch (pattern_match(p, subject, m->captures->at, &m->captures->count)) {
    case PATTERN_YES:
        *v = value_bool(true);
        return true;
    case PATTERN_NO:
        *v = value_bool(false);
        return true;
    case PATTERN_LIMIT:
        break;
    }
    return stop(m, EXPR_FAILED, ERR_LIMIT, "a pattern takes too many steps");
}

static bool make_list(struct machine *m, const struct value *from, unsigned count,
                      struct value *ret)
{
    struct value *at = work_alloc(&m->work, count, sizeof *at);

    if (at == NULL) {
        return used_up(m);
    }
    for (unsigned i = 0; i < count; i++) {
        at[i] = from[i];
    }
    *ret = value_list(at, count);
    return true;
}

/* One operation on the values up to *top; false: the run is over. */
static bool step(struct machine *m, const struct op *op, struct value *stack, unsigned *top,
                 unsigned *next)
{
    unsigned n = *top;
    bool truth;

    switch ((enum op_code)op->code) {
    case DO_CONST:
        stack[(*top)++] = m->p->consts[op->arg];
        return true;
    case DO_VARIABLE:
        stack[(*top)++] = m->input->get(m->input->ctx, op->arg);
        return true;
    case DO_CAPTURE:
        stack[(*top)++] = value_text(op->arg < m->captures->count ? m->captures->at[op->arg]
                                                                  : STR_EMPTY);
        return true;
    case DO_BINARY:
        *top = n - 1;
        return value_calc(&m->work, op->detail, &stack[n - 2], &stack[n - 1], &stack[n - 2]) ||
               used_up(m);
    case DO_NOT:
        stack[n - 1] = value_bool(!value_truth(&stack[n - 1]));
        return true;
    case DO_TRUTH:
        stack[n - 1] = value_bool(value_truth(&stack[n - 1]));
        return true;
    case DO_NEGATE:
        stack[n - 1] = value_negated(&stack[n - 1]);
        return true;
    case DO_OR:
    case DO_AND:
        truth = value_truth(&stack[n - 1]);
        if (truth == (op->code == DO_OR)) {
            *next = op->arg;
        } else {
            *top = n - 1;
        }
        return true;
    case DO_LIST:
        *top = n - op->arg + 1;
        return make_list(m, &stack[n - op->arg], op->arg, &stack[n - op->arg]);
    case DO_INDEX:
        *top = n - 1;
        stack[n - 2] = value_at(&stack[n - 2], value_to_int(&stack[n - 1]));
        return true;
    case DO_CALL:
        *top = n - op->detail + 1;
        return call(m, op, &stack[n - op->detail]);
    case DO_MATCH:
        return match(m, m->p->patterns[op->arg], &stack[n - 1]);
    }
    never("an operation that does not exist");
}

static void finish(struct machine *m, const struct value *v)
{
    const char *why = NULL;

    m->ret->value = *v;
    if (m->p->facts.is_constant) {
        m->ret->value = m->p->facts.constant;
        m->ret->status = EXPR_VALUE;
    } else if (program_convert(&m->work, m->p->wants, m->p->constants, v, &m->ret->value, &why)) {
        m->ret->status = EXPR_VALUE;
    } else if (m->work.why != NULL) {
        used_up(m);
    } else {
        stop(m, EXPR_NO_VALUE, ERR_CONFIG, why);
    }
}

static void run(struct machine *m)
{
    struct value stack[EXPR_STACK_MAX];
    unsigned top = 0, next = 0;

    while (next < m->p->op_count) {
        const struct op *op = &m->p->ops[next++];

        if (!step(m, op, stack, &top, &next)) {
            return;
        }
    }
    must(top == 1);
    finish(m, &stack[0]);
}

/* A run that ends early must not leave half of its captures behind: it works on its own. */
static void run_apart(struct machine *m)
{
    struct captures own = {0};
    struct captures *callers = m->input->captures;

    if (callers != NULL) {
        own.count = callers->count;
        for (unsigned i = 0; i < callers->count; i++) {
            own.at[i] = callers->at[i];
        }
    }
    m->captures = &own; /* cppcheck-suppress autoVariables; only while it runs */
    run(m);
    m->captures = callers;
    if (callers != NULL && (m->ret->status == EXPR_VALUE || m->ret->status == EXPR_NO_VALUE)) {
        *callers = own;
    }
}

enum expr_status expr_eval(const struct program *p, const struct expr_input *input,
                           const struct expr_answers *answers, struct arena *a,
                           struct expr_result *ret)
{
    static struct captures none;
    struct machine m = {.p = p, .input = input, .answers = answers, .ret = ret};

    m.work = work_of(a);
    ret->err = ERR_OK;
    ret->why = NULL;
    if (p->facts.runs_pattern) {
        run_apart(&m);
    } else {
        m.captures = input->captures != NULL ? input->captures : &none;
        run(&m);
    }
    return ret->status;
}

static bool is_constant_of(const char *const *constants, struct str s)
{
    for (size_t i = 0; constants != NULL && constants[i] != NULL; i++) {
        if (str_eq(s, str_of(constants[i]))) {
            return true;
        }
    }
    return false;
}

static bool to_number(const struct value *v, bool duration, struct value *ret)
{
    int64_t ms;
    struct value n = *v;

    if (v->type == VALUE_TEXT) {
        if (duration && value_parse_duration(v->text, &ms)) {
            *ret = value_duration(ms);
            return true;
        }
        if (!value_parse(v->text, &n)) {
            return false;
        }
    }
    if (n.type == VALUE_LIST) {
        return false;
    }
    if (!duration) {
        *ret = value_int(value_to_int(&n));
        return true;
    }
    ms = n.type == VALUE_DURATION ? n.num : value_to_int(&n);
    if (ms < 0) {
        return false;
    }
    *ret = value_duration(ms);
    return true;
}

static bool to_list(struct allowance *w, const struct value *v, struct value *ret)
{
    struct value *one;

    if (v->type == VALUE_LIST) {
        *ret = *v;
        return true;
    }
    one = work_alloc(w, 1, sizeof *one);
    if (one == NULL) {
        return false;
    }
    *one = *v;
    *ret = value_list(one, v->type == VALUE_TEXT && v->text.len == 0 ? 0 : 1);
    return true;
}

bool program_convert(struct allowance *w, enum expr_wants wants, const char *const *constants,
                     const struct value *v, struct value *ret, const char **why)
{
    switch (wants) {
    case EXPR_WANTS_ANY:
        *ret = *v;
        return true;
    case EXPR_WANTS_BOOL:
        *ret = value_bool(value_truth(v));
        return true;
    case EXPR_WANTS_NAME:
        *ret = *v;
        *why = v->type != VALUE_TEXT ? "the result is no text, so it cannot be a name"
                                     : "the result is an empty text, which is no name";
        return v->type == VALUE_TEXT && v->text.len > 0;
    case EXPR_WANTS_CONSTANT:
        *why = "the result is none of the words this setting knows";
        if (v->type == VALUE_INT && v->num == 0) { /* false, written without quotes */
            *ret = value_text(STR("false"));
        } else {
            *ret = *v;
        }
        return ret->type == VALUE_TEXT && is_constant_of(constants, ret->text);
    case EXPR_WANTS_INT:
        *why = "the result is no number";
        return to_number(v, false, ret);
    case EXPR_WANTS_DURATION:
        *why = "the result is no duration";
        return to_number(v, true, ret);
    case EXPR_WANTS_LIST:
        return to_list(w, v, ret);
    }
    never("a kind of result that does not exist");
}

bool expr_answers_add_failed(struct expr_answers *answers, struct arena *a,
                             const struct expr_lookup *lookup, struct err err, struct str why)
{
    must(err.code != OK);
    if (!expr_answers_add(answers, a, lookup, NULL, err)) {
        return false;
    }
    answers->last->why = arena_dup(a, why);
    return true;
}

bool expr_answers_add(struct expr_answers *answers, struct arena *a,
                      const struct expr_lookup *lookup, const struct value *value, struct err err)
{
    struct expr_answer *answer;

    if (answers->count >= EXPR_ANSWERS_MAX) {
        return false;
    }
    answer = ARENA_NEW(a, struct expr_answer);
    answer->lookup = *lookup;
    for (unsigned i = 0; i < lookup->arg_count; i++) {
        answer->lookup.args[i] = value_copy(a, &lookup->args[i]);
    }
    answer->value = err.code == OK ? value_copy(a, value) : value_text(STR_EMPTY);
    answer->err = err;
    answer->why = STR_EMPTY;
    if (answers->last != NULL) {
        answers->last->next = answer;
    } else {
        answers->first = answer;
    }
    answers->last = answer;
    answers->count++;
    return true;
}
