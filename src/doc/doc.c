#include "doc/doc.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>

/* ---- making ---- */

struct doc doc_text(struct str text)
{
    return (struct doc){.kind = DOC_TEXT, .text = text};
}

struct doc doc_int(int64_t n)
{
    return (struct doc){.kind = DOC_INT, .number = n};
}

struct doc doc_bool(bool yes)
{
    return (struct doc){.kind = DOC_BOOL, .yes = yes};
}

struct doc doc_null(void)
{
    return (struct doc){.kind = DOC_NULL};
}

struct doc doc_object(void)
{
    return (struct doc){.kind = DOC_OBJECT};
}

struct doc doc_list(void)
{
    return (struct doc){.kind = DOC_LIST};
}

static bool has_members(const struct doc *d)
{
    return d->kind == DOC_LIST || d->kind == DOC_OBJECT;
}

/* ---- looking ---- */

struct doc *doc_at(const struct doc *d, struct str key)
{
    if (d == NULL || d->kind != DOC_OBJECT) {
        return NULL;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        if (str_eq(d->members[i].key, key)) {
            return &d->members[i].value;
        }
    }
    return NULL;
}

struct doc *doc_get(const struct doc *d, const char *key)
{
    return doc_at(d, str_of(key));
}

/* ---- changing ---- */

void doc_reserve(struct doc *d, struct arena *a, uint32_t size)
{
    struct doc_member *more;

    must(has_members(d));
    if (size <= d->size) {
        return;
    }
    more = arena_array(a, size, sizeof(*more));
    if (d->count > 0) {
        memcpy(more, d->members, d->count * sizeof(*more));
    }
    d->members = more;
    d->size = size;
}

/* From two, which is what most objects in long lists have. */
static void make_room(struct doc *d, struct arena *a)
{
    uint32_t size = 2;

    if (d->count < d->size) {
        return;
    }
    must_not(d->size > 0 && __builtin_mul_overflow(d->size, 2u, &size));
    doc_reserve(d, a, size);
}

struct doc *doc_put(struct doc *object, struct arena *a, struct str key, struct doc value)
{
    struct doc *old = doc_at(object, key);

    must(object->kind == DOC_OBJECT);
    if (old != NULL) {
        *old = value;
        return old;
    }
    make_room(object, a);
    object->members[object->count] = (struct doc_member){key, value};
    return &object->members[object->count++].value;
}

struct doc *doc_insert(struct doc *list, struct arena *a, uint32_t index, struct doc value)
{
    must(list->kind == DOC_LIST);
    must(index <= list->count);
    make_room(list, a);
    memmove(&list->members[index + 1], &list->members[index],
            (list->count - index) * sizeof(*list->members));
    list->members[index] = (struct doc_member){STR_EMPTY, value};
    list->count++;
    return &list->members[index].value;
}

void doc_remove(struct doc *parent, uint32_t index)
{
    must(has_members(parent));
    must(index < parent->count);
    parent->count--;
    memmove(&parent->members[index], &parent->members[index + 1],
            (parent->count - index) * sizeof(*parent->members));
}

struct doc doc_copy(const struct doc *d, struct arena *a)
{
    struct doc copy = *d;

    if (d->kind == DOC_TEXT || d->kind == DOC_BYTES) {
        copy.text = arena_dup(a, d->text);
    } else if (has_members(d)) {
        copy.members = arena_array(a, d->count, sizeof(*copy.members));
        copy.size = d->count;
        for (uint32_t i = 0; i < d->count; i++) {
            copy.members[i].key = arena_dup(a, d->members[i].key);
            copy.members[i].value = doc_copy(&d->members[i].value, a);
        }
    }
    return copy;
}

/* ---- comparing ---- */

static bool equal_in_order(const struct doc_member *a, const struct doc_member *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!str_eq(a[i].key, b[i].key) || !doc_equal(&a[i].value, &b[i].value)) {
            return false;
        }
    }
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct doc_member *x = a, *y = b;

    return str_cmp(x->key, y->key);
}

static struct doc_member *sorted(const struct doc *d)
{
    struct doc_member *copy = mem_array(d->count, sizeof(*copy));

    memcpy(copy, d->members, d->count * sizeof(*copy));
    qsort(copy, d->count, sizeof(*copy), by_key);
    return copy;
}

static bool same_keys_in_order(const struct doc *a, const struct doc *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (!str_eq(a->members[i].key, b->members[i].key)) {
            return false;
        }
    }
    return true;
}

/* Sorted, not searched: strangers choose how many members there are, and in which order. */
static bool members_equal(const struct doc *a, const struct doc *b)
{
    struct doc_member *x, *y;
    bool is_equal;

    if (a->count != b->count) {
        return false;
    }
    if (a->kind == DOC_LIST || same_keys_in_order(a, b)) {
        return equal_in_order(a->members, b->members, a->count);
    }
    x = sorted(a);
    y = sorted(b);
    is_equal = equal_in_order(x, y, a->count);
    mem_free(x);
    mem_free(y);
    return is_equal;
}

static bool numbers_equal(const struct doc *a, const struct doc *b)
{
    double x = a->kind == DOC_INT ? (double)a->number : a->real;
    double y = b->kind == DOC_INT ? (double)b->number : b->real;

    return x >= y && x <= y; /* integers are exact up to 2^53, which is all there are */
}

static bool is_number(const struct doc *d)
{
    return d->kind == DOC_INT || d->kind == DOC_REAL;
}

bool doc_equal(const struct doc *a, const struct doc *b)
{
    if (is_number(a) && is_number(b)) {
        return numbers_equal(a, b);
    }
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case DOC_BOOL:
        return a->yes == b->yes;
    case DOC_TEXT:
    case DOC_BYTES:
        return str_eq(a->text, b->text);
    case DOC_LIST:
    case DOC_OBJECT:
        return members_equal(a, b);
    case DOC_NULL:
    case DOC_INT:
    case DOC_REAL:
        break;
    }
    return true;
}
