/* The engine over filters that are scripts: no HTTP, and a clock that costs nothing. */
#include "../unit.h"
#include "base/check.h"
#include "base/mem.h"
#include "hooks/classic_part.h"
#include "hooks/engine.h"
#include "runtime/clock.h"
#include "runtime/sim.h"

enum { FILTERS_MAX = 6 };

/* One filter, and what it was shown last. */
struct script {
    enum hook_action action;
    const char *field, *value; /* added at the top; NULL: none */
    enum err_code error;
    int64_t latency_ms;
    bool is_classic, shadow;
    enum filter_failure on_failure;
    int64_t timeout_ms; /* 0: 30 s */
    struct breaker_limits breaker;
    bool is_unasked; /* its error is none of its own */
    unsigned asked;
    char saw[200]; /* the names of the fields */
};

struct row {
    const char *name;
    enum hook_stage stage;
    struct script filters[FILTERS_MAX];
    unsigned count;
    /* What must come of it. */
    enum hook_action action;
    unsigned code;
    const char *by;
    const char *fields;           /* names, in the end */
    const char *saw[FILTERS_MAX]; /* NULL: it was not asked */
    int64_t took_ms;
};

static void names_of(const struct hook_view *v, char *at, size_t size)
{
    int n = 0;

    at[0] = '\0';
    for (uint32_t i = 0; i < v->field_count; i++) {
        n += snprintf(at + n, size - (size_t)n, "%s%.*s", i > 0 ? " " : "",
                      STR_ARG(v->fields[i].name));
    }
}

static void edit(const struct script *s, void *session, const struct hook_view *view,
                 struct arena *a, struct hook_outcome *ret)
{
    struct hook_field *fields = arena_array(a, view->field_count + 1, sizeof *fields);
    struct hook_edit *e;

    if (s->is_classic) {
        struct hook_pending *p = session;
        struct hook_modification *all = arena_array(a, p->count + 1, sizeof *all);

        for (uint32_t i = 0; i < p->count; i++) {
            all[i] = p->items[i];
        }
        all[p->count] = (struct hook_modification){.type = CLASSIC_ADD_HEADER,
                                                   .answer = ++p->answers,
                                                   .name = str_of(s->field),
                                                   .value = str_of(s->value)};
        p->items = all;
        p->size = ++p->count;
        return;
    }
    fields[0] = (struct hook_field){.name = str_of(s->field), .value = str_of(s->value)};
    for (uint32_t i = 0; i < view->field_count; i++) {
        fields[i + 1] = view->fields[i];
    }
    e = hook_edit_add(ret, a, HOOK_EDIT_FIELDS);
    e->fields = fields;
    e->field_count = view->field_count + 1;
}

static struct err ask(const void *filter, void *session, const struct hook_view *view,
                      struct arena *a, struct hook_outcome *ret, struct buf *why, struct when by)
{
    struct script *s = *(struct script *const *)filter;
    struct err e = s->latency_ms > 0 ? fiber_sleep(when_after(s->latency_ms), by) : ERR_OK;

    s->asked++;
    names_of(view, s->saw, sizeof s->saw);
    if (e.code == OK && s->error != OK) {
        buf_put(why, STR("so says the script"));
        ret->was_unasked = s->is_unasked;
        return err_of(s->error);
    }
    ret->action = s->action;
    if (e.code == OK && s->field != NULL) {
        edit(s, session, view, a, ret);
    }
    return e;
}

static void *begin(const void *filter, const struct hook_view *view)
{
    (void)filter, (void)view;
    return NULL;
}

static void nothing(const void *filter, void *session)
{
    (void)filter, (void)session;
}

static const struct filter_kind fake = {
    .name = "fake", .begin = begin, .ask = ask, .reset = nothing, .end = nothing};

/* ---- a chain of scripts, asked once ---- */

static const char *const letters[FILTERS_MAX] = {"a", "b", "c", "d", "e", "f"};

static struct chain *chain_of(struct script *scripts, unsigned count, enum hook_stage stage)
{
    struct chain *c = MEM_NEW(struct chain);

    atomic_init(&c->references, 1);
    c->items = arena_array(&c->arena, count, sizeof *c->items);
    c->count = count;
    c->stages = 1U << stage;
    for (unsigned i = 0; i < count; i++) {
        struct script *s = &scripts[i], **filter = ARENA_NEW(&c->arena, struct script *);

        *filter = s;
        c->items[i] = (struct chain_item){
            .name = str_of(letters[i]),
            .kind = &fake,
            .filter = filter,
            .dialect = s->is_classic ? &hook_classic : NULL,
            .stages = 1U << stage,
            .timeout_ms = s->timeout_ms > 0 ? s->timeout_ms : 30000,
            .shadow = s->shadow,
            .limits = {.concurrency = 10, .queue = 10, .breaker = s->breaker}};
        for (unsigned k = 0; k < HOOK_STAGES; k++) {
            c->items[i].on_failure[k] = s->on_failure;
        }
    }
    return c;
}

static void view_of(enum hook_stage stage, struct hook_view *ret)
{
    static const struct hook_field subject = {STR_INIT("Subject"), STR_INIT(" x"),
                                              STR_INIT("Subject: x\r\n")};
    static const struct hook_rcpt to = {
        .address = STR_INIT("b@y.example"), .last.text = STR_INIT(""), .queue = STR_INIT("")};

    *ret = (struct hook_view){.stage = stage,
                              .reply.text = STR_EMPTY,
                              .server_name = STR("mx.example.org"),
                              .sender = STR("a@x.example"),
                              .body.whole = STR("Hello.\r\n"),
                              .body.size = 8};
    if (stage >= HOOK_MAIL) {
        ret->has_sender = true;
    }
    if (stage >= HOOK_RCPT) {
        ret->to = &to;
        ret->to_count = 1;
    }
    if (stage == HOOK_DATA) {
        ret->has_message = true;
        ret->fields = &subject;
        ret->field_count = 1;
        ret->message_bytes = 12 + 2 + 8;
    }
}

struct trial {
    struct engine *engine;
    struct chain *chain;
    struct hook_view view;
    struct arena arena;
    struct verdict verdict;
    struct err result;
    int64_t took_ms;
};

static void trial_begin(struct trial *t, struct script *scripts, unsigned count,
                        enum hook_stage stage)
{
    struct loop *loop = loop_self();
    struct engine_options o = {.home = loop, .loops = &loop, .loop_count = 1};

    *t = (struct trial){.engine = engine_new(&o), .chain = chain_of(scripts, count, stage)};
    engine_use(t->engine, t->chain);
    view_of(stage, &t->view);
}

static void trial_ask(struct trial *t)
{
    struct engine_question q = {.view = &t->view, .bounds = {1000, 100, 100000, 1000000}};
    struct talk *talk = talk_new(t->engine, t->chain, &t->view);
    struct when began = clock_now();

    t->result = engine_ask(talk, &q, &t->arena, &t->verdict, WHEN_NEVER);
    t->took_ms = (clock_now().ns - began.ns) / NS_PER_MS;
    talk_reset(talk);
    talk_free(talk);
}

static void trial_end(struct trial *t)
{
    (void)fiber_sleep(when_after(1000), WHEN_NEVER); /* those who left have come home */
    chain_drop(t->chain);
    engine_loop_stop(t->engine, WHEN_NEVER);
    engine_free(t->engine);
    arena_done(&t->arena);
}

static void in_a_world(void (*fn)(void *), void *arg)
{
    struct world *w = sim_world(NULL);

    loop_main(world_loop(w, "test"), fn, arg);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
}

/* ---- tables ---- */

#define ADDS(name) .field = name, .value = "1"
#define CLASSIC(name)                                                                              \
    {                                                                                              \
        .is_classic = true, ADDS(name)                                                             \
    }

static const struct row rows[] = {
    {"nobody objects",
     HOOK_DATA,
     {{0}, {0}},
     2,
     HOOK_ACCEPT,
     0,
     "",
     "Subject",
     {"Subject", "Subject"},
     0},
    {"a filter sees what the one before it did",
     HOOK_DATA,
     {{ADDS("X-A")}, {ADDS("X-B")}, {0}},
     3,
     HOOK_ACCEPT,
     0,
     "",
     "X-B X-A Subject",
     {"Subject", "X-A Subject", "X-B X-A Subject"},
     0},
    {"classic hooks see the mail as it came",
     HOOK_DATA,
     {CLASSIC("X-A"), CLASSIC("X-B")},
     2,
     HOOK_ACCEPT,
     0,
     "",
     "X-A X-B Subject",
     {"Subject", "Subject"},
     0},
    {"classic edits are there before a filter of another kind",
     HOOK_DATA,
     {CLASSIC("X-A"), {ADDS("X-F")}, CLASSIC("X-B"), {0}},
     4,
     HOOK_ACCEPT,
     0,
     "",
     "X-B X-F X-A Subject",
     {"Subject", "X-A Subject", "X-F X-A Subject", "X-B X-F X-A Subject"},
     0},
    {"a rejection ends it and forgets all edits",
     HOOK_DATA,
     {CLASSIC("X-A"), {ADDS("X-F")}, {.action = HOOK_REJECT}, {0}},
     4,
     HOOK_REJECT,
     0,
     "c",
     NULL,
     {"Subject", "X-A Subject", "X-F X-A Subject", NULL},
     0},
    {"so does discarding",
     HOOK_RCPT,
     {{.action = HOOK_DISCARD}, {0}},
     2,
     HOOK_DISCARD,
     0,
     "a",
     NULL,
     {"", NULL},
     0},
    {"and disconnecting",
     HOOK_CONNECT,
     {{.action = HOOK_DISCONNECT}, {0}},
     2,
     HOOK_DISCONNECT,
     0,
     "a",
     NULL,
     {"", NULL},
     0},
    {"quarantine goes on, and no later word weakens it",
     HOOK_DATA,
     {{.action = HOOK_QUARANTINE}, {ADDS("X-B")}, {0}},
     3,
     HOOK_QUARANTINE,
     0,
     "a",
     "X-B Subject",
     {"Subject", "Subject", "X-B Subject"},
     0},
    {"a classic quarantine ends the chain",
     HOOK_DATA,
     {{.is_classic = true, .action = HOOK_QUARANTINE, ADDS("X-A")}, {0}},
     2,
     HOOK_QUARANTINE,
     0,
     "a",
     "X-A Subject",
     {"Subject", NULL},
     0},
    {"before a transaction nothing can be held",
     HOOK_EHLO,
     {{.action = HOOK_QUARANTINE, .on_failure = FAILURE_TEMPFAIL}},
     1,
     HOOK_REJECT,
     451,
     "a",
     NULL,
     {""},
     0},
    {"edits before the data spoil the answer",
     HOOK_MAIL,
     {{ADDS("X-A"), .on_failure = FAILURE_TEMPFAIL}},
     1,
     HOOK_REJECT,
     451,
     "a",
     NULL,
     {""},
     0},
    {"one bad edit spoils the answer and leaves the others'",
     HOOK_DATA,
     {CLASSIC("X-A"),
      {.is_classic = true,
       .field = "X-B",
       .value = "1\r\nBcc: eve@x.example",
       .on_failure = FAILURE_ACCEPT},
      CLASSIC("X-C")},
     3,
     HOOK_ACCEPT,
     0,
     "",
     "X-A X-C Subject",
     {"Subject", "Subject", "Subject"},
     0},
    {"the same of another kind",
     HOOK_DATA,
     {{ADDS("X-A")}, {.field = "X B", .value = "1", .on_failure = FAILURE_ACCEPT}, {ADDS("X-C")}},
     3,
     HOOK_ACCEPT,
     0,
     "",
     "X-C X-A Subject",
     {"Subject", "X-A Subject", "X-A Subject"},
     0},
    {"a failure may be passed over",
     HOOK_DATA,
     {{.error = ERR_CLOSED, .on_failure = FAILURE_ACCEPT}, {ADDS("X-B")}},
     2,
     HOOK_ACCEPT,
     0,
     "",
     "X-B Subject",
     {"Subject", "Subject"},
     0},
    {"or put mail off",
     HOOK_DATA,
     {{ADDS("X-A")}, {.error = ERR_CLOSED, .on_failure = FAILURE_TEMPFAIL}, {0}},
     3,
     HOOK_REJECT,
     451,
     "b",
     NULL,
     {"Subject", "X-A Subject", NULL},
     0},
    {"or refuse it",
     HOOK_RCPT,
     {{.error = ERR_PROTOCOL, .on_failure = FAILURE_REJECT}, {0}},
     2,
     HOOK_REJECT,
     550,
     "a",
     NULL,
     {"", NULL},
     0},
    {"or hold it",
     HOOK_DATA,
     {{.error = ERR_TLS, .on_failure = FAILURE_QUARANTINE}, {ADDS("X-B")}},
     2,
     HOOK_QUARANTINE,
     0,
     "a",
     "X-B Subject",
     {"Subject", "Subject"},
     0},
    {"in shadow nothing follows",
     HOOK_DATA,
     {{.shadow = true, .action = HOOK_REJECT},
      {.shadow = true, ADDS("X-B")},
      {.shadow = true, .is_classic = true, ADDS("X-C")},
      {.shadow = true, .error = ERR_CLOSED, .on_failure = FAILURE_REJECT},
      {ADDS("X-E")}},
     5,
     HOOK_ACCEPT,
     0,
     "",
     "X-E Subject",
     {"Subject", "Subject", "Subject", "Subject", "Subject"},
     0},
    {"a slow one is waited for as long as it may",
     HOOK_DATA,
     {{.latency_ms = 5000, .timeout_ms = 2000, .on_failure = FAILURE_ACCEPT}, {ADDS("X-B")}},
     2,
     HOOK_ACCEPT,
     0,
     "",
     "X-B Subject",
     {"Subject", "Subject"},
     2000},
    {"and all of a stage together for a minute",
     HOOK_MAIL,
     {{.latency_ms = 25000},
      {.latency_ms = 25000},
      {.latency_ms = 25000, .on_failure = FAILURE_ACCEPT},
      {.on_failure = FAILURE_REJECT}},
     4,
     HOOK_REJECT,
     550,
     "d",
     NULL,
     {"", "", "", NULL},
     60000},
    {"at the end of the data for two",
     HOOK_DATA,
     {{.latency_ms = 70000, .timeout_ms = 90000},
      {.latency_ms = 70000, .timeout_ms = 90000, .on_failure = FAILURE_TEMPFAIL}},
     2,
     HOOK_REJECT,
     451,
     "b",
     NULL,
     {"Subject", "Subject"},
     120000},
};

static void run_row(void *arg)
{
    const struct row *r = arg;
    struct script scripts[FILTERS_MAX];
    struct trial t;
    char fields[200];

    memcpy(scripts, r->filters, sizeof scripts);
    trial_begin(&t, scripts, r->count, r->stage);
    trial_ask(&t);
    assert_int_equal(t.result.code, OK);
    assert_int_equal(t.verdict.action, r->action);
    assert_int_equal(t.verdict.reply.code, r->code);
    EXPECT_STR(t.verdict.by, r->by);
    assert_int_equal(t.took_ms, r->took_ms);
    for (unsigned i = 0; i < r->count; i++) {
        assert_int_equal(scripts[i].asked, r->saw[i] != NULL);
        EXPECT_STR(str_of(scripts[i].saw), r->saw[i] != NULL ? r->saw[i] : "");
    }
    if (r->fields != NULL) {
        names_of(&t.verdict.view, fields, sizeof fields);
        EXPECT_STR(str_of(fields), r->fields);
        assert_int_equal(t.verdict.changed != 0, strcmp(r->fields, "Subject") != 0);
    } else {
        assert_int_equal(t.verdict.changed, 0);
    }
    trial_end(&t);
}

static void what_comes_of_a_chain(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct row row = rows[i];

        print_message("         %s\n", row.name);
        in_a_world(run_row, &row);
    }
    (void)state;
}

/* ---- over several questions ---- */

static void fails_and_comes_back(void *arg)
{
    struct script s[1] = {{.error = ERR_CLOSED,
                           .on_failure = FAILURE_TEMPFAIL,
                           .breaker = {.failures = 3, .pause_ms = 10000}}};
    struct trial t;

    (void)arg;
    trial_begin(&t, s, 1, HOOK_MAIL);
    for (unsigned i = 0; i < 3; i++) {
        trial_ask(&t);
    }
    assert_int_equal(s[0].asked, 3);
    trial_ask(&t);
    assert_int_equal(s[0].asked, 3); /* shunned: the policy speaks at once */
    assert_int_equal(t.verdict.reply.code, 451);
    (void)fiber_sleep(when_after(9000), WHEN_NEVER);
    trial_ask(&t);
    assert_int_equal(s[0].asked, 3);
    (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    s[0].error = OK;
    trial_ask(&t);
    assert_int_equal(s[0].asked, 4);
    assert_int_equal(t.verdict.action, HOOK_ACCEPT);
    trial_ask(&t);
    assert_int_equal(s[0].asked, 5);
    trial_end(&t);
}

static void a_filter_that_fails_too_often_is_left_alone_for_a_while(void **state)
{
    in_a_world(fails_and_comes_back, NULL);
    (void)state;
}

static void is_not_asked(void *arg)
{
    struct script s[1] = {{.error = ERR_LIMIT,
                           .is_unasked = true,
                           .on_failure = FAILURE_TEMPFAIL,
                           .breaker = {.failures = 2, .pause_ms = 10000}}};
    struct filter_counts c;
    struct trial t;

    (void)arg;
    trial_begin(&t, s, 1, HOOK_MAIL);
    for (unsigned i = 0; i < 5; i++) {
        trial_ask(&t);
        assert_int_equal(t.verdict.reply.code, 451); /* the policy speaks all the same */
    }
    c = state_counts(t.chain->items[0].state);
    assert_int_equal(c.asked + c.failed + c.refused + c.latency_us, 0);
    s[0].error = OK;
    s[0].is_unasked = false;
    trial_ask(&t);
    assert_int_equal(s[0].asked, 6); /* never shunned */
    assert_int_equal(t.verdict.action, HOOK_ACCEPT);
    assert_int_equal(state_counts(t.chain->items[0].state).asked, 1);
    trial_end(&t);
}

static void mail_that_a_filter_is_not_shown_shuns_it_for_nobody(void **state)
{
    in_a_world(is_not_asked, NULL);
    (void)state;
}

struct cut {
    struct trial t;
    bool is_back;
};

static void asks(void *arg)
{
    struct cut *c = arg;

    trial_ask(&c->t);
    c->is_back = true;
}

static void is_cut(void *arg)
{
    struct script s[2] = {{.latency_ms = 20000, .breaker = {.failures = 1, .pause_ms = 10000}}};
    struct group g;
    struct cut c = {0};

    (void)arg;
    trial_begin(&c.t, s, 2, HOOK_MAIL);
    group_init(&g, "asking", 1);
    assert_int_equal(group_spawn_now(&g, "asks", asks, &c).code, OK);
    (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    assert_false(c.is_back);
    group_cancel(&g);
    assert_int_equal(group_join(&g, WHEN_NEVER).code, OK);
    assert_true(c.is_back);
    assert_int_equal(c.t.result.code, ERR_CANCELLED);
    assert_int_equal(s[1].asked, 0);
    /* That was no failure of the filter. */
    s[0].latency_ms = 0;
    trial_ask(&c.t);
    assert_int_equal(c.t.verdict.action, HOOK_ACCEPT);
    assert_int_equal(s[1].asked, 1);
    trial_end(&c.t);
}

static void a_session_that_is_cut_asks_nobody_further_and_blames_nobody(void **state)
{
    in_a_world(is_cut, NULL);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_of_a_chain),
        cmocka_unit_test(a_filter_that_fails_too_often_is_left_alone_for_a_while),
        cmocka_unit_test(mail_that_a_filter_is_not_shown_shuns_it_for_nobody),
        cmocka_unit_test(a_session_that_is_cut_asks_nobody_further_and_blames_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
