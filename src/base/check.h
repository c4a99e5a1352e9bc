/*
 * check: what must hold, said aloud; on in releases too, since a wrong 250 costs more than a
 * restart.
 *
 * must()      a cheap check of our own logic. One fact each, so that the message names it.
 * must_not()  the same for a fact that must be false; reads better than must(!x).
 * never()     a place that cannot be reached; the text says why.
 *
 * These are for our own mistakes only. Bytes from strangers are answered with an error, never with
 * an assertion. Each stops the process after one line on standard error.
 */
#pragma once

#include <stdint.h>

_Noreturn void check_failed(const char *file, int line, const char *fact);

#define must(fact)     ((fact) ? (void)0 : check_failed(__FILE__, __LINE__, #fact))
#define must_not(fact) ((fact) ? check_failed(__FILE__, __LINE__, "not: " #fact) : (void)0)
#define never(why)     check_failed(__FILE__, __LINE__, "never: " why)

/* Compile-time bounds for tables and layouts. */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* From a member of a struct to the struct: the one cast all intrusive containers need. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer) - __builtin_offsetof(type, member)))
