#include "store/batch.h"

#include "base/check.h"

void batch_begin(struct batch *b, uint64_t generation, uint64_t start, uint64_t limit,
                 uint32_t confirmed, uint32_t epoch)
{
    buf_clear(&b->scratch);
    b->part_count = 0;
    b->generation = generation;
    b->start = start;
    b->bytes = 0;
    b->limit = limit;
    b->confirmed = confirmed;
    b->epoch = epoch;
}

/* The newest scratch bytes as a part: joined to the last part when that ends where they begin. */
static void add_scratch(struct batch *b, size_t at)
{
    size_t len = b->scratch.len - at;
    struct batch_part *last = b->part_count ? &b->parts[b->part_count - 1] : NULL;

    b->bytes += len;
    if (last != NULL && last->ptr == NULL && last->at + last->len == at) {
        last->len += len;
    } else if (len > 0) {
        must(b->part_count < COUNT_OF(b->parts));
        b->parts[b->part_count++] = (struct batch_part){NULL, at, len};
    }
}

static void add_zeros(struct batch *b, uint64_t up_to)
{
    size_t len = (size_t)(up_to - b->bytes), at = b->scratch.len;

    if (len > 0) {
        memset(buf_room(&b->scratch, len), 0, len);
        b->scratch.len += len;
        add_scratch(b, at);
    }
}

void batch_segment_head(struct batch *b, const struct segment_head *h)
{
    size_t at = b->scratch.len;

    must(b->start == 0 && b->bytes == 0);
    segment_head_encode(h, buf_room(&b->scratch, BLOCK_BYTES));
    b->scratch.len += BLOCK_BYTES;
    add_scratch(b, at);
}

struct buf *batch_open(struct batch *b)
{
    b->opened = b->scratch.len;
    buf_room(&b->scratch, RECORD_HEAD_BYTES);
    b->scratch.len += RECORD_HEAD_BYTES;
    return &b->scratch;
}

bool batch_close(struct batch *b, enum record_kind kind, uint32_t left, struct str data,
                 uint32_t data_crc)
{
    size_t meta_bytes = b->scratch.len - b->opened - RECORD_HEAD_BYTES;
    uint64_t end;
    struct record r;

    if (meta_bytes >= RECORD_PART_MAX || data.len >= RECORD_PART_MAX || left > UINT16_MAX ||
        b->part_count + 2 > BATCH_PARTS_MAX) {
        b->scratch.len = b->opened;
        return false;
    }
    end = b->bytes + record_bytes((uint32_t)meta_bytes, (uint32_t)data.len);
    if (b->start + block_up(end) > b->limit) {
        b->scratch.len = b->opened;
        return false;
    }
    r = (struct record){.generation = b->generation,
                        .offset = batch_offset(b),
                        .confirmed = b->confirmed,
                        .meta_bytes = (uint32_t)meta_bytes,
                        .data_bytes = (uint32_t)data.len,
                        .data_crc = data_crc,
                        .kind = (uint16_t)kind,
                        .left = (uint16_t)left,
                        .epoch = b->epoch};
    record_encode(&r, str_make(b->scratch.ptr + b->opened + RECORD_HEAD_BYTES, meta_bytes),
                  b->scratch.ptr + b->opened);
    if (data.len <= BATCH_COPY_MAX || b->copies_all) {
        buf_put(&b->scratch, data);
        add_scratch(b, b->opened);
    } else {
        add_scratch(b, b->opened);
        b->parts[b->part_count++] = (struct batch_part){data.ptr, 0, data.len};
        b->bytes += data.len;
    }
    add_zeros(b, end);
    return true;
}

struct batch_mark batch_mark(const struct batch *b)
{
    return (struct batch_mark){
        .part_count = b->part_count,
        .scratch_len = b->scratch.len,
        .last_len = b->part_count ? b->parts[b->part_count - 1].len : 0,
        .bytes = b->bytes,
    };
}

void batch_cut(struct batch *b, struct batch_mark mark)
{
    b->part_count = mark.part_count;
    b->scratch.len = mark.scratch_len;
    b->bytes = mark.bytes;
    if (mark.part_count > 0) {
        b->parts[mark.part_count - 1].len = mark.last_len;
    }
}

unsigned batch_iov(struct batch *b, const struct iovec **ret, bool fill)
{
    if (fill) {
        must(b->start % BLOCK_BYTES == 0);
        add_zeros(b, block_up(b->bytes));
    }
    for (uint32_t i = 0; i < b->part_count; i++) {
        const struct batch_part *p = &b->parts[i];
        const char *ptr = p->ptr ? p->ptr : b->scratch.ptr + p->at;

        /* iovec has no const; a write does not change what it points to. */
        memcpy(&b->iov[i].iov_base, &ptr, sizeof ptr);
        b->iov[i].iov_len = p->len;
    }
    *ret = b->iov;
    return b->part_count;
}

void batch_done(struct batch *b)
{
    buf_done(&b->scratch);
}
