/*
 * pointer: places in a tree, as JSON Pointer names them.
 *
 * Source    RFC 6901; "-" and what an index is: its section 4.
 * Owns      Tokens live in the arena given.
 * Limits    POINTER_TOKENS_MAX tokens.
 * Errors    pointer_parse: false for what does not begin with '/' (the empty text is the root), for
 *           a '~' that is followed by neither 0 nor 1, and beyond the limit.
 */
#pragma once

#include "base/arena.h"
#include "doc/doc.h"

#include <stdbool.h>
#include <stdint.h>

enum { POINTER_TOKENS_MAX = 32 };

struct pointer {
    struct str *tokens; /* decoded */
    uint32_t count;
};

bool pointer_parse(struct str text, struct arena *a, struct pointer *ret);
/* 0, or digits without a leading zero, within 32 bits. */
bool pointer_index(struct str token, uint32_t *ret);
/* The value there; NULL when there is none. */
struct doc *pointer_find(struct doc *root, const struct pointer *p);
/* The same for the place above: where the last token is looked for. Not for the root. */
struct doc *pointer_parent(struct doc *root, const struct pointer *p);
/* Which member of `parent` a token names: by key or by index; false when there is none. */
bool pointer_member(const struct doc *parent, struct str token, uint32_t *ret);
/* `p` is `prefix` or lies below it. */
bool pointer_is_within(const struct pointer *p, const struct pointer *prefix);
