#include "runtime/context.h"

#include "base/mem.h"

#include <ucontext.h>

struct body {
    ucontext_t saved;
};

/* Who is being switched to: makecontext can only pass ints. */
static _Thread_local struct context *arriving;

static void start(void)
{
    context_entry(arriving);
}

void *context_body_make(char *stack, size_t size)
{
    struct body *b = MEM_NEW(struct body);

    must(getcontext(&b->saved) == 0);
    b->saved.uc_stack.ss_sp = stack;
    b->saved.uc_stack.ss_size = size;
    makecontext(&b->saved, start, 0);
    return b;
}

void context_body_switch(struct context *from, struct context *to)
{
    struct body *back = from->body ? from->body : MEM_NEW(struct body);
    struct body *next = to->body;

    from->body = back;
    arriving = to;
    must(swapcontext(&back->saved, &next->saved) == 0);
}

void context_body_done(struct context *c)
{
    mem_free(c->body);
    c->body = NULL;
}
