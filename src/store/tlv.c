#include "store/tlv.h"

#include "base/check.h"

enum { OPEN_LENGTH_BYTES = 4, LENGTH_BITS_MAX = 28 };

bool tlv_next(struct tlv_reader *r, struct tlv *ret)
{
    uint64_t len = 0;
    size_t at = 1;

    if (r->bad || r->rest.len == 0) {
        return false;
    }
    r->bad = true;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte;

        if (at >= r->rest.len || shift >= 35) {
            return false;
        }
        byte = (uint8_t)r->rest.ptr[at++];
        len |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            break;
        }
    }
    if (len > r->rest.len - at) {
        return false;
    }
    ret->tag = (uint8_t)r->rest.ptr[0];
    if (ret->tag == 0 || ret->tag > 127) {
        return false;
    }
    ret->value = str_make(r->rest.ptr + at, (size_t)len);
    r->rest = str_skip(r->rest, at + (size_t)len);
    r->bad = false;
    return true;
}

bool tlv_num(struct str value, uint64_t *ret)
{
    uint64_t number = 0;

    if (value.len > sizeof number) {
        return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        number |= (uint64_t)(uint8_t)value.ptr[i] << (8 * i);
    }
    *ret = number;
    return true;
}

static size_t put_length(char *at, size_t len)
{
    size_t used = 0;

    must(len >> LENGTH_BITS_MAX == 0);
    while (len >= 0x80) {
        at[used++] = (char)(len | 0x80);
        len >>= 7;
    }
    at[used++] = (char)len;
    return used;
}

void tlv_put(struct buf *out, uint8_t tag, struct str value)
{
    char *room = buf_room(out, value.len + 6);
    size_t used;

    if (room == NULL) {
        return;
    }
    room[0] = (char)tag;
    used = 1 + put_length(room + 1, value.len);
    if (value.len > 0) {
        memcpy(room + used, value.ptr, value.len);
    }
    out->len += used + value.len;
}

void tlv_put_num(struct buf *out, uint8_t tag, uint64_t number)
{
    char bytes[8];
    size_t len = 0;

    while (number != 0) {
        bytes[len++] = (char)number;
        number >>= 8;
    }
    tlv_put(out, tag, str_make(bytes, len));
}

size_t tlv_begin(struct buf *out, uint8_t tag)
{
    char *room = buf_room(out, 1 + OPEN_LENGTH_BYTES);

    if (room == NULL) {
        return 0;
    }
    room[0] = (char)tag;
    out->len += 1 + OPEN_LENGTH_BYTES;
    return out->len;
}

void tlv_end(struct buf *out, size_t begun)
{
    size_t len;
    char *at;

    if (out->failed) {
        return;
    }
    len = out->len - begun;
    must(len >> LENGTH_BITS_MAX == 0);
    /* Padded LEB128: the length is known only now, and its place is already fixed. */
    at = out->ptr + begun - OPEN_LENGTH_BYTES;
    for (int i = 0; i < OPEN_LENGTH_BYTES; i++) {
        at[i] = (char)((len >> (7 * i) & 0x7f) | (i < OPEN_LENGTH_BYTES - 1 ? 0x80 : 0));
    }
}
