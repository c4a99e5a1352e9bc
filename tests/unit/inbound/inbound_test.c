#include "base/buf.h"
#include "config/config.h"
#include "fake.h"
#include "inbound/inbound.h"
#include "inbound/part.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/sim.h"
#include "runtime/stream.h"
#include "tls/tls.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define GREETED                                                                                    \
    "S: 220 mx.example.org ESMTP Postyard\nC: EHLO client.example\nS: 250-mx.example.org\n"        \
    "S: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-CHUNKING\nS: 250-BINARYMIME\n"    \
    "S: 250-ENHANCEDSTATUSCODES\nS: 250-DSN\nS: 250 SIZE 104857600\n"
#define MAIL_OK "C: MAIL FROM:<a@b.example>\nS: 250 2.1.0 Sender ok\n"
#define RCPT_OK "C: RCPT TO:<x@y.example>\nS: 250 2.1.5 Recipient ok\n"
#define GO      "C: DATA\nS: 354 End data with <CR><LF>.<CR><LF>\n"
#define QUIT    "C: QUIT\nS: 221 2.0.0 Bye\n"
#define OPENED  GREETED MAIL_OK RCPT_OK GO

/* A server on this loop, home and worker in one, and a client. */
struct scene {
    const char *extra; /* lines below server: */
    void (*act)(struct scene *scene);
    struct inbound *in;
    struct group group;
    struct addr at;
    struct policy *policy;
};

static struct policy *policy_of(const char *extra, unsigned port, struct faults *faults)
{
    static const struct setting_table *const tables[] = {&server_table, &listeners_table};
    struct config_options o = {.tables = tables, .table_count = COUNT_OF(tables), .number = 1};
    struct buf text BUF_LOCAL = {0};
    struct config *cfg;
    struct policy_source source = {.system_hostname = STR("system.example")};

    buf_printf(&text, "server:\n  hostname: mx.example.org\n%s", extra);
    buf_printf(&text, "listeners:\n  test: { bind: [\"127.0.0.1:%u\"] }\n", port);
    cfg = config_parse(&o, STR("test.yaml"), buf_str(&text), faults);
    if (cfg == NULL) {
        return NULL;
    }
    source.config = cfg;
    struct policy *p = policy_load(&source, faults);

    config_give(cfg);
    return p;
}

static void must_load(struct policy *p, struct faults *faults)
{
    if (p == NULL) {
        struct buf text BUF_LOCAL = {0};

        faults_print(faults, &text);
        print_error("%.*s", STR_ARG(buf_str(&text)));
        abort();
    }
    faults_done(faults);
}

static void serve(void *arg)
{
    struct scene *scene = arg;

    inbound_serve(scene->in, 0);
}

/* Ports are taken from our process id, so that two runs do not meet. */
static void open_somewhere(struct scene *scene)
{
    struct buf why BUF_LOCAL = {0};
    struct arena a ARENA_LOCAL = {0};
    const struct addr *bound;
    struct err e = err_of(ERR_NETWORK);

    for (unsigned i = 0; i < 20 && e.code; i++) {
        struct faults faults = {0};
        struct policy *p = policy_of(scene->extra, 20000 + ((unsigned)getpid() + i * 997) % 20000,
                                     &faults);

        must_load(p, &faults);
        buf_clear(&why);
        e = inbound_use(scene->in, p, &why, WHEN_NEVER);
    }
    assert_int_equal(e.code, OK);
    assert_int_equal(inbound_bound(scene->in, &a, &bound), 1);
    scene->at = bound[0];
}

static void scene_fiber(void *arg)
{
    struct scene *scene = arg;
    struct loop *loop = loop_self();
    struct inbound_options o = {.home = loop, .workers = &loop, .worker_count = 1};

    fake_start();
    scene->in = inbound_new(&o);
    group_init(&scene->group, "test", 0);
    assert_int_equal(group_spawn_now(&scene->group, "serve", serve, scene).code, OK);
    open_somewhere(scene);
    scene->act(scene);
    inbound_stop(scene->in, 1000, when_after(10000));
    assert_int_equal(inbound_sessions(scene->in), 0);
    assert_int_equal(group_join(&scene->group, when_after(10000)).code, OK);
    assert_int_equal(atomic_load(&scene->in->place.held), 0);
    inbound_free(scene->in);
    fake_end();
}

static void play(const char *extra, void (*act)(struct scene *))
{
    struct scene scene = {.extra = extra, .act = act};

    run_alone("test", scene_fiber, &scene);
}

/* The same in a simulated world, where hours pass in no time. */
static void play_sim(const char *extra, void (*act)(struct scene *))
{
    struct scene scene = {.extra = extra, .act = act};
    struct world *w = sim_world(NULL);

    loop_main(world_loop(w, "test"), scene_fiber, &scene);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
}

static struct stream *client(struct scene *scene)
{
    struct stream *s;

    assert_int_equal(stream_connect(scene->at, (struct addr){0}, &s, when_after(5000)).code, OK);
    return s;
}

static void hear(struct stream *s, struct str want)
{
    struct err e = ERR_OK;

    while (stream_buffered(s).len < want.len && !e.code) {
        e = stream_fill(s, "reply", when_after(10000));
    }
    if (!str_eq(str_head(stream_buffered(s), want.len), want)) {
        print_error("got  \"%.*s\"\nwant \"%.*s\"\n", STR_ARG(stream_buffered(s)), STR_ARG(want));
        abort();
    }
    stream_take(s, want.len);
}

static void put(struct stream *s, struct str bytes)
{
    assert_int_equal(stream_put(s, bytes, when_after(10000)).code, OK);
}

/* "C: x" we send, "S: x" we hear, "R: x" we send without CR LF. */
static void talk(struct stream *s, const char *script)
{
    struct str rest = str_of(script), line;

    while (rest.len > 0) {
        str_cut(&rest, '\n', &line);
        struct buf text BUF_LOCAL = {0};

        buf_put(&text, str_skip(line, 3));
        if (line.ptr[0] != 'R') {
            buf_put(&text, STR("\r\n"));
        }
        if (line.ptr[0] == 'S') {
            hear(s, buf_str(&text));
        } else {
            put(s, buf_str(&text));
        }
    }
    assert_int_equal(stream_flush(s, when_after(10000)).code, OK);
}

static void hear_end(struct stream *s)
{
    assert_int_equal(stream_fill(s, "end", when_after(10000)).code, ERR_CLOSED);
    assert_int_equal(stream_buffered(s).len, 0);
    stream_close(s);
}

/* The accepted content behind the trace block, which is checked for its shape. */
static struct str content_after_trace(void)
{
    struct str all = buf_str(&fake.content);
    size_t at = str_find_str(all, STR("\r\n"));

    assert_true(str_starts(all, STR("Received: from client.example ([127.0.0.1])")));
    while (at + 2 < all.len && (all.ptr[at + 2] == ' ' || all.ptr[at + 2] == '\t')) {
        at += 2 + str_find_str(str_skip(all, at + 2), STR("\r\n"));
    }
    return str_skip(all, at + 2);
}

static void accepts(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, OPENED "C: From: a@b.example\nC: Date: today\nC: Message-ID: <1@b.example>\nC: \n"
                   "C: hello\nC: .\nS: 250 2.0.0 Ok: queued as 0000000000000001\n");
    EXPECT_STR(content_after_trace(), "From: a@b.example\r\nDate: today\r\n"
                                      "Message-ID: <1@b.example>\r\n\r\nhello\r\n");
    assert_true(str_find_str(buf_str(&fake.content), STR("for <x@y.example>")) != STR_NONE);
    assert_int_equal(fake.last->message.header_bytes, fake.content.len - 7);
    assert_int_equal(fake.last->message.body, BODY_7BIT);
    assert_true(fake.last->message.is_trusted);
    EXPECT_STR(fake.last->message.sender, "a@b.example");
    EXPECT_STR(fake.last->message.client_ip, "127.0.0.1");
    EXPECT_STR(fake.last->message.listener, "test");

    /* Again in the same session, with two recipients, one of them named twice. */
    talk(s, "C: MAIL FROM:<> RET=HDRS ENVID=x+20y SMTPUTF8\nS: 250 2.1.0 Sender ok\n"
            "C: RCPT TO:<x@y.example> NOTIFY=NEVER ORCPT=rfc822;z@y.example\n"
            "S: 250 2.1.5 Recipient ok\n" RCPT_OK
            "C: RCPT TO:<\xc3\xbc@y.example>\nS: 250 2.1.5 Recipient ok\n" GO
            "C: Subject: gr\xc3\xbc\xc3\x9f\nC: \nC: .\n"
            "S: 250 2.0.0 Ok: queued as 0000000000000002\n" QUIT);
    hear_end(s);
    assert_true(str_find_str(buf_str(&fake.content), STR("for <")) == STR_NONE);
    const struct message *m = &fake.last->message;

    assert_int_equal(m->to_count, 2);
    EXPECT_STR(m->to[0].address, "x@y.example");
    EXPECT_STR(m->to[0].orcpt, "rfc822;z@y.example");
    assert_int_equal(m->to[0].notify, NOTIFY_NEVER);
    EXPECT_STR(m->to[1].address, "\xc3\xbc@y.example");
    EXPECT_STR(m->envid, "x y");
    assert_int_equal(m->ret, RET_HDRS);
    assert_true(m->utf8_headers && m->smtputf8);
    assert_int_equal(m->body, BODY_8BIT);
    /* A submission got its Date and Message-ID, before its own bytes. */
    assert_true(str_starts(content_after_trace(), STR("Date: ")));
    assert_true(str_ends(content_after_trace(), STR(">\r\nSubject: gr\xc3\xbc\xc3\x9f\r\n\r\n")));
    assert_true(str_find_str(content_after_trace(), STR("\r\nMessage-ID: <")) != STR_NONE);
    assert_int_equal(m->header_bytes, m->size);
}

static void a_message_becomes_a_parcel(void **state)
{
    play("", accepts);
    (void)state;
}

static void send_large(struct scene *scene, size_t lines)
{
    struct stream *s = client(scene);
    struct buf text BUF_LOCAL = {0};
    size_t added = 0;

    talk(s, OPENED);
    buf_put(&text, STR("Subject: large\r\n\r\n"));
    for (size_t i = 0; i < lines; i++) {
        buf_printf(&text, "line %zu\r\n", i);
    }
    put(s, buf_str(&text));
    talk(s, "C: .\nS: 250 2.0.0 Ok: queued as 0000000000000001\n" QUIT);
    hear_end(s);
    added = content_after_trace().len - text.len;
    assert_true(str_eq(str_skip(content_after_trace(), added), buf_str(&text)));
    assert_true(str_starts(content_after_trace(), STR("Date: ")));
    assert_true(fake.last->head.len <= PARCEL_HEAD_MAX);
    assert_true(parcel_is_whole(fake.last) || fake.content.len > 48000);
    assert_true(!parcel_is_whole(fake.last) || fake.content.len <= PARCEL_HEAD_MAX);
}

static void sends_sizes(struct scene *scene)
{
    static const size_t lines[] = {100, 3000, 4200, 4700, 5000, 5400, 6200, 7000, 100000};

    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        fake.ids = 0;
        send_large(scene, lines[i]);
    }
    assert_int_equal(fake.abandoned, 0);
}

static void what_is_large_goes_to_the_store_in_pieces(void **state)
{
    play("", sends_sizes);
    (void)state;
}

static void relays(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, GREETED MAIL_OK "C: RCPT TO:<x@y.example>\nS: 550 5.7.1 Relaying denied\n"
                            "C: RCPT TO:<x@sub.example.org>\nS: 550 5.7.1 Relaying denied\n"
                            "C: RCPT TO:<ann@Example.ORG>\nS: 250 2.1.5 Recipient ok\n"
                            "C: RCPT TO:<postmaster>\nS: 250 2.1.5 Recipient ok\n"
                            "C: RCPT TO:<x@[127.0.0.1]>\nS: 550 5.7.1 Relaying denied\n" GO
                            "C: x\nC: .\nS: 250 2.0.0 Ok: queued as 0000000000000001\n" QUIT);
    hear_end(s);
    assert_int_equal(fake.last->message.to_count, 2);
    EXPECT_STR(fake.last->message.to[0].address, "ann@example.org");
    EXPECT_STR(fake.last->message.to[1].address, "admin@example.org");
    assert_false(fake.last->message.is_trusted);
    /* Nothing is added for strangers (P12). */
    EXPECT_STR(content_after_trace(), "x\r\n");
}

static void strangers_send_to_local_domains_only(void **state)
{
    play("  local-domains: [example.org]\n  postmaster: admin@example.org\n"
         "  trusted-networks: [192.0.2.0/24]\n",
         relays);
    (void)state;
}

static void refuses(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, GREETED MAIL_OK "C: RCPT TO:<x@[127.0.0.1]>\n"
                            "S: 550 5.1.2 Mail to address literals is not relayed\n" RCPT_OK GO);
    for (unsigned i = 0; i < 11; i++) {
        put(s, STR("received: somewhere\r\n"));
    }
    talk(s, "C: .\nS: 554 5.4.6 Mail loop: too many Received fields\n" MAIL_OK RCPT_OK GO);
    for (unsigned i = 0; i < 10; i++) {
        put(s, STR("Received: somewhere\r\n"));
    }
    talk(s, "C: \nC: Received: not a field\nC: .\nS: 250 2.0.0 Ok: queued as "
            "0000000000000002\n" MAIL_OK RCPT_OK GO);
    for (unsigned i = 0; i < 100; i++) {
        put(s, STR("X-Long: 0123456789\r\n"));
    }
    talk(s, "C: .\nS: 552 5.3.4 The header section is too large\n"
            "C: MAIL FROM:<a@b.example> BODY=BINARYMIME\nS: 250 2.1.0 Sender ok\n" RCPT_OK
            "C: BDAT 8 LAST\n");
    put(s, STR("A: b\nc\r\n"));
    talk(s, "S: 550 5.6.0 The message has a bare CR, a bare LF or a NUL\n");

    fake.room = STORE_LOW;
    talk(s, "C: MAIL FROM:<a@b.example>\n"
            "S: 452 4.3.1 Not enough room on disk, try again later\n");
    fake.room = STORE_ROOM;
    fake.room_bytes = 1000;
    talk(s, "C: MAIL FROM:<a@b.example> SIZE=1001\n"
            "S: 452 4.3.1 Not enough room on disk, try again later\n"
            "C: MAIL FROM:<a@b.example> SIZE=1000\nS: 250 2.1.0 Sender ok\n");
    for (unsigned i = 0; i < 100; i++) {
        char line[64];

        (void)snprintf(line, sizeof line, "C: RCPT TO:<x%u@y.example>\n", i);
        talk(s, line);
        talk(s, "S: 250 2.1.5 Recipient ok\n");
    }
    fake.accept_fails = err_of(ERR_DISK);
    talk(s, "C: RCPT TO:<x@y.example>\nS: 452 4.5.3 Too many recipients\n" GO
            "C: x\nC: .\nS: 451 4.3.0 The message could not be stored, try again later\n" MAIL_OK
                RCPT_OK GO);
    fake.accept_fails = err_of(ERR_FULL);
    talk(s, "C: x\nC: .\nS: 452 4.3.1 Not enough room on disk, try again later\n" QUIT);
    hear_end(s);
}

static void what_cannot_be_taken_is_refused(void **state)
{
    play("  limits: { received-fields: 10, recipients: 100, header-size: 1024B }\n", refuses);
    (void)state;
}

static void fails_in_the_middle(struct scene *scene)
{
    struct stream *s = client(scene);

    fake.add_fails = err_of(ERR_DISK);
    talk(s, OPENED);
    for (unsigned i = 0; i < 20000; i++) {
        put(s, STR("0123456789\r\n"));
    }
    talk(s, "C: .\nS: 451 4.3.0 The message could not be stored, try again later\n" MAIL_OK);
    assert_int_equal(fake.abandoned, 1);
    /* And a client that goes away in the middle of a large message. */
    fake.add_fails = ERR_OK;
    talk(s, RCPT_OK GO);
    for (unsigned i = 0; i < 20000; i++) {
        put(s, STR("0123456789\r\n"));
    }
    assert_int_equal(stream_flush(s, when_after(10000)).code, OK);
    stream_close(s);
    while (inbound_sessions(scene->in) > 0) {
        assert_int_equal(signal_wait(&scene->in->came_home, "end", when_after(10000)).code, OK);
    }
    assert_int_equal(fake.abandoned, 2);
    assert_int_equal(fake.accepted, 0);
}

static void a_body_that_comes_to_nothing_is_abandoned(void **state)
{
    play("", fails_in_the_middle);
    (void)state;
}

static void too_many(struct scene *scene)
{
    struct stream *a = client(scene), *b = client(scene), *c;

    talk(a, "S: 220 mx.example.org ESMTP Postyard\n");
    talk(b, "S: 220 mx.example.org ESMTP Postyard\n");
    c = client(scene);
    talk(c, "S: 421 4.7.0 Too many connections from your address\n");
    hear_end(c);
    talk(a, QUIT);
    hear_end(a);
    while (inbound_sessions(scene->in) > 1) {
        assert_int_equal(signal_wait(&scene->in->came_home, "end", when_after(10000)).code, OK);
    }
    c = client(scene);
    talk(c, "S: 220 mx.example.org ESMTP Postyard\n" QUIT);
    hear_end(c);
    talk(b, QUIT);
    hear_end(b);
}

static void an_address_has_so_many_sessions(void **state)
{
    play("  trusted-networks: []\n  limits: { sessions-per-address: 2 }\n", too_many);
    (void)state;
}

static void lacks_memory(struct scene *scene)
{
    struct stream *s = client(scene), *late;

    talk(s, GREETED);
    atomic_fetch_add(&scene->in->place.held, 17U * 1024 * 1024);
    late = client(scene);
    talk(late, "S: 421 4.3.2 Out of memory for now, try again later\n");
    hear_end(late);
    talk(s, "C: MAIL FROM:<a@b.example>\nS: 421 4.3.2 Out of memory for now, try again later\n");
    hear_end(s);
    /* And a message that begins in time ends when there is none left. */
    atomic_fetch_sub(&scene->in->place.held, 17U * 1024 * 1024);
    s = client(scene);
    talk(s, OPENED);
    atomic_fetch_add(&scene->in->place.held, 17U * 1024 * 1024);
    talk(s, "C: x\nC: .\nS: 421 4.3.2 Out of memory for now, try again later\n");
    hear_end(s);
    atomic_fetch_sub(&scene->in->place.held, 17U * 1024 * 1024);
    assert_int_equal(fake.accepted, 0);
}

static void clients_are_put_off_before_memory_is_used_up(void **state)
{
    play("  memory: 16MiB\n", lacks_memory);
    (void)state;
}

static unsigned rests;

static void count_rests(void *ctx, const struct event_kind *kind, const struct event_field *fields,
                        size_t count)
{
    (void)ctx, (void)fields, (void)count;
    rests += str_eq(str_of(kind->name), STR("listener_rests"));
}

static void lacks_descriptors(struct scene *scene)
{
    struct rlimit before, one;
    int next = dup(0);
    struct stream *s;

    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    one = before;
    one.rlim_cur = (rlim_t)next + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &one), 0);
    rests = 0;
    s = client(scene); /* takes the last one */
    while (rests < 1) {
        assert_int_equal(fiber_yield(when_after(10000)).code, OK);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    talk(s, GREETED QUIT);
    hear_end(s);
    assert_int_equal(rests, 1);
}

static void without_descriptors_accepting_rests(void **state)
{
    play("", lacks_descriptors);
    (void)state;
}

static void stop_now(void *arg)
{
    struct scene *scene = arg;

    inbound_stop(scene->in, 100, WHEN_NEVER);
}

static void stops(struct scene *scene)
{
    struct stream *idle = client(scene), *busy = client(scene), *stuck = client(scene);
    struct stream *storing = client(scene), *late;

    talk(idle, GREETED);
    talk(busy, GREETED MAIL_OK);
    talk(stuck, OPENED "C: half a message\n");
    talk(storing, OPENED);
    fake.hang = true;
    talk(storing, "C: x\nC: .\n");
    assert_int_equal(group_spawn_now(&scene->group, "stop", stop_now, scene).code, OK);
    hear(idle, STR("421 4.3.2 Going down, closing connection\r\n"));
    hear_end(idle);
    assert_true(stream_connect(scene->at, (struct addr){0}, &late, when_after(5000)).code != OK);
    /* A transaction that is open goes on, and then it is over. */
    fake.hang = false;
    signal_raise(&fake.released);
    hear(storing, STR("250 2.0.0 Ok: queued as 0000000000000002\r\n"
                      "421 4.3.2 Going down, closing connection\r\n"));
    hear_end(storing);
    talk(busy, RCPT_OK GO "C: x\nC: .\nS: 250 2.0.0 Ok: queued as 0000000000000003\n"
                          "S: 421 4.3.2 Going down, closing connection\n");
    hear_end(busy);
    hear(stuck, STR("421 4.3.2 Going down, closing connection\r\n"));
    hear_end(stuck);
}

static void stopping_lets_transactions_end(void **state)
{
    play("", stops);
    (void)state;
}

static void reloads(struct scene *scene)
{
    struct stream *s = client(scene);
    struct faults faults = {0};
    struct buf why BUF_LOCAL = {0};
    struct policy *p = policy_of("  local-domains: [y.example]\n  postmaster: admin@y.example\n"
                                 "  trusted-networks: [192.0.2.0/24]\n",
                                 scene->at.port, &faults);

    must_load(p, &faults);
    talk(s, GREETED MAIL_OK "C: RCPT TO:<x@z.example>\nS: 250 2.1.5 Recipient ok\n");
    assert_int_equal(inbound_use(scene->in, p, &why, WHEN_NEVER).code, OK);
    /* The transaction keeps what it began with; the next one does not. */
    talk(s, "C: RCPT TO:<x2@z.example>\nS: 250 2.1.5 Recipient ok\n"
            "C: RSET\nS: 250 2.0.0 Reset\n" MAIL_OK
            "C: RCPT TO:<x@z.example>\nS: 550 5.7.1 Relaying denied\n" RCPT_OK QUIT);
    hear_end(s);

    /* One that cannot be had leaves all as it is. */
    p = policy_of("", 1, &faults);
    must_load(p, &faults);
    if (getuid() != 0) {
        assert_int_not_equal(inbound_use(scene->in, p, &why, WHEN_NEVER).code, OK);
    } else {
        policy_drop(p);
    }
    s = client(scene);
    talk(s, GREETED QUIT);
    hear_end(s);
}

static void a_reload_holds_from_the_next_mail_on(void **state)
{
    play("", reloads);
    (void)state;
}

/* Takes up the same policy again, with a certificate. */
static void offer_tls(struct scene *scene, bool broken)
{
    struct faults faults = {0};
    struct buf why BUF_LOCAL = {0};
    struct policy *p = policy_of(scene->extra, scene->at.port, &faults);

    must_load(p, &faults);
    p->tls = tls_server_sim((struct tls_sim){.names = STR("mx.example.org"), .broken = broken});
    assert_int_equal(inbound_use(scene->in, p, &why, WHEN_NEVER).code, OK);
}

#define GREETED_TLS                                                                                \
    "S: 220 mx.example.org ESMTP Postyard\nC: EHLO client.example\nS: 250-mx.example.org\n"        \
    "S: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-CHUNKING\nS: 250-BINARYMIME\n"    \
    "S: 250-ENHANCEDSTATUSCODES\nS: 250-DSN\nS: 250-STARTTLS\nS: 250 SIZE 104857600\n"
#define READY "C: STARTTLS\nS: 220 2.0.0 Ready to start TLS\n"

static void starts_tls(struct scene *scene)
{
    struct tls_client *tls = tls_client_opportunistic();
    struct stream *s;

    offer_tls(scene, false);
    s = client(scene);
    talk(s, GREETED_TLS MAIL_OK READY);
    assert_int_equal(tls_connect(s, tls, STR("mx.example.org"), when_after(10000)).code, OK);
    /* What was before is forgotten, and STARTTLS is not offered again. */
    talk(s, "C: MAIL FROM:<a@b.example>\nS: 503 5.5.1 Say EHLO or HELO first\n"
            "C: EHLO client.example\nS: 250-mx.example.org\nS: 250-PIPELINING\n"
            "S: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-CHUNKING\nS: 250-BINARYMIME\n"
            "S: 250-ENHANCEDSTATUSCODES\nS: 250-DSN\nS: 250 SIZE 104857600\n"
            "C: STARTTLS\nS: 503 5.5.1 TLS is active already\n" MAIL_OK RCPT_OK GO
            "C: x\nC: .\nS: 250 2.0.0 Ok: queued as 0000000000000001\n" QUIT);
    hear_end(s);
    assert_true(str_find_str(buf_str(&fake.content), STR(" with ESMTPS")) != STR_NONE);

    /* Commands sent in the clear behind STARTTLS are never read as if they were protected. */
    s = client(scene);
    talk(s, GREETED_TLS "C: STARTTLS\nC: MAIL FROM:<evil@b.example>\n"
                        "S: 501 5.5.4 Bytes were sent behind STARTTLS; closing connection\n");
    hear_end(s);

    /* A handshake that fails ends the session; nothing goes on in the clear. */
    offer_tls(scene, true);
    s = client(scene);
    talk(s, GREETED_TLS READY);
    assert_int_not_equal(tls_connect(s, tls, STR("mx.example.org"), when_after(10000)).code, OK);
    stream_close(s);
    tls_client_drop(tls);
}

static void starttls_begins_anew(void **state)
{
    play_sim("", starts_tls);
    (void)state;
}

/* Waits for the server's last words; answers how many seconds that took. */
static int64_t seconds_until(struct stream *s, const char *want)
{
    struct when began = clock_now();
    struct str last = str_of(want);

    while (stream_buffered(s).len < last.len &&
           stream_fill(s, "last words", WHEN_NEVER).code == OK) {
    }
    hear(s, last);
    hear_end(s);
    return (clock_now().ns - began.ns + NS_PER_S / 2) / NS_PER_S;
}

static void waits(struct scene *scene)
{
    static const char idle[] = "421 4.4.2 Idle for too long, closing connection\r\n";
    static const char slow[] = "421 4.4.2 The message took too long, closing connection\r\n";
    struct stream *s = client(scene);
    struct when began;

    /* No command, and half a command. */
    talk(s, GREETED);
    assert_int_equal(seconds_until(s, idle), 300);
    s = client(scene);
    talk(s, GREETED MAIL_OK "R: RCPT TO\n");
    assert_int_equal(seconds_until(s, idle), 300);
    /* A command that drips does not last longer. */
    s = client(scene);
    talk(s, GREETED);
    began = clock_now();
    for (int i = 0; i < 4; i++) {
        talk(s, "R: x\n");
        assert_int_equal(fiber_sleep(when_after(60000), WHEN_NEVER).code, OK);
    }
    (void)seconds_until(s, idle);
    assert_int_equal((clock_now().ns - began.ns + NS_PER_S / 2) / NS_PER_S, 300);
    /* Content that stops, and content that drips. */
    s = client(scene);
    talk(s, OPENED "C: half\n");
    assert_int_equal(seconds_until(s, slow), 120);
    s = client(scene);
    talk(s, OPENED);
    began = clock_now();
    for (int i = 0; i < 59; i++) {
        talk(s, "C: drip\n");
        assert_int_equal(fiber_sleep(when_after(60000), WHEN_NEVER).code, OK);
    }
    (void)seconds_until(s, slow);
    assert_int_equal((clock_now().ns - began.ns + NS_PER_S / 2) / NS_PER_S, 3600);
    assert_int_equal(fake.accepted, 0);
}

static void nobody_may_take_for_ever(void **state)
{
    play_sim("  limits: { data: 2m }\n", waits);
    (void)state;
}

static void stops_in_time(struct scene *scene)
{
    struct stream *s = client(scene);
    struct when began = clock_now();

    talk(s, OPENED "C: half\n");
    inbound_stop(scene->in, 30000, WHEN_NEVER);
    assert_int_equal((clock_now().ns - began.ns + NS_PER_S / 2) / NS_PER_S, 30);
    hear(s, STR("421 4.3.2 Going down, closing connection\r\n"));
    hear_end(s);
}

static void a_transaction_has_so_long_when_we_stop(void **state)
{
    play_sim("", stops_in_time);
    (void)state;
}

/* Three loops: home, a worker, and clients that send until the machine stops. */
struct crash {
    struct inbound *in;
    struct loop *home, *worker;
};

static void crash_worker(void *arg)
{
    struct crash *c = arg;

    inbound_serve(c->in, 0);
}

static void crash_home(void *arg)
{
    struct crash *c = arg;
    struct faults faults = {0};
    struct buf why BUF_LOCAL = {0};
    struct policy *p = policy_of("", 2525, &faults);

    must_load(p, &faults);
    (void)inbound_use(c->in, p, &why, WHEN_NEVER);
    (void)fiber_sleep(WHEN_NEVER, WHEN_NEVER);
    inbound_stop(c->in, 30000, WHEN_NEVER);
}

static void crash_client(void *arg)
{
    static const char all[] =
        "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n";
    struct addr at;
    struct err e = ERR_OK;

    (void)arg;
    assert_true(addr_parse(STR("127.0.0.1:2525"), &at));
    while (e.code != ERR_CANCELLED) {
        struct stream *s;

        e = stream_connect(at, (struct addr){0}, &s, when_after(1000));
        if (e.code) {
            e = fiber_sleep(when_after(1), WHEN_NEVER);
            continue;
        }
        e = stream_put(s, str_of(all), when_after(1000));
        for (int i = 0; i < 5500 && !e.code; i++) {
            e = stream_put(s, STR("0123456789\r\n"), when_after(1000));
        }
        e = e.code ? e : stream_put(s, STR(".\r\nQUIT\r\n"), when_after(1000));
        while (!e.code) {
            stream_take(s, stream_buffered(s).len);
            e = stream_fill(s, "replies", when_after(1000));
        }
        stream_close(s);
    }
}

static void crash_clients(void *arg)
{
    struct group g;

    group_init(&g, "clients", 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(group_spawn_now(&g, "client", crash_client, arg).code, OK);
    }
    (void)fiber_sleep(WHEN_NEVER, WHEN_NEVER);
    group_cancel(&g);
    (void)group_join(&g, WHEN_NEVER);
}

static void a_crash_leaves_nothing_behind(void **state)
{
    unsigned accepted = 0;

    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct sim_options o = {.seed = seed, .least = LEVEL_ERROR};
        struct world *w = sim_world(&o);
        struct crash c = {.home = world_loop(w, "home"), .worker = world_loop(w, "worker")};
        struct inbound_options in = {.home = c.home, .workers = &c.worker, .worker_count = 1};

        fake_start();
        c.in = inbound_new(&in);
        loop_main(c.home, crash_home, &c);
        loop_main(c.worker, crash_worker, &c);
        loop_main(world_loop(w, "clients"), crash_clients, &c);
        sim_crash_after(w, (int64_t)seed * 7 * NS_PER_MS / 3);
        world_run(w);
        assert_int_equal(sim_end(w), SIM_CRASHED);
        inbound_free(c.in);
        world_free(w);
        accepted += fake.accepted;
        fake_end();
    }
    assert_true(accepted > 10);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_becomes_a_parcel),
        cmocka_unit_test(what_is_large_goes_to_the_store_in_pieces),
        cmocka_unit_test(strangers_send_to_local_domains_only),
        cmocka_unit_test(what_cannot_be_taken_is_refused),
        cmocka_unit_test(a_body_that_comes_to_nothing_is_abandoned),
        cmocka_unit_test(an_address_has_so_many_sessions),
        cmocka_unit_test(clients_are_put_off_before_memory_is_used_up),
        cmocka_unit_test(without_descriptors_accepting_rests),
        cmocka_unit_test(stopping_lets_transactions_end),
        cmocka_unit_test(a_reload_holds_from_the_next_mail_on),
        cmocka_unit_test(starttls_begins_anew),
        cmocka_unit_test(nobody_may_take_for_ever),
        cmocka_unit_test(a_transaction_has_so_long_when_we_stop),
        cmocka_unit_test(a_crash_leaves_nothing_behind),
    };

    log_tap(count_rests, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
