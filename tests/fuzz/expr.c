/* The parser of expressions: any bytes compile or are refused with a place inside the text; what
 * compiles also runs, with every look-up answered. */
#include "expr/expr.h"

#include "base/check.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const char *const words[] = {"dsn", "report", NULL};
static const struct expr_variable variables[] = {
    {"sender", EXPR_TEXT, 0, false, NULL},        {"retry_num", EXPR_INT, 1, false, NULL},
    {"queue_age", EXPR_DURATION, 2, false, NULL}, {"recipients", EXPR_LIST, 3, false, NULL},
    {"source", EXPR_TEXT, 4, false, words},       {"mx", EXPR_TEXT, 5, true, NULL},
};

static struct value get(void *ctx, unsigned id)
{
    static const struct value list[] = {{.type = VALUE_TEXT, .text = STR_INIT("a@b.example")},
                                        {.type = VALUE_INT, .num = 7}};

    (void)ctx;
    switch (id) {
    case 1:
        return value_int(3);
    case 2:
        return value_duration(90000);
    case 3:
        return value_list(list, 2);
    case 4:
        return value_text(STR("dsn"));
    default:
        return value_text(STR("user@sender.example"));
    }
}

static enum expr_local is_local(void *ctx, struct str directory, struct str domain)
{
    (void)ctx;
    (void)directory;
    return domain.len % 3 == 0   ? EXPR_LOCAL_NO
           : domain.len % 3 == 1 ? EXPR_LOCAL_YES
                                 : EXPR_LOCAL_ASK;
}

static size_t digest(void *ctx, struct str algorithm, struct str text, uint8_t out[64])
{
    (void)ctx;
    out[0] = (uint8_t)text.len;
    return algorithm.len % 2;
}

static const struct expr_services services = {
    .is_local_domain = is_local,
    .is_local_address = is_local,
    .digest = digest,
    .lookups = UINT32_MAX,
};

static void run(const struct program *p, struct arena *a)
{
    struct captures captures = {0};
    struct expr_input input = {.get = get, .services = &services, .captures = &captures};
    struct expr_answers answers = {0};
    struct expr_result r;
    struct buf printed BUF_LOCAL = {.max = 1 << 16};

    while (expr_eval(p, &input, &answers, a, &r) == EXPR_NEED) {
        struct value v = get(NULL, answers.count % 4);

        if (!expr_answers_add(&answers, a, &r.lookup, &v, ERR_OK)) {
            return;
        }
    }
    must(r.status == EXPR_VALUE || r.why != NULL);
    if (r.status == EXPR_VALUE) {
        value_print(&printed, &r.value);
        must(printed.len > 0);
    }
    for (unsigned i = 0; i < captures.count; i++) {
        must(captures.at[i].len == 0 || captures.at[i].ptr != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const char *const constants[] = {"optional", "require", "false", NULL};
    struct expr_scope scope = {.place = "a test",
                               .variables = variables,
                               .variable_count = COUNT_OF(variables),
                               .present = UINT64_MAX,
                               .constants = constants,
                               .services = &services};
    struct arena a ARENA_LOCAL = {0};
    struct patterns patterns PATTERNS_LOCAL = {0};
    struct expr_problems problems = {0};
    const struct program *p = NULL;
    struct str text;
    enum expr_wants wants = len > 0 ? bytes[0] % (EXPR_WANTS_CONSTANT + 1) : EXPR_WANTS_ANY;

    text = len > 0 ? str_make((const char *)bytes + 1, len - 1) : STR_EMPTY;
    if (expr_compile(&scope, wants, text, &a, &patterns, &p, &problems).code == OK) {
        must(p != NULL);
        run(p, &a);
    } else {
        must(problems.first != NULL);
    }
    for (const struct expr_problem *each = problems.first; each != NULL; each = each->next) {
        must(each->line > 0);
        must(each->column > 0);
        must(each->column <= text.len + 1);
        must(each->message.len > 0);
    }
    return 0;
}
