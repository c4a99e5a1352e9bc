#include "store/parcel.h"

#include "base/mem.h"

static atomic_uint_fast64_t live_bytes;

struct parcel *parcel_new(void)
{
    struct parcel *p = MEM_NEW(struct parcel);

    atomic_init(&p->references, 1);
    return p;
}

struct parcel *parcel_share(struct parcel *p)
{
    atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
    return p;
}

void parcel_drop(struct parcel *p)
{
    if (p == NULL || atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    atomic_fetch_sub_explicit(&live_bytes, p->counted, memory_order_relaxed);
    arena_done(&p->arena);
    buf_done(&p->head);
    mem_free(p);
}

void parcel_settle(struct parcel *p)
{
    uint64_t bytes = sizeof *p + p->arena.held + p->head.size;

    atomic_fetch_add_explicit(&live_bytes, bytes - p->counted, memory_order_relaxed);
    p->counted = bytes;
}

uint64_t parcel_bytes(void)
{
    return atomic_load_explicit(&live_bytes, memory_order_relaxed);
}
