#include "base/buf.h"

#include "base/mem.h"

#include <stdio.h>

char *buf_grow(struct buf *b, size_t n)
{
    size_t want, size;

    if (b->failed) {
        return NULL;
    }
    must(add_size(b->len, n, &want));
    if (b->max != 0 && want > b->max) {
        b->failed = true;
        return NULL;
    }
    if (want > b->size || b->ptr == NULL) {
        size = b->size < 256 ? 256 : b->size + b->size / 2;
        size = b->max != 0 && size > b->max ? b->max : size;
        size = size < want ? want : size;
        b->ptr = mem_grow(b->ptr, size, 1);
        b->size = size;
    }
    return b->ptr + b->len;
}

void buf_put_growing(struct buf *b, struct str s)
{
    char *room = buf_grow(b, s.len);

    if (room != NULL && s.len > 0) {
        memcpy(room, s.ptr, s.len);
        b->len += s.len;
    }
}

void buf_num(struct buf *b, int64_t n)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;

    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (n < 0) {
        digits[--at] = '-';
    }
    buf_put(b, (struct str){digits + at, sizeof digits - at});
}

void buf_hex16(struct buf *b, uint64_t n)
{
    char digits[16];

    for (size_t i = 0; i < sizeof digits; i++) {
        digits[i] = "0123456789abcdef"[n >> (60 - 4 * i) & 15];
    }
    buf_put(b, (struct str){digits, sizeof digits});
}

/* Into the room that is there, as a rule enough; else again into as much as it needs. */
void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    size_t room = b->failed ? 0 : b->size - b->len;
    char *at;
    int len;

    va_copy(again, args);
    len = vsnprintf(room > 0 ? b->ptr + b->len : NULL, room, format, again);
    va_end(again);
    must(len >= 0);
    if ((size_t)len < room) {
        b->len += (size_t)len;
        return;
    }
    at = buf_room(b, (size_t)len + 1);
    if (at != NULL) {
        vsnprintf(at, (size_t)len + 1, format, args);
        b->len += (size_t)len;
    }
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

void buf_done(struct buf *b)
{
    mem_free(b->ptr);
    *b = (struct buf){0};
}
