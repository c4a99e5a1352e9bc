/*
 * meta: named values that filters give messages: their declaration, and as variables `meta.NAME` of
 * all expressions about queued recipients. Their ids follow those of the fixed variables.
 */
#include "base/check.h"
#include "mail/xtext.h"
#include "strategy/plan.h"

_Static_assert((int)META_NAMES_MAX + 24 <= (int)EXPR_VARIABLES_MAX, "ids are bits of one number");

static bool is_good_name(struct str name)
{
    bool is_good = name.len > 0 && name.ptr[0] >= 'a' && name.ptr[0] <= 'z';

    for (size_t i = 0; i < name.len && is_good; i++) {
        is_good = (name.ptr[i] >= 'a' && name.ptr[i] <= 'z') || byte_is_digit(name.ptr[i]) ||
                  name.ptr[i] == '_';
    }
    return is_good;
}

void meta_check(const struct config *cfg, struct faults *faults)
{
    size_t count;
    const struct config_object *o = config_objects(cfg, &meta_table, &count);

    for (size_t i = 0; i < count; i++) {
        if (!is_good_name(o[i].name)) {
            fault_error(faults, o[i].at, "meta.%.*s cannot be named in an expression",
                        STR_ARG(o[i].name));
            fault_hint(faults, "a name has small letters, digits and _, and begins with a letter");
        }
    }
    if (count > META_NAMES_MAX) {
        fault_error(faults, o[META_NAMES_MAX].at, "meta has more than %d names", META_NAMES_MAX);
    }
}

void plan_add_meta(struct plan_full *p)
{
    static const enum expr_type types[META_KINDS] = {
        [META_STRING] = EXPR_TEXT, [META_INTEGER] = EXPR_INT, [META_BOOLEAN] = EXPR_BOOL};
    struct expr_scope fixed;
    size_t count;
    const struct config_object *o = config_objects(p->config, &meta_table, &count);
    struct expr_variable *all;
    struct plan_meta *names;

    strategy_scope(STRATEGY_TLS, p->services, &fixed);
    p->plan.variables = fixed.variables;
    p->plan.variable_count = (uint32_t)fixed.variable_count;
    if (count == 0 || count > META_NAMES_MAX) {
        return; /* too many: the table's check has told it */
    }
    all = arena_array(&p->arena, fixed.variable_count + count, sizeof *all);
    names = arena_array(&p->arena, count, sizeof *names);
    memcpy(all, fixed.variables, fixed.variable_count * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        enum meta_kind kind = ((const struct meta_settings *)o[i].settings)->kind;

        names[i] = (struct plan_meta){o[i].name, kind};
        all[fixed.variable_count + i] = (struct expr_variable){
            .name = arena_printf(&p->arena, "meta.%.*s%c", STR_ARG(o[i].name), 0).ptr,
            .type = types[kind],
            .id = (unsigned)(fixed.variable_count + i)};
    }
    p->plan.variables = all;
    p->plan.variable_count = (uint32_t)(fixed.variable_count + count);
    p->plan.meta = names;
    p->plan.meta_count = (uint32_t)count;
}

static unsigned fixed_count(const struct plan *p)
{
    return p->variable_count - p->meta_count;
}

void plan_scope(const struct plan_full *p, enum strategy which, struct expr_scope *ret)
{
    strategy_scope(which, p->services, ret);
    ret->variables = p->plan.variables;
    ret->variable_count = p->plan.variable_count;
    for (unsigned i = fixed_count(&p->plan); i < p->plan.variable_count; i++) {
        ret->present |= 1ULL << i;
    }
}

const char *plan_variable_name(const struct plan *p, unsigned id)
{
    return id < p->variable_count ? p->variables[id].name : NULL;
}

const struct plan_meta *plan_meta(const struct plan *p, struct str name)
{
    for (uint32_t i = 0; i < p->meta_count; i++) {
        if (str_eq(p->meta[i].name, name)) {
            return &p->meta[i];
        }
    }
    return NULL;
}

/* One that was declared otherwise when the message came has no value now. */
static struct value meta_value(const struct message *m, const struct plan_meta *declared)
{
    const struct message_meta *given = message_meta(m, declared->name);

    if (given != NULL && given->kind != declared->kind) {
        given = NULL;
    }
    switch (declared->kind) {
    case META_STRING:
        return value_text(given != NULL ? given->text : STR_EMPTY);
    case META_INTEGER:
        return value_int(given != NULL ? given->number : 0);
    case META_BOOLEAN:
        return value_bool(given != NULL && given->number != 0);
    case META_KINDS:
        break;
    }
    never("a kind that is not in the table");
}

struct value plan_variable(const struct plan *p, const struct subject *s, unsigned id,
                           struct arena *a)
{
    unsigned fixed = fixed_count(p);

    return id < fixed ? variable_value(s, id, a) : meta_value(s->message, &p->meta[id - fixed]);
}

struct value plan_read(void *reading, unsigned id)
{
    const struct plan_reading *r = reading;

    return plan_variable(r->plan, r->subject, id, r->arena);
}

bool meta_read(const struct plan_meta *declared, struct str text, struct message_meta *ret)
{
    *ret = (struct message_meta){.name = declared->name, .kind = declared->kind, .text = STR_EMPTY};
    switch (declared->kind) {
    case META_STRING:
        ret->text = text;
        return text.len <= META_TEXT_BYTES_MAX && text_is_printable(text, true);
    case META_INTEGER:
        return str_to_i64(text, &ret->number);
    case META_BOOLEAN:
        ret->number = str_eq(text, STR("true"));
        return ret->number == 1 || str_eq(text, STR("false"));
    case META_KINDS:
        break;
    }
    return false;
}

struct str meta_kind_name(enum meta_kind kind)
{
    static const char *const names[META_KINDS] = {
        [META_STRING] = "string", [META_INTEGER] = "integer", [META_BOOLEAN] = "boolean"};

    return str_of(names[kind]);
}
