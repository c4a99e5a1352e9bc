#include "world.h"

/* The messages of compiling `text`, as "error 1:5 message (suggestion)" lines. */
static struct str complaints(const struct expr_scope *in, enum expr_wants wants, const char *text,
                             struct arena *a)
{
    struct patterns patterns PATTERNS_LOCAL = {0};
    struct buf b BUF_LOCAL = {0};
    struct expr_problems problems = {0};
    const struct program *p = NULL;
    struct err e = expr_compile(in, wants, str_of(text), a, &patterns, &p, &problems);

    assert_true((e.code == OK) == (problems.errors == 0));
    assert_true((e.code == OK) == (p != NULL));
    for (const struct expr_problem *each = problems.first; each != NULL; each = each->next) {
        buf_printf(&b, "%s %u:%u %.*s", each->is_warning ? "warning" : "error", each->line,
                   each->column, STR_ARG(each->message));
        if (each->suggestion.len > 0) {
            buf_printf(&b, " (%.*s)", STR_ARG(each->suggestion));
        }
        buf_byte(&b, '\n');
    }
    return arena_dup(a, buf_str(&b));
}

struct row {
    enum expr_wants wants;
    const char *text, *says;
};

static void expect_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena a ARENA_LOCAL = {0};
        struct str got = complaints(&scope, rows[i].wants, rows[i].text, &a);

        if (!str_eq(got, str_of(rows[i].says))) {
            print_error("%s\nsays  %.*swants %s", rows[i].text, STR_ARG(got), rows[i].says);
            fail();
        }
    }
}

#define EXPECT_ROWS(rows) expect_rows((rows), COUNT_OF(rows))

static void mistakes_are_named_with_their_place_and_what_to_write(void **state)
{
    static const struct row rows[] = {
        {EXPR_WANTS_BOOL, "sendr == 'x'",
         "error 1:1 there is no variable \"sendr\" (did you mean sender?)\n"},
        {EXPR_WANTS_BOOL, "1 == 1 &&\n  retry_nun > 1",
         "error 2:3 there is no variable \"retry_nun\" (did you mean retry_num?)\n"},
        {EXPR_WANTS_BOOL, "foo == 1 || bar == 2",
         "error 1:1 there is no variable \"foo\"\nerror 1:13 there is no variable \"bar\"\n"},
        {EXPR_WANTS_NAME, "local",
         "error 1:1 there is no variable \"local\" (for the name itself write use: local)\n"},
        {EXPR_WANTS_BOOL, "contain(sender, 'x')",
         "error 1:1 there is no function \"contain\" (did you mean contains?)\n"},
        {EXPR_WANTS_BOOL, "contains(sender)", "error 1:1 contains takes 2 arguments, not 1\n"},
        {EXPR_WANTS_BOOL, "is_local_domain()",
         "error 1:1 is_local_domain takes 1 or 2 arguments, not 0\n"},
        {EXPR_WANTS_BOOL, "contains",
         "error 1:1 contains is a function (call it: contains(...))\n"},
        {EXPR_WANTS_BOOL, "matches('(', sender)",
         "error 1:11 the pattern is wrong: missing closing parenthesis\n"},
        {EXPR_WANTS_BOOL, "matches(sender, 'x')",
         "error 1:9 the pattern of matches() must be written literally (matches('pattern', value): "
         "patterns are compiled at load)\n"},
        {EXPR_WANTS_BOOL, "matches('x')",
         "error 1:12 \")\" stands where a comma and the value to look at should\n"},
        {EXPR_WANTS_BOOL, "config_get('x')",
         "error 1:1 config_get is not offered: settings are not read while mail flows; write the "
         "value here, or keep it in a list and use key_get\n"},
        {EXPR_WANTS_BOOL, "sql_query('db', 'SELECT 1')",
         "error 1:1 sql_query cannot be asked in the test: what answers it is not there\n"},
        {EXPR_WANTS_BOOL, "email_part(sender, 'host')",
         "error 1:20 the second argument of email_part is not one of its words (one of: local "
         "domain)\n"},
        {EXPR_WANTS_BOOL, "is_ip_in_cidr(sender, ['10.0.0.0/8', '10.0.0.0/40'])",
         "error 1:23 this is no network (write it like '10.0.0.0/8' or '2001:db8::/32')\n"},
        {EXPR_WANTS_BOOL, "", "error 1:1 the expression is empty (for no text at all write '')\n"},
        {EXPR_WANTS_BOOL, "1 +", "error 1:4 the expression ends where a value should stand\n"},
        {EXPR_WANTS_BOOL, "(1", "error 1:3 the expression ends where \")\" should stand\n"},
        {EXPR_WANTS_BOOL, "1)", "error 1:2 \")\" stands where an operator or the end should\n"},
        {EXPR_WANTS_BOOL, "'a' 'b'",
         "error 1:5 \"'b'\" stands where an operator or the end should\n"},
        {EXPR_WANTS_BOOL, "'abc'[0]",
         "error 1:6 \"[\" stands where an operator or the end should\n"},
        {EXPR_WANTS_BOOL, "'abc", "error 1:1 this quote is never closed\n"},
        {EXPR_WANTS_BOOL, "is_tls and is_tls",
         "error 1:8 there is no such operator (write && for and)\n"},
        {EXPR_WANTS_BOOL, "5x",
         "error 1:1 this is neither a number nor a duration nor a size (durations look like 90s, "
         "5m "
         "or 1d12h (ms s m h d w), sizes like 64KiB or 25MB)\n"},
        {EXPR_WANTS_BOOL, "99999999999999999999",
         "error 1:1 this number does not fit in 64 bits\n"},
        {EXPR_WANTS_BOOL, "sender == \xe2\x80\x98x\xe2\x80\x99",
         "error 1:11 this is a printer's quote (write plain quotes, ' or \")\n"},
        {EXPR_WANTS_BOOL, "'\xc3\xa9' == 1 }",
         "warning 1:5 compares text with a number (text that "
         "is no number counts as 0 here)\n"
         "error 1:10 braces have no meaning here\n"},
        {EXPR_WANTS_BOOL, "matches('a(b)', sender) && $2 == 'x'",
         "error 1:28 no pattern before this has a group 2 (groups are counted by their opening "
         "brackets, from $1; $0 is the whole)\n"},
    };

    EXPECT_ROWS(rows);
    (void)state;
}

static void results_that_can_never_serve_are_refused(void **state)
{
    static const struct row rows[] = {
        {EXPR_WANTS_NAME, "1", "error 1:1 the result is no text, so it cannot be a name\n"},
        {EXPR_WANTS_NAME, "''", "error 1:1 the result is an empty text, which is no name\n"},
        {EXPR_WANTS_NAME, "sender == 'x'",
         "error 1:1 this gives a number, never a name (a name is text)\n"},
        {EXPR_WANTS_NAME, "recipients",
         "error 1:1 this gives a list, never a name (a name is text)\n"},
        {EXPR_WANTS_NAME, "sender", ""},
        {EXPR_WANTS_NAME, "'vip-' + $1", ""},
        {EXPR_WANTS_INT, "'abc'", "error 1:1 the result is no number\n"},
        {EXPR_WANTS_INT, "recipients", "error 1:1 this gives a list, never a number\n"},
        {EXPR_WANTS_DURATION, "'abc'", "error 1:1 the result is no duration\n"},
        {EXPR_WANTS_DURATION, "300",
         "error 1:1 a duration needs a unit (write it like 90s, 5m or 1d12h)\n"},
        {EXPR_WANTS_DURATION, "retry_num",
         "warning 1:1 this gives a plain number, which counts milliseconds (multiply with a "
         "duration: retry_num * 5m)\n"},
        {EXPR_WANTS_CONSTANT, "'sometimes'",
         "error 1:1 the result is none of the words this setting knows\n"},
        {EXPR_WANTS_BOOL, "'false'",
         "warning 1:1 this text is always true (any text is true but the empty one; write true or "
         "false without quotes)\n"},
    };

    EXPECT_ROWS(rows);
    (void)state;
}

static void comparing_what_differs_in_kind_is_warned_of(void **state)
{
    static const struct row rows[] = {
        {EXPR_WANTS_BOOL, "retry_num == '3'",
         "warning 1:11 compares a number with text (write the number without quotes)\n"},
        {EXPR_WANTS_BOOL, "sender == retry_num",
         "warning 1:8 compares text with a number (text that is no number counts as 0 here)\n"},
        {EXPR_WANTS_BOOL, "recipients == sender",
         "warning 1:12 compares a list with text (to look into a list write contains(list, "
         "value))\n"},
        {EXPR_WANTS_BOOL, "retry_num > 5m",
         "warning 1:11 compares a number with a duration (a duration beside a plain number counts "
         "milliseconds: 300000 here)\n"},
        {EXPR_WANTS_BOOL, "source == 'dns'",
         "warning 1:11 source is never 'dns' (did you mean dsn?)\n"},
        {EXPR_WANTS_BOOL, "sender == 'a' || 'b'",
         "warning 1:18 this text is always true here (to compare with one of several write "
         "contains(['a', 'b'], value))\n"},
        {EXPR_WANTS_BOOL, "queue_age > 1h", ""},
        {EXPR_WANTS_BOOL, "queue_age > 3600", ""},
        {EXPR_WANTS_BOOL, "is_tls == true", ""},
        {EXPR_WANTS_BOOL, "$1 > 5", ""},
        {EXPR_WANTS_BOOL, "key_get('s', 'k') > 5", ""},
    };

    EXPECT_ROWS(rows);
    (void)state;
}

static void a_variable_without_a_value_here_says_so(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct expr_scope early = scope;

    early.place = "queue.strategy.route";
    early.present = ~(1ull << V_mx);
    EXPECT_STR(complaints(&early, EXPR_WANTS_BOOL, "mx == 'x'", &a),
               "error 1:1 mx has no value yet in queue.strategy.route (it has one once a host is "
               "chosen: in queue.strategy.connection and tls)\n");
    early.services = NULL;
    EXPECT_STR(complaints(&early, EXPR_WANTS_BOOL, "hash(sender, 'md5') == 'x'", &a),
               "error 1:1 hash cannot be asked in queue.strategy.route: what answers it is not "
               "there\n");
    EXPECT_STR(complaints(&early, EXPR_WANTS_BOOL, "is_local_domain('*', sender)", &a),
               "error 1:1 is_local_domain cannot be asked in queue.strategy.route: what answers it "
               "is not there\n");
    (void)state;
}

/* `count` times open, then middle, then `count` times close. */
static struct str nested(struct buf *b, const char *open, const char *middle, const char *close,
                         unsigned count)
{
    buf_clear(b);
    for (unsigned i = 0; i < count; i++) {
        buf_put(b, str_of(open));
    }
    buf_put(b, str_of(middle));
    for (unsigned i = 0; i < count; i++) {
        buf_put(b, str_of(close));
    }
    buf_byte(b, '\0');
    return buf_str(b);
}

/* */
static void depth_and_size_are_limited_cleanly(void **state)
{
    static const struct {
        const char *open, *middle, *close;
        unsigned count;
        const char *says;
    } rows[] = {
        {"(", "sender", ")", 32, ""},
        {"(", "sender", ")", 33, "error 1:34 brackets nest deeper than 32 levels\n"},
        {"(", "sender", ")", 2000, "error 1:34 brackets nest deeper than 32 levels\n"},
        {"[", "sender", "]", 33, "error 1:34 brackets nest deeper than 32 levels\n"},
        {"trim(", "sender", ")", 33, "error 1:166 brackets nest deeper than 32 levels\n"},
        {"", "sender", "[0]", 1000, ""},
        {"!", "sender", "", 33, "error 1:33 more than 32 signs in a row\n"},
        {"", "retry_num", "+retry_num", 1000, ""},
        {"", "retry_num", "+retry_num", 3000,
         "error 1:20491 the expression has more than 4096 operations\n"},
        {"", "[retry_num", ",retry_num", 70, NULL},
        {"retry_num + (", "retry_num", ")", 32, ""},
        {"[retry_num,retry_num,", "retry_num", "]", 32,
         "error 1:1 the expression needs more than 64 values at once (split it, or write long "
         "lists "
         "with constants only)\n"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf b BUF_LOCAL = {0};
        struct str text = nested(&b, rows[i].open, rows[i].middle, rows[i].close, rows[i].count);
        struct str got = complaints(&scope, EXPR_WANTS_ANY, text.ptr, &a);

        if (rows[i].says != NULL && !str_eq(got, str_of(rows[i].says))) {
            print_error("row %zu says %.*s\n", i, STR_ARG(got));
            fail();
        }
    }
    (void)state;
}

static void long_lists_of_constants_cost_no_stack(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf b BUF_LOCAL = {0};

    buf_put(&b, STR("contains(['a'"));
    for (unsigned i = 0; i < 3000; i++) {
        buf_put(&b, STR(",'b'"));
    }
    buf_put(&b, STR("],sender)"));
    buf_byte(&b, '\0');
    EXPECT_STR(complaints(&scope, EXPR_WANTS_BOOL, b.ptr, &a), "");
    (void)state;
}

static void facts_tell_what_a_program_may_do(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct patterns patterns PATTERNS_LOCAL = {0};
    const struct expr_facts *f;

    f = expr_facts(compiled(EXPR_WANTS_NAME, "'mx'", &a, &patterns));
    assert_true(f->is_constant);
    EXPECT_STR(f->constant.text, "mx");
    assert_true(f->texts_are_all);
    assert_int_equal(f->text_count, 1);
    assert_int_equal(f->reads, 0);

    f = expr_facts(
        compiled(EXPR_WANTS_NAME, "if_then(is_tls, 'a', if_then(mx, 'b', 'c'))", &a, &patterns));
    assert_false(f->is_constant);
    assert_true(f->texts_are_all);
    assert_int_equal(f->text_count, 3);
    assert_true(f->is_late);
    assert_true(f->reads == (1u << V_is_tls | 1u << V_mx));

    f = expr_facts(compiled(EXPR_WANTS_NAME, "if_then(is_tls, 'a', sender)", &a, &patterns));
    assert_false(f->texts_are_all);
    assert_int_equal(f->text_count, 1);
    assert_false(f->is_late);

    f = expr_facts(compiled(EXPR_WANTS_NAME, "source", &a, &patterns));
    assert_int_equal(f->lone_variable, V_source);
    assert_true(f->texts_are_all);
    assert_int_equal(f->text_count, 5);

    f = expr_facts(compiled(EXPR_WANTS_NAME, "'vip-' + $2", &a, &patterns));
    assert_false(f->texts_are_all);
    assert_int_equal(f->capture_reads, 2);
    assert_int_equal(f->lone_variable, -1);

    f = expr_facts(
        compiled(EXPR_WANTS_BOOL, "matches('(a)(b)', sender) && $2 == 'b'", &a, &patterns));
    assert_true(f->runs_pattern);
    assert_int_equal(f->capture_groups, 2);
    assert_int_equal(f->capture_reads, -1);

    f = expr_facts(compiled(EXPR_WANTS_NAME, "key_get('routes', sender)", &a, &patterns));
    assert_int_equal(f->use_count, 1);
    EXPECT_STR(f->uses[0].store, "routes");
    EXPECT_STR(str_of(expr_lookup_name(f->uses[0].kind)), "key_get");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_named_with_their_place_and_what_to_write),
        cmocka_unit_test(results_that_can_never_serve_are_refused),
        cmocka_unit_test(comparing_what_differs_in_kind_is_warned_of),
        cmocka_unit_test(a_variable_without_a_value_here_says_so),
        cmocka_unit_test(depth_and_size_are_limited_cleanly),
        cmocka_unit_test(long_lists_of_constants_cost_no_stack),
        cmocka_unit_test(facts_tell_what_a_program_may_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
