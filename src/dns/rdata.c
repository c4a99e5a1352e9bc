#include "dns/rdata.h"

enum { LABEL_MAX = 63 };

/* Names of hosts, and the underscore of services, and the slash of RFC 2317's reverse zones. What
 * else a label may hold (RFC 2181 section 11) has no business in a log or a Received field. */
static bool is_name_byte(char c)
{
    return byte_is_alnum(c) || c == '-' || c == '_' || c == '/';
}

static bool label_is_valid(struct str label)
{
    for (size_t i = 0; i < label.len; i++) {
        if (!is_name_byte(label.ptr[i])) {
            return false;
        }
    }
    return label.len > 0 && label.len <= LABEL_MAX;
}

bool dns_name_is_valid(struct str name)
{
    struct str label;
    bool more;

    if (str_ends(name, STR("."))) {
        name.len--;
    }
    if (name.len == 0 || name.len > DNS_NAME_MAX) {
        return false;
    }
    do {
        more = str_cut(&name, '.', &label);
        if (!label_is_valid(label)) {
            return false;
        }
    } while (more);
    return true;
}

bool rdata_name(struct str bytes, struct arena *a, struct str *ret)
{
    char text[DNS_NAME_MAX + 1];
    size_t len = 0, at = 0, label;

    for (;;) {
        if (at >= bytes.len) {
            return false;
        }
        label = (unsigned char)bytes.ptr[at++];
        if (label == 0) {
            break;
        }
        if (label > LABEL_MAX || label > bytes.len - at || len + label + 1 > sizeof text ||
            !label_is_valid(str_make(bytes.ptr + at, label))) {
            return false;
        }
        memcpy(text + len, bytes.ptr + at, label);
        len += label;
        text[len++] = '.';
        at += label;
    }
    if (at != bytes.len) {
        return false;
    }
    *ret = len == 0 ? STR(".") : arena_dup(a, str_make(text, len - 1));
    return true;
}

static bool address(struct str bytes, uint8_t family, size_t size, struct addr *ret)
{
    if (bytes.len != size) {
        return false;
    }
    *ret = (struct addr){.family = family};
    memcpy(ret->ip, bytes.ptr, size);
    return true;
}

/* Strings of one length byte each, joined: the reading of RFC 7208 section 3.3 and its kin. */
static bool strings(struct str bytes, struct arena *a, struct str *ret)
{
    char *text = bytes.len > 0 && bytes.len <= UINT16_MAX ? arena_alloc(a, bytes.len) : NULL;
    size_t len = 0, n;

    if (text == NULL) {
        return false;
    }
    for (size_t at = 0; at < bytes.len; at += n) {
        n = (unsigned char)bytes.ptr[at++];
        if (n > bytes.len - at || n > DNS_TEXT_MAX - len) {
            return false;
        }
        memcpy(text + len, bytes.ptr + at, n);
        len += n;
    }
    *ret = str_make(text, len);
    return true;
}

bool rdata_parse(enum dns_type type, struct str bytes, struct arena *a, struct dns_record *ret)
{
    struct dns_record r = {0};
    bool good = false;

    r.name = r.bytes = STR_EMPTY;
    switch (type) {
    case DNS_A:
        good = address(bytes, 4, 4, &r.addr);
        break;
    case DNS_AAAA:
        good = address(bytes, 6, 16, &r.addr);
        break;
    case DNS_MX:
        if (bytes.len > 2) {
            r.preference = (uint16_t)((unsigned char)bytes.ptr[0] << 8 |
                                      (unsigned char)bytes.ptr[1]);
            good = rdata_name(str_skip(bytes, 2), a, &r.name);
        }
        break;
    case DNS_PTR:
    case DNS_CNAME:
        good = rdata_name(bytes, a, &r.name);
        break;
    case DNS_TXT:
        good = strings(bytes, a, &r.bytes);
        break;
    case DNS_TLSA:
        good = bytes.len > 3 && bytes.len <= DNS_TEXT_MAX;
        r.bytes = good ? arena_dup(a, bytes) : STR_EMPTY;
        break;
    default:
        break;
    }
    if (good) {
        *ret = r;
    }
    return good;
}
