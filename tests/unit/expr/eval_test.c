#include "world.h"

/* One if/then pair of a list of rules, as strategy/ would run them. */
/* Q-133 */
static void captures_of_an_if_serve_its_then_and_later_entries(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct patterns patterns PATTERNS_LOCAL = {0};
    struct captures captures = {0};
    struct expr_input input = world(&captures);
    struct expr_result r;

    assert_int_equal(
        expr_eval(compiled(EXPR_WANTS_BOOL, "matches(\"^vip-(.+)@\", sender)", &a, &patterns),
                  &input, NULL, &a, &r),
        EXPR_VALUE);
    assert_int_equal(r.value.num, 1);
    assert_int_equal(
        expr_eval(compiled(EXPR_WANTS_NAME, "'vip-' + $1", &a, &patterns), &input, NULL, &a, &r),
        EXPR_VALUE);
    EXPECT_STR(r.value.text, "vip-gold");
    expr_eval(compiled(EXPR_WANTS_BOOL, "retry_num == 3", &a, &patterns), &input, NULL, &a, &r);
    expr_eval(compiled(EXPR_WANTS_ANY, "[$0, $1, $7]", &a, &patterns), &input, NULL, &a, &r);
    EXPECT_STR(r.value.list.at[0].text, "vip-gold@");
    EXPECT_STR(r.value.list.at[1].text, "gold");
    EXPECT_STR(r.value.list.at[2].text, "");

    /* A pattern that does not match forgets them. */
    expr_eval(compiled(EXPR_WANTS_BOOL, "matches('^never$', sender)", &a, &patterns), &input, NULL,
              &a, &r);
    assert_int_equal(r.value.num, 0);
    expr_eval(compiled(EXPR_WANTS_ANY, "'x' + $1", &a, &patterns), &input, NULL, &a, &r);
    EXPECT_STR(r.value.text, "x");
    (void)state;
}

static void the_last_pattern_that_ran_wins_and_backslashes_stay(void **state)
{
    static const struct {
        const char *text, *is;
    } rows[] = {
        {"matches('^(v)', sender) && matches('@(S\\w+)\\.', sender) && $1 == 'Sender'", "1"},
        {"if_then(matches('^(v)', sender) || matches('(@)', sender), $1, '')", "'v'"},
        {"matches('it\\'s', \"it's\")", "1"},
        {"matches('^h\xc3\xa9.$', 'h\xc3\xa9\xc3\xa9')", "1"},
        {"matches('a', '\xff"
         "a')",
         "1"},
        {"matches('(?i)SENDER', sender)", "1"},
        {"matches('x?', '') && $0 == ''", "1"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};

        EXPECT_STR(outcome(EXPR_WANTS_ANY, rows[i].text, &a), rows[i].is);
    }
    (void)state;
}

static void a_lookup_is_asked_for_and_then_answered(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct patterns patterns PATTERNS_LOCAL = {0};
    struct expr_answers answers = {0};
    struct captures captures = {0};
    struct expr_input input = world(&captures);
    struct expr_result r;
    struct value found = value_text(STR("relay-7"));
    const struct program *p = compiled(
        EXPR_WANTS_NAME, "if_then(matches('^(vip)', sender), key_get('routes', $1 + 1), 'x')", &a,
        &patterns);

    assert_int_equal(expr_eval(p, &input, &answers, &a, &r), EXPR_NEED);
    assert_int_equal(r.lookup.kind, EXPR_LOOKUP_key_get);
    assert_int_equal(r.lookup.arg_count, 2);
    EXPECT_STR(r.lookup.args[0].text, "routes");
    EXPECT_STR(r.lookup.args[1].text, "vip1");
    assert_int_equal(captures.count, 0); /* an unfinished run leaves nothing behind */
    assert_true(expr_answers_add(&answers, &a, &r.lookup, &found, ERR_OK));
    assert_int_equal(expr_eval(p, &input, &answers, &a, &r), EXPR_VALUE);
    EXPECT_STR(r.value.text, "relay-7");
    assert_int_equal(captures.count, 2);
    (void)state;
}

static void a_failed_lookup_fails_the_evaluation_and_says_which(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct patterns patterns PATTERNS_LOCAL = {0};
    struct expr_answers answers = {0};
    struct expr_input input = world(NULL);
    struct expr_result r;
    const struct program *p = compiled(EXPR_WANTS_BOOL, "key_exists('down', sender) || true", &a,
                                       &patterns);

    assert_int_equal(expr_eval(p, &input, &answers, &a, &r), EXPR_NEED);
    assert_true(expr_answers_add(&answers, &a, &r.lookup, NULL, err_of(ERR_TIMEOUT)));
    assert_int_equal(expr_eval(p, &input, &answers, &a, &r), EXPR_FAILED);
    assert_int_equal(r.err.code, ERR_TIMEOUT);
    EXPECT_STR(r.lookup.args[0].text, "down");
    (void)state;
}

static void equal_lookups_are_asked_once_and_short_circuits_ask_nothing(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct patterns patterns PATTERNS_LOCAL = {0};
    struct expr_answers answers = {0};
    struct expr_input input = world(NULL);
    struct expr_result r;
    struct value one = value_int(1);
    const struct program *p = compiled(
        EXPR_WANTS_INT, "counter_incr('c', sender, '2') + counter_incr('c', sender, 2)", &a,
        &patterns);

    assert_int_equal(expr_eval(p, &input, &answers, &a, &r), EXPR_NEED);
    assert_int_equal(r.lookup.args[2].type, VALUE_INT);
    expr_answers_add(&answers, &a, &r.lookup, &one, ERR_OK);
    assert_int_equal(expr_eval(p, &input, &answers, &a, &r), EXPR_VALUE);
    assert_int_equal(r.value.num, 2);

    p = compiled(EXPR_WANTS_BOOL, "retry_num == 3 || key_exists('s', sender)", &a, &patterns);
    assert_int_equal(expr_eval(p, &input, NULL, &a, &r), EXPR_VALUE);
    p = compiled(EXPR_WANTS_BOOL, "is_local_domain('slow', rcpt_domain)", &a, &patterns);
    assert_int_equal(expr_eval(p, &input, NULL, &a, &r), EXPR_NEED);
    assert_int_equal(r.lookup.kind, EXPR_LOOKUP_is_local_domain);

    for (unsigned i = answers.count; i < EXPR_ANSWERS_MAX; i++) {
        assert_true(expr_answers_add(&answers, &a, &r.lookup, &one, ERR_OK));
    }
    assert_false(expr_answers_add(&answers, &a, &r.lookup, &one, ERR_OK));
    (void)state;
}

static void plain_comparisons_allocate_nothing(void **state)
{
    static const char *const texts[] = {
        "rcpt_domain == 'hub.example' && retry_num > 2 || source != 'dsn'",
        "is_local_domain('*', rcpt_domain)",
        "contains(['a.example', 'hub.example'], rcpt_domain)",
        "matches('^vip-(.+)@', sender) && $1 == 'gold'",
        "queue_age > 1h && starts_with(sender, 'vip') && len(sender) < 64KiB",
        "recipients[0] == 'a@hub.example' && !is_tls",
    };
    struct arena a ARENA_LOCAL = {0};
    struct patterns patterns PATTERNS_LOCAL = {0};
    struct expr_input input = world(NULL);
    struct expr_result r;

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        const struct program *p = compiled(EXPR_WANTS_BOOL, texts[i], &a, &patterns);
        struct arena run ARENA_LOCAL = {0};

        assert_int_equal(expr_eval(p, &input, NULL, &run, &r), EXPR_VALUE);
        assert_int_equal(run.held, 0);
    }
    (void)state;
}

static void constants_are_computed_at_load(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct patterns patterns PATTERNS_LOCAL = {0};
    struct expr_input input = world(NULL);
    struct expr_result r;
    const struct program *p = compiled(EXPR_WANTS_LIST, "split('a,b', ',') + to_lowercase('C')", &a,
                                       &patterns);
    struct arena run ARENA_LOCAL = {0};

    assert_true(expr_facts(p)->is_constant);
    assert_int_equal(expr_eval(p, &input, NULL, &run, &r), EXPR_VALUE);
    assert_int_equal(r.value.list.count, 3);
    assert_int_equal(run.held, 0);
    (void)state;
}

static struct value long_text(void *ctx, unsigned id)
{
    (void)id;
    return value_text(*(const struct str *)ctx);
}

static void work_is_bounded_and_says_which_bound(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"sender + sender", "a text in the expression grows over 64 KiB"},
        {"split(sender, 'a')", "a list in the expression grows over 4096 elements"},
        {"matches('^(a+)+[bc]', sender)", "a pattern takes too many steps"},
        {"[sender + 1, sender + 2, sender + 3, sender + 4, sender + 5, sender + 6, sender + 7, "
         "sender + 8, sender + 9, sender + 10, sender + 11, sender + 12, sender + 13, sender + 14, "
         "sender + 15, sender + 16, sender + 17]",
         "the expression builds more than 1 MiB"},
        {"contains_ignore_case(sender, substring(sender, 0, 30000))",
         "the expression takes too many steps"},
    };
    static char bytes[VALUE_TEXT_BYTES_MAX - 2];
    struct str text = {bytes, sizeof bytes};
    struct patterns patterns PATTERNS_LOCAL = {0};

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = 'a';
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct expr_input input = {.get = long_text, .ctx = &text, .services = &services};
        struct expr_result r = {0};
        const struct program *p = compiled(EXPR_WANTS_ANY, rows[i].text, &a, &patterns);

        assert_int_equal(expr_eval(p, &input, NULL, &a, &r), EXPR_FAILED);
        assert_int_equal(r.err.code, ERR_LIMIT);
        EXPECT_STR(str_of(r.why), rows[i].why);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captures_of_an_if_serve_its_then_and_later_entries),
        cmocka_unit_test(the_last_pattern_that_ran_wins_and_backslashes_stay),
        cmocka_unit_test(a_lookup_is_asked_for_and_then_answered),
        cmocka_unit_test(a_failed_lookup_fails_the_evaluation_and_says_which),
        cmocka_unit_test(equal_lookups_are_asked_once_and_short_circuits_ask_nothing),
        cmocka_unit_test(plain_comparisons_allocate_nothing),
        cmocka_unit_test(constants_are_computed_at_load),
        cmocka_unit_test(work_is_bounded_and_says_which_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
