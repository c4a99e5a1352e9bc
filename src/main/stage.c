#include "main/stage.h"

static void open_here(struct post *p)
{
    struct stage *s = CONTAINER_OF(p, struct stage, open_post);

    s->opened = true;
    if (s->waits != NULL) {
        fiber_wake(s->waits);
    }
}

static void done_here(struct post *p)
{
    struct stage *s = CONTAINER_OF(p, struct stage, done_post);

    s->done = true;
    if (s->waits_done != NULL) {
        fiber_wake(s->waits_done);
    }
}

void stage_open(struct stage *s)
{
    if (s->told) { /* perhaps it has not come there yet, and a post is in one inbox once */
        return;
    }
    s->told = true;
    s->open_post.run = open_here;
    loop_post(s->loop, &s->open_post);
}

void stage_wait(struct stage *s, struct when by)
{
    s->waits = fiber_self();
    while (!s->opened) {
        fiber_wait_firm("its turn to start or end", by);
    }
    s->waits = NULL;
}

void stage_done(struct stage *s)
{
    s->done_post.run = done_here;
    loop_post(s->home, &s->done_post);
}

struct err stage_join(struct stage *s, const char *what, struct when by)
{
    struct err e = ERR_OK;

    s->waits_done = fiber_self();
    while (!s->done && e.code == OK) {
        if (when_is_never(by)) {
            fiber_wait_firm(what, by);
        } else {
            e = fiber_wait(what, by);
        }
    }
    s->waits_done = NULL;
    return s->done ? ERR_OK : e;
}
