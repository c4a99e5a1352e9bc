#include "lookup/flight.h"

#include "base/mem.h"
#include "runtime/clock.h"

struct flight {
    struct link link; /* in store->waiting */
    struct store *store;
    struct arena arena;
    struct str key;
    struct lookup_question asked;
    struct when begun, until;
    struct list askers;
    bool is_probe, is_shared;
    struct lookup_answer answer;
};

/* ---- answers ---- */

static void question_answer(struct question *q, struct err e, const struct lookup_answer *answer)
{
    q->result = e;
    answer_copy(&q->arena, &q->answer, answer);
    if (e.code != OK) {
        q->lookups->counts.failed++;
    }
    question_back(q);
}

static void question_refuse(struct question *q, struct err e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void question_refuse(struct question *q, struct err e, const char *format, ...)
{
    struct buf text BUF_LOCAL = {0};
    struct lookup_answer answer = {0};
    va_list args;

    buf_printf(&text, "lookup.%.*s: ", STR_ARG(q->asked.store));
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    answer.why = buf_str(&text);
    question_answer(q, e, &answer);
}

static void flight_end(struct flight *f, struct err e)
{
    struct link *k;

    if (f->is_shared) {
        must(map_take(&f->store->flights, f->key) == f);
    }
    if (f->is_probe) {
        f->store->is_probing = false;
    }
    while ((k = list_pop(&f->askers)) != NULL) {
        question_answer(CONTAINER_OF(k, struct question, link), e, &f->answer);
    }
    arena_done(&f->arena);
    mem_free(f);
}

static void flight_fail(struct flight *f, struct err e, struct str why)
{
    f->answer = (struct lookup_answer){0};
    f->answer.why = arena_printf(&f->arena, "lookup.%.*s: %.*s", STR_ARG(f->store->name),
                                 STR_ARG(why));
    flight_end(f, e);
}

void flights_fail(struct store *s, struct err e, struct str why)
{
    struct link *k;

    while ((k = list_pop(&s->waiting)) != NULL) {
        s->waiting_count--;
        flight_fail(CONTAINER_OF(k, struct flight, link), e, why);
    }
}

/* ---- the breaker ---- */

/* It had most of its time-out with the store, which answered nobody meanwhile. */
static bool has_waited(const struct store *s, const struct flight *f, struct when now)
{
    return s->last_good.ns <= f->begun.ns &&
           now.ns - f->begun.ns >= s->settings->timeout_ms * NS_PER_MS * 3 / 4;
}

static void store_failed(struct store *s, const struct flight *f, struct err e, struct str why)
{
    struct when now = clock_now();
    bool is_news = !s->is_away;

    if ((e.code == ERR_TIMEOUT && !has_waited(s, f, now)) ||
        (s->is_away && !f->is_probe && now.ns < s->away_until.ns)) {
        return;
    }
    s->pause_ms = is_news ? BREAK_FIRST_MS
                          : (s->pause_ms * 2 < BREAK_MAX_MS ? s->pause_ms * 2 : BREAK_MAX_MS);
    s->is_away = true;
    s->away_until = when_add(now, s->pause_ms * NS_PER_MS);
    buf_clear(&s->why);
    buf_put(&s->why, why);
    if (is_news) {
        store_tell(s, LOOKUP_AWAY, why);
    }
    flights_fail(s, err_of(ERR_BUSY), why);
}

static void store_served(struct store *s)
{
    s->last_good = clock_now();
    if (s->is_away) {
        s->is_away = false;
        store_tell(s, LOOKUP_BACK, STR_EMPTY);
    }
}

/* True: it is not to be asked now. */
static bool store_refuses(const struct store *s)
{
    return s->is_away && (s->is_probing || clock_now().ns < s->away_until.ns);
}

/* ---- a worker: one fiber with one connection ---- */

static struct err connection_take(struct store *s, void **connection, bool *is_used,
                                  struct buf *why, struct when by)
{
    *is_used = true;
    while (*connection == NULL && !list_is_empty(&s->idle)) {
        struct idle *i = CONTAINER_OF(list_pop(&s->idle), struct idle, link);

        *connection = i->connection;
        if (clock_now().ns - i->since.ns > IDLE_MS * NS_PER_MS) {
            s->backend->close(*connection);
            *connection = NULL;
        }
        mem_free(i);
    }
    if (*connection != NULL) {
        return ERR_OK;
    }
    *is_used = false;
    return s->backend->open(s, connection, why, by);
}

static void connection_keep(struct store *s, void *connection)
{
    struct idle *i;

    if (connection == NULL) {
        return;
    }
    if (s->is_old) {
        s->backend->close(connection);
        return;
    }
    i = MEM_NEW(struct idle);
    i->connection = connection;
    i->since = clock_now();
    list_push_front(&s->idle, &i->link);
}

/* One question to the store, over a connection that may turn out to be dead. */
static struct err fly_once(struct store *s, void **connection, struct flight *f, bool *is_used)
{
    struct buf why BUF_LOCAL = {0};
    struct err e = connection_take(s, connection, is_used, &why, f->until);

    if (e.code != OK) {
        char text[128];

        *connection = NULL;
        return answer_failed(&f->arena, &f->answer, e, "%.*s",
                             STR_ARG(why.len > 0 ? buf_str(&why) : err_say(e, text, sizeof text)));
    }
    e = s->backend->ask(s, *connection, &f->asked, &f->arena, &f->answer, f->until);
    if (e.code != OK && f->answer.why.len == 0) {
        e = answer_failed(&f->arena, &f->answer, e, "%s", err_text(e.code));
    }
    if (e.code != OK && e.code != ERR_SYNTAX) {
        s->backend->close(*connection);
        *connection = NULL;
    }
    return e;
}

static void keep_answer(struct store *s, const struct flight *f)
{
    int64_t ttl_ms = f->answer.rows == 0 ||
                             (f->asked.verb == LOOKUP_EXISTS && f->answer.cells[0].num == 0)
                         ? s->settings->negative_ttl_ms
                         : s->settings->ttl_ms;

    if (f->asked.verb == LOOKUP_SET) {
        struct lookup_question of = {.verb = LOOKUP_GET, .key = f->asked.key, .value = STR_EMPTY};
        struct arena a ARENA_LOCAL = {0};

        cache_forget(&s->cache, question_key(&a, &of));
        of.verb = LOOKUP_EXISTS;
        cache_forget(&s->cache, question_key(&a, &of));
    } else if (question_is_kept(&f->asked) && ttl_ms > 0) {
        cache_put(&s->cache, f->key, &f->answer, when_after(ttl_ms));
    }
}

static void fly(struct store *s, void **connection, struct flight *f)
{
    bool is_used;
    struct err e;

    if (f->until.ns <= clock_now().ns) {
        flight_fail(f, err_of(ERR_TIMEOUT), STR("no connection was free in time"));
        return;
    }
    f->begun = clock_now();
    e = fly_once(s, connection, f, &is_used);
    if (e.code != OK && e.code != ERR_SYNTAX && e.code != ERR_TIMEOUT && e.code != ERR_CANCELLED &&
        is_used && (question_only_reads(&f->asked) || e.code == ERR_STALE)) {
        e = fly_once(s, connection, f, &is_used); /* it had been idle for too long */
    }
    if (e.code == OK || e.code == ERR_SYNTAX) {
        store_served(s);
    } else if (e.code != ERR_CANCELLED) {
        store_failed(s, f, e, f->answer.why);
    }
    if (e.code == OK) {
        keep_answer(s, f);
        flight_end(f, e);
    } else {
        flight_fail(f, e, f->answer.why);
    }
}

static void worker(void *arg)
{
    struct store *s = arg;
    void *connection = NULL;
    struct link *k;

    while (!fiber_is_cancelled() && (k = list_pop(&s->waiting)) != NULL) {
        s->waiting_count--;
        fly(s, &connection, CONTAINER_OF(k, struct flight, link));
    }
    connection_keep(s, connection);
    s->worker_count--;
    s->fiber_count--;
    store_drop_if_over(s);
}

/* ---- a question arrives ---- */

static void flight_start(struct store *s, struct question *q, struct str key)
{
    uint32_t pool = s->settings->type == STORE_SQLITE ? 1 : s->settings->pool;
    struct flight *f;

    if (s->waiting_count >= LOOKUP_WAITING_MAX) {
        question_refuse(q, err_of(ERR_LIMIT), "too many questions wait for it");
        return;
    }
    f = MEM_NEW(struct flight);
    f->store = s;
    list_init(&f->askers);
    list_push(&f->askers, &q->link);
    f->key = arena_dup(&f->arena, key);
    question_copy(&f->arena, &f->asked, &q->asked);
    f->until = when_after(s->settings->timeout_ms);
    f->is_probe = s->is_away;
    s->is_probing = s->is_probing || f->is_probe;
    f->is_shared = question_only_reads(&f->asked);
    if (f->is_shared) {
        map_put(&s->flights, f->key, f);
    }
    list_push(&s->waiting, &f->link);
    s->waiting_count++;
    if (s->worker_count < pool &&
        group_spawn_now(&s->lookups->group, "look-up", worker, s).code == OK) {
        s->worker_count++;
        s->fiber_count++;
    }
    if (s->worker_count == 0) {
        flights_fail(s, err_of(ERR_LIMIT), STR("no fiber to be had"));
    }
}

static void ask_file(struct store *s, struct question *q)
{
    struct lookup_answer answer = {.why = STR_EMPTY};
    struct arena a ARENA_LOCAL = {0};
    struct str text = STR_EMPTY;
    bool is_there;

    if (s->table == NULL) {
        question_refuse(
            q, err_of(ERR_DISK), "%.*s",
            STR_ARG(s->why.len > 0 ? buf_str(&s->why) : STR("the file was not read yet")));
        return;
    }
    is_there = table_get(s->table, q->asked.key, &text);
    if (q->asked.verb == LOOKUP_EXISTS) {
        answer_one(&a, &answer, cell_int(is_there));
    } else if (is_there) {
        answer_one(&a, &answer, cell_text(text));
    }
    question_answer(q, ERR_OK, &answer);
}

void question_take(struct question *q)
{
    struct lookups *l = q->lookups;
    struct store *s = map_get(&l->names, q->asked.store);
    const struct lookup_answer *kept;
    struct flight *f;
    struct str key;

    l->counts.asked++;
    if (s == NULL) {
        question_refuse(q, err_of(ERR_NOT_FOUND), "there is no such store");
        return;
    }
    if ((lookup_verbs(s->settings) & LOOKUP_VERB_BIT(q->asked.verb)) == 0) {
        question_refuse(q, err_of(ERR_SYNTAX), "a store of type %s cannot be asked %s",
                        store_type_name(s->settings->type), lookup_verb_name(q->asked.verb));
        return;
    }
    if (s->backend == NULL) {
        ask_file(s, q);
        return;
    }
    key = question_key(&q->arena, &q->asked);
    kept = question_is_kept(&q->asked) ? cache_get(&s->cache, key, clock_now()) : NULL;
    f = question_only_reads(&q->asked) ? map_get(&s->flights, key) : NULL;
    if (kept != NULL) {
        l->counts.cached++;
        question_answer(q, ERR_OK, kept);
    } else if (f != NULL) {
        l->counts.joined++;
        list_push(&f->askers, &q->link);
    } else if (store_refuses(s)) {
        l->counts.refused++;
        question_refuse(q, err_of(ERR_BUSY), "left alone for a while: %.*s",
                        STR_ARG(buf_str(&s->why)));
    } else {
        flight_start(s, q, key);
    }
}
