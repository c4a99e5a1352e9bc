/*
 * str: bytes by value, pointer and length; never assumed to end in NUL, may hold NUL.
 *
 * Owns      Nothing: a str is a view. Whoever made the bytes says how long they live.
 * Errors    None. Searches answer STR_NONE or false. Parsers of numbers answer false on anything
 *           but the whole number, and on overflow.
 *
 * ASCII only: case folding and classes never look at the locale.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    } /* for static tables */
#define STR_EMPTY  ((struct str){"", 0})
#define STR_NONE   ((size_t)-1)
#define STR_ARG(s) (int)(s).len, (s).ptr /* for "%.*s" */

static inline struct str str_of(const char *z)
{
    return (struct str){z ? z : "", z ? strlen(z) : 0};
}

static inline struct str str_make(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}

static inline char byte_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c + 32) : c;
}

static inline bool byte_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool byte_is_alpha(char c)
{
    return byte_lower(c) >= 'a' && byte_lower(c) <= 'z';
}

static inline bool byte_is_alnum(char c)
{
    return byte_is_digit(c) || byte_is_alpha(c);
}

/* Value of one hexadecimal digit of either case, or -1. */
int byte_hex(char c);

static inline bool str_is_empty(struct str s)
{
    return s.len == 0;
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool bytes_eq_nocase(const char *a, const char *b, size_t len); /* ASCII */

static inline bool str_eq_nocase(struct str a, struct str b)
{
    return a.len == b.len && bytes_eq_nocase(a.ptr, b.ptr, a.len);
}

int str_cmp(struct str a, struct str b); /* bytewise; a prefix sorts first */

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq((struct str){s.ptr, prefix.len}, prefix);
}

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           str_eq((struct str){s.ptr + (s.len - suffix.len), suffix.len}, suffix);
}

bool str_starts_nocase(struct str s, struct str prefix);

/* s without its first n bytes; empty when it is shorter. */
static inline struct str str_skip(struct str s, size_t n)
{
    return n >= s.len ? (struct str){s.ptr + s.len, 0} : (struct str){s.ptr + n, s.len - n};
}

/* The first n bytes of s; all of it when it is shorter. */
static inline struct str str_head(struct str s, size_t n)
{
    return (struct str){s.ptr, n < s.len ? n : s.len};
}

/* Position of the first (last) byte c, or STR_NONE. */
size_t str_find(struct str s, char c);
size_t str_rfind(struct str s, char c);
/* Position of the first occurrence of needle, or STR_NONE. */
size_t str_find_str(struct str s, struct str needle);

/* Cut *rest at the first `at`: what stood before it; *rest becomes what follows. False, with *head
 * all of it and *rest empty, when there is none. */
bool str_cut(struct str *rest, char at, struct str *head);

/* Without spaces and tabs (str_trim), or also CR and LF (str_trim_ws), at both ends. */
struct str str_trim(struct str s);
struct str str_trim_ws(struct str s);

/* The whole of s as a decimal number without sign. */
bool str_to_u64(struct str s, uint64_t *ret);
/* The same with an optional '-'. */
bool str_to_i64(struct str s, int64_t *ret);
/* 1 to 16 hexadecimal digits. */
bool str_hex_to_u64(struct str s, uint64_t *ret);

bool str_is_ascii(struct str s);
/* Well-formed UTF-8 by RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. */
bool str_is_utf8(struct str s);

/* A fast hash for tables; `seed` keeps strangers from choosing collisions. */
uint64_t str_hash(struct str s, uint64_t seed);

/* How many single edits turn a into b (for "did you mean"); counts no further than 9. */
unsigned str_distance(struct str a, struct str b);
