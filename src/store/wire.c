#include "store/wire.h"

#include "base/check.h"
#include "store/little.h"
#include "store/tlv.h"

enum field_kind { KIND_NUM, KIND_SIGNED, KIND_DATE, KIND_NEVER, KIND_STR };

struct field {
    uint8_t tag;
    uint8_t kind;
    uint8_t size;
    uint16_t at;
    uint64_t most;
};

#define ROW(type, field_tag, member, field_kind, field_most)                                       \
    {.tag = (field_tag),                                                                           \
     .kind = KIND_##field_kind,                                                                    \
     .size = sizeof(((type *)NULL)->member),                                                       \
     .at = offsetof(type, member),                                                                 \
     .most = (field_most)},

static const struct field message_fields[] = {
#define MESSAGE_FIELD(tag, member, kind, most) ROW(struct message, tag, member, kind, most)
#include "store/wire.def"
};
static const struct field recipient_fields[] = {
#define RECIPIENT_FIELD(tag, member, kind, most) ROW(struct recipient, tag, member, kind, most)
#include "store/wire.def"
};
static const struct field state_fields[] = {
#define STATE_FIELD(tag, member, kind, most) ROW(struct rcpt_state, tag, member, kind, most)
#include "store/wire.def"
};

/* Written by hand below: lists and nested facts. */
enum {
    MESSAGE_TAG_RECIPIENT = 100,
    MESSAGE_TAG_PIECES = 101, /* twelve bytes each: generation, offset, bytes */
    MESSAGE_TAG_POLICY = 102, /* left out when filters have said nothing */
    POLICY_TAG_SCHEDULE = 1,
    POLICY_TAG_QUEUE = 2,
    POLICY_TAG_META = 100,
    META_TAG_NAME = 1,
    META_TAG_KIND = 2,
    META_TAG_TEXT = 3,
    META_TAG_NUMBER = 4, /* two's complement */
    RECIPIENT_TAG_STATE = 100,
    STATES_TAG_MESSAGE = 1,
    STATES_TAG_CHANGE = 100,
    CHANGE_TAG_INDEX = 1,
    CHANGE_TAG_STATE = 100,
    PIECE_BYTES = 12
};

static uint64_t load(const void *at, size_t size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)at;
    case 2:
        return *(const uint16_t *)at;
    case 4:
        return *(const uint32_t *)at;
    default:
        must(size == 8);
        return *(const uint64_t *)at;
    }
}

static void keep(void *at, size_t size, uint64_t n)
{
    switch (size) {
    case 1:
        *(uint8_t *)at = (uint8_t)n;
        break;
    case 2:
        *(uint16_t *)at = (uint16_t)n;
        break;
    case 4:
        *(uint32_t *)at = (uint32_t)n;
        break;
    default:
        must(size == 8);
        *(uint64_t *)at = n;
    }
}

static void put_fields(struct buf *out, const struct field *fields, size_t count, const void *from)
{
    for (size_t i = 0; i < count; i++) {
        const struct field *f = &fields[i];
        const char *at = (const char *)from + f->at;
        uint64_t n;

        if (f->kind == KIND_STR) {
            const struct str *s = (const struct str *)(const void *)at;

            if (s->len > 0) {
                tlv_put(out, f->tag, *s);
            }
            continue;
        }
        n = load(at, f->size);
        if (f->kind == KIND_SIGNED) {
            n = (uint64_t)((int8_t)n + (int64_t)f->most);
            tlv_put_num(out, f->tag, n);
        } else if (n != (f->kind == KIND_NEVER ? (uint64_t)INT64_MAX : 0)) {
            tlv_put_num(out, f->tag, n);
        }
    }
}

/* What a field holds when its tag is absent. */
static void absent_fields(const struct field *fields, size_t count, void *to)
{
    for (size_t i = 0; i < count; i++) {
        char *at = (char *)to + fields[i].at;

        if (fields[i].kind == KIND_STR) {
            *(struct str *)(void *)at = STR_EMPTY;
        } else {
            keep(at, fields[i].size, fields[i].kind == KIND_NEVER ? (uint64_t)INT64_MAX : 0);
        }
    }
}

static bool read_field(const struct field *fields, size_t count, const struct tlv *item, void *to)
{
    const struct field *f = NULL;
    uint64_t n;

    /* Tags are written in the order of the rows, so the row is where the tag says, or near. */
    if (item->tag >= 1 && item->tag <= count && fields[item->tag - 1].tag == item->tag) {
        f = &fields[item->tag - 1];
    }
    for (size_t i = 0; f == NULL && i < count; i++) {
        if (fields[i].tag == item->tag) {
            f = &fields[i];
        }
    }
    if (f == NULL) {
        return true;
    }
    if (f->kind == KIND_STR) {
        *(struct str *)(void *)((char *)to + f->at) = item->value;
        return true;
    }
    if (!tlv_num(item->value, &n)) {
        return false;
    }
    if (f->kind == KIND_NUM && n > f->most) {
        return false;
    }
    if (f->kind == KIND_SIGNED) {
        if (n > 2 * f->most) {
            return false;
        }
        n = (uint64_t)((int64_t)n - (int64_t)f->most);
    }
    keep((char *)to + f->at, f->size, n);
    return true;
}

static void put_pieces(struct buf *out, const struct piece *pieces, uint32_t count)
{
    size_t begun;

    if (count == 0) {
        return;
    }
    begun = tlv_begin(out, MESSAGE_TAG_PIECES);
    for (uint32_t i = 0; i < count; i++) {
        char bytes[PIECE_BYTES];

        put32(bytes, pieces[i].generation);
        put32(bytes + 4, pieces[i].offset);
        put32(bytes + 8, pieces[i].bytes);
        buf_put(out, str_make(bytes, sizeof bytes));
    }
    tlv_end(out, begun);
}

static void put_policy(struct buf *out, const struct message_policy *p)
{
    size_t begun = tlv_begin(out, MESSAGE_TAG_POLICY);

    tlv_put(out, POLICY_TAG_SCHEDULE, p->schedule);
    tlv_put(out, POLICY_TAG_QUEUE, p->queue);
    for (uint32_t i = 0; i < p->meta_count; i++) {
        const struct message_meta *m = &p->meta[i];
        size_t inner = tlv_begin(out, POLICY_TAG_META);

        tlv_put(out, META_TAG_NAME, m->name);
        tlv_put_num(out, META_TAG_KIND, m->kind);
        tlv_put(out, META_TAG_TEXT, m->text);
        tlv_put_num(out, META_TAG_NUMBER, (uint64_t)m->number);
        tlv_end(out, inner);
    }
    tlv_end(out, begun);
}

void wire_put_message(struct buf *out, const struct message *m, const struct piece *pieces,
                      uint32_t piece_count)
{
    put_fields(out, message_fields, COUNT_OF(message_fields), m);
    if (m->policy != NULL) {
        put_policy(out, m->policy);
    }
    for (uint32_t i = 0; i < m->to_count; i++) {
        size_t begun = tlv_begin(out, MESSAGE_TAG_RECIPIENT);
        size_t state;

        put_fields(out, recipient_fields, COUNT_OF(recipient_fields), &m->to[i]);
        state = tlv_begin(out, RECIPIENT_TAG_STATE);
        put_fields(out, state_fields, COUNT_OF(state_fields), &m->to[i].state);
        tlv_end(out, state);
        tlv_end(out, begun);
    }
    put_pieces(out, pieces, piece_count);
}

void wire_put_message_moved(struct buf *out, struct str meta, const struct piece *pieces,
                            uint32_t piece_count)
{
    struct tlv_reader reader = tlv_read(meta);
    struct tlv item;

    while (tlv_next(&reader, &item)) {
        if (item.tag != MESSAGE_TAG_PIECES) {
            tlv_put(out, item.tag, item.value);
        }
    }
    put_pieces(out, pieces, piece_count);
}

struct err wire_state(struct str raw, struct rcpt_state *ret)
{
    struct tlv_reader reader = tlv_read(raw);
    struct tlv item;

    *ret = (struct rcpt_state){0};
    absent_fields(state_fields, COUNT_OF(state_fields), ret);
    while (tlv_next(&reader, &item)) {
        if (!read_field(state_fields, COUNT_OF(state_fields), &item, ret)) {
            return err_of(ERR_CORRUPT);
        }
    }
    return reader.bad ? err_of(ERR_CORRUPT) : ERR_OK;
}

static struct err read_recipient(struct str bytes, struct recipient *ret)
{
    struct tlv_reader reader = tlv_read(bytes);
    struct tlv item;
    bool has_state = false;

    absent_fields(recipient_fields, COUNT_OF(recipient_fields), ret);
    while (tlv_next(&reader, &item)) {
        if (item.tag == RECIPIENT_TAG_STATE) {
            struct err e = wire_state(item.value, &ret->state);

            if (e.code) {
                return e;
            }
            has_state = true;
        } else if (!read_field(recipient_fields, COUNT_OF(recipient_fields), &item, ret)) {
            return err_of(ERR_CORRUPT);
        }
    }
    return reader.bad || !has_state ? err_of(ERR_CORRUPT) : ERR_OK;
}

static struct err read_pieces(struct str bytes, struct arena *a, struct piece **ret,
                              uint32_t *count)
{
    if (bytes.len % PIECE_BYTES != 0 || *ret != NULL) {
        return err_of(ERR_CORRUPT);
    }
    *count = (uint32_t)(bytes.len / PIECE_BYTES);
    *ret = arena_array(a, *count, sizeof **ret);
    for (uint32_t i = 0; i < *count; i++) {
        const char *at = bytes.ptr + (size_t)i * PIECE_BYTES;

        (*ret)[i] = (struct piece){get32(at), get32(at + 4), get32(at + 8)};
    }
    return ERR_OK;
}

static uint32_t count_of(struct str bytes, uint8_t tag)
{
    struct tlv_reader reader = tlv_read(bytes);
    struct tlv item;
    uint32_t count = 0;

    while (tlv_next(&reader, &item)) {
        count += item.tag == tag;
    }
    return count;
}

static struct err read_meta(struct str bytes, struct message_meta *ret)
{
    struct tlv_reader reader = tlv_read(bytes);
    struct tlv item;
    uint64_t kind = 0, number = 0;

    *ret = (struct message_meta){.name = STR_EMPTY, .text = STR_EMPTY};
    while (tlv_next(&reader, &item)) {
        if (item.tag == META_TAG_NAME) {
            ret->name = item.value;
        } else if (item.tag == META_TAG_TEXT) {
            ret->text = item.value;
        } else if ((item.tag == META_TAG_KIND && !tlv_num(item.value, &kind)) ||
                   (item.tag == META_TAG_NUMBER && !tlv_num(item.value, &number))) {
            return err_of(ERR_CORRUPT);
        }
    }
    if (reader.bad || ret->name.len == 0 || kind >= META_KINDS) {
        return err_of(ERR_CORRUPT);
    }
    ret->kind = (enum meta_kind)kind;
    memcpy(&ret->number, &number, sizeof number);
    return ERR_OK;
}

static struct err read_policy(struct str bytes, struct arena *a, struct message *ret)
{
    struct message_policy *p = ARENA_NEW(a, struct message_policy);
    struct message_meta *meta = arena_array(a, count_of(bytes, POLICY_TAG_META), sizeof *meta);
    struct tlv_reader reader = tlv_read(bytes);
    struct tlv item;
    struct err e = ERR_OK;

    *p = (struct message_policy){.schedule = STR_EMPTY, .queue = STR_EMPTY, .meta = meta};
    while (!e.code && tlv_next(&reader, &item)) {
        if (item.tag == POLICY_TAG_SCHEDULE) {
            p->schedule = item.value;
        } else if (item.tag == POLICY_TAG_QUEUE) {
            p->queue = item.value;
        } else if (item.tag == POLICY_TAG_META) {
            e = read_meta(item.value, &meta[p->meta_count++]);
        }
    }
    ret->policy = p;
    return reader.bad ? err_of(ERR_CORRUPT) : e;
}

struct err wire_message(struct str meta, struct arena *a, struct message *ret,
                        struct piece **pieces, uint32_t *piece_count)
{
    struct tlv_reader reader = tlv_read(meta);
    struct tlv item;
    struct err e = ERR_OK;

    *ret = (struct message){0};
    *pieces = NULL;
    *piece_count = 0;
    absent_fields(message_fields, COUNT_OF(message_fields), ret);
    ret->to = arena_array(a, count_of(meta, MESSAGE_TAG_RECIPIENT), sizeof *ret->to);
    while (!e.code && tlv_next(&reader, &item)) {
        if (item.tag == MESSAGE_TAG_RECIPIENT) {
            e = read_recipient(item.value, &ret->to[ret->to_count++]);
        } else if (item.tag == MESSAGE_TAG_PIECES) {
            e = read_pieces(item.value, a, pieces, piece_count);
        } else if (item.tag == MESSAGE_TAG_POLICY) {
            e = read_policy(item.value, a, ret);
        } else if (!read_field(message_fields, COUNT_OF(message_fields), &item, ret)) {
            e = err_of(ERR_CORRUPT);
        }
    }
    if (!e.code && (reader.bad || ret->to_count == 0 || ret->id == 0)) {
        e = err_of(ERR_CORRUPT);
    }
    return e;
}

void wire_put_states(struct buf *out, uint64_t id)
{
    tlv_put_num(out, STATES_TAG_MESSAGE, id);
}

void wire_put_state(struct buf *out, uint32_t index, const struct rcpt_state *state)
{
    size_t begun = tlv_begin(out, STATES_TAG_CHANGE);
    size_t inner;

    tlv_put_num(out, CHANGE_TAG_INDEX, index);
    inner = tlv_begin(out, CHANGE_TAG_STATE);
    put_fields(out, state_fields, COUNT_OF(state_fields), state);
    tlv_end(out, inner);
    tlv_end(out, begun);
}

void wire_put_state_raw(struct buf *out, uint32_t index, struct str state)
{
    size_t begun = tlv_begin(out, STATES_TAG_CHANGE);

    tlv_put_num(out, CHANGE_TAG_INDEX, index);
    tlv_put(out, CHANGE_TAG_STATE, state);
    tlv_end(out, begun);
}

struct err wire_states(struct str meta, struct wire_states *ret)
{
    struct tlv_reader reader = tlv_read(meta);
    struct tlv item;

    if (!tlv_next(&reader, &item) || item.tag != STATES_TAG_MESSAGE ||
        !tlv_num(item.value, &ret->id) || ret->id == 0) {
        return err_of(ERR_CORRUPT);
    }
    ret->rest = reader.rest;
    return ERR_OK;
}

struct err wire_states_next(struct wire_states *s, uint32_t *index, struct str *raw)
{
    struct tlv_reader outer = tlv_read(s->rest);
    struct tlv_reader reader;
    struct tlv item;
    bool has_state = false;
    uint64_t n = 0;

    do {
        if (!tlv_next(&outer, &item)) {
            s->rest = outer.rest;
            return err_of(outer.bad ? ERR_CORRUPT : ERR_NOT_FOUND);
        }
    } while (item.tag != STATES_TAG_CHANGE);
    s->rest = outer.rest;
    reader = tlv_read(item.value);
    while (tlv_next(&reader, &item)) {
        if (item.tag == CHANGE_TAG_INDEX && (!tlv_num(item.value, &n) || n > UINT32_MAX)) {
            return err_of(ERR_CORRUPT);
        }
        if (item.tag == CHANGE_TAG_STATE) {
            *raw = item.value;
            has_state = true;
        }
    }
    *index = (uint32_t)n;
    return reader.bad || !has_state ? err_of(ERR_CORRUPT) : ERR_OK;
}

enum { VALUE_TAG_NAME = 1, VALUE_TAG_REMOVE = 2, LIMIT_TAG_ID = 1 };

void wire_put_value(struct buf *meta, struct str name, bool remove)
{
    tlv_put(meta, VALUE_TAG_NAME, name);
    if (remove) {
        tlv_put_num(meta, VALUE_TAG_REMOVE, 1);
    }
}

bool wire_value(struct str meta, struct str *name, bool *remove)
{
    struct tlv_reader reader = tlv_read(meta);
    struct tlv item;

    *name = STR_EMPTY;
    *remove = false;
    while (tlv_next(&reader, &item)) {
        if (item.tag == VALUE_TAG_NAME) {
            *name = item.value;
        } else if (item.tag == VALUE_TAG_REMOVE) {
            *remove = true;
        }
    }
    return !reader.bad && name->len > 0;
}

void wire_put_limit(struct buf *meta, uint64_t limit)
{
    tlv_put_num(meta, LIMIT_TAG_ID, limit);
}

bool wire_limit(struct str meta, uint64_t *limit)
{
    struct tlv_reader reader = tlv_read(meta);
    struct tlv item;

    *limit = 0;
    while (tlv_next(&reader, &item)) {
        if (item.tag == LIMIT_TAG_ID && !tlv_num(item.value, limit)) {
            return false;
        }
    }
    return !reader.bad;
}
