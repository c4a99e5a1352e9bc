#include "http/target.h"

#include "base/check.h"

static struct err refuse(struct buf *why, const char *sentence)
{
    buf_printf(why, "%s", sentence);
    return err_of(ERR_CONFIG);
}

/* ---- the parts of an address ---- */

static bool cut_scheme(struct str *rest, struct fetch_target *t)
{
    if (str_starts_nocase(*rest, STR("http://"))) {
        *rest = str_skip(*rest, 7);
        return true;
    }
    if (str_starts_nocase(*rest, STR("https://"))) {
        *rest = str_skip(*rest, 8);
        t->is_tls = true;
        return true;
    }
    return false;
}

static bool is_host_byte(char c)
{
    return byte_is_alnum(c) || c == '-' || c == '.' || c == '_';
}

/* Letters, digits, '-' and '_' in labels of 1 to 63. */
static bool is_name(struct str s)
{
    struct str label;
    bool more = true;

    if (s.len > 253) {
        return false;
    }
    while (more) {
        more = str_cut(&s, '.', &label);
        if (label.len == 0 || label.len > 63) {
            return false;
        }
        for (size_t i = 0; i < label.len; i++) {
            if (!is_host_byte(label.ptr[i])) {
                return false;
            }
        }
    }
    return true;
}

/* No top-level domain begins with a digit. */
static bool looks_like_a_number(struct str name)
{
    size_t dot = str_rfind(name, '.');

    return byte_is_digit(dot == STR_NONE ? name.ptr[0] : name.ptr[dot + 1]);
}

static struct err read_name(struct str name, struct arena *a, struct fetch_target *t,
                            struct buf *why)
{
    if (!str_is_ascii(name)) {
        return refuse(why, "the host must be ASCII; write an internationalised name as \"xn--…\"");
    }
    if (name.len == 0) {
        return refuse(why, "a host is missing");
    }
    if (str_ends(name, STR("."))) {
        return refuse(why, "the host must not end in a dot");
    }
    if (!is_name(name)) {
        return refuse(why, "the host is neither a name nor an address");
    }
    if (looks_like_a_number(name) && (!addr_parse_ip(name, &t->addr) || t->addr.family != 4)) {
        return refuse(why, "an IPv4 address has four decimal parts, such as 192.0.2.1");
    }
    t->host = arena_dup(a, name);
    for (size_t i = 0; i < name.len; i++) {
        ((char *)(uintptr_t)t->host.ptr)[i] = byte_lower(name.ptr[i]);
    }
    return ERR_OK;
}

static struct err read_port(struct str digits, struct fetch_target *t, struct buf *why)
{
    uint64_t port;

    if (digits.len > 5 || !str_to_u64(digits, &port) || port == 0 || port > UINT16_MAX) {
        return refuse(why, "the port must be a number from 1 to 65535");
    }
    t->port = (uint16_t)port;
    return ERR_OK;
}

/* "host", "host:port", "[address]", "[address]:port" */
static struct err read_authority(struct str s, struct arena *a, struct fetch_target *t,
                                 struct buf *why)
{
    struct str host, port;
    size_t end;
    struct err e;

    if (str_find(s, '@') != STR_NONE) {
        return refuse(why, "user and password do not belong into the address; use the "
                           "authentication settings");
    }
    if (!str_starts(s, STR("["))) {
        if (str_find(s, ':') != str_rfind(s, ':')) {
            return refuse(why, "there can be one port only, and an IPv6 address is written in "
                               "brackets: [2001:db8::1]");
        }
        port = s;
        e = read_name(str_cut(&port, ':', &host) ? host : s, a, t, why);
        return e.code == OK && host.len < s.len ? read_port(port, t, why) : e;
    }
    end = str_find(s, ']');
    host = end == STR_NONE ? STR_EMPTY : str_make(s.ptr + 1, end - 1);
    if (!addr_parse_ip(host, &t->addr) || t->addr.family != 6) {
        return refuse(why, "what stands in brackets must be an IPv6 address");
    }
    t->host = arena_dup(a, host);
    port = str_skip(s, end + 1);
    if (port.len == 0) {
        return ERR_OK;
    }
    return port.ptr[0] == ':' ? read_port(str_skip(port, 1), t, why)
                              : refuse(why, "after the bracket only a port may follow");
}

static struct err check_path(struct str path, struct buf *why)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];

        if (c == '#') {
            return refuse(why, "an address that is called has no fragment (#…)");
        }
        if (c == '%' &&
            (path.len - i < 3 || byte_hex(path.ptr[i + 1]) < 0 || byte_hex(path.ptr[i + 2]) < 0)) {
            return refuse(why, "after a percent sign two hexadecimal digits must follow");
        }
        if (c != '%' && !byte_is_alnum(c) && str_find(STR("-._~!$&'()*+,;=:@/?"), c) == STR_NONE) {
            return refuse(why, "a character in the path must be written as %XX");
        }
    }
    return ERR_OK;
}

struct err fetch_target_parse(struct str url, struct arena *a, struct fetch_target *ret,
                              struct buf *why)
{
    struct fetch_target t = {0};
    struct str rest = url;
    size_t end = 0;
    struct err e;

    if (url.len > FETCH_URL_MAX) {
        return refuse(why, "the address is longer than 2048 bytes");
    }
    if (!cut_scheme(&rest, &t)) {
        return refuse(why, "the address must begin with http:// or https://");
    }
    while (end < rest.len && str_find(STR("/?#"), rest.ptr[end]) == STR_NONE) {
        end++;
    }
    t.port = t.is_tls ? 443 : 80;
    e = read_authority(str_head(rest, end), a, &t, why);
    if (e.code == OK) {
        e = check_path(str_skip(rest, end), why);
    }
    if (e.code != OK) {
        return e;
    }
    rest = str_skip(rest, end);
    t.path = arena_printf(a, "%s%.*s", str_starts(rest, STR("/")) ? "" : "/", STR_ARG(rest));
    t.addr.port = t.addr.family != 0 ? t.port : 0;
    t.origin = arena_printf(a, t.addr.family == 6 ? "%s://[%.*s]:%u" : "%s://%.*s:%u",
                            t.is_tls ? "https" : "http", STR_ARG(t.host), t.port);
    t.url = arena_z(a, arena_printf(a, "%.*s%.*s", STR_ARG(t.origin), STR_ARG(t.path)));
    *ret = t;
    return ERR_OK;
}

bool fetch_target_is_near(const struct fetch_target *t, const struct fetch_target *other)
{
    return str_eq(t->origin, other->origin);
}

bool fetch_target_is_loopback(const struct fetch_target *t)
{
    return t->addr.family != 0 && addr_is_loopback(&t->addr);
}

/* ---- fields ---- */

/* They say how the message is framed or whom it is for, which is not theirs to say who configure
 * fields (RFC 9110 section 7.6.1, RFC 9112 section 6). */
static const struct str ours[] = {
    STR_INIT("Connection"),
    STR_INIT("Content-Length"),
    STR_INIT("Expect"),
    STR_INIT("Host"),
    STR_INIT("Keep-Alive"),
    STR_INIT("Proxy-Authorization"),
    STR_INIT("TE"),
    STR_INIT("Trailer"),
    STR_INIT("Upgrade"),
    STR_INIT("Accept-Encoding"),
    STR_INIT("Proxy-Connection"),
    STR_INIT("Transfer-Encoding"),
};

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!byte_is_alnum(s.ptr[i]) && str_find(STR("!#$%&'*+-.^_`|~"), s.ptr[i]) == STR_NONE) {
            return false;
        }
    }
    return s.len > 0;
}

struct err fetch_field_check(const struct fetch_field *f, struct buf *why)
{
    if (!is_token(f->name)) {
        return refuse(why, "the name of a header field is not one: letters, digits and "
                           "!#$%&'*+-.^_`|~");
    }
    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        if (str_eq_nocase(f->name, ours[i])) {
            buf_printf(why, "the header field %.*s is set by Postyard itself", STR_ARG(ours[i]));
            return err_of(ERR_CONFIG);
        }
    }
    for (size_t i = 0; i < f->value.len; i++) {
        unsigned char c = (unsigned char)f->value.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            buf_printf(why, "the value of the header field %.*s holds a control character",
                       STR_ARG(f->name));
            return err_of(ERR_CONFIG);
        }
    }
    return ERR_OK;
}
