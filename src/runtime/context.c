#include "runtime/context.h"

#include "base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#endif
#if defined(__has_feature) /* Clang 14 defines neither of the two above */
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef HAS_TSAN
#include <sanitizer/tsan_interface.h>
#endif

struct first_call {
    void (*entry)(void *);
    void *arg;
};

static void arrived(struct context *self)
{
#ifdef HAS_ASAN
    __sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
#else
    (void)self;
#endif
}

void context_entry(struct context *self)
{
    struct first_call call = *(const struct first_call *)(const void *)self->stack;

    arrived(self);
    call.entry(call.arg);
    never("a context's entry returned");
}

void context_make(struct context *c, char *stack, size_t size, void (*fn)(void *), void *arg)
{
#ifdef HAS_ASAN
    /* Frames that were left for good (context_leave) have left their red zones behind. */
    __asan_unpoison_memory_region(stack, size);
#endif
    /* The first call's words lie at the far end of the stack, which the first frames never reach.
     */
    *(struct first_call *)(void *)stack = (struct first_call){fn, arg};
    *c = (struct context){.stack = stack, .size = size};
    c->body = context_body_make(stack, size);
#ifdef HAS_TSAN
    c->tsan = __tsan_create_fiber(0);
#endif
}

void context_own(struct context *c)
{
    *c = (struct context){0};
#ifdef HAS_TSAN
    c->tsan = __tsan_get_current_fiber();
#endif
#ifdef HAS_ASAN
    pthread_attr_t attr;
    void *bottom;

    must(pthread_getattr_np(pthread_self(), &attr) == 0);
    must(pthread_attr_getstack(&attr, &bottom, &c->size) == 0);
    pthread_attr_destroy(&attr);
    c->stack = bottom;
#endif
}

static void go(struct context *from, struct context *to, bool last)
{
#ifdef HAS_ASAN
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->stack, to->size);
#else
    (void)last;
#endif
#ifdef HAS_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    context_body_switch(from, to);
    arrived(from);
}

void context_switch(struct context *from, struct context *to)
{
    go(from, to, false);
}

_Noreturn void context_leave(struct context *from, struct context *to)
{
    go(from, to, true);
    never("a context that had left was switched to");
}

void context_done(struct context *c)
{
#ifdef HAS_TSAN
    /* A thread's own (context_own) has no stack of ours, and ends with its thread. */
    if (c->stack != NULL) {
        __tsan_destroy_fiber(c->tsan);
    }
#endif
    context_body_done(c);
}
