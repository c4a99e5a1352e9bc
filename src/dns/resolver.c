/*
 * The resolver: one libunbound context for the whole process, with its background thread.
 *
 * One context, because its cache is what makes look-ups cheap and each further one would start
 * empty; a background thread, because validation is more work than a loop should do between two
 * sessions. All calls into the library are made on the home loop: it keeps the list of questions
 * under way, and needs no lock.
 */
#include "base/mem.h"
#include "dns/part.h"
#include "dns/settings.h"
#include "runtime/clock.h"
#include "runtime/sim.h"
#include "runtime/stream.h"
#include "runtime/transport.h"

#include <stdio.h>
#include <unbound.h>

/* The library's options that differ from its own defaults, and why. */
static const struct {
    const char *name, *value;
} options[] = {
    {"do-not-query-localhost:", "no"}, /* a resolver on the same machine is the usual case */
    {"unblock-lan-zones:", "yes"},     /* reverse zones of private networks may exist here */
    {"infra-host-ttl:", "60"},         /* forget soon that a server was away ... */
    {"infra-keep-probing:", "yes"},    /* ... and keep asking it meanwhile */
    {"infra-cache-max-rtt:",
     "10000"}, /* a question to silent servers ends, and with it its memory */
    {"module-config:", "validator iterator"},
};

/* Zones the library would answer itself with "no such name"; RFC 6761 leaves them to the site. */
static const char *const open_zones[] = {"test."};

struct setup {
    const struct resolver_settings *settings;
    struct ub_ctx *ctx;
    struct buf *why;
    struct err e;
};

static void setup_failed(struct setup *s, const char *what, int code)
{
    if (s->e.code == OK) {
        s->e = err_of(ERR_CONFIG);
        buf_printf(s->why, "resolver: %s: %s", what, ub_strerror(code));
    }
}

static void set_option(struct setup *s, const char *name, const char *value)
{
    int code = ub_ctx_set_option(s->ctx, name, value);

    if (code != 0) {
        setup_failed(s, name, code);
    }
}

static void set_caches(struct setup *s)
{
    char value[32];
    uint64_t third = s->settings->cache_bytes / 3;

    (void)snprintf(value, sizeof value, "%llu", (unsigned long long)(2 * third));
    set_option(s, "rrset-cache-size:", value);
    (void)snprintf(value, sizeof value, "%llu", (unsigned long long)third);
    set_option(s, "msg-cache-size:", value);
}

static void set_servers(struct setup *s)
{
    const struct addr_list *servers = &s->settings->servers;
    char ip[ADDR_BYTES], at[ADDR_BYTES + 8];
    int code;

    for (size_t i = 0; i < servers->count; i++) {
        (void)addr_print_ip(&servers->items[i], ip);
        (void)snprintf(at, sizeof at, "%s@%u", ip, (unsigned)servers->items[i].port);
        code = ub_ctx_set_fwd(s->ctx, at);
        if (code != 0) {
            setup_failed(s, at, code);
        }
    }
    if (servers->count == 0) {
        (void)ub_ctx_resolvconf(s->ctx, NULL); /* without one: from the root down */
    }
}

static void set_up(void *arg)
{
    struct setup *s = arg;
    struct arena a ARENA_LOCAL = {0};
    const char *path = arena_z(&a, s->settings->trust_anchor);
    int code;

    s->ctx = ub_ctx_create();
    must(s->ctx != NULL);
    (void)ub_ctx_debuglevel(s->ctx, 0);
    (void)ub_ctx_debugout(s->ctx, NULL);
    (void)ub_ctx_async(s->ctx, 1);
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        set_option(s, options[i].name, options[i].value);
    }
    set_caches(s);
    set_servers(s);
    if (path[0] != '\0') {
        code = ub_ctx_add_ta_file(s->ctx, path);
        if (code != 0) {
            setup_failed(s, path, code);
        }
    }
    /* This finishes the context: nothing can be set afterwards. */
    for (size_t i = 0; i < COUNT_OF(open_zones) && s->e.code == OK; i++) {
        code = ub_ctx_zone_add(s->ctx, open_zones[i], "transparent");
        if (code != 0) {
            setup_failed(s, path[0] != '\0' ? path : open_zones[i], code);
        }
    }
}

static void process(void *ctx)
{
    (void)ub_process(ctx);
}

static void pump(void *arg)
{
    struct dns *d = arg;

    while (watch_wait(d->watch, WANT_READ, "answers of the resolver", WHEN_NEVER).code == OK) {
        on_big_stack(process, d->ctx);
    }
}

struct dns *dns_open_sim(struct dns_sim sim, int64_t timeout_ms)
{
    struct dns *d = MEM_NEW(struct dns);

    must(sim.fn != NULL);
    d->sim = sim;
    d->timeout_ms = timeout_ms;
    return d;
}

static struct err open_scenario(const struct resolver_settings *settings, struct dns **ret,
                                struct buf *why)
{
    const struct dns_sim *sim = sim_service("dns");

    if (sim == NULL) {
        buf_printf(why, "resolver: the scenario answers no questions");
        return err_of(ERR_CONFIG);
    }
    *ret = dns_open_sim(*sim, settings->timeout_ms);
    return ERR_OK;
}

struct err dns_open(const struct resolver_settings *settings, struct dns **ret, struct buf *why)
{
    struct setup s = {.settings = settings, .why = why};
    struct dns *d;

    if (world_is_simulated()) {
        return open_scenario(settings, ret, why);
    }
    on_big_stack(set_up, &s);
    if (s.e.code != OK) {
        ub_ctx_delete(s.ctx);
        return s.e;
    }
    d = MEM_NEW(struct dns);
    d->ctx = s.ctx;
    d->timeout_ms = settings->timeout_ms;
    d->home = loop_self();
    list_init(&d->under_way);
    group_init(&d->pump, "resolver", 1);
    d->watch = watch_open(ub_fd(d->ctx));
    must(group_spawn_now(&d->pump, "resolver", pump, d).code == OK);
    *ret = d;
    return ERR_OK;
}

/* On the asker's loop: the end of a question's way. */
static void answered(struct post *p)
{
    struct question *q = CONTAINER_OF(p, struct question, post);

    if (q->is_given_up) {
        ub_resolve_free(q->result);
        mem_free(q);
        return;
    }
    q->is_answered = true;
    fiber_wake(q->asker);
}

/* On the home loop. */
static void send_back(struct question *q)
{
    if (atomic_exchange(&q->at, QUESTION_ANSWERED) == QUESTION_GIVEN_UP) {
        ub_resolve_free(q->result);
        mem_free(q);
        return;
    }
    q->post.run = answered;
    if (q->asker_loop == q->dns->home) {
        answered(&q->post);
    } else {
        loop_post(q->asker_loop, &q->post);
    }
}

static void library_answers(void *arg, int error, struct ub_result *result)
{
    struct question *q = arg;

    list_remove(&q->link);
    q->dns->under_way_count--;
    q->error = error;
    q->result = result;
    send_back(q);
}

/* On the home loop: into the library. */
static void submit(struct post *p)
{
    struct question *q = CONTAINER_OF(p, struct question, post);
    struct dns *d = q->dns;

    if (d->under_way_count >= DNS_QUESTIONS_MAX) {
        q->error = UB_NOMEM;
        send_back(q);
        return;
    }
    list_push(&d->under_way, &q->link);
    d->under_way_count++;
    q->error = ub_resolve_async(d->ctx, q->name, (int)q->type, 1, q, library_answers, NULL);
    if (q->error != 0) {
        library_answers(q, q->error, NULL);
    }
}

struct question *question_start(struct dns *d, struct str name, enum dns_type type)
{
    struct question *q = MEM_NEW(struct question);

    must(name.len < sizeof q->name);
    memcpy(q->name, name.ptr, name.len);
    q->dns = d;
    q->type = type;
    q->asker_loop = loop_self();
    q->asker = fiber_self();
    q->until = when_after(d->timeout_ms);
    if (d->sim.fn != NULL) {
        return q;
    }
    q->post.run = submit;
    if (q->asker_loop == d->home) {
        submit(&q->post);
    } else {
        loop_post(d->home, &q->post);
    }
    return q;
}

void question_give_up(struct question *q)
{
    if (q->is_answered || q->dns->sim.fn != NULL) {
        ub_resolve_free(q->result);
        mem_free(q);
        return;
    }
    q->is_given_up = true;                            /* the answer still goes into the cache */
    (void)atomic_exchange(&q->at, QUESTION_GIVEN_UP); /* unless the post is on its way */
}

static void finish_library(void *ctx)
{
    ub_ctx_delete(ctx);
}

void dns_close(struct dns *d, struct when by)
{
    struct link *k;

    (void)by; /* says that this suspends; children are always joined */
    if (d->sim.fn == NULL) {
        group_cancel(&d->pump);
        (void)group_join(&d->pump, WHEN_NEVER);
        watch_close(d->watch);
        on_big_stack(finish_library, d->ctx);
        while ((k = list_first(&d->under_way)) != NULL) {
            library_answers(CONTAINER_OF(k, struct question, link), UB_INITFAIL, NULL);
        }
    }
    mem_free(d);
}
