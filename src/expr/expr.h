/*
 * expr: the expression language of the configuration: compiled once, evaluated for each decision.
 *
 * Source    The manual's chapter on expressions; rules PY-35, PY-45 to PY-47; promise P5.
 * Owns      Programs, messages and results live in the caller's arenas. Compiled patterns live in
 *           a struct patterns (pattern.h) that the caller keeps as long as the programs.
 * Limits    EXPR_BYTES_MAX of text, EXPR_DEPTH_MAX levels of brackets, EXPR_STACK_MAX values at
 *           once, EXPR_OPS_MAX operations; while running those of value.h and pattern.h, and
 *           EXPR_ANSWERS_MAX look-ups for one decision.
 * Errors    expr_compile: ERR_CONFIG with every mistake in `problems`; warnings come there too.
 *           expr_eval never fails silently: see enum expr_status.
 *
 * Neither function suspends. A program that needs a look-up says so (EXPR_NEED); the caller
 * performs it, adds the answer to `answers` and evaluates again. The same look-up with the same
 * arguments is performed once for one set of answers, so keep one set for one decision: then the
 * answers are part of it and a replay repeats it. Plain comparisons allocate nothing.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "expr/pattern.h"
#include "expr/value.h"

enum {
    EXPR_BYTES_MAX = 64 * 1024,
    EXPR_DEPTH_MAX = 32,
    EXPR_STACK_MAX = 64,
    EXPR_OPS_MAX = 4096,
    EXPR_ANSWERS_MAX = 64,
    EXPR_ARGS_MAX = 3,
    EXPR_PROBLEMS_MAX = 20,
    EXPR_VARIABLES_MAX = 64
};

/* What the setting wants; eval converts to it or answers EXPR_NO_VALUE. */
enum expr_wants {
    EXPR_WANTS_ANY,
    EXPR_WANTS_NAME,     /* text, not empty; nothing is converted */
    EXPR_WANTS_BOOL,     /* anything, by its truth: 1 or 0 */
    EXPR_WANTS_INT,      /* a number, or text that is one */
    EXPR_WANTS_DURATION, /* VALUE_DURATION of 0 (none) or more */
    EXPR_WANTS_LIST,     /* a single value becomes a list of one, empty text an empty list */
    EXPR_WANTS_CONSTANT  /* one of the scope's constants, as text */
};

enum expr_type { EXPR_TEXT, EXPR_INT, EXPR_BOOL, EXPR_DURATION, EXPR_LIST };

struct expr_variable {
    const char *name;
    enum expr_type type;
    unsigned id;               /* below EXPR_VARIABLES_MAX */
    bool late;                 /* known only when a host has been chosen */
    const char *const *values; /* all the texts it can be, ended by NULL; NULL: any */
};

enum expr_lookup_kind {
#define PURE(name, least, most, kinds, choices)
#define EACH(name, least, most, kinds, choices)
#define DIGEST(name, least, most, kinds, choices)
#define REFUSED(name, why)
#define LOOKUP(name, least, most, kinds, choices) EXPR_LOOKUP_##name,
#define LOCAL(name, least, most, kinds, choices)  EXPR_LOOKUP_##name,
#include "expr/functions.def"
#undef PURE
#undef EACH
#undef DIGEST
#undef REFUSED
#undef LOOKUP
#undef LOCAL
    EXPR_LOOKUP_COUNT
};

#define EXPR_LOOKUP_BIT(kind) (1u << (kind))

enum expr_local { EXPR_LOCAL_NO, EXPR_LOCAL_YES, EXPR_LOCAL_ASK };

/*
 * What the world offers beside variables. A program that calls what is NULL here does not compile.
 * `directory` is "*" when none was named. EXPR_LOCAL_ASK turns the call into a look-up.
 */
struct expr_services {
    void *ctx;
    enum expr_local (*is_local_domain)(void *ctx, struct str directory, struct str domain);
    enum expr_local (*is_local_address)(void *ctx, struct str directory, struct str address);
    /* The digest of `bytes` into `out`; how many bytes it has, 0: no such algorithm. */
    size_t (*digest)(void *ctx, struct str algorithm, struct str bytes, uint8_t out[64]);
    unsigned lookups; /* EXPR_LOOKUP_BITs of what the caller can perform */
};

/* What may be named at one point of use. */
struct expr_scope {
    const char *place; /* for messages: "queue.strategy.route" */
    const struct expr_variable *variables;
    size_t variable_count;
    uint64_t present;                     /* bits of the ids that have a value here */
    const char *const *constants;         /* ended by NULL; or NULL */
    const struct expr_services *services; /* or NULL: offers nothing */
};

struct expr_problem {
    bool is_warning;
    unsigned line, column; /* from 1, in the expression's own text; columns count characters */
    struct str message;
    struct str suggestion; /* what to write instead; may be empty */
    struct expr_problem *next;
};

struct expr_problems { /* a zeroed one is ready */
    struct expr_problem *first, *last;
    unsigned errors, warnings;
};

struct program;

/* A look-up the program makes, for checks at load. */
struct expr_use {
    enum expr_lookup_kind kind;
    struct str store; /* its first argument, where that */
    bool is_literal;  /* is written literally */
};

struct expr_facts {
    uint64_t reads; /* bits of the ids of variables */
    bool is_late;   /* reads a late variable */
    bool is_constant;
    struct value constant;   /* converted, when is_constant */
    int lone_variable;       /* id when the whole expression is one variable, else -1 */
    bool runs_pattern;       /* sets captures */
    int capture_groups;      /* highest $n its patterns set, -1: none */
    int capture_reads;       /* highest $n it reads that no pattern of its own sets first, or -1 */
    const struct str *texts; /* literal texts it can yield, */
    size_t text_count;
    bool texts_are_all; /* and nothing but these */
    const struct expr_use *uses;
    size_t use_count;
};

/*
 * `text` must live as long as the program. *ret is written only on OK. Brackets recurse: up to
 * 25 KiB of stack were seen, 45 KiB with PCRE2 compiling patterns of many groups, so a fiber calls
 * this through on_big_stack. expr_eval never recurses and took under 8 KiB.
 */
struct err expr_compile(const struct expr_scope *scope, enum expr_wants wants, struct str text,
                        struct arena *a, struct patterns *patterns, const struct program **ret,
                        struct expr_problems *problems);
const struct expr_facts *expr_facts(const struct program *p);
struct str expr_text(const struct program *p);

/* What the latest pattern that ran has caught: $0 the whole, $1... its groups. Keep one for one
 * list of rules: captures of an `if` serve its `then` and later entries. Zeroed: nothing caught.
 * The texts live as long as the variable or arena they were found in. */
struct captures {
    unsigned count;
    struct str at[PATTERN_GROUPS_MAX];
};

struct expr_input {
    struct value (*get)(void *ctx, unsigned id);
    void *ctx;
    const struct expr_services *services; /* the same as at compile time */
    struct captures *captures;            /* or NULL: forgotten after each evaluation */
};

struct expr_lookup {
    enum expr_lookup_kind kind;
    unsigned arg_count;
    struct value args[EXPR_ARGS_MAX]; /* text; for sql_query the third as it is; for counter_incr
                                         the third a whole number */
};

struct expr_answer {
    struct expr_lookup lookup;
    struct value value;
    struct err err; /* not OK: it failed, */
    struct str why; /* because of this; may be empty */
    struct expr_answer *next;
};

struct expr_answers { /* a zeroed one is ready */
    struct expr_answer *first, *last;
    unsigned count;
};

enum expr_status {
    EXPR_VALUE,    /* ret->value */
    EXPR_NEED,     /* perform ret->lookup, add its answer, evaluate again */
    EXPR_NO_VALUE, /* evaluated, but ret->value cannot become what was wanted; ret->why */
    EXPR_FAILED    /* ret->err and ret->why: a limit, or the look-up ret->lookup failed */
};

struct expr_result {
    enum expr_status status;
    struct value value;
    struct expr_lookup lookup;
    struct err err;
    const char *why;
};

/* Captures change only with EXPR_VALUE and EXPR_NO_VALUE. `answers` may be NULL: none yet. */
enum expr_status expr_eval(const struct program *p, const struct expr_input *input,
                           const struct expr_answers *answers, struct arena *a,
                           struct expr_result *ret);

/* Copies everything into `a`. False when EXPR_ANSWERS_MAX are there already. */
bool expr_answers_add(struct expr_answers *answers, struct arena *a,
                      const struct expr_lookup *lookup, const struct value *value, struct err err);
/* The same for a look-up that failed. */
bool expr_answers_add_failed(struct expr_answers *answers, struct arena *a,
                             const struct expr_lookup *lookup, struct err err, struct str why);
/* NULL: it is not among them. */
const struct expr_answer *expr_answers_find(const struct expr_answers *answers,
                                            const struct expr_lookup *lookup);
const char *expr_lookup_name(enum expr_lookup_kind kind); /* "key_get" */
/* "key_get('routes', 'a.example')" */
void expr_lookup_print(struct buf *out, const struct expr_lookup *lookup);
/* One line each, ended: "key_get('routes', 'a.example') = 'hub'", or "... failed: why". */
void expr_answers_print(struct buf *out, const struct expr_answers *answers);
