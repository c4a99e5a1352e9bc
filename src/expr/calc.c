/* The operators of value.h: arithmetic and what + and - do to text and lists. */
#include "base/check.h"
#include "expr/value.h"

#include <stdint.h>

static bool is_time(const struct value *v)
{
    return v->type == VALUE_DURATION || v->type == VALUE_MS;
}

/* Beside a duration plain numbers mean seconds; the sum is a duration again. Two literals, or a
 * literal and a number, stay a literal. */
static enum value_type sum_type(const struct value *a, const struct value *b)
{
    if (a->type == VALUE_DURATION || b->type == VALUE_DURATION) {
        return VALUE_DURATION;
    }
    return a->type == VALUE_MS || b->type == VALUE_MS ? VALUE_MS : VALUE_INT;
}

static int64_t in_ms(const struct value *v, bool wanted)
{
    int64_t n = v->num;

    if (wanted && v->type == VALUE_INT && __builtin_mul_overflow(n, (int64_t)1000, &n)) {
        n = v->num < 0 ? INT64_MIN : INT64_MAX;
    }
    return n;
}

static double real_of(const struct value *v)
{
    return v->type == VALUE_REAL ? v->real : (double)v->num;
}

static struct value number_add(const struct value *a, const struct value *b, bool minus)
{
    enum value_type type = sum_type(a, b);
    bool ms = type == VALUE_DURATION;
    struct value sum = {.type = type};

    if (a->type == VALUE_REAL || b->type == VALUE_REAL) {
        double x = real_of(a) * (ms && a->type == VALUE_REAL ? 1000 : 1);
        double y = real_of(b) * (ms && b->type == VALUE_REAL ? 1000 : 1);
        struct value real = value_real(minus ? x - y : x + y);

        if (type == VALUE_INT) {
            return real;
        }
        sum.num = value_to_int(&real);
        return sum;
    }
    int64_t x = in_ms(a, ms), y = in_ms(b, ms);
    bool over = minus ? __builtin_sub_overflow(x, y, &sum.num)
                      : __builtin_add_overflow(x, y, &sum.num);

    if (over) {
        sum.num = x < 0 ? INT64_MIN : INT64_MAX;
    }
    return sum;
}

static struct value number_mul(const struct value *a, const struct value *b)
{
    bool real = a->type == VALUE_REAL || b->type == VALUE_REAL;
    struct value product = {.type = sum_type(a, b)};

    if (is_time(a) && is_time(b)) {
        product.type = VALUE_INT; /* no such thing as a square second */
    }
    if (real) {
        struct value r = value_real(real_of(a) * real_of(b));

        if (product.type == VALUE_INT) {
            return r;
        }
        product.num = value_to_int(&r);
        return product;
    }
    if (__builtin_mul_overflow(a->num, b->num, &product.num)) {
        product.num = (a->num < 0) != (b->num < 0) ? INT64_MIN : INT64_MAX;
    }
    return product;
}

static struct value number_div(const struct value *a, const struct value *b)
{
    double below = real_of(b);
    struct value ratio = value_real(below > 0 || below < 0 ? real_of(a) / below : 0.0);

    if (is_time(a) && !is_time(b)) { /* a part of a time is a time */
        struct value part = {.type = a->type};

        part.num = value_to_int(&ratio);
        return part;
    }
    return ratio;
}

static bool list_join(struct allowance *w, const struct value *a, const struct value *b,
                      struct value *ret)
{
    const struct value *left = a->type == VALUE_LIST ? a->list.at : a;
    const struct value *right = b->type == VALUE_LIST ? b->list.at : b;
    size_t left_count = a->type == VALUE_LIST ? a->list.count : 1;
    size_t right_count = b->type == VALUE_LIST ? b->list.count : 1;
    struct value *at = work_alloc(w, left_count + right_count, sizeof *at);

    if (at == NULL || !work_step(w, left_count + right_count)) {
        return false;
    }
    for (size_t i = 0; i < left_count; i++) {
        at[i] = left[i];
    }
    for (size_t i = 0; i < right_count; i++) {
        at[left_count + i] = right[i];
    }
    *ret = value_list(at, left_count + right_count);
    return true;
}

/* The list without elements equal to the other side, on whichever side the list stands. */
static bool list_without(struct allowance *w, const struct value *a, const struct value *b,
                         struct value *ret)
{
    const struct value *list = a->type == VALUE_LIST ? a : b;
    const struct value *gone = list == a ? b : a;
    size_t count = 0;
    struct value *at = work_alloc(w, list->list.count, sizeof *at);

    if (at == NULL || !work_step(w, list->list.count)) {
        return false;
    }
    for (size_t i = 0; i < list->list.count; i++) {
        if (!value_eq(&list->list.at[i], gone)) {
            at[count++] = list->list.at[i];
        }
    }
    *ret = value_list(at, count);
    return true;
}

static bool text_join(struct allowance *w, const struct value *a, const struct value *b,
                      struct value *ret)
{
    struct str left, right;
    char *text;

    if (a->type == VALUE_TEXT && a->text.len == 0) {
        *ret = *b;
        return true;
    }
    if (b->type == VALUE_TEXT && b->text.len == 0) {
        *ret = *a;
        return true;
    }
    if (!value_to_text(w, a, &left) || !value_to_text(w, b, &right)) {
        return false;
    }
    text = work_alloc(w, left.len + right.len, 1);
    if (text == NULL || !work_step(w, 1 + (left.len + right.len) / 64)) {
        return false;
    }
    text_put(text_put(text, left), right);
    *ret = value_text(str_make(text, left.len + right.len));
    return true;
}

static bool arithmetic(struct allowance *w, enum value_op op, const struct value *a,
                       const struct value *b, struct value *ret)
{
    bool has_list = a->type == VALUE_LIST || b->type == VALUE_LIST;

    if (op == OP_ADD && has_list) {
        return list_join(w, a, b, ret);
    }
    if (op == OP_ADD && (a->type == VALUE_TEXT || b->type == VALUE_TEXT)) {
        return text_join(w, a, b, ret);
    }
    if (op == OP_SUB && has_list) {
        return list_without(w, a, b, ret);
    }
    struct value x = value_number(a), y = value_number(b);

    if (op == OP_MUL) {
        *ret = number_mul(&x, &y);
    } else if (op == OP_DIV) {
        *ret = number_div(&x, &y);
    } else {
        *ret = number_add(&x, &y, op == OP_SUB);
    }
    return true;
}

/* How many steps holding two values against each other takes. */
static size_t cmp_steps(const struct value *v)
{
    return v->type == VALUE_LIST ? v->list.count : v->type == VALUE_TEXT ? v->text.len / 64 : 0;
}

bool value_calc(struct allowance *w, enum value_op op, const struct value *a, const struct value *b,
                struct value *ret)
{
    bool holds = false;

    if (!work_step(w, 1 + cmp_steps(a))) {
        return false;
    }
    switch (op) {
    case OP_OR:
        holds = value_truth(a) || value_truth(b);
        break;
    case OP_AND:
        holds = value_truth(a) && value_truth(b);
        break;
    case OP_XOR:
        holds = value_truth(a) != value_truth(b);
        break;
    case OP_EQ:
        holds = value_eq(a, b);
        break;
    case OP_NE:
        holds = !value_eq(a, b);
        break;
    case OP_LT:
        holds = value_cmp(a, b) < 0;
        break;
    case OP_LE:
        holds = value_cmp(a, b) <= 0;
        break;
    case OP_GT:
        holds = value_cmp(a, b) > 0;
        break;
    case OP_GE:
        holds = value_cmp(a, b) >= 0;
        break;
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
        return arithmetic(w, op, a, b, ret);
    }
    *ret = value_bool(holds);
    return true;
}
