#include "base/mem.h"
#include "delivery/part.h"
#include "runtime/clock.h"

/* One fiber a loop looks at all that run there, a few times a second, so that the hot path pays
 * nothing for being watched. */

enum { LOOK_MS = 250, QUIET_LOOKS_MAX = 20 };

/* What the queue is asked; the slot may end before the answer comes. */
struct question {
    struct slow_slot slow;
    struct delivery_loop *l;
    uint64_t serial;
};

static struct vigil *vigil_of(const struct delivery_loop *l, uint64_t serial)
{
    LIST_EACH (&l->runs, k) {
        struct vigil *v = CONTAINER_OF(k, struct vigil, link);

        if (v->serial == serial) {
            return v;
        }
    }
    return NULL;
}

static void answered(struct post *p)
{
    struct question *q = CONTAINER_OF(CONTAINER_OF(p, struct slow_slot, post), struct question,
                                      slow);
    struct vigil *v = q->slow.close ? vigil_of(q->l, q->serial) : NULL;

    /* What was sent to its end may have been taken: only its reply can tell. */
    if (v != NULL && (v->sent == NULL || !*v->sent)) {
        v->cut = true;
        fiber_cancel(v->fiber);
    }
    mem_free(q);
}

static void look_at(struct delivery_loop *l, struct vigil *v)
{
    struct when since;
    struct question *q;

    if (v->told || v->ours || !fiber_waits(v->fiber, &since) ||
        clock_now().ns - since.ns < slot_slow_after_ms(v->slot) * NS_PER_MS) {
        return;
    }
    v->told = true;
    q = MEM_NEW(struct question);
    q->l = l;
    q->serial = v->serial;
    slot_slow(v->slot, &q->slow, answered);
}

static void watch_fiber(void *arg)
{
    struct delivery_loop *l = arg;
    int quiet = 0;

    while (quiet < QUIET_LOOKS_MAX && fiber_sleep(when_after(LOOK_MS), WHEN_NEVER).code == OK) {
        quiet = list_is_empty(&l->runs) ? quiet + 1 : 0;
        LIST_EACH (&l->runs, k) {
            look_at(l, CONTAINER_OF(k, struct vigil, link));
        }
    }
    l->is_watching = false;
}

void vigil_begin(struct delivery_loop *l, struct vigil *v, struct slot *slot)
{
    *v = (struct vigil){.fiber = fiber_self(), .slot = slot, .serial = ++l->run_serial};
    list_push(&l->runs, &v->link);
    if (!l->is_watching) {
        l->is_watching = group_spawn_now(&l->group, "vigil", watch_fiber, l).code == OK;
    }
}

void vigil_end(struct vigil *v)
{
    list_remove(&v->link);
}
