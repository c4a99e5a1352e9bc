/* Values and look-ups as one would write them in an expression. */
#include "base/check.h"
#include "expr/case.h"
#include "expr/expr.h"

static void print_text(struct buf *out, struct str s)
{
    size_t bytes;

    buf_byte(out, '\'');
    for (; s.len > 0; s = str_skip(s, bytes)) {
        uint32_t code = char_first(s, &bytes);
        bool is_stray = bytes == 1 && (s.ptr[0] & 0x80) != 0;

        if (code == '\'' || code == '\\') {
            buf_printf(out, "\\%c", (int)code);
        } else if (code == '\n' || code == '\r' || code == '\t') {
            buf_printf(out, "\\%c", code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
        } else if (is_stray || code < ' ' || code == 0x7f) {
            buf_printf(out, "\\x%02x", (unsigned)(unsigned char)s.ptr[0]);
        } else if (code >= 0x80 && code < 0xa0) { /* controls of two bytes */
            buf_printf(out, "\\x%02x", (unsigned)code);
        } else {
            buf_put(out, str_head(s, bytes));
        }
    }
    buf_byte(out, '\'');
}

static void print_duration(struct buf *out, int64_t ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;

    buf_put(out, ms < 0 ? STR("-") : ms == 0 ? STR("0s") : STR_EMPTY);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (left >= units[i].ms) {
            buf_printf(out, "%llu%s", (unsigned long long)(left / units[i].ms), units[i].name);
            left %= units[i].ms;
        }
    }
}

static void print_number(struct buf *out, const struct value *v)
{
    struct arena a ARENA_LOCAL = {0};
    struct allowance w = work_of(&a);
    struct str s = STR_EMPTY;

    must(value_to_text(&w, v, &s)); /* some forty bytes */
    buf_put(out, s);
}

void value_print(struct buf *out, const struct value *v)
{
    switch (v->type) {
    case VALUE_TEXT:
        print_text(out, v->text);
        return;
    case VALUE_INT:
    case VALUE_REAL:
        print_number(out, v);
        return;
    case VALUE_DURATION:
    case VALUE_MS:
        print_duration(out, v->num);
        return;
    case VALUE_LIST:
        break;
    }
    buf_byte(out, '[');
    for (size_t i = 0; i < v->list.count; i++) {
        buf_put(out, i > 0 ? STR(", ") : STR_EMPTY);
        value_print(out, &v->list.at[i]);
    }
    buf_byte(out, ']');
}

void expr_lookup_print(struct buf *out, const struct expr_lookup *lookup)
{
    buf_put(out, str_of(expr_lookup_name(lookup->kind)));
    buf_byte(out, '(');
    for (unsigned i = 0; i < lookup->arg_count; i++) {
        buf_put(out, i > 0 ? STR(", ") : STR_EMPTY);
        value_print(out, &lookup->args[i]);
    }
    buf_byte(out, ')');
}

void expr_answers_print(struct buf *out, const struct expr_answers *answers)
{
    for (const struct expr_answer *n = answers->first; n != NULL; n = n->next) {
        expr_lookup_print(out, &n->lookup);
        if (n->err.code == OK) {
            buf_put(out, STR(" = "));
            value_print(out, &n->value);
        } else {
            buf_printf(out, " failed: %.*s",
                       STR_ARG(n->why.len > 0 ? n->why : str_of(err_text(n->err.code))));
        }
        buf_byte(out, '\n');
    }
}
