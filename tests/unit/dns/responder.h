/*
 * responder: a name server of one thread that answers from a table, over UDP on a loopback port.
 *
 * A row's records are written as text, one blank between the words, ", " between records:
 *     {"a.test", DNS_MX, 0, "MX 10 mx.a.test, MX 20 ."}
 * rcode DROP answers nothing. What is in no row is NXDOMAIN.
 */
#pragma once

#include "base/addr.h"
#include "base/check.h"
#include "dns/dns.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DROP = -1, NOERROR = 0, SERVFAIL = 2, NXDOMAIN = 3, REFUSED = 5 };

struct row {
    const char *name;
    enum dns_type type;
    int rcode;
    const char *records;
};

struct responder {
    const struct row *rows;
    size_t count;
    int fd;
    pthread_t thread;
    atomic_bool stop;
    atomic_uint asked;
    struct addr at;
};

/* Text name to wire; raw bytes for labels, so that hostile names can be made ("a b.test"). */
static size_t put_name(struct str name, unsigned char *at)
{
    size_t len = 0;
    struct str label;

    if (!str_eq(name, STR("."))) {
        while (name.len > 0) {
            str_cut(&name, '.', &label);
            at[len++] = (unsigned char)label.len;
            memcpy(at + len, label.ptr, label.len);
            len += label.len;
        }
    }
    at[len++] = 0;
    return len;
}

static size_t put_rdata(struct str type, struct str value, unsigned char *at)
{
    struct str first;
    uint64_t number = 0;
    struct addr a;

    if (str_eq(type, STR("A")) || str_eq(type, STR("AAAA"))) {
        must(addr_parse_ip(value, &a));
        memcpy(at, a.ip, a.family == 4 ? 4 : 16);
        return a.family == 4 ? 4 : 16;
    }
    if (str_eq(type, STR("MX"))) {
        str_cut(&value, ' ', &first);
        must(str_to_u64(first, &number));
        at[0] = (unsigned char)(number >> 8);
        at[1] = (unsigned char)number;
        return 2 + put_name(value, at + 2);
    }
    if (str_eq(type, STR("TXT"))) {
        at[0] = (unsigned char)value.len;
        memcpy(at + 1, value.ptr, value.len);
        return 1 + value.len;
    }
    return put_name(value, at); /* CNAME, PTR */
}

static unsigned type_number(struct str type)
{
    static const enum dns_type all[] = {DNS_A,   DNS_CNAME, DNS_PTR, DNS_MX,
                                        DNS_TXT, DNS_AAAA,  DNS_TLSA};

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (str_eq(type, str_of(dns_type_name(all[i])))) {
            return all[i];
        }
    }
    never("a type the table does not know");
}

/* One record behind the packet; its owner is the name before, so that aliases chain. */
static size_t put_record(struct str text, struct str *owner, unsigned char *at)
{
    struct str type;
    size_t len = put_name(*owner, at), size;
    unsigned number;

    str_cut(&text, ' ', &type);
    number = type_number(type);
    memcpy(at + len, (unsigned char[]){0, (unsigned char)number, 0, 1, 0, 0, 0, 60}, 8);
    size = put_rdata(type, text, at + len + 10);
    at[len + 8] = (unsigned char)(size >> 8);
    at[len + 9] = (unsigned char)size;
    if (number == DNS_CNAME) {
        *owner = text;
    }
    return len + 10 + size;
}

static const struct row *find_row(const struct responder *r, struct str name, unsigned type)
{
    for (size_t i = 0; i < r->count; i++) {
        if (str_eq_nocase(name, str_of(r->rows[i].name)) && r->rows[i].type == type) {
            return &r->rows[i];
        }
    }
    return NULL;
}

/* The answer in place of the question; 0: none. */
static size_t respond(struct responder *r, unsigned char *packet, size_t len)
{
    char name[256];
    size_t at = 12, n = 0;
    struct str owner, records, one;
    const struct row *row;
    unsigned type, count = 0;
    bool more;

    while (at < len && packet[at] != 0) {
        memcpy(name + n, packet + at + 1, packet[at]);
        n += packet[at];
        name[n++] = '.';
        at += packet[at] + 1u;
    }
    owner = str_make(name, n > 0 ? n - 1 : 0);
    type = (unsigned)packet[at + 1] << 8 | packet[at + 2];
    at += 5;
    row = find_row(r, owner, type);
    if (row != NULL && row->rcode == DROP) {
        return 0;
    }
    records = str_of(row != NULL ? row->records : NULL);
    for (more = records.len > 0; more; count++) {
        size_t comma = str_find_str(records, STR(", "));

        more = comma != STR_NONE;
        one = more ? str_head(records, comma) : records;
        records = more ? str_skip(records, comma + 2) : STR_EMPTY;
        at += put_record(one, &owner, packet + at);
    }
    packet[2] = 0x81;
    packet[3] = (unsigned char)(0x80 | (row != NULL ? row->rcode : NXDOMAIN));
    memcpy(packet + 4, (unsigned char[]){0, 1, 0, (unsigned char)count, 0, 0, 0, 0}, 8);
    return at;
}

static void *responder_run(void *arg)
{
    struct responder *r = arg;

    while (!r->stop) {
        unsigned char packet[2048];
        struct sockaddr_in from;
        socklen_t from_len = sizeof from;
        struct pollfd p = {r->fd, POLLIN, 0};
        ssize_t got = poll(&p, 1, 20) == 1 ? recvfrom(r->fd, packet, sizeof packet, 0,
                                                      (struct sockaddr *)&from, &from_len)
                                           : 0;
        size_t len = got > 16 ? respond(r, packet, (size_t)got) : 0;

        if (len > 0) {
            r->asked++;
            (void)sendto(r->fd, packet, len, 0, (struct sockaddr *)&from, from_len);
        }
    }
    return NULL;
}

static void responder_start(struct responder *r, const struct row *rows, size_t count)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;

    *r = (struct responder){.rows = rows, .count = count};
    r->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(bind(r->fd, (struct sockaddr *)&at, sizeof at) == 0);
    must(getsockname(r->fd, (struct sockaddr *)&at, &len) == 0);
    must(addr_parse_ip(STR("127.0.0.1"), &r->at));
    r->at.port = ntohs(at.sin_port);
    must(pthread_create(&r->thread, NULL, responder_run, r) == 0);
}

static void responder_stop(struct responder *r)
{
    r->stop = true;
    (void)pthread_join(r->thread, NULL);
    (void)close(r->fd);
}
