/* Functions on lists, and those that ask what a value is. */
#include "expr/functions.h"

#include <stdlib.h>

bool fn_count(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    const struct value *v = &args[0];

    (void)w;
    (void)count;
    *ret = value_int(v->type == VALUE_LIST                       ? (int64_t)v->list.count
                     : v->type == VALUE_TEXT && v->text.len == 0 ? 0
                                                                 : 1);
    return true;
}

static int rising(const void *a, const void *b)
{
    return value_cmp(a, b);
}

static int falling(const void *a, const void *b)
{
    return value_cmp(b, a);
}

/* An array of the elements, whatever v is: a single value is one, empty text none. */
static const struct value *elements(const struct value *v, size_t *count)
{
    if (v->type == VALUE_LIST) {
        *count = v->list.count;
        return v->list.at;
    }
    *count = v->type == VALUE_TEXT && v->text.len == 0 ? 0 : 1;
    return v;
}

bool fn_sort(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    size_t n;
    const struct value *from = elements(&args[0], &n);
    struct value *at = work_alloc(w, n, sizeof *at);

    (void)count;
    if (at == NULL || !work_step(w, n * 16)) { /* 4096 elements: 12 rounds of merging */
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        at[i] = from[i];
    }
    if (n > 1) {
        qsort(at, n, sizeof *at, value_truth(&args[1]) ? falling : rising);
    }
    *ret = value_list(at, n);
    return true;
}

static bool holds(struct allowance *w, const struct value *list, size_t count,
                  const struct value *v, bool *ret)
{
    *ret = false;
    for (size_t i = 0; i < count && !*ret; i++) {
        *ret = value_eq(&list[i], v);
    }
    return work_step(w, count);
}

bool fn_dedup(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    size_t n, kept = 0;
    const struct value *from = elements(&args[0], &n);
    struct value *at = work_alloc(w, n, sizeof *at);
    bool seen;

    (void)count;
    if (at == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!holds(w, at, kept, &from[i], &seen)) {
            return false;
        }
        if (!seen) {
            at[kept++] = from[i];
        }
    }
    *ret = value_list(at, kept);
    return true;
}

bool fn_winnow(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    size_t kept = 0;
    struct value *at;

    (void)count;
    *ret = args[0];
    if (args[0].type != VALUE_LIST) {
        return true;
    }
    at = work_alloc(w, args[0].list.count, sizeof *at);
    if (at == NULL || !work_step(w, args[0].list.count)) {
        return false;
    }
    for (size_t i = 0; i < args[0].list.count; i++) {
        const struct value *v = &args[0].list.at[i];

        if (v->type != VALUE_TEXT || v->text.len > 0) {
            at[kept++] = *v;
        }
    }
    *ret = value_list(at, kept);
    return true;
}

bool fn_is_intersect(struct allowance *w, const struct value *args, unsigned count,
                     struct value *ret)
{
    bool found = false;

    (void)count;
    *ret = value_bool(false);
    if (args[0].type != VALUE_LIST && args[1].type != VALUE_LIST) {
        return true;
    }
    const struct value *list = args[0].type == VALUE_LIST ? &args[0] : &args[1];
    const struct value *other = list == &args[0] ? &args[1] : &args[0];
    size_t n = other->type == VALUE_LIST ? other->list.count : 1;
    const struct value *at = other->type == VALUE_LIST ? other->list.at : other;

    for (size_t i = 0; i < n && !found; i++) {
        if (!holds(w, list->list.at, list->list.count, &at[i], &found)) {
            return false;
        }
    }
    *ret = value_bool(found);
    return true;
}

bool fn_is_empty(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    const struct value *v = &args[0];

    (void)w;
    (void)count;
    *ret = value_bool((v->type == VALUE_TEXT && v->text.len == 0) ||
                      (v->type == VALUE_LIST && v->list.count == 0));
    return true;
}

bool fn_is_number(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    (void)w;
    (void)count;
    *ret = value_bool(args[0].type != VALUE_TEXT && args[0].type != VALUE_LIST);
    return true;
}

bool fn_len(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    struct str s;

    (void)count;
    if (args[0].type == VALUE_LIST) {
        *ret = value_int((int64_t)args[0].list.count);
        return true;
    }
    if (!value_to_text(w, &args[0], &s)) {
        return false;
    }
    *ret = value_int((int64_t)s.len);
    return true;
}

bool fn_if_then(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    (void)w;
    (void)count;
    *ret = value_truth(&args[0]) ? args[1] : args[2];
    return true;
}

bool fn_contains(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    struct str in, s;
    bool found;

    (void)count;
    if (args[0].type == VALUE_LIST) {
        if (!holds(w, args[0].list.at, args[0].list.count, &args[1], &found)) {
            return false;
        }
        *ret = value_bool(found);
        return true;
    }
    if (!value_to_text(w, &args[0], &in) || !value_to_text(w, &args[1], &s) ||
        !work_step(w, in.len / 64)) {
        return false;
    }
    *ret = value_bool(str_find_str(in, s) != STR_NONE);
    return true;
}

static bool find_nocase(struct str in, struct str s)
{
    for (size_t i = 0; i + s.len <= in.len; i++) {
        if (str_eq_nocase(str_make(in.ptr + i, s.len), s)) {
            return true;
        }
    }
    return false;
}

bool fn_contains_ignore_case(struct allowance *w, const struct value *args, unsigned count,
                             struct value *ret)
{
    struct str in, s;
    bool found = false;

    (void)count;
    if (!value_to_text(w, &args[1], &s)) {
        return false;
    }
    if (args[0].type == VALUE_LIST) {
        for (size_t i = 0; i < args[0].list.count && !found; i++) {
            if (!work_step(w, 1) || !value_to_text(w, &args[0].list.at[i], &in)) {
                return false;
            }
            found = str_eq_nocase(in, s);
        }
    } else {
        /* Each place of the text may look at all of what is sought. */
        if (!value_to_text(w, &args[0], &in) || !work_step(w, 1 + in.len * (1 + s.len / 8) / 8)) {
            return false;
        }
        found = find_nocase(in, s);
    }
    *ret = value_bool(found);
    return true;
}
