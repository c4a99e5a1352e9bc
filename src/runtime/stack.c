#include "runtime/stack.h"

#include "base/check.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_LSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAS_LSAN 1
#endif
#ifdef HAS_LSAN
#include <sanitizer/lsan_interface.h>
#define ROOT_ADD(at, size)  __lsan_register_root_region((at), (size))
#define ROOT_DROP(at, size) __lsan_unregister_root_region((at), (size))
#else
#define ROOT_ADD(at, size)  ((void)0)
#define ROOT_DROP(at, size) ((void)0)
#endif

#if HAVE_VALGRIND
#include <valgrind/valgrind.h>
#define TELL_VALGRIND(at, size) ((void)VALGRIND_STACK_REGISTER((at), (at) + (size)))
#else
#define TELL_VALGRIND(at, size) ((void)0)
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum { PAINT = 0xa5, PAGE = 4096 };

static atomic_bool no_light_guard;

static bool guard(char *at)
{
    if (!atomic_load(&no_light_guard)) {
        if (madvise(at, STACK_GUARD_BYTES, MADV_GUARD_INSTALL) == 0) {
            return true;
        }
        atomic_store(&no_light_guard, true);
    }
    return mprotect(at, STACK_GUARD_BYTES, PROT_NONE) == 0;
}

char *stack_map(size_t size)
{
    char *at = mmap(NULL, STACK_GUARD_BYTES + size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

    if (at == MAP_FAILED) {
        return NULL;
    }
    if (!guard(at)) {
        munmap(at, STACK_GUARD_BYTES + size);
        return NULL;
    }
    ROOT_ADD(at + STACK_GUARD_BYTES, size);
    TELL_VALGRIND(at + STACK_GUARD_BYTES, size);
    stack_paint(at + STACK_GUARD_BYTES, size);
    return at + STACK_GUARD_BYTES;
}

void stack_unmap(char *stack, size_t size)
{
    ROOT_DROP(stack, size);
    must(munmap(stack - STACK_GUARD_BYTES, STACK_GUARD_BYTES + size) == 0);
}

void stack_trim(char *stack, size_t size, size_t depth)
{
    size_t keep = (depth + 2 * PAGE - 1) / PAGE * PAGE;

    /* A watermark build keeps its paint: given back, the pages would read as used. */
    if (!STACK_WATERMARK && keep + PAGE < size) {
        /* The first page holds the words of the first call (context.c); it is spent by now. */
        madvise(stack, size - keep, MADV_DONTNEED);
    }
}

#if STACK_WATERMARK
void stack_paint(char *stack, size_t size)
{
    memset(stack, PAINT, size);
}

size_t stack_used(const char *stack, size_t size)
{
    size_t untouched = 64; /* the first call's words */

    while (untouched < size && (unsigned char)stack[untouched] == PAINT) {
        untouched++;
    }
    return size - untouched;
}
#else
void stack_paint(char *stack, size_t size)
{
    (void)stack;
    (void)size;
}

size_t stack_used(const char *stack, size_t size)
{
    (void)stack;
    (void)size;
    return 0;
}
#endif
