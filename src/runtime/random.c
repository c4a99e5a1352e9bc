#include "runtime/random.h"

#include "base/check.h"
#include "runtime/world.h"

#include <sys/random.h>

void random_system(uint64_t *at, uint32_t count)
{
    size_t bytes = count * sizeof *at;

    must(getrandom(at, bytes, 0) == (ssize_t)bytes);
}

uint64_t random_u64(void)
{
    struct loop *l = loop_self();
    uint64_t alone;

    if (l == NULL) {
        random_system(&alone, 1);
        return alone;
    }
    if (l->random_left == 0) {
        l->world->ops->random(l, l->randoms, RANDOM_POOL);
        l->random_left = RANDOM_POOL;
    }
    return l->randoms[--l->random_left];
}

uint64_t random_below(uint64_t below)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % below, n;

    do {
        n = random_u64();
    } while (n >= limit);
    return n % below;
}
