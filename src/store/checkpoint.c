#include "base/check.h"
#include "base/crc.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/events.h"
#include "store/little.h"
#include "store/log.h"
#include "store/scan.h"
#include "store/tlv.h"

/*
 * Checkpoints: the index in a file of its own, "checkpoint-NUMBER", so that recovery need not read
 * the log from its beginning, and so that segments may be recycled (invariant 3).
 *
 * It is taken while commits go on. It says from which place of the log recovery must go on reading:
 * what the index was when the first byte was gathered. Whatever changes meanwhile is read once more
 * from there, which does no harm (apply.c). It is "writing-NUMBER" until it has been flushed: a
 * checkpoint by its name is whole and durable. Then the one before it is removed.
 */

enum {
    CHECKPOINT_TAG_FORMAT = 1,
    CHECKPOINT_TAG_GENERATION,
    CHECKPOINT_TAG_OFFSET,
    CHECKPOINT_TAG_EPOCH,
    CHECKPOINT_TAG_ID_LIMIT,
    CHECKPOINT_TAG_LAST_ID,
    END_TAG_ENTRIES = 1,
    END_TAG_VALUES,
    ENTRY_BYTES = 32,
    SLOT_BYTES = 16,
    RUN_BYTES = 8,
    CHUNK_BYTES = 64 * 1024,
    WRITE_BYTES = 1024 * 1024
};

#define CHECKPOINT_GENERATION(number) ((number) | 1ULL << 63) /* no segment's */

struct writing {
    struct store *s;
    struct disk_file *file;
    uint64_t number, at, entries, values;
    struct log_position from;
    struct buf out, chunk;
};

static void put_record(struct writing *w, enum record_kind kind, struct str meta, struct str data)
{
    struct record r = {.generation = CHECKPOINT_GENERATION(w->number),
                       .offset = (uint32_t)(w->at + w->out.len),
                       .meta_bytes = (uint32_t)meta.len,
                       .data_bytes = (uint32_t)data.len,
                       .data_crc = crc32c(0, data),
                       .kind = (uint16_t)kind,
                       .epoch = w->s->epoch};
    size_t end = w->out.len + record_bytes(r.meta_bytes, r.data_bytes);
    char *head = buf_room(&w->out, RECORD_HEAD_BYTES);

    must(w->at + end < UINT32_MAX);
    record_encode(&r, meta, head);
    w->out.len += RECORD_HEAD_BYTES;
    buf_put(&w->out, meta);
    buf_put(&w->out, data);
    while (w->out.len < end) {
        buf_byte(&w->out, 0);
    }
}

static struct err flush_out(struct writing *w, size_t least, struct when by)
{
    struct iovec iov = {w->out.ptr, w->out.len};
    struct err e = ERR_OK;

    if (w->out.len > 0 && w->out.len >= least) {
        e = disk_write(w->file, w->at, &iov, 1, by);
        total_add(w->s, bytes_written, w->out.len);
        w->at += w->out.len;
        buf_clear(&w->out);
    }
    return e;
}

static void put_entry(struct buf *out, struct entry *e)
{
    uint32_t runs = 0;
    char *at;

    while (e->runs != NULL && e->runs[runs].segment != 0) {
        runs++;
    }
    at = buf_room(out, ENTRY_BYTES + (size_t)e->to_count * SLOT_BYTES + (size_t)runs * RUN_BYTES);
    put64(at, e->id);
    put32(at + 8, e->segment);
    put32(at + 12, e->offset);
    put32(at + 16, e->meta_bytes);
    put32(at + 20, e->data_bytes);
    put32(at + 24, e->to_count);
    put32(at + 28, runs);
    at += ENTRY_BYTES;
    for (uint32_t i = 0; i < e->to_count; i++, at += SLOT_BYTES) {
        const struct slot *slot = &entry_slots(e)[i];

        put32(at, slot->version);
        put32(at + 4, slot->segment);
        put32(at + 8, slot->offset);
        put32(at + 12, slot->bytes | (uint32_t)slot->is_over << 31);
    }
    for (uint32_t i = 0; i < runs; i++, at += RUN_BYTES) {
        put32(at, e->runs[i].segment);
        put32(at + 4, e->runs[i].bytes);
    }
    out->len = (size_t)(at - out->ptr);
}

static struct err write_entries(struct writing *w, struct when by)
{
    struct err e = ERR_OK;
    struct entry *next;
    uint64_t after = 0;

    while (!e.code && (next = index_after(&w->s->index, after)) != NULL) {
        after = next->id;
        put_entry(&w->chunk, next);
        w->entries++;
        if (w->chunk.len >= CHUNK_BYTES) {
            put_record(w, RECORD_ENTRIES, STR_EMPTY, buf_str(&w->chunk));
            buf_clear(&w->chunk);
            e = flush_out(w, WRITE_BYTES, by);
        }
    }
    if (!e.code && w->chunk.len > 0) {
        put_record(w, RECORD_ENTRIES, STR_EMPTY, buf_str(&w->chunk));
        buf_clear(&w->chunk);
    }
    return e;
}

/* One record each, all in one turn: the map must not change between two. */
static void write_values(struct writing *w)
{
    struct buf meta BUF_LOCAL = {0};
    struct value *v;
    size_t at = 0;

    while ((v = map_each(&w->s->values, &at)) != NULL) {
        buf_clear(&meta);
        wire_put_value(&meta, v->name, false);
        put_record(w, RECORD_VALUES, buf_str(&meta), v->bytes);
        w->values++;
    }
}

static struct err write_all(struct writing *w, struct when by)
{
    struct buf meta BUF_LOCAL = {0};
    struct store *s = w->s;
    struct err e;

    w->from = s->applied;
    tlv_put_num(&meta, CHECKPOINT_TAG_FORMAT, STORE_FORMAT);
    tlv_put_num(&meta, CHECKPOINT_TAG_GENERATION, w->from.generation);
    tlv_put_num(&meta, CHECKPOINT_TAG_OFFSET, w->from.offset);
    tlv_put_num(&meta, CHECKPOINT_TAG_EPOCH, s->epoch);
    tlv_put_num(&meta, CHECKPOINT_TAG_ID_LIMIT, atomic_load(&s->id_limit));
    tlv_put_num(&meta, CHECKPOINT_TAG_LAST_ID, atomic_load(&s->last_id));
    put_record(w, RECORD_CHECKPOINT, buf_str(&meta), STR_EMPTY);
    write_values(w);
    e = write_entries(w, by);
    if (e.code) {
        return e;
    }
    buf_clear(&meta);
    tlv_put_num(&meta, END_TAG_ENTRIES, w->entries);
    tlv_put_num(&meta, END_TAG_VALUES, w->values);
    put_record(w, RECORD_END, buf_str(&meta), STR_EMPTY);
    e = flush_out(w, 0, by);
    return e.code ? e : disk_sync(w->file, by);
}

struct err checkpoint_write(struct store *s, struct when by)
{
    struct writing w = {.s = s, .number = s->checkpoint_number + 1};
    uint64_t since = s->bytes_since_checkpoint;
    char at[NAME_BYTES], finished[NAME_BYTES];
    struct str name = name_of("writing", w.number, at);
    struct str whole = name_of("checkpoint", w.number, finished);
    struct err e;

    s->checkpoint_number = w.number; /* also when it fails: no number is used twice */
    e = disk_file_open(s->disk, name, DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &w.file, by);
    if (e.code) {
        return e;
    }
    e = write_all(&w, by);
    disk_file_close(w.file);
    buf_done(&w.out);
    buf_done(&w.chunk);
    if (e.code) {
        disk_unlink(s->disk, name, by);
        return e;
    }
    e = disk_rename(s->disk, name, whole, by);
    if (!e.code) {
        e = disk_sync_folder(s->disk, by);
    }
    if (e.code) {
        return e; /* it is whole, whatever its name: it does no harm */
    }
    total_add(s, checkpoints, 1);
    s->covered = w.from.generation;
    s->bytes_since_checkpoint -= since;
    s->last_checkpoint_bytes = w.at;
    event_raise(&ev_store_checkpoint, f_path(whole), f_count((int64_t)w.entries),
                f_size((int64_t)w.at));
    if (s->durable_checkpoint != 0) {
        e = disk_unlink(s->disk, name_of("checkpoint", s->durable_checkpoint, at), by);
        if (!e.code) {
            e = disk_sync_folder(s->disk, by);
        }
    }
    s->durable_checkpoint = w.number;
    return e.code == ERR_NOT_FOUND ? ERR_OK : e;
}

static bool read_entry(struct store *s, struct str *bytes)
{
    const char *at = bytes->ptr;
    uint32_t to_count, runs, segment;
    uint64_t need, id;
    struct entry *e;

    if (bytes->len < ENTRY_BYTES) {
        return false;
    }
    id = get64(at);
    segment = get32(at + 8);
    to_count = get32(at + 24);
    runs = get32(at + 28);
    need = ENTRY_BYTES + (uint64_t)to_count * SLOT_BYTES + (uint64_t)runs * RUN_BYTES;
    if (bytes->len < need || to_count == 0 || id == 0 || index_find(&s->index, id) != NULL) {
        return false;
    }
    e = index_add(&s->index, id, to_count);
    e->segment = segment;
    e->offset = get32(at + 12);
    e->meta_bytes = get32(at + 16);
    e->data_bytes = get32(at + 20);
    segments_ref(&s->segments, segment, (uint32_t)record_bytes(e->meta_bytes, e->data_bytes));
    at += ENTRY_BYTES;
    for (uint32_t i = 0; i < to_count; i++, at += SLOT_BYTES) {
        struct slot *slot = &entry_slots(e)[i];
        uint32_t bits = get32(at + 12);

        *slot = (struct slot){.version = get32(at),
                              .segment = get32(at + 4),
                              .offset = get32(at + 8),
                              .bytes = bits & SLOT_BYTES_MASK,
                              .is_over = (bits >> 31) != 0};
        e->open += !slot->is_over;
        segments_ref(&s->segments, slot->segment, slot->bytes);
    }
    if (runs > 0) {
        e->runs = mem_array((size_t)runs + 1, sizeof *e->runs);
    }
    for (uint32_t i = 0; i < runs; i++, at += RUN_BYTES) {
        e->runs[i] = (struct run){get32(at), get32(at + 4)};
        segments_ref(&s->segments, e->runs[i].segment, e->runs[i].bytes);
    }
    *bytes = str_skip(*bytes, (size_t)need);
    return true;
}

static bool numbers(struct str meta, uint64_t *ret, size_t count)
{
    struct tlv_reader reader = tlv_read(meta);
    struct tlv item;

    while (tlv_next(&reader, &item)) {
        if (item.tag < count && !tlv_num(item.value, &ret[item.tag])) {
            return false;
        }
    }
    return !reader.bad;
}

struct reading {
    uint64_t values, entries;
    bool has_begun, is_whole;
};

static struct err read_begin(struct store *s, struct str meta, struct log_position *from)
{
    uint64_t n[CHECKPOINT_TAG_LAST_ID + 1] = {0};

    if (!numbers(meta, n, COUNT_OF(n)) || n[CHECKPOINT_TAG_GENERATION] > UINT32_MAX ||
        n[CHECKPOINT_TAG_OFFSET] > UINT32_MAX || n[CHECKPOINT_TAG_EPOCH] > UINT32_MAX) {
        return err_of(ERR_CORRUPT);
    }
    if (n[CHECKPOINT_TAG_FORMAT] > STORE_FORMAT) {
        return err_of(ERR_VERSION);
    }
    *from = (struct log_position){(uint32_t)n[CHECKPOINT_TAG_GENERATION],
                                  (uint32_t)n[CHECKPOINT_TAG_OFFSET]};
    s->epoch = (uint32_t)n[CHECKPOINT_TAG_EPOCH];
    atomic_store(&s->id_limit, n[CHECKPOINT_TAG_ID_LIMIT]);
    id_seen(s, n[CHECKPOINT_TAG_LAST_ID]);
    return ERR_OK;
}

static struct err read_record(struct store *s, struct reading *g, const struct record *r,
                              struct str meta, struct str data, struct log_position *from)
{
    uint64_t n[END_TAG_VALUES + 1] = {0};
    struct str name;
    bool remove;

    if (g->is_whole || g->has_begun == (r->kind == RECORD_CHECKPOINT)) {
        return err_of(ERR_CORRUPT);
    }
    switch (r->kind) {
    case RECORD_CHECKPOINT:
        g->has_begun = true;
        return read_begin(s, meta, from);
    case RECORD_VALUES:
        if (!wire_value(meta, &name, &remove)) {
            return err_of(ERR_CORRUPT);
        }
        apply_value(s, name, data, false);
        g->values++;
        return ERR_OK;
    case RECORD_ENTRIES:
        for (; data.len > 0; g->entries++) {
            if (!read_entry(s, &data)) {
                return err_of(ERR_CORRUPT);
            }
        }
        return ERR_OK;
    case RECORD_END:
        g->is_whole = true;
        return numbers(meta, n, COUNT_OF(n)) && n[END_TAG_ENTRIES] == g->entries &&
                       n[END_TAG_VALUES] == g->values
                   ? ERR_OK
                   : err_of(ERR_CORRUPT);
    default:
        return err_of(ERR_VERSION);
    }
}

struct err checkpoint_read(struct store *s, uint64_t number, struct log_position *from,
                           struct when by)
{
    struct reading g = {0};
    struct disk_file *file;
    struct scan scan;
    struct record r;
    struct str meta, data;
    uint64_t size = 0;
    uint32_t damaged;
    char at[NAME_BYTES];
    struct err e;

    e = disk_file_open(s->disk, name_of("checkpoint", number, at), DISK_READ, &file, by);
    if (e.code) {
        return e;
    }
    e = disk_size(file, &size, by);
    if (!e.code && (size == 0 || size >= UINT32_MAX)) {
        e = err_of(ERR_CORRUPT);
    }
    scan_begin(&scan, file, CHECKPOINT_GENERATION(number), 0, (uint32_t)size, (uint32_t)size,
               false);
    while (!e.code) {
        enum scan_found found = scan_next(&scan, &r, &meta, &data, &damaged, &e, by);

        if (found == SCAN_RECORD) {
            e = read_record(s, &g, &r, meta, data, from);
        } else if (found == SCAN_END) {
            break;
        } else if (!e.code) {
            e = err_of(ERR_CORRUPT);
        }
    }
    scan_done(&scan);
    if (!e.code && !g.is_whole) {
        e = err_of(ERR_CORRUPT);
    }
    disk_file_close(file);
    s->last_checkpoint_bytes = size;
    return e;
}
