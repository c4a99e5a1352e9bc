/*
 * cbor: libcbor reads and writes the heads of items; the tree, its limits and its rules are here.
 *
 * libcbor's own loader takes memory for what an array announces and descends by recursion, so only
 * its stream decoder is used: one item a call, no memory, no depth. What is open stands in frames.
 *
 * 1. A frame is an array or a map that is not complete; the last one takes the next item.
 * 2. An announced count is never believed: members get room as they come.
 * 3. Keys are compared when their map closes, sorted when they are many.
 */
#include "base/check.h"
#include "base/mem.h"
#include "doc/doc.h"

#include <cbor.h>
#include <math.h>
#include <stdlib.h>

#define INT_MAX_EXACT 9007199254740991LL /* 2^53 - 1 */

enum { TAG_SELF_DESCRIBED = 55799, KEYS_COMPARED_EACH = 8 };

enum what {
    ITEM_NONE,
    ITEM_VALUE, /* complete: in `value`, texts as views into the bytes */
    ITEM_LIST,
    ITEM_MAP,
    ITEM_CHUNKS, /* a string in pieces begins; value.kind says of what */
    ITEM_BREAK,
    ITEM_TAG,
    ITEM_WRONG
};

struct item {
    enum what what;
    struct doc value;
    uint64_t count; /* of an array or map; the number of a tag */
    bool is_open;   /* it ends with a break */
};

struct frame {
    struct doc value;
    struct str key;
    uint64_t left; /* items still to come, keys and values; counts down when !is_open */
    bool is_open, has_key;
};

struct reader {
    struct str bytes;
    size_t at;
    const struct doc_limits *limits;
    struct arena *a;
    struct buf *why;
    struct frame *frames;
    uint32_t depth, nodes;
    bool is_chunked; /* a string in pieces is being gathered */
    enum doc_kind chunks_kind;
    struct buf chunks;
};

static struct err wrong(struct reader *r, const char *what)
{
    buf_printf(r->why, "CBOR: %s, at byte %zu", what, r->at);
    return err_of(ERR_PROTOCOL);
}

static struct err beyond(struct reader *r, const char *what)
{
    buf_printf(r->why, "CBOR: %s", what);
    return err_of(ERR_LIMIT);
}

/* Callbacks of libcbor: each notes what the one item was. */

static void got(void *ctx, struct doc value)
{
    struct item *item = ctx;

    item->what = ITEM_VALUE;
    item->value = value;
}

static void got_uint(void *ctx, uint64_t n)
{
    struct item *item = ctx;

    got(ctx, (struct doc){.kind = DOC_INT, .number = (int64_t)n});
    if (n > (uint64_t)INT_MAX_EXACT) {
        item->what = ITEM_WRONG;
    }
}

/* What is meant is -1 - n. */
static void got_negative(void *ctx, uint64_t n)
{
    struct item *item = ctx;

    if (n >= (uint64_t)INT_MAX_EXACT) {
        item->what = ITEM_WRONG;
        return;
    }
    got(ctx, (struct doc){.kind = DOC_INT, .number = -1 - (int64_t)n});
}

static void got_uint8(void *ctx, uint8_t n)
{
    got_uint(ctx, n);
}
static void got_uint16(void *ctx, uint16_t n)
{
    got_uint(ctx, n);
}
static void got_uint32(void *ctx, uint32_t n)
{
    got_uint(ctx, n);
}
static void got_negative8(void *ctx, uint8_t n)
{
    got_negative(ctx, n);
}
static void got_negative16(void *ctx, uint16_t n)
{
    got_negative(ctx, n);
}
static void got_negative32(void *ctx, uint32_t n)
{
    got_negative(ctx, n);
}

static void got_double(void *ctx, double real)
{
    struct item *item = ctx;

    if (!isfinite(real)) {
        item->what = ITEM_WRONG;
    } else if (rint(real) == real && fabs(real) <= (double)INT_MAX_EXACT) {
        got(ctx, (struct doc){.kind = DOC_INT, .number = (int64_t)real});
    } else {
        got(ctx, (struct doc){.kind = DOC_REAL, .real = real});
    }
}

static void got_float(void *ctx, float real)
{
    got_double(ctx, (double)real);
}

static void got_text(void *ctx, cbor_data at, size_t len)
{
    got(ctx, (struct doc){.kind = DOC_TEXT, .text = {(const char *)at, len}});
}

static void got_bytes(void *ctx, cbor_data at, size_t len)
{
    got(ctx, (struct doc){.kind = DOC_BYTES, .text = {(const char *)at, len}});
}

static void got_chunks(void *ctx, enum doc_kind kind)
{
    struct item *item = ctx;

    item->what = ITEM_CHUNKS;
    item->value.kind = kind;
}

static void got_text_chunks(void *ctx)
{
    got_chunks(ctx, DOC_TEXT);
}

static void got_bytes_chunks(void *ctx)
{
    got_chunks(ctx, DOC_BYTES);
}

static void got_group(void *ctx, enum what what, uint64_t count, bool is_open)
{
    struct item *item = ctx;

    item->what = what;
    item->count = count;
    item->is_open = is_open;
    item->value.kind = what == ITEM_LIST ? DOC_LIST : DOC_OBJECT;
}

static void got_list(void *ctx, size_t count)
{
    got_group(ctx, ITEM_LIST, count, false);
}

static void got_map(void *ctx, size_t count)
{
    got_group(ctx, ITEM_MAP, count, false);
}

static void got_open_list(void *ctx)
{
    got_group(ctx, ITEM_LIST, 0, true);
}

static void got_open_map(void *ctx)
{
    got_group(ctx, ITEM_MAP, 0, true);
}

static void got_tag(void *ctx, uint64_t number)
{
    struct item *item = ctx;

    item->what = ITEM_TAG;
    item->count = number;
}

static void got_null(void *ctx)
{
    got(ctx, (struct doc){.kind = DOC_NULL});
}

static void got_undefined(void *ctx)
{
    struct item *item = ctx;

    item->what = ITEM_WRONG;
}

static void got_bool(void *ctx, bool yes)
{
    got(ctx, (struct doc){.kind = DOC_BOOL, .yes = yes});
}

static void got_break(void *ctx)
{
    struct item *item = ctx;

    item->what = ITEM_BREAK;
}

static const struct cbor_callbacks callbacks = {
    .uint8 = got_uint8,
    .uint16 = got_uint16,
    .uint32 = got_uint32,
    .uint64 = got_uint,
    .negint8 = got_negative8,
    .negint16 = got_negative16,
    .negint32 = got_negative32,
    .negint64 = got_negative,
    .byte_string_start = got_bytes_chunks,
    .byte_string = got_bytes,
    .string = got_text,
    .string_start = got_text_chunks,
    .indef_array_start = got_open_list,
    .array_start = got_list,
    .indef_map_start = got_open_map,
    .map_start = got_map,
    .tag = got_tag,
    .float2 = got_float,
    .float4 = got_float,
    .float8 = got_double,
    .undefined = got_undefined,
    .null = got_null,
    .boolean = got_bool,
    .indef_break = got_break,
};

static struct err next_item(struct reader *r, struct item *ret)
{
    struct str rest = str_skip(r->bytes, r->at);
    struct cbor_decoder_result read;

    *ret = (struct item){0};
    read = cbor_stream_decode((cbor_data)rest.ptr, rest.len, &callbacks, ret);
    if (read.status == CBOR_DECODER_NEDATA) {
        return wrong(r, "the bytes end within a value");
    }
    if (read.status != CBOR_DECODER_FINISHED || read.read == 0 || ret->what == ITEM_NONE) {
        return wrong(r, "no item of CBOR begins here");
    }
    if (ret->what == ITEM_WRONG) {
        return wrong(r, "a number or a simple value that JSON has not");
    }
    r->at += read.read;
    return ERR_OK;
}

/* Rule 3. */

static int compare_keys(const void *left, const void *right)
{
    const struct str *a = left, *b = right;

    return str_cmp(*a, *b);
}

static bool has_twice(const struct doc *object)
{
    struct str *keys;
    bool twice = false;

    if (object->count <= KEYS_COMPARED_EACH) {
        for (uint32_t i = 1; i < object->count; i++) {
            for (uint32_t j = 0; j < i; j++) {
                twice = twice || str_eq(object->members[i].key, object->members[j].key);
            }
        }
        return twice;
    }
    keys = mem_array(object->count, sizeof(*keys));
    for (uint32_t i = 0; i < object->count; i++) {
        keys[i] = object->members[i].key;
    }
    qsort(keys, object->count, sizeof(*keys), compare_keys);
    for (uint32_t i = 1; i < object->count && !twice; i++) {
        twice = str_eq(keys[i - 1], keys[i]);
    }
    mem_free(keys);
    return twice;
}

static void append(struct reader *r, struct doc *to, struct str key, struct doc value)
{
    if (to->count == to->size) {
        uint32_t size = to->size == 0 ? 4 : to->size * 2; /* nodes_max bounds it */
        struct doc_member *members = arena_array(r->a, size, sizeof(*members));

        if (to->count > 0) {
            memcpy(members, to->members, to->count * sizeof(*members));
        }
        to->members = members;
        to->size = size;
    }
    to->members[to->count++] = (struct doc_member){key, value};
}

/* A value is complete: it becomes a key, a member, or the root. */
static struct err take(struct reader *r, struct doc value)
{
    struct frame *f = &r->frames[r->depth];

    if (f->value.kind == DOC_OBJECT && !f->has_key) {
        if (value.kind != DOC_TEXT) {
            return wrong(r, "a key that is no text");
        }
        if (value.text.len > r->limits->key_bytes_max) {
            return beyond(r, "a key is too long");
        }
        f->key = value.text;
        f->has_key = true;
    } else {
        if (++r->nodes > r->limits->nodes_max) {
            return beyond(r, "too many values");
        }
        append(r, &f->value, f->has_key ? f->key : STR_EMPTY, value);
        f->has_key = false;
    }
    f->left -= !f->is_open;
    return ERR_OK;
}

/* Closes what is complete; frame 0 stands for the whole and stays. */
static struct err close_complete(struct reader *r)
{
    while (r->depth > 0 && !r->frames[r->depth].is_open && r->frames[r->depth].left == 0) {
        struct doc value = r->frames[r->depth].value;
        struct err e;

        if (value.kind == DOC_OBJECT && has_twice(&value)) {
            return wrong(r, "a key twice in one map");
        }
        r->depth--;
        e = take(r, value);
        if (e.code) {
            return e;
        }
    }
    return ERR_OK;
}

static struct err open_group(struct reader *r, const struct item *item)
{
    const struct frame *f = &r->frames[r->depth];
    uint64_t left = item->count;

    if (f->value.kind == DOC_OBJECT && !f->has_key) {
        return wrong(r, "a key that is no text");
    }
    if (r->depth >= r->limits->depth_max) {
        return beyond(r, "nested too deep");
    }
    if (item->count > r->limits->nodes_max) {
        return beyond(r, "too many values");
    }
    if (item->what == ITEM_MAP) {
        left *= 2;
    }
    r->frames[++r->depth] = (struct frame){
        .value = {.kind = item->value.kind}, .left = left, .is_open = item->is_open};
    return ERR_OK;
}

static struct err take_text(struct reader *r, enum doc_kind kind, struct str text)
{
    if (kind == DOC_TEXT &&
        (!str_is_utf8(text) || (!r->limits->bears_nul && str_find(text, '\0') != STR_NONE))) {
        return wrong(r, "text that is not UTF-8, or has a NUL");
    }
    return take(r, (struct doc){.kind = kind, .text = arena_dup(r->a, text)});
}

static struct err close_open(struct reader *r)
{
    struct frame *f = &r->frames[r->depth];

    if (r->is_chunked) {
        r->is_chunked = false;
        return take_text(r, r->chunks_kind, buf_str(&r->chunks));
    }
    if (r->depth == 0 || !f->is_open || f->has_key) {
        return wrong(r, "a break that ends nothing");
    }
    f->is_open = false;
    f->left = 0;
    return ERR_OK;
}

static struct err gather(struct reader *r, const struct item *item)
{
    if (item->what != ITEM_VALUE || item->value.kind != r->chunks_kind) {
        return wrong(r, "a piece of a string that is none");
    }
    if (r->chunks_kind == DOC_TEXT && !str_is_utf8(item->value.text)) {
        return wrong(r, "a piece of text that is not UTF-8");
    }
    buf_put(&r->chunks, item->value.text);
    return ERR_OK;
}

static struct err step(struct reader *r)
{
    struct item item;
    struct err e = next_item(r, &item);

    if (e.code) {
        return e;
    }
    if (r->is_chunked && item.what != ITEM_BREAK) {
        return gather(r, &item);
    }
    switch (item.what) {
    case ITEM_VALUE:
        e = item.value.kind == DOC_TEXT || item.value.kind == DOC_BYTES
                ? take_text(r, item.value.kind, item.value.text)
                : take(r, item.value);
        break;
    case ITEM_LIST:
    case ITEM_MAP:
        e = open_group(r, &item);
        break;
    case ITEM_CHUNKS:
        r->is_chunked = true;
        r->chunks_kind = item.value.kind;
        buf_clear(&r->chunks);
        break;
    case ITEM_BREAK:
        e = close_open(r);
        break;
    case ITEM_TAG:
        return wrong(r, "a tag");
    case ITEM_NONE:
    case ITEM_WRONG:
        never("next_item has refused them");
    }
    return e.code ? e : close_complete(r);
}

static struct err read_all(struct reader *r, struct doc *ret)
{
    struct err e = ERR_OK;
    struct item item;

    if (r->bytes.len > r->limits->bytes_max) {
        return beyond(r, "too many bytes");
    }
    /* The one tag that is borne says only that this is CBOR. */
    if (r->bytes.len > 0 && (uint8_t)r->bytes.ptr[0] >> 5 == 6) {
        e = next_item(r, &item);
        if (!e.code && item.count != TAG_SELF_DESCRIBED) {
            e = wrong(r, "a tag");
        }
    }
    while (!e.code && r->frames[0].value.count == 0) {
        e = step(r);
    }
    if (e.code) {
        return e;
    }
    if (r->at != r->bytes.len) {
        return wrong(r, "bytes behind the value");
    }
    *ret = r->frames[0].value.members[0].value;
    return ERR_OK;
}

struct err doc_read_cbor(struct str bytes, const struct doc_limits *limits, struct arena *a,
                         struct doc *ret, struct buf *why)
{
    struct reader r = {.bytes = bytes, .limits = limits, .a = a, .why = why};
    struct err e;

    r.frames = mem_array((size_t)limits->depth_max + 1, sizeof(*r.frames));
    r.frames[0] = (struct frame){.value = {.kind = DOC_LIST}, .is_open = true};
    e = read_all(&r, ret);
    buf_done(&r.chunks);
    mem_free(r.frames);
    return e;
}
