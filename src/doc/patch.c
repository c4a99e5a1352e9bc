#include "doc/patch.h"

#include "base/check.h"

static const struct kind_row {
    const char *name;
    bool has_from, has_value;
} kinds[] = {
    [PATCH_ADD] = {"add", false, true},         [PATCH_REMOVE] = {"remove", false, false},
    [PATCH_REPLACE] = {"replace", false, true}, [PATCH_MOVE] = {"move", true, false},
    [PATCH_COPY] = {"copy", true, false},       [PATCH_TEST] = {"test", false, true},
};

static struct err wrong(struct buf *why, uint32_t n, const char *what)
{
    buf_printf(why, "operation %u of the patch %s", n, what);
    return err_of(ERR_PROTOCOL);
}

static bool find_kind(const struct doc *name, enum patch_kind *ret)
{
    for (unsigned i = 0; name != NULL && name->kind == DOC_TEXT && i < COUNT_OF(kinds); i++) {
        if (str_eq(name->text, str_of(kinds[i].name))) {
            *ret = (enum patch_kind)i;
            return true;
        }
    }
    return false;
}

static bool take_pointer(const struct doc *op, const char *key, struct arena *a,
                         struct pointer *ret)
{
    const struct doc *text = doc_get(op, key);

    return text != NULL && text->kind == DOC_TEXT && pointer_parse(text->text, a, ret);
}

static struct err parse_op(const struct doc *d, uint32_t n, struct arena *a, struct patch_op *ret,
                           struct buf *why)
{
    if (d->kind != DOC_OBJECT || !find_kind(doc_get(d, "op"), &ret->kind)) {
        return wrong(why, n, "has no known \"op\"");
    }
    if (!take_pointer(d, "path", a, &ret->path)) {
        return wrong(why, n, "has no good \"path\"");
    }
    if (kinds[ret->kind].has_from && !take_pointer(d, "from", a, &ret->from)) {
        return wrong(why, n, "has no good \"from\"");
    }
    ret->value = kinds[ret->kind].has_value ? doc_get(d, "value") : NULL;
    if (kinds[ret->kind].has_value && ret->value == NULL) {
        return wrong(why, n, "has no \"value\"");
    }
    return ERR_OK;
}

struct err patch_parse(const struct doc *d, uint32_t ops_max, struct arena *a, struct patch *ret,
                       struct buf *why)
{
    *ret = (struct patch){0};
    if (d->kind != DOC_LIST) {
        buf_put(why, STR("a patch is a list of operations"));
        return err_of(ERR_PROTOCOL);
    }
    if (d->count > ops_max) {
        buf_printf(why, "more than %u operations", ops_max);
        return err_of(ERR_LIMIT);
    }
    ret->ops = arena_array(a, d->count, sizeof(*ret->ops));
    for (uint32_t i = 0; i < d->count; i++) {
        struct err e = parse_op(&d->members[i].value, i, a, &ret->ops[i], why);

        if (e.code) {
            return e;
        }
    }
    ret->count = d->count;
    return ERR_OK;
}

struct work {
    struct doc *root;
    struct arena *a;
    struct patch_limits left;
};

/* Takes what `d` holds from what is left, before any of it is copied; false: there is not so much,
 * or `d` has more levels than it may. */
static bool charge(const struct doc *d, uint32_t levels, struct patch_limits *left)
{
    uint64_t bytes = d->kind == DOC_TEXT || d->kind == DOC_BYTES ? d->text.len : 0;

    if (levels == 0 || left->nodes_max == 0 || left->bytes_max < bytes) {
        return false;
    }
    left->nodes_max--;
    left->bytes_max -= bytes;
    for (uint32_t i = 0; (d->kind == DOC_LIST || d->kind == DOC_OBJECT) && i < d->count; i++) {
        const struct doc_member *m = &d->members[i];

        if (left->bytes_max < m->key.len) {
            return false;
        }
        left->bytes_max -= m->key.len;
        if (!charge(&m->value, levels - 1, left)) {
            return false;
        }
    }
    return true;
}

/* What says why it could not be done; NULL: it was. */

static const char *add(struct work *w, const struct pointer *path, struct doc value)
{
    struct doc *parent = pointer_parent(w->root, path);
    struct str token;
    uint32_t index;

    if (path->count == 0) {
        *w->root = value;
        return NULL;
    }
    if (parent == NULL) {
        return "adds below what does not exist";
    }
    token = path->tokens[path->count - 1];
    if (parent->kind == DOC_OBJECT) {
        doc_put(parent, w->a, token, value);
        return NULL;
    }
    if (parent->kind != DOC_LIST) {
        return "adds into what is neither list nor object";
    }
    if (str_eq(token, STR("-"))) {
        index = parent->count;
    } else if (!pointer_index(token, &index) || index > parent->count) {
        return "has an index that is none of its list";
    }
    doc_insert(parent, w->a, index, value);
    return NULL;
}

static const char *remove_at(struct work *w, const struct pointer *path)
{
    struct doc *parent = pointer_parent(w->root, path);
    uint32_t index;

    if (path->count == 0) {
        *w->root = doc_null();
        return NULL;
    }
    if (parent == NULL || !pointer_member(parent, path->tokens[path->count - 1], &index)) {
        return "names what does not exist";
    }
    doc_remove(parent, index);
    return NULL;
}

static const char *move(struct work *w, const struct patch_op *op)
{
    const struct doc *from = pointer_find(w->root, &op->from);
    const char *fault;
    struct doc value;

    if (from == NULL) {
        return "moves what does not exist";
    }
    if (pointer_is_within(&op->path, &op->from)) {
        return op->path.count == op->from.count ? NULL : "moves a value into itself";
    }
    value = *from;
    fault = remove_at(w, &op->from);
    return fault != NULL ? fault : add(w, &op->path, value);
}

static const char *apply(struct work *w, const struct patch_op *op)
{
    struct doc *at;

    switch (op->kind) {
    case PATCH_ADD:
        return add(w, &op->path, doc_copy(op->value, w->a));
    case PATCH_REMOVE:
        return remove_at(w, &op->path);
    case PATCH_REPLACE:
        at = pointer_find(w->root, &op->path);
        if (at == NULL) {
            return "replaces what does not exist";
        }
        *at = doc_copy(op->value, w->a);
        return NULL;
    case PATCH_MOVE:
        return move(w, op);
    case PATCH_COPY:
        at = pointer_find(w->root, &op->from);
        return at == NULL ? "copies what does not exist" : add(w, &op->path, doc_copy(at, w->a));
    case PATCH_TEST:
        at = pointer_find(w->root, &op->path);
        return at != NULL && doc_equal(at, op->value) ? NULL : "tests what is not so";
    }
    never("a kind that the table does not have");
}

/* Whether the tree is no larger and no deeper than it may be after this operation. Moving alone,
 * again and again, could else pile up a depth that no function here descends safely; it copies no
 * bytes, but its values are walked, and so they count. */
static bool is_within(struct work *w, const struct patch_op *op)
{
    const struct doc *what = op->value;
    uint32_t levels = op->path.count < PATCH_DEPTH_MAX ? PATCH_DEPTH_MAX - op->path.count : 0;
    struct patch_limits moved = {w->left.nodes_max, UINT64_MAX};
    bool is_good;

    if (op->kind == PATCH_COPY || op->kind == PATCH_MOVE) {
        what = pointer_find(w->root, &op->from);
    } else if (op->kind == PATCH_TEST) {
        return true;
    }
    if (what == NULL || op->kind != PATCH_MOVE) {
        return what == NULL || charge(what, levels, &w->left);
    }
    is_good = charge(what, levels, &moved);
    w->left.nodes_max = moved.nodes_max;
    return is_good;
}

struct err patch_apply(const struct patch *p, const struct doc *d,
                       const struct patch_limits *limits, struct arena *a, struct doc *ret,
                       struct buf *why)
{
    struct doc root = doc_copy(d, a);
    struct work w = {.root = &root, .a = a, .left = *limits};

    for (uint32_t i = 0; i < p->count; i++) {
        const char *fault;

        if (!is_within(&w, &p->ops[i])) {
            buf_printf(why, "operation %u of the patch makes the tree too large", i);
            return err_of(ERR_LIMIT);
        }
        fault = apply(&w, &p->ops[i]);
        if (fault != NULL) {
            return wrong(why, i, fault);
        }
    }
    *ret = root;
    return ERR_OK;
}
