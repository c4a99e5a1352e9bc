/*
 * dialect: the seam of the wire formats that travel over HTTP: pure functions between bytes and the
 * model. Each is one file; milter, which has a transport of its own, is filter.h's other kind.
 *
 * Owns      Nothing; what is made lives in the arena given.
 * Errors    decode: ERR_PROTOCOL, `why` a sentence for the log.
 */
#pragma once

#include "hooks/model.h"

/* The body of a request: text around the one large thing in it, which the sender puts in piece by
 * piece, so that a message is never held beside its encoding. */
enum hook_insert {
    HOOK_INSERT_NONE,
    HOOK_INSERT_JSON_BODY, /* the view's body as the inside of a JSON string, bad UTF-8 replaced */
    HOOK_INSERT_BASE64_MESSAGE, /* header section and body, padded base64 */
    HOOK_INSERT_CBOR_MESSAGE    /* the same as the contents of a byte string */
};

struct hook_request {
    struct buf before, after;
    enum hook_insert insert;
    const char *content_type;
};

struct hook_answer {
    int status; /* 2xx: others were dealt with before */
    struct str content_type, body;
};

/* What a hook may do and what was agreed with it; filled by registration for the draft dialects. */
struct hook_terms {
    unsigned stages; /* bits 1 << hook_stage */
    struct str_set {
        const struct str *items;
        uint32_t count;
    } properties, updates; /* JSON pointers: sent to it; changed by it */
    bool is_cbor;
    bool may_weaken;     /* an answer may lower the action */
    bool strict;         /* one edit that cannot be applied spoils the answer */
    bool has_extensions; /* classic: `policy` of an answer is obeyed */
    bool as_stalwart;    /* classic: a request has no more than Stalwart sends */
    uint64_t answer_bytes_max;
};

/* The edits of classic hooks count together, in one pass over all answers of a stage: decode keeps
 * them here, and finish makes edits of them. Other dialects answer at once and leave it alone. */
struct hook_pending {
    struct hook_modification *items;
    uint32_t count, size;
    uint32_t answers;
};

struct hook_dialect {
    const char *name;
    bool is_registered; /* there is a registration to be had first */
    bool is_collected;  /* a stage's edits are made by finish, from what decode kept */
    void (*encode)(const struct hook_view *view, const struct hook_terms *terms, struct arena *a,
                   struct hook_request *ret);
    struct err (*decode)(const struct hook_answer *answer, const struct hook_view *view,
                         const struct hook_terms *terms, struct hook_pending *pending,
                         struct arena *a, struct hook_outcome *ret, struct buf *why);
    void (*finish)(const struct hook_pending *pending, const struct hook_view *view,
                   struct arena *a, struct hook_outcome *ret);
};

extern const struct hook_dialect hook_classic, hook_draft_01, hook_draft_02;
