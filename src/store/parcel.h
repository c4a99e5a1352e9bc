/*
 * parcel: one message in memory, shared by all who work on it: envelope, recipients and, when it is
 * small, all of its bytes.
 *
 * Life      Counted references, from any thread; the last parcel_drop frees it. After it was given
 *           to a commit or to the queue nothing in it is written again, so it is read without locks
 *           (the store alone fills in `pieces`, before it says done).
 * Bytes     The *content* of a message is its trace block and the accepted bytes, in one count from
 *           0 to message.size. `head` holds the first of it in memory: all of it when the message
 *           is small; else store_content reads the rest from the log.
 * States    message.to[i].state is as it was when the parcel was made. Whoever stores a newer state
 *           of one of its recipients forgets the parcel for later attempts.
 * Limits    PARCEL_HEAD_MAX bytes of head. All live parcels count in parcel_bytes().
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "mail/envelope.h"

#include <stdatomic.h>

struct piece;

enum { PARCEL_HEAD_MAX = 64 * 1024 };

struct parcel {
    atomic_uint references;
    struct arena arena; /* envelope texts and recipients live here */
    struct message message;
    struct buf head;
    uint64_t counted; /* parcel_settle's */
    /* The store's: where what follows the head lies in the log. Written before `done` of the commit
     * runs. */
    const struct piece *pieces;
    uint32_t piece_count;
};

struct parcel *parcel_new(void); /* one reference */
struct parcel *parcel_share(struct parcel *p);
void parcel_drop(struct parcel *p); /* NULL is harmless */
/* Bytes held by all live parcels, for store.cache and server.memory. Call parcel_settle once the
 * content is complete: it counts the parcel. */
void parcel_settle(struct parcel *p);
uint64_t parcel_bytes(void);
/* All content is in head. */
static inline bool parcel_is_whole(const struct parcel *p)
{
    return p->head.len == p->message.size;
}
