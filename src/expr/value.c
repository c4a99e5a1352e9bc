#include "expr/value.h"

#include "base/check.h"
#include "base/mem.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>

bool work_step(struct allowance *w, size_t steps)
{
    if (steps > w->steps_left) {
        w->steps_left = 0;
        w->why = "the expression takes too many steps";
        return false;
    }
    w->steps_left -= steps;
    return true;
}

void *work_alloc(struct allowance *w, size_t count, size_t size)
{
    size_t bytes;

    if (count > VALUE_TEXT_BYTES_MAX || (size > 1 && count > VALUE_LIST_MAX)) {
        w->why = size > 1 ? "a list in the expression grows over 4096 elements"
                          : "a text in the expression grows over 64 KiB";
        return NULL;
    }
    if (!mul_size(count, size, &bytes) || bytes > w->bytes_left) {
        w->bytes_left = 0;
        w->why = "the expression builds more than 1 MiB";
        return NULL;
    }
    w->bytes_left -= bytes;
    return arena_alloc(w->arena, bytes ? bytes : 1);
}

struct value value_real(double d)
{
    struct value v = {.type = VALUE_REAL};

    if (d != d) {
        d = 0.0;
    } else if (d > DBL_MAX) {
        d = DBL_MAX;
    } else if (d < -DBL_MAX) {
        d = -DBL_MAX;
    }
    v.real = d;
    return v;
}

bool value_truth(const struct value *v)
{
    switch (v->type) {
    case VALUE_TEXT:
        return v->text.len > 0;
    case VALUE_REAL:
        return v->real < 0 || v->real > 0;
    case VALUE_LIST:
        return v->list.count > 0;
    case VALUE_INT:
    case VALUE_DURATION:
    case VALUE_MS:
        break;
    }
    return v->num != 0;
}

/* Digits with at most one point; 18 significant ones count, which a double cannot tell apart. */
static bool parse_real(struct str s, double *ret)
{
    double mantissa = 0, scale = 1;
    unsigned digits = 0, kept = 0;
    bool point = false;

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (!byte_is_digit(s.ptr[i])) {
            return false;
        }
        digits++;
        if (kept < 18) {
            mantissa = mantissa * 10 + (s.ptr[i] - '0');
            kept += mantissa > 0;
            scale *= point ? 10 : 1;
        } else if (!point) {
            mantissa *= 10;
        }
    }
    *ret = mantissa / scale;
    return digits > 0;
}

bool value_parse(struct str s, struct value *ret)
{
    bool minus = s.len > 0 && s.ptr[0] == '-';
    struct str digits = minus || (s.len > 0 && s.ptr[0] == '+') ? str_skip(s, 1) : s;
    int64_t n;
    double d;

    if (digits.len == 0 || !(byte_is_digit(digits.ptr[0]) || digits.ptr[0] == '.')) {
        return false;
    }
    if (str_to_i64(minus ? s : digits, &n)) {
        *ret = value_int(n);
        return true;
    }
    if (!parse_real(digits, &d)) {
        return false;
    }
    *ret = value_real(minus ? -d : d);
    return true;
}

static int64_t unit_ms(struct str unit)
{
    static const struct {
        struct str name;
        int64_t ms;
    } units[] = {
        {STR_INIT("ms"), 1},        {STR_INIT("s"), 1000},       {STR_INIT("m"), 60 * 1000},
        {STR_INIT("h"), 3600000LL}, {STR_INIT("d"), 86400000LL}, {STR_INIT("w"), 604800000LL},
    };

    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (str_eq_nocase(unit, units[i].name)) {
            return units[i].ms;
        }
    }
    return 0;
}

bool value_parse_duration(struct str s, int64_t *ret_ms)
{
    int64_t sum = 0, part;

    if (s.len == 0) {
        return false;
    }
    while (s.len > 0) {
        size_t digits = 0, letters = 0;
        int64_t n;

        while (digits < s.len && byte_is_digit(s.ptr[digits])) {
            digits++;
        }
        while (digits + letters < s.len && byte_is_alpha(s.ptr[digits + letters])) {
            letters++;
        }
        if (!str_to_i64(str_head(s, digits), &n) ||
            __builtin_mul_overflow(n, unit_ms(str_head(str_skip(s, digits), letters)), &part) ||
            unit_ms(str_head(str_skip(s, digits), letters)) == 0 ||
            __builtin_add_overflow(sum, part, &sum)) {
            return false;
        }
        s = str_skip(s, digits + letters);
    }
    *ret_ms = sum;
    return true;
}

struct value value_number(const struct value *v)
{
    struct value n;

    if (v->type == VALUE_TEXT) {
        return value_parse(v->text, &n) ? n : value_int(0);
    }
    if (v->type == VALUE_LIST) {
        return value_int(v->list.count == 0);
    }
    return *v;
}

/* The number both sides can be held against: milliseconds when one of them is a duration. */
static double as_real(const struct value *v, bool in_ms)
{
    double d = v->type == VALUE_REAL ? v->real : (double)v->num;

    return in_ms && (v->type == VALUE_INT || v->type == VALUE_REAL) ? d * 1000 : d;
}

static int64_t as_int(const struct value *v, bool in_ms)
{
    int64_t n = v->num;

    if (in_ms && v->type == VALUE_INT && __builtin_mul_overflow(n, (int64_t)1000, &n)) {
        n = v->num < 0 ? INT64_MIN : INT64_MAX;
    }
    return n;
}

static int cmp_numbers(const struct value *a, const struct value *b)
{
    bool in_ms = a->type == VALUE_DURATION || b->type == VALUE_DURATION;

    if (a->type == VALUE_REAL || b->type == VALUE_REAL) {
        double x = as_real(a, in_ms), y = as_real(b, in_ms);

        return (x > y) - (x < y);
    }
    int64_t x = as_int(a, in_ms), y = as_int(b, in_ms);

    return (x > y) - (x < y);
}

int value_cmp(const struct value *a, const struct value *b)
{
    if (a->type == VALUE_TEXT && b->type == VALUE_TEXT) {
        return str_cmp(a->text, b->text);
    }
    if (a->type == VALUE_LIST && b->type == VALUE_LIST) {
        size_t count = a->list.count < b->list.count ? a->list.count : b->list.count;

        for (size_t i = 0; i < count; i++) {
            int c = value_cmp(&a->list.at[i], &b->list.at[i]);

            if (c != 0) {
                return c;
            }
        }
        return (a->list.count > b->list.count) - (a->list.count < b->list.count);
    }
    if (a->type == VALUE_LIST || b->type == VALUE_LIST) {
        return a->type == VALUE_LIST ? 1 : -1;
    }
    struct value x = value_number(a), y = value_number(b);

    return cmp_numbers(&x, &y);
}

bool value_eq(const struct value *a, const struct value *b)
{
    if (a->type == VALUE_TEXT && b->type == VALUE_TEXT) {
        return str_eq(a->text, b->text);
    }
    return value_cmp(a, b) == 0;
}

static int64_t int_of_real(double d)
{
    if (d >= 9223372036854775807.0) {
        return INT64_MAX;
    }
    return d <= -9223372036854775808.0 ? INT64_MIN : (int64_t)d;
}

int64_t value_to_int(const struct value *v)
{
    struct value n = value_number(v);

    if (n.type == VALUE_REAL) {
        return int_of_real(n.real);
    }
    return n.type == VALUE_DURATION ? n.num / 1000 : n.num;
}

/* The shortest form that reads back as the same number. */
static int real_say(double d, char *at, size_t size)
{
    int len = 0;

    if (d > -1e15 && d < 1e15 && (double)(int64_t)d == d) {
        return snprintf(at, size, "%lld", (long long)d);
    }
    for (int digits = 1; digits <= 17; digits++) {
        len = snprintf(at, size, "%.*g", digits, d);
        if (strtod(at, NULL) == d) {
            break;
        }
    }
    return len;
}

static bool list_to_text(struct allowance *w, const struct value *v, struct str *ret)
{
    struct str part;
    size_t len = 0;
    char *text, *at;

    if (!work_step(w, v->list.count)) {
        return false;
    }
    struct str *parts = work_alloc(w, v->list.count, sizeof *parts);

    if (parts == NULL) {
        return false;
    }
    for (size_t i = 0; i < v->list.count; i++) {
        if (!value_to_text(w, &v->list.at[i], &part) || !add_size(len, part.len + 2, &len)) {
            return false;
        }
        parts[i] = part;
    }
    text = work_alloc(w, len, 1);
    if (text == NULL) {
        return false;
    }
    at = text;
    for (size_t i = 0; i < v->list.count; i++) {
        at = text_put(text_put(at, i > 0 ? STR("\r\n") : STR_EMPTY), parts[i]);
    }
    *ret = str_make(text, (size_t)(at - text));
    return true;
}

bool value_to_text(struct allowance *w, const struct value *v, struct str *ret)
{
    char small[40];
    char *text;
    int len = 0;

    switch (v->type) {
    case VALUE_TEXT:
        *ret = v->text;
        return true;
    case VALUE_LIST:
        return list_to_text(w, v, ret);
    case VALUE_REAL:
        len = real_say(v->real, small, sizeof small);
        break;
    case VALUE_INT:
    case VALUE_MS:
    case VALUE_DURATION:
        len = snprintf(small, sizeof small, "%lld", (long long)value_to_int(v));
        break;
    }
    must(len > 0 && (size_t)len < sizeof small);
    text = work_alloc(w, (size_t)len, 1);
    if (text == NULL) {
        return false;
    }
    memcpy(text, small, (size_t)len);
    *ret = str_make(text, (size_t)len);
    return true;
}

struct value value_at(const struct value *v, int64_t index)
{
    if (v->type == VALUE_LIST) {
        return index >= 0 && (uint64_t)index < v->list.count ? v->list.at[index]
                                                             : value_text(STR_EMPTY);
    }
    return index == 0 ? *v : value_text(STR_EMPTY);
}

struct value value_negated(const struct value *v)
{
    struct value n = value_number(v);

    if (n.type == VALUE_REAL) {
        n.real = -n.real;
    } else {
        n.num = n.num == INT64_MIN ? INT64_MAX : -n.num;
    }
    return n;
}

struct value value_copy(struct arena *a, const struct value *v)
{
    if (v->type == VALUE_TEXT) {
        return value_text(arena_dup(a, v->text));
    }
    if (v->type != VALUE_LIST) {
        return *v;
    }
    struct value *at = arena_array(a, v->list.count ? v->list.count : 1, sizeof *at);

    for (size_t i = 0; i < v->list.count; i++) {
        at[i] = value_copy(a, &v->list.at[i]);
    }
    return value_list(at, v->list.count);
}
