/* What every unit test includes: cmocka with the headers it wants before it. */
#pragma once

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/str.h"

#include <stdio.h>

/* Fails with both texts shown. */
static inline void expect_str(struct str got, struct str want, const char *file, int line)
{
    if (!str_eq(got, want)) {
        print_error("got  \"%.*s\"\nwant \"%.*s\"\n", STR_ARG(got), STR_ARG(want));
        _fail(file, line);
    }
}

#define EXPECT_STR(got, want) expect_str((got), str_of(want), __FILE__, __LINE__)
