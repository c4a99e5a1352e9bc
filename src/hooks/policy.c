#include "hooks/policy.h"

#include "base/check.h"

static const char *const words[] = {"schedule", "queue", "priority", "hold"};

static bool is_word(struct str key)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_eq(key, str_of(words[i]))) {
            return true;
        }
    }
    return false;
}

static void add(struct hook_outcome *o, struct arena *a, struct str name, const struct doc *v)
{
    enum hook_policy_kind kind = HOOK_POLICY_TEXT;
    struct str text = v->text;
    struct hook_edit *e;

    if (v->kind == DOC_NULL) {
        return;
    }
    if (v->kind == DOC_INT) {
        kind = HOOK_POLICY_NUMBER;
        text = arena_printf(a, "%lld", (long long)v->number);
    } else if (v->kind == DOC_BOOL) {
        kind = HOOK_POLICY_YES_NO;
        text = v->yes ? STR("true") : STR("false");
    } else if (v->kind != DOC_TEXT) {
        hook_note(o, a, "policy: %.*s is no text, whole number, true or false: left out",
                  STR_ARG(str_head(name, 64)));
        return;
    }
    e = hook_edit_add(o, a, HOOK_EDIT_POLICY);
    e->name = name;
    e->text = text;
    e->policy_kind = kind;
}

static void add_meta(struct hook_outcome *o, struct arena *a, const struct doc *meta)
{
    if (meta->kind != DOC_OBJECT && meta->kind != DOC_NULL) {
        hook_note(o, a, "policy: meta is no object: left out");
        return;
    }
    for (uint32_t i = 0; meta->kind == DOC_OBJECT && i < meta->count; i++) {
        const struct doc_member *m = &meta->members[i];

        add(o, a, arena_printf(a, "meta.%.*s", STR_ARG(m->key)), &m->value);
    }
}

bool hook_policy_read(const struct doc *d, struct arena *a, struct hook_outcome *ret)
{
    for (uint32_t i = 0; d->kind == DOC_OBJECT && i < d->count; i++) {
        const struct doc_member *m = &d->members[i];

        if (str_eq(m->key, STR("meta"))) {
            add_meta(ret, a, &m->value);
        } else if (is_word(m->key)) {
            add(ret, a, m->key, &m->value);
        } else {
            hook_note(ret, a, "policy: \"%.*s\" is no word of queueing: left out",
                      STR_ARG(str_head(m->key, 64)));
        }
    }
    return d->kind == DOC_OBJECT;
}

static struct doc value_of(const struct hook_policy *p, struct arena *a)
{
    int64_t n;

    if (p->kind == HOOK_POLICY_YES_NO) {
        return (struct doc){.kind = DOC_BOOL, .yes = str_eq(p->text, STR("true"))};
    }
    if (p->kind == HOOK_POLICY_NUMBER && str_to_i64(p->text, &n)) {
        return doc_int(n);
    }
    return (struct doc){.kind = DOC_TEXT, .text = arena_dup(a, p->text)};
}

struct doc hook_policy_tree(const struct hook_view *view, struct arena *a)
{
    struct doc d = doc_object(), meta = doc_object();

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        doc_put(&d, a, str_of(words[i]), doc_null());
    }
    for (uint32_t i = 0; i < view->policy_count; i++) {
        const struct hook_policy *p = &view->policy[i];
        bool is_meta = str_starts(p->name, STR("meta."));

        doc_put(is_meta ? &meta : &d, a, is_meta ? str_skip(p->name, strlen("meta.")) : p->name,
                value_of(p, a));
    }
    doc_put(&d, a, STR("meta"), meta);
    return d;
}

bool hook_policy_changes(const struct doc *was, const struct doc *is, struct arena *a,
                         struct doc *ret)
{
    *ret = doc_object();
    if (is == NULL || is->kind != DOC_OBJECT) {
        return false;
    }
    for (uint32_t i = 0; was != NULL && was->kind == DOC_OBJECT && i < was->count; i++) {
        const struct doc *now = doc_at(is, was->members[i].key);

        if (was->members[i].value.kind != DOC_NULL && (now == NULL || now->kind == DOC_NULL)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < is->count; i++) {
        const struct doc_member *m = &is->members[i];
        const struct doc *before = was != NULL ? doc_at(was, m->key) : NULL;
        struct doc inner = m->value;

        if (before != NULL && doc_equal(before, &m->value)) {
            continue;
        }
        if (str_eq(m->key, STR("meta")) && before != NULL && before->kind == DOC_OBJECT &&
            m->value.kind == DOC_OBJECT) {
            inner = doc_object();
            for (uint32_t k = 0; k < m->value.count; k++) {
                const struct doc_member *v = &m->value.members[k];
                const struct doc *old = doc_at(before, v->key);

                if (old == NULL || !doc_equal(old, &v->value)) {
                    doc_put(&inner, a, v->key, v->value);
                }
            }
            for (uint32_t k = 0; k < before->count; k++) {
                if (doc_at(&m->value, before->members[k].key) == NULL) {
                    return false;
                }
            }
        }
        doc_put(ret, a, m->key, inner);
    }
    return true;
}
