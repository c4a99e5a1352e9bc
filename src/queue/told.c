/*
 * Filters are told of results (queue_ops.recorded), and what they then wanted is told to people.
 */
#include "base/mem.h"
#include "queue/part.h"

bool is_being_told(const struct queue *q, uint64_t message)
{
    return q->told.count > 0 && map_get_num(&q->told, message) != NULL;
}

static void told_here(struct post *p)
{
    struct work *w = CONTAINER_OF(p, struct work, post);
    struct queue *q = w->queue;
    uint64_t message = w->message;
    struct telling *t = map_get_num(&q->told, message);

    work_free(w);
    if (--t->works == 0) {
        mem_free(map_take_num(&q->told, message));
        debt_consider(q, message);
    }
    busy_end(q);
}

void queue_told(struct work *w)
{
    w->post.run = told_here;
    loop_post(w->queue->home, &w->post);
}

/* The work is no job's any more, and holds up nobody. */
void tell_recorded(struct queue *q, struct work *w)
{
    struct telling *t = map_get_num(&q->told, w->message);

    if (queue_work_of(w)->holds_limits) {
        limits_work_over(q, w);
        queue_work_of(w)->holds_limits = false;
    }
    settle(queue_work_of(w), 0);
    if (t == NULL) {
        t = MEM_NEW(struct telling);
        map_put_num(&q->told, w->message, t);
    }
    t->works++;
    busy_begin(q);
    q->ops.recorded(q->ops.ctx, w);
}

struct str told_why(const struct queue_work *act)
{
    struct arena *a = (struct arena *)(uintptr_t)&act->work.arena;

    for (uint32_t i = 0; act->asks->action->kind == ACTION_FILTER && i < act->work.to_count; i++) {
        const struct action_change *c = action_change_of(act->asks->action, act->work.to[i]);

        if (c != NULL && !act->keeps[i]) {
            return arena_printf(a, "the filter %.*s wants it so", STR_ARG(c->by));
        }
    }
    return STR_EMPTY;
}
