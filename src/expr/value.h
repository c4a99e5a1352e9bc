/*
 * value: what expressions compute with: text, whole and real numbers, lengths of time, lists.
 *
 * Source    Coercions as in the manual's chapter on expressions; durations by rule PY-47.
 * Owns      Nothing: text and lists are views; whoever made the value says how long they live.
 * Limits    What is built is charged to a struct allowance: bytes of one text, elements of one
 *           list, bytes and steps of one evaluation.
 * Errors    Functions that build return false when the work is used up; work.why says which limit.
 *
 * There is no type for "true": 1 and 0 are. Nothing is the empty text.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_type {
    VALUE_TEXT,
    VALUE_INT,
    VALUE_REAL,
    VALUE_DURATION, /* what a variable tells; in num, milliseconds; beside a number it is seconds */
    VALUE_MS,       /* what a literal such as 5m is: a number of milliseconds, except that beside a
                       VALUE_DURATION it is that time */
    VALUE_LIST
};

struct value {
    enum value_type type;
    union {
        struct str text;
        int64_t num; /* INT, DURATION, MS */
        double real; /* always finite */
        struct {
            const struct value *at;
            size_t count;
        } list;
    };
};

enum {
    VALUE_TEXT_BYTES_MAX = 64 * 1024,
    VALUE_LIST_MAX = 4096,
    WORK_BYTES_MAX = 1024 * 1024,
    WORK_STEPS_MAX = 1000 * 1000
};

/* What one evaluation may still use. */
struct allowance {
    struct arena *arena;
    size_t bytes_left;
    size_t steps_left; /* one for an element looked at or some sixty bytes of text */
    const char *why;   /* set when a limit was reached */
};

static inline struct allowance work_of(struct arena *a)
{
    return (struct allowance){a, WORK_BYTES_MAX, WORK_STEPS_MAX, NULL};
}

bool work_step(struct allowance *w, size_t steps);
void *work_alloc(struct allowance *w, size_t count, size_t size); /* NULL: used up */

/* Bytes into place; where they end. An empty text may have no bytes at all. */
static inline char *text_put(char *at, struct str s)
{
    if (s.len > 0) {
        memcpy(at, s.ptr, s.len);
    }
    return at + s.len;
}

static inline struct value value_text(struct str s)
{
    return (struct value){.type = VALUE_TEXT, .text = s};
}

static inline struct value value_int(int64_t n)
{
    return (struct value){.type = VALUE_INT, .num = n};
}

static inline struct value value_bool(bool b)
{
    return value_int(b ? 1 : 0);
}

static inline struct value value_duration(int64_t ms)
{
    return (struct value){.type = VALUE_DURATION, .num = ms};
}

static inline struct value value_list(const struct value *at, size_t count)
{
    struct value v = {.type = VALUE_LIST};

    v.list.at = at;
    v.list.count = count;
    return v;
}

struct value value_real(double d); /* made finite */

enum value_op {
    OP_OR,
    OP_AND,
    OP_XOR,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV
};

bool value_truth(const struct value *v);
/* Below, equal, above; text beside a number is read as one, a list is above any single value. */
int value_cmp(const struct value *a, const struct value *b);
bool value_eq(const struct value *a, const struct value *b);
/* A number of any kind: text is parsed, what is none counts 0. */
struct value value_number(const struct value *v);
/* Text as a whole or real number with an optional sign; false when it is none. */
bool value_parse(struct str s, struct value *ret);
/* "5m", "1d12h", "250ms"; false when it is none or does not fit. */
bool value_parse_duration(struct str s, int64_t *ret_ms);
/* In whole seconds for durations, milliseconds for literals; real numbers are cut. */
int64_t value_to_int(const struct value *v);
bool value_to_text(struct allowance *w, const struct value *v, struct str *ret);
/* a op b by the rules above; for OP_AND and OP_OR only their truths count here. */
bool value_calc(struct allowance *w, enum value_op op, const struct value *a, const struct value *b,
                struct value *ret);
struct value value_negated(const struct value *v);
struct value value_at(const struct value *v, int64_t index);
/* A copy with all its parts in an arena. */
struct value value_copy(struct arena *a, const struct value *v);
/* As one would write it in an expression: 'it\'s', 2.5, 1h30m, ['a', 1]. For explain and messages:
 * control bytes and bad UTF-8 come out as \xNN, which the language does not read. */
void value_print(struct buf *out, const struct value *v);
