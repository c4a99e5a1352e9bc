/* Hooks as a configuration has them, asked in a simulated world: what is done where, and what is
 * sent. */
#include "../tls/certificates.h"
#include "../unit.h"
#include "base/check.h"
#include "base/mem.h"
#include "config/config.h"
#include "hooks/call.h"
#include "hooks/engine.h"
#include "hooks/milter_settings.h"
#include "http/fetch.h"
#include "runtime/clock.h"
#include "runtime/sim.h"
#include "runtime/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- what is not done on the loop ---- */

static struct {
    char names[512];
    const struct world_ops *real;
} away;

static void note_away(const char *what, void (*fn)(void *), void *arg, struct when by)
{
    size_t n = strlen(away.names);

    snprintf(away.names + n, sizeof away.names - n, "%s%s", n > 0 ? ", " : "", what);
    away.real->offload(what, fn, arg, by);
}

/* ---- the scanner: it takes what is offered, and has nothing to say of mail ---- */

static struct {
    unsigned registrations, calls;
    uint64_t sent, announced; /* bytes of the last call */
    bool is_whole;            /* it left with its head */
} scanner;

static void grant(struct fetch_answer *ret)
{
    ret->status = 201;
    ret->body = STR("{\"registrationId\":\"r\",\"status\":\"active\",\"createdAt\":null,"
                    "\"expiresAt\":null,\"hookEndpoint\":\"/invoke\",\"endpoints\":{\"status\":"
                    "\"/status\",\"deregistration\":\"/reg/r\"},\"negotiated\":{\"serialization\":"
                    "\"json\",\"inbound\":{\"stages\":[\"data\"],\"properties\":[\"/stage\","
                    "\"/action\",\"/message\",\"/rawMessage\"]}}}");
}

static struct err answer(void *ctx, const struct fetch_request *r, struct arena *a,
                         struct fetch_answer *ret, struct buf *why, struct when by)
{
    struct str body;
    struct err e;

    (void)ctx, (void)why;
    *ret = (struct fetch_answer){.status = 200,
                                 .content_type = STR("application/json"),
                                 .body = STR("{\"action\":\"accept\"}")};
    if (str_eq(r->target->path, STR("/reg"))) {
        scanner.registrations++;
        grant(ret);
        return ERR_OK;
    }
    if (str_eq(r->method, STR("DELETE"))) {
        return ERR_OK;
    }
    if (str_eq(r->target->path, STR("/invoke"))) {
        ret->body = STR("{}");
    }
    e = fetch_request_body(r, a, &body, by);
    scanner.calls++;
    scanner.is_whole = r->source == NULL;
    scanner.announced = r->source != NULL ? r->source->length : r->body.len;
    scanner.sent = body.len;
    return e;
}

/* ---- a world with one hook ---- */

static const struct setting_table *const tables[] = {&hooks_table, &milters_table};

static struct chain *load(const char *text)
{
    struct config_options o = {.tables = tables, .table_count = COUNT_OF(tables), .number = 7};
    struct faults faults = {0};
    struct buf out BUF_LOCAL = {0};
    struct config *cfg = config_parse(&o, STR("f"), str_of(text), &faults);
    struct chain_source source = {
        .config = cfg, .message_bytes_max = 100 << 20, .hostname = STR("mx.example")};
    struct chain *ret = NULL;

    if (cfg == NULL || !chain_load(&source, &faults, &ret)) {
        faults_print(&faults, &out);
        EXPECT_STR(buf_str(&out), "");
    }
    config_give(cfg);
    faults_done(&faults);
    return ret;
}

struct trial {
    struct engine *engine;
    struct chain *chain;
    size_t body_bytes, field_bytes;
    bool is_read; /* the body is not at hand */
    struct str body;
};

static struct err read_body(void *ctx, uint64_t offset, struct buf *into, struct str *ret,
                            struct when by)
{
    const struct trial *t = ctx;

    (void)into, (void)by;
    *ret = str_head(str_skip(t->body, (size_t)offset), 64 * 1024);
    return ERR_OK;
}

static void view_of(struct trial *t, struct arena *a, struct hook_view *ret)
{
    static const struct hook_rcpt to = {
        .address = STR_INIT("b@y.example"), .last.text = STR_INIT(""), .queue = STR_INIT("")};
    char *body = arena_array(a, t->body_bytes + 1, 1);
    struct hook_field *field = ARENA_NEW(a, struct hook_field);
    struct buf whole BUF_LOCAL = {0};

    for (size_t i = 0; i < t->body_bytes; i++) {
        body[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : '"';
    }
    t->body = str_make(body, t->body_bytes);
    buf_printf(&whole, "Subject:");
    for (size_t i = 0; i < t->field_bytes; i += 10) {
        buf_put(&whole, STR(" 1234567\r\n"));
    }
    *field = (struct hook_field){STR("Subject"), STR(" 1234567"), arena_dup(a, buf_str(&whole))};
    *ret = (struct hook_view){.stage = HOOK_DATA,
                              .reply.text = STR_EMPTY,
                              .server_name = STR("mx.example.org"),
                              .has_sender = true,
                              .sender = STR("a@x.example"),
                              .to = &to,
                              .to_count = 1,
                              .has_message = true,
                              .fields = field,
                              .field_count = 1,
                              .body = {.size = t->body.len, .whole = t->body},
                              .message_bytes = whole.len + 2 + t->body.len};
    if (t->is_read) {
        ret->body = (struct hook_bytes){.size = t->body.len, .read = read_body, .ctx = t};
    }
}

static void ask_once(struct trial *t)
{
    struct arena a ARENA_LOCAL = {0};
    struct hook_view view;
    struct engine_question q = {.view = &view, .bounds = {1000, 100, 1 << 20, 100 << 20}};
    struct verdict verdict;
    struct talk *talk;

    view_of(t, &a, &view);
    talk = talk_new(t->engine, t->chain, &view);
    assert_int_equal(engine_ask(talk, &q, &a, &verdict, WHEN_NEVER).code, OK);
    talk_free(talk);
    assert_false(verdict.is_failure);
    assert_true(scanner.sent == scanner.announced);
}

static void run(void *arg)
{
    struct trial *t = arg;
    struct loop *loop = loop_self();
    struct engine_options o = {.home = loop, .loops = &loop, .loop_count = 1};

    t->engine = engine_new(&o);
    engine_use(t->engine, t->chain);
    ask_once(t);
    (void)fiber_sleep(when_after(1000), WHEN_NEVER); /* those who left have come home */
    engine_home_stop(t->engine, WHEN_NEVER);
    engine_loop_stop(t->engine, WHEN_NEVER);
    chain_drop(t->chain);
    engine_free(t->engine);
}

static void in_a_world(struct trial *t, void (*fn)(void *))
{
    struct fetch_sim sim = {answer, NULL};
    struct world *w = sim_world(NULL);
    struct world_ops ops = *w->ops;

    away.names[0] = '\0';
    away.real = w->ops;
    ops.offload = note_away;
    sim_service_set(w, "fetch", &sim);
    w->ops = &ops;
    loop_main(world_loop(w, "test"), fn, t);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    w->ops = away.real;
    world_free(w);
}

/* ---- what is large does not hold the loop (P2) ---- */

#define DRAFT                                                                                      \
    "dialect: draft-01, url: 'http://127.0.0.1/reg', allow-plain: true, discover: false, "         \
    "auth: {bearer: {token: t}}, properties: [/stage, /action, /message, /rawMessage]"
#define BODY_FILTER ", filter: '{\"body\": \"1\"}'"

static const struct {
    const char *name, *hook;
    size_t field_bytes, body_bytes;
    bool is_read;
    const char *away;
} sizes[] = {
    {"a small message", "url: 'http://127.0.0.1/'", 20, 1000, true, ""},
    {"a small message taken apart", DRAFT, 20, 1000, true, ""},
    {"a large body is sent as it is read", "url: 'http://127.0.0.1/'", 20, 200000, true, ""},
    {"a large body at hand", "url: 'http://127.0.0.1/'", 20, 200000, false, "request of a hook"},
    {"a large header", "url: 'http://127.0.0.1/'", 100000, 10, true, "request of a hook"},
    {"a large message taken apart", DRAFT, 20, 200000, true, "request of a hook"},
    {"and looked into before", DRAFT BODY_FILTER, 20, 200000, true, "filter of a hook"},
};

static void what_is_large_is_not_worked_on_by_the_loop(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char text[1000];
        struct trial t = {.field_bytes = sizes[i].field_bytes,
                          .body_bytes = sizes[i].body_bytes,
                          .is_read = sizes[i].is_read};

        snprintf(text, sizeof text, "hooks: [{name: scan, stages: [data], %s}]\n", sizes[i].hook);
        scanner.calls = 0;
        scanner.sent = scanner.announced = 0;
        scanner.is_whole = false;
        t.chain = load(text);
        in_a_world(&t, run);
        if (strcmp(away.names, sizes[i].away) != 0) {
            print_error("%s: away from the loop: %s\n", sizes[i].name, away.names);
        }
        assert_string_equal(away.names, sizes[i].away);
        assert_int_equal(scanner.is_whole, scanner.calls > 0 && scanner.sent <= 48 * 1024);
    }
}

/* ---- a reload ---- */

static char folder[] = "/tmp/call_test.XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[100];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void write_files(const char *ca)
{
    write_file("ca.pem", ca);
    write_file("c.pem", server_pem);
    write_file("k.pem", server_key);
}

static struct config *parse(const char *more, uint64_t number, struct faults *faults)
{
    struct config_options o = {.tables = tables, .table_count = COUNT_OF(tables), .number = number};
    char text[1000];

    snprintf(text, sizeof text,
             "hooks:\n- name: scan\n  stages: [data]\n  dialect: draft-01\n"
             "  url: 'https://192.0.2.9/reg'\n  discover: false\n"
             "  properties: [/stage, /action, /message, /rawMessage]\n"
             "  tls:\n    ca: %s/ca.pem\n    certificate: %s/c.pem\n    key: %s/k.pem\n%s",
             folder, folder, folder, more);
    return config_parse(&o, STR("f"), str_of(text), faults);
}

static struct chain *load_tls(const char *more, uint64_t number)
{
    struct faults faults = {0};
    struct config *cfg = parse(more, number, &faults);
    struct chain_source source = {.config = cfg, .hostname = STR("mx.example")};
    struct chain *ret;

    assert_non_null(cfg);
    assert_true(chain_load(&source, &faults, &ret));
    config_give(cfg);
    faults_done(&faults);
    return ret;
}

/* What comes of each configuration in turn. */
struct reloads {
    struct trial t; /* first: in_a_world */
    struct chain *chains[6];
    unsigned count;
};

static void reload(void *arg)
{
    struct reloads *r = arg;
    struct loop *loop = loop_self();
    struct engine_options o = {.home = loop, .loops = &loop, .loop_count = 1};

    r->t.engine = engine_new(&o);
    for (unsigned i = 0; i < r->count; i++) {
        r->t.chain = r->chains[i];
        engine_use(r->t.engine, r->t.chain);
        if (i > 0) {
            chain_drop(r->chains[i - 1]);
        }
        ask_once(&r->t);
        (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    }
    (void)fiber_sleep(when_after(180 * 1000), WHEN_NEVER); /* calls of older ones are over */
    assert_int_equal(engine_registrations(r->t.engine), 1);
    engine_home_stop(r->t.engine, WHEN_NEVER);
    engine_loop_stop(r->t.engine, WHEN_NEVER);
    chain_drop(r->chains[r->count - 1]);
    engine_free(r->t.engine);
}

/* P11. */
static void a_reload_registers_again_only_where_something_changed(void **state)
{
    struct reloads r = {.t = {.field_bytes = 10, .body_bytes = 10}, .count = 6};
    char twice[3000];

    (void)state;
    scanner.registrations = 0;
    write_files(authority_pem);
    r.chains[0] = load_tls("", 1);
    r.chains[1] = load_tls("", 2);
    write_files(authority_pem); /* written again: the same is in them */
    r.chains[2] = load_tls("  description: a word\n", 3);
    snprintf(twice, sizeof twice, "%s%s", authority_pem, server_pem);
    write_files(twice);
    r.chains[3] = load_tls("", 4);
    r.chains[4] = load_tls("", 5);
    r.chains[5] = load_tls("  timeout: 20s\n", 6);
    in_a_world(&r.t, reload);
    assert_int_equal(scanner.registrations, 3);
}

static void a_file_that_is_no_good_is_told_with_its_line(void **state)
{
    static const struct {
        const char *name, *text; /* NULL: it is not there */
        unsigned line;
        const char *says;
    } rows[] = {
        {"ca.pem", NULL, 9, "authorities"},
        {"ca.pem", "nothing\n", 9, "authorities"},
        {"c.pem", NULL, 10, "No such file"},
        {"c.pem", "nothing\n", 10, "certificate file"},
        {"k.pem", NULL, 11, "key file"},
        {"k.pem", other_key, 11, "not the key of the certificate"},
        {"k.pem", locked_key, 11, "pass phrase"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct faults faults = {0};
        struct chain_source source = {.hostname = STR("mx.example")};
        struct chain *chain = NULL;
        const struct fault *last;
        char path[100];

        write_files(authority_pem);
        if (rows[i].text != NULL) {
            write_file(rows[i].name, rows[i].text);
        } else {
            snprintf(path, sizeof path, "%s/%s", folder, rows[i].name);
            assert_int_equal(remove(path), 0);
        }
        source.config = parse("", 1, &faults);
        assert_non_null(source.config);
        assert_int_equal(faults.errors, 0);
        assert_false(chain_load(&source, &faults, &chain));
        assert_null(chain);
        last = &faults.items[faults.count - 1];
        assert_int_equal(last->level, FAULT_ERROR);
        assert_int_equal(last->at.line, rows[i].line);
        if (str_find_str(last->text, str_of(rows[i].says)) == STR_NONE) {
            EXPECT_STR(last->text, rows[i].says);
        }
        config_give(source.config);
        faults_done(&faults);
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"ca.pem", "c.pem", "k.pem"};
    char path[100];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_large_is_not_worked_on_by_the_loop),
        cmocka_unit_test(a_reload_registers_again_only_where_something_changed),
        cmocka_unit_test(a_file_that_is_no_good_is_told_with_its_line),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
