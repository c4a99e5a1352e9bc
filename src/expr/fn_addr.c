/* Functions on addresses: of the Internet, and of mail. */
#include "base/addr.h"
#include "base/buf.h"
#include "expr/functions.h"

static bool ip_of(struct allowance *w, const struct value *v, struct addr *ret, bool *ok)
{
    struct str s;

    *ok = false;
    if (!value_to_text(w, v, &s)) {
        return false;
    }
    *ok = addr_parse_ip(s, ret);
    return true;
}

static bool is_family(struct allowance *w, const struct value *v, unsigned family,
                      struct value *ret)
{
    struct addr ip;
    bool ok;

    if (!ip_of(w, v, &ip, &ok)) {
        return false;
    }
    *ret = value_bool(ok && (family == 0 || ip.family == family));
    return true;
}

bool fn_is_ip_addr(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    (void)count;
    return is_family(w, &args[0], 0, ret);
}

bool fn_is_ipv4_addr(struct allowance *w, const struct value *args, unsigned count,
                     struct value *ret)
{
    (void)count;
    return is_family(w, &args[0], 4, ret);
}

bool fn_is_ipv6_addr(struct allowance *w, const struct value *args, unsigned count,
                     struct value *ret)
{
    (void)count;
    return is_family(w, &args[0], 6, ret);
}

bool fn_ip_reverse_name(struct allowance *w, const struct value *args, unsigned count,
                        struct value *ret)
{
    static const char hex[] = "0123456789abcdef";
    struct addr ip;
    struct buf b BUF_LOCAL = {0};
    bool ok;
    char *text;

    (void)count;
    *ret = value_text(STR_EMPTY);
    if (!ip_of(w, &args[0], &ip, &ok)) {
        return false;
    }
    if (!ok) {
        return true;
    }
    if (ip.family == 4) {
        buf_printf(&b, "%u.%u.%u.%u", ip.ip[3], ip.ip[2], ip.ip[1], ip.ip[0]);
    } else {
        for (size_t i = sizeof ip.ip; i-- > 0;) {
            buf_printf(&b, "%c.%c%s", hex[ip.ip[i] & 15], hex[ip.ip[i] >> 4], i > 0 ? "." : "");
        }
    }
    text = work_alloc(w, b.len, 1);
    if (text == NULL) {
        return false;
    }
    text_put(text, buf_str(&b));
    *ret = value_text(str_make(text, b.len));
    return true;
}

static bool in_network(struct allowance *w, const struct addr *ip, const struct value *net,
                       bool *ret)
{
    struct cidr cidr;
    struct str s;

    if (!work_step(w, 1) || !value_to_text(w, net, &s)) {
        return false;
    }
    if (cidr_parse(s, &cidr)) {
        struct addr plain = addr_unmap(ip);

        *ret = *ret || cidr_match(&cidr, ip) || cidr_match(&cidr, &plain);
    }
    return true;
}

bool fn_is_ip_in_cidr(struct allowance *w, const struct value *args, unsigned count,
                      struct value *ret)
{
    struct addr ip;
    bool ok, found = false;

    (void)count;
    if (!ip_of(w, &args[0], &ip, &ok)) {
        return false;
    }
    if (ok && args[1].type == VALUE_LIST) {
        for (size_t i = 0; i < args[1].list.count && !found; i++) {
            if (!in_network(w, &ip, &args[1].list.at[i], &found)) {
                return false;
            }
        }
    } else if (ok && !in_network(w, &ip, &args[1], &found)) {
        return false;
    }
    *ret = value_bool(found);
    return true;
}

/* Labels of letters, digits, '-' and '_' (or bytes of UTF-8), at least two of them. */
static bool is_domain(struct str s)
{
    struct str rest = s, label;
    unsigned labels = 0;
    bool more = true;

    if (s.len > 255) {
        return false;
    }
    while (more) {
        more = str_cut(&rest, '.', &label);
        if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' ||
            label.ptr[label.len - 1] == '-') {
            return false;
        }
        for (size_t i = 0; i < label.len; i++) {
            char c = label.ptr[i];

            if (!byte_is_alnum(c) && c != '-' && c != '_' && (c & 0x80) == 0) {
                return false;
            }
        }
        labels++;
    }
    return labels >= 2;
}

bool fn_is_email(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    struct str s, local;
    size_t at;
    bool ok;

    (void)count;
    if (!value_to_text(w, &args[0], &s) || !work_step(w, 1 + s.len / 64)) {
        return false;
    }
    at = str_rfind(s, '@');
    ok = at != STR_NONE && at > 0 && at <= 64 && is_domain(str_skip(s, at + 1));
    local = ok ? str_head(s, at) : STR_EMPTY;
    for (size_t i = 0; i < local.len; i++) {
        char c = local.ptr[i];
        bool dot_ends = c == '.' && (i == 0 || i + 1 == local.len || local.ptr[i + 1] == '.');

        ok = ok && (unsigned char)c > ' ' && c != 127 && !dot_ends &&
             str_find(STR("()<>[]:;@\\,\""), c) == STR_NONE;
    }
    *ret = value_bool(ok);
    return true;
}

bool fn_email_part(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    struct str s, part;
    size_t at;

    (void)count;
    *ret = value_text(STR_EMPTY);
    if (!value_to_text(w, &args[0], &s) || !value_to_text(w, &args[1], &part)) {
        return false;
    }
    at = str_rfind(s, '@');
    if (at != STR_NONE && str_eq(part, STR("local"))) {
        *ret = value_text(str_head(s, at));
    } else if (at != STR_NONE && str_eq(part, STR("domain"))) {
        *ret = value_text(str_skip(s, at + 1));
    }
    return true;
}
