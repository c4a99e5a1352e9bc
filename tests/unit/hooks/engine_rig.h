/*
 * engine_rig: filters that are scripts, chained and asked in a world of their own: no HTTP, and a
 * clock that costs nothing.
 */
#pragma once

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
