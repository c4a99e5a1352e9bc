#include "../unit.h"
#include "base/check.h"
#include "strategy/strategy.h"

static const struct setting_table *const tables[] = {
    &virtual_table,   &schedule_table, &route_table,   &connection_table,
    &source_ip_table, &tls_table,      &strategy_table};

static enum expr_local is_local(void *ctx, struct str directory, struct str domain)
{
    (void)ctx, (void)directory;
    return str_eq(domain, STR("here.example"))  ? EXPR_LOCAL_YES
           : str_eq(domain, STR("ask.example")) ? EXPR_LOCAL_ASK
                                                : EXPR_LOCAL_NO;
}

static struct strategy_services services = {
    .expr = {.is_local_domain = is_local, .lookups = EXPR_LOOKUP_BIT(EXPR_LOOKUP_is_local_domain)},
    .hostname = STR_INIT("mx.here.example"),
};

static struct plan *compile(const char *text, struct faults *faults)
{
    struct config_options o = {.tables = tables, .table_count = COUNT_OF(tables), .number = 3};
    struct config *cfg = config_parse(&o, STR("f"), str_of(text), faults);
    struct plan *p = cfg == NULL ? NULL : strategy_compile(cfg, &services, faults);

    config_give(cfg);
    return p;
}

static struct plan *good(const char *text)
{
    struct faults faults = {0};
    struct plan *p = compile(text, &faults);
    struct buf out BUF_LOCAL = {0};

    faults_print(&faults, &out);
    EXPECT_STR(buf_str(&out), "");
    assert_non_null(p);
    faults_done(&faults);
    return p;
}

/* One message to one recipient, as the variables see it. */
static struct subject mail(struct message *m, struct recipient *r, const char *from, const char *to)
{
    *r = (struct recipient){.address = str_of(to), .state.queue = STR("q")};
    *m = (struct message){.sender = str_of(from), .arrived = {1000}, .to = r, .to_count = 1};
    return (struct subject){.message = m, .recipient = r, .facts.now = {61000}};
}

static void expect_route(const struct plan *p, const char *to, const char *name, const char *place)
{
    struct arena a ARENA_LOCAL = {0};
    struct message m;
    struct recipient r;
    struct subject s = mail(&m, &r, "a@b.example", to);
    struct decision d;
    const struct plan_route *route = decide_route(p, &s, &a, &d);

    assert_int_equal(d.status, DECIDED);
    EXPECT_STR(route->name, name);
    EXPECT_STR(d.name, name);
    EXPECT_STR(decision_place(&d, &a), place);
}

static void nothing_configured_is_a_relay_by_mx(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct plan *p = good("");
    struct message m;
    struct recipient r;
    struct subject s = mail(&m, &r, "", "x@far.example");
    struct decision d;

    expect_route(p, "x@far.example", "mx", "(built in)");
    expect_route(p, "x@here.example", "mx", "(built in)"); /* no local domains are configured */
    const struct schedule *schedule = decide_schedule(p, &s, &a, &d);

    EXPECT_STR(schedule->name, "remote");
    EXPECT_STR(p->queues[schedule->queue].name, "remote");
    assert_int_equal(p->queues[schedule->queue].settings->concurrency, 100);
    m.source = SOURCE_DSN;
    schedule = decide_schedule(p, &s, &a, &d);
    EXPECT_STR(schedule->name, "dsn");
    assert_int_equal(schedule->attempts_max, 10);
    EXPECT_STR(decide_connection(p, &s, &a, &d)->ehlo_hostname, "mx.here.example");
    assert_int_equal(decide_tls(p, &s, &a, &d)->settings->starttls, TLS_OPTIONAL);
    assert_false(plan_is_late(p, STRATEGY_TLS));
    assert_int_equal(p->queue_count, 5);
    assert_int_equal(p->number, 3);
    plan_give(plan_take(p));
    plan_give(p);
    (void)state;
}

static const char *const sample =
    "queue:\n"
    "  virtual:\n"
    "    remote: { concurrency: 100 }\n"
    "  schedule:\n"
    "    remote: { queue-name: remote, retry: [2m, 5m, 10m, 30m, 1h], notify: [1d], expire: 5d }\n"
    "  route:\n"
    "    mx:    { type: mx, port: 2525, allow-loopback: false }\n"
    "    hub:   { type: relay, address: 127.0.0.1, port: 2600, protocol: smtp, tls: { implicit: "
    "false } }\n"
    "    local: { type: local, deliver: lmtp, address: 127.0.0.1 }\n"
    "  strategy:\n"
    "    schedule:   [ { use: remote } ]\n"
    "    route:      [ { if: \"is_local_domain('*', rcpt_domain)\", use: local },\n"
    "                  { if: \"rcpt_domain == 'hub.example'\", use: hub },\n"
    "                  { use: mx } ]\n"
    "    tls:        [ { use: default } ]\n";

static void the_sample_decides_with_the_line_that_said_so(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct plan *p = good(sample);

    expect_route(p, "x@HERE.example", "local", "f:12:19");
    expect_route(p, "x@hub.example", "hub", "f:13:19");
    expect_route(p, "x@far.example", "mx", "f:14:19");
    assert_int_equal(plan_route(p, STR("mx"))->port, 2525);
    assert_int_equal(plan_route(p, STR("local"))->port, 24);
    EXPECT_STR(plan_site(plan_route(p, STR("mx")), STR("A@Far.Example"), &a), "mx far.example");
    EXPECT_STR(plan_site(plan_route(p, STR("hub")), STR("A@Far.Example"), &a), "hub");
    assert_int_equal(p->queue_count, 2); /* remote, and default for failures */
    assert_null(plan_queue(p, STR("dsn")));
    plan_give(p);
    (void)state;
}

static void names_can_be_computed(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct plan *p = good("queue:\n"
                          "  schedule:\n"
                          "    vip-gold: { queue-name: remote }\n"
                          "  strategy:\n"
                          "    schedule:\n"
                          "      - if: 'matches(\"^vip-(.+)@\", sender)'\n"
                          "        then: \"'vip-' + $1\"\n"
                          "      - use: remote\n");
    struct message m;
    struct recipient r;
    struct subject s = mail(&m, &r, "VIP-gold@b.example", "x@far.example");
    struct decision d;

    EXPECT_STR(decide_schedule(p, &s, &a, &d)->name, "vip-gold");
    assert_false(d.is_fallback);
    assert_int_equal(d.at.line, 6);
    assert_true(d.reads == 1); /* sender */
    EXPECT_STR(str_of(variable_name(0)), "sender");

    s = mail(&m, &r, "vip-lead@b.example", "x@far.example");
    EXPECT_STR(decide_schedule(p, &s, &a, &d)->name, "default");
    assert_true(d.is_fallback);
    assert_int_equal(d.status, DECIDED);
    EXPECT_STR(d.why, "there is no queue.schedule.vip-lead");
    plan_give(p);
    (void)state;
}

static void a_route_that_does_not_exist_waits(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct plan *p = good("queue: { strategy: { route: \"'to-' + rcpt_domain\" } }");
    struct message m;
    struct recipient r;
    struct subject s = mail(&m, &r, "a@b.example", "x@far.example");
    struct decision d;

    assert_null(decide_route(p, &s, &a, &d));
    assert_int_equal(d.status, DECISION_FAILED);
    EXPECT_STR(d.name, "to-far.example");
    EXPECT_STR(d.why, "there is no queue.route.to-far.example");
    plan_give(p);
    (void)state;
}

static void a_look_up_is_asked_for_and_its_answer_decides(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct plan *p = good(sample);
    struct message m;
    struct recipient r;
    struct subject s = mail(&m, &r, "a@b.example", "x@ask.example");
    struct expr_answers answers = {0};
    struct value yes = value_bool(true);
    struct decision d;

    assert_null(decide_route(p, &s, &a, &d));
    assert_int_equal(d.status, DECISION_NEEDS);
    assert_true(expr_answers_add(&answers, &a, &d.lookup, &yes, ERR_OK));
    s.answers = &answers;
    EXPECT_STR(decide_route(p, &s, &a, &d)->name, "local");
    plan_give(p);
    (void)state;
}

static void variables_have_their_true_values(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct recipient to[2] = {
        {.address = STR("X@Far.Example"),
         .state = {.queue = STR("slow"),
                   .attempts = 2,
                   .notices = 1,
                   .expires = {361000},
                   .last = {LAST_REPLY, 451, {4, 3, 0}, STR("later"), STR("mx.far"), {0}}}},
        {.address = STR("y@far.example")}};
    struct message m = {.sender = STR("A@B.example"),
                        .arrived = {1000},
                        .source = SOURCE_AUTHENTICATED,
                        .priority = -3,
                        .is_trusted = true,
                        .client_ip = STR("192.0.2.1"),
                        .client_name = STR("client"),
                        .authenticated_as = STR("ann"),
                        .listener = STR("smtp"),
                        .size = 77,
                        .to = to,
                        .to_count = 2};
    struct subject s = {.message = &m, .recipient = &to[0], .facts = {.now = {61000}}};
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"sender", "a@b.example"},
        {"sender_domain", "b.example"},
        {"rcpt", "x@far.example"},
        {"rcpt_domain", "far.example"},
        {"recipients", "x@far.example\r\ny@far.example"},
        {"priority", "-3"},
        {"retry_num", "2"},
        {"notify_num", "1"},
        {"expires_in", "300"},
        {"last_status", "mx.far: 451 4.3.0 later"},
        {"last_error", "unexpected-reply"},
        {"queue_name", "slow"},
        {"queue_age", "60"},
        {"source", "authenticated"},
        {"size", "77"},
        {"is_trusted", "1"},
        {"received_from_ip", "192.0.2.1"},
        {"helo_domain", "client"},
        {"authenticated_as", "ann"},
        {"listener", "smtp"},
        {"mx", "mx1.far.example"},
        {"remote_ip", "192.0.2.9"},
        {"local_ip", "0.0.0.0"},
    };

    s.facts.mx = STR("MX1.far.example");
    assert_true(addr_parse(STR("192.0.2.9:25"), &s.facts.remote_ip));
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct value v = variable_value(&s, i, &a);
        struct allowance left = work_of(&a);
        struct str text = STR_EMPTY;

        EXPECT_STR(str_of(variable_name(i)), rows[i].name);
        assert_true(value_to_text(&left, &v, &text));
        EXPECT_STR(text, rows[i].text);
    }
    assert_null(variable_name(COUNT_OF(rows)));
    to[0].state.attempts_max = 10;
    assert_true(variable_value(&s, 8, &a).num == 8); /* attempts left */
    (void)state;
}

/* What the checks at load believe the words to be. */
static void words_of_variables_are_those_of_the_envelope(void **state)
{
    struct expr_scope scope;

    strategy_scope(STRATEGY_ROUTE, &services, &scope);
    for (size_t i = 0; i < scope.variable_count; i++) {
        const struct expr_variable *v = &scope.variables[i];

        for (unsigned k = 0; v->values != NULL && v->values[k] != NULL; k++) {
            struct str word = strcmp(v->name, "source") == 0 ? source_name((enum source)k)
                                                             : last_error_name((enum last_error)k);

            EXPECT_STR(word, v->values[k]);
        }
    }
    (void)state;
}

static void late_lists_are_marked_and_see_the_host(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct plan *p = good("queue:\n"
                          "  tls: { strict: { starttls: require } }\n"
                          "  strategy:\n"
                          "    tls:\n"
                          "      - { if: \"ends_with(mx, '.strict.example')\", use: strict }\n"
                          "      - { use: default }\n");
    struct message m;
    struct recipient r;
    struct subject s = mail(&m, &r, "a@b.example", "x@far.example");
    struct decision d;

    assert_true(plan_is_late(p, STRATEGY_TLS));
    assert_false(plan_is_late(p, STRATEGY_CONNECTION));
    EXPECT_STR(decide_tls(p, &s, &a, &d)->name, "default");
    s.facts.mx = STR("mx.strict.example");
    EXPECT_STR(decide_tls(p, &s, &a, &d)->name, "strict");
    plan_give(p);
    (void)state;
}

static void wrong_plans_are_refused(void **state)
{
    static const struct {
        const char *text, *message, *hint;
    } rows[] = {
        {"queue: { strategy: { route: [ { use: mxx } ] } }",
         "f:1:38: queue.strategy.route: there is no queue.route.mxx", "did you mean mx?"},
        {"queue: { strategy: { route: \"'mxx'\" } }", "there is no queue.route.mxx", "mx?"},
        {"queue: { strategy: { route: [ { use: local } ] } }", "there is no queue.route.local",
         NULL},
        {"queue: { strategy: { route: mx } }", "no value yet", NULL},
        {"queue: { strategy: { tls: default } }", "there is no variable \"default\"",
         "in quotes: 'default'"},
        {"queue: { strategy: { route: [ { if: \"rcpt_domian == 'a'\", use: mx }, { use: mx } ] } }",
         "f:1:38: queue.strategy.route: there is no variable \"rcpt_domian\"",
         "did you mean rcpt_domain?"},
        {"queue: { strategy: { route: [ { if: \"mx == 'a'\", use: mx }, { use: mx } ] } }",
         "mx has no value yet in queue.strategy.route", NULL},
        {"queue: { schedule: { a: { queue-name: nowhere } } }",
         "f:1:39: queue-name: there is no queue.virtual.nowhere", NULL},
        {"queue: { schedule: { a: { queue-name: remote, expire: 1d, max-attempts: 3 } } }",
         "expire and max-attempts exclude each other", NULL},
        {"queue: { schedule: { a: { queue-name: remote, retry: [500ms] } } }",
         "retry must be 1s to 30d, not 500ms", NULL},
        {"queue: { schedule: { a: { queue-name: remote, retry: [] } } }", "retry is empty", NULL},
        {"queue: { route: { a: { type: relay } } }", "type relay needs an address", NULL},
        {"queue: { route: { a: { type: mx, address: b } } }", "address is not for type mx", NULL},
        {"queue: { route: { a: { type: local, deliver: maildir } } }", "needs a path", NULL},
        {"queue: { route: { a: { port: 25 } } }", "type is required", NULL},
        {"queue: { tls: { a: { dane: require } } }", "dane is not offered by this version", NULL},
        {"queue: { virtual: { a: { concurrency: 0 } } }", "concurrency must be 1 to 100000", NULL},
        {"queue: { virtual: { a: { fair-by: sender_domian } } }",
         "queue.virtual.a.fair-by: there is no variable \"sender_domian\"",
         "did you mean sender_domain?"},
        {"queue: { virtual: { a: { fair-by: mx } } }", "mx has no value yet", NULL},
        {"queue: { virtual: { a: { weight: sender } } }",
         "queue.virtual.a.weight: there is no variable \"sender\"", NULL},
        {"queue: { virtual: { a: { fair-by: sender, weight: '0' } } }",
         "queue.virtual.a.weight must be 1 to 100", NULL},
        {"queue: { virtual: { a: { fair-by: sender, weight: [ { use: heavy } ] } } }",
         "a weight is none", "write then: heavy"},
        {"queue: { virtual: { a: { rate: 5 } } }", "rate must be a rate such as 100/1m", NULL},
        {"queue: { virtual: { a: { lanes: { b: 5 } } } }", "lanes is not offered", NULL},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct faults faults = {0};
        struct buf out BUF_LOCAL = {0};
        struct plan *p = compile(rows[i].text, &faults);

        faults_print(&faults, &out);
        if (p != NULL || str_find_str(buf_str(&out), str_of(rows[i].message)) == STR_NONE ||
            (rows[i].hint != NULL &&
             str_find_str(buf_str(&out), str_of(rows[i].hint)) == STR_NONE)) {
            print_error("for: %s\nsaid: %.*s\nwanted: %s\n", rows[i].text, STR_ARG(buf_str(&out)),
                        rows[i].message);
            fail();
        }
        faults_done(&faults);
    }
    (void)state;
}

static void doubtful_plans_are_warned_about(void **state)
{
    static const struct {
        const char *text, *message;
        enum fault_level level;
    } rows[] = {
        {"queue: { schedule: { a: { queue-name: remote, notify: [1d, 3d], expire: 3d } } }",
         "queue.schedule.a: notice 2 is never sent", FAULT_WARNING},
        {"queue: { virtual: { a: {} } }", "no schedule leads to queue.virtual.a", FAULT_WARNING},
        {"queue: { virtual: { remote: { concurrency: 3 } } }", "fewer than 4 slots", FAULT_NOTE},
        {"queue: { route: { a: { type: relay, address: b, tls: { implicit: true } } } }",
         "port 25 speaks STARTTLS", FAULT_WARNING},
        {"queue: { tls: { a: { starttls: disable } } }", "neither dane nor mta-sts", FAULT_WARNING},
        {"queue: { tls: { a: { dane: optional } } }", "dane is not offered by this version",
         FAULT_NOTE},
        {"queue: { tls: { sender: {} }, strategy: { tls: sender } }", "sender is the variable here",
         FAULT_WARNING},
        {"queue: { strategy: { route: [ { if: '1 == 2', use: mx }, { use: mx } ] } }",
         "condition is always false", FAULT_WARNING},
        {"queue: { strategy: { route: [ { if: '1 == 1', use: mx }, { use: mx } ] } }",
         "always true", FAULT_WARNING},
        {"queue: { strategy: { route: [ { if: \"sender == 'a'\", then: \"'m' + $1\" }, "
         "{ use: mx } ] } }",
         "$1 is always empty", FAULT_WARNING},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct faults faults = {0};
        struct plan *p = compile(rows[i].text, &faults);
        bool found = false;

        for (size_t k = 0; k < faults.count; k++) {
            found = found ||
                    (faults.items[k].level == rows[i].level &&
                     str_find_str(faults.items[k].text, str_of(rows[i].message)) != STR_NONE);
        }
        if (p == NULL || !found) {
            struct buf out BUF_LOCAL = {0};

            faults_print(&faults, &out);
            print_error("for: %s\nsaid: %.*s\n", rows[i].text, STR_ARG(buf_str(&out)));
            fail();
        }
        plan_give(p);
        faults_done(&faults);
    }
    (void)state;
}

static void checking_tells_faults_of_keys_and_of_rules_together(void **state)
{
    struct config_options o = {.tables = tables, .table_count = COUNT_OF(tables), .is_check = true};
    struct faults faults = {0};
    struct config *cfg = config_parse(&o, STR("f"),
                                      STR("queue:\n"
                                          "  virtual: { a: { concurency: 5 } }\n"
                                          "  schedule: { b: { queue-nam: a } }\n"
                                          "  route: { c: { address: d } }\n"
                                          "  strategy: { tls: [ { use: nothing } ] }\n"),
                                      &faults);

    assert_non_null(cfg);
    assert_null(strategy_compile(cfg, &services, &faults));
    assert_int_equal(faults.errors, 5); /* concurency, queue-nam, queue-name, type, nothing */
    EXPECT_STR(faults.items[4].text, "queue.strategy.tls: there is no queue.tls.nothing");
    config_give(cfg);
    faults_done(&faults);
    (void)state;
}

static void local_domains_want_a_route(void **state)
{
    struct faults faults = {0};

    services.has_local_domains = true;
    assert_null(compile("", &faults));
    EXPECT_STR(faults.items[0].text,
               "there are local domains, but no queue.route.local that takes their mail");
    faults_done(&faults);
    struct plan *p = good(sample);

    plan_give(p);
    services.has_local_domains = false;
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_configured_is_a_relay_by_mx),
        cmocka_unit_test(the_sample_decides_with_the_line_that_said_so),
        cmocka_unit_test(names_can_be_computed),
        cmocka_unit_test(a_route_that_does_not_exist_waits),
        cmocka_unit_test(a_look_up_is_asked_for_and_its_answer_decides),
        cmocka_unit_test(variables_have_their_true_values),
        cmocka_unit_test(words_of_variables_are_those_of_the_envelope),
        cmocka_unit_test(late_lists_are_marked_and_see_the_host),
        cmocka_unit_test(wrong_plans_are_refused),
        cmocka_unit_test(doubtful_plans_are_warned_about),
        cmocka_unit_test(checking_tells_faults_of_keys_and_of_rules_together),
        cmocka_unit_test(local_domains_want_a_route),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
