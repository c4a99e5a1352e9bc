/*
 * registry_doc: the documents of discovery and registration, bytes on one side and structs on the
 * other. Pure.
 *
 * Source    draft-degennaro-mta-hooks-01 sections 3, 4 and appendix A.
 * Owns      Nothing: what is read lives in the arena given.
 * Limits    REGISTRY_BYTES_MAX for an answer, with the doc limits of registry_doc.c.
 * Errors    ERR_PROTOCOL: the document is not one that may be relied on; `why` says in what. A
 *           careful reader's checks are all here, so that what came out may be used as it is.
 */
#pragma once

#include "hooks/dialect.h"

#include <stdbool.h>
#include <stdint.h>

enum { REGISTRY_BYTES_MAX = 256 * 1024, REGISTRY_ID_BYTES_MAX = 255 };

enum { REGISTRY_INBOUND, REGISTRY_OUTBOUND, REGISTRY_DIRECTIONS };
static inline int registry_direction(enum hook_stage s)
{
    return hook_stage_is_outbound(s) ? REGISTRY_OUTBOUND : REGISTRY_INBOUND;
}

/* What a scanner says about itself. */
struct registry_discovery {
    struct str registration, deregistration; /* absolute; of the origin that was asked */
    bool has_json, has_cbor;
    struct registry_side {
        bool is_there;
        unsigned stages;               /* bits 1 << hook_stage */
        struct str_set fetch, updates; /* JSON pointers */
    } sides[REGISTRY_DIRECTIONS];
    uint64_t message_bytes_max; /* 0: not said */
    uint32_t timeout_ms;
};

/* What is asked for. */
struct registry_offer {
    struct str name, version;
    uint32_t timeout_ms;
    bool is_cbor;
    bool needs_all_stages;
    unsigned stages; /* of both directions */
    struct str_set properties[REGISTRY_DIRECTIONS];
    const struct doc *filter; /* disclosed when not NULL */
};

/* What was agreed on. */
struct registry_grant {
    struct str id;
    bool is_suspended;
    struct date expires; /* 0: never */
    unsigned stages;
    struct str_set properties[REGISTRY_DIRECTIONS];
    struct str hook, deregistration, status; /* absolute; the last two may be empty */
};

enum registry_status { REGISTRY_ACTIVE, REGISTRY_SUSPENDED, REGISTRY_DEREGISTERED };

struct err registry_read_discovery(struct str content_type, struct str bytes, struct str url,
                                   struct arena *a, struct registry_discovery *ret,
                                   struct buf *why);
/* Pointers of one set that the other covers too, both ways. */
struct str_set registry_common(const struct str_set *left, const struct str_set *right,
                               struct arena *a);
/* The offer cut down to what the scanner said it knows. ERR_PROTOCOL when nothing is left. */
struct err registry_narrow(const struct registry_discovery *d, struct registry_offer *offer,
                           struct arena *a, struct buf *why);
void registry_write_offer(const struct registry_offer *offer, struct arena *a, struct buf *out);
/* `url`: where the registration was sent; all it names must be of the same origin. */
struct err registry_read_grant(int status, struct str content_type, struct str bytes,
                               const struct registry_offer *offer, struct str url, struct date now,
                               struct arena *a, struct registry_grant *ret, struct buf *why);
/* *expires: 0 when nothing was said. */
struct err registry_read_status(struct str content_type, struct str bytes, struct str id,
                                struct arena *a, enum registry_status *ret, struct date *expires,
                                struct buf *why);
/* The code of an error document for the log, "REGISTRATION_NOT_FOUND"; empty when there is none. */
struct str registry_error_code(struct str content_type, struct str bytes, struct arena *a);
/* 1 to 255 of A-Z a-z 0-9 - _ : */
bool registry_id_is_good(struct str id);
