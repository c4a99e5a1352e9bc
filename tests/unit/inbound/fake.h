/*
 * fake: a store and a queue for tests of inbound/, linked in place of the true ones: they keep what
 * was accepted, and fail when told to.
 */
#pragma once

#include "../unit.h"
#include "base/mem.h"
#include "queue/queue.h"
#include "runtime/fiber.h"
#include "store/store.h"
#include "strategy/strategy.h"

static struct fake {
    struct err accept_fails, add_fails;
    enum store_room room;
    uint64_t room_bytes;
    uint64_t ids;
    unsigned accepted, bodies, abandoned;
    struct parcel *last; /* the last accepted one */
    struct buf content;  /* all of it */
    bool hang;           /* queue_accept waits until released */
    struct signal released;
} fake;

struct store_body {
    struct buf bytes;
};

uint64_t store_new_id(struct store *s)
{
    (void)s;
    return ++fake.ids;
}

struct store_body *store_body_open(struct store *s)
{
    (void)s;
    fake.bodies++;
    return MEM_NEW(struct store_body);
}

struct err store_body_add(struct store_body *b, struct str bytes, struct when by)
{
    (void)by;
    buf_put(&b->bytes, bytes);
    return fake.add_fails;
}

struct err store_body_read(struct store_body *b, uint64_t offset, struct buf *into, struct str *ret,
                           struct when by)
{
    (void)into, (void)by;
    *ret = str_head(str_skip(buf_str(&b->bytes), (size_t)offset), 64 * 1024);
    return ERR_OK;
}

static void body_free(struct store_body *b)
{
    if (b != NULL) {
        fake.bodies--;
        buf_done(&b->bytes);
        mem_free(b);
    }
}

void store_body_abandon(struct store_body *b)
{
    fake.abandoned++;
    body_free(b);
}

enum store_room store_room(const struct store *s)
{
    (void)s;
    return fake.room;
}

bool store_has_room(const struct store *s, uint64_t bytes)
{
    (void)s;
    return bytes <= fake.room_bytes;
}

struct err queue_accept(struct queue *q, struct plan *plan, struct parcel *p,
                        struct store_body *body, const struct store_change *changes,
                        uint32_t change_count, struct when by)
{
    (void)q, (void)plan, (void)changes;
    assert_int_equal(change_count, 0);
    while (fake.hang) {
        struct err e = signal_wait(&fake.released, "fake queue", by);

        if (e.code) {
            body_free(body);
            return e;
        }
    }
    if (fake.accept_fails.code) {
        body_free(body);
        return fake.accept_fails;
    }
    buf_clear(&fake.content);
    buf_put(&fake.content, buf_str(&p->head));
    if (body != NULL) {
        buf_put(&fake.content, buf_str(&body->bytes));
    }
    assert_int_equal(fake.content.len, p->message.size);
    body_free(body);
    parcel_drop(fake.last);
    fake.last = parcel_share(p);
    fake.accepted++;
    return ERR_OK;
}

static inline void fake_start(void)
{
    fake = (struct fake){.room = STORE_ROOM, .room_bytes = UINT64_MAX};
    signal_init(&fake.released);
}

static inline void fake_end(void)
{
    parcel_drop(fake.last);
    buf_done(&fake.content);
    assert_int_equal(fake.bodies, 0);
}
