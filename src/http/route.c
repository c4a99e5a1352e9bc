#include "http/route.h"

#include "base/check.h"

bool url_decode(struct str s, struct arena *a, struct str *ret)
{
    char *at = arena_alloc(a, s.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '%') {
            at[len++] = s.ptr[i];
            continue;
        }
        if (s.len - i < 3 || byte_hex(s.ptr[i + 1]) < 0 || byte_hex(s.ptr[i + 2]) < 0) {
            return false;
        }
        at[len++] = (char)(byte_hex(s.ptr[i + 1]) << 4 | byte_hex(s.ptr[i + 2]));
        i += 2;
    }
    *ret = str_make(at, len);
    return true;
}

/* What the stars stand for, not decoded; count of them, or -1 when the path is another. */
static int match(struct str pattern, struct str path, struct str parts[HTTP_PARTS_MAX])
{
    struct str want, have;
    bool more_want, more_have;
    int count = 0;

    do {
        if (str_eq(pattern, STR("**"))) {
            must(count < HTTP_PARTS_MAX);
            parts[count++] = path;
            return count;
        }
        more_want = str_cut(&pattern, '/', &want);
        more_have = str_cut(&path, '/', &have);
        if (str_eq(want, STR("*")) && have.len > 0) {
            must(count < HTTP_PARTS_MAX);
            parts[count++] = have;
        } else if (!str_eq(want, have)) {
            return -1;
        }
    } while (more_want && more_have);
    return more_want == more_have ? count : -1;
}

static void note_allowed(struct buf *allow, const char *method)
{
    buf_printf(allow, "%s%s%s", allow->len > 0 ? ", " : "", method,
               str_eq(str_of(method), STR("GET")) ? ", HEAD" : "");
}

static bool serves(const struct http_route *r, struct str method)
{
    return str_eq(str_of(r->method), method) ||
           (str_eq(method, STR("HEAD")) && str_eq(str_of(r->method), STR("GET")));
}

enum route_result route_find(const struct http_route *routes, size_t count, struct str method,
                             struct str path, struct arena *a, const struct http_route **ret,
                             struct str parts[HTTP_PARTS_MAX], struct buf *allow)
{
    enum route_result result = ROUTE_NO_PATH;

    for (size_t i = 0; i < count; i++) {
        struct str found[HTTP_PARTS_MAX] = {{NULL, 0}};
        int stars = match(str_of(routes[i].path), path, found);

        if (stars < 0) {
            continue;
        }
        if (!serves(&routes[i], method)) {
            note_allowed(allow, routes[i].method);
            result = ROUTE_NO_METHOD;
            continue;
        }
        for (int j = 0; j < stars; j++) {
            if (!url_decode(found[j], a, &parts[j])) {
                return ROUTE_BAD;
            }
        }
        *ret = &routes[i];
        return ROUTE_FOUND;
    }
    return result;
}
