/*
 * Random programs, each written twice: with literals, which are computed at load, and with
 * variables that hold the same values, which are computed when run. Both must come to the same, and
 * twice to the same.
 */
#include "base/buf.h"
#include "base/check.h"
#include "expr/expr.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { DEPTH_MAX = 6, NODES_MAX = 60 };

struct choice {
    const uint8_t *bytes;
    size_t len;
    unsigned nodes;
};

/* What a literal is as text, and as the value of the variable that stands for it. */
static const struct {
    const char *text, *variable;
    struct value value;
} atoms[] = {
    {"0", "v0", {.type = VALUE_INT, .num = 0}},
    {"1", "v1", {.type = VALUE_INT, .num = 1}},
    {"9223372036854775807", "v2", {.type = VALUE_INT, .num = INT64_MAX}},
    {"2.5", "v3", {.type = VALUE_REAL, .real = 2.5}},
    {"''", "v4", {.type = VALUE_TEXT, .text = STR_INIT("")}},
    {"'a.b@C.example'", "v5", {.type = VALUE_TEXT, .text = STR_INIT("a.b@C.example")}},
    {"'12'", "v6", {.type = VALUE_TEXT, .text = STR_INIT("12")}},
    {"5m", "v7", {.type = VALUE_MS, .num = 300000}},
    {"'.'", "v8", {.type = VALUE_TEXT, .text = STR_INIT(".")}},
    {"'10.0.0.1'", "v9", {.type = VALUE_TEXT, .text = STR_INIT("10.0.0.1")}},
};

static const struct {
    const char *name;
    unsigned args;
} calls[] = {
    {"count", 1},
    {"sort", 2},
    {"dedup", 1},
    {"winnow", 1},
    {"is_intersect", 2},
    {"is_email", 1},
    {"is_empty", 1},
    {"is_number", 1},
    {"is_ip_addr", 1},
    {"ip_reverse_name", 1},
    {"trim", 1},
    {"len", 1},
    {"to_uppercase", 1},
    {"is_lowercase", 1},
    {"count_chars", 1},
    {"contains", 2},
    {"starts_with", 2},
    {"lines", 1},
    {"substring", 3},
    {"strip_prefix", 2},
    {"split", 2},
    {"rsplit", 2},
    {"split_once", 2},
    {"rsplit_once", 2},
    {"split_n", 3},
    {"split_words", 1},
    {"if_then", 3},
    {"eq_ignore_case", 2},
    {"strip_suffix", 2},
    {"has_digits", 1},
    {"contains_ignore_case", 2},
};

static const char *const operators[] = {
    "||", "&&", "^", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/"};

static unsigned choose(struct choice *c, unsigned of)
{
    unsigned n = c->len > 0 ? c->bytes[0] % of : 0;

    if (c->len > 0) {
        c->bytes++;
        c->len--;
    }
    return n;
}

static void put_both(struct buf both[2], const char *text)
{
    buf_put(&both[0], str_of(text));
    buf_put(&both[1], str_of(text));
}

static void write_node(struct choice *c, unsigned depth, struct buf both[2])
{
    unsigned what = choose(c, 8), n;

    if (depth == DEPTH_MAX || c->nodes++ > NODES_MAX || what < 2 || c->len == 0) {
        n = choose(c, COUNT_OF(atoms));
        buf_put(&both[0], str_of(atoms[n].text));
        buf_put(&both[1], str_of(atoms[n].variable));
        return;
    }
    if (what == 2) {
        put_both(both, choose(c, 2) == 0 ? "!" : "-");
        write_node(c, depth + 1, both);
        return;
    }
    if (what == 3 || what == 4) {
        put_both(both, "[");
        for (n = choose(c, 4); n > 0; n--) {
            write_node(c, depth + 1, both);
            put_both(both, n > 1 ? "," : "");
        }
        put_both(both, "]");
        return;
    }
    if (what == 5) {
        n = choose(c, COUNT_OF(calls));
        put_both(both, calls[n].name);
        for (unsigned i = 0; i < calls[n].args; i++) {
            put_both(both, i == 0 ? "(" : ",");
            write_node(c, depth + 1, both);
        }
        put_both(both, ")");
        return;
    }
    put_both(both, "(");
    write_node(c, depth + 1, both);
    put_both(both, operators[choose(c, COUNT_OF(operators))]);
    write_node(c, depth + 1, both);
    put_both(both, choose(c, 4) == 0 ? ")[1]" : ")");
}

static struct value get(void *ctx, unsigned id)
{
    (void)ctx;
    return atoms[id].value;
}

static bool run(enum expr_wants wants, struct str text, struct arena *a, struct value *ret)
{
    struct expr_variable variables[COUNT_OF(atoms)];
    struct expr_scope scope = {.place = "a test",
                               .variables = variables,
                               .variable_count = COUNT_OF(variables),
                               .present = UINT64_MAX};
    struct patterns patterns PATTERNS_LOCAL = {0};
    struct expr_problems problems = {0};
    struct expr_input input = {.get = get};
    struct expr_result r, again;
    const struct program *p;

    for (unsigned i = 0; i < COUNT_OF(atoms); i++) {
        variables[i] = (struct expr_variable){
            .name = atoms[i].variable, .type = EXPR_TEXT, .id = i};
    }
    if (expr_compile(&scope, wants, text, a, &patterns, &p, &problems).code != OK) {
        return false;
    }
    expr_eval(p, &input, NULL, a, &r);
    expr_eval(p, &input, NULL, a, &again);
    must(r.status == again.status);
    must(r.status == EXPR_VALUE || r.status == EXPR_NO_VALUE || r.status == EXPR_FAILED);
    if (r.status != EXPR_VALUE) {
        return false;
    }
    must(r.value.type == again.value.type);
    must(value_eq(&r.value, &again.value));
    *ret = r.value;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct choice c = {bytes, len, 0};
    struct buf literals BUF_LOCAL = {0}, named BUF_LOCAL = {0};
    struct buf both[2] = {literals, named};
    struct arena a ARENA_LOCAL = {0};
    struct value early, late;
    enum expr_wants wants = choose(&c, EXPR_WANTS_LIST + 1);

    write_node(&c, 0, both);
    literals = both[0];
    named = both[1];
    if (run(wants, buf_str(&literals), &a, &early) && run(wants, buf_str(&named), &a, &late)) {
        must(early.type == late.type);
        must(value_eq(&early, &late));
    }
    return 0;
}
