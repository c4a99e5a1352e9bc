/*
 * yard: the whole way out in a simulated world: a store, a queue, delivery on one loop, hosts that
 * answer as a table says, and names that resolve as another says. A test accepts mail, lets time
 * pass, and reads what the hosts were told and what the log says.
 */
#pragma once

#include "yard_hosts.h"

/* ---- names ---- */

static const struct {
    const char *word;
    enum dns_type type;
} yard_types[] = {{"MX", DNS_MX}, {"A", DNS_A}, {"AAAA", DNS_AAAA}};

static struct err yard_resolves(void *ctx, struct str name, enum dns_type type, struct arena *a,
                                struct dns_answer *ret, struct when by)
{
    struct yard *y = ctx;
    bool known = false;

    (void)by;
    ret->records = arena_array(a, 16, sizeof *ret->records);
    for (const char *const *row = y->names; row != NULL && *row != NULL; row++) {
        struct str rest = str_of(*row), word;
        struct dns_record *r = &ret->records[ret->count];

        str_cut(&rest, ' ', &word);
        if (!str_eq_nocase(word, name)) {
            continue;
        }
        known = true;
        str_cut(&rest, ' ', &word);
        for (size_t i = 0; i < COUNT_OF(yard_types); i++) {
            uint64_t preference = 0;
            struct str number;

            if (yard_types[i].type != type || !str_eq(word, str_of(yard_types[i].word))) {
                continue;
            }
            if (str_eq(rest, STR("!"))) {
                ret->result = DNS_FAILED;
                ret->why = STR("SERVFAIL");
                return ERR_OK;
            }
            if (type == DNS_MX) {
                str_cut(&rest, ' ', &number);
                must(str_to_u64(number, &preference));
                r->preference = (uint16_t)preference;
                r->name = rest;
            } else {
                must(addr_parse_ip(rest, &r->addr));
            }
            ret->count++;
        }
    }
    if (ret->count == 0) {
        ret->result = known ? DNS_NO_DATA : DNS_NO_NAME;
        ret->why = STR("no such name");
    }
    return ERR_OK;
}

/* ---- loops ---- */

static void yard_store_main(void *arg)
{
    struct yard *y = arg;
    struct buf why BUF_LOCAL = {0};
    struct err e;

    store_serve(y->store, &e, &why);
    must(e.code == OK);
}

static void yard_queue_main(void *arg)
{
    struct yard *y = arg;

    while (!y->started) {
        (void)fiber_sleep(when_after(1), WHEN_NEVER);
    }
    queue_serve(y->queue);
    y->queue_over = true;
}

static void yard_work_main(void *arg)
{
    struct yard *y = arg;

    delivery_loop_start(y->delivery, 0);
    y->started = true;
    (void)fiber_sleep(WHEN_NEVER, WHEN_NEVER);
    delivery_loop_stop(y->delivery, 0, WHEN_NEVER);
    if (y->engine != NULL) {
        engine_loop_stop(y->engine, WHEN_NEVER);
    }
}

/* ---- filters ---- */

static bool yard_may_add(void *ctx, bool is_trusted, const struct path *to, struct arena *a,
                         struct str_list *ret, struct str *why)
{
    struct str *one = ARENA_NEW(a, struct str);

    (void)ctx;
    *one = to->address;
    *ret = (struct str_list){one, 1};
    *why = STR("relaying denied");
    return is_trusted && !str_eq(to->domain, STR("refused.example"));
}

/* As main does it. */
static void yard_use_filters(struct yard *y)
{
    struct delivery_filters f = {.engine = y->engine,
                                 .chain = y->chain,
                                 .bounds = {1000, 100, 65536, 1024 * 1024},
                                 .may_add = yard_may_add};

    engine_use(y->engine, y->chain);
    delivery_use_filters(y->delivery, &f);
}

static void yard_user_main(void *arg)
{
    struct yard *y = arg;

    group_init(&y->group, "hosts", 0);
    for (size_t i = 0; i < y->host_count; i++) {
        yard_open(y, &y->hosts[i]);
    }
    must(store_ready(y->store, WHEN_NEVER).code == OK);
    must(y->is_early || queue_ready(y->queue, WHEN_NEVER).code == OK);
    if (y->chain != NULL) {
        yard_use_filters(y);
    }
    y->test(y);
    loop_cancel(y->queue_loop);
    while (!y->queue_over) {
        (void)fiber_sleep(when_after(10), WHEN_NEVER);
    }
    loop_cancel(y->work_loop);
    dns_close(y->dns, WHEN_NEVER);
    group_cancel(&y->group);
    (void)group_join(&y->group, WHEN_NEVER);
    loop_cancel(y->store_loop);
}

/* ---- mail ---- */

static const char yard_body[] = "Subject: x\r\nFrom: a@b.example\r\n\r\n.hello\r\n";

/* Accepts one message; `to` addresses divided by blanks, each perhaps with "!" and letters for
 * NOTIFY: S success, F failure, D delay, N never. */
static void yard_content(const struct yard *y, struct buf *out)
{
    buf_put(out, str_of(yard_body));
    for (size_t i = 0; i < y->lines; i++) {
        buf_printf(out, ".line %-56zu\r\n", i);
    }
}

/* The answer of the door; *ret: its id. */
static struct err yard_try(struct yard *y, const char *from, const char *to, uint64_t *ret)
{
    struct parcel *p = parcel_new();
    struct store_body *rest_of_it = NULL;
    struct buf content BUF_LOCAL = {0};
    struct message *m = &p->message;
    struct str rest = str_of(to), one;
    struct err e;

    m->id = *ret = store_new_id(y->store);
    m->arrived = clock_date();
    m->is_trusted = true;
    m->sender = arena_dup(&p->arena, str_of(from));
    m->to = arena_array(&p->arena, rest.len / 2 + 1, sizeof *m->to);
    while (rest.len > 0) {
        struct recipient *r = &m->to[m->to_count++];
        struct str address, letters;

        str_cut(&rest, ' ', &one);
        letters = one;
        str_cut(&letters, '!', &address);
        r->address = arena_dup(&p->arena, address);
        for (size_t i = 0; i < letters.len; i++) {
            r->notify |= letters.ptr[i] == 'S'   ? NOTIFY_SUCCESS
                         : letters.ptr[i] == 'F' ? NOTIFY_FAILURE
                         : letters.ptr[i] == 'D' ? NOTIFY_DELAY
                                                 : NOTIFY_NEVER;
        }
    }
    m->body = y->body;
    m->smtputf8 = y->smtputf8;
    yard_content(y, &content);
    buf_put(&p->head, str_head(buf_str(&content), PARCEL_HEAD_MAX));
    if (content.len > PARCEL_HEAD_MAX) {
        rest_of_it = store_body_open(y->store);
        must(store_body_add(rest_of_it, str_skip(buf_str(&content), PARCEL_HEAD_MAX), WHEN_NEVER)
                 .code == OK);
    }
    m->size = content.len;
    m->header_bytes = (uint32_t)str_find_str(buf_str(&p->head), STR("\r\n\r\n")) + 4;
    e = queue_accept(y->queue, y->plan, p, rest_of_it, NULL, 0, WHEN_NEVER);
    parcel_drop(p);
    return e;
}

static uint64_t yard_send(struct yard *y, const char *from, const char *to)
{
    uint64_t id;

    must(yard_try(y, from, to, &id).code == OK);
    return id;
}

static uint64_t yard_jobs(struct yard *y)
{
    struct queue_counts c;

    must(queue_count(y->queue, &c, WHEN_NEVER).code == OK);
    y->failures += c.watchdog != 0;
    return c.jobs;
}

/* Lets time pass until nothing is queued, or for so long. */
static void yard_wait(struct yard *y, int64_t ms)
{
    struct when until = when_after(ms);

    (void)fiber_sleep(when_after(100), WHEN_NEVER);
    while (clock_now().ns < until.ns && yard_jobs(y) > 0) {
        (void)fiber_sleep(when_after(500), WHEN_NEVER);
    }
}

static enum expr_local yard_is_local(void *ctx, struct str directory, struct str domain)
{
    (void)ctx, (void)directory;
    return str_eq(domain, STR("here.example")) ? EXPR_LOCAL_YES : EXPR_LOCAL_NO;
}

/* Authorities that the simulated TLS never looks at: who it trusts says its server. */
static struct tls_trust *yard_trust(void)
{
    static struct tls_trust *trust;
    struct buf why BUF_LOCAL = {0};

    if (trust == NULL) {
        must(tls_trust_load(STR_EMPTY, &trust, &why).code == OK);
    }
    return trust;
}

static struct plan *yard_plan(const char *text)
{
    static const struct setting_table *const tables[] = {
        &virtual_table,         &schedule_table, &route_table,    &connection_table,
        &source_ip_table,       &tls_table,      &strategy_table, &limiter_table,
        &visitor_limiter_table, &quota_table,    &meta_table};
    static struct strategy_services services = {.expr = {.is_local_domain = yard_is_local},
                                                .has_local_domains = true,
                                                .hostname = STR_INIT("mx.here.example")};
    struct config_options o = {.tables = tables, .table_count = COUNT_OF(tables), .number = 3};
    struct faults faults = {0};
    struct buf out BUF_LOCAL = {0};
    struct config *cfg = config_parse(&o, STR("f"), str_of(text), &faults);
    struct plan *p = cfg == NULL ? NULL : strategy_compile(cfg, &services, &faults);

    if (faults.errors + faults.warnings > 0) {
        faults_print(&faults, &out);
    }
    EXPECT_STR(buf_str(&out), "");
    assert_non_null(p);
    config_give(cfg);
    faults_done(&faults);
    return p;
}

/* A reload, as main does it. */
static inline void yard_reload(struct yard *y, const char *config)
{
    struct plan *old = y->plan;

    y->plan = yard_plan(config);
    delivery_use_plan(y->delivery, y->plan);
    queue_use_plan(y->queue, plan_take(y->plan));
    plan_give(old);
}

/* ---- the run ---- */

static bool yard_is_own_name(void *ctx, struct str host)
{
    struct yard *y = ctx;

    return y->own_name != NULL && str_eq_nocase(host, str_of(y->own_name));
}

static bool yard_is_own_address(void *ctx, const struct addr *at)
{
    struct yard *y = ctx;
    struct addr own;

    return y->own_address != NULL && addr_parse(str_of(y->own_address), &own) && addr_eq(&own, at);
}

static void yard_run(struct yard *y)
{
    struct sim_options sim = {.seed = 7};
    struct store_options store = {.segment_bytes = 256 * 1024,
                                  .min_free_bytes = 1024 * 1024,
                                  .node = 1,
                                  .checkpoint_bytes = 512 * 1024};
    struct sim_disk *folder = y->folder ? y->folder : sim_disk_new("/store", 5);
    struct disk *disk;
    struct queue_options queue = {.cache_bytes = 1024 * 1024};
    struct delivery_options out = {.loop_count = 1,
                                   .hostname = STR("mx.here.example"),
                                   .is_own_name = yard_is_own_name,
                                   .is_own_address = yard_is_own_address,
                                   .ctx = y,
                                   .idle_max = 10};

    y->world = sim_world(&sim);
    y->store_loop = world_loop(y->world, "store");
    y->queue_loop = world_loop(y->world, "queue");
    y->work_loop = world_loop(y->world, "work");
    y->user_loop = world_loop(y->world, "user");
    disk = sim_disk_mount(folder, y->world);
    y->store = store_new(y->store_loop, disk, &store);
    y->plan = yard_plan(y->config);
    y->dns = dns_open_sim((struct dns_sim){yard_resolves, y}, 5000);
    out.loops = &y->work_loop;
    out.store = y->store;
    out.dns = y->dns;
    out.trust = yard_trust();
    y->delivery = delivery_new(&out, y->plan);
    y->queue = queue_new(y->queue_loop, y->store, delivery_ops(y->delivery), &queue);
    delivery_use_queue(y->delivery, y->queue);
    if (y->chain != NULL) {
        struct engine_options engine = {
            .home = y->user_loop, .loops = &y->work_loop, .loop_count = 1};

        y->engine = engine_new(&engine);
    }
    queue_use_plan(y->queue, plan_take(y->plan));
    loop_main(y->store_loop, yard_store_main, y);
    loop_main(y->queue_loop, yard_queue_main, y);
    loop_main(y->work_loop, yard_work_main, y);
    loop_main(y->user_loop, yard_user_main, y);
    world_run(y->world);
    if (sim_end(y->world) != SIM_OVER || y->failures > 0) {
        fprintf(stderr, "%.*s", STR_ARG(sim_log(y->world)));
    }
    assert_int_equal(sim_end(y->world), SIM_OVER);
    assert_int_equal(y->failures, 0);
    delivery_free(y->delivery);
    if (y->engine != NULL) {
        engine_free(y->engine);
        y->engine = NULL;
    }
    queue_free(y->queue);
    store_free(y->store);
    plan_give(y->plan);
    for (size_t i = 0; i < y->host_count; i++) {
        buf_done(&y->hosts[i].heard);
        buf_done(&y->hosts[i].content);
    }
    disk_close(disk);
    world_free(y->world);
    if (y->folder == NULL) {
        sim_disk_free(folder);
    }
}

#define YARD_CHECK(y, fact)                                                                        \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #fact);                             \
            (y)->failures++;                                                                       \
        }                                                                                          \
    } while (0)

static inline bool yard_logged(struct yard *y, const char *what)
{
    return str_find_str(sim_log(y->world), str_of(what)) != STR_NONE;
}
