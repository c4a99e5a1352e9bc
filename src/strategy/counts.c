/*
 * counts: by what limiters and quotas count: the words of `key`, and the expression `match`.
 *
 * Both are read where nobody can wait for a look-up, so match offers none.
 */
#include "base/check.h"
#include "config/hint.h"
#include "strategy/plan.h"

static uint8_t id_of(const struct expr_scope *scope, const char *name)
{
    for (size_t i = 0; i < scope->variable_count; i++) {
        if (str_eq(str_of(scope->variables[i].name), str_of(name))) {
            return (uint8_t)scope->variables[i].id;
        }
    }
    never("all words are variables");
}

static void tell_unknown_key(struct plan_full *p, const struct count_kind *kind,
                             const struct count_source *from, struct str word)
{
    struct hint_words near = {.given = word};
    struct buf all BUF_LOCAL = {0};

    for (size_t i = 0; i < kind->word_count; i++) {
        hint_word_try(&near, str_of(kind->words[i].name));
        buf_printf(&all, "%s%s",
                   i == 0                     ? ""
                   : i + 1 < kind->word_count ? ", "
                                              : " and ",
                   kind->words[i].name);
    }
    fault_error(p->faults, plan_where(p, from->settings, "key"),
                "%s.%.*s: %s cannot be counted by \"%.*s\"", kind->table->key, STR_ARG(from->name),
                kind->mail, STR_ARG(str_head(word, 80)));
    if (hint_word_found(&near)) {
        fault_hint(p->faults, "did you mean %.*s?", STR_ARG(near.best));
    } else {
        fault_hint(p->faults, "it can by %.*s", STR_ARG(buf_str(&all)));
    }
}

static bool is_among(const struct plan_count *c, uint8_t id)
{
    for (uint32_t i = 0; i < c->key_count; i++) {
        if (c->keys[i] == id) {
            return true;
        }
    }
    return false;
}

static void add_id(struct plan_full *p, const struct count_kind *kind,
                   const struct count_source *from, struct str word, uint8_t id,
                   struct plan_count *ret)
{
    if (is_among(ret, id)) {
        fault_error(p->faults, plan_where(p, from->settings, "key"),
                    "%s.%.*s: key names %.*s twice", kind->table->key, STR_ARG(from->name),
                    STR_ARG(word));
    } else if (ret->key_count == COUNT_KEYS_MAX) {
        fault_error(p->faults, plan_where(p, from->settings, "key"),
                    "%s.%.*s: key has more than %d words", kind->table->key, STR_ARG(from->name),
                    COUNT_KEYS_MAX);
    } else {
        ret->keys[ret->key_count++] = id;
    }
}

/* A value that filters give, which is known of a message as its sender is. */
static bool add_meta(struct plan_full *p, const struct count_kind *kind,
                     const struct count_source *from, const struct expr_scope *scope,
                     struct str word, struct plan_count *ret)
{
    for (size_t i = 0; str_starts(word, STR("meta.")) && i < scope->variable_count; i++) {
        if (str_eq(str_of(scope->variables[i].name), word)) {
            add_id(p, kind, from, word, (uint8_t)scope->variables[i].id, ret);
            return true;
        }
    }
    return false;
}

/* The class of the word. */
static uint8_t add_key(struct plan_full *p, const struct count_kind *kind,
                       const struct count_source *from, const struct expr_scope *scope,
                       struct str word, struct plan_count *ret)
{
    for (size_t i = 0; i < kind->word_count; i++) {
        const struct count_word *w = &kind->words[i];

        if (str_eq(word, str_of(w->name))) {
            add_id(p, kind, from, word, id_of(scope, w->name), ret);
            return w->class;
        }
    }
    if (!add_meta(p, kind, from, scope, word, ret)) {
        tell_unknown_key(p, kind, from, word);
    }
    return 0;
}

uint8_t plan_add_count(struct plan_full *p, const struct count_kind *kind,
                       const struct count_source *from, struct expr_scope *scope,
                       struct plan_count *ret)
{
    struct expr_services *services = arena_alloc(&p->arena, sizeof *services);
    uint8_t class = 0;
    int groups = -1;

    *services = p->services->expr;
    services->lookups = 0;
    scope->services = services;
    for (size_t i = 0; i < from->key->count; i++) {
        uint8_t of_key = add_key(p, kind, from, scope, from->key->items[i], ret);

        class = of_key > class ? of_key : class;
    }
    if (from->match->text.len > 0) {
        scope->place = arena_printf(&p->arena, "%s.%.*s.match%c", kind->table->key,
                                    STR_ARG(from->name), 0)
                           .ptr;
        ret->match = plan_compile_expression(p, scope, from->match, EXPR_WANTS_BOOL, &groups);
    }
    return class;
}

uint64_t count_reads(const struct plan_count *c)
{
    return c->match != NULL ? expr_facts(c->match)->reads : 0;
}

enum count_match count_matches(const struct plan *p, const struct plan_count *c,
                               const struct counting *about)
{
    struct captures captures = {0};
    struct expr_input input = {about->get, about->ctx, &p->services->expr, &captures};
    struct expr_result r;

    if (c->match == NULL) {
        return COUNT_YES;
    }
    if (expr_eval(c->match, &input, NULL, about->arena, &r) != EXPR_VALUE) {
        return COUNT_UNKNOWN;
    }
    return value_truth(&r.value) ? COUNT_YES : COUNT_NO;
}

/* The values one after the other; the null sender and an empty domain are "<>". */
struct str count_values(const struct plan_count *c, const struct counting *about)
{
    struct buf out BUF_LOCAL = {0};

    for (uint32_t i = 0; i < c->key_count; i++) {
        struct value v = about->get(about->ctx, c->keys[i]);

        if (v.type == VALUE_INT) { /* only of meta */
            buf_printf(&out, "%lld", (long long)v.num);
        } else {
            must(v.type == VALUE_TEXT);
            buf_put(&out, v.text.len > 0 ? v.text : STR("<>"));
        }
        buf_byte(&out, '\0');
    }
    return arena_dup(about->arena, buf_str(&out));
}
