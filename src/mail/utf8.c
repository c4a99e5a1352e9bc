#include "mail/utf8.h"

#include "base/base64.h"

/* Which second bytes may follow a first one (table 3-7 of the standard). */
struct lead {
    uint8_t from, to, low, high, more;
};

static const struct lead leads[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2}, {0xe1, 0xec, 0x80, 0xbf, 2},
    {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2}, {0xf0, 0xf0, 0x90, 0xbf, 3},
    {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3},
};

size_t utf8_next(struct str s, size_t *bad)
{
    uint8_t first = (uint8_t)s.ptr[0];
    const struct lead *lead = NULL;
    size_t i;

    *bad = 1;
    if (first < 0x80) {
        return 1;
    }
    for (i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
        if (first >= leads[i].from && first <= leads[i].to) {
            lead = &leads[i];
        }
    }
    if (lead == NULL) {
        return 0;
    }
    for (i = 1; i <= lead->more; i++) {
        uint8_t low = i == 1 ? lead->low : 0x80, high = i == 1 ? lead->high : 0xbf;

        if (i >= s.len || (uint8_t)s.ptr[i] < low || (uint8_t)s.ptr[i] > high) {
            *bad = i;
            return 0;
        }
    }
    return i;
}

void utf8_put(struct buf *out, struct str s)
{
    size_t start = 0, at = 0;

    while (at < s.len) {
        size_t bad, n = utf8_next(str_skip(s, at), &bad);

        if (n > 0 && s.ptr[at] != '\0') {
            at += n;
            continue;
        }
        buf_put(out, str_make(s.ptr + start, at - start));
        buf_put(out, STR("\xef\xbf\xbd"));
        at += bad;
        start = at;
    }
    buf_put(out, str_make(s.ptr + start, at - start));
}

struct str utf8_clean(struct arena *a, struct str s)
{
    struct buf out BUF_LOCAL = {0};

    if (str_is_utf8(s) && str_find(s, '\0') == STR_NONE) {
        return s;
    }
    utf8_put(&out, s);
    return arena_dup(a, buf_str(&out));
}

void utf8_put_encoded_words(struct buf *out, struct str s)
{
    enum { WORD_BYTES = 42 }; /* 56 of base64 and 12 around them: below 75, and below 76 folded */
    size_t at = 0;

    if (str_is_ascii(s)) {
        buf_put(out, s);
        return;
    }
    while (at < s.len) {
        size_t end = at, bad, n = 1;

        while (end < s.len && n > 0) {
            n = utf8_next(str_skip(s, end), &bad);
            if (end + n - at > WORD_BYTES) {
                break;
            }
            end += n > 0 ? n : bad;
        }
        if (at > 0) {
            buf_put(out, STR("\r\n "));
        }
        buf_put(out, STR("=?UTF-8?B?"));
        base64_encode(out, str_make(s.ptr + at, end - at));
        buf_put(out, STR("?="));
        at = end;
    }
}
