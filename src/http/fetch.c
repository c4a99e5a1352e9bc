/*
 * What holds for every call, real or simulated: its turn, its fields, where it goes, how large the
 * answer may be.
 */
#include "base/mem.h"
#include "http/fetch_part.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/sim.h"

#include <stdio.h>

/* ---- pools ---- */

static struct str keep(struct str s)
{
    return s.len > 0 ? str_make(mem_dup_z(s.ptr, s.len), s.len) : STR_EMPTY;
}

static void drop(struct str s)
{
    if (s.len > 0) {
        mem_free((void *)(uintptr_t)s.ptr);
    }
}

/* The library reads files when it first needs them, and by then it is too late to say so. */
static struct err check_file(const char *what, struct str path, const char *mark, struct buf *why)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf text BUF_LOCAL = {.max = 4 * 1024 * 1024};
    FILE *f = fopen(arena_z(&a, path), "rbe");
    size_t got = 0;

    if (f == NULL) {
        buf_printf(why, "%s %.*s: cannot be read: %m", what, STR_ARG(path));
        return err_of(ERR_CONFIG);
    }
    do {
        char *at = buf_room(&text, 16 * 1024);

        got = at != NULL ? fread(at, 1, 16 * 1024, f) : 0;
        text.len += got;
    } while (got > 0);
    (void)fclose(f);
    if (str_find_str(buf_str(&text), str_of(mark)) == STR_NONE) {
        buf_printf(why, "%s %.*s: holds no \"%s\"", what, STR_ARG(path), mark);
        return err_of(ERR_CONFIG);
    }
    if (str_find_str(buf_str(&text), STR("ENCRYPTED")) != STR_NONE) {
        buf_printf(why, "%s %.*s: is encrypted, and there is nobody to ask for the password", what,
                   STR_ARG(path));
        return err_of(ERR_CONFIG);
    }
    return ERR_OK;
}

static struct err check_options(const struct fetch_pool_options *o, struct buf *why)
{
    struct err e = ERR_OK;

    if ((o->certificate.len > 0) != (o->key.len > 0)) {
        buf_printf(why, "a client certificate needs its key, and a key its certificate");
        return err_of(ERR_CONFIG);
    }
    if (o->ca_file.len > 0) {
        e = check_file("CA file", o->ca_file, "-----BEGIN CERTIFICATE-----", why);
    }
    if (e.code == OK && o->certificate.len > 0) {
        e = check_file("client certificate", o->certificate, "-----BEGIN CERTIFICATE-----", why);
    }
    if (e.code == OK && o->key.len > 0) {
        e = check_file("client key", o->key, "PRIVATE KEY-----", why);
    }
    return e;
}

static struct err choose_body(struct fetch_pool *p, struct buf *why)
{
    const struct fetch_sim *scenario;
    struct err e;

    if (p->options.sim.fn != NULL) {
        return ERR_OK;
    }
    if (world_is_simulated()) {
        scenario = sim_service("fetch");
        if (scenario == NULL) {
            buf_printf(why, "HTTP: the scenario answers no calls");
            return err_of(ERR_CONFIG);
        }
        p->options.sim = *scenario;
        return ERR_OK;
    }
    e = check_options(&p->options, why);
    return e.code == OK ? fetch_client_open(&p->options, &p->client, why) : e;
}

struct err fetch_pool_new(const struct fetch_pool_options *options, struct fetch_pool **ret,
                          struct buf *why)
{
    struct fetch_pool *p = MEM_NEW(struct fetch_pool);
    struct err e;

    must(options->connections_max > 0);
    p->options = *options;
    p->options.ca_file = keep(options->ca_file);
    p->options.certificate = keep(options->certificate);
    p->options.key = keep(options->key);
    p->options.socket = keep(options->socket);
    p->known_host = STR_EMPTY;
    list_init(&p->waiting);
    e = choose_body(p, why);
    if (e.code != OK) {
        fetch_pool_free(p, WHEN_NEVER);
        return e;
    }
    *ret = p;
    return ERR_OK;
}

void fetch_pool_free(struct fetch_pool *p, struct when by)
{
    must(p->counts.calls == 0);
    must(p->counts.waiting == 0);
    if (p->client != NULL) {
        fetch_client_close(p->client, by);
    }
    drop(p->options.ca_file);
    drop(p->options.certificate);
    drop(p->options.key);
    drop(p->options.socket);
    drop(p->known_host);
    mem_free(p);
}

struct fetch_counts fetch_pool_counts(const struct fetch_pool *p)
{
    return p->counts;
}

/* ---- turns ---- */

struct turn {
    struct link in_waiting;
    struct fiber *fiber;
    bool is_given;
};

/* A place is handed over, not freed, while somebody waits for one: nobody overtakes. */
static void give_place(struct fetch_pool *p)
{
    struct turn *next;

    if (list_is_empty(&p->waiting)) {
        p->counts.calls--;
        return;
    }
    next = CONTAINER_OF(p->waiting.ring.next, struct turn, in_waiting);
    list_remove(&next->in_waiting);
    next->is_given = true;
    fiber_wake(next->fiber);
}

static struct err take_place(struct fetch_pool *p, struct when by)
{
    struct turn t = {.fiber = fiber_self()};
    struct err e = ERR_OK;

    if (p->counts.calls < p->options.connections_max) {
        p->counts.calls++;
        return ERR_OK;
    }
    p->counts.waiting++;
    list_push(&p->waiting, &t.in_waiting);
    while (e.code == OK && !t.is_given) {
        e = fiber_wait("a free HTTP connection", by);
    }
    p->counts.waiting--;
    list_remove(&t.in_waiting);
    if (e.code != OK && t.is_given) {
        give_place(p);
    }
    return e;
}

/* ---- addresses ---- */

static bool is_known(const struct fetch_pool *p, struct str host)
{
    return str_eq(p->known_host, host) && clock_now().ns < p->known_until.ns;
}

static struct err ask_names(struct fetch_pool *p, struct str host, struct buf *why, struct when by)
{
    struct arena a ARENA_LOCAL = {0};
    struct addr *found = NULL;
    size_t count = 0;
    struct err e;

    if (p->options.names.fn == NULL) {
        buf_printf(why, "only addresses can be called here, not names");
        return err_of(ERR_NO_NAME);
    }
    e = p->options.names.fn(p->options.names.ctx, host, &a, &found, &count, why, by);
    if (e.code != OK) {
        return e;
    }
    must(count > 0);
    if (!str_eq(p->known_host, host)) {
        drop(p->known_host);
        p->known_host = keep(host);
    }
    p->known_count = count < FETCH_ADDRS_MAX ? count : FETCH_ADDRS_MAX;
    memcpy(p->known, found, p->known_count * sizeof *found);
    p->known_until = when_after(FETCH_NAME_MS);
    return ERR_OK;
}

/* Copied to `at`: another call may ask for another host meanwhile. */
static struct err find_addrs(struct fetch_pool *p, const struct fetch_target *t,
                             struct addr at[FETCH_ADDRS_MAX], size_t *count, struct buf *why,
                             struct when by)
{
    struct err e;

    *count = 0;
    if (t->addr.family != 0 || p->options.socket.len > 0) {
        return ERR_OK;
    }
    if (!is_known(p, t->host)) {
        e = ask_names(p, t->host, why, by);
        if (e.code != OK) {
            return e;
        }
    }
    *count = p->known_count;
    memcpy(at, p->known, p->known_count * sizeof *at);
    return ERR_OK;
}

/* ---- calls ---- */

static struct err call_sim(struct fetch_pool *p, const struct fetch_request *r, struct arena *a,
                           struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct fetch_answer answer = {
        .content_type = STR_EMPTY, .retry_after = STR_EMPTY, .head = STR_EMPTY, .body = STR_EMPTY};
    struct err e;

    p->counts.sent++;
    e = p->options.sim.fn(p->options.sim.ctx, r, a, &answer, why, by);
    if (e.code == OK && answer.body.len > r->response_max) {
        buf_printf(why, "the answer is larger than %zu bytes", r->response_max);
        return err_of(ERR_LIMIT);
    }
    if (e.code == OK) {
        must(answer.status >= 200);
        must(answer.status < 600);
        *ret = answer;
    }
    return e;
}

static struct err call(struct fetch_pool *p, const struct fetch_request *r, struct arena *a,
                       struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct addr addrs[FETCH_ADDRS_MAX];
    size_t count;
    struct err e;

    if (p->client == NULL) {
        return call_sim(p, r, a, ret, why, by);
    }
    e = find_addrs(p, r->target, addrs, &count, why, by);
    if (e.code == OK) {
        e = client_call(p, r, addrs, count, a, ret, why, by);
    }
    if (e.code == ERR_NETWORK) {
        p->known_until = (struct when){0}; /* it may have moved */
    }
    return e;
}

struct err fetch(struct fetch_pool *p, const struct fetch_request *r, struct arena *a,
                 struct fetch_answer *ret, struct buf *why, struct when by)
{
    size_t before = why->len;
    struct err e;

    for (size_t i = 0; i < r->field_count; i++) {
        e = fetch_field_check(&r->fields[i], why);
        if (e.code != OK) {
            return e;
        }
    }
    e = take_place(p, by);
    if (e.code == OK) {
        e = call(p, r, a, ret, why, by);
        give_place(p);
    }
    if (e.code != OK && why->len == before) {
        buf_printf(why, "%s", err_text(e.code));
    }
    return e;
}

bool fetch_answer_field(const struct fetch_answer *answer, struct str name, struct str *ret)
{
    struct str rest = answer->head, line, field;

    while (rest.len > 0) {
        (void)str_cut(&rest, '\n', &line);
        if (str_cut(&line, ':', &field) && str_eq_nocase(field, name)) {
            *ret = str_trim_ws(line);
            return true;
        }
    }
    return false;
}

struct err fetch_request_body(const struct fetch_request *r, struct arena *a, struct str *ret,
                              struct when by)
{
    struct buf all BUF_LOCAL = {0};
    struct str piece;
    struct err e;

    if (r->source == NULL) {
        *ret = r->body;
        return ERR_OK;
    }
    do {
        e = r->source->next(r->source->ctx, &piece, by);
        if (e.code != OK) {
            return e;
        }
        buf_put(&all, piece);
    } while (piece.len > 0);
    must(r->source->length == FETCH_LENGTH_UNKNOWN || r->source->length == all.len);
    *ret = arena_dup(a, buf_str(&all));
    return ERR_OK;
}
