/*
 * A ticket goes to the home loop and back. Its asker waits firmly for the first answer; when that
 * is to wait, and its time is over, it sends the ticket again to be taken out of the line, and
 * waits firmly for that. Home writes the pass into the asker's arena: the asker does nothing else
 * meanwhile.
 */
#include "hooks/registry_part.h"
#include "runtime/clock.h"

enum ticket_at { TICKET_SENT, TICKET_WAITS, TICKET_DONE };

/* Each answer has a post of its own: an earlier one may still be on its way. */
enum { ANSWER_FIRST, ANSWER_LATER, ANSWER_WITHDRAWN, ANSWERS };
struct ticket_answer {
    struct post post;
    struct ticket *ticket;
    enum ticket_at at;
};

struct ticket {
    struct post post;
    struct ticket_answer answers[ANSWERS];
    struct link link;
    struct registry *r;
    struct loop *loop;
    struct fiber *asker;
    struct str lost;
    struct arena *a;
    struct registry_pass *ret;
    struct buf *why;
    struct err result;
    enum ticket_at answer; /* the asker's */
    bool is_withdrawn;     /* the asker's */
};

/* ---- at home ---- */

static void returns(struct post *post)
{
    struct ticket_answer *answer = CONTAINER_OF(post, struct ticket_answer, post);
    struct ticket *t = answer->ticket;

    if (answer == &t->answers[ANSWER_WITHDRAWN]) {
        t->is_withdrawn = true;
    } else {
        t->answer = answer->at;
    }
    fiber_wake(t->asker);
}

static void send_back(struct ticket *t, unsigned which, enum ticket_at at)
{
    struct ticket_answer *answer = &t->answers[which];

    *answer = (struct ticket_answer){.post.run = returns, .ticket = t, .at = at};
    loop_post(t->loop, &answer->post);
}

static struct str_set copy_set(const struct str_set *set, struct arena *a)
{
    struct str *items = arena_array(a, set->count, sizeof(*items));

    for (uint32_t i = 0; i < set->count; i++) {
        items[i] = arena_dup(a, set->items[i]);
    }
    return (struct str_set){items, set->count};
}

static void copy_pass(const struct registry_pass *from, struct arena *a, struct registry_pass *ret)
{
    *ret = *from;
    ret->grant.id = arena_dup(a, from->grant.id);
    ret->grant.hook = arena_dup(a, from->grant.hook);
    ret->grant.deregistration = STR_EMPTY; /* nothing that a call needs */
    ret->grant.status = STR_EMPTY;
    for (int n = 0; n < REGISTRY_DIRECTIONS; n++) {
        ret->grant.properties[n] = copy_set(&from->grant.properties[n], a);
        ret->updates[n] = copy_set(&from->updates[n], a);
    }
}

static bool is_usable(const struct registry *r)
{
    const struct registry_grant *g = &r->pass.grant;

    return r->has_pass && !r->is_lost && !r->is_done && !g->is_suspended &&
           (g->expires.ms == 0 || clock_date().ms < g->expires.ms);
}

/* The first of those who lost it says so to the fiber; the others find that it is known. */
static void note_loss(struct registry *r, struct str lost)
{
    if (lost.len > 0 && r->has_pass && !r->is_lost && !r->is_retired &&
        str_eq(lost, r->pass.grant.id)) {
        r->is_lost = true;
        r->is_wanted = true;
        r->is_starting = true;
        signal_raise(&r->changed);
    }
}

/* False: it is to wait. */
static bool decide(struct ticket *t)
{
    struct registry *r = t->r;

    note_loss(r, t->lost);
    if (is_usable(r) && !str_eq(t->lost, r->pass.grant.id)) {
        copy_pass(&r->pass, t->a, t->ret);
        t->result = ERR_OK;
        return true;
    }
    if (r->is_starting && !r->is_done) {
        return false;
    }
    t->result = err_of(ERR_BUSY);
    if (r->is_done || r->is_retired) {
        buf_put(t->why, STR("its registration was given up"));
    } else if (r->has_pass && r->pass.grant.is_suspended) {
        buf_put(t->why, STR("its registration is suspended"));
    } else {
        buf_put(t->why, STR("it is not registered: "));
        buf_put(t->why, r->why.len > 0 ? buf_str(&r->why) : STR("the registration ended"));
    }
    return true;
}

static void enters(struct post *post)
{
    struct ticket *t = CONTAINER_OF(post, struct ticket, post);

    if (decide(t)) {
        send_back(t, ANSWER_FIRST, TICKET_DONE);
    } else {
        list_push(&t->r->waiting, &t->link);
        send_back(t, ANSWER_FIRST, TICKET_WAITS);
    }
}

void registry_answer(struct registry *r)
{
    struct link *k = list_first(&r->waiting), *next;

    for (; k != NULL; k = next) {
        struct ticket *t = CONTAINER_OF(k, struct ticket, link);

        next = list_next(&r->waiting, k);
        if (decide(t)) {
            list_remove(k);
            send_back(t, ANSWER_LATER, TICKET_DONE);
        }
    }
}

static void withdraws(struct post *post)
{
    struct ticket *t = CONTAINER_OF(post, struct ticket, post);

    list_remove(&t->link);
    send_back(t, ANSWER_WITHDRAWN, TICKET_DONE);
}

/* ---- the asker's side ---- */

struct err registry_enter(struct registry *r, struct str lost, struct arena *a,
                          struct registry_pass *ret, struct buf *why, struct when by)
{
    struct ticket t = {.r = r,
                       .loop = loop_self(),
                       .asker = fiber_self(),
                       .lost = lost,
                       .a = a,
                       .ret = ret,
                       .why = why,
                       .post.run = enters};
    struct err e = ERR_OK;

    loop_post(r->all->home, &t.post);
    while (t.answer == TICKET_SENT) {
        fiber_wait_firm("whether a hook is registered", by);
    }
    while (t.answer == TICKET_WAITS && !e.code) {
        e = fiber_wait("registration of a hook", by);
    }
    if (!e.code) {
        return t.result;
    }
    t.post.run = withdraws;
    loop_post(r->all->home, &t.post);
    while (!t.is_withdrawn) {
        fiber_wait_firm("to be let out of the line", by);
    }
    buf_clear(why);
    buf_put(why, STR("its registration did not come in time"));
    return e;
}
