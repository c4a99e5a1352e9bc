/*
 * err: errors are values. A code from one table and, where the system said why, its errno.
 *
 * A peer's refusal is not an error but an outcome that carries the reply; see smtp/.
 */
#pragma once

#include "base/str.h"

enum err_code {
    OK = 0,
#define ERROR(name, class, status, text) ERR_##name,
#include "base/errors.def"
#undef ERROR
    ERR_COUNT
};

enum err_class { ERR_CLASS_TRANSIENT, ERR_CLASS_PERMANENT, ERR_CLASS_OURS };

struct err {
    enum err_code code;
    int sys; /* errno at the time, or 0 */
};

#define ERR_OK ((struct err){OK, 0})

static inline struct err err_of(enum err_code code)
{
    return (struct err){code, 0};
}

static inline struct err err_sys(enum err_code code, int sys)
{
    return (struct err){code, sys};
}

const char *err_name(enum err_code code);   /* "TIMEOUT" */
const char *err_text(enum err_code code);   /* "timed out" */
const char *err_status(enum err_code code); /* "4.4.2" */
enum err_class err_class(enum err_code code);

/* One line for people, "network error: Connection refused"; written to at (of `size` bytes). */
struct str err_say(struct err e, char *at, size_t size);
