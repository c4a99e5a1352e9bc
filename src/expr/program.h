/*
 * program: a compiled expression: operations for a machine with a small stack. Internal to expr/.
 *
 * Owns      Everything lies in the arena given to expr_compile; immutable afterwards.
 *
 * Invariants, kept by compile.c and relied on by eval.c:
 * 1. Jumps go forward only, so a run takes at most `op_count` operations.
 * 2. The stack never holds more than EXPR_STACK_MAX values, never fewer than an operation takes,
 *    and exactly one at the end, on whichever way it is reached.
 * 3. Whatever can be computed at load has been: operands of OP_BINARY, DO_NOT, DO_NEGATE, DO_LIST,
 *    DO_INDEX and pure calls are never all constant.
 */
#pragma once

#include "expr/expr.h"
#include "expr/functions.h"

enum op_code {
    DO_CONST,    /* push consts[arg] */
    DO_VARIABLE, /* push the variable with id arg */
    DO_CAPTURE,  /* push $arg */
    DO_BINARY,   /* value_op `detail` on two */
    DO_NOT,
    DO_NEGATE,
    DO_TRUTH,
    DO_OR,    /* when true: jump to arg with it; else drop it */
    DO_AND,   /* when false: jump to arg with it; else drop it */
    DO_LIST,  /* arg values become a list */
    DO_INDEX, /* value, index */
    DO_CALL,  /* function arg with `detail` arguments */
    DO_MATCH  /* pattern arg on one */
};

struct op {
    uint8_t code, detail;
    uint16_t arg;
};

struct program {
    struct str text;
    enum expr_wants wants;
    const char *const *constants;
    const struct op *ops;
    const struct value *consts;
    const struct pattern *const *patterns;
    unsigned op_count;
    struct expr_facts facts;
};

/* v as what is wanted; *ret is written only when it can become that, else *why says what is wrong.
 * Used for constants at load and for results. */
bool program_convert(struct allowance *w, enum expr_wants wants, const char *const *constants,
                     const struct value *v, struct value *ret, const char **why);
