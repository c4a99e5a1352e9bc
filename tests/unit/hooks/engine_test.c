/* The engine over filters that are scripts. */
#include "engine_rig.h"

/* ---- tables ---- */

struct row {
    const char *name;
    enum hook_stage stage;
    struct script filters[FILTERS_MAX];
    unsigned count;
    /* What must come of it. */
    enum hook_action action;
    unsigned code;
    const char *by;
    const char *fields;           /* names, in the end */
    const char *saw[FILTERS_MAX]; /* NULL: it was not asked */
    int64_t took_ms;
};

#define ADDS(name) .field = name, .value = "1"
#define CLASSIC(name)                                                                              \
    {                                                                                              \
        .is_classic = true, ADDS(name)                                                             \
    }

static const struct row rows[] = {
    {"nobody objects",
     HOOK_DATA,
     {{0}, {0}},
     2,
     HOOK_ACCEPT,
     0,
     "",
     "Subject",
     {"Subject", "Subject"},
     0},
    {"a filter sees what the one before it did",
     HOOK_DATA,
     {{ADDS("X-A")}, {ADDS("X-B")}, {0}},
     3,
     HOOK_ACCEPT,
     0,
     "",
     "X-B X-A Subject",
     {"Subject", "X-A Subject", "X-B X-A Subject"},
     0},
    {"classic hooks see the mail as it came",
     HOOK_DATA,
     {CLASSIC("X-A"), CLASSIC("X-B")},
     2,
     HOOK_ACCEPT,
     0,
     "",
     "X-A X-B Subject",
     {"Subject", "Subject"},
     0},
    {"classic edits are there before a filter of another kind",
     HOOK_DATA,
     {CLASSIC("X-A"), {ADDS("X-F")}, CLASSIC("X-B"), {0}},
     4,
     HOOK_ACCEPT,
     0,
     "",
     "X-B X-F X-A Subject",
     {"Subject", "X-A Subject", "X-F X-A Subject", "X-B X-F X-A Subject"},
     0},
    {"a rejection ends it and forgets all edits",
     HOOK_DATA,
     {CLASSIC("X-A"), {ADDS("X-F")}, {.action = HOOK_REJECT}, {0}},
     4,
     HOOK_REJECT,
     0,
     "c",
     NULL,
     {"Subject", "X-A Subject", "X-F X-A Subject", NULL},
     0},
    {"so does discarding",
     HOOK_RCPT,
     {{.action = HOOK_DISCARD}, {0}},
     2,
     HOOK_DISCARD,
     0,
     "a",
     NULL,
     {"", NULL},
     0},
    {"and disconnecting",
     HOOK_CONNECT,
     {{.action = HOOK_DISCONNECT}, {0}},
     2,
     HOOK_DISCONNECT,
     0,
     "a",
     NULL,
     {"", NULL},
     0},
    {"quarantine goes on, and no later word weakens it",
     HOOK_DATA,
     {{.action = HOOK_QUARANTINE}, {ADDS("X-B")}, {0}},
     3,
     HOOK_QUARANTINE,
     0,
     "a",
     "X-B Subject",
     {"Subject", "Subject", "X-B Subject"},
     0},
    {"a classic quarantine ends the chain",
     HOOK_DATA,
     {{.is_classic = true, .action = HOOK_QUARANTINE, ADDS("X-A")}, {0}},
     2,
     HOOK_QUARANTINE,
     0,
     "a",
     "X-A Subject",
     {"Subject", NULL},
     0},
    {"before a transaction nothing can be held",
     HOOK_EHLO,
     {{.action = HOOK_QUARANTINE, .on_failure = FAILURE_TEMPFAIL}},
     1,
     HOOK_REJECT,
     451,
     "a",
     NULL,
     {""},
     0},
    {"edits before the data spoil the answer",
     HOOK_MAIL,
     {{ADDS("X-A"), .on_failure = FAILURE_TEMPFAIL}},
     1,
     HOOK_REJECT,
     451,
     "a",
     NULL,
     {""},
     0},
    {"one bad edit spoils the answer and leaves the others'",
     HOOK_DATA,
     {CLASSIC("X-A"),
      {.is_classic = true,
       .field = "X-B",
       .value = "1\r\nBcc: eve@x.example",
       .on_failure = FAILURE_ACCEPT},
      CLASSIC("X-C")},
     3,
     HOOK_ACCEPT,
     0,
     "",
     "X-A X-C Subject",
     {"Subject", "Subject", "Subject"},
     0},
    {"the same of another kind",
     HOOK_DATA,
     {{ADDS("X-A")}, {.field = "X B", .value = "1", .on_failure = FAILURE_ACCEPT}, {ADDS("X-C")}},
     3,
     HOOK_ACCEPT,
     0,
     "",
     "X-C X-A Subject",
     {"Subject", "X-A Subject", "X-A Subject"},
     0},
    {"a failure may be passed over",
     HOOK_DATA,
     {{.error = ERR_CLOSED, .on_failure = FAILURE_ACCEPT}, {ADDS("X-B")}},
     2,
     HOOK_ACCEPT,
     0,
     "",
     "X-B Subject",
     {"Subject", "Subject"},
     0},
    {"or put mail off",
     HOOK_DATA,
     {{ADDS("X-A")}, {.error = ERR_CLOSED, .on_failure = FAILURE_TEMPFAIL}, {0}},
     3,
     HOOK_REJECT,
     451,
     "b",
     NULL,
     {"Subject", "X-A Subject", NULL},
     0},
    {"or refuse it",
     HOOK_RCPT,
     {{.error = ERR_PROTOCOL, .on_failure = FAILURE_REJECT}, {0}},
     2,
     HOOK_REJECT,
     550,
     "a",
     NULL,
     {"", NULL},
     0},
    {"or hold it",
     HOOK_DATA,
     {{.error = ERR_TLS, .on_failure = FAILURE_QUARANTINE}, {ADDS("X-B")}},
     2,
     HOOK_QUARANTINE,
     0,
     "a",
     "X-B Subject",
     {"Subject", "Subject"},
     0},
    {"in shadow nothing follows",
     HOOK_DATA,
     {{.shadow = true, .action = HOOK_REJECT},
      {.shadow = true, ADDS("X-B")},
      {.shadow = true, .is_classic = true, ADDS("X-C")},
      {.shadow = true, .error = ERR_CLOSED, .on_failure = FAILURE_REJECT},
      {ADDS("X-E")}},
     5,
     HOOK_ACCEPT,
     0,
     "",
     "X-E Subject",
     {"Subject", "Subject", "Subject", "Subject", "Subject"},
     0},
    {"a slow one is waited for as long as it may",
     HOOK_DATA,
     {{.latency_ms = 5000, .timeout_ms = 2000, .on_failure = FAILURE_ACCEPT}, {ADDS("X-B")}},
     2,
     HOOK_ACCEPT,
     0,
     "",
     "X-B Subject",
     {"Subject", "Subject"},
     2000},
    {"and all of a stage together for a minute",
     HOOK_MAIL,
     {{.latency_ms = 25000},
      {.latency_ms = 25000},
      {.latency_ms = 25000, .on_failure = FAILURE_ACCEPT},
      {.on_failure = FAILURE_REJECT}},
     4,
     HOOK_REJECT,
     550,
     "d",
     NULL,
     {"", "", "", NULL},
     60000},
    {"at the end of the data for two",
     HOOK_DATA,
     {{.latency_ms = 70000, .timeout_ms = 90000},
      {.latency_ms = 70000, .timeout_ms = 90000, .on_failure = FAILURE_TEMPFAIL}},
     2,
     HOOK_REJECT,
     451,
     "b",
     NULL,
     {"Subject", "Subject"},
     120000},
};

static void run_row(void *arg)
{
    const struct row *r = arg;
    struct script scripts[FILTERS_MAX];
    struct trial t;
    char fields[200];

    memcpy(scripts, r->filters, sizeof scripts);
    trial_begin(&t, scripts, r->count, r->stage);
    trial_ask(&t);
    assert_int_equal(t.result.code, OK);
    assert_int_equal(t.verdict.action, r->action);
    assert_int_equal(t.verdict.reply.code, r->code);
    EXPECT_STR(t.verdict.by, r->by);
    assert_int_equal(t.took_ms, r->took_ms);
    for (unsigned i = 0; i < r->count; i++) {
        assert_int_equal(scripts[i].asked, r->saw[i] != NULL);
        EXPECT_STR(str_of(scripts[i].saw), r->saw[i] != NULL ? r->saw[i] : "");
    }
    if (r->fields != NULL) {
        names_of(&t.verdict.view, fields, sizeof fields);
        EXPECT_STR(str_of(fields), r->fields);
        assert_int_equal(t.verdict.changed != 0, strcmp(r->fields, "Subject") != 0);
    } else {
        assert_int_equal(t.verdict.changed, 0);
    }
    trial_end(&t);
}

static void what_comes_of_a_chain(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct row row = rows[i];

        print_message("         %s\n", row.name);
        in_a_world(run_row, &row);
    }
    (void)state;
}

/* ---- over several questions ---- */

static void fails_and_comes_back(void *arg)
{
    struct script s[1] = {{.error = ERR_CLOSED,
                           .on_failure = FAILURE_TEMPFAIL,
                           .breaker = {.failures = 3, .pause_ms = 10000}}};
    struct trial t;

    (void)arg;
    trial_begin(&t, s, 1, HOOK_MAIL);
    for (unsigned i = 0; i < 3; i++) {
        trial_ask(&t);
    }
    assert_int_equal(s[0].asked, 3);
    trial_ask(&t);
    assert_int_equal(s[0].asked, 3); /* shunned: the policy speaks at once */
    assert_int_equal(t.verdict.reply.code, 451);
    (void)fiber_sleep(when_after(9000), WHEN_NEVER);
    trial_ask(&t);
    assert_int_equal(s[0].asked, 3);
    (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    s[0].error = OK;
    trial_ask(&t);
    assert_int_equal(s[0].asked, 4);
    assert_int_equal(t.verdict.action, HOOK_ACCEPT);
    trial_ask(&t);
    assert_int_equal(s[0].asked, 5);
    trial_end(&t);
}

static void a_filter_that_fails_too_often_is_left_alone_for_a_while(void **state)
{
    in_a_world(fails_and_comes_back, NULL);
    (void)state;
}

static void is_not_asked(void *arg)
{
    struct script s[1] = {{.error = ERR_LIMIT,
                           .is_unasked = true,
                           .on_failure = FAILURE_TEMPFAIL,
                           .breaker = {.failures = 2, .pause_ms = 10000}}};
    struct filter_counts c;
    struct trial t;

    (void)arg;
    trial_begin(&t, s, 1, HOOK_MAIL);
    for (unsigned i = 0; i < 5; i++) {
        trial_ask(&t);
        assert_int_equal(t.verdict.reply.code, 451); /* the policy speaks all the same */
    }
    c = state_counts(t.chain->items[0].state);
    assert_int_equal(c.asked + c.failed + c.refused + c.latency_us, 0);
    assert_int_equal(c.unasked, 5);
    s[0].error = OK;
    s[0].is_unasked = false;
    trial_ask(&t);
    assert_int_equal(s[0].asked, 6); /* never shunned */
    assert_int_equal(t.verdict.action, HOOK_ACCEPT);
    assert_int_equal(state_counts(t.chain->items[0].state).asked, 1);
    trial_end(&t);
}

static void mail_that_a_filter_is_not_shown_shuns_it_for_nobody(void **state)
{
    in_a_world(is_not_asked, NULL);
    (void)state;
}

struct cut {
    struct trial t;
    bool is_back;
};

static void asks(void *arg)
{
    struct cut *c = arg;

    trial_ask(&c->t);
    c->is_back = true;
}

static void is_cut(void *arg)
{
    struct script s[2] = {{.latency_ms = 20000, .breaker = {.failures = 1, .pause_ms = 10000}}};
    struct group g;
    struct cut c = {0};

    (void)arg;
    trial_begin(&c.t, s, 2, HOOK_MAIL);
    group_init(&g, "asking", 1);
    assert_int_equal(group_spawn_now(&g, "asks", asks, &c).code, OK);
    (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    assert_false(c.is_back);
    group_cancel(&g);
    assert_int_equal(group_join(&g, WHEN_NEVER).code, OK);
    assert_true(c.is_back);
    assert_int_equal(c.t.result.code, ERR_CANCELLED);
    assert_int_equal(s[1].asked, 0);
    /* That was no failure of the filter. */
    s[0].latency_ms = 0;
    trial_ask(&c.t);
    assert_int_equal(c.t.verdict.action, HOOK_ACCEPT);
    assert_int_equal(s[1].asked, 1);
    trial_end(&c.t);
}

static void a_session_that_is_cut_asks_nobody_further_and_blames_nobody(void **state)
{
    in_a_world(is_cut, NULL);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_of_a_chain),
        cmocka_unit_test(a_filter_that_fails_too_often_is_left_alone_for_a_while),
        cmocka_unit_test(mail_that_a_filter_is_not_shown_shuns_it_for_nobody),
        cmocka_unit_test(a_session_that_is_cut_asks_nobody_further_and_blames_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
