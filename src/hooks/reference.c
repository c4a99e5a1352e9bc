#include "hooks/reference.h"

#include "base/buf.h"

/* The five parts of RFC 3986 appendix B. */
struct parts {
    struct str scheme, authority, path, query, fragment;
    bool has_scheme, has_authority, has_query, has_fragment;
};

static bool is_scheme(struct str s)
{
    bool is_good = s.len > 0 && byte_is_alpha(s.ptr[0]);

    for (size_t i = 0; is_good && i < s.len; i++) {
        is_good = byte_is_alnum(s.ptr[i]) || strchr("+-.", s.ptr[i]) != NULL;
    }
    return is_good;
}

static struct parts split(struct str s)
{
    struct parts p = {0};
    size_t at = str_find(s, '#');

    if (at != STR_NONE) {
        p.has_fragment = true;
        p.fragment = str_skip(s, at + 1);
        s = str_head(s, at);
    }
    at = str_find(s, '?');
    if (at != STR_NONE) {
        p.has_query = true;
        p.query = str_skip(s, at + 1);
        s = str_head(s, at);
    }
    at = str_find(s, ':');
    if (at != STR_NONE && is_scheme(str_head(s, at))) {
        p.has_scheme = true;
        p.scheme = str_head(s, at);
        s = str_skip(s, at + 1);
    }
    if (str_starts(s, STR("//"))) {
        p.has_authority = true;
        s = str_skip(s, 2);
        at = str_find(s, '/');
        p.authority = at == STR_NONE ? s : str_head(s, at);
        s = str_skip(s, p.authority.len);
    }
    p.path = s;
    return p;
}

/* Section 5.2.4. */
static void put_without_dots(struct buf *out, struct str path)
{
    size_t start = out->len;
    struct str rest = path, segment;
    bool has_more = rest.len > 0, is_first = true;

    if (rest.len > 0 && rest.ptr[0] == '/') {
        rest = str_skip(rest, 1);
    }
    while (has_more) {
        has_more = str_cut(&rest, '/', &segment);
        if (str_eq(segment, STR("..")) || str_eq(segment, STR("."))) {
            if (segment.len == 2) {
                size_t slash = str_rfind(str_make(out->ptr + start, out->len - start), '/');

                out->len = start + (slash == STR_NONE ? 0 : slash);
            }
            if (!has_more) {
                buf_byte(out, '/');
            }
        } else {
            buf_byte(out, '/');
            buf_put(out, segment);
        }
        is_first = false;
    }
    if (is_first || out->len == start) {
        buf_byte(out, '/');
    }
}

/* Section 5.2.3: beside the last segment of the base. */
static void put_merged(struct buf *out, const struct parts *base, struct str path)
{
    struct buf merged BUF_LOCAL = {0};
    size_t slash = str_rfind(base->path, '/');

    buf_put(&merged, slash == STR_NONE ? STR("/") : str_head(base->path, slash + 1));
    buf_put(&merged, path);
    put_without_dots(out, buf_str(&merged));
}

bool reference_resolve(struct str base, struct str reference, struct arena *a, struct str *ret)
{
    struct parts b = split(base), r = split(reference);
    struct buf out BUF_LOCAL = {0};

    if (!b.has_scheme || !b.has_authority) {
        return false;
    }
    buf_put(&out, r.has_scheme ? r.scheme : b.scheme);
    buf_put(&out, STR(":"));
    if (r.has_scheme && !r.has_authority) {
        buf_put(&out, r.path); /* "mailto:x": as it is; nobody will call it */
    } else {
        buf_put(&out, STR("//"));
        buf_put(&out, r.has_authority ? r.authority : b.authority);
        if (r.has_authority || (r.path.len > 0 && r.path.ptr[0] == '/')) {
            put_without_dots(&out, r.path);
        } else if (r.path.len > 0) {
            put_merged(&out, &b, r.path);
        } else {
            put_without_dots(&out, b.path);
            r.query = r.has_query ? r.query : b.query;
            r.has_query = r.has_query || b.has_query;
        }
    }
    if (r.has_query) {
        buf_byte(&out, '?');
        buf_put(&out, r.query);
    }
    if (r.has_fragment) {
        buf_byte(&out, '#');
        buf_put(&out, r.fragment);
    }
    *ret = arena_dup(a, buf_str(&out));
    return true;
}
