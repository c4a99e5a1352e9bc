#include "mail/xtext.h"

#include "base/check.h"

/* xchar and QCHAR start from the same set: printable ASCII without '+', '=' and the blank. */
static bool is_plain(unsigned char c)
{
    return c > 0x20 && c < 0x7f && c != '+' && c != '=';
}

bool xtext_decode(struct str in, struct arena *a, struct str *ret)
{
    char *at = arena_alloc(a, in.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] == '+') {
            int high = i + 2 < in.len ? byte_hex(in.ptr[i + 1]) : -1;
            int low = high >= 0 ? byte_hex(in.ptr[i + 2]) : -1;

            if (low < 0) {
                return false;
            }
            at[len++] = (char)(high * 16 + low);
            i += 2;
        } else if (is_plain((unsigned char)in.ptr[i])) {
            at[len++] = in.ptr[i];
        } else {
            return false;
        }
    }
    *ret = str_make(at, len);
    return true;
}

void xtext_encode(struct buf *out, struct str in)
{
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.ptr[i];

        if (is_plain(c)) {
            buf_byte(out, (char)c);
        } else {
            buf_printf(out, "+%02X", c);
        }
    }
}

/* One scalar value as UTF-8 at `at`; how many bytes, 0 when it is none. */
static size_t utf8_put(uint64_t point, char at[4])
{
    if (point < 0x80) {
        at[0] = (char)point;
        return point > 0;
    }
    if (point < 0x800) {
        at[0] = (char)(0xc0 | (point >> 6));
        at[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        at[0] = (char)(0xe0 | (point >> 12));
        at[1] = (char)(0x80 | ((point >> 6) & 0x3f));
        at[2] = (char)(0x80 | (point & 0x3f));
        return point < 0xd800 || point > 0xdfff ? 3 : 0;
    }
    if (point > 0x10ffff) {
        return 0;
    }
    at[0] = (char)(0xf0 | (point >> 18));
    at[1] = (char)(0x80 | ((point >> 12) & 0x3f));
    at[2] = (char)(0x80 | ((point >> 6) & 0x3f));
    at[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

bool utf8_addr_decode(struct str in, bool raw, struct arena *a, struct str *ret)
{
    /* "\x{..}" takes at least six bytes and gives at most four. */
    char *at = arena_alloc(a, in.len + 1);
    size_t len = 0;

    while (in.len > 0) {
        unsigned char c = (unsigned char)in.ptr[0];

        if (c == '\\') {
            struct str hex;
            uint64_t point;
            size_t count;

            if (!str_starts(in, STR("\\x{"))) {
                return false;
            }
            in = str_skip(in, 3);
            if (!str_cut(&in, '}', &hex) || hex.len < 2 || hex.len > 6 ||
                !str_hex_to_u64(hex, &point)) {
                return false;
            }
            count = utf8_put(point, at + len);
            if (count == 0) {
                return false;
            }
            len += count;
        } else if (is_plain(c) || (raw && c >= 0x80)) {
            at[len++] = (char)c;
            in = str_skip(in, 1);
        } else {
            return false;
        }
    }
    *ret = str_make(at, len);
    return str_is_utf8(*ret);
}

void utf8_addr_encode(struct buf *out, struct str in, bool raw)
{
    must(str_is_utf8(in));
    for (size_t i = 0; i < in.len;) {
        unsigned char c = (unsigned char)in.ptr[i];
        size_t count = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        uint32_t point = count == 1 ? c : c & (0x7fu >> count);

        if (count == 1 ? is_plain(c) && c != '\\' : raw) {
            buf_put(out, str_make(in.ptr + i, count));
        } else {
            for (size_t k = 1; k < count; k++) {
                point = point << 6 | ((unsigned char)in.ptr[i + k] & 0x3f);
            }
            buf_printf(out, "\\x{%02X}", point);
        }
        i += count;
    }
}

bool text_is_printable(struct str s, bool utf8)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8)) {
            return false;
        }
    }
    return !utf8 || str_is_utf8(s);
}
