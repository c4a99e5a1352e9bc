#include "base/check.h"
#include "base/mem.h"
#include "store/log.h"

#include <stdlib.h>

/*
 * Everything live, in order of id, for the queue at start. Messages that arrived one after the
 * other lie one after the other, so one read of the disk serves many; bodies between them are read
 * over only where they are small.
 */

enum { WALK_MOST = 1024, GAP_MOST = 16 * 1024, AHEAD_MOST = 1024 * 1024, STATES_AHEAD = 64 * 1024 };

struct walk {
    uint64_t after;
    uint32_t max;
    struct arena *a;
    struct message *messages;
    uint32_t count;
};

struct step {
    uint64_t id;
    uint32_t segment, offset, bytes; /* without data */
};

static uint32_t collect(struct store *s, uint64_t after, uint32_t max, struct step *steps)
{
    uint32_t count = 0;
    const struct entry *e;

    while (count < max && (e = index_after(&s->index, after)) != NULL) {
        steps[count++] = (struct step){e->id, e->segment, e->offset,
                                       RECORD_HEAD_BYTES + e->meta_bytes};
        after = e->id;
    }
    return count;
}

/* Bytes from this step on that are worth one read. */
static uint32_t worth_reading(const struct step *steps, uint32_t count)
{
    uint32_t from = steps[0].offset, end = from + steps[0].bytes;

    for (uint32_t i = 1; i < count; i++) {
        const struct step *next = &steps[i];

        if (next->segment != steps[0].segment || next->offset < end ||
            next->offset - end > GAP_MOST || next->offset + next->bytes - from > AHEAD_MOST) {
            break;
        }
        end = next->offset + next->bytes;
    }
    return end - from;
}

static bool is_in(const struct window *w, const struct step *at)
{
    return w->generation == at->segment && at->offset >= w->from &&
           (uint64_t)at->offset + at->bytes <= (uint64_t)w->from + w->bytes.len;
}

static struct err walk(struct store *s, void *arg, struct when by)
{
    struct walk *k = arg;
    uint32_t max = k->max < WALK_MOST ? k->max : WALK_MOST;
    struct step *steps = arena_array(k->a, max, sizeof *steps);
    struct windows w = {.states = {.least = STATES_AHEAD}};
    struct err e = ERR_OK;

    /* Messages that vanish or are damaged (said when read) are left out; an empty answer would mean
     * the end, so then it goes on. */
    while (k->count == 0) {
        uint32_t count = collect(s, k->after, max, steps);

        if (count == 0) {
            break;
        }
        k->messages = arena_array(k->a, count, sizeof *k->messages);
        for (uint32_t i = 0; i < count && e.code == OK; i++) {
            struct piece *pieces;
            uint32_t piece_count;
            struct record r;
            struct str meta;

            if (!is_in(&w.messages, &steps[i])) { /* what is wrong is found below */
                record_read(s, &w.messages, steps[i].segment, steps[i].offset,
                            worth_reading(&steps[i], count - i), false, &r, &meta, NULL, by);
            }
            e = message_read(s, steps[i].id, &w, k->a, NULL, &k->messages[k->count], &pieces,
                             &piece_count, by);
            k->count += e.code == OK;
            if (e.code == ERR_NOT_FOUND || e.code == ERR_CORRUPT) {
                e = ERR_OK;
            }
        }
        k->after = steps[count - 1].id;
    }
    windows_done(&w);
    return e;
}

struct err store_walk(struct store *s, uint64_t after, uint32_t max, struct arena *a,
                      struct message **ret, uint32_t *count, struct when by)
{
    struct walk k = {.after = after, .max = max, .a = a};
    struct err e;

    must(max > 0);
    e = request_wait(s, "walk over the log", walk, &k, by);
    if (!e.code) {
        *ret = k.messages;
        *count = k.count;
    }
    return e;
}
