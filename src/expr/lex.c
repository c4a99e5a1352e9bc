#include "expr/lex.h"

#include "base/check.h"

static bool is_name_byte(char c)
{
    return byte_is_alnum(c) || c == '_' || c == '.' || c == '$';
}

static bool bad(struct token *t, const char *error, const char *suggestion)
{
    t->type = TOKEN_BAD;
    t->error = error;
    t->suggestion = suggestion;
    return false;
}

static void lex_text(struct str text, struct token *t)
{
    char quote = text.ptr[t->at];
    size_t i = t->at + 1;

    while (i < text.len && text.ptr[i] != quote) {
        i += text.ptr[i] == '\\' ? 2 : 1;
    }
    if (i >= text.len) {
        t->end = text.len;
        bad(t, "this quote is never closed", NULL);
        return;
    }
    t->type = TOKEN_TEXT;
    t->raw = str_make(text.ptr + t->at + 1, i - t->at - 1);
    t->end = i + 1;
}

/* The multiple a size's unit stands for, or 0. */
static int64_t size_unit(struct str unit)
{
    static const struct {
        struct str name;
        int64_t bytes;
    } units[] = {
        {STR_INIT("KB"), 1000},     {STR_INIT("MB"), 1000000},  {STR_INIT("GB"), 1000000000},
        {STR_INIT("KiB"), 1 << 10}, {STR_INIT("MiB"), 1 << 20}, {STR_INIT("GiB"), 1 << 30},
    };

    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (str_eq(unit, units[i].name)) {
            return units[i].bytes;
        }
    }
    return 0;
}

static bool lex_number(struct token *t)
{
    size_t digits = 0;
    int64_t n, unit;

    t->type = TOKEN_NUMBER;
    while (digits < t->raw.len && byte_is_digit(t->raw.ptr[digits])) {
        digits++;
    }
    if (digits == t->raw.len) {
        if (!str_to_i64(t->raw, &n)) {
            return bad(t, "this number does not fit in 64 bits", NULL);
        }
        t->value = value_int(n);
        return true;
    }
    if (t->raw.ptr[digits] == '.') {
        return (digits + 1 < t->raw.len && value_parse(t->raw, &t->value)) ||
               bad(t, "this is no number", NULL);
    }
    unit = size_unit(str_skip(t->raw, digits));
    if (unit > 0) {
        if (!str_to_i64(str_head(t->raw, digits), &n) || __builtin_mul_overflow(n, unit, &n)) {
            return bad(t, "this size does not fit in 64 bits", NULL);
        }
        t->value = value_int(n);
        return true;
    }
    if (!value_parse_duration(t->raw, &n)) {
        return bad(t, "this is neither a number nor a duration nor a size",
                   "durations look like 90s, 5m or 1d12h (ms s m h d w), sizes like 64KiB or 25MB");
    }
    t->value = (struct value){.type = VALUE_MS, .num = n};
    return true;
}

static void lex_word(struct str text, struct token *t)
{
    uint64_t n;

    while (t->end < text.len && is_name_byte(text.ptr[t->end])) {
        t->end++;
    }
    t->raw = str_make(text.ptr + t->at, t->end - t->at);
    if (byte_is_digit(t->raw.ptr[0]) || t->raw.ptr[0] == '.') {
        lex_number(t);
        return;
    }
    if (t->raw.ptr[0] == '$') {
        if (!str_to_u64(str_skip(t->raw, 1), &n) || n > 99) {
            bad(t,
                "after $ stands the number of a group: $0 is the whole match, $1 its first group",
                NULL);
            return;
        }
        t->type = TOKEN_CAPTURE;
        t->value = value_int((int64_t)n);
        return;
    }
    t->type = TOKEN_NAME;
}

static bool lex_mark(struct str text, struct token *t)
{
    static const struct {
        struct str mark;
        enum token_type type;
        enum value_op op;
    } marks[] = {
        /* longer ones first */
        {STR_INIT("||"), TOKEN_OP, OP_OR},        {STR_INIT("&&"), TOKEN_OP, OP_AND},
        {STR_INIT("=="), TOKEN_OP, OP_EQ},        {STR_INIT("!="), TOKEN_OP, OP_NE},
        {STR_INIT("<="), TOKEN_OP, OP_LE},        {STR_INIT("=<"), TOKEN_OP, OP_LE},
        {STR_INIT(">="), TOKEN_OP, OP_GE},        {STR_INIT("=>"), TOKEN_OP, OP_GE},
        {STR_INIT("|"), TOKEN_OP, OP_OR},         {STR_INIT("&"), TOKEN_OP, OP_AND},
        {STR_INIT("^"), TOKEN_OP, OP_XOR},        {STR_INIT("="), TOKEN_OP, OP_EQ},
        {STR_INIT("<"), TOKEN_OP, OP_LT},         {STR_INIT(">"), TOKEN_OP, OP_GT},
        {STR_INIT("+"), TOKEN_OP, OP_ADD},        {STR_INIT("-"), TOKEN_OP, OP_SUB},
        {STR_INIT("*"), TOKEN_OP, OP_MUL},        {STR_INIT("/"), TOKEN_OP, OP_DIV},
        {STR_INIT("!"), TOKEN_NOT, OP_OR},        {STR_INIT("("), TOKEN_OPEN, OP_OR},
        {STR_INIT(")"), TOKEN_CLOSE, OP_OR},      {STR_INIT("["), TOKEN_LIST_OPEN, OP_OR},
        {STR_INIT("]"), TOKEN_LIST_CLOSE, OP_OR}, {STR_INIT(","), TOKEN_COMMA, OP_OR},
    };
    struct str rest = str_skip(text, t->at);

    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        if (str_starts(rest, marks[i].mark)) {
            t->type = marks[i].type;
            t->op = marks[i].op;
            t->end = t->at + marks[i].mark.len;
            t->raw = str_head(rest, marks[i].mark.len);
            return true;
        }
    }
    return false;
}

static void lex_stray(struct str text, struct token *t)
{
    struct str rest = str_skip(text, t->at);

    t->end = t->at + 1;
    if (str_starts(rest, STR("\xe2\x80\x9c")) || str_starts(rest, STR("\xe2\x80\x9d")) ||
        str_starts(rest, STR("\xe2\x80\x98")) || str_starts(rest, STR("\xe2\x80\x99"))) {
        bad(t, "this is a printer's quote", "write plain quotes, ' or \"");
    } else if (rest.ptr[0] == '{' || rest.ptr[0] == '}') {
        bad(t, "braces have no meaning here", NULL);
    } else if (rest.ptr[0] == '%') {
        bad(t, "there is no operator %", NULL);
    } else {
        bad(t, "this character has no meaning here", NULL);
    }
}

struct token lex_next(struct str text, size_t at)
{
    struct token t = {.type = TOKEN_END};

    while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t' || text.ptr[at] == '\r' ||
                             text.ptr[at] == '\n')) {
        at++;
    }
    t.at = t.end = at;
    t.raw = str_skip(text, at);
    t.raw.len = 0;
    if (at >= text.len) {
        return t;
    }
    if (text.ptr[at] == '\'' || text.ptr[at] == '"') {
        lex_text(text, &t);
    } else if (is_name_byte(text.ptr[at])) {
        lex_word(text, &t);
    } else if (!lex_mark(text, &t)) {
        lex_stray(text, &t);
    }
    return t;
}

struct str lex_unescape(struct arena *a, struct str raw)
{
    char *at;
    size_t len = 0;

    if (str_find(raw, '\\') == STR_NONE) {
        return raw;
    }
    at = arena_alloc(a, raw.len);
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];

        if (c == '\\' && i + 1 < raw.len) {
            c = raw.ptr[++i];
            c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
        }
        at[len++] = c;
    }
    return str_make(at, len);
}
