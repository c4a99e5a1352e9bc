#include "mail/path.h"

#include "mail/address.h"

/* Where the local part at the start of s ends: at the '@' or '>' that follows it, or at the end. */
static size_t local_end(struct str s)
{
    size_t i = 0;

    if (s.len > 0 && s.ptr[0] == '"') {
        for (i = 1; i < s.len && s.ptr[i] != '"'; i++) {
            if (s.ptr[i] == '\\') {
                i++;
            }
        }
        return i < s.len ? i + 1 : s.len;
    }
    while (i < s.len && s.ptr[i] != '@' && s.ptr[i] != '>') {
        i++;
    }
    return i;
}

static enum refusal check_bytes(struct str s, bool utf8)
{
    bool ascii = true;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c < 0x20 || c == 0x7f) {
            return REFUSAL_CONTROL;
        }
        ascii = ascii && c < 0x80;
    }
    if (ascii) {
        return REFUSAL_NONE;
    }
    if (!utf8) {
        return REFUSAL_UTF8_NOT_ASKED;
    }
    return str_is_utf8(s) ? REFUSAL_NONE : REFUSAL_UTF8_MALFORMED;
}

static void fill(struct path *ret, struct str local, struct str domain, struct arena *a)
{
    size_t len = local.len + (domain.len > 0 ? 1 + domain.len : 0);
    char *at = arena_alloc(a, len + 1);

    memcpy(at, local.ptr, local.len);
    if (domain.len > 0) {
        at[local.len] = '@';
        for (size_t i = 0; i < domain.len; i++) {
            at[local.len + 1 + i] = byte_lower(domain.ptr[i]);
        }
    }
    ret->address = str_make(at, len);
    ret->local = str_make(at, local.len);
    ret->domain = str_make(at + (len - domain.len), domain.len);
    ret->is_utf8 = !str_is_ascii(ret->address);
}

/* local@domain, whole; bytes were checked. */
static enum refusal mailbox(struct str s, struct arena *a, struct path *ret)
{
    size_t end = local_end(s);
    struct str local = str_head(s, end), domain = str_skip(s, end + 1);

    if (local.len > ADDRESS_LOCAL_BYTES_MAX) {
        return REFUSAL_LOCAL_LONG;
    }
    if (!local_is_valid(local, true)) {
        return REFUSAL_LOCAL_SYNTAX;
    }
    if (end == s.len) {
        return REFUSAL_DOMAIN_NONE;
    }
    if (s.ptr[end] != '@') {
        return REFUSAL_LOCAL_SYNTAX;
    }
    ret->is_literal = domain.len > 0 && domain.ptr[0] == '[';
    if (ret->is_literal ? !literal_is_valid(domain) : !domain_is_valid(domain, true)) {
        return REFUSAL_DOMAIN_SYNTAX;
    }
    fill(ret, local, domain, a);
    return REFUSAL_NONE;
}

/* "@a,@b:" at the start of *s, removed. */
static enum refusal skip_route(struct str *s)
{
    for (;;) {
        size_t end = 1;
        struct str domain;

        if (s->len == 0 || s->ptr[0] != '@') {
            return REFUSAL_PATH_SYNTAX;
        }
        while (end < s->len && s->ptr[end] != ',' && s->ptr[end] != ':') {
            end++;
        }
        domain = str_make(s->ptr + 1, end - 1);
        if (end == s->len || !domain_is_valid(domain, true)) {
            return REFUSAL_PATH_SYNTAX;
        }
        *s = str_skip(*s, end + 1);
        if (domain.ptr[domain.len] == ':') {
            return REFUSAL_NONE;
        }
    }
}

/* Where the path in s ends: at the '>' that is not inside a quoted string. */
static size_t closing(struct str s)
{
    bool quoted = false;

    for (size_t i = 0; i < s.len; i++) {
        if (quoted && s.ptr[i] == '\\') {
            i++;
        } else if (s.ptr[i] == '"') {
            quoted = !quoted;
        } else if (s.ptr[i] == '>' && !quoted) {
            return i;
        }
    }
    return STR_NONE;
}

enum refusal path_parse(struct str in, enum path_kind kind, bool utf8, struct arena *a,
                        struct path *ret, struct str *rest)
{
    struct path path = {.address = STR_EMPTY, .local = STR_EMPTY, .domain = STR_EMPTY};
    enum refusal why;
    struct str s;
    size_t end;

    if (in.len > 0 && (in.ptr[0] == ' ' || in.ptr[0] == '\t')) {
        return REFUSAL_SPACE;
    }
    end = closing(in);
    why = check_bytes(str_head(in, end), utf8); /* all of it when nothing closes it */
    if (why != REFUSAL_NONE) {
        return why;
    }
    if (end == STR_NONE || in.ptr[0] != '<') {
        return REFUSAL_PATH_SYNTAX;
    }
    if (end + 1 > ADDRESS_PATH_BYTES_MAX) {
        return REFUSAL_PATH_LONG;
    }
    s = str_make(in.ptr + 1, end - 1);
    if (s.len > 0 && s.ptr[0] == '@') {
        path.had_route = true;
        why = skip_route(&s);
        if (why != REFUSAL_NONE) {
            return why;
        }
    }
    if (s.len == 0) {
        if (kind == PATH_FORWARD || path.had_route) {
            return path.had_route ? REFUSAL_PATH_SYNTAX : REFUSAL_PATH_NULL;
        }
    } else if (kind == PATH_FORWARD && !path.had_route && str_eq_nocase(s, STR("postmaster"))) {
        fill(&path, s, STR_EMPTY, a);
    } else {
        why = mailbox(s, a, &path);
    }
    if (why == REFUSAL_NONE) {
        *ret = path;
        *rest = str_skip(in, end + 1);
    }
    return why;
}

enum refusal path_parse_address(struct str in, bool utf8, struct arena *a, struct path *ret)
{
    struct path path = {.address = STR_EMPTY, .local = STR_EMPTY, .domain = STR_EMPTY};
    enum refusal why = check_bytes(in, utf8);

    if (why == REFUSAL_NONE && in.len + 2 > ADDRESS_PATH_BYTES_MAX) {
        why = REFUSAL_PATH_LONG;
    }
    if (why == REFUSAL_NONE) {
        why = mailbox(in, a, &path);
    }
    if (why == REFUSAL_NONE) {
        *ret = path;
    }
    return why;
}
