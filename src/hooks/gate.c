#include "hooks/gate.h"

void gate_init(struct gate *g)
{
    *g = (struct gate){0};
    list_init(&g->waiting);
}

static bool has_room(const struct gate *g, uint32_t width)
{
    return width == 0 || g->busy < width;
}

enum gate_answer gate_enter(struct gate *g, struct gate_waiter *w, uint32_t width,
                            uint32_t queue_max)
{
    if (g->waiting_count == 0 && has_room(g, width)) {
        g->busy++;
        return GATE_IN;
    }
    if (g->waiting_count >= queue_max) {
        return GATE_FULL;
    }
    list_push(&g->waiting, &w->link);
    g->waiting_count++;
    return GATE_WAIT;
}

void gate_withdraw(struct gate *g, struct gate_waiter *w)
{
    if (link_is_in(&w->link)) {
        list_remove(&w->link);
        g->waiting_count--;
    }
}

void gate_leave(struct gate *g)
{
    must(g->busy > 0);
    g->busy--;
}

struct gate_waiter *gate_next(struct gate *g, uint32_t width)
{
    struct link *k;

    if (!has_room(g, width) || (k = list_pop(&g->waiting)) == NULL) {
        return NULL;
    }
    g->waiting_count--;
    g->busy++;
    return CONTAINER_OF(k, struct gate_waiter, link);
}
