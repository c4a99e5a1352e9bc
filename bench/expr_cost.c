/*
 * What deciding costs: nanoseconds for one evaluation of rules as people write them, and the bytes
 * it allocates, which must be none.
 */
#include "base/check.h"
#include "expr/expr.h"

#include <stdio.h>
#include <time.h>

enum { ROUNDS = 1000 * 1000, REPEATS = 5 };

static const struct expr_variable variables[] = {
    {"sender", EXPR_TEXT, 0, false, NULL},        {"sender_domain", EXPR_TEXT, 1, false, NULL},
    {"rcpt_domain", EXPR_TEXT, 2, false, NULL},   {"retry_num", EXPR_INT, 3, false, NULL},
    {"queue_age", EXPR_DURATION, 4, false, NULL}, {"source", EXPR_TEXT, 5, false, NULL},
    {"size", EXPR_INT, 6, false, NULL},           {"last_error", EXPR_TEXT, 7, false, NULL},
    {"remote_ip", EXPR_TEXT, 8, false, NULL},
};

static struct value get(void *ctx, unsigned id)
{
    static const struct value values[] = {
        {.type = VALUE_TEXT, .text = STR_INIT("vip-gold@news.sender.example")},
        {.type = VALUE_TEXT, .text = STR_INIT("news.sender.example")},
        {.type = VALUE_TEXT, .text = STR_INIT("customers.example")},
        {.type = VALUE_INT, .num = 3},
        {.type = VALUE_DURATION, .num = 2 * 3600 * 1000},
        {.type = VALUE_TEXT, .text = STR_INIT("authenticated")},
        {.type = VALUE_INT, .num = 48123},
        {.type = VALUE_TEXT, .text = STR_INIT("tls")},
        {.type = VALUE_TEXT, .text = STR_INIT("192.0.2.17")},
    };

    (void)ctx;
    return values[id];
}

static enum expr_local is_local_domain(void *ctx, struct str directory, struct str domain)
{
    (void)ctx;
    (void)directory;
    return str_eq(domain, STR("example.org")) ? EXPR_LOCAL_YES : EXPR_LOCAL_NO;
}

static const struct expr_services services = {.is_local_domain = is_local_domain};

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static const struct program *compile(const char *text, struct arena *a, struct patterns *patterns)
{
    struct expr_scope scope = {.place = "bench",
                               .variables = variables,
                               .variable_count = COUNT_OF(variables),
                               .present = UINT64_MAX,
                               .services = &services};
    struct expr_problems problems = {0};
    const struct program *p = NULL;

    must(expr_compile(&scope, EXPR_WANTS_BOOL, str_of(text), a, patterns, &p, &problems).code ==
         OK);
    return p;
}

/* The fastest of some repeats: the machine is noisy, and only ever slows us down. */
static double cost_ns(const struct program *p, struct arena *run)
{
    struct captures captures = {0};
    struct expr_input input = {.get = get, .services = &services, .captures = &captures};
    struct expr_result r;
    double best = 1e18;

    for (unsigned repeat = 0; repeat < REPEATS; repeat++) {
        double start = now_ns(), each;

        for (unsigned i = 0; i < ROUNDS / REPEATS; i++) {
            must(expr_eval(p, &input, NULL, run, &r) == EXPR_VALUE);
        }
        each = (now_ns() - start) / (ROUNDS / REPEATS);
        best = each < best ? each : best;
    }
    return best;
}

int main(void)
{
    static const char *const rules[] = {
        "rcpt_domain == 'hub.example'",
        "source == 'dsn'",
        "is_local_domain('*', rcpt_domain)",
        "source == 'dsn' || source == 'report'",
        "retry_num > 0 && last_error == 'tls' && source != 'authenticated'",
        "contains(['bank.example', 'gov.example', 'shop.example', 'big.example'], rcpt_domain)",
        "queue_age > 1h && size > 1000000",
        "ends_with(sender_domain, '.sender.example')",
        "is_ip_in_cidr(remote_ip, ['10.0.0.0/8', '192.168.0.0/16'])",
        "matches('^vip-(.+)@', sender) && $1 == 'gold'",
    };
    struct arena a ARENA_LOCAL = {0}, run ARENA_LOCAL = {0};
    struct patterns patterns PATTERNS_LOCAL = {0};
    double sum = 0;

    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        double ns = cost_ns(compile(rules[i], &a, &patterns), &run);

        sum += ns;
        printf("%7.1f ns  %s\n", ns, rules[i]);
    }
    printf("%7.1f ns  all ten; %zu bytes allocated while evaluating\n", sum, run.held);
    printf("%7.2f us  a recipient whose four strategies have ten such rules each (bound: 10)\n",
           4 * sum / 1000);
    return run.held == 0 ? 0 : 1;
}
