/*
 * wire: the meta part of message and state records: envelopes and states as TLVs.
 *
 * Source    wire.def, one row for each fact; docs/store-format.md.
 * Owns      Nothing. Decoded text points into the bytes given; recipients lie in the arena given.
 * Limits    Numbers and enumerations are held to their rows' bounds.
 * Errors    ERR_CORRUPT for malformed bytes and values out of bounds. Unknown tags are skipped, and
 *           copied by wire_put_message_moved and wire_put_state_raw.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "mail/envelope.h"

#include <stdint.h>

/* Where the next bytes of a large message lie. */
struct piece {
    uint32_t generation, offset; /* of the record */
    uint32_t bytes;              /* of data */
};

/* Meta of a message record. */
void wire_put_message(struct buf *out, const struct message *m, const struct piece *pieces,
                      uint32_t piece_count);
struct err wire_message(struct str meta, struct arena *a, struct message *ret,
                        struct piece **pieces, uint32_t *piece_count);
/* The same message with its pieces elsewhere; all else is copied, known or not. */
void wire_put_message_moved(struct buf *out, struct str meta, const struct piece *pieces,
                            uint32_t piece_count);

/* Meta of a states record: wire_put_states, then each state. */
void wire_put_states(struct buf *out, uint64_t id);
void wire_put_state(struct buf *out, uint32_t index, const struct rcpt_state *state);
/* A state as it was found, with all it holds. */
void wire_put_state_raw(struct buf *out, uint32_t index, struct str state);

struct wire_states {
    uint64_t id;
    struct str rest; /* TLVs */
};

struct err wire_states(struct str meta, struct wire_states *ret);
/* One after the other; ERR_NOT_FOUND at the end. raw: its TLVs, for wire_put_state_raw. */
struct err wire_states_next(struct wire_states *s, uint32_t *index, struct str *raw);
struct err wire_state(struct str raw, struct rcpt_state *ret);

/* A small value as a record's meta; its bytes are the record's data. */
void wire_put_value(struct buf *meta, struct str name, bool remove);
bool wire_value(struct str meta, struct str *name, bool *remove);
void wire_put_limit(struct buf *meta, uint64_t limit);
bool wire_limit(struct str meta, uint64_t *limit);

/* Nothing more is to be done about it, and nothing to be told. */
static inline bool state_is_over(const struct rcpt_state *s)
{
    return s->status != RCPT_WAITING && s->owed == OWED_NONE;
}
