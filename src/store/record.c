#include "store/record.h"

#include "base/check.h"
#include "base/crc.h"
#include "store/little.h"
#include "store/tlv.h"

enum { SEGMENT_MAGIC_BYTES = 8, SEGMENT_FRAME_AT = 16 };

static const char segment_magic[SEGMENT_MAGIC_BYTES] = "PYSTORE\n";

enum segment_tag {
    SEGMENT_TAG_FORMAT = 1,
    SEGMENT_TAG_GENERATION,
    SEGMENT_TAG_PREVIOUS,
    SEGMENT_TAG_PREVIOUS_END,
    SEGMENT_TAG_EPOCH,
    SEGMENT_TAG_ID_LIMIT
};

void record_encode(const struct record *r, struct str meta, char at[RECORD_HEAD_BYTES])
{
    uint32_t crc;

    must(meta.len == r->meta_bytes);
    must(r->meta_bytes < RECORD_PART_MAX && r->data_bytes < RECORD_PART_MAX);
    put32(at + 4, r->data_crc);
    put64(at + 8, r->generation);
    put32(at + 16, r->offset);
    put32(at + 20, r->confirmed);
    put32(at + 24, r->meta_bytes);
    put32(at + 28, r->data_bytes);
    put32(at + 32, (uint32_t)r->kind | (uint32_t)r->left << 16);
    put32(at + 36, r->epoch);
    crc = crc32c(0, str_make(at + 4, RECORD_HEAD_BYTES - 4));
    put32(at, crc32c(crc, meta));
}

bool record_claims(struct str bytes, uint64_t generation, uint32_t offset)
{
    return bytes.len >= RECORD_HEAD_BYTES && get64(bytes.ptr + 8) == generation &&
           get32(bytes.ptr + 16) == offset;
}

uint64_t record_claimed(struct str bytes)
{
    return get64(bytes.ptr + 8);
}

enum record_found record_decode(struct str bytes, uint64_t generation, uint32_t offset,
                                struct record *ret, struct str *meta, uint64_t *need)
{
    uint32_t crc, kind_left;

    if (bytes.len < RECORD_HEAD_BYTES) {
        *need = RECORD_HEAD_BYTES;
        return RECORD_MORE;
    }
    if (!record_claims(bytes, generation, offset)) {
        return RECORD_NONE;
    }
    kind_left = get32(bytes.ptr + 32);
    *ret = (struct record){.generation = generation,
                           .offset = offset,
                           .confirmed = get32(bytes.ptr + 20),
                           .meta_bytes = get32(bytes.ptr + 24),
                           .data_bytes = get32(bytes.ptr + 28),
                           .data_crc = get32(bytes.ptr + 4),
                           .kind = (uint16_t)kind_left,
                           .left = (uint16_t)(kind_left >> 16),
                           .epoch = get32(bytes.ptr + 36)};
    if (ret->meta_bytes >= RECORD_PART_MAX || ret->data_bytes >= RECORD_PART_MAX) {
        return RECORD_NONE;
    }
    *need = (uint64_t)RECORD_HEAD_BYTES + ret->meta_bytes;
    if (bytes.len < *need) {
        return RECORD_MORE;
    }
    *meta = str_make(bytes.ptr + RECORD_HEAD_BYTES, ret->meta_bytes);
    crc = crc32c(0, str_make(bytes.ptr + 4, RECORD_HEAD_BYTES - 4));
    return crc32c(crc, *meta) == get32(bytes.ptr) ? RECORD_FOUND : RECORD_NONE;
}

void segment_head_encode(const struct segment_head *h, char at[BLOCK_BYTES])
{
    struct buf meta BUF_LOCAL = {0};
    struct record r;

    tlv_put_num(&meta, SEGMENT_TAG_FORMAT, h->format);
    tlv_put_num(&meta, SEGMENT_TAG_GENERATION, h->generation);
    tlv_put_num(&meta, SEGMENT_TAG_PREVIOUS, h->previous);
    tlv_put_num(&meta, SEGMENT_TAG_PREVIOUS_END, h->previous_end);
    tlv_put_num(&meta, SEGMENT_TAG_EPOCH, h->epoch);
    tlv_put_num(&meta, SEGMENT_TAG_ID_LIMIT, h->id_limit);
    must(SEGMENT_FRAME_AT + RECORD_HEAD_BYTES + meta.len <= BLOCK_BYTES);
    memset(at, 0, BLOCK_BYTES);
    memcpy(at, segment_magic, SEGMENT_MAGIC_BYTES);
    put32(at + SEGMENT_MAGIC_BYTES, (uint32_t)h->format);
    r = (struct record){.generation = h->generation,
                        .offset = SEGMENT_FRAME_AT,
                        .meta_bytes = (uint32_t)meta.len,
                        .kind = RECORD_SEGMENT,
                        .epoch = (uint32_t)h->epoch};
    record_encode(&r, buf_str(&meta), at + SEGMENT_FRAME_AT);
    memcpy(at + SEGMENT_FRAME_AT + RECORD_HEAD_BYTES, meta.ptr, meta.len);
}

static bool head_fields(struct str meta, struct segment_head *ret)
{
    struct tlv_reader reader = tlv_read(meta);
    struct tlv item;

    *ret = (struct segment_head){0};
    while (tlv_next(&reader, &item)) {
        uint64_t *const places[] = {
            [SEGMENT_TAG_FORMAT] = &ret->format,
            [SEGMENT_TAG_GENERATION] = &ret->generation,
            [SEGMENT_TAG_PREVIOUS] = &ret->previous,
            [SEGMENT_TAG_PREVIOUS_END] = &ret->previous_end,
            [SEGMENT_TAG_EPOCH] = &ret->epoch,
            [SEGMENT_TAG_ID_LIMIT] = &ret->id_limit,
        };

        if (item.tag < COUNT_OF(places) && places[item.tag] != NULL &&
            !tlv_num(item.value, places[item.tag])) {
            return false;
        }
    }
    return !reader.bad;
}

enum segment_found segment_head_decode(struct str block, uint64_t generation,
                                       struct segment_head *ret)
{
    struct record r;
    struct str meta;
    uint64_t need;

    if (block.len < BLOCK_BYTES || memcmp(block.ptr, segment_magic, SEGMENT_MAGIC_BYTES) != 0) {
        return SEGMENT_NOT_BEGUN;
    }
    if (record_decode(str_skip(block, SEGMENT_FRAME_AT), generation, SEGMENT_FRAME_AT, &r, &meta,
                      &need) == RECORD_FOUND &&
        r.kind == RECORD_SEGMENT && head_fields(meta, ret)) {
        return ret->format > STORE_FORMAT ? SEGMENT_NEWER : SEGMENT_FOUND;
    }
    /* The frame itself may have changed in a later format; the number before it never moves. */
    return get32(block.ptr + SEGMENT_MAGIC_BYTES) > STORE_FORMAT ? SEGMENT_NEWER
                                                                 : SEGMENT_NOT_BEGUN;
}
