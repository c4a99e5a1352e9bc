#include "base/mem.h"
#include "queue/events.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "strategy/ask.h"

/*
 * The door. All of it but the last post runs on the caller's loop: the queue's own loop only hears
 * of what is already on stable storage.
 */

struct arrival {
    struct post post;
    struct queue *queue;
    struct parcel *parcel; /* one reference; the specs' texts live in it too */
    struct job_spec *specs;
    struct plan *quota_plan; /* under which its quotas were asked; NULL: it had none */
    uint32_t count;
};

enum { FALLBACK_TOLD_MS = 60 * 1000 };

void queue_use_asker(struct queue *q, const struct asker *asker)
{
    q->asker = asker;
}

const struct asker *queue_asker(const struct queue *q)
{
    return q->asker;
}

bool is_news(struct queue *q, struct str what, int64_t ms)
{
    uint64_t name = str_hash(what, 0);
    struct fallback_note *n = &q->fallbacks[name % FALLBACK_NOTES];
    struct when now = clock_now();

    if (n->name == name && n->until_ns > now.ns) {
        return false;
    }
    n->name = name;
    n->until_ns = now.ns + ms * NS_PER_MS;
    return true;
}

void queue_schedule_fallback(struct queue *q, uint64_t message, struct str recipient,
                             const struct decision *d)
{
    struct arena a ARENA_LOCAL = {0};
    struct str place = decision_place(d, &a);

    if (is_news(q, d->wanted.len > 0 ? d->wanted : place, FALLBACK_TOLD_MS)) {
        event_raise(&ev_schedule_fallback, f_message(message), f_rcpt(recipient), f_name(d->wanted),
                    f_text(d->why), f_rule(place));
    }
}

/* Where a recipient starts: its schedule, and its route as a hint. The answers of look-ups are
 * forgotten with the decision; false: the fiber was cancelled while it waited for one. */
static bool fill_state(struct queue *q, const struct plan *plan, const struct message *m,
                       struct recipient *to, struct arena *a, struct when by)
{
    struct subject s = {.message = m, .recipient = to, .facts.now = m->arrived};
    struct arena scratch ARENA_LOCAL = {0};
    struct asking asking = {.asker = q->asker, .arena = &scratch};
    struct decision d;
    const struct schedule *schedule;
    const struct plan_route *route;

    to->state.version = 1;
    to->state.status = RCPT_WAITING;
    to->state.deadline = m->by == BY_RETURN ? m->by_date : DATE_NEVER;
    /* A time that was over on arrival was told of by the host that saw it pass. */
    to->state.by_notice.ms = m->by == BY_NOTIFY && m->by_date.ms > m->arrived.ms ? m->by_date.ms
                                                                                 : 0;
    schedule = ask_schedule(plan, &s, &asking, a, &d, by);
    if (schedule == NULL) {
        return false;
    }
    if (d.is_fallback) {
        queue_schedule_fallback(q, m->id, to->address, &d);
    }
    schedule_accept(schedule, m->arrived, &to->state);
    to->state.lane = decide_lane(plan, &s, a);
    route = ask_route(plan, &s, &asking, a, &d, by);
    /* Without a route it waits at no site until preparing finds one, and `why` says so. */
    to->state.site = route ? plan_site(route, to->address, a) : STR_EMPTY;
    return !asking.is_cancelled;
}

static struct str keep(struct str s, struct str before, struct arena *a)
{
    return str_eq(s, before) ? before : arena_dup(a, s);
}

/* What was decided names things in the plan; the parcel lives longer than that may. */
static void keep_texts(struct message *m, uint32_t i, struct arena *a)
{
    struct rcpt_state none = {.queue = STR_EMPTY}, *s = &m->to[i].state;
    const struct rcpt_state *before = i > 0 ? &m->to[i - 1].state : &none;

    s->queue = keep(s->queue, before->queue, a);
    s->lane = keep(s->lane, before->lane, a);
    s->site = keep(s->site, before->site, a);
}

static void arrived_here(struct post *p)
{
    struct arrival *v = CONTAINER_OF(p, struct arrival, post);
    struct queue *q = v->queue;

    q->counts.accepted++;
    if (q->quotas != NULL && v->quota_plan != q->plan) {
        quotas_count(q, &v->parcel->message);
    }
    for (uint32_t i = 0; i < v->count; i++) {
        struct job *j = job_new(q, v->parcel->message.id, &v->specs[i]);

        if (q->cached_bytes + v->parcel->counted <= q->options.cache_bytes) {
            j->parcel = parcel_share(v->parcel);
            q->cached_bytes += v->parcel->counted;
        }
        job_place(q, j);
        pump(q, q->vqueues[j->queue]);
    }
    plan_give(v->quota_plan);
    parcel_drop(v->parcel);
    mem_free(v);
}

/* Its quotas are asked, and give back what the store does not take. */
static struct err commit(struct queue *q, struct plan *plan, struct store_commit *c,
                         struct plan **quota_plan, struct when by)
{
    const struct message *m = &c->messages[0]->message;
    struct err e = ERR_OK;

    if (plan->quota_count > 0) {
        e = quotas_reserve(q, plan, m, quota_plan, by);
    }
    if (e.code != OK) {
        if (c->bodies[0] != NULL) {
            store_body_abandon(c->bodies[0]);
        }
        return e;
    }
    e = store_commit(q->store, c, by);
    if (e.code != OK && *quota_plan != NULL) {
        quotas_cancel(q, m->id);
        plan_give(*quota_plan);
    }
    return e;
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
    struct when asked_by = when_within(by, ACCEPT_LOOKUPS_MS);
    struct arrival *v;
    struct err e;

    must(m->id != 0);
    must(m->to_count > 0);
    for (uint32_t i = 0; i < m->to_count; i++) {
        if (!fill_state(q, plan, m, &m->to[i], &p->arena, asked_by)) {
            if (body != NULL) {
                store_body_abandon(body);
            }
            return err_of(ERR_CANCELLED);
        }
        keep_texts(m, i, &p->arena);
    }
    v = MEM_NEW(struct arrival);
    v->post.run = arrived_here;
    v->queue = q;
    v->count = job_group(m, NULL, 0, &p->arena, &v->specs);
    parcel_settle(p);
    e = commit(q, plan, &c, &v->quota_plan, by);
    if (e.code != OK) {
        mem_free(v);
        return e;
    }
    v->parcel = parcel_share(p);
    loop_post(q->home, &v->post);
    return ERR_OK;
}
