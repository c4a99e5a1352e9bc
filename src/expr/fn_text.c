/* Functions on text. */
#include "expr/case.h"
#include "expr/functions.h"

static bool text_of(struct allowance *w, const struct value *v, struct str *ret)
{
    return value_to_text(w, v, ret) && work_step(w, 1 + ret->len / 64);
}

static bool two_texts(struct allowance *w, const struct value *args, struct str *a, struct str *b)
{
    return text_of(w, &args[0], a) && text_of(w, &args[1], b);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool trim(struct allowance *w, const struct value *v, bool start, bool end,
                 struct value *ret)
{
    struct str s;

    if (!text_of(w, v, &s)) {
        return false;
    }
    while (start && s.len > 0 && is_space(s.ptr[0])) {
        s = str_skip(s, 1);
    }
    while (end && s.len > 0 && is_space(s.ptr[s.len - 1])) {
        s.len--;
    }
    *ret = value_text(s);
    return true;
}

bool fn_trim(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    (void)count;
    return trim(w, &args[0], true, true, ret);
}

bool fn_trim_start(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    (void)count;
    return trim(w, &args[0], true, false, ret);
}

bool fn_trim_end(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    (void)count;
    return trim(w, &args[0], false, true, ret);
}

/* A text that is so already is answered as it is, without a copy. */
static bool change_case(struct allowance *w, const struct value *v, uint32_t (*to)(uint32_t),
                        struct value *ret)
{
    size_t bytes, len = 0, changed = 0;
    struct str s, rest;
    char *text, one[4];

    if (!text_of(w, v, &s) || !work_step(w, s.len)) {
        return false;
    }
    for (rest = s; rest.len > 0; rest = str_skip(rest, bytes)) {
        uint32_t code = char_first(rest, &bytes);

        changed += to(code) != code;
        len += char_put(to(code), one);
    }
    if (changed == 0) {
        *ret = value_text(s);
        return true;
    }
    text = work_alloc(w, len, 1);
    if (text == NULL) {
        return false;
    }
    len = 0;
    for (rest = s; rest.len > 0; rest = str_skip(rest, bytes)) {
        size_t put = char_put(to(char_first(rest, &bytes)), one);

        memcpy(text + len, one, put);
        len += put;
    }
    *ret = value_text(str_make(text, len));
    return true;
}

bool fn_to_lowercase(struct allowance *w, const struct value *args, unsigned count,
                     struct value *ret)
{
    (void)count;
    return change_case(w, &args[0], char_lower, ret);
}

bool fn_to_uppercase(struct allowance *w, const struct value *args, unsigned count,
                     struct value *ret)
{
    (void)count;
    return change_case(w, &args[0], char_upper, ret);
}

struct census {
    int64_t all, spaces, capitals, small, digits;
};

static bool census(struct allowance *w, const struct value *v, struct census *ret)
{
    struct str s;
    size_t bytes;

    *ret = (struct census){0};
    if (!text_of(w, v, &s) || !work_step(w, s.len)) {
        return false;
    }
    for (; s.len > 0; s = str_skip(s, bytes)) {
        uint32_t code = char_first(s, &bytes);

        ret->all++;
        ret->spaces += code < 0x80 && is_space((char)code);
        ret->digits += code < 0x80 && byte_is_digit((char)code);
        ret->capitals += char_lower(code) != code;
        ret->small += char_upper(code) != code;
    }
    return true;
}

#define CENSUS(name, answer)                                                                       \
    bool fn_##name(struct allowance *w, const struct value *args, unsigned count,                  \
                   struct value *ret)                                                              \
    {                                                                                              \
        struct census c;                                                                           \
                                                                                                   \
        (void)count;                                                                               \
        if (!census(w, &args[0], &c)) {                                                            \
            return false;                                                                          \
        }                                                                                          \
        *ret = value_int(answer);                                                                  \
        return true;                                                                               \
    }

CENSUS(is_uppercase, c.small == 0)
CENSUS(is_lowercase, c.capitals == 0)
CENSUS(has_digits, c.digits > 0)
CENSUS(count_spaces, c.spaces)
CENSUS(count_uppercase, c.capitals)
CENSUS(count_lowercase, c.small)
CENSUS(count_chars, c.all)

bool fn_eq_ignore_case(struct allowance *w, const struct value *args, unsigned count,
                       struct value *ret)
{
    struct str a, b;

    (void)count;
    if (!two_texts(w, args, &a, &b)) {
        return false;
    }
    *ret = value_bool(str_eq_nocase(a, b));
    return true;
}

bool fn_starts_with(struct allowance *w, const struct value *args, unsigned count,
                    struct value *ret)
{
    struct str a, b;

    (void)count;
    if (!two_texts(w, args, &a, &b)) {
        return false;
    }
    *ret = value_bool(str_starts(a, b));
    return true;
}

bool fn_ends_with(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    struct str a, b;

    (void)count;
    if (!two_texts(w, args, &a, &b)) {
        return false;
    }
    *ret = value_bool(str_ends(a, b));
    return true;
}

bool fn_strip_prefix(struct allowance *w, const struct value *args, unsigned count,
                     struct value *ret)
{
    struct str a, b;

    (void)count;
    if (!two_texts(w, args, &a, &b)) {
        return false;
    }
    *ret = value_text(str_starts(a, b) ? str_skip(a, b.len) : STR_EMPTY);
    return true;
}

bool fn_strip_suffix(struct allowance *w, const struct value *args, unsigned count,
                     struct value *ret)
{
    struct str a, b;

    (void)count;
    if (!two_texts(w, args, &a, &b)) {
        return false;
    }
    *ret = value_text(str_ends(a, b) ? str_head(a, a.len - b.len) : STR_EMPTY);
    return true;
}

/* s without its first n characters. */
static struct str skip_chars(struct str s, int64_t n)
{
    size_t bytes;

    while (n-- > 0 && s.len > 0) {
        char_first(s, &bytes);
        s = str_skip(s, bytes);
    }
    return s;
}

bool fn_substring(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    struct str s, rest;

    (void)count;
    if (!text_of(w, &args[0], &s) || !work_step(w, s.len)) {
        return false;
    }
    s = skip_chars(s, value_to_int(&args[1]));
    rest = skip_chars(s, value_to_int(&args[2]));
    *ret = value_text(str_head(s, s.len - rest.len));
    return true;
}

/*
 * The pieces of s between separators, at most `splits` cuts. In two rounds: the first counts. An
 * empty separator cuts nowhere.
 */
static bool split(struct allowance *w, const struct value *args, size_t splits, struct value *ret)
{
    struct str s, sep;
    struct value *at = NULL;

    if (!two_texts(w, args, &s, &sep)) {
        return false;
    }
    for (unsigned round = 0; round < 2; round++) {
        struct str rest = s;
        size_t count = 0, cut;

        while (count < splits && sep.len > 0 && (cut = str_find_str(rest, sep)) != STR_NONE) {
            if (at != NULL) {
                at[count] = value_text(str_head(rest, cut));
            }
            count++;
            rest = str_skip(rest, cut + sep.len);
        }
        if (at != NULL) {
            at[count] = value_text(rest);
            *ret = value_list(at, count + 1);
            return true;
        }
        at = work_alloc(w, count + 1, sizeof *at);
        if (at == NULL || !work_step(w, count + 1)) {
            return false;
        }
    }
    return false;
}

bool fn_split(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    (void)count;
    return split(w, args, SIZE_MAX, ret);
}

bool fn_split_n(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    int64_t n = value_to_int(&args[2]);

    (void)count;
    return split(w, args, n > 0 ? (size_t)n : 0, ret);
}

bool fn_rsplit(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    struct value forward;
    struct value *at;

    (void)count;
    if (!split(w, args, SIZE_MAX, &forward)) {
        return false;
    }
    at = work_alloc(w, forward.list.count, sizeof *at);
    if (at == NULL) {
        return false;
    }
    for (size_t i = 0; i < forward.list.count; i++) {
        at[i] = forward.list.at[forward.list.count - 1 - i];
    }
    *ret = value_list(at, forward.list.count);
    return true;
}

static size_t find_last(struct str s, struct str sep)
{
    for (size_t i = s.len - sep.len + 1; i-- > 0;) {
        if (memcmp(s.ptr + i, sep.ptr, sep.len) == 0) {
            return i;
        }
    }
    return STR_NONE;
}

static bool split_once(struct allowance *w, const struct value *args, bool last, struct value *ret)
{
    struct str s, sep;
    struct value *at;
    size_t cut = STR_NONE;

    *ret = value_text(STR_EMPTY);
    if (!two_texts(w, args, &s, &sep)) {
        return false;
    }
    if (sep.len > 0 && sep.len <= s.len) {
        cut = last ? find_last(s, sep) : str_find_str(s, sep);
    }
    if (cut == STR_NONE) {
        return true;
    }
    at = work_alloc(w, 2, sizeof *at);
    if (at == NULL) {
        return false;
    }
    at[0] = value_text(str_head(s, cut));
    at[1] = value_text(str_skip(s, cut + sep.len));
    *ret = value_list(at, 2);
    return true;
}

bool fn_split_once(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    (void)count;
    return split_once(w, args, false, ret);
}

bool fn_rsplit_once(struct allowance *w, const struct value *args, unsigned count,
                    struct value *ret)
{
    (void)count;
    return split_once(w, args, true, ret);
}

/* A line without its end; *rest becomes what follows. */
static struct str take_line(struct str *rest)
{
    struct str line;

    if (str_cut(rest, '\n', &line) && line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

bool fn_lines(struct allowance *w, const struct value *args, unsigned count, struct value *ret)
{
    struct str s, rest;
    size_t n = 0;
    struct value *at;

    (void)count;
    if (!text_of(w, &args[0], &s)) {
        return false;
    }
    for (rest = s; rest.len > 0; n++) {
        take_line(&rest);
    }
    at = work_alloc(w, n, sizeof *at);
    if (at == NULL || !work_step(w, n)) {
        return false;
    }
    n = 0;
    for (rest = s; rest.len > 0;) {
        at[n++] = value_text(take_line(&rest));
    }
    *ret = value_list(at, n);
    return true;
}

/* The next run of bytes that are no white space; empty at the end. */
static struct str take_word(struct str *rest)
{
    size_t from = 0, to;

    while (from < rest->len && is_space(rest->ptr[from])) {
        from++;
    }
    to = from;
    while (to < rest->len && !is_space(rest->ptr[to])) {
        to++;
    }
    struct str word = str_make(rest->ptr + from, to - from);

    *rest = str_skip(*rest, to);
    return word;
}

static bool is_plain_word(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!byte_is_alnum(s.ptr[i]) && (s.ptr[i] & 0x80) == 0) {
            return false;
        }
    }
    return s.len > 0;
}

bool fn_split_words(struct allowance *w, const struct value *args, unsigned count,
                    struct value *ret)
{
    struct str s, rest, word;
    size_t n = 0;
    struct value *at;

    (void)count;
    if (!text_of(w, &args[0], &s)) {
        return false;
    }
    for (rest = s; (word = take_word(&rest)).len > 0;) {
        n += is_plain_word(word);
    }
    at = work_alloc(w, n, sizeof *at);
    if (at == NULL || !work_step(w, n)) {
        return false;
    }
    n = 0;
    for (rest = s; (word = take_word(&rest)).len > 0;) {
        if (is_plain_word(word)) {
            at[n++] = value_text(word);
        }
    }
    *ret = value_list(at, n);
    return true;
}
