#include "base/buf.h"

#include "base/mem.h"

#include <stdio.h>

char *buf_room(struct buf *b, size_t n)
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
        size = size < want ? want : size;
        b->ptr = mem_grow(b->ptr, size, 1);
        b->size = size;
    }
    return b->ptr + b->len;
}

void buf_put(struct buf *b, struct str s)
{
    char *room = buf_room(b, s.len);

    if (room != NULL && s.len > 0) {
        memcpy(room, s.ptr, s.len);
        b->len += s.len;
    }
}

void buf_byte(struct buf *b, char c)
{
    buf_put(b, (struct str){&c, 1});
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    char *room;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    must(len >= 0);
    room = buf_room(b, (size_t)len + 1);
    if (room != NULL) {
        vsnprintf(room, (size_t)len + 1, format, args);
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
