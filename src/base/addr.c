#include "base/addr.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <stdio.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool addr_parse_ip(struct str s, struct addr *ret)
{
    char z[INET6_ADDRSTRLEN];
    struct addr a = {0};

    /* A NUL inside would end the text early and hide what follows. */
    if (s.len == 0 || s.len >= sizeof z || str_find(s, '\0') != STR_NONE) {
        return false;
    }
    memcpy(z, s.ptr, s.len);
    z[s.len] = '\0';
    if (inet_pton(AF_INET, z, a.ip) == 1) {
        a.family = 4;
    } else if (inet_pton(AF_INET6, z, a.ip) == 1) {
        a.family = 6;
    } else {
        return false;
    }
    *ret = a;
    return true;
}

bool addr_parse(struct str s, struct addr *ret)
{
    size_t colon = str_rfind(s, ':');
    struct addr a;
    uint64_t port;

    if (colon == STR_NONE) {
        return false;
    }
    struct str host = str_head(s, colon);
    bool bracketed = host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';

    if (bracketed) {
        host = str_make(host.ptr + 1, host.len - 2);
    }
    if (!addr_parse_ip(host, &a) || bracketed != (a.family == 6)) {
        return false;
    }
    if (s.len - colon > 6 || !str_to_u64(str_skip(s, colon + 1), &port) || port == 0 ||
        port > UINT16_MAX) {
        return false;
    }
    a.port = (uint16_t)port;
    *ret = a;
    return true;
}

/* Without inet_ntop, which goes through printf: this is in the Received field of each message. */
static struct str print_v4(const uint8_t ip[4], char *at)
{
    size_t len = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned n = ip[i];

        if (n >= 100) {
            at[len++] = (char)('0' + n / 100);
        }
        if (n >= 10) {
            at[len++] = (char)('0' + n / 10 % 10);
        }
        at[len++] = (char)('0' + n % 10);
        at[len++] = '.';
    }
    at[--len] = '\0';
    return (struct str){at, len};
}

struct str addr_print_ip(const struct addr *a, char at[ADDR_BYTES])
{
    at[0] = '\0';
    if (a->family == 4) {
        return print_v4(a->ip, at);
    }
    if (a->family != 0) {
        must(inet_ntop(AF_INET6, a->ip, at, ADDR_BYTES) != NULL);
    }
    return str_of(at);
}

struct str addr_print(const struct addr *a, char at[ADDR_BYTES])
{
    char ip[ADDR_BYTES];

    addr_print_ip(a, ip);
    if (a->port == 0 || a->family == 0) {
        snprintf(at, ADDR_BYTES, "%s", ip);
    } else {
        snprintf(at, ADDR_BYTES, a->family == 6 ? "[%s]:%u" : "%s:%u", ip, (unsigned)a->port);
    }
    return str_of(at);
}

bool addr_eq_ip(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return addr_eq_ip(a, b) && a->port == b->port;
}

struct addr addr_unmap(const struct addr *a)
{
    struct addr plain = {.family = 4, .port = a->port};

    if (a->family != 6 || memcmp(a->ip, mapped, sizeof mapped) != 0) {
        return *a;
    }
    memcpy(plain.ip, a->ip + sizeof mapped, 4);
    return plain;
}

bool addr_is_loopback(const struct addr *a)
{
    static const struct addr one = {.family = 6, .ip = {[15] = 1}};
    struct addr u = addr_unmap(a);

    return (u.family == 4 && u.ip[0] == 127) || addr_eq_ip(&u, &one);
}

bool addr_is_any(const struct addr *a)
{
    static const uint8_t zero[16];

    return a->family != 0 && memcmp(a->ip, zero, sizeof zero) == 0;
}

static void clear_host_bits(struct cidr *c)
{
    for (unsigned i = 0; i < 128; i++) {
        if (i >= c->bits) {
            c->net.ip[i / 8] &= (uint8_t) ~(0x80U >> (i % 8));
        }
    }
}

bool cidr_parse(struct str s, struct cidr *ret)
{
    struct str rest = s, host;
    struct cidr c = {0};
    bool has_bits = str_cut(&rest, '/', &host);
    uint64_t bits;

    if (!addr_parse_ip(host, &c.net)) {
        return false;
    }
    unsigned width = c.net.family == 4 ? 32 : 128;

    bits = width;
    if (has_bits && (rest.len > 3 || !str_to_u64(rest, &bits) || bits > width)) {
        return false;
    }
    struct addr plain = addr_unmap(&c.net);

    if (plain.family != c.net.family && bits >= 96) {
        c.net = plain;
        bits -= 96;
    }
    c.bits = (uint8_t)bits;
    clear_host_bits(&c);
    *ret = c;
    return true;
}

bool cidr_match(const struct cidr *c, const struct addr *a)
{
    struct addr u = addr_unmap(a);
    unsigned whole = c->bits / 8, part = c->bits % 8;

    if (c->net.family == 0 || u.family != c->net.family || memcmp(u.ip, c->net.ip, whole) != 0) {
        return false;
    }
    return part == 0 || ((u.ip[whole] ^ c->net.ip[whole]) >> (8 - part)) == 0;
}

struct str cidr_print(const struct cidr *c, char at[ADDR_BYTES])
{
    struct str ip = addr_print_ip(&c->net, at);

    if (c->net.family != 0) {
        snprintf(at + ip.len, ADDR_BYTES - ip.len, "/%u", (unsigned)c->bits);
    }
    return str_of(at);
}
