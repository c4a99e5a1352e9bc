/*
 * The two questions mail asks: which hosts take mail for a domain, and where a host is.
 */
#include "base/mem.h"
#include "dns/part.h"
#include "runtime/random.h"

#include <stdio.h>
#include <stdlib.h>

struct drawn {
    struct dns_mx_host host;
    uint64_t lot;
};

static int by_preference(const void *left, const void *right)
{
    const struct drawn *l = left, *r = right;

    if (l->host.preference != r->host.preference) {
        return l->host.preference < r->host.preference ? -1 : 1;
    }
    return l->lot < r->lot ? -1 : l->lot > r->lot;
}

/* The root as a host takes no part unless it stands alone (RFC 7505 section 3). */
static void take_hosts(const struct dns_answer *answer, size_t limit, struct arena *a,
                       struct dns_mx *ret)
{
    struct drawn *drawn = arena_array(a, answer->count, sizeof *drawn);
    size_t count = 0;

    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *r = &answer->records[i];

        if (!str_eq(r->name, STR("."))) {
            drawn[count++] = (struct drawn){{r->name, r->preference}, random_u64()};
        }
    }
    if (count > 0) {
        qsort(drawn, count, sizeof *drawn, by_preference);
    }
    count = limit != 0 && limit < count ? limit : count;
    ret->hosts = arena_array(a, count, sizeof *ret->hosts);
    for (size_t i = 0; i < count; i++) {
        ret->hosts[i] = drawn[i].host;
    }
    ret->count = count;
}

static void judge_mx(const struct dns_answer *answer, struct str domain, size_t limit,
                     struct arena *a, struct dns_mx *ret)
{
    if (answer->count == 1 && answer->left_out == 0 && answer->records[0].preference == 0 &&
        str_eq(answer->records[0].name, STR("."))) {
        ret->kind = DNS_MX_NULL;
        ret->why = arena_printf(a, "%.*s takes no mail (null MX)", STR_ARG(domain));
        return;
    }
    take_hosts(answer, limit, a, ret);
    ret->kind = DNS_MX_HOSTS;
    if (ret->count == 0) {
        ret->kind = DNS_MX_FAILED;
        ret->why = arena_printf(a, "MX %.*s: none of the names can be used", STR_ARG(domain));
    }
}

struct err dns_mx(struct dns *d, struct str domain, size_t limit, struct arena *a,
                  struct dns_mx *ret, struct when by)
{
    struct dns_answer answer;
    struct err e = dns_ask(d, domain, DNS_MX, a, &answer, by);

    if (e.code != OK) {
        return e;
    }
    *ret = (struct dns_mx){.secure = answer.secure, .ttl_s = answer.ttl_s, .why = STR_EMPTY};
    switch (answer.result) {
    case DNS_OK:
        judge_mx(&answer, domain, limit, a, ret);
        break;
    case DNS_NO_NAME:
    case DNS_NO_DATA:
        ret->kind = DNS_MX_IMPLICIT;
        ret->hosts = ARENA_NEW(a, struct dns_mx_host);
        ret->hosts[0].name = arena_dup(a, domain);
        ret->count = 1;
        ret->why = answer.why;
        break;
    case DNS_FAILED:
    case DNS_BOGUS:
        ret->kind = DNS_MX_FAILED;
        ret->bogus = answer.result == DNS_BOGUS;
        ret->why = answer.why;
        break;
    }
    return ERR_OK;
}

/* What the families said, added up. */
struct tally {
    size_t limit;
    bool allow_loopback, had_loopback, had_failure;
};

static void add_family(const struct dns_answer *answer, struct tally *tally, struct dns_host *ret)
{
    switch (answer->result) {
    case DNS_OK:
        ret->secure = ret->secure && answer->secure;
        tally->had_failure = tally->had_failure || answer->count == 0;
        break;
    case DNS_FAILED:
    case DNS_BOGUS:
        ret->bogus = ret->bogus || answer->result == DNS_BOGUS;
        tally->had_failure = true;
        break;
    case DNS_NO_NAME:
    case DNS_NO_DATA:
        break;
    }
    /* A failure is worth more words than a "not found". */
    if (answer->why.len > 0 && (ret->why.len == 0 || answer->result >= DNS_FAILED)) {
        ret->why = answer->why;
    }
    for (size_t i = 0; i < answer->count && ret->count < tally->limit; i++) {
        const struct addr *found = &answer->records[i].addr;

        if (addr_is_loopback(found) && !tally->allow_loopback) {
            tally->had_loopback = true;
        } else {
            ret->addrs[ret->count++] = *found;
        }
    }
}

static void conclude(struct str host, const struct tally *tally, struct arena *a,
                     struct dns_host *ret)
{
    if (ret->count > 0) {
        ret->kind = DNS_HOST_FOUND;
        ret->why = STR_EMPTY;
        return;
    }
    ret->secure = false;
    if (tally->had_failure) {
        ret->kind = DNS_HOST_FAILED;
        ret->why = ret->why.len > 0
                       ? ret->why
                       : arena_printf(a, "%.*s: no address in the answer", STR_ARG(host));
    } else if (tally->had_loopback) {
        ret->kind = DNS_HOST_LOOPBACK;
        ret->why = arena_printf(a, "%.*s has only loopback addresses", STR_ARG(host));
    } else {
        ret->kind = DNS_HOST_NONE;
    }
}

static void literal(struct addr given, struct str host, bool allow_loopback, struct arena *a,
                    struct dns_host *ret)
{
    struct tally tally = {.limit = 1, .allow_loopback = allow_loopback};
    struct dns_record record = {.addr = given};
    struct dns_answer answer = {.result = DNS_OK, .records = &record, .count = 1};

    ret->addrs = ARENA_NEW(a, struct addr);
    add_family(&answer, &tally, ret);
    conclude(host, &tally, a, ret);
}

struct err dns_host(struct dns *d, struct str host, enum dns_order order, size_t limit,
                    bool allow_loopback, struct arena *a, struct dns_host *ret, struct when by)
{
    static const enum dns_type families[][2] = {[DNS_IPV4_ONLY] = {DNS_A, 0},
                                                [DNS_IPV6_ONLY] = {DNS_AAAA, 0},
                                                [DNS_IPV4_FIRST] = {DNS_A, DNS_AAAA},
                                                [DNS_IPV6_FIRST] = {DNS_AAAA, DNS_A}};
    struct tally tally = {.allow_loopback = allow_loopback};
    struct question *asked[2] = {NULL, NULL};
    struct dns_answer answer;
    struct err e = ERR_OK;
    struct addr given;

    *ret = (struct dns_host){.secure = true, .why = STR_EMPTY};
    if (addr_parse_ip(host, &given)) {
        literal(given, host, allow_loopback, a, ret);
        return ERR_OK;
    }
    if (!dns_name_is_valid(host)) {
        ret->why = arena_printf(a, "not a host name");
        conclude(host, &tally, a, ret);
        return ERR_OK;
    }
    tally.limit = limit == 0 || limit > 2 * DNS_RECORDS_MAX ? 2 * DNS_RECORDS_MAX : limit;
    ret->addrs = arena_array(a, tally.limit, sizeof *ret->addrs);
    /* Both at once: the second answer is usually there when the first has been waited for. */
    for (size_t i = 0; i < 2 && families[order][i] != 0; i++) {
        asked[i] = question_start(d, host, families[order][i]);
    }
    for (size_t i = 0; i < 2 && asked[i] != NULL; i++) {
        if (e.code != OK || ret->count >= tally.limit) {
            question_give_up(asked[i]);
            continue;
        }
        e = question_finish(asked[i], a, &answer, by);
        if (e.code == OK) {
            add_family(&answer, &tally, ret);
        }
    }
    if (e.code == OK) {
        conclude(host, &tally, a, ret);
    }
    return e;
}

struct str dns_reverse(struct addr of, struct arena *a)
{
    static const char hex[] = "0123456789abcdef";
    struct addr plain = addr_unmap(&of);
    char text[80];
    size_t len = 0;

    if (plain.family == 4) {
        return arena_printf(a, "%u.%u.%u.%u.in-addr.arpa", plain.ip[3], plain.ip[2], plain.ip[1],
                            plain.ip[0]);
    }
    for (size_t i = 16; i-- > 0;) {
        text[len++] = hex[plain.ip[i] & 15];
        text[len++] = '.';
        text[len++] = hex[plain.ip[i] >> 4];
        text[len++] = '.';
    }
    return arena_printf(a, "%.*sip6.arpa", (int)len, text);
}
