/*
 * fetch_part: what the client's files share; nobody else includes it.
 */
#pragma once

#include "base/list.h"
#include "http/fetch.h"

struct client;
struct fiber;

enum { FETCH_ADDRS_MAX = 8, FETCH_NAME_MS = 5000 };

struct fetch_pool {
    struct fetch_pool_options options; /* own copies */
    struct fetch_counts counts;
    struct list waiting;   /* of struct turn */
    struct client *client; /* NULL: sim answers */
    /* What the names' function said last: a pool calls one host, as a rule. */
    struct str known_host;
    struct addr known[FETCH_ADDRS_MAX];
    size_t known_count;
    struct when known_until;
};

/* client.c: the library. */
struct err fetch_client_open(const struct fetch_pool_options *o, struct client **ret,
                             struct buf *why);
void fetch_client_close(struct client *c, struct when by);
struct err client_call(struct fetch_pool *p, const struct fetch_request *r,
                       const struct addr *addrs, size_t addr_count, struct arena *a,
                       struct fetch_answer *ret, struct buf *why, struct when by);
