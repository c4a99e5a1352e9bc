#include "queue/where.h"

#include "base/mem.h"
#include "runtime/fiber.h"
#include "strategy/strategy.h"

struct where {
    struct arena arena;
    struct patterns patterns;
    const struct program *program;
    struct expr_variable *variables; /* fixed ones, then the values of meta that the text names */
    unsigned fixed_count, variable_count;
};

static const struct strategy_services no_services;

struct compiling {
    struct where *where;
    struct str text;
    struct expr_problems problems;
    struct err result;
};

static bool is_name_byte(char c)
{
    return byte_is_alnum(c) || c == '_';
}

static bool is_there(const struct where *w, struct str name)
{
    for (unsigned i = 0; i < w->variable_count; i++) {
        if (str_eq(str_of(w->variables[i].name), name)) {
            return true;
        }
    }
    return false;
}

/* Mail may wait whose values no configuration declares any more, so any name may stand after
 * "meta."; what a message has not is an empty text, which counts as 0 and false. */
static void add_meta(struct where *w, struct str text, struct expr_scope *scope)
{
    const struct str head = STR("meta.");

    w->fixed_count = w->variable_count = (unsigned)scope->variable_count;
    w->variables = arena_array(&w->arena, EXPR_VARIABLES_MAX, sizeof *w->variables);
    memcpy(w->variables, scope->variables, scope->variable_count * sizeof *w->variables);
    for (size_t at = 0; at + head.len < text.len && w->variable_count < EXPR_VARIABLES_MAX; at++) {
        struct str rest = str_skip(text, at);
        size_t len = head.len;

        if (!str_starts(rest, head) || (at > 0 && is_name_byte(text.ptr[at - 1]))) {
            continue;
        }
        while (len < rest.len && is_name_byte(rest.ptr[len])) {
            len++;
        }
        if (len > head.len && !is_there(w, str_head(rest, len))) {
            w->variables[w->variable_count] = (struct expr_variable){
                .name = arena_z(&w->arena, str_head(rest, len)),
                .type = EXPR_TEXT,
                .id = w->variable_count};
            scope->present |= 1ULL << w->variable_count++;
        }
    }
    scope->variables = w->variables;
    scope->variable_count = w->variable_count;
}

static void compile(void *arg)
{
    struct compiling *c = arg;
    struct expr_scope scope;

    strategy_scope(STRATEGY_SCHEDULE, &no_services, &scope);
    add_meta(c->where, c->text, &scope);
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
    const struct where *where;
    struct subject subject;
    struct arena *arena;
};

static struct value get(void *ctx, unsigned id)
{
    struct reading *r = ctx;
    const struct message_meta *meta;

    if (id < r->where->fixed_count) {
        return variable_value(&r->subject, id, r->arena);
    }
    meta = message_meta(r->subject.message,
                        str_skip(str_of(r->where->variables[id].name), strlen("meta.")));
    return meta == NULL                ? value_text(STR_EMPTY)
           : meta->kind == META_STRING ? value_text(meta->text)
                                       : value_int(meta->number);
}

bool where_match(const struct where *w, const struct message *m, const struct recipient *r,
                 struct date now, struct arena *a, const char **failed)
{
    struct reading reading = {
        .where = w, .subject = {.message = m, .recipient = r, .facts.now = now}, .arena = a};
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
