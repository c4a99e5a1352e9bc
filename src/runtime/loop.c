#include "runtime/loop.h"

#include "base/mem.h"
#include "runtime/world.h"

static _Thread_local struct loop *running;

/* Never inlined, so that no fiber keeps a thread-local's address over a switch. */
__attribute__((noinline)) struct loop *loop_self(void)
{
    return running;
}

void loop_enter(struct loop *l)
{
    running = l;
    if (!l->entered) {
        context_own(&l->scheduler);
        l->entered = true;
    }
}

void loop_leave(void)
{
    running = NULL;
}

const char *loop_name(const struct loop *l)
{
    return l->name;
}

unsigned loop_index(const struct loop *l)
{
    return l->index;
}

struct loop_load loop_load(const struct loop *l)
{
    return (struct loop_load){atomic_load(&l->longest_ns) / 1000, atomic_load(&l->long_turns)};
}

bool world_is_simulated(void)
{
    struct loop *l = loop_self();

    return l != NULL && l->world->ops->simulated;
}

/* ---- posts ---- */

void loop_post(struct loop *to, struct post *p)
{
    struct post *head = atomic_load_explicit(&to->inbox, memory_order_relaxed);

    do {
        p->next = head;
    } while (!atomic_compare_exchange_weak(&to->inbox, &head, p));
    if (head == NULL) {
        to->world->ops->wake(to);
    }
}

static bool run_posts(struct loop *l)
{
    struct post *newest = atomic_exchange(&l->inbox, NULL), *oldest = NULL;

    if (newest == NULL) {
        return false;
    }
    while (newest != NULL) {
        struct post *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct post *p = oldest;

        oldest = p->next;
        l->posts_run++;
        p->run(p);
    }
    return true;
}

/* ---- turns ---- */

static bool wake_timers(struct loop *l)
{
    struct heap_node *n;
    bool any = false;

    while ((n = heap_due(&l->timers, l->now.ns)) != NULL) {
        fiber_wake_with(CONTAINER_OF(n, struct fiber, timer), ERR_TIMEOUT);
        any = true;
    }
    return any;
}

bool loop_turn(struct loop *l)
{
    bool any = run_posts(l);
    struct list now;

    any = wake_timers(l) || any;
    /* Those that become ready from here on wait for the next turn. */
    list_init(&now);
    if (!list_is_empty(&l->ready)) {
        now.ring = l->ready.ring;
        now.ring.next->prev = now.ring.prev->next = &now.ring;
        list_init(&l->ready);
        any = true;
    }
    while (!list_is_empty(&now)) {
        fiber_run(CONTAINER_OF(list_pop(&now), struct fiber, run));
    }
    return any;
}

bool loop_has_work(const struct loop *l)
{
    return !list_is_empty(&l->ready) || atomic_load(&l->inbox) != NULL;
}

bool loop_is_over(const struct loop *l)
{
    return l->main.count == 0;
}

struct when loop_next_timer(const struct loop *l)
{
    return (struct when){heap_least_key(&l->timers)};
}

void loop_start_main(struct loop *l)
{
    if (l->main_fn != NULL) {
        must(group_spawn_now(&l->main, "main", l->main_fn, l->main_arg).code == OK);
    }
    if (l->cancelled) {
        group_cancel(&l->main);
    }
}

/* ---- buffers ---- */

char *buffer_take(struct loop *l)
{
    return l->buffer_count > 0 ? l->buffers[--l->buffer_count] : mem_alloc_raw(BUFFER_BYTES);
}

void buffer_give(struct loop *l, char *buffer)
{
    if (l->buffer_count < BUFFERS_KEPT_MAX) {
        l->buffers[l->buffer_count++] = buffer;
    } else {
        mem_free(buffer);
    }
}

void buffers_shrink(struct loop *l, uint32_t keep)
{
    while (l->buffer_count > keep) {
        mem_free(l->buffers[--l->buffer_count]);
    }
}

/* ---- worlds ---- */

void world_init(struct world *w, const struct world_ops *ops)
{
    *w = (struct world){.ops = ops};
}

struct loop *world_loop(struct world *w, const char *name)
{
    struct loop *l = MEM_NEW(struct loop);

    must(w->loop_count < LOOPS_MAX);
    l->world = w;
    l->name = name;
    l->index = w->loop_count;
    list_init(&l->ready);
    list_init(&l->fibers);
    group_init(&l->main, name, 1);
    w->loops[w->loop_count++] = l;
    w->ops->loop_new(l);
    return l;
}

void loop_share(struct loop *l, struct loop *with)
{
    if (l->world->ops->loop_share != NULL) {
        l->world->ops->loop_share(l, with);
    }
}

void loop_main(struct loop *l, void (*fn)(void *), void *arg)
{
    l->main_fn = fn;
    l->main_arg = arg;
}

void world_run(struct world *w)
{
    w->ops->run(w);
}

static void cancel_here(struct post *p)
{
    struct loop *l = CONTAINER_OF(p, struct loop, cancel);

    l->cancelled = true;
    group_cancel(&l->main);
}

/* The post lies in the loop: it may be over already, and then nobody runs or frees it. */
void loop_cancel(struct loop *l)
{
    if (!atomic_exchange(&l->cancelling, true)) {
        l->cancel.run = cancel_here;
        loop_post(l, &l->cancel);
    }
}

void world_cancel(struct world *w)
{
    for (unsigned i = 0; i < w->loop_count; i++) {
        loop_cancel(w->loops[i]);
    }
}

void world_done(struct world *w)
{
    for (unsigned i = 0; i < w->loop_count; i++) {
        struct loop *l = w->loops[i];

        must(list_is_empty(&l->fibers));
        w->ops->loop_free(l);
        fiber_pool_free(l);
        buffers_shrink(l, 0);
        heap_done(&l->timers);
        context_done(&l->scheduler);
        mem_free(l);
    }
    w->loop_count = 0;
}

void world_free(struct world *w)
{
    w->ops->free(w);
}
