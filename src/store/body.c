#include "base/check.h"
#include "base/crc.h"
#include "base/mem.h"
#include "runtime/loop.h"
#include "store/log.h"

/*
 * Large messages on their way in. A body belongs to one fiber of any loop until its commit; while a
 * piece is being written that fiber waits, so the store's loop may look at it. Pieces pin their
 * segments until the message is committed (then the index refers to them) or given up.
 */

struct store_body *store_body_open(struct store *s)
{
    struct store_body *b = MEM_NEW(struct store_body);

    b->store = s;
    return b;
}

static void body_arrives(struct post *p)
{
    struct store_body *b = CONTAINER_OF(p, struct store_body, in);

    if (b->is_abandoned) {
        body_free(b->store, b);
        return;
    }
    list_push(&b->store->bodies, &b->waiting);
    committer_wake(b->store);
}

static void body_returns(struct post *p)
{
    struct store_body *b = CONTAINER_OF(p, struct store_body, out);

    b->is_on_its_way = false;
    fiber_wake(b->waiter);
}

void body_answer(struct store_body *b, struct err e)
{
    b->result = e;
    b->out.run = body_returns;
    loop_post(b->reply, &b->out);
}

static struct err send_piece(struct store_body *b, struct when by)
{
    b->crc = crc32c(0, buf_str(&b->rest));
    b->in.run = body_arrives;
    b->reply = loop_self();
    b->waiter = fiber_self();
    b->is_on_its_way = true;
    if (!store_send(b->store, &b->in)) {
        b->is_on_its_way = false;
        b->result = err_of(ERR_BUSY);
    }
    while (b->is_on_its_way) {
        fiber_wait_firm("piece of a body to be written", by);
    }
    return b->result;
}

struct err store_body_add(struct store_body *b, struct str bytes, struct when by)
{
    while (bytes.len > 0 && b->result.code == OK) {
        struct str some = str_head(bytes, PIECE_DATA_BYTES - b->rest.len);

        if (b->rest.ptr == NULL) {
            buf_room(&b->rest, PIECE_DATA_BYTES);
        }
        buf_put(&b->rest, some);
        b->bytes += some.len;
        bytes = str_skip(bytes, some.len);
        if (b->rest.len == PIECE_DATA_BYTES) {
            send_piece(b, by);
        }
    }
    return b->result;
}

struct err body_piece(struct store_body *b, struct str bytes, struct when by)
{
    buf_put(&b->rest, bytes);
    b->bytes += bytes.len;
    return send_piece(b, by);
}

void store_body_abandon(struct store_body *b)
{
    if (b == NULL) {
        return;
    }
    must(!b->is_on_its_way);
    b->is_abandoned = true;
    b->in.run = body_arrives;
    if (!store_send(b->store, &b->in)) {
        /* Closed: its loop has gone, and with it the book of pins. */
        body_free(NULL, b);
    }
}

bool body_encode(struct store *s, struct store_body *b)
{
    struct segment *g = s->active;
    uint32_t offset = batch_offset(&s->batch);
    uint32_t bytes = (uint32_t)b->rest.len;

    if (bytes == 0) {
        return true;
    }
    batch_open(&s->batch);
    if (!batch_close(&s->batch, RECORD_PIECE, 0, buf_str(&b->rest), b->crc)) {
        return false;
    }
    if (b->piece_count == b->piece_size) {
        b->piece_size = b->piece_size ? b->piece_size * 2 : 8;
        b->pieces = mem_grow(b->pieces, b->piece_size, sizeof *b->pieces);
    }
    b->pieces[b->piece_count++] = (struct piece){g->generation, offset, bytes};
    g->pins++;
    return true;
}

void body_uncode(struct store *s, struct store_body *b)
{
    const struct piece *last = &b->pieces[b->piece_count - 1];
    struct segment *g = segments_find(&s->segments, last->generation);

    must(b->piece_count > 0 && g != NULL && g->pins > 0);
    g->pins--;
    b->piece_count--;
}

/* A piece was lost when the flush that should have covered it failed. */
bool body_is_lost(const struct store *s, const struct store_body *b)
{
    for (uint32_t i = 0; i < b->piece_count; i++) {
        const struct segment *g = segments_find(&s->segments, b->pieces[i].generation);

        must(g != NULL); /* pinned */
        if (g->has_failed && b->pieces[i].offset >= g->confirmed) {
            return true;
        }
    }
    return false;
}

void body_free(struct store *s, struct store_body *b)
{
    for (uint32_t i = 0; s != NULL && i < b->piece_count; i++) {
        struct segment *g = segments_find(&s->segments, b->pieces[i].generation);

        must(g != NULL && g->pins > 0);
        g->pins--;
    }
    buf_done(&b->rest);
    mem_free(b->pieces);
    mem_free(b);
}
