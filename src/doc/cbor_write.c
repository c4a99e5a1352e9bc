#include "doc/doc.h"

#include <cbor.h>

enum { HEAD_BYTES = 9 };

static void put_head(struct buf *out, size_t (*encode)(size_t, unsigned char *, size_t), size_t n)
{
    unsigned char head[HEAD_BYTES];

    buf_put(out, str_make((const char *)head, encode(n, head, sizeof(head))));
}

static void put_number(struct buf *out, const struct doc *d)
{
    unsigned char head[HEAD_BYTES];
    size_t len;

    if (d->kind == DOC_REAL) {
        len = cbor_encode_double(d->real, head, sizeof(head));
    } else if (d->number >= 0) {
        len = cbor_encode_uint((uint64_t)d->number, head, sizeof(head));
    } else {
        len = cbor_encode_negint((uint64_t)(-1 - d->number), head, sizeof(head));
    }
    buf_put(out, str_make((const char *)head, len));
}

void doc_write_cbor(struct buf *out, const struct doc *d)
{
    switch (d->kind) {
    case DOC_NULL:
        buf_byte(out, (char)0xf6);
        return;
    case DOC_BOOL:
        buf_byte(out, (char)(d->yes ? 0xf5 : 0xf4));
        return;
    case DOC_INT:
    case DOC_REAL:
        put_number(out, d);
        return;
    case DOC_TEXT:
    case DOC_BYTES:
        put_head(out, d->kind == DOC_TEXT ? cbor_encode_string_start : cbor_encode_bytestring_start,
                 d->text.len);
        buf_put(out, d->text);
        return;
    case DOC_LIST:
        put_head(out, cbor_encode_array_start, d->count);
        break;
    case DOC_OBJECT:
        put_head(out, cbor_encode_map_start, d->count);
        break;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        if (d->kind == DOC_OBJECT) {
            put_head(out, cbor_encode_string_start, d->members[i].key.len);
            buf_put(out, d->members[i].key);
        }
        doc_write_cbor(out, &d->members[i].value);
    }
}
