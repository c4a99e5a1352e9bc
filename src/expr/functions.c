#include "expr/functions.h"

#include "base/check.h"

static const struct function functions[] = {
#define PURE(name, least, most, kinds, choices)                                                    \
    {STR_INIT(#name), FN_PURE, least, most, kinds, choices, fn_##name, EXPR_LOOKUP_COUNT},
#define EACH(name, least, most, kinds, choices)                                                    \
    {STR_INIT(#name),     FN_EACH, least,     most,                                                \
     (kinds) | KIND_LIST, choices, fn_##name, EXPR_LOOKUP_COUNT},
#define LOOKUP(name, least, most, kinds, choices)                                                  \
    {STR_INIT(#name), FN_LOOKUP, least, most, kinds, choices, NULL, EXPR_LOOKUP_##name},
#define LOCAL(name, least, most, kinds, choices)                                                   \
    {STR_INIT(#name), FN_LOCAL, least, most, kinds, choices, NULL, EXPR_LOOKUP_##name},
#define DIGEST(name, least, most, kinds, choices)                                                  \
    {STR_INIT(#name), FN_DIGEST, least, most, kinds, choices, NULL, EXPR_LOOKUP_COUNT},
#define REFUSED(name, why)                                                                         \
    {STR_INIT(#name), FN_REFUSED, 0, 0, KIND_ANY, why, NULL, EXPR_LOOKUP_COUNT},
#include "expr/functions.def"
#undef PURE
#undef EACH
#undef LOOKUP
#undef LOCAL
#undef DIGEST
#undef REFUSED
};

const struct function *function_find(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        if (str_eq(functions[i].name, name)) {
            return &functions[i];
        }
    }
    return NULL;
}

const struct function *function_at(unsigned index)
{
    return index < COUNT_OF(functions) ? &functions[index] : NULL;
}

unsigned function_index(const struct function *f)
{
    return (unsigned)(f - functions);
}

static bool call_each(const struct function *f, struct allowance *w, const struct value *args,
                      unsigned count, struct value *ret)
{
    struct value one[EXPR_ARGS_MAX];
    size_t elements = args[0].list.count;
    struct value *at = work_alloc(w, elements, sizeof *at);

    if (at == NULL) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        one[i] = args[i];
    }
    for (size_t i = 0; i < elements; i++) {
        one[0] = args[0].list.at[i];
        if (!work_step(w, 1) || !f->body(w, one, count, &at[i])) {
            return false;
        }
    }
    *ret = value_list(at, elements);
    return true;
}

bool function_call(const struct function *f, struct allowance *w, const struct value *args,
                   unsigned count, struct value *ret)
{
    must(f->body != NULL);
    must(count >= f->args_min);
    must(count <= EXPR_ARGS_MAX);
    if (!work_step(w, 1)) {
        return false;
    }
    if (f->how == FN_EACH && args[0].type == VALUE_LIST) {
        return call_each(f, w, args, count, ret);
    }
    return f->body(w, args, count, ret);
}

const char *expr_lookup_name(enum expr_lookup_kind kind)
{
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        if (functions[i].body == NULL && functions[i].lookup == kind && kind != EXPR_LOOKUP_COUNT) {
            return functions[i].name.ptr;
        }
    }
    never("a look-up without a function");
}
