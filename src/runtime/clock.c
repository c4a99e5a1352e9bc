#include "runtime/clock.h"

#include "runtime/world.h"

#include <time.h>

static struct when system_when(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct when){(int64_t)t.tv_sec * NS_PER_S + t.tv_nsec};
}

static struct date system_date(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (struct date){(int64_t)t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS};
}

struct when clock_now(void)
{
    struct loop *l = loop_self();

    return l ? l->now : system_when();
}

struct when clock_read(void)
{
    return world_is_simulated() ? loop_self()->now : system_when();
}

struct date clock_date(void)
{
    struct loop *l = loop_self();

    return l ? l->date : system_date();
}

struct when when_after(int64_t ms)
{
    int64_t ns;

    return __builtin_mul_overflow(ms, NS_PER_MS, &ns) ? WHEN_NEVER : when_add(clock_now(), ns);
}

struct when when_within(struct when by, int64_t ms)
{
    return when_earlier(by, when_after(ms));
}
