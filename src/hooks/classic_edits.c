/*
 * The classic dialect: edits of what all answers of a stage want changed, in one pass.
 *
 *   1. The envelope, modification by modification. What cannot be is left out with a note.
 *   2. The header section. Without an insert, a change or a delete, added fields stand above it in
 *      their order. With any, in whichever answer, each modification applies to the list as it is
 *      then; so added fields come out in reverse order. Fields are counted by name, from 1.
 *      Whether a field to be changed exists is asked of the message as it came: if not, it is
 * added.
 *   3. The body: the parts of the last answer that has any, one behind the other. An empty body is
 *      no body.
 */
#include "base/check.h"
#include "hooks/classic_part.h"
#include "mail/path.h"

#include <stdlib.h>

struct finishing {
    const struct hook_pending *pending;
    const struct hook_view *view;
    struct arena *arena;
    struct hook_outcome *ret;
};

/* ---- the envelope ---- */

/* What a new sender has of the old one's parameters: ENVID and RET go, the others tell what the
 * message is and needs. */
static bool outlives(const struct hook_param *p, const struct hook_params *given)
{
    if (str_eq_nocase(p->key, STR("ENVID")) || str_eq_nocase(p->key, STR("RET"))) {
        return false;
    }
    for (uint32_t i = 0; i < given->count; i++) {
        if (str_eq_nocase(given->items[i].key, p->key)) {
            return false;
        }
    }
    return true;
}

static struct hook_params sender_params(const struct finishing *f, const struct hook_params *given)
{
    const struct hook_params *old = &f->view->sender_params;
    struct hook_param *list = arena_array(f->arena, old->count + given->count, sizeof(*list));
    uint32_t count = given->count;

    if (count > 0) {
        memcpy(list, given->items, count * sizeof(*list));
    }
    for (uint32_t i = 0; i < old->count; i++) {
        if (outlives(&old->items[i], given)) {
            list[count++] = old->items[i];
        }
    }
    return (struct hook_params){list, count};
}

static bool wants_smtputf8(const struct finishing *f, const struct hook_params *params)
{
    bool wants = f->view->smtputf8;

    for (uint32_t i = 0; i < params->count; i++) {
        wants = wants || str_eq_nocase(params->items[i].key, STR("SMTPUTF8"));
    }
    return wants;
}

/* The last change counts. Answers whether there is SMTPUTF8 from then on. */
static bool change_sender(struct finishing *f)
{
    struct hook_edit *e = NULL;
    bool utf8 = f->view->smtputf8;

    for (uint32_t i = 0; i < f->pending->count; i++) {
        const struct hook_modification *m = &f->pending->items[i];
        struct hook_params params;
        struct path path = {.address = STR_EMPTY};

        if (m->type != CLASSIC_CHANGE_FROM) {
            continue;
        }
        params = sender_params(f, &m->params);
        if (m->value.len > 0 && path_parse_address(m->value, wants_smtputf8(f, &params), f->arena,
                                                   &path) != REFUSAL_NONE) {
            hook_note(f->ret, f->arena, "changeFrom: %.*s is not a good address",
                      STR_ARG(str_head(m->value, 80)));
            continue;
        }
        if (!hook_params_fit(path.address, &params, false, wants_smtputf8(f, &params))) {
            hook_note(f->ret, f->arena, "changeFrom: the parameters are not those of MAIL");
            params = sender_params(f, &(struct hook_params){0});
        }
        if (!hook_params_fit(path.address, &params, false, wants_smtputf8(f, &params))) {
            hook_note(f->ret, f->arena, "changeFrom: the address needs SMTPUTF8");
            continue;
        }
        e = e != NULL ? e : hook_edit_add(f->ret, f->arena, HOOK_EDIT_SENDER);
        e->text = path.address;
        e->has_params = true;
        e->params = params;
        utf8 = wants_smtputf8(f, &params);
    }
    return utf8;
}

/* The places of the view's recipients who are deleted, and of added ones among the edits. */
struct recipients {
    bool *gone;
    struct str *shown; /* as the scanners know them */
    uint32_t first_edit;
};

static bool is_called(const struct finishing *f, const struct recipients *r, uint32_t i,
                      struct str name)
{
    return !r->gone[i] &&
           (str_eq_nocase(f->view->to[i].address, name) || str_eq_nocase(r->shown[i], name));
}

static bool is_there(const struct finishing *f, const struct recipients *r, struct str address)
{
    for (uint32_t i = 0; i < f->view->to_count; i++) {
        if (is_called(f, r, i, address)) {
            return true;
        }
    }
    for (uint32_t i = r->first_edit; i < f->ret->edit_count; i++) {
        if (f->ret->edits[i].kind == HOOK_EDIT_RCPT_ADD &&
            str_eq_nocase(f->ret->edits[i].text, address)) {
            return true;
        }
    }
    return false;
}

static void add_recipient(struct finishing *f, const struct recipients *r,
                          const struct hook_modification *m, bool utf8)
{
    struct hook_edit *e;
    struct path path;

    if (path_parse_address(m->value, utf8, f->arena, &path) != REFUSAL_NONE) {
        hook_note(f->ret, f->arena, "addRecipient: %.*s is not a good address",
                  STR_ARG(str_head(m->value, 80)));
        return;
    }
    if (is_there(f, r, path.address)) {
        hook_note(f->ret, f->arena, "addRecipient: %.*s is there already", STR_ARG(path.address));
        return;
    }
    e = hook_edit_add(f->ret, f->arena, HOOK_EDIT_RCPT_ADD);
    e->text = path.address;
    e->has_params = true;
    e->params = m->params;
    if (!hook_params_fit(path.address, &m->params, true, utf8)) {
        hook_note(f->ret, f->arena, "addRecipient: the parameters are not those of RCPT");
        e->params = (struct hook_params){0};
    }
}

static void delete_recipient(struct finishing *f, const struct recipients *r, struct str name)
{
    struct hook_outcome *o = f->ret;
    uint32_t kept = r->first_edit;

    for (uint32_t i = r->first_edit; i < o->edit_count; i++) {
        if (o->edits[i].kind != HOOK_EDIT_RCPT_ADD || !str_eq_nocase(o->edits[i].text, name)) {
            o->edits[kept++] = o->edits[i];
        }
    }
    o->edit_count = kept;
    for (uint32_t i = 0; i < f->view->to_count; i++) {
        if (is_called(f, r, i, name)) {
            hook_edit_add(o, f->arena, HOOK_EDIT_RCPT_REMOVE)->target = f->view->to[i].id;
            r->gone[i] = true;
        }
    }
}

static bool has_any(const struct hook_pending *p, enum classic_type a, enum classic_type b)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->items[i].type == a || p->items[i].type == b) {
            return true;
        }
    }
    return false;
}

static void change_recipients(struct finishing *f, bool utf8)
{
    uint32_t count = f->view->to_count;
    struct recipients r = {arena_array(f->arena, count, sizeof(*r.gone)),
                           arena_array(f->arena, count, sizeof(*r.shown)), f->ret->edit_count};

    if (!has_any(f->pending, CLASSIC_ADD_RECIPIENT, CLASSIC_DELETE_RECIPIENT)) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        r.shown[i] = classic_address(f->view->to[i].address, f->arena);
    }
    for (uint32_t i = 0; i < f->pending->count; i++) {
        const struct hook_modification *m = &f->pending->items[i];

        if (m->type == CLASSIC_ADD_RECIPIENT) {
            add_recipient(f, &r, m, utf8);
        } else if (m->type == CLASSIC_DELETE_RECIPIENT) {
            delete_recipient(f, &r, m->value);
        }
    }
}

/* ---- the header section ---- */

/* A name stands as a number while fields are looked for: thousands of modifications of thousands of
 * fields are then a scan of numbers each. */
struct section {
    struct hook_field *list;
    uint32_t *names; /* for each of the list */
    uint32_t count;
    bool is_changed;
};

struct named {
    struct str name;
    uint32_t *number;
};

static int by_name(const void *left, const void *right)
{
    const struct named *a = left, *b = right;
    int difference = (a->name.len > b->name.len) - (a->name.len < b->name.len);

    for (size_t i = 0; i < a->name.len && difference == 0; i++) {
        difference = byte_lower(a->name.ptr[i]) - byte_lower(b->name.ptr[i]);
    }
    return difference;
}

/* Equal names get equal numbers: of the section's fields, and of the modifications' into `wanted`.
 */
static void number_names(struct section *s, const struct hook_pending *p, uint32_t *wanted,
                         struct arena *a)
{
    uint32_t count = 0, number = 0;
    struct named *all = arena_array(a, (size_t)s->count + p->count, sizeof(*all));

    for (uint32_t i = 0; i < s->count; i++) {
        all[count++] = (struct named){s->list[i].name, &s->names[i]};
    }
    for (uint32_t i = 0; i < p->count; i++) {
        all[count++] = (struct named){p->items[i].name, &wanted[i]};
    }
    qsort(all, count, sizeof(*all), by_name);
    for (uint32_t i = 0; i < count; i++) {
        number += i > 0 && by_name(&all[i - 1], &all[i]) != 0;
        *all[i].number = number;
    }
}

static void insert(struct section *s, uint32_t at, const struct hook_modification *m, uint32_t name)
{
    memmove(&s->list[at + 1], &s->list[at], (s->count - at) * sizeof(*s->list));
    memmove(&s->names[at + 1], &s->names[at], (s->count - at) * sizeof(*s->names));
    s->list[at] = (struct hook_field){m->name, m->value, STR_EMPTY};
    s->names[at] = name;
    s->count++;
    s->is_changed = true;
}

/* The index-th field of that name, from 1; else false, with the last one of the name, if any. */
static bool find_field(const struct section *s, uint32_t name, uint32_t index, uint32_t *at,
                       uint32_t *seen)
{
    *seen = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->names[i] == name) {
            *at = i;
            if (++*seen == index) {
                return true;
            }
        }
    }
    return false;
}

static void insert_field(struct section *s, const struct hook_modification *m, uint32_t name)
{
    uint32_t at = 0, seen;

    if (m->index > 0 && !find_field(s, name, m->index, &at, &seen) && seen == 0) {
        at = 0;
    }
    insert(s, at, m, name);
}

static void change_field(struct section *s, const struct hook_modification *m, uint32_t name)
{
    uint32_t at, seen;

    if (!find_field(s, name, m->index, &at, &seen)) {
        return;
    }
    s->is_changed = true;
    if (m->type == CLASSIC_DELETE_HEADER) {
        s->count--;
        memmove(&s->list[at], &s->list[at + 1], (s->count - at) * sizeof(*s->list));
        memmove(&s->names[at], &s->names[at + 1], (s->count - at) * sizeof(*s->names));
    } else {
        s->list[at].value = m->value;
        s->list[at].whole = STR_EMPTY;
    }
}

static bool is_of_header(const struct hook_modification *m)
{
    return m->type >= CLASSIC_ADD_HEADER && m->type <= CLASSIC_DELETE_HEADER;
}

/* A change of what did not come is an addition. Asked before anything has changed. */
static bool is_addition(const struct section *s, const struct hook_modification *m, uint32_t name)
{
    uint32_t at, seen;

    return m->type == CLASSIC_ADD_HEADER ||
           (m->type == CLASSIC_CHANGE_HEADER && !find_field(s, name, 1, &at, &seen));
}

static void modify_header(struct section *s, const struct hook_pending *p, const uint32_t *names,
                          struct arena *a)
{
    bool *adds = arena_array(a, p->count, sizeof(*adds));
    bool rewrites = false;
    uint32_t added = 0;

    for (uint32_t i = 0; i < p->count; i++) {
        if (is_of_header(&p->items[i])) {
            adds[i] = is_addition(s, &p->items[i], names[i]);
            rewrites = rewrites || !adds[i];
        }
    }
    for (uint32_t i = 0; i < p->count; i++) {
        const struct hook_modification *m = &p->items[i];

        if (!is_of_header(m)) {
            continue;
        }
        if (adds[i]) {
            insert(s, rewrites ? 0 : added++, m, names[i]);
        } else if (m->type == CLASSIC_INSERT_HEADER) {
            insert_field(s, m, names[i]);
        } else {
            change_field(s, m, names[i]);
        }
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if (p->items[i].type == CLASSIC_QUARANTINE) {
            insert(s, 0, &p->items[i], names[i]);
        }
    }
}

static bool concerns_header(const struct hook_pending *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (is_of_header(&p->items[i]) || p->items[i].type == CLASSIC_QUARANTINE) {
            return true;
        }
    }
    return false;
}

static void change_header(struct finishing *f)
{
    const struct hook_pending *p = f->pending;
    struct section s = {.count = f->view->field_count};
    size_t most = (size_t)s.count + p->count;
    uint32_t *names = arena_array(f->arena, p->count, sizeof(*names));

    if (!concerns_header(p)) {
        return;
    }
    s.list = arena_array(f->arena, most, sizeof(*s.list));
    s.names = arena_array(f->arena, most, sizeof(*s.names));
    if (s.count > 0) {
        memcpy(s.list, f->view->fields, s.count * sizeof(*s.list));
    }
    number_names(&s, p, names, f->arena);
    modify_header(&s, p, names, f->arena);
    if (s.is_changed) {
        struct hook_edit *e = hook_edit_add(f->ret, f->arena, HOOK_EDIT_FIELDS);

        e->fields = s.list;
        e->field_count = s.count;
    }
}

/* ---- the body ---- */

static void replace_body(struct finishing *f)
{
    const struct hook_pending *p = f->pending;
    struct buf body BUF_LOCAL = {0};
    uint32_t answer = 0;

    for (uint32_t i = 0; i < p->count; i++) {
        const struct hook_modification *m = &p->items[i];

        if (m->type != CLASSIC_REPLACE_CONTENTS || m->value.len == 0) {
            continue;
        }
        if (m->answer != answer) {
            buf_clear(&body);
            answer = m->answer;
        }
        buf_put(&body, m->value);
    }
    if (body.len > 0) {
        hook_edit_add(f->ret, f->arena, HOOK_EDIT_BODY)->text = arena_dup(f->arena, buf_str(&body));
    }
}

void classic_finish(const struct hook_pending *pending, const struct hook_view *view,
                    struct arena *a, struct hook_outcome *ret)
{
    struct finishing f = {.pending = pending, .view = view, .arena = a, .ret = ret};

    change_recipients(&f, change_sender(&f));
    change_header(&f);
    replace_body(&f);
}
