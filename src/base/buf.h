/*
 * buf: a growing run of bytes with a limit and a sticky failure.
 *
 * Owns      Its bytes, until buf_done. A zeroed struct buf is ready, with no limit.
 * Limits    `max` bytes when not 0, set before the first write: a write that would pass it is left
 *           out whole, `failed` is set, and all later writes do nothing. Check `failed` once, at
 *           the end.
 */
#pragma once

#include "base/str.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

struct buf {
    char *ptr;
    size_t len, size, max; /* size is never above max */
    bool failed;
};

/* What the two below do when room is short. */
char *buf_grow(struct buf *b, size_t n);
void buf_put_growing(struct buf *b, struct str s);

/* Room for n more bytes at the end, to be filled by the caller who then adds to len; NULL when
 * failed. */
static inline char *buf_room(struct buf *b, size_t n)
{
    return b->ptr != NULL && n <= b->size - b->len && !b->failed ? b->ptr + b->len : buf_grow(b, n);
}

static inline void buf_put(struct buf *b, struct str s)
{
    if (s.len > 0 && s.len <= b->size - b->len && !b->failed) {
        memcpy(b->ptr + b->len, s.ptr, s.len);
        b->len += s.len;
    } else {
        buf_put_growing(b, s);
    }
}

static inline void buf_byte(struct buf *b, char c)
{
    buf_put(b, (struct str){&c, 1});
}

void buf_num(struct buf *b, int64_t n);    /* decimal */
void buf_hex16(struct buf *b, uint64_t n); /* always 16 digits */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
void buf_clear(struct buf *b); /* keeps the memory; forgets a failure */
void buf_done(struct buf *b);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->ptr ? b->ptr : "", b->len};
}

#define BUF_LOCAL __attribute__((cleanup(buf_done)))
