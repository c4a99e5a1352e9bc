#include "expr/case.h"

#include "base/check.h"

/* Bytes that are no text stand above all codes, so that they come out as they went in. */
enum { STRAY_BYTE = 0x200000 };

static const struct {
    uint32_t first, last;
    uint8_t step;
    int32_t to_lower;
} pairs[] = {
#define CASE(first, last, step, to_lower) {first, last, step, to_lower},
#include "expr/case.def"
#undef CASE
};

uint32_t char_first(struct str s, size_t *bytes)
{
    unsigned char lead = (unsigned char)s.ptr[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t code;

    *bytes = 1;
    if (len == 1) {
        return lead;
    }
    if (len > s.len || !str_is_utf8(str_head(s, len))) {
        return STRAY_BYTE + lead;
    }
    code = lead & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        code = code << 6 | ((unsigned char)s.ptr[i] & 0x3f);
    }
    *bytes = len;
    return code;
}

size_t char_put(uint32_t code, char at[4])
{
    if (code >= STRAY_BYTE || code < 0x80) {
        at[0] = (char)(code & 0xff);
        return 1;
    }
    if (code < 0x800) {
        at[0] = (char)(0xc0 | code >> 6);
        at[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        at[0] = (char)(0xe0 | code >> 12);
        at[1] = (char)(0x80 | (code >> 6 & 0x3f));
        at[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    at[0] = (char)(0xf0 | code >> 18);
    at[1] = (char)(0x80 | (code >> 12 & 0x3f));
    at[2] = (char)(0x80 | (code >> 6 & 0x3f));
    at[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

uint32_t char_lower(uint32_t code)
{
    if (code < 0x80) {
        return (unsigned char)byte_lower((char)code);
    }
    for (size_t i = 0; i < COUNT_OF(pairs) && code >= pairs[i].first; i++) {
        if (code <= pairs[i].last && (code - pairs[i].first) % pairs[i].step == 0) {
            return code + (uint32_t)pairs[i].to_lower;
        }
    }
    return code;
}

uint32_t char_upper(uint32_t code)
{
    if (code < 0x80) {
        return code >= 'a' && code <= 'z' ? code - 32 : code;
    }
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        uint32_t capital = code - (uint32_t)pairs[i].to_lower;

        if (capital >= pairs[i].first && capital <= pairs[i].last &&
            (capital - pairs[i].first) % pairs[i].step == 0) {
            return capital;
        }
    }
    return code;
}
