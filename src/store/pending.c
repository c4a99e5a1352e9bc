#include "base/check.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "store/log.h"

/* What waits for the committer: commits in the order they were posted, bodies with a piece. */

static struct store_commit *commit_of(struct post *inner)
{
    return CONTAINER_OF(inner, struct store_commit, inner);
}

void commit_answer(struct store_commit *c, struct err e)
{
    c->result = e;
    loop_post(c->reply, &c->done);
}

void committer_wake(struct store *s)
{
    /* Not while it waits for the disk: it looks anew when it comes back. */
    if (s->committer_waits) {
        fiber_wake(s->committer);
    }
}

void pending_pop(struct store *s)
{
    struct store_commit *c = s->pending.first;

    s->pending.first = c->inner.next ? commit_of(c->inner.next) : NULL;
    if (s->pending.first == NULL) {
        s->pending.end = NULL;
    }
    s->pending.count--;
    s->urgent -= !c->lazy;
}

void pending_push_front(struct store *s, struct store_commit *c)
{
    c->inner.next = s->pending.first ? &s->pending.first->inner : NULL;
    if (s->pending.first == NULL) {
        s->pending.end = &c->inner.next;
    }
    s->pending.first = c;
    s->pending.count++;
    s->urgent += !c->lazy;
}

void pending_fail(struct store *s, struct err e)
{
    while (s->pending.first != NULL) {
        struct store_commit *c = s->pending.first;

        pending_pop(s);
        commit_free_bodies(s, c);
        commit_answer(c, e);
    }
    while (!list_is_empty(&s->bodies)) {
        body_answer(CONTAINER_OF(list_pop(&s->bodies), struct store_body, waiting), e);
    }
}

void commit_arrives(struct post *inner)
{
    struct store_commit *c = commit_of(inner);
    struct store *s = c->store;

    inner->next = NULL;
    if (s->pending.first == NULL) {
        s->pending.first = c;
        s->lazy_until = when_after(LAZY_MS);
    } else {
        *s->pending.end = inner;
    }
    s->pending.end = &inner->next;
    s->pending.count++;
    s->urgent += !c->lazy;
    if (s->urgent > 0 || s->pending.count == 1 || s->pending.count >= LAZY_COUNT) {
        committer_wake(s);
    }
}

bool pending_wait(struct store *s)
{
    for (;;) {
        struct when until = WHEN_NEVER;

        if (s->urgent > 0 || s->pending.count >= LAZY_COUNT || !list_is_empty(&s->bodies)) {
            return true;
        }
        if (s->pending.count > 0) {
            if (s->is_closing || s->lazy_until.ns <= clock_now().ns) {
                return true;
            }
            until = s->lazy_until;
        } else if (s->is_closing) {
            return false;
        }
        s->committer_waits = true;
        fiber_wait("commits", until);
        s->committer_waits = false;
    }
}
