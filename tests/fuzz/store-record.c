/* Everything recovery decodes from a disk that may hold anything: frames, heads, envelopes, states.
 */
#include "base/arena.h"
#include "store/record.h"
#include "store/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void decode_states(struct str meta)
{
    struct wire_states states;
    struct rcpt_state state;
    struct str raw;
    uint32_t index;

    if (wire_states(meta, &states).code) {
        return;
    }
    while (wire_states_next(&states, &index, &raw).code == OK) {
        wire_state(raw, &state);
    }
}

/* What was understood is written and understood again, the same. */
static void decode_message(struct str meta)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf again BUF_LOCAL = {0}, moved BUF_LOCAL = {0};
    struct message m, back;
    struct piece *pieces;
    uint32_t count, same;

    if (wire_message(meta, &a, &m, &pieces, &count).code) {
        return;
    }
    wire_put_message(&again, &m, pieces, count);
    if (wire_message(buf_str(&again), &a, &back, &pieces, &same).code || back.id != m.id ||
        back.to_count != m.to_count || same != count || !str_eq(back.sender, m.sender)) {
        abort();
    }
    wire_put_message_moved(&moved, meta, pieces, same);
    if (wire_message(buf_str(&moved), &a, &back, &pieces, &same).code || same != count) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str all = {(const char *)bytes, len}, meta;
    struct segment_head head;
    struct record r;
    uint64_t need, limit;
    bool remove;

    segment_head_decode(all, 1, &head);
    if (len >= RECORD_HEAD_BYTES) {
        record_decode(all, record_claimed(all), 4096, &r, &meta, &need);
    }
    if (record_decode(all, 1, 4096, &r, &meta, &need) == RECORD_FOUND) {
        all = meta;
    }
    decode_message(all);
    decode_states(all);
    wire_value(all, &meta, &remove);
    wire_limit(all, &limit);
    return 0;
}
