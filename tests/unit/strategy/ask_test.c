/* What look-ups come to as values, and what decisions make of them, good or bad (PY-46). */
#include "../unit.h"
#include "base/check.h"
#include "dns/dns.h"
#include "lookup/settings.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/sim.h"
#include "strategy/ask.h"

static const struct setting_table *const tables[] = {
    &virtual_table,         &schedule_table, &route_table,    &connection_table,
    &source_ip_table,       &tls_table,      &strategy_table, &limiter_table,
    &visitor_limiter_table, &quota_table,    &lookup_table,   &meta_table};

static enum expr_local is_local(void *ctx, struct str directory, struct str domain)
{
    (void)ctx, (void)directory, (void)domain;
    return EXPR_LOCAL_NO;
}

static struct strategy_services services = {.expr = {.is_local_domain = is_local},
                                            .hostname = STR_INIT("mx.here.example")};

static const char *const stores =
    "lookup:\n"
    "  default: { type: redis, address: 127.0.0.1, cache: { ttl: 0s, negative-ttl: 0s } }\n"
    "  r: { type: redis, address: 127.0.0.1, cache: { ttl: 0s, negative-ttl: 0s } }\n"
    "  s: { type: sqlite, path: /nowhere }\n"
    "queue:\n"
    "  schedule: { remote: { queue-name: remote } }\n"
    "  route:\n"
    "    hub: { type: relay, address: 192.0.2.1 }\n"
    "    other: { type: relay, address: 192.0.2.2 }\n"
    "  strategy:\n";

/* ---- a world with a store and names ---- */

static struct yard {
    struct config *config;
    struct plan *plan;
    void (*test)(void);
    struct lookups *lookups;
    struct dns *dns;
    struct asker asker;
    unsigned asked;
    enum err_code fails;
    int64_t takes_ms;
} y;

static struct lookup_cell text(const char *s)
{
    return (struct lookup_cell){.type = LOOKUP_TEXT, .text = str_of(s)};
}

static struct lookup_cell number(int64_t n)
{
    return (struct lookup_cell){.type = LOOKUP_INT, .text = STR_EMPTY, .num = n};
}

/* A statement says what it answers: "SELECT ROWSxCOLUMNS"; "SET n" changes n rows. */
static struct err answer_sql(const struct lookup_question *q, struct arena *a,
                             struct lookup_answer *ret)
{
    if (str_starts(q->key, STR("SET "))) {
        ret->rows = ret->columns = 1;
        ret->is_count = true;
        ret->cells = arena_array(a, 1, sizeof *ret->cells);
        ret->cells[0] = number(q->key.ptr[4] - '0');
        return ERR_OK;
    }
    ret->rows = (size_t)(q->key.ptr[7] - '0');
    ret->columns = (size_t)(q->key.ptr[9] - '0');
    ret->cells = arena_array(a, ret->rows * ret->columns + 1, sizeof *ret->cells);
    for (size_t i = 0; i < ret->rows * ret->columns; i++) {
        ret->cells[i] = i == 0 && q->arg_count > 0 ? q->args[0] : number((int64_t)i);
    }
    return ERR_OK;
}

static struct err answer(void *ctx, const struct lookup_question *q, struct arena *a,
                         struct lookup_answer *ret, struct when by)
{
    (void)ctx;
    y.asked++;
    if (y.takes_ms > 0) {
        struct err e = fiber_sleep(when_after(y.takes_ms), by);

        if (e.code != OK) {
            return e;
        }
    }
    if (y.fails != OK) {
        return err_of(y.fails);
    }
    if (q->verb == LOOKUP_SQL) {
        return answer_sql(q, a, ret);
    }
    if (str_eq(q->key, STR("none"))) {
        return ERR_OK;
    }
    ret->rows = ret->columns = 1;
    ret->cells = arena_array(a, 1, sizeof *ret->cells);
    ret->cells[0] = q->verb == LOOKUP_GET            ? text("hub")
                    : q->verb == LOOKUP_COUNTER_INCR ? number(40 + q->by)
                                                     : number(1);
    return ERR_OK;
}

static struct err resolve(void *ctx, struct str name, enum dns_type type, struct arena *a,
                          struct dns_answer *ret, struct when by)
{
    (void)ctx, (void)by;
    if (str_starts(name, STR("fails"))) {
        ret->result = DNS_FAILED;
        return ERR_OK;
    }
    if (str_starts(name, STR("none"))) {
        ret->result = DNS_NO_NAME;
        return ERR_OK;
    }
    ret->records = arena_array(a, 2, sizeof *ret->records);
    if (type == DNS_A) {
        must(addr_parse_ip(STR("192.0.2.7"), &ret->records[ret->count++].addr));
    } else if (type == DNS_AAAA) {
        must(addr_parse_ip(STR("2001:db8::7"), &ret->records[ret->count++].addr));
    } else if (type == DNS_MX) {
        ret->records[ret->count++] = (struct dns_record){.preference = 20, .name = STR("b.test")};
        ret->records[ret->count++] = (struct dns_record){.preference = 10, .name = STR("a.test")};
    } else if (type == DNS_TXT) {
        ret->records[ret->count++].bytes = STR("v=x ");
        ret->records[ret->count++].bytes = STR("more");
    } else if (type == DNS_PTR) {
        ret->records[ret->count++].name = arena_dup(a, name);
    }
    return ERR_OK;
}

static void main_fiber(void *arg)
{
    struct lookup_options o = {.sim = {.ask = answer}};

    (void)arg;
    y.dns = dns_open_sim((struct dns_sim){.fn = resolve}, 5000);
    y.lookups = lookup_open(y.config, &o, WHEN_NEVER);
    y.asker = (struct asker){y.lookups, y.dns};
    y.test();
    lookup_close(y.lookups, WHEN_NEVER);
    dns_close(y.dns, WHEN_NEVER);
}

static struct plan *load(const char *strategies, struct faults *faults, struct config **cfg)
{
    struct config_options o = {.tables = tables, .table_count = COUNT_OF(tables), .number = 1};
    struct buf whole BUF_LOCAL = {0};

    services.expr.lookups = ask_offers();
    buf_printf(&whole, "%s%s", stores, strategies);
    *cfg = config_parse(&o, STR("f"), buf_str(&whole), faults);
    return *cfg == NULL ? NULL : strategy_compile(*cfg, &services, faults);
}

static void in_a_world(const char *strategies, void (*test)(void))
{
    struct faults faults = {0};
    struct world *w;

    memset(&y, 0, sizeof y);
    y.plan = load(strategies, &faults, &y.config);
    if (y.plan == NULL) {
        struct buf out BUF_LOCAL = {0};

        faults_print(&faults, &out);
        print_error("%.*s", STR_ARG(buf_str(&out)));
    }
    assert_non_null(y.plan);
    faults_done(&faults);
    y.test = test;
    w = sim_world(NULL);
    loop_main(world_loop(w, "home"), main_fiber, NULL);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
    plan_give(y.plan);
    config_give(y.config);
}

struct mail {
    struct message message;
    struct recipient to;
    struct subject subject;
    struct arena arena, answers;
    struct asking asking;
    struct decision d;
};

static void mail(struct mail *m, const char *to)
{
    memset(m, 0, sizeof *m);
    m->to = (struct recipient){.address = str_of(to), .state.queue = STR("q")};
    m->message = (struct message){.sender = STR("a@b.example"), .to = &m->to, .to_count = 1};
    m->subject = (struct subject){
        .message = &m->message, .recipient = &m->to, .facts = {.now = {1}, .mx = STR_EMPTY}};
    m->asking = (struct asking){.asker = &y.asker, .arena = &m->answers};
}

static void done(struct mail *m)
{
    arena_done(&m->arena);
    arena_done(&m->answers);
}

static const struct plan_route *route(struct mail *m, struct when by)
{
    return ask_route(y.plan, &m->subject, &m->asking, &m->arena, &m->d, by);
}

/* ---- values ---- */

static void asks_each(void)
{
    static const struct {
        enum expr_lookup_kind kind;
        const char *args[3];
        const char *gives;
    } cases[] = {
        {EXPR_LOOKUP_key_get, {"r", "k"}, "'hub'"},
        {EXPR_LOOKUP_key_get, {"*", "k"}, "'hub'"},
        {EXPR_LOOKUP_key_get, {"", "none"}, "''"},
        {EXPR_LOOKUP_key_exists, {"r", "k"}, "1"},
        {EXPR_LOOKUP_key_set, {"r", "k", "v"}, "1"},
        {EXPR_LOOKUP_counter_get, {"r", "k"}, "1"},
        {EXPR_LOOKUP_sql_query, {"s", "SELECT 0x2"}, "''"},
        {EXPR_LOOKUP_sql_query, {"s", "SELECT 1x1"}, "0"},
        {EXPR_LOOKUP_sql_query, {"s", "SELECT 1x1", "x"}, "'x'"},
        {EXPR_LOOKUP_sql_query, {"s", "SELECT 1x3"}, "[0, 1, 2]"},
        {EXPR_LOOKUP_sql_query, {"s", "SELECT 3x1"}, "[0, 1, 2]"},
        {EXPR_LOOKUP_sql_query, {"s", "SELECT 2x2"}, "[[0, 1], [2, 3]]"},
        {EXPR_LOOKUP_sql_query, {"s", "SET 3"}, "3"},
        {EXPR_LOOKUP_dns_query, {"a.test", "ipv4"}, "['192.0.2.7']"},
        {EXPR_LOOKUP_dns_query, {"a.test", "ipv6"}, "['2001:db8::7']"},
        {EXPR_LOOKUP_dns_query, {"a.test", "ip"}, "['192.0.2.7', '2001:db8::7']"},
        {EXPR_LOOKUP_dns_query, {"a.test", "mx"}, "['a.test', 'b.test']"},
        {EXPR_LOOKUP_dns_query, {"a.test", "txt"}, "['v=x more']"},
        {EXPR_LOOKUP_dns_query, {"192.0.2.1", "ptr"}, "['1.2.0.192.in-addr.arpa']"},
        {EXPR_LOOKUP_dns_query, {"none.test", "ip"}, "[]"},
        {EXPR_LOOKUP_dns_query, {"none.test", "txt"}, "[]"},
        {EXPR_LOOKUP_dns_query, {"none.test", "mx"}, "[]"},
        {EXPR_LOOKUP_dns_query, {"not a name", "txt"}, "[]"},
        {EXPR_LOOKUP_dns_query, {"fails.test", "ip"}, "DNS"},
        {EXPR_LOOKUP_dns_query, {"fails.test", "mx"}, "DNS"},
        {EXPR_LOOKUP_dns_query, {"fails.test", "txt"}, "DNS"},
        {EXPR_LOOKUP_dns_query, {"a.test", "any"}, "SYNTAX"},
        {EXPR_LOOKUP_key_get, {"away", "k"}, "NOT_FOUND"},
        {EXPR_LOOKUP_sql_query, {"r", "SELECT 1x1"}, "SYNTAX"},
        {EXPR_LOOKUP_is_local_address, {"*", "a@b"}, "CONFIG"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct asking k = {.asker = &y.asker, .arena = &a};
        struct expr_lookup l = {.kind = cases[i].kind};
        struct buf got BUF_LOCAL = {0};

        while (l.arg_count < 3 && cases[i].args[l.arg_count] != NULL) {
            l.args[l.arg_count] = value_text(str_of(cases[i].args[l.arg_count]));
            l.arg_count++;
        }
        assert_true(ask_perform(&k, &l, WHEN_NEVER));
        if (k.answers.last->err.code != OK) {
            buf_put(&got, str_of(err_name(k.answers.last->err.code)));
        } else {
            value_print(&got, &k.answers.last->value);
        }
        if (!str_eq(buf_str(&got), str_of(cases[i].gives))) {
            struct buf asked BUF_LOCAL = {0};

            expr_lookup_print(&asked, &l);
            print_error("%.*s gives %.*s, not %s\n", STR_ARG(buf_str(&asked)),
                        STR_ARG(buf_str(&got)), cases[i].gives);
            fail();
        }
    }
}

static void answers_become_values(void **state)
{
    in_a_world("    route: \"'hub'\"\n", asks_each);
    (void)state;
}

/* ---- decisions ---- */

static void decides_by_answers(void)
{
    struct buf out BUF_LOCAL = {0};
    struct mail m;

    assert_true(plan_asks(y.plan, STRATEGY_ROUTE));
    assert_false(plan_asks(y.plan, STRATEGY_TLS));
    mail(&m, "x@hub.example");
    EXPECT_STR(route(&m, WHEN_NEVER)->name, "hub");
    assert_int_equal(y.asked, 2);
    EXPECT_STR(route(&m, WHEN_NEVER)->name, "hub"); /* the answers are part of the decision */
    assert_int_equal(y.asked, 2);
    expr_answers_print(&out, &m.asking.answers);
    EXPECT_STR(buf_str(&out), "key_exists('r', 'hub.example') = 1\n"
                              "key_get('r', 'hub.example') = 'hub'\n");
    done(&m);
}

static void a_decision_asks_once_and_remembers(void **state)
{
    in_a_world("    route: [ { if: \"key_exists('r', rcpt_domain)\", then: \"key_get('r', "
               "rcpt_domain)\" }, { use: other } ]\n",
               decides_by_answers);
    (void)state;
}

static void decides_without_answers(void)
{
    const struct schedule *schedule;
    struct mail m;

    y.fails = ERR_NETWORK;
    mail(&m, "x@hub.example");
    assert_null(route(&m, WHEN_NEVER)); /* never another route */
    assert_int_equal(m.d.status, DECISION_FAILED);
    EXPECT_STR(m.d.why, "key_exists('r', 'hub.example') failed: lookup.r: network error");
    done(&m);

    mail(&m, "x@hub.example");
    schedule = ask_schedule(y.plan, &m.subject, &m.asking, &m.arena, &m.d, WHEN_NEVER);
    EXPECT_STR(schedule->name, "default");
    assert_true(m.d.is_fallback);
    EXPECT_STR(m.d.wanted, "");
    done(&m);

    y.fails = OK; /* and a name that does not exist is another fallback, with its name */
    (void)fiber_sleep(when_after(2000), WHEN_NEVER);
    mail(&m, "x@hub.example");
    schedule = ask_schedule(y.plan, &m.subject, &m.asking, &m.arena, &m.d, WHEN_NEVER);
    EXPECT_STR(schedule->name, "default");
    EXPECT_STR(m.d.wanted, "hub");
    done(&m);
}

static void without_an_answer_there_is_a_default_schedule_and_no_route(void **state)
{
    in_a_world("    route: [ { if: \"key_exists('r', rcpt_domain)\", use: hub }, { use: other } ]\n"
               "    schedule: [ { then: \"key_get('r', rcpt_domain)\" } ]\n",
               decides_without_answers);
    (void)state;
}

static void is_in_a_hurry(void)
{
    struct when began = clock_now();
    struct mail m;

    y.takes_ms = 1000;
    mail(&m, "x@hub.example");
    assert_null(route(&m, when_after(100)));
    assert_in_range((clock_now().ns - began.ns) / NS_PER_MS, 99, 110);
    EXPECT_STR(m.d.why, "key_exists('r', 'hub.example') failed: lookup.r: timed out");
    done(&m);
}

static void a_decision_takes_no_longer_than_it_may(void **state)
{
    in_a_world(
        "    route: [ { if: \"key_exists('r', rcpt_domain)\", use: hub }, { use: other } ]\n",
        is_in_a_hurry);
    (void)state;
}

static void asks_nobody(void)
{
    struct mail m;

    mail(&m, "x@hub.example");
    m.asking.asker = NULL;
    assert_null(route(&m, WHEN_NEVER));
    EXPECT_STR(m.d.why, "key_exists('r', 'hub.example') failed: stores are not asked here");
    done(&m);
}

static void where_nobody_performs_look_ups_they_fail(void **state)
{
    in_a_world(
        "    route: [ { if: \"key_exists('r', rcpt_domain)\", use: hub }, { use: other } ]\n",
        asks_nobody);
    (void)state;
}

static void cancelled_one(void *arg)
{
    struct mail *m = arg;

    assert_null(route(m, WHEN_NEVER));
}

static void is_cancelled(void)
{
    struct group g;
    struct mail m;

    y.takes_ms = 1000;
    mail(&m, "x@hub.example");
    group_init(&g, "askers", 1);
    assert_int_equal(group_spawn_now(&g, "asker", cancelled_one, &m).code, OK);
    (void)fiber_sleep(when_after(10), WHEN_NEVER);
    group_cancel(&g);
    (void)group_join(&g, WHEN_NEVER);
    assert_true(m.asking.is_cancelled);
    assert_int_equal(m.asking.answers.count, 0); /* that is no answer */
    done(&m);
}

static void a_fiber_that_is_cancelled_concludes_nothing(void **state)
{
    in_a_world(
        "    route: [ { if: \"key_exists('r', rcpt_domain)\", use: hub }, { use: other } ]\n",
        is_cancelled);
    (void)state;
}

/* ---- at load ---- */

static void stores_are_checked_at_load(void **state)
{
    static const struct {
        const char *condition, *says;
    } cases[] = {
        {"key_get('rr', rcpt)", "there is no lookup.rr"},
        {"key_get('s', rcpt)", "lookup.s is of type sqlite and cannot be asked key_get"},
        {"sql_query('r', 'SELECT 1')", "lookup.r is of type redis and cannot be asked sql_query"},
        {"counter_incr('s', rcpt, 1)", "cannot be asked counter_incr"},
        {"count(dns_query(rcpt_domain, 'any'))", "one of: ip ipv4"},
        {"is_local_address('*', rcpt)", "cannot be asked in queue.strategy.route"},
        {"key_get(rcpt_domain, rcpt)", NULL}, /* computed: known when it is asked */
        {"key_get('*', rcpt)", NULL},
        {"key_get('', rcpt)", NULL},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct faults faults = {0};
        struct buf out BUF_LOCAL = {0}, rules BUF_LOCAL = {0};
        struct config *cfg;
        struct plan *p;

        buf_printf(&rules, "    route: [ { if: \"%s\", use: hub }, { use: other } ]\n%c",
                   cases[i].condition, 0);
        p = load(rules.ptr, &faults, &cfg);
        faults_print(&faults, &out);
        if ((p == NULL) != (cases[i].says != NULL) ||
            (cases[i].says != NULL &&
             str_find_str(buf_str(&out), str_of(cases[i].says)) == STR_NONE)) {
            print_error("%s: %.*s\n", cases[i].condition, STR_ARG(buf_str(&out)));
            fail();
        }
        plan_give(p);
        config_give(cfg);
        faults_done(&faults);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_become_values),
        cmocka_unit_test(a_decision_asks_once_and_remembers),
        cmocka_unit_test(without_an_answer_there_is_a_default_schedule_and_no_route),
        cmocka_unit_test(a_decision_takes_no_longer_than_it_may),
        cmocka_unit_test(where_nobody_performs_look_ups_they_fail),
        cmocka_unit_test(a_fiber_that_is_cancelled_concludes_nothing),
        cmocka_unit_test(stores_are_checked_at_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
