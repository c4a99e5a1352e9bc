#include "base/mem.h"
#include "queue/part.h"
#include "runtime/clock.h"

/*
 * The door. All of it but the last post runs on the caller's loop: the queue's own loop only hears
 * of what is already on stable storage.
 */

struct arrival {
    struct post post;
    struct queue *queue;
    struct parcel *parcel; /* one reference; the specs' texts live in it too */
    struct job_spec *specs;
    uint32_t count;
};

/* Where a recipient starts: its schedule, and its route as a hint. */
static void fill_state(const struct plan *plan, const struct message *m, struct recipient *to,
                       struct arena *a)
{
    struct subject s = {.message = m, .recipient = to, .facts.now = m->arrived};
    struct decision d;
    const struct schedule *schedule;
    const struct plan_route *route;

    to->state.version = 1;
    to->state.status = RCPT_WAITING;
    to->state.deadline = DATE_NEVER;
    schedule = decide_schedule(plan, &s, a, &d);
    schedule_accept(schedule, m->arrived, &to->state);
    to->state.lane = decide_lane(plan, &s, a);
    route = decide_route(plan, &s, a, &d);
    /* Without a route it waits at no site until preparing finds one, and `why` says so. */
    to->state.site = route ? plan_site(route, to->address, a) : STR_EMPTY;
}

static void arrived_here(struct post *p)
{
    struct arrival *v = CONTAINER_OF(p, struct arrival, post);
    struct queue *q = v->queue;

    q->counts.accepted++;
    for (uint32_t i = 0; i < v->count; i++) {
        struct job *j = job_new(q, v->parcel->message.id, &v->specs[i]);

        if (q->cached_bytes + v->parcel->message.size <= q->options.cache_bytes) {
            j->parcel = parcel_share(v->parcel);
            q->cached_bytes += v->parcel->message.size;
        }
        job_place(q, j);
        pump(q, q->vqueues[j->queue]);
    }
    parcel_drop(v->parcel);
    mem_free(v);
}

struct err queue_accept(struct queue *q, struct plan *plan, struct parcel *p,
                        struct store_body *body, const struct store_change *changes,
                        uint32_t change_count, struct when by)
{
    struct message *m = &p->message;
    struct store_commit c = {.messages = &p,
                             .bodies = &body,
                             .message_count = 1,
                             .changes = changes,
                             .change_count = change_count};
    struct arrival *v;
    struct err e;

    must(m->id != 0);
    must(m->to_count > 0);
    for (uint32_t i = 0; i < m->to_count; i++) {
        fill_state(plan, m, &m->to[i], &p->arena);
    }
    v = MEM_NEW(struct arrival);
    v->post.run = arrived_here;
    v->queue = q;
    v->count = job_group(m, NULL, 0, &p->arena, &v->specs);
    parcel_settle(p);
    e = store_commit(q->store, &c, by);
    if (e.code != OK) {
        mem_free(v);
        return e;
    }
    v->parcel = parcel_share(p);
    loop_post(q->home, &v->post);
    return ERR_OK;
}
