#include "base/check.h"
#include "runtime/loop.h"
#include "store/log.h"

/* Calls from any loop: they travel to the store's loop, are worked off by a fiber there, and their
 * result travels back, while the caller waits firmly with the request in its frame. */

static void returns(struct post *p)
{
    struct request *r = CONTAINER_OF(p, struct request, out);

    r->is_answered = true;
    fiber_wake(r->waiter);
}

static void answer(struct request *r, struct err e)
{
    r->result = e;
    r->out.run = returns;
    loop_post(r->reply, &r->out);
}

static void work_off(void *store)
{
    struct store *s = store;

    while (!list_is_empty(&s->reads)) {
        struct request *r = CONTAINER_OF(list_pop(&s->reads), struct request, waiting);

        answer(r, r->work(s, r->arg, WHEN_NEVER));
    }
}

static void arrives(struct post *p)
{
    struct request *r = CONTAINER_OF(p, struct request, in);
    struct store *s = r->store;
    struct err e;

    if (r->work == NULL || s->opened.code) {
        answer(r, s->opened);
        return;
    }
    list_push(&s->reads, &r->waiting);
    e = group_spawn_now(&s->readers, "reader", work_off, s);
    if (e.code && s->readers.count == 0) {
        requests_fail(s, e); /* else a running reader takes it */
    }
}

struct err request_wait(struct store *s, const char *what,
                        struct err (*work)(struct store *s, void *arg, struct when by), void *arg,
                        struct when by)
{
    struct request r = {
        .store = s, .reply = loop_self(), .waiter = fiber_self(), .work = work, .arg = arg};

    r.in.run = arrives;
    if (!store_send(s, &r.in)) {
        return err_of(ERR_BUSY);
    }
    while (!r.is_answered) {
        fiber_wait_firm(what, by);
    }
    return r.result;
}

void requests_fail(struct store *s, struct err e)
{
    while (!list_is_empty(&s->reads)) {
        answer(CONTAINER_OF(list_pop(&s->reads), struct request, waiting), e);
    }
}

struct err store_ready(struct store *s, struct when by)
{
    return request_wait(s, "store to be open", NULL, NULL, by);
}
