#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = 0;

        for (size_t k = 0; k < 3; k++) {
            group = group << 8 | (k < n ? (unsigned char)bytes.ptr[i + k] : 0u);
        }
        for (size_t k = 0; k < 4; k++) {
            buf_byte(out, k <= n ? alphabet[group >> (18 - 6 * k) & 63] : '=');
        }
    }
}

/* 0 to 63, or -1. */
static int value_of(char c)
{
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

    return at != NULL ? (int)(at - alphabet) : -1;
}

bool base64_decode(struct buf *out, struct str text)
{
    if (text.len % 4 != 0) {
        return false;
    }
    for (size_t i = 0; i < text.len; i += 4) {
        size_t n = 4;
        uint32_t group = 0;

        while (n > 2 && text.ptr[i + n - 1] == '=' && i + 4 == text.len) {
            n--;
        }
        for (size_t k = 0; k < 4; k++) {
            int v = k < n ? value_of(text.ptr[i + k]) : 0;

            if (v < 0) {
                return false;
            }
            group = group << 6 | (uint32_t)v;
        }
        if (n < 4 && (group & (n == 3 ? 0xffu : 0xffffu)) != 0) {
            return false;
        }
        for (size_t k = 0; k + 1 < n; k++) {
            buf_byte(out, (char)(unsigned char)(group >> (16 - 8 * k) & 0xff));
        }
    }
    return true;
}
