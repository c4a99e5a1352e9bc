#include "base/str.h"

int byte_hex(char c)
{
    if (byte_is_digit(c)) {
        return c - '0';
    }
    c = byte_lower(c);
    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}

bool bytes_eq_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (a[i] != b[i] && byte_lower(a[i]) != byte_lower(b[i])) {
            return false;
        }
    }
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.ptr, b.ptr, shared) : 0;

    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq_nocase(str_head(s, prefix.len), prefix);
}

size_t str_find(struct str s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;

    return at ? (size_t)(at - s.ptr) : STR_NONE;
}

size_t str_rfind(struct str s, char c)
{
    const char *at = s.len ? memrchr(s.ptr, c, s.len) : NULL;

    return at ? (size_t)(at - s.ptr) : STR_NONE;
}

size_t str_find_str(struct str s, struct str needle)
{
    const char *at = NULL;

    if (needle.len == 0) {
        return 0;
    }
    if (s.len >= needle.len) {
        at = memmem(s.ptr, s.len, needle.ptr, needle.len);
    }
    return at ? (size_t)(at - s.ptr) : STR_NONE;
}

bool str_cut(struct str *rest, char at, struct str *head)
{
    size_t pos = str_find(*rest, at);

    if (pos == STR_NONE) {
        *head = *rest;
        *rest = str_skip(*rest, rest->len);
        return false;
    }
    *head = str_head(*rest, pos);
    *rest = str_skip(*rest, pos + 1);
    return true;
}

static bool is_blank(char c, bool lines)
{
    return c == ' ' || c == '\t' || (lines && (c == '\r' || c == '\n'));
}

static struct str trim(struct str s, bool lines)
{
    while (s.len > 0 && is_blank(s.ptr[0], lines)) {
        s = str_skip(s, 1);
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1], lines)) {
        s.len--;
    }
    return s;
}

struct str str_trim(struct str s)
{
    return trim(s, false);
}

struct str str_trim_ws(struct str s)
{
    return trim(s, true);
}

bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t value = 0;

    if (s.len == 0) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (!byte_is_digit(s.ptr[i]) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value)) {
            return false;
        }
    }
    *ret = value;
    return true;
}

bool str_to_i64(struct str s, int64_t *ret)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t size = 0;

    if (!str_to_u64(negative ? str_skip(s, 1) : s, &size)) {
        return false;
    }
    if (size > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    *ret = negative ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}

bool str_hex_to_u64(struct str s, uint64_t *ret)
{
    uint64_t value = 0;

    if (s.len == 0 || s.len > 16) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        int digit = byte_hex(s.ptr[i]);

        if (digit < 0) {
            return false;
        }
        value = value << 4 | (uint64_t)digit;
    }
    *ret = value;
    return true;
}

bool str_is_ascii(struct str s)
{
    uint64_t high = 0, word;
    size_t i = 0;

    for (; i + sizeof word <= s.len; i += sizeof word) {
        memcpy(&word, s.ptr + i, sizeof word);
        high |= word;
    }
    for (; i < s.len; i++) {
        high |= (unsigned char)s.ptr[i];
    }
    return (high & 0x8080808080808080u) == 0;
}

/* Bytes of the well-formed UTF-8 sequence at s, or 0 (RFC 3629 section 4). */
static size_t utf8_length(const unsigned char *p, size_t len)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t need;

    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        need = 2;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        need = 3;
        low = p[0] == 0xe0 ? 0xa0 : 0x80;
        high = p[0] == 0xed ? 0x9f : 0xbf;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        need = 4;
        low = p[0] == 0xf0 ? 0x90 : 0x80;
        high = p[0] == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (len < need || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < need; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) {
            return 0;
        }
    }
    return need;
}

bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;

    for (size_t i = 0; i < s.len;) {
        size_t step = utf8_length(p + i, s.len - i);

        if (step == 0) {
            return false;
        }
        i += step;
    }
    return true;
}

uint64_t str_hash(struct str s, uint64_t seed)
{
    uint64_t h = seed ^ (s.len * 0x9e3779b97f4a7c15u);

    while (s.len >= 8) {
        uint64_t word;

        memcpy(&word, s.ptr, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
        s = str_skip(s, 8);
    }
    for (size_t i = 0; i < s.len; i++) {
        h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
    }
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

unsigned str_distance(struct str a, struct str b)
{
    enum { LONGEST = 64, FAR = 9 };
    unsigned row[LONGEST + 1];

    if (a.len > LONGEST || b.len > LONGEST) {
        return FAR;
    }
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        unsigned corner = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned best = corner + (byte_lower(a.ptr[i - 1]) != byte_lower(b.ptr[j - 1]));

            corner = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
        }
    }
    return row[b.len] < FAR ? row[b.len] : FAR;
}
