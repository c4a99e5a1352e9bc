#include "base/check.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/events.h"
#include "store/log.h"

#include <inttypes.h>
#include <stdio.h>

/*
 * Segment files: made, begun, closed, used again. "log-GENERATION" holds records of that
 * generation; "spare-NUMBER" holds nothing. Files change between the two by rename only, so that
 * their blocks stay allocated and written: overwriting those costs the least.
 */

struct str name_of(const char *kind, uint64_t number, char at[NAME_BYTES])
{
    int len = snprintf(at, NAME_BYTES, "%s-%016" PRIx64, kind, number);

    must(len > 0 && len < NAME_BYTES);
    return str_make(at, (size_t)len);
}

bool name_parse(struct str name, const char *kind, uint64_t *number)
{
    struct str head = str_of(kind);

    return name.len == head.len + 17 && str_starts(name, head) && name.ptr[head.len] == '-' &&
           str_hex_to_u64(str_skip(name, head.len + 1), number);
}

static void say_disk(const char *what, struct err e)
{
    char text[128];

    event_raise(&ev_store_disk_failed, f_name(str_of(what)), f_text(err_say(e, text, sizeof text)));
}

struct err segment_file(struct store *s, struct segment *g, struct when by)
{
    char at[NAME_BYTES];
    struct disk_file *file;
    struct err e;

    if (g->file != NULL) {
        return ERR_OK;
    }
    g->readers++; /* it must not be recycled meanwhile */
    e = disk_file_open(s->disk, name_of("log", g->generation, at), DISK_READ, &file, by);
    g->readers--;
    if (e.code) {
        return e;
    }
    if (g->file == NULL) {
        g->file = file;
    } else {
        disk_file_close(file); /* another fiber was faster */
    }
    return ERR_OK;
}

void spare_add(struct store *s, uint64_t number, struct disk_file *file)
{
    if (s->spare_count == s->spare_size) {
        s->spare_size = s->spare_size ? s->spare_size * 2 : 16;
        s->spares = mem_grow(s->spares, s->spare_size, sizeof *s->spares);
    }
    s->spares[s->spare_count++] = (struct spare){number, file};
}

struct err spare_make(struct store *s, struct when by)
{
    char at[NAME_BYTES];
    struct str name = name_of("spare", s->next_spare, at);
    uint64_t number = s->next_spare++;
    struct disk_file *file;
    uint64_t bytes = 0;
    struct err e = disk_free_bytes(s->disk, &bytes, by);

    if (!e.code && (bytes < s->options.segment_bytes || s->room_is_kept)) {
        e = err_of(ERR_FULL); /* a file that cannot be filled need not be made */
    }
    if (e.code) {
        return e;
    }
    e = disk_file_open(s->disk, name, DISK_READ | DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &file,
                       by);
    if (e.code) {
        return e;
    }
    e = disk_allocate(file, s->options.segment_bytes, by);
    if (e.code) {
        struct err again;

        disk_file_close(file);
        again = disk_unlink(s->disk, name, by);
        if (again.code) {
            say_disk("unlink", again);
        }
        return e;
    }
    spare_add(s, number, file);
    return ERR_OK;
}

static struct err spare_take(struct store *s, enum segment_use use, struct spare *ret,
                             struct when by)
{
    uint32_t reserved = is_broken(s, BROKEN_NO_RESERVE) ? 0 : (uint32_t)use;

    while (s->spare_count <= reserved) {
        struct err e = spare_make(s, by);

        if (e.code) {
            return e;
        }
    }
    *ret = s->spares[--s->spare_count];
    s->wants_checkpoint = s->wants_checkpoint || s->spare_count < RESERVED_SEGMENTS;
    return ERR_OK;
}

void spare_give_up(struct store *s, struct when by)
{
    struct spare spare = s->spares[--s->spare_count];
    char at[NAME_BYTES];
    struct err e;

    if (spare.file != NULL) {
        disk_file_close(spare.file);
    }
    e = disk_unlink(s->disk, name_of("spare", spare.number, at), by);
    if (!e.code) {
        e = disk_sync_folder(s->disk, by); /* some file systems give the room back only then */
    }
    if (e.code) {
        say_disk("unlink", e);
    }
}

struct err segment_activate(struct store *s, enum segment_use use, struct when by)
{
    char from[NAME_BYTES], to[NAME_BYTES];
    struct spare spare;
    struct segment *g;
    struct err e;

    must(s->active == NULL);
    e = spare_take(s, use, &spare, by);
    if (e.code) {
        return e;
    }
    if (spare.file == NULL) {
        e = disk_file_open(s->disk, name_of("spare", spare.number, from), DISK_READ | DISK_WRITE,
                           &spare.file, by);
    }
    if (!e.code) {
        e = disk_rename(s->disk, name_of("spare", spare.number, from),
                        name_of("log", s->next_generation, to), by);
    }
    if (e.code) {
        if (spare.file != NULL) {
            disk_file_close(spare.file);
        }
        return e; /* the file is left behind; recovery finds it again */
    }
    if (!is_broken(s, BROKEN_NO_DIR_SYNC)) {
        /* Invariant 8: the name is durable before the first record in the file is acknowledged. */
        e = disk_sync_folder(s->disk, by);
    }
    g = segments_add(&s->segments, s->next_generation++);
    g->file = spare.file;
    g->confirmed = SEGMENT_START;
    if (e.code) {
        /* Never used: the name may or may not be there. A number is never given twice. */
        g->has_failed = true;
        g->is_sealed = true;
        return e;
    }
    s->active = g;
    return ERR_OK;
}

void segment_seal(struct store *s, struct when by)
{
    struct segment *g = s->active;

    if (g == NULL) {
        return;
    }
    if (g->is_dirty && !g->has_failed) {
        struct err e = disk_sync(g->file, by);

        total_add(s, flushes, 1);
        if (e.code) {
            char text[128];

            g->has_failed = true;
            total_add(s, failed_flushes, 1);
            event_raise(&ev_store_flush_failed, f_count(g->generation),
                        f_text(err_say(e, text, sizeof text)));
        } else {
            g->confirmed = g->written;
        }
    }
    g->is_dirty = false;
    g->is_sealed = true;
    if (g->is_begun) {
        s->last_sealed = g->generation;
        s->last_sealed_end = g->confirmed;
    }
    s->active = NULL;
    signal_raise(&s->keeper_work);
}

void segment_recycle(struct store *s, struct segment *g, struct when by)
{
    char from[NAME_BYTES], to[NAME_BYTES];
    struct str name = name_of("log", g->generation, from);
    struct disk_file *file = g->file;
    bool keep = !g->has_failed && !g->may_be_short && s->spare_count < SPARE_KEPT;
    uint32_t generation = g->generation;
    struct err e;

    /* Out of the book first: nobody may find it while the disk is asked. */
    segments_remove(&s->segments, g);
    if (file != NULL) {
        disk_file_close(file);
    }
    if (keep) {
        uint64_t number = s->next_spare++; /* taken before we wait: another may be made meanwhile */

        e = disk_rename(s->disk, name, name_of("spare", number, to), by);
        if (!e.code) {
            spare_add(s, number, NULL);
        }
    } else {
        e = disk_unlink(s->disk, name, by);
    }
    if (e.code) {
        say_disk("recycle", e); /* recovery finds it, and that it is dead */
    }
    event_raise(&ev_store_recycled, f_count(generation), f_path(name));
}

bool segments_trim(struct store *s, struct when by)
{
    bool any = false;

    for (uint32_t i = 0; i < s->segments.count; i++) {
        struct segment *g = s->segments.list[i];
        uint64_t end = ((uint64_t)g->confirmed + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
        struct disk_file *file;
        char at[NAME_BYTES];
        struct err e;

        if (!g->is_sealed || !g->is_begun || end + BLOCK_BYTES > s->options.segment_bytes) {
            continue;
        }
        e = disk_file_open(s->disk, name_of("log", g->generation, at), DISK_READ | DISK_WRITE,
                           &file, by);
        if (!e.code) {
            g->may_be_short = true;
            e = disk_truncate(file, end, by);
            disk_file_close(file);
        }
        if (e.code) {
            say_disk("trim", e);
        }
        any = any || e.code == OK;
    }
    return any;
}

static enum store_room room_now(const struct store *s, uint64_t available)
{
    uint32_t reserved = is_broken(s, BROKEN_NO_RESERVE) ? 0 : RESERVED_SEGMENTS;

    if (s->has_stopped) {
        return STORE_STOPPED;
    }
    if (s->spare_count < FOR_MAIL &&
        (s->active == NULL ||
         s->active->written + s->options.segment_bytes / 4 > s->options.segment_bytes)) {
        return STORE_STOPPED;
    }
    return available <= s->options.min_free_bytes || s->spare_count < reserved ? STORE_LOW
                                                                               : STORE_ROOM;
}

void room_recheck(struct store *s)
{
    static const struct event_kind *const said[] = {[STORE_ROOM] = &ev_store_room,
                                                    [STORE_LOW] = &ev_store_low,
                                                    [STORE_STOPPED] = &ev_store_full};
    uint64_t available = s->disk_free;
    enum store_room before = atomic_load_explicit(&s->room, memory_order_relaxed);
    enum store_room now;

    if (s->spare_count > RESERVED_SEGMENTS) {
        available += (s->spare_count - RESERVED_SEGMENTS) * s->options.segment_bytes;
    }
    if (s->active != NULL) {
        available += s->options.segment_bytes - s->active->written;
    }
    atomic_store_explicit(&s->available, available, memory_order_relaxed);
    now = room_now(s, available);
    atomic_store_explicit(&s->room, now, memory_order_release);
    if (now != before && (s->is_open || now != STORE_ROOM)) {
        event_raise(said[now], f_size((int64_t)available));
    }
}

void room_update(struct store *s, struct when by)
{
    struct err e = disk_free_bytes(s->disk, &s->disk_free, by);

    if (e.code) {
        say_disk("free bytes", e);
    } else {
        room_recheck(s);
    }
}
