/*
 * The asker's side, and the life of the stores. flight.c has what happens to a question at home.
 */
#include "lookup/lookup.h"

#include "base/mem.h"
#include "config/config.h"
#include "lookup/flight.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "runtime/sim.h"

/* ---- asking ---- */

/* On the asker's loop: the end of a question's way. */
static void answered(struct post *p)
{
    struct question *q = CONTAINER_OF(p, struct question, post);

    if (q->is_given_up) {
        question_free(q);
        return;
    }
    q->is_answered = true;
    fiber_wake(q->asker);
}

void question_free(struct question *q)
{
    arena_done(&q->arena);
    mem_free(q);
}

void question_back(struct question *q)
{
    if (atomic_exchange(&q->at, QUESTION_ANSWERED) == QUESTION_GIVEN_UP) {
        question_free(q);
        return;
    }
    q->post.run = answered;
    if (q->loop == q->lookups->home) {
        answered(&q->post);
    } else {
        loop_post(q->loop, &q->post);
    }
}

static void arrives(struct post *p)
{
    question_take(CONTAINER_OF(p, struct question, post));
}

struct err lookup_ask(struct lookups *l, const struct lookup_question *q, struct arena *a,
                      struct lookup_answer *ret, struct when by)
{
    struct question *new;
    struct err e = ERR_OK;

    if (by.ns <= clock_now().ns) {
        return answer_failed(a, ret, err_of(ERR_TIMEOUT), "lookup.%.*s: not asked, no time is left",
                             STR_ARG(q->store));
    }
    new = MEM_NEW(struct question);
    new->lookups = l;
    new->loop = loop_self();
    new->asker = fiber_self();
    question_copy(&new->arena, &new->asked, q);
    new->post.run = arrives;
    if (new->loop == l->home) {
        arrives(&new->post);
    } else {
        loop_post(l->home, &new->post);
    }
    while (!new->is_answered && e.code == OK) {
        e = fiber_wait("answer of a look-up", by);
    }
    if (!new->is_answered) { /* the answer still goes into the cache */
        new->is_given_up = true;
        (void)atomic_exchange(&new->at, QUESTION_GIVEN_UP); /* unless the post is on its way */
        return answer_failed(a, ret, e, "lookup.%.*s: %s", STR_ARG(q->store), err_text(e.code));
    }
    e = new->result;
    answer_copy(a, ret, &new->answer);
    question_free(new);
    return e;
}

/* ---- stores ---- */

void store_tell(struct store *s, enum lookup_news news, struct str text)
{
    const struct lookup_options *o = &s->lookups->options;

    if (o->told != NULL && !s->is_old) {
        o->told(o->ctx, s->name, news, text);
    }
}

static struct err sim_open(struct store *s, void **ret, struct buf *why, struct when by)
{
    (void)why, (void)by;
    *ret = s;
    return ERR_OK;
}

static struct err sim_ask(struct store *s, void *connection, const struct lookup_question *q,
                          struct arena *a, struct lookup_answer *ret, struct when by)
{
    const struct lookup_sim *sim = &s->lookups->options.sim;

    (void)connection;
    return sim->ask(sim->ctx, q, a, ret, by);
}

static void sim_close(void *connection)
{
    (void)connection;
}

static const struct backend sim_backend = {sim_open, sim_ask, sim_close};

static const struct backend *const backends[STORE_TYPES] = {
    [STORE_FILE] = NULL,
    [STORE_REDIS] = &redis_backend,
    [STORE_SQLITE] = &sqlite_backend,
    [STORE_POSTGRESQL] = &postgresql_backend,
};

static struct store *store_new(struct lookups *l, struct config *cfg, const struct config_object *o)
{
    struct store *s = MEM_NEW(struct store);

    s->lookups = l;
    s->config = config_take(cfg);
    s->name = o->name;
    s->settings = o->settings;
    s->backend = l->options.sim.ask != NULL ? &sim_backend : backends[s->settings->type];
    cache_init(&s->cache, s->settings->cache_entries, s->settings->cache_bytes);
    s->cache.map.seed = random_u64();
    s->flights.seed = random_u64();
    list_init(&s->waiting);
    list_init(&s->idle);
    return s;
}

void store_drop_if_over(struct store *s)
{
    if (!s->is_old || s->fiber_count > 0 || s->waiting_count > 0) {
        return;
    }
    for (struct link *k; (k = list_pop(&s->idle)) != NULL;) {
        struct idle *i = CONTAINER_OF(k, struct idle, link);

        s->backend->close(i->connection);
        mem_free(i);
    }
    list_remove(&s->link);
    cache_done(&s->cache);
    map_done(&s->flights);
    table_drop(s->table);
    buf_done(&s->why);
    config_give(s->config);
    mem_free(s);
}

/* Those that hold become old ones. */
static void retire(struct lookups *l)
{
    struct link *next;

    map_done(&l->names);
    l->names = (struct map){0};
    for (struct link *k = list_first(&l->stores); k != NULL; k = next) {
        struct store *s = CONTAINER_OF(k, struct store, link);

        next = list_next(&l->stores, k);
        s->is_old = true;
        store_drop_if_over(s);
    }
}

void lookup_use(struct lookups *l, struct config *cfg, struct when by)
{
    size_t count;
    const struct config_object *objects = config_objects(cfg, &lookup_table, &count);
    struct list new;
    struct link *k;

    must(loop_self() == l->home);
    list_init(&new);
    for (size_t i = 0; i < count; i++) {
        struct store *s = store_new(l, cfg, &objects[i]);

        list_push(&new, &s->link);
        if (s->backend == NULL) {
            keeper_read(s, by);
        }
    }
    retire(l);
    while ((k = list_pop(&new)) != NULL) {
        struct store *s = CONTAINER_OF(k, struct store, link);

        list_push(&l->stores, &s->link);
        map_put(&l->names, s->name, s);
        if (s->backend == NULL) {
            keeper_start(s);
        }
    }
}

struct lookups *lookup_open(struct config *cfg, const struct lookup_options *o, struct when by)
{
    struct lookups *l = MEM_NEW(struct lookups);
    const struct lookup_sim *sim = world_is_simulated() ? sim_service("lookup") : NULL;

    l->home = loop_self();
    l->options = *o;
    if (sim != NULL && o->sim.ask == NULL) {
        l->options.sim = *sim;
    }
    list_init(&l->stores);
    signal_init(&l->unblocked);
    group_init(&l->group, "look-ups", 0);
    lookup_use(l, cfg, by);
    return l;
}

void lookup_close(struct lookups *l, struct when by)
{
    (void)by; /* says that this suspends; children are always joined */
    group_cancel(&l->group);
    (void)group_join(&l->group, WHEN_NEVER);
    LIST_EACH (&l->stores, k) {
        flights_fail(CONTAINER_OF(k, struct store, link), err_of(ERR_CANCELLED),
                     STR("the server stops"));
    }
    retire(l);
    mem_free(l);
}

struct lookup_counts lookup_counts(const struct lookups *l)
{
    return (struct lookup_counts){.asked = l->counts.asked,
                                  .cached = l->counts.cached,
                                  .joined = l->counts.joined,
                                  .refused = l->counts.refused,
                                  .failed = l->counts.failed};
}

/* ---- what blocks ---- */

struct err blocking_begin(struct lookups *l, struct when by)
{
    while (l->blocking >= BLOCKING_MAX) {
        struct err e = signal_wait(&l->unblocked, "a thread for a look-up", by);

        if (e.code != OK) {
            return e;
        }
    }
    l->blocking++;
    return ERR_OK;
}

void blocking_end(struct lookups *l)
{
    l->blocking--;
    signal_raise_one(&l->unblocked);
}
