#include "queue/where.h"

#include "base/mem.h"
#include "runtime/fiber.h"
#include "strategy/strategy.h"

struct where {
    struct arena arena;
    struct patterns patterns;
    const struct program *program;
};

static const struct strategy_services no_services;

struct compiling {
    struct where *where;
    struct str text;
    struct expr_problems problems;
    struct err result;
};

static void compile(void *arg)
{
    struct compiling *c = arg;
    struct expr_scope scope;

    strategy_scope(STRATEGY_SCHEDULE, &no_services, &scope);
    scope.place = "where";
    c->result = expr_compile(&scope, EXPR_WANTS_BOOL, c->text, &c->where->arena,
                             &c->where->patterns, &c->where->program, &c->problems);
}

struct err where_compile(struct str text, struct where **ret, struct buf *why)
{
    struct where *w = MEM_NEW(struct where);
    struct compiling c = {.where = w, .text = arena_dup(&w->arena, text)};

    on_big_stack(compile, &c);
    if (c.result.code == OK) {
        *ret = w;
        return ERR_OK;
    }
    for (const struct expr_problem *p = c.problems.first; p != NULL; p = p->next) {
        if (!p->is_warning) {
            buf_printf(why, "%swhere:%u:%u: %.*s", why->len > 0 ? "\n" : "", p->line, p->column,
                       STR_ARG(p->message));
            if (p->suggestion.len > 0) {
                buf_printf(why, " (%.*s)", STR_ARG(p->suggestion));
            }
        }
    }
    where_free(w);
    return c.result;
}

struct reading {
    struct subject subject;
    struct arena *arena;
};

static struct value get(void *ctx, unsigned id)
{
    struct reading *r = ctx;

    return variable_value(&r->subject, id, r->arena);
}

bool where_match(const struct where *w, const struct message *m, const struct recipient *r,
                 struct date now, struct arena *a, const char **failed)
{
    struct reading reading = {.subject = {.message = m, .recipient = r, .facts.now = now},
                              .arena = a};
    struct expr_input input = {.get = get, .ctx = &reading, .services = &no_services.expr};
    struct expr_result result;

    if (expr_eval(w->program, &input, NULL, a, &result) != EXPR_VALUE) {
        *failed = result.why != NULL ? result.why : "it could not be evaluated";
        return false;
    }
    return value_truth(&result.value);
}

void where_free(struct where *w)
{
    if (w == NULL) {
        return;
    }
    patterns_done(&w->patterns);
    arena_done(&w->arena);
    mem_free(w);
}
