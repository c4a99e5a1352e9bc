#include "base/check.h"
#include "base/mem.h"
#include "runtime/log.h"
#include "store/events.h"
#include "store/recover.h"

/* The records of a segment, as commits, into the index. */

void replay_done(struct replay *p)
{
    arena_done(&p->group);
    arena_done(&p->scratch);
    mem_free(p->held);
    mem_free(p->lost);
}

static struct err replay_message(struct replay *p, const struct held *h)
{
    struct message m;
    struct piece *pieces;
    uint32_t count;
    struct placed at = {h->record.offset, h->record.meta_bytes, h->record.data_bytes};

    arena_reset(&p->scratch);
    if (wire_message(h->meta, &p->scratch, &m, &pieces, &count).code) {
        say_damaged(p->s, m.id, p->generation, h->record.offset, "a message record");
        return ERR_OK;
    }
    if (h->is_damaged) {
        say_damaged(p->s, m.id, p->generation, h->record.offset, "the head of a message");
    }
    apply_message(p->s, &m, &at, p->generation, pieces, count);
    return ERR_OK;
}

static uint32_t count_states(struct wire_states states)
{
    uint32_t index, count = 0;
    struct str raw;

    while (wire_states_next(&states, &index, &raw).code == OK) {
        count++;
    }
    return count;
}

static struct err replay_states(struct replay *p, const struct held *h)
{
    struct wire_states states;
    struct str raw;
    uint32_t index, count;
    struct err e = wire_states(h->meta, &states);
    struct place place = {p->generation, h->record.offset, 0};

    count = e.code ? 0 : count_states(states);
    place.bytes = count ? (uint32_t)record_bytes(h->record.meta_bytes, 0) / count : 0;
    while (!e.code) {
        struct rcpt_state state;

        e = wire_states_next(&states, &index, &raw);
        if (!e.code) {
            e = wire_state(raw, &state);
        }
        if (!e.code && !apply_state(p->s, states.id, index, &state, place)) {
            e = err_of(ERR_CORRUPT);
        }
    }
    if (e.code == ERR_CORRUPT) {
        say_damaged(p->s, states.id, p->generation, h->record.offset, "a states record");
    }
    return ERR_OK;
}

static struct err replay_value(struct replay *p, const struct held *h)
{
    struct str name;
    bool remove;

    if (h->is_damaged || !wire_value(h->meta, &name, &remove)) {
        say_damaged(p->s, 0, p->generation, h->record.offset, "a small value");
        return ERR_OK;
    }
    apply_value(p->s, name, h->data, remove);
    return ERR_OK;
}

static void replay_piece(struct replay *p, const struct held *h)
{
    if (!h->is_damaged) {
        return;
    }
    if (p->lost_count == p->lost_size) {
        p->lost_size = p->lost_size ? p->lost_size * 2 : 16;
        p->lost = mem_grow(p->lost, p->lost_size, sizeof *p->lost);
    }
    p->lost[p->lost_count++] = (struct piece){p->generation, h->record.offset,
                                              h->record.data_bytes};
}

static struct err replay_one(struct replay *p, const struct held *h)
{
    struct store *s = p->s;
    uint64_t limit;

    if (h->record.epoch > s->epoch) {
        s->epoch = h->record.epoch;
    }
    switch (h->record.kind) {
    case RECORD_MESSAGE:
        return replay_message(p, h);
    case RECORD_STATES:
        return replay_states(p, h);
    case RECORD_VALUE:
        return replay_value(p, h);
    case RECORD_PIECE:
        replay_piece(p, h);
        return ERR_OK;
    case RECORD_LIMIT:
        if (wire_limit(h->meta, &limit) && limit > atomic_load(&s->id_limit)) {
            atomic_store(&s->id_limit, limit);
        }
        return ERR_OK;
    default:
        return err_of(ERR_VERSION);
    }
}

static struct err replay_held(struct replay *p)
{
    struct err e = ERR_OK;

    for (uint32_t i = 0; !e.code && i < p->held_count; i++) {
        e = replay_one(p, &p->held[i]);
    }
    p->held_count = 0;
    arena_reset(&p->group);
    return e;
}

static bool is_of_commit(const struct record *r)
{
    return r->kind == RECORD_MESSAGE || r->kind == RECORD_STATES || r->kind == RECORD_VALUE;
}

static struct err replay_record(struct replay *p, struct held *h)
{
    struct err e = ERR_OK;

    p->records++;
    if (p->held_count > 0 && is_of_commit(&h->record) &&
        h->record.left + 1 != p->held[p->held_count - 1].record.left) {
        /* The rest of that commit is damaged, which was said; what is left of it counts. */
        e = replay_held(p);
    }
    if (e.code || !is_of_commit(&h->record) || (h->record.left == 0 && p->held_count == 0)) {
        return e.code ? e : replay_one(p, h);
    }
    if (p->held_count == p->held_size) {
        p->held_size = p->held_size ? p->held_size * 2 : 16;
        p->held = mem_grow(p->held, p->held_size, sizeof *p->held);
    }
    h->meta = arena_dup(&p->group, h->meta);
    h->data = h->record.kind == RECORD_VALUE ? arena_dup(&p->group, h->data) : STR_EMPTY;
    p->held[p->held_count++] = *h;
    return h->record.left == 0 ? replay_held(p) : ERR_OK;
}

struct err replay_segment(struct replay *p, struct disk_file *file, uint32_t generation,
                          uint32_t from, uint32_t *end, uint32_t most, uint32_t *proven,
                          struct when by)
{
    struct scan scan;
    struct held h;
    uint32_t damaged;
    struct err e = ERR_OK;
    enum scan_found found = SCAN_RECORD;

    p->generation = generation;
    *proven = from;
    scan_begin(&scan, file, generation, from, *end, most, is_broken(p->s, BROKEN_LEFTOVERS));
    while (!e.code && found != SCAN_END) {
        found = scan_next(&scan, &h.record, &h.meta, &h.data, &damaged, &e, by);
        if (found == SCAN_RECORD || found == SCAN_DATA_DAMAGED) {
            h.is_damaged = found == SCAN_DATA_DAMAGED;
            *proven = h.record.confirmed > *proven ? h.record.confirmed : *proven;
            e = replay_record(p, &h);
        } else if (found == SCAN_DAMAGED) {
            say_damaged(p->s, 0, generation, damaged, "records, not known whose");
            e = replay_held(p);
        }
    }
    if (!e.code && p->held_count > 0 && *end == 0) {
        /* The log ends inside a commit: none of it counts. */
        scan.good_end = p->held[0].record.offset;
        p->held_count = 0;
        arena_reset(&p->group);
    }
    if (!e.code) {
        e = replay_held(p);
    }
    p->bytes += scan.good_end - from;
    if (*end == 0) {
        *end = scan.good_end; /* not a byte more: a torn batch may go on in that block */
    }
    scan_done(&scan);
    return e;
}
