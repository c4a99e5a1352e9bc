#include "base/check.h"
#include "base/crc.h"
#include "base/mem.h"
#include "runtime/log.h"
#include "store/events.h"
#include "store/log.h"

#include <inttypes.h>

/*
 * Reading what is live. The log goes on changing meanwhile: a message may be forgotten or moved
 * while we wait for the disk. So places are looked up, read, and looked up again when nothing
 * was there; a segment is not recycled while it is being read.
 */

enum { READ_LEAST = 4096, STALE_TRIES = 100 };

void say_damaged(struct store *s, uint64_t id, uint32_t generation, uint32_t offset,
                 const char *what)
{
    char name[NAME_BYTES];

    if (is_broken(s, BROKEN_SILENT_DAMAGE)) {
        return;
    }
    total_add(s, damaged, 1);
    if (s->told != NULL) {
        struct buf line BUF_LOCAL = {0};

        buf_printf(&line, "%.*s/%.*s:%u: %s is damaged", STR_ARG(disk_path(s->disk)),
                   STR_ARG(name_of("log", generation, name)), offset, what);
        if (id != 0) {
            buf_printf(&line, " (message %016" PRIx64 ")", id);
        }
        s->told->line(s->told->ctx, buf_str(&line));
        return;
    }
    event_raise(&ev_store_damaged, f_message(id), f_path(name_of("log", generation, name)),
                f_offset(offset), f_text(str_of(what)));
}

/* At least `need` bytes from `offset` on in the window, or what the segment has. */
static struct err window_fill(struct store *s, struct window *w, struct segment *g, uint32_t offset,
                              uint64_t need, struct when by)
{
    uint64_t most = SEGMENT_BYTES_MAX - offset;
    uint64_t least = w->least > READ_LEAST ? w->least : READ_LEAST;
    size_t got = 0;
    struct err e;

    need = need > most ? most : need;
    if (w->generation == g->generation && offset >= w->from &&
        offset + need <= (uint64_t)w->from + w->bytes.len) {
        return ERR_OK;
    }
    need = need < least ? least : need;
    need = need > most ? most : need;
    g->readers++;
    e = segment_file(s, g, by);
    if (!e.code) {
        buf_clear(&w->bytes);
        w->generation = 0;
        e = disk_read(g->file, offset, buf_room(&w->bytes, (size_t)need), (size_t)need, &got, by);
    }
    g->readers--;
    if (e.code == ERR_NOT_FOUND) {
        e = err_of(ERR_CORRUPT); /* the file is missing */
    }
    if (!e.code) {
        w->bytes.len = got;
        w->generation = g->generation;
        w->from = offset;
        w->reads++;
    }
    return e;
}

void windows_done(struct windows *w)
{
    buf_done(&w->messages.bytes);
    buf_done(&w->states.bytes);
}

static struct str window_at(const struct window *w, uint32_t offset)
{
    return str_skip(buf_str(&w->bytes), offset - w->from);
}

static struct err read_in_window(struct store *s, struct window *w, uint32_t generation,
                                 uint32_t offset, uint32_t ahead, bool with_data,
                                 struct record *ret, struct str *meta, struct str *data,
                                 struct when by)
{
    struct segment *g = segments_find(&s->segments, generation);
    enum record_found found = RECORD_MORE;
    uint64_t need = ahead, whole;
    struct str bytes;
    struct err e;

    if (g == NULL) {
        return err_of(ERR_STALE);
    }
    if (offset >= SEGMENT_BYTES_MAX) {
        return err_of(ERR_CORRUPT);
    }
    for (int round = 0; round < 3 && found == RECORD_MORE; round++) {
        e = window_fill(s, w, g, offset, need, by);
        g = segments_find(&s->segments, generation);
        if (e.code || g == NULL) {
            return g == NULL ? err_of(ERR_STALE) : e;
        }
        found = record_decode(window_at(w, offset), generation, offset, ret, meta, &need);
    }
    if (found != RECORD_FOUND) {
        return err_of(ERR_CORRUPT);
    }
    if (!with_data) {
        return ERR_OK;
    }
    whole = (uint64_t)RECORD_HEAD_BYTES + ret->meta_bytes + ret->data_bytes;
    e = window_fill(s, w, g, offset, whole, by);
    if (e.code) {
        return e;
    }
    bytes = window_at(w, offset);
    if (bytes.len < whole) {
        return err_of(ERR_CORRUPT);
    }
    *meta = str_make(bytes.ptr + RECORD_HEAD_BYTES, ret->meta_bytes);
    *data = str_make(meta->ptr + meta->len, ret->data_bytes);
    return crc32c(0, *data) == ret->data_crc ? ERR_OK : err_of(ERR_CORRUPT);
}

struct err record_read(struct store *s, struct window *w, uint32_t generation, uint32_t offset,
                       uint32_t ahead, bool with_data, struct record *ret, struct str *meta,
                       struct str *data, struct when by)
{
    uint32_t reads = w->reads;
    struct err e = read_in_window(s, w, generation, offset, ahead, with_data, ret, meta, data, by);

    if (e.code == ERR_CORRUPT && w->reads == reads) {
        /* The window may reach beyond what was written when it was read: the record is newer. */
        w->generation = 0;
        e = read_in_window(s, w, generation, offset, ahead, with_data, ret, meta, data, by);
    }
    return e;
}

/* The states that lie in one states record, into the recipients they belong to. */
static struct err read_states(struct store *s, struct window *w, const struct slot *slots,
                              uint32_t first, struct arena *a, struct message *m, struct when by)
{
    struct record r;
    struct str meta, raw;
    struct wire_states states;
    uint32_t index;
    struct err e = record_read(s, w, slots[first].segment, slots[first].offset, 0, false, &r, &meta,
                               NULL, by);

    if (e.code) {
        return e;
    }
    e = r.kind == RECORD_STATES ? wire_states(arena_dup(a, meta), &states) : err_of(ERR_CORRUPT);
    if (!e.code && states.id != m->id) {
        e = err_of(ERR_CORRUPT);
    }
    while (!e.code) {
        e = wire_states_next(&states, &index, &raw);
        if (e.code == OK && index < m->to_count && slots[index].segment == slots[first].segment &&
            slots[index].offset == slots[first].offset) {
            e = wire_state(raw, &m->to[index].state);
        }
    }
    return e.code == ERR_NOT_FOUND ? ERR_OK : e;
}

/* Nothing has moved since both were copied. */
static bool is_still_there(struct store *s, const struct entry *at, const struct slot *slots)
{
    const struct entry *now = index_find(&s->index, at->id);

    return now != NULL && now->segment == at->segment && now->offset == at->offset &&
           memcmp(slots, at->to_count == 1 ? &now->one : now->many, at->to_count * sizeof *slots) ==
               0;
}

/* Whoever reads it next, and recovery, should not have to look in so many places: the keeper brings
 * them together. */
static void note_scattered(struct store *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->scattered_count; i++) {
        if (s->scattered[i] == id) {
            return;
        }
    }
    if (s->scattered_count < SCATTERED_MAX && s->is_open) {
        s->scattered[s->scattered_count++] = id;
        signal_raise(&s->keeper_work);
    }
}

static struct err all_states(struct store *s, struct window *w, const struct slot *slots,
                             struct arena *a, struct message *m, struct when by)
{
    struct err e = ERR_OK;
    uint32_t places = 0;

    for (uint32_t i = 0; !e.code && i < m->to_count; i++) {
        bool is_known = slots[i].segment == 0;

        /* A record with several states was read when its first was met. */
        is_known = is_known || (i > 0 && slots[i].segment == slots[i - 1].segment &&
                                slots[i].offset == slots[i - 1].offset);
        if (!is_known) {
            places++;
            e = read_states(s, w, slots, i, a, m, by);
        }
        if (!e.code && m->to[i].state.version != slots[i].version) {
            e = err_of(ERR_CORRUPT);
        }
    }
    if (places > PLACES_MAX) {
        note_scattered(s, m->id);
    }
    return e;
}

static struct err read_once(struct store *s, const struct entry *at, const struct slot *slots,
                            struct windows *w, struct arena *a, struct buf *head,
                            struct message *ret, struct piece **pieces, uint32_t *piece_count,
                            struct when by)
{
    struct record r;
    struct str meta, data;
    uint32_t ahead = RECORD_HEAD_BYTES + at->meta_bytes + (head ? at->data_bytes : 0);
    struct err e = record_read(s, &w->messages, at->segment, at->offset, ahead, head != NULL, &r,
                               &meta, &data, by);

    if (e.code) {
        return e;
    }
    if (r.kind != RECORD_MESSAGE) {
        return err_of(ERR_CORRUPT);
    }
    if (head != NULL) {
        buf_clear(head);
        buf_put(head, data);
    }
    e = wire_message(arena_dup(a, meta), a, ret, pieces, piece_count);
    if (!e.code && (ret->id != at->id || ret->to_count != at->to_count)) {
        e = err_of(ERR_CORRUPT);
    }
    return e.code ? e : all_states(s, &w->states, slots, a, ret, by);
}

struct err message_read(struct store *s, uint64_t id, struct windows *w, struct arena *a,
                        struct buf *head, struct message *ret, struct piece **pieces,
                        uint32_t *piece_count, struct when by)
{
    struct err e = err_of(ERR_STALE);

    for (int tries = 0; e.code == ERR_STALE && tries < STALE_TRIES; tries++) {
        const struct entry *found = index_find(&s->index, id);
        struct entry at;
        struct slot *slots;

        if (found == NULL) {
            return err_of(ERR_NOT_FOUND);
        }
        at = *found; /* both copied: the index may change while we wait */
        slots = arena_array(a, at.to_count, sizeof *slots);
        memcpy(slots, at.to_count == 1 ? &found->one : found->many, at.to_count * sizeof *slots);
        e = read_once(s, &at, slots, w, a, head, ret, pieces, piece_count, by);
        if (e.code == ERR_STALE && is_still_there(s, &at, slots)) {
            e = err_of(ERR_CORRUPT); /* its segment is gone for good */
        }
        if (e.code == ERR_CORRUPT && index_find(&s->index, id) != NULL) {
            say_damaged(s, id, at.segment, at.offset, "a message");
        }
    }
    return e;
}

struct fetching {
    uint64_t id;
    struct parcel *parcel;
};

static struct err fetch(struct store *s, void *arg, struct when by)
{
    struct fetching *f = arg;
    struct windows w = {0};
    struct parcel *p = parcel_new();
    struct piece *pieces;
    struct err e = message_read(s, f->id, &w, &p->arena, &p->head, &p->message, &pieces,
                                &p->piece_count, by);

    windows_done(&w);
    if (e.code) {
        parcel_drop(p);
        return e;
    }
    p->pieces = pieces;
    parcel_settle(p);
    f->parcel = p;
    return ERR_OK;
}

struct err store_fetch(struct store *s, uint64_t id, struct parcel **ret, struct when by)
{
    struct fetching f = {.id = id};
    struct err e = request_wait(s, "message from the log", fetch, &f, by);

    if (!e.code) {
        *ret = f.parcel;
    }
    return e;
}

struct content {
    const struct parcel *parcel;
    uint64_t offset; /* from the end of the head */
    struct buf *into;
    struct str ret;
};

static struct err read_piece(struct store *s, const struct piece *pieces, uint32_t count,
                             struct content *c, struct when by)
{
    struct window w = {.bytes = *c->into};
    uint64_t offset = c->offset;
    struct record r;
    struct str meta, data;
    struct err e;

    while (count > 0 && offset >= pieces->bytes) {
        offset -= pieces->bytes;
        pieces++;
        count--;
    }
    if (count == 0) {
        return err_of(ERR_CORRUPT);
    }
    e = record_read(s, &w, pieces->generation, pieces->offset, RECORD_HEAD_BYTES + pieces->bytes,
                    true, &r, &meta, &data, by);
    *c->into = w.bytes;
    if (!e.code && (r.kind != RECORD_PIECE || data.len != pieces->bytes)) {
        e = err_of(ERR_CORRUPT);
    }
    if (!e.code) {
        c->ret = str_skip(data, (size_t)offset);
    }
    return e;
}

struct body_run {
    const struct store_body *body;
    struct content content;
};

static struct err body_run(struct store *s, void *arg, struct when by)
{
    struct body_run *r = arg;

    return read_piece(s, r->body->pieces, r->body->piece_count, &r->content, by);
}

struct err store_body_read(struct store_body *b, uint64_t offset, struct buf *into, struct str *ret,
                           struct when by)
{
    struct body_run r = {.body = b, .content = {.offset = offset, .into = into}};
    uint64_t written = b->bytes - b->rest.len;
    struct err e;

    must(offset < b->bytes && !b->is_on_its_way);
    if (offset >= written) {
        *ret = str_skip(buf_str(&b->rest), (size_t)(offset - written));
        return ERR_OK;
    }
    buf_clear(into);
    /* Its segments are pinned, and it waits for us: nothing moves meanwhile. */
    e = request_wait(b->store, "body from the log", body_run, &r, by);
    if (!e.code) {
        *ret = r.content.ret;
    }
    return e;
}

static struct err content(struct store *s, void *arg, struct when by)
{
    struct content *c = arg;
    const struct message *m = &c->parcel->message;
    struct err e = err_of(ERR_STALE);

    if (c->parcel->piece_count > 0) {
        e = read_piece(s, c->parcel->pieces, c->parcel->piece_count, c, by);
    }
    for (int tries = 0; e.code == ERR_STALE && tries < STALE_TRIES; tries++) {
        struct arena a ARENA_LOCAL = {0};
        struct windows w = {0};
        struct message now;
        struct piece *pieces;
        uint32_t count;

        /* The pieces were moved since this parcel was made. */
        e = message_read(s, m->id, &w, &a, NULL, &now, &pieces, &count, by);
        windows_done(&w);
        if (!e.code) {
            e = read_piece(s, pieces, count, c, by);
        }
    }
    if (e.code == ERR_CORRUPT) {
        say_damaged(s, m->id, 0, (uint32_t)c->offset, "a piece of its content");
    }
    return e;
}

struct err store_content(struct store *s, const struct parcel *p, uint64_t offset, struct buf *into,
                         struct str *ret, struct when by)
{
    struct content c = {.parcel = p, .into = into};
    struct err e;

    must(offset < p->message.size);
    if (offset < p->head.len) {
        *ret = str_skip(buf_str(&p->head), (size_t)offset);
        return ERR_OK;
    }
    c.offset = offset - p->head.len;
    e = request_wait(s, "content from the log", content, &c, by);
    if (!e.code) {
        *ret = c.ret;
    }
    return e;
}

struct value_wanted {
    struct str name;
    struct arena *a;
    struct str ret;
};

static struct err value_wanted(struct store *s, void *arg, struct when by)
{
    struct value_wanted *v = arg;
    const struct value *found = map_get(&s->values, v->name);

    (void)by;
    if (found == NULL) {
        return err_of(ERR_NOT_FOUND);
    }
    v->ret = arena_dup(v->a, found->bytes);
    return ERR_OK;
}

struct err store_value_read(struct store *s, struct str name, struct arena *a, struct str *ret,
                            struct when by)
{
    struct value_wanted v = {.name = name, .a = a};
    struct err e = request_wait(s, "value from the store", value_wanted, &v, by);

    if (!e.code) {
        *ret = v.ret;
    }
    return e;
}
