#include "runtime/fiber.h"

#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/world.h"

#include <stdio.h>
#include <string.h>

struct fiber *fiber_self(void)
{
    struct loop *l = loop_self();

    return l ? l->current : NULL;
}

bool fiber_is_cancelled(void)
{
    struct fiber *f = fiber_self();

    return f != NULL && f->cancelled;
}

/* ---- waiting and waking ---- */

static void suspend(struct fiber *f)
{
    struct loop *l = f->loop;

    f->state = FIBER_WAITING;
    context_switch(&f->context, &l->scheduler);
    must(f->state == FIBER_RUNNING);
}

static struct err wait(const char *what, struct when by, bool firm)
{
    struct fiber *f = fiber_self();

    must(f != NULL);
    must_not(f->loop->on_big_stack);
    if (f->cancelled && !firm) {
        return err_of(ERR_CANCELLED);
    }
    if (f->woken) {
        f->woken = false;
        return ERR_OK;
    }
    if (!firm && by.ns <= f->loop->now.ns) {
        return err_of(ERR_TIMEOUT);
    }
    f->what = what;
    f->since = f->loop->now;
    f->until = by;
    f->firm = firm;
    if (!firm && !when_is_never(by)) {
        heap_put(&f->loop->timers, &f->timer, by.ns);
    }
    suspend(f);
    f->what = NULL;
    f->woken = false;
    return err_of(f->wake);
}

struct err fiber_wait(const char *what, struct when by)
{
    return wait(what, by, false);
}

void fiber_wait_firm(const char *what, struct when by)
{
    (void)by;
    (void)wait(what, WHEN_NEVER, true);
}

void fiber_wake_with(struct fiber *f, enum err_code why)
{
    if (f->state != FIBER_WAITING) {
        f->woken = f->woken || why == OK;
        return;
    }
    heap_remove(&f->loop->timers, &f->timer);
    f->wake = why;
    f->state = FIBER_READY;
    list_push(&f->loop->ready, &f->run);
}

void fiber_wake(struct fiber *f)
{
    must(f->loop == loop_self());
    fiber_wake_with(f, OK);
}

struct err fiber_yield(struct when by)
{
    struct fiber *f = fiber_self();

    (void)by;
    if (f->cancelled) {
        return err_of(ERR_CANCELLED);
    }
    f->what = "its next turn";
    f->since = f->loop->now;
    f->until = f->loop->now;
    f->state = FIBER_READY;
    f->wake = OK;
    list_push(&f->loop->ready, &f->run);
    context_switch(&f->context, &f->loop->scheduler);
    f->what = NULL;
    return ERR_OK;
}

struct err fiber_sleep(struct when until, struct when by)
{
    struct when end = when_earlier(until, by);
    struct err e;

    do {
        e = fiber_wait("a while", end);
    } while (e.code == OK);
    return (e.code == ERR_TIMEOUT && until.ns <= by.ns) ? ERR_OK : e;
}

/* ---- life ---- */

static void report_watermark(const struct fiber *f)
{
    size_t used = stack_used(f->context.stack, f->context.size);

    if (used > f->context.size / 4 * 3) {
        fprintf(stderr, "postyard: fiber %s used %zu of %zu stack bytes\n", f->name, used,
                f->context.size);
        never("a fiber used over three quarters of its stack");
    }
}

static void body(void *arg)
{
    struct fiber *f = arg;

    f->fn(f->arg);
    f->state = FIBER_DONE;
    context_leave(&f->context, &f->loop->scheduler);
}

static char *stack_take(struct loop *l)
{
    return l->stack_count > 0 ? l->stacks[--l->stack_count] : stack_map(STACK_BYTES);
}

static void stack_give(struct loop *l, char *stack)
{
    if (l->stack_count < STACKS_KEPT_MAX) {
        stack_paint(stack, STACK_BYTES);
        l->stacks[l->stack_count++] = stack;
    } else {
        stack_unmap(stack, STACK_BYTES);
    }
}

void fiber_pool_shrink(struct loop *l, uint32_t keep)
{
    while (l->stack_count > keep) {
        stack_unmap(l->stacks[--l->stack_count], STACK_BYTES);
    }
}

void fiber_pool_free(struct loop *l)
{
    fiber_pool_shrink(l, 0);
    if (l->big_stack != NULL) {
        stack_unmap(l->big_stack, STACK_BIG_BYTES);
        l->big_stack = NULL;
    }
}

static struct err spawn(struct group *g, const char *name, void (*fn)(void *), void *arg)
{
    struct loop *l = loop_self();
    struct fiber *f;
    char *stack;

    must(l != NULL);
    stack = stack_take(l);
    if (stack == NULL) {
        return err_of(ERR_LIMIT);
    }
    f = MEM_NEW(struct fiber);
    f->loop = l;
    f->group = g;
    f->fn = fn;
    f->arg = arg;
    f->name = name;
    f->state = FIBER_READY;
    context_make(&f->context, stack, STACK_BYTES, body, f);
    list_push(&l->ready, &f->run);
    list_push(&l->fibers, &f->all);
    list_push(&g->fibers, &f->in_group);
    g->count++;
    l->fiber_count++;
    return ERR_OK;
}

static void bury(struct fiber *f)
{
    struct loop *l = f->loop;
    struct group *g = f->group;
    struct link *waiting;

    report_watermark(f);
    must_not(heap_holds(&f->timer));
    must_not(link_is_in(&f->in_wait));
    list_remove(&f->all);
    list_remove(&f->in_group);
    g->count--;
    l->fiber_count--;
    /* Who joins looks again; so does who waits for a place. */
    while ((waiting = list_pop(&g->joining)) != NULL) {
        fiber_wake_with(CONTAINER_OF(waiting, struct fiber, in_wait), OK);
    }
    stack_give(l, (char *)(uintptr_t)f->context.stack);
    context_done(&f->context);
    mem_free(f);
}

void fiber_run(struct fiber *f)
{
    struct loop *l = f->loop;

    must(f->state == FIBER_READY);
    f->state = FIBER_RUNNING;
    l->current = f;
    l->fibers_run++;
    context_switch(&l->scheduler, &f->context);
    l->current = NULL;
    if (f->state == FIBER_DONE) {
        bury(f);
    }
}

/* ---- groups ---- */

void group_init(struct group *g, const char *name, uint32_t limit)
{
    *g = (struct group){.name = name, .limit = limit};
    list_init(&g->fibers);
    list_init(&g->joining);
}

static bool is_full(const struct group *g)
{
    return g->limit != 0 && g->count >= g->limit;
}

struct err group_spawn_now(struct group *g, const char *name, void (*fn)(void *), void *arg)
{
    if (g->cancelled) {
        return err_of(ERR_CANCELLED);
    }
    return is_full(g) ? err_of(ERR_LIMIT) : spawn(g, name, fn, arg);
}

static struct err wait_in(struct list *waiting, const char *what, struct when by, bool firm)
{
    struct fiber *f = fiber_self();
    struct err e;

    list_push(waiting, &f->in_wait);
    e = wait(what, by, firm);
    list_remove(&f->in_wait);
    return e;
}

struct err group_spawn(struct group *g, const char *name, void (*fn)(void *), void *arg,
                       struct when by)
{
    while (is_full(g) && !g->cancelled) {
        struct err e = wait_in(&g->joining, "a place in the group", by, false);

        if (e.code != OK) {
            return e;
        }
    }
    return group_spawn_now(g, name, fn, arg);
}

static void cancel(struct fiber *f)
{
    f->cancelled = true;
    if (f->state == FIBER_WAITING && !f->firm) {
        fiber_wake_with(f, ERR_CANCELLED);
    }
}

void fiber_cancel(struct fiber *f)
{
    must(f->loop == loop_self());
    cancel(f);
}

bool fiber_waits(const struct fiber *f, struct when *since)
{
    *since = f->since;
    return f->state == FIBER_WAITING && !f->firm;
}

void group_cancel(struct group *g)
{
    g->cancelled = true;
    LIST_EACH (&g->fibers, k) {
        cancel(CONTAINER_OF(k, struct fiber, in_group));
    }
}

struct err group_join(struct group *g, struct when by)
{
    while (g->count > 0) {
        struct err e = wait_in(&g->joining, "its children", by, when_is_never(by));

        if (e.code != OK) {
            return e;
        }
    }
    return ERR_OK;
}

/* ---- signals ---- */

void signal_init(struct signal *s)
{
    list_init(&s->waiting);
}

void signal_raise_one(struct signal *s)
{
    struct link *k = list_pop(&s->waiting);

    if (k != NULL) {
        fiber_wake(CONTAINER_OF(k, struct fiber, in_wait));
    }
}

void signal_raise(struct signal *s)
{
    while (!list_is_empty(&s->waiting)) {
        signal_raise_one(s);
    }
}

struct err signal_wait(struct signal *s, const char *what, struct when by)
{
    return wait_in(&s->waiting, what, by, false);
}

/* ---- seeing ---- */

void fiber_census(fiber_census_fn *fn, void *ctx)
{
    LIST_EACH (&loop_self()->fibers, k) {
        struct fiber *f = CONTAINER_OF(k, struct fiber, all);
        struct fiber_note note = {f->group->name, f->name,  f->what,
                                  f->since,       f->until, f->cancelled};

        fn(ctx, &note);
    }
}

uint32_t fiber_count(void)
{
    return loop_self()->fiber_count;
}

/* ---- the big stack ---- */

struct big_call {
    void (*fn)(void *);
    void *arg;
    struct context here, there;
};

static void big_body(void *arg)
{
    struct big_call *call = arg;

    call->fn(call->arg);
    context_leave(&call->there, &call->here);
}

void on_big_stack(void (*fn)(void *), void *arg)
{
    struct loop *l = loop_self();
    struct big_call call = {.fn = fn, .arg = arg};

    if (l == NULL || l->current == NULL || l->on_big_stack) {
        fn(arg);
        return;
    }
    if (l->big_stack == NULL) {
        l->big_stack = stack_map(STACK_BIG_BYTES);
        must(l->big_stack != NULL);
    }
    l->on_big_stack = true;
    call.here = l->current->context;
    context_make(&call.there, l->big_stack, STACK_BIG_BYTES, big_body, &call);
    context_switch(&call.here, &call.there);
    context_done(&call.there);
    l->on_big_stack = false;
}

void fiber_trim(void)
{
    struct fiber *f = fiber_self();
    char here;

    if (f != NULL) {
        const char *top = f->context.stack + f->context.size;

        stack_trim((char *)(uintptr_t)f->context.stack, f->context.size, (size_t)(top - &here));
    }
}
