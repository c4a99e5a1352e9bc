/*
 * context: the one place where a stack is left for another. Two bodies: context_boost.c
 * (libboost-context, 6 ns a switch) and context_ucontext.c (the C library's, 170 ns), kept alive by
 * the tests so that the first can be doubted.
 *
 * Sanitizers and Valgrind are told about every switch here and nowhere else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct context {
    void *body;        /* the body's saved state */
    const char *stack; /* lowest usable byte; NULL for a thread's own stack */
    size_t size;
    void *fake; /* AddressSanitizer's */
    void *tsan; /* ThreadSanitizer's */
};

/* A context that, once switched to, runs entry(arg) on the stack. entry never returns: its last act
 * is context_leave. */
void context_make(struct context *c, char *stack, size_t size, void (*entry)(void *), void *arg);
/* The running thread's own stack, to switch back to. */
void context_own(struct context *c);
void context_switch(struct context *from, struct context *to);
/* The last switch of a context that will not run again. */
_Noreturn void context_leave(struct context *from, struct context *to);
/* Frees what context_make took; not the stack. */
void context_done(struct context *c);

/* For the bodies. */
void context_entry(struct context *self); /* where a new one starts; never returns */
void *context_body_make(char *stack, size_t size);
void context_body_switch(struct context *from, struct context *to);
void context_body_done(struct context *c);
