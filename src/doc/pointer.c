#include "doc/pointer.h"

/* "~1" is '/' and "~0" is '~'; read in one pass, so that "~01" is "~1" and never '/'. */
static bool decode(struct str token, struct arena *a, struct str *ret)
{
    char *at;
    size_t len = 0;

    if (str_find(token, '~') == STR_NONE) {
        *ret = token;
        return true;
    }
    at = arena_alloc(a, token.len);
    for (size_t i = 0; i < token.len; i++) {
        char c = token.ptr[i];

        if (c == '~') {
            i++;
            if (i == token.len || (token.ptr[i] != '0' && token.ptr[i] != '1')) {
                return false;
            }
            c = token.ptr[i] == '0' ? '~' : '/';
        }
        at[len++] = c;
    }
    *ret = str_make(at, len);
    return true;
}

bool pointer_parse(struct str text, struct arena *a, struct pointer *ret)
{
    struct str rest = arena_dup(a, text), token;
    uint32_t count = 0;

    *ret = (struct pointer){0};
    if (text.len == 0) {
        return true;
    }
    if (text.ptr[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        count += text.ptr[i] == '/';
        if (count > POINTER_TOKENS_MAX) {
            return false;
        }
    }
    ret->tokens = arena_array(a, count, sizeof(*ret->tokens));
    rest = str_skip(rest, 1);
    for (uint32_t i = 0; i < count; i++) {
        str_cut(&rest, '/', &token);
        if (!decode(token, a, &ret->tokens[i])) {
            return false;
        }
    }
    ret->count = count;
    return true;
}

bool pointer_index(struct str token, uint32_t *ret)
{
    uint64_t n;

    if ((token.len > 1 && token.ptr[0] == '0') || !str_to_u64(token, &n) || n > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)n;
    return true;
}

bool pointer_member(const struct doc *parent, struct str token, uint32_t *ret)
{
    if (parent->kind == DOC_LIST) {
        return pointer_index(token, ret) && *ret < parent->count;
    }
    if (parent->kind == DOC_OBJECT) {
        for (uint32_t i = 0; i < parent->count; i++) {
            if (str_eq(parent->members[i].key, token)) {
                *ret = i;
                return true;
            }
        }
    }
    return false;
}

static struct doc *find(struct doc *root, const struct pointer *p, uint32_t count)
{
    struct doc *at = root;
    uint32_t index;

    for (uint32_t i = 0; i < count; i++) {
        if (!pointer_member(at, p->tokens[i], &index)) {
            return NULL;
        }
        at = &at->members[index].value;
    }
    return at;
}

struct doc *pointer_find(struct doc *root, const struct pointer *p)
{
    return find(root, p, p->count);
}

struct doc *pointer_parent(struct doc *root, const struct pointer *p)
{
    return p->count == 0 ? NULL : find(root, p, p->count - 1);
}

bool pointer_is_within(const struct pointer *p, const struct pointer *prefix)
{
    if (p->count < prefix->count) {
        return false;
    }
    for (uint32_t i = 0; i < prefix->count; i++) {
        if (!str_eq(p->tokens[i], prefix->tokens[i])) {
            return false;
        }
    }
    return true;
}
