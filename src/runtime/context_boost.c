#include "runtime/context.h"

/* The library's two functions, with prototypes of our own: it ships C++ headers only. */
struct transfer {
    void *from;
    void *data;
};
extern struct transfer jump_fcontext(void *to, void *data);
extern void *make_fcontext(void *top, size_t size, void (*entry)(struct transfer));

/* What travels with a jump: who jumped, so that the other side can note where to come back to. */
struct jump {
    struct context *from, *to;
};

static void land(struct transfer t)
{
    struct jump *j = t.data;

    j->from->body = t.from;
}

static void start(struct transfer t)
{
    struct jump *j = t.data;
    struct context *self = j->to;

    land(t);
    context_entry(self);
}

void *context_body_make(char *stack, size_t size)
{
    return make_fcontext(stack + size, size, start);
}

void context_body_switch(struct context *from, struct context *to)
{
    struct jump j = {from, to};

    land(jump_fcontext(to->body, &j));
}

void context_body_done(struct context *c)
{
    c->body = NULL;
}
