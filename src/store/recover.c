#include "store/recover.h"

#include "base/check.h"
#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/events.h"

#include <inttypes.h>
#include <stdlib.h>

/*
 * Recovery: the newest whole checkpoint, then every segment from its place on.
 *
 * Which segments are of the log is said by their heads, backwards: each names the one before it and
 * where that ends. A segment nobody names was begun and failed before anything in it was
 * acknowledged (invariant 6), or was only prepared; it is passed over and used again.
 */

struct found_segment {
    uint32_t generation;
    struct disk_file *file;
    uint64_t size;
    struct segment_head head;
    bool is_begun; /* its head is whole */
    bool is_of_log;
    uint32_t end;
};

struct finding {
    struct arena a;
    struct found_segment *segments; /* by generation, rising */
    uint32_t segment_count;
    uint64_t *checkpoints; /* rising */
    uint32_t checkpoint_count;
    uint64_t *spares;
    uint32_t spare_count;
};

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static int by_generation(const void *a, const void *b)
{
    const struct found_segment *x = a, *y = b;

    return (x->generation > y->generation) - (x->generation < y->generation);
}

static struct err list_files(struct store *s, struct finding *f, struct when by)
{
    struct str *names;
    size_t count;
    struct err e = disk_list(s->disk, &f->a, &names, &count, by);

    if (e.code) {
        return e;
    }
    f->segments = arena_array(&f->a, count, sizeof *f->segments);
    f->checkpoints = arena_array(&f->a, count, sizeof *f->checkpoints);
    f->spares = arena_array(&f->a, count, sizeof *f->spares);
    for (size_t i = 0; i < count; i++) {
        uint64_t number;

        if (name_parse(names[i], "log", &number) && number > 0 && number < UINT32_MAX) {
            f->segments[f->segment_count++].generation = (uint32_t)number;
        } else if (name_parse(names[i], "checkpoint", &number)) {
            f->checkpoints[f->checkpoint_count++] = number;
        } else if (name_parse(names[i], "spare", &number)) {
            f->spares[f->spare_count++] = number;
        } else if (name_parse(names[i], "writing", &number) && !s->only_reads) {
            s->checkpoint_number = number > s->checkpoint_number ? number : s->checkpoint_number;
            e = disk_unlink(s->disk, names[i], by);
            if (e.code) {
                return e;
            }
        }
    }
    qsort(f->segments, f->segment_count, sizeof *f->segments, by_generation);
    qsort(f->checkpoints, f->checkpoint_count, sizeof *f->checkpoints, by_number);
    qsort(f->spares, f->spare_count, sizeof *f->spares, by_number);
    return ERR_OK;
}

static struct err add_spares(struct store *s, struct finding *f, struct when by)
{
    struct err e = ERR_OK;

    for (uint32_t i = 0; !e.code && i < f->spare_count && !s->only_reads; i++) {
        char at[NAME_BYTES];
        struct str name = name_of("spare", f->spares[i], at);
        struct disk_file *file;

        s->next_spare = f->spares[i] + 1;
        e = disk_file_open(s->disk, name, DISK_READ | DISK_WRITE, &file, by);
        if (e.code) {
            return e;
        }
        /* It may be shorter than segments are now, or its making was cut short. */
        if (s->spare_count < SPARE_KEPT &&
            disk_allocate(file, s->options.segment_bytes, by).code == OK) {
            spare_add(s, f->spares[i], file);
        } else {
            disk_file_close(file);
            e = disk_unlink(s->disk, name, by);
        }
    }
    return e;
}

/* Forgets what a checkpoint that is not whole has put in. */
static void empty_again(struct store *s)
{
    struct value *v;
    size_t at = 0;

    index_done(&s->index);
    while ((v = map_each(&s->values, &at)) != NULL) {
        mem_free(v);
    }
    map_done(&s->values);
    for (uint32_t i = 0; i < s->segments.count; i++) {
        s->segments.list[i]->refs = 0;
        s->segments.list[i]->live_bytes = 0;
    }
}

/* The newest whole one. One that a crash cut short is followed by no other and is passed over; the
 * log still reaches back to the one before it. */
static struct err read_checkpoints(struct store *s, struct finding *f, struct log_position *from,
                                   struct buf *why, struct when by)
{
    *from = (struct log_position){0, SEGMENT_START};
    for (uint32_t i = f->checkpoint_count; i-- > 0;) {
        char at[NAME_BYTES];
        struct str name = name_of("checkpoint", f->checkpoints[i], at);
        struct err e;

        if (f->checkpoints[i] > s->checkpoint_number) {
            s->checkpoint_number = f->checkpoints[i];
        }
        if (s->durable_checkpoint != 0 && s->only_reads) {
            break;
        }
        if (s->durable_checkpoint != 0) {
            e = disk_unlink(s->disk, name, by); /* the one before */
        } else {
            e = checkpoint_read(s, f->checkpoints[i], from, by);
        }
        if (e.code == ERR_CORRUPT) {
            empty_again(s);
            *from = (struct log_position){0, SEGMENT_START};
            event_raise(&ev_store_damaged, f_path(name),
                        f_text(STR("a checkpoint is not whole: it was being written, or is "
                                   "damaged")));
            e = s->only_reads ? ERR_OK : disk_unlink(s->disk, name, by);
        } else if (e.code == OK && s->durable_checkpoint == 0) {
            s->durable_checkpoint = f->checkpoints[i];
            s->covered = from->generation;
            e = s->only_reads ? ERR_OK : disk_sync_folder(s->disk, by);
        }
        if (e.code == ERR_VERSION) {
            buf_printf(why, "%.*s/%.*s was written by a newer version of Postyard",
                       STR_ARG(disk_path(s->disk)), STR_ARG(name));
        }
        if (e.code) {
            return e;
        }
    }
    return ERR_OK;
}

static struct err read_head(struct store *s, struct found_segment *g, struct buf *why,
                            struct when by)
{
    char *block = mem_alloc_raw(BLOCK_BYTES);
    char at[NAME_BYTES];
    struct str name = name_of("log", g->generation, at);
    size_t got = 0;
    struct err e = disk_file_open(s->disk, name, s->only_reads ? DISK_READ : DISK_READ | DISK_WRITE,
                                  &g->file, by);

    if (!e.code) {
        e = disk_size(g->file, &g->size, by);
    }
    if (!e.code) {
        e = disk_read(g->file, 0, block, BLOCK_BYTES, &got, by);
    }
    if (!e.code) {
        switch (segment_head_decode(str_make(block, got), g->generation, &g->head)) {
        case SEGMENT_NOT_BEGUN:
            break;
        case SEGMENT_NEWER:
            buf_printf(why, "%.*s/%.*s was written by a newer version of Postyard",
                       STR_ARG(disk_path(s->disk)), STR_ARG(name));
            e = err_of(ERR_VERSION);
            break;
        case SEGMENT_FOUND:
            g->is_begun = true;
            break;
        }
    }
    g->size = g->size < SEGMENT_BYTES_MAX ? g->size : SEGMENT_BYTES_MAX;
    mem_free(block);
    return e;
}

static void say_missing(struct store *s, uint64_t generation, const char *what)
{
    say_damaged(s, 0, (uint32_t)generation, 0, what);
}

/* Backwards from the newest: who is of the log, and where each ends. */
static void follow_heads(struct store *s, struct finding *f, uint32_t covered)
{
    uint64_t wanted = 0; /* the one that the head behind it named; 0: any */
    uint32_t end = 0;
    bool is_first = true;

    for (uint32_t i = f->segment_count; i-- > 0;) {
        struct found_segment *g = &f->segments[i];

        if (g->generation < covered || (is_first && !g->is_begun)) {
            continue;
        }
        if (wanted != 0 && g->generation > wanted) {
            continue; /* nobody names it */
        }
        if (wanted != 0 && g->generation < wanted) {
            say_missing(s, wanted, "a segment is missing");
            end = 0;
            wanted = 0;
        }
        if (wanted == 0 && !g->is_begun) {
            continue;
        }
        g->is_of_log = true;
        g->end = end;
        is_first = false;
        if (g->is_begun) {
            wanted = g->head.previous;
            end = (uint32_t)g->head.previous_end;
        } else {
            say_missing(s, g->generation, "the head of a segment");
            wanted = 0;
            end = 0;
        }
        if (wanted == 0 && g->is_begun) {
            break; /* the first of all */
        }
    }
    if (wanted != 0 && wanted >= covered && wanted >= 1 && covered != 0) {
        say_missing(s, wanted, "a segment is missing");
    }
}

/* What we read at the end of the log may be in the system's memory only: from before the process
 * was killed, or, worse, from before a flush that failed, after which a flush reports success and
 * flushes nothing. It must be durable before anything refers to it, so the same bytes are written
 * once more: to a disk that has them this changes nothing. */
static struct err write_again(struct disk_file *file, uint32_t from, uint32_t end, struct when by)
{
    struct iovec iov = {.iov_len = end > from ? end - from : 0};
    size_t got = 0;
    struct err e;

    if (iov.iov_len == 0) {
        return ERR_OK;
    }
    iov.iov_base = mem_alloc_raw(iov.iov_len);
    e = disk_read(file, from, iov.iov_base, iov.iov_len, &got, by);
    if (!e.code && got < iov.iov_len) {
        e = err_of(ERR_DISK);
    }
    if (!e.code) {
        e = disk_write_sync(file, from, &iov, 1, by);
    }
    mem_free(iov.iov_base);
    return e;
}

static struct err replay_found(struct replay *p, struct finding *f, const struct log_position *from,
                               struct when by)
{
    struct store *s = p->s;
    struct err e = ERR_OK;

    for (uint32_t i = 0; !e.code && i < f->segment_count; i++) {
        struct found_segment *g = &f->segments[i];
        struct segment *book = segments_find(&s->segments, g->generation);
        uint32_t start = g->generation == from->generation ? from->offset : SEGMENT_START;
        uint32_t proven;
        bool is_last;

        if (!g->is_of_log) {
            continue;
        }
        if (g->is_begun && g->head.id_limit > atomic_load(&s->id_limit)) {
            atomic_store(&s->id_limit, g->head.id_limit);
        }
        if (g->is_begun && g->head.epoch > s->epoch) {
            s->epoch = (uint32_t)g->head.epoch;
        }
        is_last = g->end == 0;
        e = replay_segment(p, g->file, g->generation, start, &g->end, (uint32_t)g->size, &proven,
                           by);
        if (!e.code && is_last && !s->only_reads) {
            /* With nothing to prove the first batch, its segment's head is in doubt as well. */
            e = write_again(g->file, proven > SEGMENT_START ? proven : 0, g->end, by);
        }
        book->confirmed = g->end;
        book->written = g->end;
        book->is_begun = true;
        book->may_be_short = g->size < s->options.segment_bytes;
        s->last_sealed = g->generation;
        s->last_sealed_end = g->end;
    }
    return e;
}

/* Names the live messages whose places are gone or damaged. */
static void name_damaged(struct store *s, const struct replay *p)
{
    uint64_t after = 0;
    struct entry *e;

    while ((e = index_after(&s->index, after)) != NULL) {
        after = e->id;
        if (segments_find(&s->segments, e->segment) == NULL) {
            say_damaged(s, e->id, e->segment, e->offset, "the segment of a message is missing");
        }
        for (struct run *r = e->runs; r != NULL && r->segment != 0; r++) {
            bool is_lost = segments_find(&s->segments, r->segment) == NULL;

            for (uint32_t i = 0; !is_lost && i < p->lost_count; i++) {
                is_lost = p->lost[i].generation == r->segment;
            }
            if (is_lost) {
                say_damaged(s, e->id, r->segment, 0, "perhaps a piece of a message");
            }
        }
    }
}

static void say_recovered(struct store *s, const struct replay *p, struct when begun)
{
    if (p->records > 0) {
        event_raise(&ev_store_recovered, f_count((int64_t)s->index.count),
                    f_size((int64_t)p->bytes), f_duration((clock_read().ns - begun.ns) / 1000));
    }
}

struct err store_recover(struct store *s, struct buf *why, struct when by)
{
    struct finding f = {0};
    struct replay p = {.s = s};
    struct log_position from;
    struct when begun = clock_read();
    struct err e = list_files(s, &f, by);

    if (!e.code) {
        e = add_spares(s, &f, by);
    }
    for (uint32_t i = 0; !e.code && i < f.segment_count; i++) {
        struct segment *g = segments_add(&s->segments, f.segments[i].generation);

        g->is_sealed = true;
        g->may_be_short = true; /* until its file has been looked at */
        g->confirmed = SEGMENT_START;
        s->next_generation = g->generation + 1;
    }
    if (!e.code) {
        e = read_checkpoints(s, &f, &from, why, by);
    }
    for (uint32_t i = 0; !e.code && i < f.segment_count; i++) {
        if (f.segments[i].generation >= s->covered) {
            e = read_head(s, &f.segments[i], why, by);
        }
    }
    if (!e.code) {
        follow_heads(s, &f, s->covered);
        e = replay_found(&p, &f, &from, by);
    }
    for (uint32_t i = 0; i < f.segment_count; i++) {
        struct segment *g = segments_find(&s->segments, f.segments[i].generation);

        if (g != NULL) {
            g->file = f.segments[i].file; /* the book closes it */
        } else if (f.segments[i].file != NULL) {
            disk_file_close(f.segments[i].file);
        }
    }
    if (!e.code) {
        name_damaged(s, &p);
        if (!is_broken(s, BROKEN_ID_LIMIT)) {
            id_seen(s, atomic_load(&s->id_limit));
        }
        s->epoch++;
        s->bytes_since_checkpoint = p.bytes;
        s->applied = (struct log_position){s->next_generation, SEGMENT_START};
        say_recovered(s, &p, begun);
    } else if (why->len == 0) {
        char text[128];
        struct str said = err_say(e, text, sizeof text);

        buf_printf(why, "%.*s: %.*s", STR_ARG(disk_path(s->disk)), STR_ARG(said));
    }
    replay_done(&p);
    arena_done(&f.a);
    return e;
}
