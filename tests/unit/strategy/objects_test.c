/* Routes, connections and TLS objects: which are refused, with what advice; and choices by chance.
 */
#include "../unit.h"
#include "base/check.h"
#include "strategy/strategy.h"

static const struct setting_table *const tables[] = {
    &virtual_table,         &schedule_table, &route_table,    &connection_table,
    &source_ip_table,       &tls_table,      &strategy_table, &limiter_table,
    &visitor_limiter_table, &quota_table,    &meta_table};

static bool owns_none(void *ctx, const struct addr *a)
{
    (void)ctx, (void)a;
    return false;
}

static enum expr_local is_local(void *ctx, struct str directory, struct str domain)
{
    (void)ctx, (void)directory, (void)domain;
    return EXPR_LOCAL_NO;
}

static struct strategy_services services = {.expr = {.is_local_domain = is_local},
                                            .hostname = STR_INIT("mx.here.example")};

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

    assert_int_equal(faults.errors, 0); /* warnings: no rule leads to what is looked at here */
    assert_non_null(p);
    faults_done(&faults);
    return p;
}

static const struct {
    const char *text, *says, *advises;
    bool is_warning;
} wrong[] = {
    {"queue: { route: { a: { type: relay, address: x.test, addresses: [ y.test ] } } }",
     "f:1:65: queue.route.a: address and addresses exclude each other",
     "addresses: [ x.test, ... ]", false},
    {"queue: { route: { a: { type: relay } } }",
     "f:1:19: queue.route.a: type relay needs an address", NULL, false},
    {"queue: { route: { a: { type: relay, addresses: [ { adress: x.test } ] } } }",
     "f:1:50: addresses: each host needs an address", NULL, false},
    {"queue: { route: { a: { type: relay, addresses: [ { address: x.test, wieght: 3 } ] } } }",
     "f:1:69: addresses: a host has no \"wieght\"", "did you mean weight?", false},
    {"queue: { route: { a: { type: relay, addresses: [ { address: x.test, port: 0 } ] } } }",
     "f:1:75: addresses: port must be 1 to 65535", NULL, false},
    {"queue: { route: { a: { type: relay, addresses: [ { address: 'x test' } ] } } }",
     "f:1:62: addresses must be a host name or an IP address", NULL, false},
    {"queue: { route: { a: { type: mx, addresses: [ x.test ] } } }",
     "f:1:45: queue.route.a: addresses is not for type mx", "it is for type relay", false},
    {"queue: { route: { a: { type: discard, port: 25 } } }",
     "f:1:45: queue.route.a: port is not for type discard", NULL, false},
    {"queue: { route: { a: { type: reject, reply: { code: 250 } } } }",
     "f:1:53: code must be 400 to 599, not 250", NULL, false},
    {"queue: { route: { a: { type: discard, reply: { code: 550 } } } }",
     "queue.route.a: reply.code is not for type discard", "it is for type reject", false},
    {"queue: { route: { a: { type: local, deliver: maildir, path: /x, address: x.test } } }",
     "queue.route.a: address is not for deliver: maildir", "it is for deliver: lmtp", false},
    {"queue: { route: { a: { type: relais, address: x.test } } }",
     "f:1:30: type must be one of mx, relay, local, discard, reject", "did you mean relay?", false},
    {"queue: { route: { a: { type: relay, address: x.test, auth: { username: ann } } } }",
     "f:1:72: queue.route.a: auth.username without auth.secret", NULL, false},
    {"queue: { route: { a: { type: relay, address: x.test, auth: { secret: tea } } } }",
     "queue.route.a: auth.secret without auth.username", NULL, false},
    {"queue: { route: { a: { type: relay, address: x.test, auth: { username: ann, secret: '' } } } "
     "}",
     "queue.route.a: auth.secret is empty", NULL, false},
    {"queue: { route: { a: { type: relay, address: x.test, auth: { usernam: ann } } } }",
     "unknown key \"auth.usernam\"", "did you mean username?", false},
    {"queue: { route: { a: { type: relay, address: x.test, allow-plaintext-auth: true } } }",
     "queue.route.a: allow-plaintext-auth without auth", "auth: { username: ...", false},
    {"queue: { route: { a: { type: mx, auth: { username: ann, secret: tea } } } }",
     "queue.route.a: auth.username is not for type mx", "it is for type relay", false},
    {"queue: { route: { a: { type: relay, address: x.test, protocol: lmtp, auth: { username: ann, "
     "secret: tea } } } }",
     "queue.route.a: auth is not for protocol: lmtp", NULL, false},
    {"queue: { route: { a: { type: local, deliver: pipe } } }",
     "f:1:19: queue.route.a: deliver: pipe needs a command", "command: [ /usr/bin/program", false},
    {"queue: { route: { a: { type: local, deliver: pipe, command: [ maildrop, '${rcpt}' ] } } }",
     "queue.route.a: command begins with the path of a program", "[ /usr/bin/program,", false},
    {"queue: { route: { a: { type: local, deliver: pipe, command: '/bin/x ${rcpt}' } } }",
     "queue.route.a: command begins with the path of a program", "there is no shell", false},
    {"queue: { route: { a: { type: local, deliver: pipe, command: [ /bin/x, '${recpt}' ] } } }",
     "f:1:61: queue.route.a: there is no ${recpt}", "did you mean ${rcpt}?", false},
    {"queue: { route: { a: { type: local, deliver: pipe, command: [ /bin/x, 'a${rcpt' ] } } }",
     "queue.route.a: \"${rcpt\" has no end", "$${", false},
    {"queue: { route: { a: { type: local, deliver: maildir, path: /x, command: [ /bin/x ] } } }",
     "queue.route.a: command is not for deliver: maildir", "it is for deliver: pipe", false},
    {"queue: { route: { a: { type: local, deliver: pipe, command: /bin/x, path: /x } } }",
     "queue.route.a: path is not for deliver: pipe", "it is for deliver: maildir", false},
    {"queue: { source-ip: { somewhere: { weight: 2 } } }",
     "f:1:23: queue.source-ip: \"somewhere\" is no IP address", "\"2001:db8::1\" in quotes", false},
    {"queue: { source-ip: { 192.0.2.1: { weight: 0 } } }", "f:1:44: weight must be 1 to 10000",
     NULL, false},
    {"queue: { source-ip: { 192.0.2.1: { weight: 2 } } }",
     "f:1:23: warning: queue.source-ip.192.0.2.1: no queue.connection has it in source-ips", NULL,
     true},
    {"queue: { source-ip: { \"2001:DB8::1\": {}, \"2001:db8:0::1\": {} } }",
     "queue.source-ip: \"2001:db8::1\" is declared twice", NULL, false},
    {"queue: { connection: { default: { source-ips: [ 192.0.2.1, 192.0.2.1 ] } } }",
     "queue.connection.default: 192.0.2.1 stands twice in source-ips",
     "queue.source-ip: { \"192.0.2.1\": { weight: 2 } }", false},
    {"queue: { connection: { default: { source-ips: [ 192.0.2.1 ] } } }",
     "192.0.2.1 is no address of this host", NULL, true},
    {"queue: { connection: { default: { turn: { mesages: 2 } } } }",
     "f:1:43: unknown key \"turn.mesages\"", "did you mean messages?", false},
};

static void wrong_objects_are_refused_with_advice(void **state)
{
    unsigned misses = 0;

    services.is_own_address = owns_none;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct faults faults = {0};
        struct buf out BUF_LOCAL = {0};
        struct plan *p = compile(wrong[i].text, &faults);

        faults_print(&faults, &out);
        if (str_find_str(buf_str(&out), str_of(wrong[i].says)) == STR_NONE ||
            (wrong[i].advises != NULL &&
             str_find_str(buf_str(&out), str_of(wrong[i].advises)) == STR_NONE) ||
            (p != NULL) != wrong[i].is_warning) {
            print_error("%s:\n%.*s\n", wrong[i].text, STR_ARG(buf_str(&out)));
            misses++;
        }
        plan_give(p);
        faults_done(&faults);
    }
    services.is_own_address = NULL;
    assert_int_equal(misses, 0);
    (void)state;
}

/* ---- choices ---- */

static uint64_t next_number(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    return z ^ z >> 27;
}

static void hosts_are_ordered_by_priority_then_by_weight(void **state)
{
    struct plan *p = good("queue:\n"
                          "  route:\n"
                          "    a:\n"
                          "      type: relay\n"
                          "      port: 26\n"
                          "      addresses:\n"
                          "        - { address: late.test, priority: 5 }\n"
                          "        - { address: big.test, weight: 3 }\n"
                          "        - { address: 192.0.2.1, port: 2525 }\n"
                          "        - { address: spare.test, weight: 0 }\n");
    const struct plan_route *r = plan_route(p, STR("a"));
    unsigned big_first = 0;
    uint64_t seed = 1, chance[4];
    uint32_t order[4];

    assert_int_equal(r->target_count, 4);
    assert_false(r->targets_are_known);
    EXPECT_STR(r->targets[3].host, "late.test");
    assert_int_equal(r->targets[0].port, 26);
    assert_int_equal(r->targets[1].ip.port, 2525);
    for (int round = 0; round < 4000; round++) {
        for (size_t i = 0; i < 4; i++) {
            chance[i] = next_number(&seed);
        }
        plan_targets_order(r, chance, order);
        assert_int_equal(order[3], 3); /* the later priority */
        assert_int_equal(order[2], 2); /* weight 0: after the others */
        assert_int_equal(order[0] + order[1], 1);
        big_first += order[0] == 0;
    }
    assert_in_range(big_first, 2850, 3150); /* three of four */
    plan_give(p);
    (void)state;
}

static void sources_are_chosen_within_the_family_by_weight(void **state)
{
    struct plan *p = good("queue:\n"
                          "  connection:\n"
                          "    default:\n"
                          "      source-ips: [ 192.0.2.1, 192.0.2.2, \"2001:db8::1\" ]\n"
                          "    plain: {}\n"
                          "    four: { source-ips: 192.0.2.1 }\n"
                          "  source-ip:\n"
                          "    192.0.2.2: { weight: 4, ehlo-hostname: two.here.example }\n");
    const struct plan_connection *c = &p->connections[0];
    unsigned second = 0;
    uint64_t seed = 1;

    for (int round = 0; round < 5000; round++) {
        const struct plan_source *s = plan_source_for(c, 4, next_number(&seed));

        assert_int_equal(s->ip.family, 4);
        second += s == &c->sources[1];
        assert_ptr_equal(plan_source_for(c, 6, next_number(&seed)), &c->sources[2]);
    }
    assert_in_range(second, 3850, 4150); /* four of five */
    EXPECT_STR(c->sources[1].ehlo_hostname, "two.here.example");
    EXPECT_STR(c->sources[0].ehlo_hostname, "mx.here.example");
    assert_null(plan_source_for(&p->connections[1], 4, 1));
    assert_null(plan_source_for(&p->connections[2], 6, 1));
    plan_give(p);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_objects_are_refused_with_advice),
        cmocka_unit_test(hosts_are_ordered_by_priority_then_by_weight),
        cmocka_unit_test(sources_are_chosen_within_the_family_by_weight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
