/*
 * yard: the whole way out in a simulated world: a store, a queue, delivery on one loop, hosts that
 * answer as a table says, and names that resolve as another says. A test accepts mail, lets time
 * pass, and reads what the hosts were told and what the log says.
 */
#pragma once

#include "../unit.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "delivery/delivery.h"
#include "dns/dns.h"
#include "mail/content.h"
#include "queue/queue.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/sim.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_net.h"
#include "runtime/stream.h"
#include "strategy/strategy.h"
#include "tls/tls.h"

/*
 * A host: what it answers to each command. Several answers to the same command are divided by '|':
 * the first time, the second time, then the last again and again. An answer may have more lines,
 * divided by '/'. "X" closes the connection, "-" keeps silent for ever. NULL: 250, or 354 for DATA.
 */
struct yard_host {
    const char *ip;
    uint16_t port;
    const char *greeting, *ehlo, *mail, *rcpt, *data, *end;
    const char *auth; /* to AUTH and each line after it, until it is good or bad */
    bool lmtp, broken_tls;
    bool hangs_up;         /* after each content, without a word */
    const char *tls_names; /* offers TLS under these names (as tls_server_sim) */

    /* What became of it. */
    struct buf heard; /* commands, one a line; contents left out */
    struct buf content;
    unsigned connections, contents;
    unsigned uses[7];
    struct listener *listener;
};

/* "example.org MX 10 a.example.org", "a.example.org A 192.0.2.1", "x MX !" (the server fails) */
struct yard {
    const char *config;
    struct yard_host *hosts;
    size_t host_count;
    const char *const *names;
    void (*test)(struct yard *y);
    const char *own_name, *own_address;
    enum body_class body; /* of what yard_send sends */
    bool smtputf8;
    size_t lines; /* so many of 64 bytes after the ordinary body */

    struct world *world;
    struct loop *store_loop, *queue_loop, *work_loop, *user_loop;
    struct store *store;
    struct queue *queue;
    struct delivery *delivery;
    struct plan *plan;
    struct dns *dns;
    struct group group;
    bool started, queue_over;
    unsigned failures; /* an assertion must not leave a fiber: yard_run looks here at the end */
};

/* ---- hosts ---- */

enum { USE_GREETING, USE_EHLO, USE_MAIL, USE_RCPT, USE_DATA, USE_END, USE_AUTH };

struct yard_session {
    struct yard_host *host;
    struct stream *stream;
    bool in_auth;
    unsigned rcpts; /* accepted in this transaction */
    bool over;
};

static struct str yard_answer(struct yard_host *h, const char *answers, const char *standard,
                              unsigned use)
{
    struct str rest = str_of(answers ? answers : standard), one = STR_EMPTY;

    for (unsigned i = 0; i <= h->uses[use] && !str_is_empty(rest); i++) {
        str_cut(&rest, '|', &one);
    }
    h->uses[use]++;
    return one;
}

/* True when it was a good answer (2xx or 3xx). */
static bool yard_say(struct yard_session *s, struct str answer)
{
    struct str line;

    if (str_eq(answer, STR("X"))) {
        s->over = true;
        return false;
    }
    if (str_eq(answer, STR("-"))) {
        (void)fiber_sleep(WHEN_NEVER, WHEN_NEVER);
        s->over = true;
        return false;
    }
    for (struct str rest = answer; rest.len > 0;) {
        bool more = str_cut(&rest, '/', &line);

        (void)stream_put(s->stream, str_head(line, 3), WHEN_NEVER);
        (void)stream_put(s->stream, more ? STR("-") : STR(" "), WHEN_NEVER);
        (void)stream_put(s->stream, str_skip(line, 4), WHEN_NEVER);
        (void)stream_put(s->stream, STR("\r\n"), WHEN_NEVER);
    }
    return answer.ptr[0] < '4';
}

static bool yard_more(struct yard_session *s)
{
    if (stream_fill(s->stream, "the client", WHEN_NEVER).code != OK) {
        s->over = true;
    }
    return !s->over;
}

static void yard_end(struct yard_session *s)
{
    struct yard_host *h = s->host;

    for (unsigned i = 0; i < (h->lmtp ? s->rcpts : 1) && !s->over; i++) {
        h->contents += yard_say(s, yard_answer(h, h->end, "250 2.0.0 taken", USE_END));
    }
    s->rcpts = 0;
    s->over = s->over || h->hangs_up;
}

static void yard_data(struct yard_session *s)
{
    struct unstuff u = {0};
    bool done = false;

    while (!done && (stream_buffered(s->stream).len > 0 || yard_more(s))) {
        size_t used;

        done = unstuff(&u, stream_buffered(s->stream), &s->host->content, &used);
        stream_take(s->stream, used);
    }
    if (done) {
        yard_end(s);
    }
}

static void yard_bdat(struct yard_session *s, struct str arg)
{
    struct str number;
    uint64_t size = 0;

    str_cut(&arg, ' ', &number);
    must(str_to_u64(number, &size));
    while (size > 0 && (stream_buffered(s->stream).len > 0 || yard_more(s))) {
        struct str in = str_head(stream_buffered(s->stream), size);

        buf_put(&s->host->content, in);
        stream_take(s->stream, in.len);
        size -= in.len;
    }
    if (size > 0) {
        return;
    }
    if (s->rcpts == 0) {
        yard_say(s, STR("503 nobody"));
        return;
    }
    yard_end(s);
}

static void yard_starttls(struct yard_session *s)
{
    struct yard_host *h = s->host;
    struct tls_server *t = tls_server_sim(
        (struct tls_sim){str_of(h->tls_names), true, h->broken_tls});

    yard_say(s, STR("220 go"));
    (void)stream_flush(s->stream, WHEN_NEVER);
    s->over = tls_accept(s->stream, t, WHEN_NEVER).code != OK;
    tls_server_drop(t);
}

static void yard_auth(struct yard_session *s)
{
    struct str answer = yard_answer(s->host, s->host->auth, "235 ok", USE_AUTH);

    s->in_auth = str_starts(answer, STR("334"));
    yard_say(s, answer);
}

static void yard_command(struct yard_session *s, struct str line)
{
    struct yard_host *h = s->host;

    buf_put(&h->heard, line);
    buf_byte(&h->heard, '\n');
    if (s->in_auth || str_starts(line, STR("AUTH "))) {
        yard_auth(s);
    } else if (str_starts(line, STR("EHLO")) || str_starts(line, STR("LHLO"))) {
        yard_say(s, yard_answer(h, h->ehlo, "250 host", USE_EHLO));
    } else if (str_starts(line, STR("MAIL"))) {
        s->rcpts = 0;
        yard_say(s, yard_answer(h, h->mail, "250 ok", USE_MAIL));
    } else if (str_starts(line, STR("RCPT"))) {
        s->rcpts += yard_say(s, yard_answer(h, h->rcpt, "250 ok", USE_RCPT));
    } else if (str_eq(line, STR("DATA"))) {
        if (yard_say(s, s->rcpts == 0 ? STR("503 nobody")
                                      : yard_answer(h, h->data, "354 go", USE_DATA))) {
            (void)stream_flush(s->stream, WHEN_NEVER);
            yard_data(s);
        }
    } else if (str_starts(line, STR("BDAT "))) {
        yard_bdat(s, str_skip(line, 5));
    } else if (str_eq(line, STR("STARTTLS"))) {
        yard_starttls(s);
    } else if (str_eq(line, STR("RSET"))) {
        yard_say(s, STR("250 reset"));
    } else {
        s->over = true; /* QUIT */
    }
}

static void yard_serves(void *arg)
{
    struct yard_session *s = arg;

    yard_say(s, yard_answer(s->host, s->host->greeting, "220 host", USE_GREETING));
    while (!s->over) {
        struct str in = stream_buffered(s->stream);
        size_t end = str_find(in, '\n');
        char line[512];

        if (end == STR_NONE) {
            yard_more(s);
            continue;
        }
        must(end > 0 && end < sizeof line);
        memcpy(line, in.ptr, end - 1);
        stream_take(s->stream, end + 1);
        yard_command(s, str_make(line, end - 1));
    }
    (void)stream_flush(s->stream, WHEN_NEVER);
    stream_close(s->stream);
    mem_free(s);
}

struct yard_door {
    struct yard *yard;
    struct yard_host *host;
};

static void yard_listens(void *arg)
{
    struct yard_door *d = arg;
    struct yard_host *h = d->host;
    struct guest *g;

    while (listener_accept(h->listener, &g, WHEN_NEVER).code == OK) {
        struct yard_session *s = MEM_NEW(struct yard_session);

        h->connections++;
        s->host = h;
        s->stream = guest_stream(g);
        must(group_spawn_now(&d->yard->group, "session", yard_serves, s).code == OK);
    }
    listener_close(h->listener);
    mem_free(d);
}

static void yard_open(struct yard *y, struct yard_host *h)
{
    struct yard_door *d = MEM_NEW(struct yard_door);
    struct addr at;

    must(addr_parse_ip(str_of(h->ip), &at));
    at.port = h->port ? h->port : 25;
    must(listener_open(at, &h->listener).code == OK);
    d->yard = y;
    d->host = h;
    must(group_spawn_now(&y->group, "host", yard_listens, d).code == OK);
}

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
}

static void yard_user_main(void *arg)
{
    struct yard *y = arg;

    group_init(&y->group, "hosts", 0);
    for (size_t i = 0; i < y->host_count; i++) {
        yard_open(y, &y->hosts[i]);
    }
    must(queue_ready(y->queue, WHEN_NEVER).code == OK);
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

static uint64_t yard_send(struct yard *y, const char *from, const char *to)
{
    struct parcel *p = parcel_new();
    struct store_body *rest_of_it = NULL;
    struct buf content BUF_LOCAL = {0};
    struct message *m = &p->message;
    struct str rest = str_of(to), one;
    uint64_t id = store_new_id(y->store);

    m->id = id;
    m->arrived = clock_date();
    m->is_trusted = true;
    m->sender = arena_dup(&p->arena, str_of(from));
    m->to = arena_array(&p->arena, 16, sizeof *m->to);
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
    must(queue_accept(y->queue, y->plan, p, rest_of_it, NULL, 0, WHEN_NEVER).code == OK);
    parcel_drop(p);
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
        &virtual_table,   &schedule_table, &route_table,   &connection_table,
        &source_ip_table, &tls_table,      &strategy_table};
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
    struct sim_disk *folder = sim_disk_new("/store", 5);
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
    queue_free(y->queue);
    store_free(y->store);
    plan_give(y->plan);
    for (size_t i = 0; i < y->host_count; i++) {
        buf_done(&y->hosts[i].heard);
        buf_done(&y->hosts[i].content);
    }
    disk_close(disk);
    world_free(y->world);
    sim_disk_free(folder);
}

#define YARD_CHECK(y, fact)                                                                        \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #fact);                             \
            (y)->failures++;                                                                       \
        }                                                                                          \
    } while (0)

static bool yard_logged(struct yard *y, const char *what)
{
    return str_find_str(sim_log(y->world), str_of(what)) != STR_NONE;
}
