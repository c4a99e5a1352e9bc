#include "../unit.h"
#include "dns/dns.h"
#include "dns/settings.h"
#include "responder.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/sim.h"

static const struct row rows[] = {
    {"one.test", DNS_A, NOERROR, "A 192.0.2.1"},
    {"one.test", DNS_AAAA, NOERROR, ""},
    {"one.test", DNS_TXT, NOERROR, "TXT v=spf1 -all"},
    {"both.test", DNS_A, NOERROR, "A 192.0.2.1, A 192.0.2.2"},
    {"both.test", DNS_AAAA, NOERROR, "AAAA 2001:db8::1, AAAA 2001:db8::2"},
    {"alias.test", DNS_A, NOERROR, "CNAME one.test, A 192.0.2.1"},
    {"alias.test", DNS_MX, NOERROR, "CNAME real.test, MX 5 mx.real.test"},
    {"real.test", DNS_MX, NOERROR, "MX 5 mx.real.test"},
    {"broken.test", DNS_A, SERVFAIL, ""},
    {"broken.test", DNS_AAAA, NOERROR, ""},
    {"broken.test", DNS_MX, SERVFAIL, ""},
    {"half.test", DNS_A, NOERROR, "A 192.0.2.7"},
    {"half.test", DNS_AAAA, SERVFAIL, ""},
    {"refused.test", DNS_A, REFUSED, ""},
    {"silent.test", DNS_A, DROP, ""},
    {"silent.test", DNS_MX, DROP, ""},
    {"empty.test", DNS_A, NOERROR, ""},
    {"empty.test", DNS_AAAA, NOERROR, ""},
    {"empty.test", DNS_MX, NOERROR, ""},
    {"loop.test", DNS_A, NOERROR, "A 127.0.0.1"},
    {"loop.test", DNS_AAAA, NOERROR, "AAAA ::1"},
    {"mixed.test", DNS_A, NOERROR, "A 127.0.0.1, A 192.0.2.9"},
    {"mixed.test", DNS_AAAA, NOERROR, ""},
    {"order.test", DNS_MX, NOERROR, "MX 20 c.test, MX 10 a.test, MX 10 b.test"},
    {"null.test", DNS_MX, NOERROR, "MX 0 ."},
    {"mostly-null.test", DNS_MX, NOERROR, "MX 0 ., MX 10 mx.test"},
    {"odd-null.test", DNS_MX, NOERROR, "MX 10 ."},
    {"hostile.test", DNS_MX, NOERROR, "MX 1 bad name.test, MX 2 good.test"},
    {"hostile-only.test", DNS_MX, NOERROR, "MX 1 bad name.test"},
    {"1.2.0.192.in-addr.arpa", DNS_PTR, NOERROR, "PTR one.test"},
};

static struct responder responder;

static int start(void **state)
{
    (void)state;
    responder_start(&responder, rows, COUNT_OF(rows));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    responder_stop(&responder);
    return 0;
}

static struct dns *open_here(int64_t timeout_ms)
{
    struct resolver_settings s = {
        .servers = {&responder.at, 1}, .timeout_ms = timeout_ms, .cache_bytes = 3 << 20};
    struct buf why BUF_LOCAL = {0};
    struct dns *d = NULL;
    struct err e = dns_open(&s, &d, &why);

    if (e.code != OK) {
        print_error("%.*s\n", STR_ARG(buf_str(&why)));
    }
    assert_int_equal(e.code, OK);
    return d;
}

static const struct {
    const char *name;
    enum dns_type type;
    enum dns_result result;
    size_t count;
    const char *says; /* the first record, or why */
} asked[] = {
    {"one.test", DNS_A, DNS_OK, 1, "192.0.2.1"},
    {"ONE.test.", DNS_A, DNS_OK, 1, "192.0.2.1"},
    {"one.test", DNS_TXT, DNS_OK, 1, "v=spf1 -all"},
    {"one.test", DNS_AAAA, DNS_NO_DATA, 0, "AAAA one.test: the name has no such record"},
    {"both.test", DNS_A, DNS_OK, 2, NULL},
    {"alias.test", DNS_A, DNS_OK, 1, "192.0.2.1"},
    {"nobody.test", DNS_A, DNS_NO_NAME, 0, "A nobody.test: no such name"},
    {"broken.test", DNS_A, DNS_FAILED, 0, "A broken.test: SERVFAIL"},
    {"refused.test", DNS_A, DNS_FAILED, 0, "A refused.test: SERVFAIL"},
    {"1.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, 1, "one.test"},
    {"", DNS_A, DNS_NO_NAME, 0, "A: not a domain name"},
    {".", DNS_A, DNS_NO_NAME, 0, "A: not a domain name"},
    {"a..test", DNS_A, DNS_NO_NAME, 0, "A: not a domain name"},
    {"a b.test", DNS_A, DNS_NO_NAME, 0, "A: not a domain name"},
    {"\xc3\xbc.test", DNS_A, DNS_NO_NAME, 0, "A: not a domain name"},
};

static void ask_fiber(void *arg)
{
    struct dns *d = open_here(5000);
    struct arena a ARENA_LOCAL = {0};

    (void)arg;
    for (size_t i = 0; i < COUNT_OF(asked); i++) {
        struct dns_answer r;
        char at[ADDR_BYTES];

        assert_int_equal(
            dns_ask(d, str_of(asked[i].name), asked[i].type, &a, &r, when_after(10000)).code, OK);
        if (r.result != asked[i].result || r.count != asked[i].count) {
            print_error("case %zu: result %d, %zu records, %.*s\n", i, (int)r.result, r.count,
                        STR_ARG(r.why));
            fail();
        }
        assert_false(r.secure);
        if (asked[i].says != NULL) {
            EXPECT_STR(r.result != DNS_OK          ? r.why
                       : r.records[0].addr.family  ? addr_print_ip(&r.records[0].addr, at)
                       : r.records[0].name.len > 0 ? r.records[0].name
                                                   : r.records[0].bytes,
                       asked[i].says);
        }
        if (str_eq(str_of(asked[i].name), STR("alias.test"))) {
            EXPECT_STR(r.canonical, "one.test");
            assert_true(r.ttl_s > 0 && r.ttl_s <= 60);
        }
    }
    dns_close(d, WHEN_NEVER);
}

static void every_kind_of_answer_is_told_apart(void **state)
{
    (void)state;
    run_alone("test", ask_fiber, NULL);
}

static const struct {
    const char *domain;
    size_t limit;
    enum dns_mx_kind kind;
    const char *hosts; /* "" none; "?" any order */
    const char *why;
} routed[] = {
    {"order.test", 1, DNS_MX_HOSTS, "?", ""},
    {"order.test", 0, DNS_MX_HOSTS, "?", ""},
    {"alias.test", 0, DNS_MX_HOSTS, "mx.real.test", ""},
    {"null.test", 0, DNS_MX_NULL, "", "null.test takes no mail (null MX)"},
    {"mostly-null.test", 0, DNS_MX_HOSTS, "mx.test", ""},
    {"odd-null.test", 0, DNS_MX_FAILED, "", "MX odd-null.test: none of the names can be used"},
    {"hostile.test", 0, DNS_MX_HOSTS, "good.test", ""},
    {"hostile-only.test", 0, DNS_MX_FAILED, "",
     "MX hostile-only.test: none of the names can be used"},
    {"empty.test", 0, DNS_MX_IMPLICIT, "empty.test", "MX empty.test: the name has no such record"},
    {"nobody.test", 0, DNS_MX_IMPLICIT, "nobody.test", "MX nobody.test: no such name"},
    {"broken.test", 0, DNS_MX_FAILED, "", "MX broken.test: SERVFAIL"},
};

static void mx_fiber(void *arg)
{
    struct dns *d = open_here(5000);
    struct arena a ARENA_LOCAL = {0};
    unsigned a_first = 0;

    (void)arg;
    for (size_t i = 0; i < COUNT_OF(routed); i++) {
        struct dns_mx r;
        bool any = str_eq(str_of(routed[i].hosts), STR("?"));

        assert_int_equal(
            dns_mx(d, str_of(routed[i].domain), routed[i].limit, &a, &r, when_after(10000)).code,
            OK);
        if (r.kind != routed[i].kind) {
            print_error("case %zu: kind %d %.*s\n", i, (int)r.kind, STR_ARG(r.why));
            fail();
        }
        EXPECT_STR(r.why, routed[i].why);
        assert_int_equal(r.count, any ? (routed[i].limit ? routed[i].limit : 3)
                                      : (routed[i].hosts[0] != '\0'));
        if (!any && r.count > 0) {
            EXPECT_STR(r.hosts[0].name, routed[i].hosts);
        }
    }
    for (unsigned i = 0; i < 200; i++) {
        struct dns_mx r;

        assert_int_equal(dns_mx(d, STR("order.test"), 0, &a, &r, when_after(10000)).code, OK);
        assert_int_equal(r.hosts[0].preference, 10);
        assert_int_equal(r.hosts[1].preference, 10);
        EXPECT_STR(r.hosts[2].name, "c.test");
        a_first += str_eq(r.hosts[0].name, STR("a.test"));
    }
    assert_true(a_first > 50 && a_first < 150); /* fails by chance once in 10^12 */
    dns_close(d, WHEN_NEVER);
}

static void mail_goes_to_the_hosts_of_rfc_5321_and_7505(void **state)
{
    (void)state;
    run_alone("test", mx_fiber, NULL);
}

static const struct {
    const char *host;
    enum dns_order order;
    size_t limit;
    bool allow_loopback;
    enum dns_host_kind kind;
    const char *addrs; /* in order, one blank between; or why */
} hosts[] = {
    {"both.test", DNS_IPV4_FIRST, 0, false, DNS_HOST_FOUND, "4 4 6 6"},
    {"both.test", DNS_IPV6_FIRST, 0, false, DNS_HOST_FOUND, "6 6 4 4"},
    {"both.test", DNS_IPV6_FIRST, 3, false, DNS_HOST_FOUND, "6 6 4"},
    {"both.test", DNS_IPV4_FIRST, 2, false, DNS_HOST_FOUND, "4 4"},
    {"both.test", DNS_IPV4_ONLY, 0, false, DNS_HOST_FOUND, "4 4"},
    {"both.test", DNS_IPV6_ONLY, 0, false, DNS_HOST_FOUND, "6 6"},
    {"one.test", DNS_IPV6_ONLY, 0, false, DNS_HOST_NONE,
     "AAAA one.test: the name has no such record"},
    {"half.test", DNS_IPV4_FIRST, 0, false, DNS_HOST_FOUND, "4"},
    {"broken.test", DNS_IPV4_FIRST, 0, false, DNS_HOST_FAILED, "A broken.test: SERVFAIL"},
    {"broken.test", DNS_IPV6_FIRST, 0, false, DNS_HOST_FAILED, "A broken.test: SERVFAIL"},
    {"empty.test", DNS_IPV4_FIRST, 0, false, DNS_HOST_NONE,
     "A empty.test: the name has no such record"},
    {"nobody.test", DNS_IPV4_FIRST, 0, false, DNS_HOST_NONE, "A nobody.test: no such name"},
    {"loop.test", DNS_IPV4_FIRST, 0, false, DNS_HOST_LOOPBACK,
     "loop.test has only loopback addresses"},
    {"loop.test", DNS_IPV4_FIRST, 0, true, DNS_HOST_FOUND, "4 6"},
    {"mixed.test", DNS_IPV4_FIRST, 1, false, DNS_HOST_FOUND, "4"},
    {"127.0.0.1", DNS_IPV4_FIRST, 0, true, DNS_HOST_FOUND, "4"},
    {"127.0.0.1", DNS_IPV4_FIRST, 0, false, DNS_HOST_LOOPBACK,
     "127.0.0.1 has only loopback addresses"},
    {"2001:db8::5", DNS_IPV4_FIRST, 0, false, DNS_HOST_FOUND, "6"},
    {"not a name", DNS_IPV4_FIRST, 0, false, DNS_HOST_NONE, "not a host name"},
};

static void host_fiber(void *arg)
{
    struct dns *d = open_here(5000);
    struct arena a ARENA_LOCAL = {0};

    (void)arg;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct dns_host r;
        char found[32] = "";
        size_t len = 0;

        assert_int_equal(dns_host(d, str_of(hosts[i].host), hosts[i].order, hosts[i].limit,
                                  hosts[i].allow_loopback, &a, &r, when_after(10000))
                             .code,
                         OK);
        for (size_t j = 0; j < r.count; j++) {
            len += (size_t)snprintf(found + len, sizeof found - len, "%s%u", j ? " " : "",
                                    r.addrs[j].family);
        }
        if (r.kind != hosts[i].kind) {
            print_error("case %zu: kind %d %.*s\n", i, (int)r.kind, STR_ARG(r.why));
            fail();
        }
        EXPECT_STR(r.kind == DNS_HOST_FOUND ? str_of(found) : r.why, hosts[i].addrs);
    }
    dns_close(d, WHEN_NEVER);
}

static void a_host_fails_for_good_only_when_every_family_says_so(void **state)
{
    (void)state;
    run_alone("test", host_fiber, NULL);
}

static void silent_fiber(void *arg)
{
    struct dns *d = open_here(100);
    struct arena a ARENA_LOCAL = {0};
    struct dns_answer r;
    struct dns_mx mx;

    (void)arg;
    assert_int_equal(dns_ask(d, STR("silent.test"), DNS_A, &a, &r, WHEN_NEVER).code, OK);
    assert_int_equal(r.result, DNS_FAILED);
    EXPECT_STR(r.why, "A silent.test: no answer in time");
    assert_int_equal(dns_mx(d, STR("silent.test"), 0, &a, &mx, when_after(5)).code, ERR_TIMEOUT);
    /* Both are still under way in the library: closing drops them. */
    dns_close(d, WHEN_NEVER);
}

static void silence_is_a_failure_in_time_and_can_be_given_up(void **state)
{
    (void)state;
    run_alone("test", silent_fiber, NULL);
}

struct far {
    struct dns *dns;
    struct loop *home, *asker;
    unsigned good;
    struct post done;
    struct fiber *waits;
    bool is_done;
};

static void far_done(struct post *p)
{
    struct far *f = CONTAINER_OF(p, struct far, done);

    f->is_done = true;
    fiber_wake(f->waits);
}

static void far_asks(void *arg)
{
    struct far *f = arg;
    struct arena a ARENA_LOCAL = {0};

    while (__atomic_load_n(&f->dns, __ATOMIC_ACQUIRE) == NULL) {
        assert_int_equal(fiber_yield(WHEN_NEVER).code, OK);
    }
    for (unsigned i = 0; i < 50; i++) {
        struct dns_host r;

        assert_int_equal(dns_host(f->dns, i % 2 ? STR("both.test") : STR("half.test"),
                                  DNS_IPV4_FIRST, 0, false, &a, &r, when_after(10000))
                             .code,
                         OK);
        f->good += r.kind == DNS_HOST_FOUND;
    }
    f->done.run = far_done;
    loop_post(f->home, &f->done);
}

static void far_home(void *arg)
{
    struct far *f = arg;

    f->waits = fiber_self();
    __atomic_store_n(&f->dns, open_here(5000), __ATOMIC_RELEASE);
    while (!f->is_done) {
        assert_int_equal(fiber_wait("the asker", when_after(20000)).code, OK);
    }
    dns_close(f->dns, WHEN_NEVER);
}

static void another_loop_may_ask(void **state)
{
    struct world *w = world_new();
    struct far f = {.home = world_loop(w, "home"), .asker = world_loop(w, "asker")};

    (void)state;
    loop_main(f.home, far_home, &f);
    loop_main(f.asker, far_asks, &f);
    world_run(w);
    world_free(w);
    assert_int_equal(f.good, 50);
}

static struct err scripted(void *ctx, struct str name, enum dns_type type, struct arena *a,
                           struct dns_answer *ret, struct when by)
{
    (void)ctx;
    if (str_eq(name, STR("slow.test"))) {
        return fiber_sleep(when_after(60000), by);
    }
    if (type != DNS_MX) {
        ret->result = DNS_NO_NAME;
        return ERR_OK;
    }
    ret->records = arena_array(a, 2, sizeof *ret->records);
    ret->records[0] = (struct dns_record){.preference = 1, .name = STR("a b.test")};
    ret->records[1] = (struct dns_record){.preference = 2, .name = STR("mx.test")};
    ret->count = 2;
    return ERR_OK;
}

static void scripted_fiber(void *arg)
{
    struct dns *d = dns_open_sim((struct dns_sim){scripted, NULL}, 20);
    struct arena a ARENA_LOCAL = {0};
    struct dns_mx mx;
    struct dns_host host;
    struct dns_answer r;

    (void)arg;
    assert_int_equal(dns_mx(d, STR("x.test"), 0, &a, &mx, WHEN_NEVER).code, OK);
    assert_int_equal(mx.count, 1);
    EXPECT_STR(mx.hosts[0].name, "mx.test");
    assert_int_equal(
        dns_host(d, STR("x.test"), DNS_IPV4_FIRST, 0, false, &a, &host, WHEN_NEVER).code, OK);
    assert_int_equal(host.kind, DNS_HOST_NONE);
    assert_int_equal(dns_ask(d, STR("slow.test"), DNS_A, &a, &r, WHEN_NEVER).code, OK);
    assert_int_equal(r.result, DNS_FAILED);
    assert_int_equal(dns_ask(d, STR("slow.test"), DNS_A, &a, &r, when_after(5)).code, ERR_TIMEOUT);
    dns_close(d, WHEN_NEVER);
}

static void a_scripted_resolver_stands_in(void **state)
{
    (void)state;
    run_alone("test", scripted_fiber, NULL);
}

static void scenario_fiber(void *arg)
{
    const struct resolver_settings s = {.timeout_ms = 5000};
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct dns *d = NULL;
    struct dns_answer r;
    struct when began = clock_now();

    (void)arg;
    assert_int_equal(dns_open(&s, &d, &why).code, OK);
    assert_int_equal(dns_ask(d, STR("slow.test"), DNS_A, &a, &r, WHEN_NEVER).code, OK);
    assert_int_equal(r.result, DNS_FAILED);
    assert_in_range((clock_now().ns - began.ns) / NS_PER_MS, 5000, 5001);
    dns_close(d, WHEN_NEVER);
}

static void no_scenario_fiber(void *arg)
{
    const struct resolver_settings s = {.timeout_ms = 5000};
    struct buf why BUF_LOCAL = {0};
    struct dns *d = NULL;

    (void)arg;
    assert_int_equal(dns_open(&s, &d, &why).code, ERR_CONFIG);
}

static void in_a_simulation_the_scenario_answers(void **state)
{
    struct dns_sim sim = {scripted, NULL};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct world *w = sim_world(NULL);

        if (i == 0) {
            sim_service_set(w, "dns", &sim);
        }
        loop_main(world_loop(w, "test"), i == 0 ? scenario_fiber : no_scenario_fiber, NULL);
        world_run(w);
        assert_int_equal(sim_end(w), SIM_OVER);
        world_free(w);
    }
}

static void no_anchor_fiber(void *arg)
{
    struct resolver_settings s = {
        .trust_anchor = STR("/nowhere/root.key"), .timeout_ms = 100, .cache_bytes = 3 << 20};
    struct buf why BUF_LOCAL = {0};
    struct dns *d = NULL;

    (void)arg;
    assert_int_equal(dns_open(&s, &d, &why).code, ERR_CONFIG);
    assert_null(d);
    assert_true(str_starts(buf_str(&why), STR("resolver: /nowhere/root.key: ")));
}

static void a_missing_trust_anchor_is_an_error(void **state)
{
    (void)state;
    run_alone("test", no_anchor_fiber, NULL);
}

static void reverse_names_are_written_as_the_rfcs_say(void **state)
{
    static const struct {
        const char *ip, *name;
    } cases[] = {
        {"192.0.2.1", "1.2.0.192.in-addr.arpa"},
        {"::ffff:192.0.2.1", "1.2.0.192.in-addr.arpa"},
        {"2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
    };
    struct arena a ARENA_LOCAL = {0};
    struct addr addr;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_true(addr_parse_ip(str_of(cases[i].ip), &addr));
        EXPECT_STR(dns_reverse(addr, &a), cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_answer_is_told_apart),
        cmocka_unit_test(mail_goes_to_the_hosts_of_rfc_5321_and_7505),
        cmocka_unit_test(a_host_fails_for_good_only_when_every_family_says_so),
        cmocka_unit_test(silence_is_a_failure_in_time_and_can_be_given_up),
        cmocka_unit_test(another_loop_may_ask),
        cmocka_unit_test(a_scripted_resolver_stands_in),
        cmocka_unit_test(in_a_simulation_the_scenario_answers),
        cmocka_unit_test(a_missing_trust_anchor_is_an_error),
        cmocka_unit_test(reverse_names_are_written_as_the_rfcs_say),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
