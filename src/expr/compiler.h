/*
 * compiler: what compile.c (the parser), emit.c (operations, and computing at load) and check.c
 * (mistakes and advice) share while one expression is compiled. Internal to expr/.
 *
 * Owns      Its growing arrays, until compiler_done; what stays is copied into the arena.
 */
#pragma once

#include "expr/lex.h"
#include "expr/program.h"

struct literal {
    struct str text;
    const struct literal *next;
};

/* A value the operations so far leave on the stack, as far as it is known now. */
struct operand {
    size_t at;      /* where it stands in the text */
    unsigned start; /* its first operation */
    unsigned kinds; /* KIND_ bits it can be */
    bool constant;  /* it is one DO_CONST at `start` */
    bool texts_all; /* when it is text it is one of `texts` */
    const struct literal *texts;
    const struct expr_variable *variable; /* it is just this one */
};

struct compiler {
    const struct expr_scope *scope;
    struct str text;
    struct arena *arena;
    struct patterns *all_patterns;
    struct expr_problems *problems;
    enum expr_wants wants;
    struct token token; /* the one to look at */
    unsigned depth;

    struct op *ops;
    struct value *consts;
    const struct pattern **patterns;
    struct operand *operands;
    struct expr_use *uses;
    unsigned op_count, const_count, pattern_count, operand_count, use_count;
    unsigned op_size, const_size, pattern_size, operand_size, use_size;
    struct expr_facts facts;
};

/* emit.c */
void emit(struct compiler *c, enum op_code code, unsigned detail, unsigned arg);
void push_const(struct compiler *c, size_t at, const struct value *v);
struct operand *push_operand(struct compiler *c, size_t at, unsigned kinds);
struct operand *operand_top(struct compiler *c, unsigned below); /* 0: the last */
const struct value *operand_value(const struct compiler *c, const struct operand *o);
/* The last `count` operands become one, which DO_LIST, a call and so on compute, or a constant when
 * all of them are. False when that breaks a limit; the problem is added. */
bool emit_list(struct compiler *c, size_t at, unsigned count);
bool emit_call(struct compiler *c, size_t at, const struct function *f, unsigned count);
bool emit_unary(struct compiler *c, size_t at, bool is_not);
bool emit_binary(struct compiler *c, size_t at, enum value_op op);
bool emit_index(struct compiler *c, size_t at);
void emit_match(struct compiler *c, size_t at, const struct pattern *p);
unsigned emit_jump(struct compiler *c, enum value_op op); /* after the left side; to be given to: */
void emit_jump_end(struct compiler *c, size_t at, enum value_op op, unsigned jump);
const struct program *emit_program(struct compiler *c);
void compiler_done(struct compiler *c);

/* check.c */
bool is_present(const struct compiler *c, const struct expr_variable *v); /* has a value here */
void problem(struct compiler *c, bool is_warning, size_t at, struct str message,
             struct str suggestion);
#define problem_error(c, at, message, suggestion) problem((c), false, (at), (message), (suggestion))
#define problem_warning(c, at, message, suggestion)                                                \
    problem((c), true, (at), (message), (suggestion))
void check_unknown(struct compiler *c, size_t at, struct str name);
void check_unknown_function(struct compiler *c, size_t at, struct str name);
void check_compare(struct compiler *c, size_t at, enum value_op op, const struct operand *left,
                   const struct operand *right);
/* A text written beside && or ||, which is where people mean "== 'a' or 'b'". */
void check_logic(struct compiler *c, const struct operand *side);
/* The last `count` operands as arguments of f; false: this call cannot be. */
bool check_call(struct compiler *c, size_t at, const struct function *f, unsigned count);
void check_result(struct compiler *c, const struct operand *result);
