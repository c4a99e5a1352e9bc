#include "base/mem.h"
#include "queue/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"

/*
 * Pauses as the queue uses them. A virtual queue that is paused is not pumped; a site that is
 * paused has its berths parked; a job that a narrow pause covers waits in queue->paused until the
 * pauses change. What is ready was prepared under the pauses of then and is prepared again when its
 * turn comes under others, as with a changed configuration.
 *
 * Changes come one after the other (`changing`): stored first, then used.
 */

enum { WAKE_STEP = 64, BUSY_MS = 20 };

/* ---- in use ---- */

void pause_mark_site(struct queue *q, struct site *site)
{
    site->paused = pauses_site(q->pauses, str_of(site->name), clock_date()) != NULL;
}

void pause_mark_queue(struct queue *q, struct vqueue *v)
{
    v->paused = pauses_queue(q->pauses, str_of(v->name), clock_date()) != NULL;
}

struct pauses *pauses_to_ask(const struct queue *q)
{
    return q->pauses != NULL && q->pauses->has_narrow ? q->pauses : NULL;
}

void pause_wait(struct queue *q, struct job *j)
{
    if (j->state == JOB_WAITING && !link_is_in(&j->link)) {
        list_push(&q->paused, &j->link);
    }
}

void pause_leave(struct job *j)
{
    if (j->state == JOB_WAITING && j->reason == WAIT_PAUSED) {
        list_remove(&j->link);
        j->reason = WAIT_NOT_DUE;
    }
}

static void wake_some(struct post *p)
{
    struct queue *q = CONTAINER_OF(p, struct queue, wake_post);
    struct link *k;
    int left = WAKE_STEP;

    while (left-- > 0 && (k = list_pop(&q->waking)) != NULL) {
        struct job *j = CONTAINER_OF(k, struct job, link);

        j->reason = WAIT_NOT_DUE;
        j->act = date_earlier(j->act, clock_date());
        j->flags |= JOB_ELSEWHERE;
        job_set_text(q, j, STR_EMPTY);
        job_place(q, j);
    }
    pump_all(q);
    if (list_is_empty(&q->waking)) {
        q->is_waking = false;
        busy_end(q);
    } else {
        loop_post(q->home, p);
    }
}

/* All that waits for a narrow pause is asked again, some at a time. */
static void wake(struct queue *q)
{
    struct link *k;

    while ((k = list_pop(&q->paused)) != NULL) {
        list_push(&q->waking, k);
    }
    if (!q->is_waking && !list_is_empty(&q->waking)) {
        q->is_waking = true;
        busy_begin(q);
        q->wake_post.run = wake_some;
        loop_post(q->home, &q->wake_post);
    }
}

static void mark_sites(struct queue *q)
{
    struct site *site;

    for (size_t at = 0; (site = places_any(&q->sites.by_name, &at)) != NULL; at++) {
        bool was = site->paused;

        pause_mark_site(q, site);
        if (site->paused && !was) {
            site_park(q, site);
        } else if (was && site_admits(site)) {
            site_unpark_only(site);
        }
    }
}

static bool has_sites(const struct pauses *p)
{
    for (uint32_t i = 0; p != NULL && i < p->count; i++) {
        if (p->items[i].which.site.len > 0) {
            return true;
        }
    }
    return false;
}

static void use(struct queue *q, struct pauses *p)
{
    bool sites = has_sites(q->pauses) || has_sites(p);

    pauses_give(q->pauses);
    if (p != NULL && p->count == 0) {
        pauses_give(p);
        p = NULL;
    }
    q->pauses = p;
    for (uint16_t i = 0; i < q->vqueue_count; i++) {
        if (q->vqueues[i]->name != NULL) {
            pause_mark_queue(q, q->vqueues[i]);
        }
    }
    if (sites) {
        mark_sites(q);
    }
    wake(q);
    pump_all(q);
    signal_raise(&q->changed);
}

struct err pauses_load(struct queue *q)
{
    struct arena a ARENA_LOCAL = {0};
    struct str bytes = STR_EMPTY;
    struct pauses *p;
    struct err e = store_value_read(q->store, PAUSES_VALUE, &a, &bytes, WHEN_NEVER);

    if (e.code == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    if (e.code == OK) {
        e = pauses_decode(bytes, &p);
    }
    if (e.code == OK) {
        use(q, p);
    }
    return e;
}

/* ---- changes ---- */

struct change {
    bool is_mine; /* no other change is under way */
    struct pauses *old, *new;
};

static void begin_here(struct queue *q, void *ctx)
{
    struct change *c = ctx;

    c->is_mine = !q->changing && q->serving && !q->stopping;
    if (c->is_mine) {
        q->changing = true;
        busy_begin(q);
        c->old = pauses_take(q->pauses);
    }
}

static void end_here(struct queue *q, void *ctx)
{
    struct change *c = ctx;

    if (c->new != NULL) {
        use(q, c->new);
    }
    q->changing = false;
    busy_end(q);
}

static struct err begin(struct queue *q, struct change *c, struct when by)
{
    struct err e = ERR_OK;

    while (!c->is_mine && e.code == OK) {
        (void)queue_call(q, begin_here, c, by);
        if (!c->is_mine) {
            e = fiber_sleep(when_after(BUSY_MS), by);
        }
    }
    return e;
}

static struct err end(struct queue *q, struct change *c, struct err e, struct when by)
{
    (void)queue_call(q, end_here, c, by);
    pauses_give(c->old);
    return e;
}

static struct err store(struct queue *q, struct change *c, struct str without,
                        const struct pause *add, struct when by)
{
    struct buf bytes BUF_LOCAL = {0};
    struct pauses *new;
    struct err e;

    pauses_encode(c->old, without, add, clock_date(), &bytes);
    e = pauses_decode(buf_str(&bytes), &new);
    if (e.code != OK) {
        return e;
    }

    struct store_value v = {PAUSES_VALUE, buf_str(&bytes), new->count == 0};
    struct store_commit commit = {.values = &v, .value_count = 1};

    e = store_commit(q->store, &commit, by);
    if (e.code == OK) {
        c->new = new;
    } else {
        pauses_give(new);
    }
    return e;
}

struct err queue_pause(struct queue *q, const struct pause *p, struct when by)
{
    struct change c = {0};
    struct err e = begin(q, &c, by);

    if (e.code != OK) {
        return e;
    }
    if (pauses_find(c.old, p->name) != NULL) {
        return end(q, &c, err_of(ERR_EXISTS), by);
    }
    if (c.old != NULL && c.old->count == PAUSES_MAX) {
        return end(q, &c, err_of(ERR_LIMIT), by);
    }
    return end(q, &c, store(q, &c, STR_EMPTY, p, by), by);
}

struct err queue_resume(struct queue *q, struct str name, struct when by)
{
    struct change c = {0};
    struct err e = begin(q, &c, by);

    if (e.code != OK) {
        return e;
    }
    if (pauses_find(c.old, name) == NULL) {
        return end(q, &c, err_of(ERR_NOT_FOUND), by);
    }
    return end(q, &c, store(q, &c, name, NULL, by), by);
}

static void pauses_here(struct queue *q, void *ctx)
{
    *(struct pauses **)ctx = pauses_take(q->pauses);
}

struct pauses *queue_pauses(struct queue *q, struct when by)
{
    struct pauses *p = NULL;

    (void)queue_call(q, pauses_here, &p, by);
    return p;
}

/* ---- the end of a pause ---- */

static void over_fiber(void *arg)
{
    struct queue *q = arg;
    struct change c = {.old = pauses_take(q->pauses)};
    struct date now = clock_date();
    struct err e;

    for (uint32_t i = 0; i < c.old->count; i++) {
        if (c.old->items[i].until.ms <= now.ms) {
            event_raise(&ev_pause_over, f_name(c.old->items[i].name));
        }
    }
    e = store(q, &c, STR_EMPTY, NULL, WHEN_NEVER);
    if (e.code != OK) { /* it is over all the same; what is stored ends by itself at a restart */
        struct buf bytes BUF_LOCAL = {0};

        pauses_encode(c.old, STR_EMPTY, NULL, now, &bytes);
        must(pauses_decode(buf_str(&bytes), &c.new).code == OK);
    }
    end_here(q, &c);
    pauses_give(c.old);
}

void pauses_due(struct queue *q)
{
    if (q->pauses == NULL || q->changing || q->stopping ||
        pauses_end(q->pauses).ms > clock_date().ms) {
        return;
    }
    q->changing = true;
    busy_begin(q);
    if (group_spawn_now(&q->repairs, "the end of a pause", over_fiber, q).code != OK) {
        q->changing = false;
        busy_end(q);
    }
}
