#include "config/hint.h"

#include "base/check.h"

/* Keys whose values are expressions. */
static const struct str expression_keys[] = {
    STR_INIT("if"),    STR_INIT("then"),   STR_INIT("else"),
    STR_INIT("match"), STR_INIT("enable"), STR_INIT("fair-by"),
};

struct found {
    struct str before, expression, after; /* together the whole line */
};

static bool starts_key(struct str line, size_t at)
{
    return at == 0 || line.ptr[at - 1] == ' ' || line.ptr[at - 1] == '{' ||
           line.ptr[at - 1] == ',' || line.ptr[at - 1] == '-';
}

/* The last of the keys that begins before byte `limit`: where its value begins, or STR_NONE. */
static size_t value_begin(struct str line, size_t limit)
{
    for (size_t i = limit < line.len ? limit : line.len; i-- > 0;) {
        for (size_t k = 0; starts_key(line, i) && k < COUNT_OF(expression_keys); k++) {
            struct str key = expression_keys[k], here = str_skip(line, i);

            if (str_starts(here, key) && str_starts(str_skip(here, key.len), STR(": "))) {
                return i + key.len + 2;
            }
        }
    }
    return STR_NONE;
}

/* Where the expression ends that begins at `rest`: before the next key of the same map, before
 * the brace that closes it, or at the end of the line. */
static size_t expression_len(struct str rest, bool in_braces)
{
    static const struct str next[] = {STR_INIT("use:"), STR_INIT("then:"), STR_INIT("else:"),
                                      STR_INIT("if:")};

    for (size_t i = 0; in_braces && i < rest.len; i++) {
        struct str behind = str_trim(str_skip(rest, i + 1));

        for (size_t k = 0; rest.ptr[i] == ',' && k < COUNT_OF(next); k++) {
            if (str_starts(behind, next[k])) {
                return i;
            }
        }
    }
    if (in_braces) {
        size_t brace = str_find(rest, '}');

        return brace == STR_NONE ? rest.len : brace;
    }
    return rest.len;
}

static bool find_expression(struct str line, uint32_t col, struct found *ret)
{
    size_t begin = value_begin(line, col);

    if (begin == STR_NONE) {
        begin = value_begin(line, line.len);
    }
    if (begin == STR_NONE) {
        return false;
    }
    struct str head = str_head(line, begin), rest = str_skip(line, begin);
    size_t open = str_rfind(head, '{'), closed = str_rfind(head, '}');
    bool in_braces = open != STR_NONE && (closed == STR_NONE || closed < open);
    size_t len = expression_len(rest, in_braces);

    ret->before = head;
    ret->expression = str_trim_ws(str_head(rest, len));
    ret->after = str_skip(rest, len);
    return ret->expression.len > 0;
}

void hint_quoted(struct str s, struct buf *out)
{
    if (str_find(s, '\'') != STR_NONE && str_find(s, '"') == STR_NONE &&
        str_find(s, '\\') == STR_NONE) {
        buf_printf(out, "\"%.*s\"", STR_ARG(s));
        return;
    }
    buf_byte(out, '\'');
    for (size_t i = 0; i < s.len; i++) {
        buf_put(out, s.ptr[i] == '\'' ? STR("''") : str_make(s.ptr + i, 1));
    }
    buf_byte(out, '\'');
}

/* 'x' and "x" are quoted already; 'a' == 'b' is not. */
static bool is_quoted(struct str s)
{
    char q = s.len >= 2 ? s.ptr[0] : ' ';

    return (q == '\'' || q == '"') && s.ptr[s.len - 1] == q &&
           str_find(str_make(s.ptr + 1, s.len - 2), q) == STR_NONE;
}

static bool hint_at(struct faults *f, struct position at)
{
    struct str line = faults_line(f, at.file, at.line);
    struct buf fixed BUF_LOCAL = {0};
    struct found found;

    if (!find_expression(line, at.col, &found) || is_quoted(found.expression)) {
        return false;
    }
    struct str before = str_trim(found.before);

    buf_put(&fixed, before);
    buf_byte(&fixed, ' ');
    hint_quoted(found.expression, &fixed);
    buf_put(&fixed, found.after.len > 0 && found.after.ptr[0] == '}' ? STR(" ") : STR(""));
    buf_put(&fixed, found.after);
    fault_hint(f, "put the expression in quotes: %.*s", STR_ARG(buf_str(&fixed)));
    return true;
}

void hint_expression_at(struct faults *f, struct position at)
{
    if (!hint_at(f, at)) {
        fault_hint(f, "an expression is a text: put it in quotes");
    }
}

void hint_syntax_at(struct faults *f, struct position at)
{
    hint_at(f, at);
}

void hint_word_try(struct hint_words *w, struct str candidate)
{
    unsigned distance = str_distance(w->given, candidate);

    if (w->best.ptr == NULL || distance < w->distance) {
        w->best = candidate;
        w->distance = distance;
    }
}

bool hint_word_found(const struct hint_words *w)
{
    size_t most = w->given.len / 3 < 2 ? 2 : w->given.len / 3;

    /* Half a short word is no resemblance. */
    return w->best.ptr != NULL && w->distance <= most && w->distance * 2 <= w->given.len + 1;
}
