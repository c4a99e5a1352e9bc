/*
 * docs/expressions.md keeps its word: its configurations are good, its expressions give what it
 * says, and its tables have every variable and function there is.
 */
#include "../unit.h"
#include "base/check.h"
#include "lookup/settings.h"
#include "strategy/ask.h"
#include "tls/digest.h"

static const struct setting_table *const tables[] = {
    &virtual_table,         &schedule_table, &route_table,    &connection_table,
    &source_ip_table,       &tls_table,      &strategy_table, &limiter_table,
    &visitor_limiter_table, &quota_table,    &lookup_table,   &meta_table};

static enum expr_local is_local(void *ctx, struct str directory, struct str domain)
{
    (void)ctx, (void)directory;
    return str_eq(domain, STR("here.example")) ? EXPR_LOCAL_YES : EXPR_LOCAL_NO;
}

static size_t digest(void *ctx, struct str algorithm, struct str bytes, uint8_t out[64])
{
    (void)ctx;
    return digest_of(algorithm, bytes, out);
}

static struct strategy_services services = {
    .expr = {.is_local_domain = is_local, .is_local_address = is_local, .digest = digest},
    .hostname = STR_INIT("mx.here.example")};
static char manual_bytes[256 * 1024];
static struct str manual;

static int read_manual(void **state)
{
    FILE *file = fopen(MANUAL, "rb");
    size_t len;

    (void)state;
    if (file == NULL) {
        return -1;
    }
    len = fread(manual_bytes, 1, sizeof manual_bytes, file);
    fclose(file);
    manual = str_make(manual_bytes, len);
    services.expr.lookups = ask_offers();
    return len == 0 || len == sizeof manual_bytes;
}

/* The next block ``` of that language. */
static bool block_next(struct str *rest, const char *language, struct str *ret)
{
    char head[32];
    size_t at, end;

    (void)snprintf(head, sizeof head, "```%s\n", language);
    at = str_find_str(*rest, str_of(head));
    if (at == STR_NONE) {
        return false;
    }
    *rest = str_skip(*rest, at + strlen(head));
    end = str_find_str(*rest, STR("\n```"));
    assert_int_not_equal(end, STR_NONE);
    *ret = str_head(*rest, end + 1);
    *rest = str_skip(*rest, end + 4);
    return true;
}

static void its_configurations_are_good(void **state)
{
    struct str rest = manual, block;
    unsigned blocks = 0;

    while (block_next(&rest, "yaml", &block)) {
        struct config_options o = {.tables = tables, .table_count = COUNT_OF(tables), .number = 1};
        struct faults faults = {0};
        struct buf out BUF_LOCAL = {0};
        struct config *cfg;
        struct plan *p;

        o.is_check = true; /* its files are not here */
        cfg = config_parse(&o, STR("expressions.md"), block, &faults);
        p = cfg == NULL ? NULL : strategy_compile(cfg, &services, &faults);
        if (p == NULL) {
            faults_print(&faults, &out);
            print_error("%.*s", STR_ARG(buf_str(&out)));
        }
        assert_non_null(p);
        plan_give(p);
        config_give(cfg);
        faults_done(&faults);
        blocks++;
    }
    assert_in_range(blocks, 2, 50);
    (void)state;
}

struct sample {
    struct message message;
    struct recipient to[2];
    struct subject subject;
};

static struct value get(void *ctx, unsigned id)
{
    static struct arena a;

    return variable_value(&((struct sample *)ctx)->subject, id, &a);
}

static void prepare(struct sample *s)
{
    s->to[0] = (struct recipient){.address = STR("B@hub.example"), .state.queue = STR("remote")};
    s->to[1] = (struct recipient){.address = STR("c@hub.example")};
    s->message = (struct message){.sender = STR("a@from.example"),
                                  .client_ip = STR("192.0.2.1"),
                                  .arrived = {1000},
                                  .to = s->to,
                                  .to_count = 2};
    s->subject = (struct subject){
        .message = &s->message, .recipient = s->to, .facts = {.now = {61000}, .mx = STR_EMPTY}};
}

/* What the expression comes to, as the manual writes it. */
static void evaluate(struct str text, struct buf *out)
{
    struct arena a ARENA_LOCAL = {0};
    struct patterns patterns = {0};
    struct expr_problems problems = {0};
    struct captures captures = {0};
    const struct program *program = NULL;
    struct expr_scope scope;
    struct expr_result r;
    struct sample s;

    prepare(&s);
    strategy_scope(STRATEGY_TLS, &services, &scope);
    if (expr_compile(&scope, EXPR_WANTS_ANY, text, &a, &patterns, &program, &problems).code != OK) {
        buf_printf(out, "error: %.*s",
                   STR_ARG(problems.first != NULL ? problems.first->message : STR_EMPTY));
    } else {
        struct expr_input input = {get, &s, &services.expr, &captures};

        switch (expr_eval(program, &input, NULL, &a, &r)) {
        case EXPR_VALUE:
            value_print(out, &r.value);
            break;
        case EXPR_NEED:
            buf_put(out, STR("look-up"));
            break;
        case EXPR_NO_VALUE:
        case EXPR_FAILED:
            buf_printf(out, "failed: %s", r.why);
        }
    }
    patterns_done(&patterns);
}

static void its_expressions_give_what_it_says(void **state)
{
    struct str rest = manual, block, line;
    unsigned count = 0;

    while (block_next(&rest, "expression", &block)) {
        while (block.len > 0) {
            struct buf got BUF_LOCAL = {0};
            size_t end;

            str_cut(&block, '\n', &line);
            end = str_find_str(line, STR("' "));
            while (str_find_str(str_skip(line, end + 1), STR("' ")) != STR_NONE &&
                   str_find_str(str_skip(line, end + 1), STR("' ")) <
                       str_find_str(str_skip(line, end + 1), STR(" = "))) {
                end += 1 + str_find_str(str_skip(line, end + 1), STR("' "));
            }
            assert_int_equal(line.ptr[0], '\'');
            assert_int_not_equal(end, STR_NONE);

            struct str want = str_trim(str_skip(line, end + 1));

            assert_true(str_starts(want, STR("= ")));
            evaluate(str_make(line.ptr + 1, end - 1), &got);
            if (!str_eq(buf_str(&got), str_skip(want, 2))) {
                print_error("%.*s: it gives %.*s\n", STR_ARG(line), STR_ARG(buf_str(&got)));
                fail();
            }
            count++;
        }
    }
    assert_in_range(count, 30, 1000);
    (void)state;
}

static void expect_in_manual(const char *what)
{
    if (str_find_str(manual, str_of(what)) == STR_NONE) {
        print_error("docs/expressions.md does not speak of %s\n", what);
        fail();
    }
}

static void its_table_has_every_variable_and_no_other(void **state)
{
    struct str from = str_skip(manual, str_find_str(manual, STR("\n## Variables"))), line;
    unsigned rows = 0, variables = 0;

    for (unsigned id = 0; variable_name(id) != NULL; id++, variables++) {
        char row[64];

        (void)snprintf(row, sizeof row, "\n| `%s` |", variable_name(id));
        expect_in_manual(row);
    }
    from = str_head(from, str_find_str(from, STR("\n## Functions")));
    while (from.len > 0) {
        str_cut(&from, '\n', &line);
        rows += str_starts(line, STR("| `"));
    }
    assert_int_equal(rows, variables);
    (void)state;
}

static void its_tables_have_every_function(void **state)
{
    static const char *const names[] = {
#define PURE(name, least, most, kinds, choices)   #name,
#define EACH(name, least, most, kinds, choices)   #name,
#define DIGEST(name, least, most, kinds, choices) #name,
#define REFUSED(name, why)                        #name,
#define LOOKUP(name, least, most, kinds, choices) #name,
#define LOCAL(name, least, most, kinds, choices)  #name,
#include "expr/functions.def"
    };

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char call[64];

        (void)snprintf(call, sizeof call, "`%s(", names[i]);
        expect_in_manual(call);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_configurations_are_good),
        cmocka_unit_test(its_expressions_give_what_it_says),
        cmocka_unit_test(its_table_has_every_variable_and_no_other),
        cmocka_unit_test(its_tables_have_every_function),
    };

    return cmocka_run_group_tests(tests, read_manual, NULL);
}
