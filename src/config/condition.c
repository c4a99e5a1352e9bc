#include "config/condition.h"

/* Cuts the part before the first `op` that stands outside of quotes and brackets; & is && too, and
 * | is ||. */
static bool cut(struct str *rest, char op, struct str *part)
{
    struct str s = *rest;
    int depth = 0;
    char quote = 0;

    if (s.ptr == NULL) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (quote != 0) {
            i += c == '\\';
            quote = c == quote ? 0 : quote;
        } else if (c == '\'' || c == '"') {
            quote = c;
        } else if (c == '(' || c == '[') {
            depth++;
        } else if (c == ')' || c == ']') {
            depth--;
        } else if (depth == 0 && c == op) {
            *part = str_trim_ws(str_head(s, i));
            *rest = str_skip(s, i + (i + 1 < s.len && s.ptr[i + 1] == op ? 2 : 1));
            return true;
        }
    }
    *part = str_trim_ws(s);
    *rest = (struct str){0};
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The same but for blanks outside of quotes. */
static bool is_same(struct str a, struct str b)
{
    size_t i = 0, k = 0;
    char quote = 0;

    for (;; i++, k++) {
        while (quote == 0 && i < a.len && is_blank(a.ptr[i])) {
            i++;
        }
        while (quote == 0 && k < b.len && is_blank(b.ptr[k])) {
            k++;
        }
        if (i >= a.len || k >= b.len) {
            return i >= a.len && k >= b.len;
        }
        if (a.ptr[i] != b.ptr[k]) {
            return false;
        }
        if (quote != 0) {
            quote = a.ptr[i] == quote ? 0 : quote;
        } else if (a.ptr[i] == '\'' || a.ptr[i] == '"') {
            quote = a.ptr[i];
        }
    }
}

/* Whether all that `wide` asks for is among what `narrow` asks for; both without `||`. */
static bool asks_for_all(struct str narrow, struct str wide)
{
    struct str wanted, given;

    while (cut(&wide, '&', &wanted)) {
        struct str rest = narrow;
        bool found = false;

        while (!found && cut(&rest, '&', &given)) {
            found = is_same(given, wanted);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

bool condition_implies(struct str narrow, struct str wide)
{
    struct str alternative, other;

    if (str_find_str(narrow, STR("counter_incr")) != STR_NONE) {
        return false;
    }
    while (cut(&narrow, '|', &alternative)) {
        struct str rest = wide;
        bool found = false;

        while (!found && cut(&rest, '|', &other)) {
            found = asks_for_all(alternative, other);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}
