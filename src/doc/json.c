/*
 * JSON. A scan of our own goes over the bytes first and counts what the library would take memory
 * and stack for; whether they are JSON at all is then the library's to say. What the scan counts is
 * never less than what the library makes before it comes to the first mistake:
 *
 *   1. each value begins with '"', '{', '[', or a byte of a number or word behind one that is none;
 *   2. a text with ':' behind it is a key and no value;
 *   3. a value lies as deep as brackets before it are open.
 */
#include "base/base64.h"
#include "base/event.h"
#include "doc/doc.h"
#include "runtime/fiber.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

enum { REAL_DIGITS_LEAST = 15, REAL_DIGITS_MOST = 17, REAL_BYTES = 32 };
#define INT_MOST ((1LL << 53) - 1)

/* ---- the scan ---- */

struct scan {
    struct str in;
    size_t at;
    uint64_t nodes, depth;
    bool in_word; /* a number, true, false or null */
};

static const char *scan_limits(struct scan *s, const struct doc_limits *limits, size_t text_bytes,
                               bool is_key)
{
    if (s->nodes > limits->nodes_max) {
        return "it has more values than we take";
    }
    if (s->depth > limits->depth_max) {
        return "its values are nested deeper than we take";
    }
    if (is_key && text_bytes > limits->key_bytes_max) {
        return "a key in it is longer than we take";
    }
    return NULL;
}

/* From behind the opening quote mark to behind the closing one; what is between them. */
static size_t scan_text(struct scan *s)
{
    size_t from = s->at, len;

    while (s->at < s->in.len && s->in.ptr[s->at] != '"') {
        s->at += s->in.ptr[s->at] == '\\' && s->in.len - s->at > 1 ? 2 : 1;
    }
    len = s->at - from;
    s->at += s->at < s->in.len;
    return len;
}

/* What is beyond a limit, or NULL. */
static const char *scan_all(struct str in, const struct doc_limits *limits)
{
    struct scan s = {.in = in};
    const char *why = NULL;
    size_t text_bytes = 0;
    bool after_text = false;

    while (s.at < in.len && why == NULL) {
        char c = in.ptr[s.at++];
        bool is_key = c == ':' && after_text, is_word = false;

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            s.in_word = false;
            continue;
        }
        switch (c) {
        case '"':
            text_bytes = scan_text(&s);
            s.nodes++;
            break;
        case '{':
        case '[':
            s.nodes++;
            s.depth++;
            break;
        case '}':
        case ']':
            s.depth -= s.depth > 0;
            break;
        case ':':
            s.nodes -= is_key;
            break;
        case ',':
            break;
        default:
            is_word = true;
            s.nodes += !s.in_word;
        }
        s.in_word = is_word;
        after_text = c == '"';
        why = scan_limits(&s, limits, text_bytes, is_key);
    }
    return why;
}

/* ---- the library ---- */

struct reading {
    struct str in;
    const struct doc_limits *limits;
    struct arena *arena;
    struct doc *ret;
    const char *why;
    int at; /* byte of the mistake; -1: unknown */
};

static const char *in_words(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_invalid_utf8:
        return "a text in it is not UTF-8";
    case json_error_premature_end_of_input:
        return "it ends too early";
    case json_error_end_of_input_expected:
        return "there is more behind the value";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a text in it holds NUL";
    case json_error_duplicate_key:
        return "a key stands twice in one object";
    case json_error_numeric_overflow:
        return "a number in it is too large";
    case json_error_stack_overflow:
        return "its values are nested deeper than we take";
    case json_error_unknown:
    case json_error_out_of_memory:
    case json_error_cannot_open_file:
    case json_error_invalid_argument:
    case json_error_invalid_syntax:
    case json_error_invalid_format:
    case json_error_wrong_type:
    case json_error_null_value:
    case json_error_item_not_found:
    case json_error_index_out_of_range:
        break;
    }
    return "it is not JSON";
}

static bool take(struct reading *r, json_t *v, struct doc *ret);

static bool take_list(struct reading *r, json_t *v, struct doc *ret)
{
    ret->count = ret->size = (uint32_t)json_array_size(v);
    ret->members = arena_array(r->arena, ret->count, sizeof(*ret->members));
    for (uint32_t i = 0; i < ret->count; i++) {
        ret->members[i].key = STR_EMPTY;
        if (!take(r, json_array_get(v, i), &ret->members[i].value)) {
            return false;
        }
    }
    return true;
}

static bool take_object(struct reading *r, json_t *v, struct doc *ret)
{
    const char *key;
    json_t *value;

    ret->size = (uint32_t)json_object_size(v);
    ret->members = arena_array(r->arena, ret->size, sizeof(*ret->members));
    json_object_foreach(v, key, value)
    {
        struct doc_member *m = &ret->members[ret->count++];

        m->key = arena_dup(r->arena, str_of(key));
        if (!take(r, value, &m->value)) {
            return false;
        }
    }
    return true;
}

static bool take_int(struct reading *r, const json_t *v, struct doc *ret)
{
    ret->number = json_integer_value(v);
    if (ret->number > INT_MOST || ret->number < -INT_MOST) {
        r->why = "a number in it is too large";
        return false;
    }
    return true;
}

static bool take(struct reading *r, json_t *v, struct doc *ret)
{
    *ret = (struct doc){.kind = DOC_NULL};
    switch (json_typeof(v)) {
    case JSON_NULL:
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        *ret = doc_bool(json_is_true(v));
        break;
    case JSON_INTEGER:
        ret->kind = DOC_INT;
        return take_int(r, v, ret);
    case JSON_REAL:
        *ret = (struct doc){.kind = DOC_REAL, .real = json_real_value(v)};
        break;
    case JSON_STRING:
        *ret = doc_text(arena_dup(r->arena, str_make(json_string_value(v), json_string_length(v))));
        break;
    case JSON_ARRAY:
        ret->kind = DOC_LIST;
        return take_list(r, v, ret);
    case JSON_OBJECT:
        ret->kind = DOC_OBJECT;
        return take_object(r, v, ret);
    }
    return true;
}

/* The library recurses over what it reads, and so do we. */
static void read_here(void *arg)
{
    struct reading *r = arg;
    json_error_t error;
    json_t *root = json_loadb(r->in.ptr, r->in.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY |
                                  (r->limits->bears_nul ? (size_t)JSON_ALLOW_NUL : 0),
                              &error);

    if (root == NULL) {
        r->why = in_words(&error);
        r->at = error.position;
    } else {
        (void)take(r, root, r->ret);
    }
    json_decref(root);
}

struct err doc_read_json(struct str bytes, const struct doc_limits *limits, struct arena *a,
                         struct doc *ret, struct buf *why)
{
    struct doc read = doc_null();
    struct reading r = {
        .in = bytes, .limits = limits, .arena = a, .ret = &read, .why = NULL, .at = -1};
    const char *beyond = bytes.len > limits->bytes_max ? "it is larger than we take"
                                                       : scan_all(bytes, limits);

    if (beyond != NULL) {
        buf_put(why, str_of(beyond));
        return err_of(ERR_LIMIT);
    }
    on_big_stack(read_here, &r);
    if (r.why != NULL) {
        buf_put(why, str_of(r.why));
        if (r.at >= 0) {
            buf_printf(why, " (byte %d)", r.at);
        }
        return err_of(ERR_PROTOCOL);
    }
    *ret = read;
    return ERR_OK;
}

/* ---- writing ---- */

/* With the fewest digits that are read as the same number again; and never as an integer, which may
 * not be as large. */
static void write_real(struct buf *out, double real)
{
    char text[REAL_BYTES];

    for (int digits = REAL_DIGITS_LEAST; digits <= REAL_DIGITS_MOST; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, real);
        if (fabs(strtod(text, NULL) - real) <= 0) {
            break;
        }
    }
    buf_put(out, str_of(text));
    if (strpbrk(text, ".e") == NULL) {
        buf_put(out, STR(".0"));
    }
}

static void write_members(struct buf *out, const struct doc *d)
{
    buf_byte(out, d->kind == DOC_LIST ? '[' : '{');
    for (uint32_t i = 0; i < d->count; i++) {
        if (i > 0) {
            buf_byte(out, ',');
        }
        if (d->kind == DOC_OBJECT) {
            json_str(out, d->members[i].key);
            buf_byte(out, ':');
        }
        doc_write_json(out, &d->members[i].value);
    }
    buf_byte(out, d->kind == DOC_LIST ? ']' : '}');
}

void doc_write_json(struct buf *out, const struct doc *d)
{
    switch (d->kind) {
    case DOC_NULL:
        buf_put(out, STR("null"));
        break;
    case DOC_BOOL:
        buf_put(out, d->yes ? STR("true") : STR("false"));
        break;
    case DOC_INT:
        buf_num(out, d->number);
        break;
    case DOC_REAL:
        write_real(out, d->real);
        break;
    case DOC_TEXT:
        json_str(out, d->text);
        break;
    case DOC_BYTES:
        buf_byte(out, '"');
        base64_encode(out, d->text);
        buf_byte(out, '"');
        break;
    case DOC_LIST:
    case DOC_OBJECT:
        write_members(out, d);
        break;
    }
}
