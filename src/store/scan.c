#include "store/scan.h"

#include "base/check.h"
#include "base/crc.h"

enum { WINDOW_BYTES = 1024 * 1024 };

void scan_begin(struct scan *c, struct disk_file *file, uint64_t generation, uint32_t from,
                uint32_t end, uint32_t most, bool trusts_leftovers)
{
    *c = (struct scan){.file = file,
                       .generation = generation,
                       .at = from,
                       .end = end,
                       .most = end ? end : most,
                       .good_end = from,
                       .trusts_leftovers = trusts_leftovers};
}

void scan_done(struct scan *c)
{
    buf_done(&c->window);
}

/* Bytes from `offset` on: at least `need` of them, or all up to c->most. */
static struct err look(struct scan *c, uint32_t offset, uint64_t need, struct str *ret,
                       struct when by)
{
    uint64_t left = c->most > offset ? c->most - offset : 0;
    uint64_t want;
    size_t got = 0;
    struct err e;

    need = need < left ? need : left;
    if (offset < c->window_from || offset + need > (uint64_t)c->window_from + c->window.len) {
        want = need < WINDOW_BYTES ? WINDOW_BYTES : need;
        want = want < left ? want : left;
        buf_clear(&c->window);
        e = disk_read(c->file, offset, buf_room(&c->window, (size_t)want), (size_t)want, &got, by);
        if (e.code) {
            return e;
        }
        c->window.len = got;
        c->window_from = offset;
    }
    *ret = str_skip(buf_str(&c->window), offset - c->window_from);
    return ERR_OK;
}

static uint64_t generation_at(const struct scan *c, struct str bytes)
{
    return c->trusts_leftovers && bytes.len >= RECORD_HEAD_BYTES ? record_claimed(bytes)
                                                                 : c->generation;
}

/* Whether a whole record lies at `offset`. */
static enum scan_found record_at(struct scan *c, uint32_t offset, struct record *r,
                                 struct str *meta, struct str *data, struct err *e, struct when by)
{
    enum record_found found = RECORD_MORE;
    uint64_t need = RECORD_HEAD_BYTES;
    struct str bytes = STR_EMPTY;

    for (int round = 0; found == RECORD_MORE; round++) {
        *e = look(c, offset, need, &bytes, by);
        if (e->code) {
            return SCAN_FAILED;
        }
        if (round == 3 || bytes.len < need) {
            return SCAN_DAMAGED;
        }
        found = record_decode(bytes, generation_at(c, bytes), offset, r, meta, &need);
    }
    if (found == RECORD_NONE) {
        return SCAN_DAMAGED;
    }
    need = (uint64_t)RECORD_HEAD_BYTES + r->meta_bytes + r->data_bytes;
    *e = look(c, offset, need, &bytes, by);
    if (e->code) {
        return SCAN_FAILED;
    }
    *meta = str_make(bytes.ptr + RECORD_HEAD_BYTES, r->meta_bytes);
    if (bytes.len < need) {
        *data = STR_EMPTY;
        return SCAN_DATA_DAMAGED;
    }
    *data = str_make(meta->ptr + meta->len, r->data_bytes);
    return crc32c(0, *data) == r->data_crc ? SCAN_RECORD : SCAN_DATA_DAMAGED;
}

static bool all_zero(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != 0) {
            return false;
        }
    }
    return true;
}

/* The next place behind c->at where a record lies; SCAN_END: nowhere. */
static enum scan_found resync(struct scan *c, struct record *r, struct str *meta, struct str *data,
                              struct err *e, struct when by)
{
    uint64_t at = (uint64_t)c->at + RECORD_ALIGN;
    struct str bytes;

    for (; at + RECORD_HEAD_BYTES <= c->most; at += RECORD_ALIGN) {
        *e = look(c, (uint32_t)at, RECORD_HEAD_BYTES, &bytes, by);
        if (e->code) {
            return SCAN_FAILED;
        }
        if (record_claims(bytes, generation_at(c, bytes), (uint32_t)at)) {
            enum scan_found found = record_at(c, (uint32_t)at, r, meta, data, e, by);

            if (found != SCAN_DAMAGED) {
                c->at = (uint32_t)at;
                return found;
            }
        }
    }
    c->at = c->most;
    return SCAN_END;
}

/* Between batches: zeros up to the next block. */
static enum scan_found skip_padding(struct scan *c, struct err *e, struct when by)
{
    uint32_t next = (uint32_t)block_up(c->at);
    struct str bytes;

    *e = look(c, c->at, next - c->at, &bytes, by);
    if (e->code) {
        return SCAN_FAILED;
    }
    if (!all_zero(str_head(bytes, next - c->at))) {
        return SCAN_DAMAGED;
    }
    c->at = next;
    return SCAN_RECORD;
}

static void step_over(struct scan *c, const struct record *r)
{
    uint64_t next = c->at + record_bytes(r->meta_bytes, r->data_bytes);

    c->at = next < c->most ? (uint32_t)next : c->most;
    c->good_end = c->at;
}

static bool is_sealed(const struct scan *c)
{
    return c->end != 0 || c->at < c->proven;
}

/* Something is not a record, at the open end of the log. Something behind it may say that it was
 * durable: then it is damaged, and the log goes on. */
static enum scan_found seek_proof(struct scan *c, struct err *e, struct when by)
{
    struct record r;
    struct str meta, data;
    uint32_t from = c->at;
    enum scan_found found;

    do {
        /* A record of the same unfinished batch proves nothing; what follows it may. */
        found = resync(c, &r, &meta, &data, e, by);
    } while (found != SCAN_FAILED && found != SCAN_END && r.confirmed <= from);
    c->at = from;
    if (found == SCAN_END) {
        c->most = from;
    } else if (found != SCAN_FAILED) {
        c->proven = r.confirmed;
    }
    return found;
}

static enum scan_found at_damage(struct scan *c, uint32_t *damaged_from, struct err *e,
                                 struct when by)
{
    struct record r;
    struct str meta, data;

    *damaged_from = c->at;
    return resync(c, &r, &meta, &data, e, by) == SCAN_FAILED ? SCAN_FAILED : SCAN_DAMAGED;
}

/* One step that yields no record: padding, damage, or the search for a proof. SCAN_RECORD: look
 * again. */
static enum scan_found step_without(struct scan *c, uint32_t *damaged_from, struct err *e,
                                    struct when by)
{
    enum scan_found found = SCAN_DAMAGED;

    if (c->at % BLOCK_BYTES != 0) {
        found = skip_padding(c, e, by);
    }
    if (found != SCAN_DAMAGED) {
        return found;
    }
    if (is_sealed(c)) {
        return at_damage(c, damaged_from, e, by);
    }
    found = seek_proof(c, e, by);
    return found == SCAN_FAILED || found == SCAN_END ? found : SCAN_RECORD;
}

enum scan_found scan_next(struct scan *c, struct record *r, struct str *meta, struct str *data,
                          uint32_t *damaged_from, struct err *e, struct when by)
{
    enum scan_found found;

    *e = ERR_OK;
    while (c->at < c->most) {
        found = record_at(c, c->at, r, meta, data, e, by);
        if (found == SCAN_RECORD || (found == SCAN_DATA_DAMAGED && is_sealed(c))) {
            step_over(c, r);
            return found;
        }
        if (found != SCAN_FAILED) {
            found = step_without(c, damaged_from, e, by);
        }
        if (found != SCAN_RECORD) {
            return found;
        }
    }
    return SCAN_END;
}
