/*
 * functions: the table of what expressions can call (functions.def), and the bodies of those that
 * need nothing from outside. Internal to expr/.
 *
 * Limits    A body may be given any values of any types, charges its work, and returns false only
 *           when that is used up.
 */
#pragma once

#include "expr/expr.h"

enum {
    KIND_TEXT = 1,
    KIND_INT = 2,
    KIND_REAL = 4,
    KIND_DURATION = 8,
    KIND_MS = 16,
    KIND_LIST = 32,
    KIND_NUMBER = KIND_INT | KIND_REAL | KIND_DURATION | KIND_MS,
    KIND_ANY = KIND_TEXT | KIND_NUMBER | KIND_LIST
};

enum function_how { FN_PURE, FN_EACH, FN_LOOKUP, FN_LOCAL, FN_DIGEST, FN_REFUSED };

struct function {
    struct str name;
    enum function_how how;
    unsigned args_min, args_max;
    unsigned kinds;
    const char *choices; /* for REFUSED: why */
    bool (*body)(struct allowance *w, const struct value *args, unsigned count, struct value *ret);
    enum expr_lookup_kind lookup; /* of LOOKUP and LOCAL */
};

#define PURE(name, least, most, kinds, choices)                                                    \
    bool fn_##name(struct allowance *w, const struct value *args, unsigned count,                  \
                   struct value *ret);
#define EACH(name, least, most, kinds, choices) PURE(name, least, most, kinds, choices)
#define LOOKUP(name, least, most, kinds, choices)
#define LOCAL(name, least, most, kinds, choices)
#define DIGEST(name, least, most, kinds, choices)
#define REFUSED(name, why)
#include "expr/functions.def"
#undef PURE
#undef EACH
#undef LOOKUP
#undef LOCAL
#undef DIGEST
#undef REFUSED

const struct function *function_find(struct str name); /* NULL: none of that name */
const struct function *function_at(unsigned index);    /* NULL behind the last */
unsigned function_index(const struct function *f);
/* Calls a PURE or EACH function. */
bool function_call(const struct function *f, struct allowance *w, const struct value *args,
                   unsigned count, struct value *ret);
