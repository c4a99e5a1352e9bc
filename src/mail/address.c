#include "mail/address.h"

#include "mail/envelope.h"

static bool is_high(char c)
{
    return (unsigned char)c >= 0x80;
}

/* RFC 5322 section 3.2.3. */
static bool is_atext(char c)
{
    return byte_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool label_is_valid(struct str label, bool utf8, bool underscore)
{
    bool ascii = true;

    if (label.len == 0 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];

        if (is_high(c)) {
            ascii = false;
            if (!utf8) {
                return false;
            }
        } else if (!byte_is_alnum(c) && c != '-' && !(underscore && c == '_')) {
            return false;
        }
    }
    /* The limit of 63 counts octets of the A-label; a U-label may be longer. */
    return !ascii || label.len <= ADDRESS_LABEL_BYTES_MAX;
}

static bool labels_are_valid(struct str domain, bool utf8, bool underscore)
{
    struct str label;
    bool more;

    if (domain.len == 0 || domain.len > ADDRESS_DOMAIN_BYTES_MAX) {
        return false;
    }
    do {
        more = str_cut(&domain, '.', &label);
        if (!label_is_valid(label, utf8, underscore)) {
            return false;
        }
    } while (more);
    return true;
}

bool domain_is_valid(struct str domain, bool utf8)
{
    return labels_are_valid(domain, utf8, false);
}

bool literal_parse(struct str literal, struct addr *ret)
{
    static const struct str tag = STR_INIT("IPv6:");
    struct str inside;
    struct addr found;
    bool is_ipv6;

    if (literal.len < 2 || literal.ptr[0] != '[' || literal.ptr[literal.len - 1] != ']') {
        return false;
    }
    inside = str_make(literal.ptr + 1, literal.len - 2);
    is_ipv6 = str_starts_nocase(inside, tag);
    if (!addr_parse_ip(is_ipv6 ? str_skip(inside, tag.len) : inside, &found) ||
        found.family != (is_ipv6 ? 6 : 4)) {
        return false;
    }
    *ret = found;
    return true;
}

bool literal_is_valid(struct str literal)
{
    struct addr unused;

    return literal_parse(literal, &unused);
}

static bool quoted_is_valid(struct str local, bool utf8)
{
    size_t end = local.len - 1;

    if (local.len < 2 || local.ptr[end] != '"') {
        return false;
    }
    for (size_t i = 1; i < end; i++) {
        unsigned char c = (unsigned char)local.ptr[i];

        if (c == '\\') {
            i++;
            if (i == end || local.ptr[i] < 0x20 || local.ptr[i] > 0x7e) {
                return false;
            }
        } else if (c == '"' || c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8)) {
            return false;
        }
    }
    return true;
}

bool local_is_valid(struct str local, bool utf8)
{
    bool dot = true; /* none may come first, last, or after another */

    if (local.len == 0 || local.len > ADDRESS_LOCAL_BYTES_MAX) {
        return false;
    }
    if (local.ptr[0] == '"') {
        return quoted_is_valid(local, utf8);
    }
    for (size_t i = 0; i < local.len; i++) {
        char c = local.ptr[i];

        if (c == '.') {
            if (dot) {
                return false;
            }
            dot = true;
        } else if (is_atext(c) || (utf8 && is_high(c))) {
            dot = false;
        } else {
            return false;
        }
    }
    return !dot;
}

bool helo_is_valid(struct str helo)
{
    /* No UTF-8: SMTPUTF8 is not negotiated before EHLO (RFC 6531 section 3.7.1). */
    return labels_are_valid(helo, false, true) || literal_is_valid(helo);
}

bool address_eq(struct str a, struct str b)
{
    return str_eq(address_local(a), address_local(b)) &&
           str_eq_nocase(address_domain(a), address_domain(b)) &&
           (str_rfind(a, '@') == STR_NONE) == (str_rfind(b, '@') == STR_NONE);
}
