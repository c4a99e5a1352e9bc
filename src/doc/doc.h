/*
 * doc: a tree of values, as JSON and CBOR write them: read from foreign bytes within limits, looked
 * into, changed at a pointer, written again.
 *
 * Source    RFC 8259 (JSON), RFC 8949 (CBOR), RFC 6901 (pointers).
 * Owns      Nothing: all of a tree lives in the arena it was read or made in. A tree may be changed
 *           by who made it; texts are never changed in place.
 * Limits    struct doc_limits, counted while reading and before memory is taken for what is read.
 *           Integers lie within 2^53 on both sides (RFC 8259 section 6); others are refused.
 *           What walks a tree (copy, equal, write) recurses as deep as it is: who puts trees into
 *           each other bounds the depth.
 * Errors    ERR_PROTOCOL for bytes that are not one value in due form: bytes behind it, a key twice
 *           in an object, text that is not UTF-8, lone surrogates, NUL in text, NaN. ERR_LIMIT for
 *           what is beyond the limits. `why` gets a sentence that quotes nothing of the bytes.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum doc_kind { DOC_NULL, DOC_BOOL, DOC_INT, DOC_REAL, DOC_TEXT, DOC_BYTES, DOC_LIST, DOC_OBJECT };

struct doc {
    enum doc_kind kind;
    uint32_t tag; /* the maker's own: which element of a view this was; 0: none */
    union {
        bool yes;
        int64_t number;
        double real;
        struct str text; /* TEXT and BYTES */
        struct {
            struct doc_member *members; /* of a list the keys are empty */
            uint32_t count, size;
        };
    };
};

struct doc_member {
    struct str key;
    struct doc value;
};

struct doc_limits {
    size_t bytes_max;
    uint32_t nodes_max, depth_max, key_bytes_max; /* keys as they are written, with escapes */
    bool bears_nul;                               /* in texts, never in keys */
};

struct err doc_read_json(struct str bytes, const struct doc_limits *limits, struct arena *a,
                         struct doc *ret, struct buf *why);
/* Text keys only, no tags but 55799 at the start, reals that are whole become integers. */
struct err doc_read_cbor(struct str bytes, const struct doc_limits *limits, struct arena *a,
                         struct doc *ret, struct buf *why);
/* Appends. JSON writes BYTES as padded base64; CBOR as bytes, with definite lengths and the
 * shortest integers. */
void doc_write_json(struct buf *out, const struct doc *d);
void doc_write_cbor(struct buf *out, const struct doc *d);

/* The member of an object; NULL when `d` is no object or has none. */
struct doc *doc_get(const struct doc *d, const char *key);
struct doc *doc_at(const struct doc *d, struct str key);
bool doc_equal(const struct doc *a, const struct doc *b); /* as RFC 6902 section 4.6 compares */
struct doc doc_copy(const struct doc *d, struct arena *a);

/* Making and changing. */
struct doc doc_text(struct str text);
struct doc doc_int(int64_t n);
struct doc doc_bool(bool yes);
struct doc doc_null(void);
struct doc doc_object(void);
struct doc doc_list(void);
/* Room for so many members in all, of who knows it beforehand. */
void doc_reserve(struct doc *d, struct arena *a, uint32_t size);
/* Puts or replaces a member; the new value, for what belongs into it. */
struct doc *doc_put(struct doc *object, struct arena *a, struct str key, struct doc value);
/* Inserts before `index` (at most count). */
struct doc *doc_insert(struct doc *list, struct arena *a, uint32_t index, struct doc value);
void doc_remove(struct doc *parent, uint32_t index);
