#include "base/err.h"

#include "base/check.h"

#include <stdio.h>

static const struct {
    const char *name, *status, *text;
    enum err_class class;
} table[] = {
    {"OK", "2.0.0", "no error", ERR_CLASS_OURS},
#define ERROR(name, class, status, text) {#name, status, text, ERR_CLASS_##class},
#include "base/errors.def"
#undef ERROR
};

_Static_assert(COUNT_OF(table) == ERR_COUNT, "one row for each code");

const char *err_name(enum err_code code)
{
    return table[code].name;
}

const char *err_text(enum err_code code)
{
    return table[code].text;
}

const char *err_status(enum err_code code)
{
    return table[code].status;
}

enum err_class err_class(enum err_code code)
{
    return table[code].class;
}

struct str err_say(struct err e, char *at, size_t size)
{
    int len;

    if (e.sys != 0) {
        char reason[128];

        len = snprintf(at, size, "%s: %s", err_text(e.code),
                       strerror_r(e.sys, reason, sizeof reason));
    } else {
        len = snprintf(at, size, "%s", err_text(e.code));
    }
    return (struct str){at, (size_t)len < size ? (size_t)len : size - 1};
}
