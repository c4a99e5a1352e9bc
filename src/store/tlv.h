/*
 * tlv: tag, length, value: how everything inside a stored record is written and read.
 *
 * Form      tag: one byte, 1 to 127. Length: LEB128, at most five bytes. A number is the least
 *           number of little-endian bytes that hold it (none for zero); a date is the number of its
 *           milliseconds. A value may itself be a run of TLVs.
 * Unknown   Readers skip tags they do not know; whoever rewrites a record copies them unchanged.
 * Owns      Nothing: values are views into the bytes read.
 * Limits    Numbers of at most 8 bytes, values below 256 MiB.
 * Errors    A reader stops at the first malformed item and sets `bad`.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct tlv {
    uint8_t tag;
    struct str value;
};

struct tlv_reader {
    struct str rest;
    bool bad;
};

static inline struct tlv_reader tlv_read(struct str bytes)
{
    return (struct tlv_reader){bytes, false};
}

/* False at the end, or when what follows is malformed (`bad`). */
bool tlv_next(struct tlv_reader *r, struct tlv *ret);
bool tlv_num(struct str value, uint64_t *ret);

void tlv_put(struct buf *out, uint8_t tag, struct str value);
void tlv_put_num(struct buf *out, uint8_t tag, uint64_t number);

/* A value that is itself written piece by piece: tlv_end fills in its length. */
size_t tlv_begin(struct buf *out, uint8_t tag);
void tlv_end(struct buf *out, size_t begun);
