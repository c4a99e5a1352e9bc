#include "hooks/chain.h"

#include "base/mem.h"
#include "config/config.h"
#include "hooks/call.h"
#include "hooks/milter.h"

struct loading {
    struct chain *chain;
    const struct chain_source *source;
    struct faults *faults;
    struct hook_trusts trusts;
};

/* Where a place inside an expression is in the file. */
static struct position place_of(struct position text, unsigned line, unsigned column)
{
    if (text.line == 0) {
        return text;
    }
    return line <= 1 ? (struct position){text.file, text.line, text.col + column - 1}
                     : (struct position){text.file, text.line + line - 1, column};
}

static void tell_problems(struct loading *l, struct str name, const struct expression *e,
                          const struct expr_problems *problems)
{
    for (const struct expr_problem *each = problems->first; each != NULL; each = each->next) {
        struct position at = place_of(e->at, each->line, each->column);

        if (each->is_warning) {
            fault_warn(l->faults, at, "%.*s.enable: %.*s", STR_ARG(name), STR_ARG(each->message));
        } else {
            fault_error(l->faults, at, "%.*s.enable: %.*s", STR_ARG(name), STR_ARG(each->message));
        }
        if (each->suggestion.len > 0) {
            fault_hint(l->faults, "%.*s", STR_ARG(each->suggestion));
        }
    }
}

static const struct program *compile_enable(struct loading *l, struct str name,
                                            const struct expression *e)
{
    struct expr_problems problems = {0};
    const struct program *program = NULL;
    struct expr_scope scope;
    struct err err;

    if (e->text.len == 0) {
        return NULL;
    }
    enable_scope(&l->chain->services, &scope);
    err = expr_compile(&scope, EXPR_WANTS_BOOL, e->text, &l->chain->arena, &l->chain->patterns,
                       &program, &problems);
    tell_problems(l, name, e, &problems);
    if (err.code != OK && problems.errors == 0) {
        fault_error(l->faults, e->at, "%.*s.enable: %s", STR_ARG(name), err_text(err.code));
    }
    return err.code == OK ? program : NULL;
}

const struct hook_dialect *hook_dialect_of(enum hook_dialect_name name)
{
    static const struct hook_dialect *const dialects[] = {[DIALECT_CLASSIC] = &hook_classic,
                                                          [DIALECT_DRAFT_01] = &hook_draft_01,
                                                          [DIALECT_DRAFT_02] = &hook_draft_02};

    return dialects[name];
}

static enum filter_failure failure(enum filter_failure said, bool tempfail)
{
    return said != FAILURE_UNSAID ? said : tempfail ? FAILURE_TEMPFAIL : FAILURE_ACCEPT;
}

static void add_hook(struct loading *l, const struct config_object *o)
{
    const struct hook_settings *s = o->settings;
    struct chain_item *item = &l->chain->items[l->chain->count++];

    *item = (struct chain_item){
        .name = o->name,
        .kind = &hook_kind,
        .filter = hook_compile(s, l->source, &l->trusts, &l->chain->arena, l->faults),
        .dialect = hook_dialect_of(s->dialect),
        .stages = filter_stages(&s->stages),
        .enable = compile_enable(l, o->name, &s->enable),
        .timeout_ms = s->timeout_ms,
        .on_failure = {[HOOK_CONNECT] = failure(s->on_connect, s->tempfail_on_error),
                       [HOOK_EHLO] = failure(s->on_ehlo, s->tempfail_on_error),
                       [HOOK_MAIL] = failure(s->on_mail, s->tempfail_on_error),
                       [HOOK_RCPT] = failure(s->on_rcpt, s->tempfail_on_error),
                       [HOOK_DATA] = failure(s->on_data, s->tempfail_on_error)},
        .may_weaken = s->may_weaken,
        .bears_malformed = s->dialect != DIALECT_CLASSIC && s->on_malformed == MALFORMED_NONE,
        .shadow = s->shadow,
        .order = s->order,
        .limits = {s->concurrency, s->queue, {s->breaker_failures, s->breaker_pause_ms}}};
    l->chain->stages |= item->stages;
}

/* What is wrong with its settings has been told by their own check. */
static void add_milter(struct loading *l, const struct config_object *o)
{
    const struct milter_settings *s = o->settings;
    struct chain_item *item = &l->chain->items[l->chain->count++];
    struct milter *filter = ARENA_NEW(&l->chain->arena, struct milter);

    milter_make(s, filter);
    *item = (struct chain_item){
        .name = o->name,
        .kind = &filter_milter,
        .filter = filter,
        .stages = filter_stages(&s->stages),
        .enable = compile_enable(l, o->name, &s->enable),
        .timeout_ms = s->stage_timeout_ms,
        .shadow = s->shadow,
        .order = s->order,
        .limits = {s->concurrency, s->queue, {s->breaker_failures, s->breaker_pause_ms}}};
    for (unsigned stage = 0; stage < HOOK_STAGES; stage++) {
        item->on_failure[stage] = s->on_failure;
    }
    l->chain->stages |= item->stages;
}

/* Stable: equal ones stay as they were added, milters before hooks. */
static void sort(struct chain *c)
{
    for (uint32_t i = 1; i < c->count; i++) {
        struct chain_item item = c->items[i];
        uint32_t k = i;

        while (k > 0 && c->items[k - 1].order > item.order) {
            c->items[k] = c->items[k - 1];
            k--;
        }
        c->items[k] = item;
    }
}

bool chain_load(const struct chain_source *source, struct faults *faults, struct chain **ret)
{
    size_t milters, hooks, before = faults->errors;
    const struct config_object *m = config_objects(source->config, &milters_table, &milters);
    const struct config_object *o = config_objects(source->config, &hooks_table, &hooks);
    struct loading l = {.source = source, .faults = faults};

    *ret = NULL;
    if (milters + hooks == 0) {
        return true;
    }
    l.chain = MEM_NEW(struct chain);
    atomic_init(&l.chain->references, 1);
    l.chain->config = config_take(source->config);
    if (source->expr != NULL) {
        l.chain->services = *source->expr;
        l.chain->services.lookups = 0;
    }
    l.chain->items = arena_array(&l.chain->arena, milters + hooks, sizeof *l.chain->items);
    for (size_t i = 0; i < milters; i++) {
        add_milter(&l, &m[i]);
    }
    for (size_t i = 0; i < hooks; i++) {
        add_hook(&l, &o[i]);
    }
    sort(l.chain);
    if (faults->errors > before) {
        chain_drop(l.chain);
        return false;
    }
    *ret = l.chain;
    return true;
}

struct chain *chain_share(struct chain *c)
{
    if (c != NULL) {
        atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    }
    return c;
}

void chain_drop(struct chain *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->items[i].kind->drop != NULL) {
            c->items[i].kind->drop(c->items[i].filter);
        }
    }
    patterns_done(&c->patterns);
    arena_done(&c->arena);
    config_give(c->config);
    mem_free(c);
}
