/*
 * patch: changes of a tree as JSON Patch writes them: all of them, or none.
 *
 * Source    RFC 6902 (and its erratum 4787: "-" names nothing that could be read); RFC 6901.
 * Owns      Nothing: values are copied into the arena given.
 * Limits    `ops_max` operations; struct patch_limits for what all of them together copy, since
 *           "copy" can double a tree with each step and multiply one long text; no tree deeper than
 *           PATCH_DEPTH_MAX.
 * Errors    ERR_PROTOCOL for what is no patch or cannot be applied, ERR_LIMIT; `why` says which
 *           operation. The tree given is never touched: what the patch makes of it is another.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "doc/doc.h"
#include "doc/pointer.h"

#include <stdbool.h>
#include <stdint.h>

enum { PATCH_DEPTH_MAX = 64 };

enum patch_kind { PATCH_ADD, PATCH_REMOVE, PATCH_REPLACE, PATCH_MOVE, PATCH_COPY, PATCH_TEST };

struct patch_limits {
    uint32_t nodes_max; /* values copied or moved */
    uint64_t bytes_max; /* of texts and keys copied */
};

struct patch_op {
    enum patch_kind kind;
    struct pointer path, from; /* from: of move and copy */
    const struct doc *value;   /* of add, replace and test */
};

struct patch {
    struct patch_op *ops;
    uint32_t count;
};

struct err patch_parse(const struct doc *d, uint32_t ops_max, struct arena *a, struct patch *ret,
                       struct buf *why);
struct err patch_apply(const struct patch *p, const struct doc *d,
                       const struct patch_limits *limits, struct arena *a, struct doc *ret,
                       struct buf *why);
