/*
 * dns: questions to the domain name system, validated; libunbound stays inside this folder.
 *
 * Source    RFC 1035 (names, records), RFC 3596 (AAAA), RFC 4033 (secure, bogus), RFC 5321
 *           section 5.1 (MX, implicit MX), RFC 7505 (null MX), RFC 6761 (names that never leave).
 * Owns      A resolver belongs to the loop that opened it, its home; any loop may ask it. Answers
 *           are copied into the caller's arena.
 * Limits    Names of 253 bytes, letters, digits, '-', '_' and '/' in labels of 63; what a server
 *           sends beyond that is left out and counted. DNS_RECORDS_MAX records an answer;
 *           DNS_TEXT_MAX bytes a TXT record; DNS_QUESTIONS_MAX questions under way at once, more
 *           are answered DNS_FAILED.
 * Errors    ERR_TIMEOUT and ERR_CANCELLED when `by` or the asker ended the wait. All that the
 *           domain name system can do wrong is an answer, not an error: resolver.timeout passing
 *           is DNS_FAILED.
 *
 * A name that cannot be asked for (not ASCII, too long, an empty label) is DNS_NO_NAME: nobody can
 * own it. Internationalised names come here as A-labels.
 */
#pragma once

#include "base/addr.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    DNS_NAME_MAX = 253,
    DNS_RECORDS_MAX = 256,
    DNS_TEXT_MAX = 4096,
    /* The library keeps 32 KiB for each that is not answered, also for those that were given up: it
     * asks on, for minutes when name servers are silent. */
    DNS_QUESTIONS_MAX = 4000,
};

enum dns_type {
    DNS_A = 1,
    DNS_CNAME = 5,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_TLSA = 52,
};

enum dns_result {
    DNS_OK,      /* records, or only such as had to be left out */
    DNS_NO_NAME, /* the name does not exist */
    DNS_NO_DATA, /* the name exists, without such records */
    DNS_FAILED,  /* nobody answered, or a server failed */
    DNS_BOGUS,   /* answered, but validation failed: treat as failed */
};

struct dns_record {
    uint16_t preference; /* MX */
    struct str name;     /* MX, PTR, CNAME: without the final dot; "." is the root */
    struct addr addr;    /* A, AAAA: port 0 */
    struct str bytes;    /* TXT: strings joined; TLSA: as sent */
};

struct dns_answer {
    enum dns_result result;
    bool secure;    /* validated, its absence too */
    uint32_t ttl_s; /* how long it may be kept */
    struct str
        canonical; /* the name the records belong to, aliases followed; empty when the same */
    struct dns_record *records;
    size_t count;
    size_t left_out; /* records that were malformed, or too many */
    struct str why;  /* for people, unless DNS_OK: "MX example.org: SERVFAIL" */
};

struct dns;
struct resolver_settings;

/* Answers by a function that runs in the asker's fiber, may wait (latency), and fills *ret (given
 * zeroed: DNS_OK without records); the names it hands out are checked like any server's. */
typedef struct err dns_answer_fn(void *ctx, struct str name, enum dns_type type, struct arena *a,
                                 struct dns_answer *ret, struct when by);
struct dns_sim {
    dns_answer_fn *fn;
    void *ctx;
};

/* On the home loop, in a fiber. ERR_CONFIG with a line in *why. In a simulated world the scenario
 * answers: its sim_service("dns") is a struct dns_sim. */
struct err dns_open(const struct resolver_settings *settings, struct dns **ret, struct buf *why);
/* With a scripted resolver in any world. */
struct dns *dns_open_sim(struct dns_sim sim, int64_t timeout_ms);
/* On the home loop, once nobody asks any more; questions given up are dropped. */
void dns_close(struct dns *d, struct when by);

struct err dns_ask(struct dns *d, struct str name, enum dns_type type, struct arena *a,
                   struct dns_answer *ret, struct when by);

/* Where mail for a domain goes. */
enum dns_mx_kind {
    DNS_MX_HOSTS,
    DNS_MX_IMPLICIT, /* no MX: the domain itself is the only host */
    DNS_MX_NULL,     /* says that it takes no mail: permanent */
    DNS_MX_FAILED,   /* temporary; bogus answers too */
};

struct dns_mx_host {
    struct str name;
    uint16_t preference;
};

struct dns_mx {
    enum dns_mx_kind kind;
    bool secure, bogus;
    uint32_t ttl_s;
    struct dns_mx_host *hosts; /* by preference, equal ones shuffled anew for each question */
    size_t count;
    struct str why;
};

/* At most `limit` hosts (0: all). */
struct err dns_mx(struct dns *d, struct str domain, size_t limit, struct arena *a,
                  struct dns_mx *ret, struct when by);

enum dns_order { DNS_IPV4_ONLY, DNS_IPV6_ONLY, DNS_IPV4_FIRST, DNS_IPV6_FIRST };

enum dns_host_kind {
    DNS_HOST_FOUND,
    DNS_HOST_NONE,     /* every family asked for said so: permanent */
    DNS_HOST_LOOPBACK, /* has only loopback addresses, and those were not allowed: permanent */
    DNS_HOST_FAILED,   /* nothing found, and a family failed: temporary (PY-09) */
};

struct dns_host {
    enum dns_host_kind kind;
    bool secure; /* all answers that counted */
    bool bogus;
    struct addr *addrs; /* port 0; one family after the other, in the order asked for */
    size_t count;
    struct str why;
};

/* At most `limit` addresses in all (0: all). An address in text is its own answer. */
struct err dns_host(struct dns *d, struct str host, enum dns_order order, size_t limit,
                    bool allow_loopback, struct arena *a, struct dns_host *ret, struct when by);

/* The name to ask PTR for: "4.3.2.1.in-addr.arpa". */
struct str dns_reverse(struct addr of, struct arena *a);

/* True when the whole text can be asked for: the limits above, a dot at the end allowed. */
bool dns_name_is_valid(struct str name);
const char *dns_type_name(enum dns_type type); /* "MX" */
