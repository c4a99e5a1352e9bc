/*
 * registry: our registrations at scanners: got before anything is asked, renewed before they end,
 * got again when they are lost, given back in the end.
 *
 * Source    draft-degennaro-mta-hooks-01 sections 3, 4 and 7.5; state machine below.
 * Threads   All of it lives on the home loop, where each registry has one fiber; registry_enter is
 *           for any loop and goes there by post and back.
 * Owns      A registry is kept by its registries, until it has ended and nobody else keeps it, and
 *           by each registries_take until registry_drop.
 * Errors    registry_enter: ERR_BUSY: there is no registration that could be used, *why says why;
 *           ERR_TIMEOUT, ERR_CANCELLED.
 *
 *   STARTING ──201──> ACTIVE ──80 % of its time──> the same again, the old one in use meanwhile
 *      │ │              ├──lost (404, 410 at a call)──> STARTING, once for all who lost it
 *      │ │              └──said suspended──> SUSPENDED ──polled: active──> ACTIVE
 *      │ └──may pass──> BACKOFF (1 s doubled, 5 min at most) ──> STARTING
 *      └──refused──> BLOCKED (15 min) ──> STARTING
 *
 * While STARTING callers wait, within their own time; in the other states but ACTIVE they are told
 * at once.
 */
#pragma once

#include "hooks/registry_doc.h"
#include "http/fetch.h"

struct loop;
struct tls_trust;
struct registries;
struct registry;

enum {
    REGISTRY_BACKOFF_MS_FIRST = 1000,
    REGISTRY_BACKOFF_MS_MAX = 5 * 60 * 1000,
    REGISTRY_BLOCKED_MS = 15 * 60 * 1000,
    REGISTRY_POLL_MS = 60 * 1000,
    REGISTRY_RETIRE_MS = 2 * 60 * 1000, /* calls of an older configuration may last so long */
    REGISTRY_RENEW_PERCENT = 80,
    REGISTRY_END_MS = 5000 /* for giving back at the end */
};

/* All is copied; what its connections trust is kept. */
struct registry_options {
    struct str name; /* the hook's, for events */
    struct str key;  /* says all that is in here: equal keys are one registration */
    struct str url;  /* of the registration, or with `discovers` of anything beside it */
    bool discovers;
    struct registry_offer offer;
    const struct fetch_field *fields; /* of each request; the credentials among them */
    size_t field_count;
    struct fetch_pool_options pool;
    struct tls_trust *trust; /* that of `pool`; NULL: none */
    int64_t timeout_ms;
};

/* What a call goes by. */
struct registry_pass {
    struct registry_grant grant;
    struct str_set
        updates[REGISTRY_DIRECTIONS]; /* of discovery; all is allowed when !has_updates */
    bool has_updates;
    uint64_t message_bytes_max; /* 0: not said */
};

/* What became of one; text: the id, or why not. next_ms: until the next attempt. */
enum registry_told { REGISTRY_HAD, REGISTRY_IS_SUSPENDED, REGISTRY_NOT_HAD, REGISTRY_GIVEN_BACK };
typedef void registry_told_fn(void *ctx, struct str name, enum registry_told what, struct str text,
                              int64_t next_ms);

struct registries *registries_new(struct loop *home, registry_told_fn *told, void *ctx);
/* Around the registries_take of one configuration: those it does not have are retired. Home. */
void registries_begin(struct registries *all);
struct registry *registries_take(struct registries *all, const struct registry_options *o);
void registry_drop(struct registry *r); /* any thread; NULL is harmless */
void registries_end(struct registries *all);
unsigned registries_count(const struct registries *all); /* for tests: those kept */
/* Gives all back. On home, when nobody asks any more. */
void registries_stop(struct registries *all, struct when by);
void registries_free(struct registries *all);

/* The registration as it is now. `lost`: an id that the scanner does not know any more: then
 * another, once it is there; empty: none. */
struct err registry_enter(struct registry *r, struct str lost, struct arena *a,
                          struct registry_pass *ret, struct buf *why, struct when by);
/* Milliseconds from now until an unused registration should be renewed; for tests. */
int64_t registry_renewal_ms(struct date now, struct date expires, uint64_t chance);
