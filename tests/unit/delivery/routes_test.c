/* Where mail goes: relays with several hosts, routes that lead nowhere, addresses to connect from.
 */
#include "runtime/process.h"
#include "yard_rows.h"

#define HUB   "192.0.2.9"
#define ONE   "192.0.2.1"
#define TWO   "192.0.2.2"
#define THREE "192.0.2.3"

/* All but reports takes this route; reports are taken by 192.0.2.9. */
#define BY(route, more)                                                                            \
    "queue:\n"                                                                                     \
    "  schedule:\n"                                                                                \
    "    remote: { queue-name: remote, retry: [10s], expire: 1m }\n"                               \
    "    dsn: { queue-name: dsn, retry: [10s], expire: 1m }\n"                                     \
    "  route:\n"                                                                                   \
    "    hub: { type: relay, address: 192.0.2.9 }\n"                                               \
    "    way: " route "\n"                                                                         \
    "  strategy:\n"                                                                                \
    "    schedule: [ { if: \"source == 'dsn'\", use: dsn }, { use: remote } ]\n"                   \
    "    route: [ { if: \"source == 'dsn'\", use: hub }, { use: way } ]\n" more

static unsigned count_of(struct str in, const char *text)
{
    unsigned n = 0;

    for (size_t at; (at = str_find_str(in, str_of(text))) != STR_NONE; n++) {
        in = str_skip(in, at + 1);
    }
    return n;
}

static struct row rows[] = {
    {.name = "a relay of two hosts: the first priority has it",
     .config = BY("{ type: relay, addresses: [ { address: 192.0.2.2, priority: 20 }, "
                  "{ address: 192.0.2.1, priority: 10 } ] }",
                  ""),
     .hosts = {{.ip = ONE}, {.ip = TWO}},
     .contents = {1, 0}},
    {.name = "the first is away: the second has it in the same attempt (PY-33, PY-08)",
     .config = BY("{ type: relay, addresses: [ { address: 192.0.2.1 }, "
                  "{ address: 192.0.2.2, priority: 1 } ] }",
                  ""),
     .hosts = {{.ip = TWO}},
     .contents = {1},
     .log = {"\"event\":\"connection_failed\"", "\"event\":\"delivery_done\""},
     .not_log = {"delivery_deferred"}},
    {.name = "hosts by name and by address, each on its port",
     .config = BY("{ type: relay, port: 2525, addresses: [ gone.test, "
                  "{ address: one.test, port: 2526, priority: 1 }, "
                  "{ address: 192.0.2.2, priority: 2 } ] }",
                  ""),
     .names = {"one.test A " ONE},
     .hosts = {{.ip = ONE, .port = 2526, .greeting = "421 not now"}, {.ip = TWO, .port = 2525}},
     .contents = {0, 1},
     .not_log = {"delivery_deferred"}},
    {.name = "no host of a relay can be reached: later",
     .config = BY("{ type: relay, addresses: [ gone.test, 192.0.2.1 ] }", ""),
     .wait_ms = 5000,
     .log = {"\"event\":\"delivery_deferred\"", "connect to 192.0.2.1:25"},
     .not_log = {"delivery_failed"}},
    {.name = "a final answer of one host is not asked again at the next (PY-07)",
     .config = BY("{ type: relay, addresses: [ { address: 192.0.2.1 }, "
                  "{ address: 192.0.2.2, priority: 1 } ] }",
                  ""),
     .to = "u@far.example v@far.example w@far.example",
     .hosts = {{.ip = HUB}, {.ip = ONE, .rcpt = "250 ok|451 later|550 5.1.1 no"}, {.ip = TWO}},
     .contents = {1, 1, 1},
     .content0 = {"Final-Recipient: rfc822;w@far.example", "550 5.1.1 no"},
     .not_log = {"delivery_deferred"}},
    {.name = "discarded mail is done, and nobody is told",
     .config = BY("{ type: discard }", ""),
     .to = "u@far.example!S",
     .hosts = {{.ip = HUB}},
     .contents = {0},
     .log = {"\"event\":\"delivery_done\"", "\"text\":\"discarded\""},
     .not_log = {"report_made"}},
    {.name = "rejected mail fails in the route's words",
     .config = BY("{ type: reject, reply: { code: 554, text: '5.7.1 not on my watch' } }", ""),
     .hosts = {{.ip = HUB}},
     .contents = {1},
     .log = {"\"event\":\"delivery_failed\"", "\"code\":554"},
     .content0 = {"Status: 5.7.1", "not on my watch"}},
    {.name = "rejected for now is tried again until it expires",
     .config = BY("{ type: reject, reply: { code: 451, text: later perhaps } }", ""),
     .wait_ms = 200000,
     .hosts = {{.ip = HUB}},
     .contents = {1},
     .log = {"\"event\":\"delivery_deferred\"", "\"event\":\"delivery_failed\""},
     .content0 = {"Status: 4.5.1", "451 later perhaps"}},
    {.name = "a name in EHLO for an address to connect from",
     .config = BY("{ type: relay, address: 192.0.2.1 }",
                  "  connection: { default: { source-ips: [ 192.0.2.101 ], ehlo-hostname: "
                  "c.here.example } }\n"
                  "  source-ip: { 192.0.2.101: { ehlo-hostname: s.here.example } }\n"),
     .hosts = {{.ip = ONE}},
     .contents = {1},
     .heard0 = "EHLO s.here.example\n"},
    {.name = "none of the peer's family: the system chooses, the connection's name (Q-067)",
     .config = BY("{ type: relay, address: \"2001:db8::7\" }",
                  "  connection: { default: { source-ips: [ 192.0.2.101 ], ehlo-hostname: "
                  "c.here.example } }\n"
                  "  source-ip: { 192.0.2.101: { ehlo-hostname: s.here.example } }\n"),
     .hosts = {{.ip = "2001:db8::7"}},
     .contents = {1},
     .heard0 = "EHLO c.here.example\n"},
    {.name = "the address to connect from is known to the TLS strategy",
     .config = BY("{ type: relay, address: 192.0.2.1 }",
                  "    tls: [ { if: \"local_ip == '192.0.2.101' && sender != ''\", use: hard }, { "
                  "use: default } ]\n"
                  "  connection: { default: { source-ips: [ 192.0.2.101 ] } }\n"
                  "  tls: { hard: { starttls: require }, default: {} }\n"),
     .hosts = {{.ip = HUB}, {.ip = ONE}},
     .contents = {1, 0},
     .content0 = {"Status: 5.7.4"}},
};

/* ---- what a host says it takes (RFC 9422) ---- */

static struct row limit_rows[] = {
    {.name = "two transactions a connection",
     .config = BY("{ type: relay, address: 192.0.2.1 }",
                  "  connection: { default: { rcpts-per-transaction: 1 } }\n"),
     .to = "u@far.example v@far.example w@far.example",
     .hosts = {{.ip = ONE, .ehlo = "250 host/250 LIMITS MAILMAX=2"}},
     .contents = {3},
     .heard0 = "RCPT TO:<v@far.example>\nDATA\nQUIT\nEHLO mx.here.example\n"},
    {.name = "recipients of two domains a transaction",
     .config = BY("{ type: relay, address: 192.0.2.1 }", ""),
     .to = "u@far.example v@near.example w@odd.example x@far.example",
     .hosts = {{.ip = ONE, .ehlo = "250 host/250 LIMITS RCPTMAX=50 RCPTDOMAINMAX=2"}},
     .contents = {2},
     .heard0 = "RCPT TO:<u@far.example>\nRCPT TO:<v@near.example>\nRCPT TO:<x@far.example>\nDATA\n"
               "MAIL FROM:<a@b.example>\nRCPT TO:<w@odd.example>\nDATA\n"},
};

static void hosts_get_no_more_than_they_take(void **state)
{
    play(limit_rows, COUNT_OF(limit_rows));
    (void)state;
}

/* ---- credentials ---- */

#define AS_ANN(more)                                                                               \
    BY("{ type: relay, address: 192.0.2.1, auth: { username: ann, secret: tea }" more " }", "")

static struct row auth_rows[] = {
    {.name = "PLAIN before LOGIN, in a verified conversation (Q-074)",
     .config = AS_ANN(""),
     .hosts = {{.ip = ONE,
                .ehlo = "250 host/250 STARTTLS|250 host/250 AUTH LOGIN PLAIN",
                .tls_names = "192.0.2.1"}},
     .contents = {1},
     .heard0 = "STARTTLS\nEHLO mx.here.example\nAUTH PLAIN AGFubgB0ZWE=\nMAIL FROM:"},
    {.name = "LOGIN where there is nothing better",
     .config = AS_ANN(""),
     .hosts = {{.ip = ONE,
                .ehlo = "250 host/250 STARTTLS|250 host/250 AUTH LOGIN NTLM",
                .auth = "334 VXNlcm5hbWU6|334 UGFzc3dvcmQ6|235 hello",
                .tls_names = "192.0.2.1"}},
     .contents = {1},
     .heard0 = "AUTH LOGIN\nYW5u\ndGVh\nMAIL FROM:"},
    {.name = "535: no further mechanism, a failure for now (Q-074)",
     .config = AS_ANN(""),
     .wait_ms = 5000,
     .hosts = {{.ip = ONE,
                .ehlo = "250 host/250 STARTTLS|250 host/250 AUTH LOGIN PLAIN",
                .auth = "535 5.7.8 no such pair",
                .tls_names = "192.0.2.1"}},
     .contents = {0},
     .log = {"\"event\":\"delivery_deferred\"", "\"code\":535", "AUTH: no such pair"},
     .not_log = {"delivery_failed", "tea", "dGVh", "AGFubgB0ZWE="},
     .heard0 = "AUTH PLAIN AGFubgB0ZWE=\nQUIT\n"},
    {.name = "504: the mechanism is no good, the next one is",
     .config = AS_ANN(""),
     .hosts = {{.ip = ONE,
                .ehlo = "250 host/250 STARTTLS|250 host/250 AUTH PLAIN LOGIN",
                .auth = "504 5.5.4 not this one|334 VXNlcm5hbWU6|334 UGFzc3dvcmQ6|235 hello",
                .tls_names = "192.0.2.1"}},
     .contents = {1},
     .heard0 = "AUTH PLAIN AGFubgB0ZWE=\nAUTH LOGIN\n"},
    {.name = "never without TLS, even where it is offered in the clear only",
     .config = AS_ANN(""),
     .hosts = {{.ip = HUB}, {.ip = ONE, .ehlo = "250 host/250 AUTH PLAIN"}},
     .contents = {1, 0},
     .content0 = {"Status: 5.7.4"},
     .not_log = {"AUTH PLAIN"}},
    {.name = "never to somebody with another's certificate",
     .config = AS_ANN(""),
     .wait_ms = 5000,
     .hosts = {{.ip = ONE,
                .ehlo = "250 host/250 STARTTLS/250 AUTH PLAIN",
                .tls_names = "evil.test"}},
     .contents = {0},
     .log = {"\"event\":\"delivery_deferred\"", "\"status\":\"4.7.5\""},
     .heard0 = "STARTTLS\n"},
    {.name = "unless the route says that it need not be verified",
     .config = AS_ANN(", tls: { allow-invalid-certs: true }"),
     .hosts = {{.ip = ONE,
                .ehlo = "250 host/250 STARTTLS/250 AUTH PLAIN",
                .tls_names = "evil.test"}},
     .contents = {1},
     .heard0 = "AUTH PLAIN AGFubgB0ZWE=\n"},
    {.name = "or that they may go in the clear",
     .config = AS_ANN(", allow-plaintext-auth: true"),
     .hosts = {{.ip = ONE, .ehlo = "250 host/250 AUTH=PLAIN"}},
     .contents = {1},
     .heard0 = "EHLO mx.here.example\nAUTH PLAIN AGFubgB0ZWE=\nMAIL FROM:"},
    {.name =
         "TLS is disabled and plaintext is not allowed: nothing is told, and somebody hears why",
     .config = BY("{ type: relay, address: 192.0.2.1, auth: { username: ann, secret: tea } }",
                  "  tls: { default: { starttls: disable, dane: disable, mta-sts: disable } }\n"),
     .wait_ms = 5000,
     .hosts = {{.ip = ONE, .ehlo = "250 host/250 AUTH PLAIN"}},
     .contents = {0},
     .log = {"\"status\":\"4.7.11\"", "allow-plaintext-auth"},
     .heard0 = "EHLO mx.here.example\nQUIT\n"},
    {.name = "a host that offers nothing we know gets no mail without credentials",
     .config = AS_ANN(", allow-plaintext-auth: true"),
     .wait_ms = 5000,
     .hosts = {{.ip = ONE, .ehlo = "250 host/250 AUTH CRAM-MD5"}},
     .contents = {0},
     .log = {"\"event\":\"delivery_deferred\"", "no way to send them"},
     .heard0 = "EHLO mx.here.example\nQUIT\n"},
    {.name = "a host that only says yes to SCRAM has not proved itself",
     .config = AS_ANN(", allow-plaintext-auth: true"),
     .wait_ms = 5000,
     .hosts = {{.ip = ONE, .ehlo = "250 host/250 AUTH SCRAM-SHA-256 PLAIN"}},
     .contents = {0},
     .log = {"\"event\":\"delivery_deferred\"", "did not prove"},
     .heard0 = "AUTH SCRAM-SHA-256 "},
    {.name = "refused at one host, accepted at the next",
     .config = BY("{ type: relay, addresses: [ 192.0.2.1, { address: 192.0.2.2, priority: 1 } ], "
                  "auth: { username: ann, secret: tea }, allow-plaintext-auth: true }",
                  ""),
     .hosts = {{.ip = ONE, .ehlo = "250 host/250 AUTH PLAIN", .auth = "454 4.7.0 not now"},
               {.ip = TWO, .ehlo = "250 host/250 AUTH PLAIN"}},
     .contents = {0, 1},
     .not_log = {"delivery_deferred"}},
};

static void mail_takes_the_routes(void **state)
{
    play(rows, COUNT_OF(rows));
    (void)state;
}

static void relays_are_told_who_we_are(void **state)
{
    play(auth_rows, COUNT_OF(auth_rows));
    (void)state;
}

/* Two ways to one host, under two names. */
#define TWO_NAMES                                                                                  \
    "queue:\n"                                                                                     \
    "  schedule: { remote: { queue-name: remote, retry: [10s], expire: 1m } }\n"                   \
    "  route:\n"                                                                                   \
    "    ann: { type: relay, address: 192.0.2.1, allow-plaintext-auth: true, "                     \
    "auth: { username: ann, secret: tea } }\n"                                                     \
    "    bob: { type: relay, address: 192.0.2.1, allow-plaintext-auth: true, "                     \
    "auth: { username: bob, secret: gin } }\n"                                                     \
    "    none: { type: relay, address: 192.0.2.1 }\n"                                              \
    "  strategy:\n"                                                                                \
    "    schedule: [ { use: remote } ]\n"                                                          \
    "    route: [ { if: \"rcpt_domain == 'ann.example'\", use: ann },\n"                           \
    "             { if: \"rcpt_domain == 'bob.example'\", use: bob }, { use: none } ]\n"

static void two_names_test(struct yard *y)
{
    struct str heard;

    for (int i = 0; i < 2; i++) {
        yard_send(y, "ann@b.example", "u@ann.example");
        yard_wait(y, 2000);
        yard_send(y, "bob@b.example", "u@bob.example");
        yard_wait(y, 2000);
        yard_send(y, "any@b.example", "u@any.example");
        yard_wait(y, 2000);
    }
    heard = buf_str(&y->hosts[0].heard);
    YARD_CHECK(y, y->hosts[0].contents == 6);
    YARD_CHECK(y, y->hosts[0].connections == 3); /* each is used again, by its own mail */
    YARD_CHECK(y, count_of(heard, "AUTH PLAIN AGFubgB0ZWE=\nMAIL FROM:<ann@b.example>") == 1);
    YARD_CHECK(y, count_of(heard, "AUTH PLAIN AGJvYgBnaW4=\nMAIL FROM:<bob@b.example>") == 1);
    YARD_CHECK(y, count_of(heard, "EHLO mx.here.example\nMAIL FROM:<any@b.example>") == 1);
}

/* P8: whose connection it is counts. */
static void a_connection_serves_only_mail_with_its_credentials(void **state)
{
    struct yard_host hosts[] = {{.ip = ONE, .ehlo = "250 host/250 AUTH PLAIN"}};
    struct yard y = {.config = TWO_NAMES, .hosts = hosts, .host_count = 1, .test = two_names_test};

    yard_run(&y);
    (void)state;
}

/* ---- programs ---- */

/* Each recipient's local part is what the program ends with; what it was given is kept. */
struct programs {
    struct buf heard;
    int64_t takes_ms;
    const char *says;
};

static int program_runs(void *ctx, const char *const *argv, struct str input, struct buf *output,
                        int64_t *takes_ms)
{
    struct programs *p = ctx;
    uint64_t code = 0;

    for (const char *const *arg = argv; *arg != NULL; arg++) {
        buf_printf(&p->heard, "[%s]", *arg);
    }
    buf_printf(&p->heard, "\n%.*s", STR_ARG(input));
    must(str_to_u64(str_of(argv[2]), &code));
    buf_put(output, str_of(p->says));
    *takes_ms = p->takes_ms;
    return (int)code;
}

#define PIPE                                                                                       \
    BY("{ type: local, deliver: pipe, command-timeout: 5s, command: [ /opt/take, "                 \
       "'--from=${sender}', "                                                                      \
       "'${rcpt_local}', '${attempt}$${x}' ] }",                                                   \
       "")

static struct programs programs;

static void play_programs(struct yard *y, const char *to)
{
    static struct process_sim sim = {.ctx = &programs, .run = program_runs};

    sim_service_set(y->world, "process", &sim);
    yard_send(y, "a@b.example", to);
    yard_wait(y, 8000);
}

static void exits_test(struct yard *y)
{
    play_programs(y, "0@far.example 75@far.example 67@far.example 1@far.example -9@far.example");
    expect_text(y, buf_str(&programs.heard),
                "[/opt/take][--from=a@b.example][0][1${x}]\n"
                "Return-Path: <a@b.example>\r\n"
                "Delivered-To: 0@far.example\r\nSubject: x\r\n",
                true);
    expect_text(y, buf_str(&programs.heard), "\r\n\r\n.hello\r\n", true);
    expect_text(y, buf_str(&programs.heard), "[-9]", false);
    expect_text(y, sim_log(y->world), "\"event\":\"delivery_done\"", true);
    expect_text(y, sim_log(y->world), "EX_TEMPFAIL, not now: so be it ?", true);
    YARD_CHECK(y, yard_jobs(y) == 1); /* 75 alone is tried again */
    expect_text(y, buf_str(&y->hosts[0].content), "Final-Recipient: rfc822;67@far.example", true);
    expect_text(y, buf_str(&y->hosts[0].content), "Status: 5.1.1", true);
    expect_text(y, buf_str(&y->hosts[0].content), "the program ended with 1: so be it ?", true);
    expect_text(y, buf_str(&y->hosts[0].content), "Status: 5.1.3", true);
    yard_wait(y, 5000);
    expect_text(y, buf_str(&programs.heard), "[75][2${x}]", true);
}

static void late_test(struct yard *y)
{
    play_programs(y, "0@far.example");
    expect_text(y, sim_log(y->world), "took too long", true);
    expect_text(y, sim_log(y->world), "delivery_done", false);
    programs.takes_ms = 1000;
    yard_wait(y, 20000);
    expect_text(y, sim_log(y->world), "delivery_done", true);
}

static void nothing_there_test(struct yard *y)
{
    yard_send(y, "a@b.example", "0@far.example");
    (void)fiber_sleep(when_after(5000), WHEN_NEVER);
    expect_text(y, sim_log(y->world), "could not be run", true);
    YARD_CHECK(y, yard_jobs(y) == 1);
}

static void programs_take_mail_and_their_exit_says_how(void **state)
{
    static void (*const tests[])(struct yard * y) = {exits_test, late_test, nothing_there_test};

    for (size_t i = 0; i < COUNT_OF(tests); i++) {
        struct yard_host hosts[] = {{.ip = HUB}};
        struct yard y = {.config = PIPE, .hosts = hosts, .host_count = 1, .test = tests[i]};

        programs = (struct programs){.takes_ms = i == 1 ? 60000 : 500, .says = "so be\nit \x01"};
        yard_run(&y);
        buf_done(&programs.heard);
    }
    (void)state;
}

/* ---- addresses to connect from ---- */

#define TWO_SOURCES                                                                                \
    BY("{ type: relay, address: 192.0.2.1 }",                                                      \
       "  connection: { default: { idle: 0s, source-ips: [ 192.0.2.101, 192.0.2.102 ] } }\n"       \
       "  source-ip:\n"                                                                            \
       "    192.0.2.101: { ehlo-hostname: s1.here.example, weight: 3 }\n"                          \
       "    192.0.2.102: { ehlo-hostname: s2.here.example }\n")

static void both_sources_test(struct yard *y)
{
    struct str heard;
    unsigned first;

    for (int i = 0; i < 100; i++) {
        yard_send(y, "a@b.example", "u@far.example");
        yard_wait(y, 5000);
    }
    heard = buf_str(&y->hosts[0].heard);
    first = count_of(heard, "EHLO s1.here.example");
    YARD_CHECK(y, y->hosts[0].contents == 100);
    YARD_CHECK(y, y->hosts[0].connections == 100);
    YARD_CHECK(y, first + count_of(heard, "EHLO s2.here.example") == 100);
    YARD_CHECK(y, first > 60 && first < 90); /* three of four */
}

/* */
static void both_sources_are_used_each_with_its_name(void **state)
{
    struct yard_host hosts[] = {{.ip = ONE}};
    struct yard y = {
        .config = TWO_SOURCES, .hosts = hosts, .host_count = 1, .test = both_sources_test};

    yard_run(&y);
    (void)state;
}

#define ONE_SOURCE                                                                                 \
    BY("{ type: relay, address: 192.0.2.1 }",                                                      \
       "  connection: { default: { source-ips: [ 192.0.2.101 ] } }\n")

static void a_source_is_missing_test(struct yard *y)
{
    struct addr at;

    must(addr_parse_ip(STR("192.0.2.101"), &at));
    sim_net_rule(y->world,
                 &(struct sim_net_rule){.to = {.net = at, .bits = 32}, .way = NET_UNREACHABLE});
    for (int i = 0; i < 5; i++) {
        yard_send(y, "a@b.example", "u@far.example");
    }
    (void)fiber_sleep(when_after(5000), WHEN_NEVER);
    YARD_CHECK(y, y->hosts[0].connections == 0);
    YARD_CHECK(y, yard_logged(y, "\"event\":\"source_missing\""));
    YARD_CHECK(y, yard_logged(y, "\"status\":\"4.3.5\""));
    YARD_CHECK(y, yard_logged(y, "connect from 192.0.2.101"));
    YARD_CHECK(y, !yard_logged(y, "\"event\":\"connection_failed\""));
    YARD_CHECK(y, yard_jobs(y) > 0);
    /* The address comes, and nothing had to rest for the lack of it. */
    sim_net_rule(y->world, &(struct sim_net_rule){.to = {.net = at, .bits = 32}, .way = NET_OPEN});
    yard_wait(y, 20000);
    YARD_CHECK(y, y->hosts[0].contents == 5);
}

static void a_source_that_is_missing_is_told_and_never_replaced(void **state)
{
    struct yard_host hosts[] = {{.ip = ONE}};
    struct yard y = {
        .config = ONE_SOURCE, .hosts = hosts, .host_count = 1, .test = a_source_is_missing_test};

    yard_run(&y);
    (void)state;
}

/* ---- hosts that are away ---- */

#define AWAY(first, second)                                                                        \
    BY("{ type: relay, addresses: [ { address: 192.0.2.1" first " }, { address: 192.0.2.2" second  \
       " } ] }",                                                                                   \
       "  connection: { default: { idle: 0s, timeout: { connect: 3s } } }\n")

static void away_test(struct yard *y)
{
    struct addr one;

    must(addr_parse_ip(STR(ONE), &one));
    sim_net_rule(y->world,
                 &(struct sim_net_rule){.to = {.net = one, .bits = 32}, .way = NET_SILENT});
    for (int i = 0; i < 20; i++) {
        yard_send(y, "", "u@far.example");
        yard_wait(y, 10000);
    }
    YARD_CHECK(y, y->hosts[0].contents == 20);
    YARD_CHECK(y, count_of(sim_log(y->world), "connect to 192.0.2.1:25") == 1);
    /* After five minutes it is asked again, and is back. */
    sim_net_rule(y->world, &(struct sim_net_rule){.to = {.net = one, .bits = 32}, .way = NET_OPEN});
    (void)fiber_sleep(when_after(301 * 1000), WHEN_NEVER);
    for (int i = 0; i < 20; i++) {
        yard_send(y, "", "u@far.example");
        yard_wait(y, 10000);
    }
    YARD_CHECK(y, y->hosts[1].contents > 0);
    YARD_CHECK(y, !yard_logged(y, "delivery_deferred"));
}

static void a_host_that_is_away_costs_one_time_out_in_five_minutes(void **state)
{
    static const char *const ways[] = {AWAY("", ""), AWAY("", ", priority: 7")};

    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        struct yard_host hosts[] = {{.ip = TWO}, {.ip = ONE}};
        struct yard y = {.config = ways[i], .hosts = hosts, .host_count = 2, .test = away_test};

        yard_run(&y);
    }
    (void)state;
}

/* ---- at the same time ---- */

#define SIDE_BY_SIDE                                                                               \
    "queue:\n"                                                                                     \
    "  schedule: { remote: { queue-name: remote, retry: [10s], expire: 1m } }\n"                   \
    "  route:\n"                                                                                   \
    "    one: { type: relay, address: 192.0.2.1 }\n"                                               \
    "    two: { type: relay, address: 192.0.2.2 }\n"                                               \
    "  connection: { default: { timeout: { greeting: 10s } } }\n"                                  \
    "  strategy:\n"                                                                                \
    "    schedule: [ { use: remote } ]\n"                                                          \
    "    route: [ { if: \"rcpt_domain == 'one.example'\", use: one }, { use: two } ]\n"

static void parallel_test(struct yard *y)
{
    yard_send(y, "", "u@one.example v@two.example");
    (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    YARD_CHECK(y, y->hosts[0].connections == 1); /* and says nothing */
    YARD_CHECK(y, y->hosts[1].contents == 1);
}

static void recipients_with_different_hosts_do_not_wait_for_each_other(void **state)
{
    struct yard_host hosts[] = {{.ip = ONE, .greeting = "-"}, {.ip = TWO}};
    struct yard y = {
        .config = SIDE_BY_SIDE, .hosts = hosts, .host_count = 2, .test = parallel_test};

    yard_run(&y);
    (void)state;
}

/* ---- turns ---- */

#define TURNS                                                                                      \
    "queue:\n"                                                                                     \
    "  virtual: { remote: { concurrency: 1 } }\n"                                                  \
    "  schedule: { remote: { queue-name: remote, retry: [10s], expire: 1m } }\n"                   \
    "  route:\n"                                                                                   \
    "    one: { type: relay, address: 192.0.2.1 }\n"                                               \
    "    two: { type: relay, address: 192.0.2.2 }\n"                                               \
    "  connection: { default: { idle: 0s, turn: { messages: 2 } } }\n"                             \
    "  strategy:\n"                                                                                \
    "    schedule: [ { use: remote } ]\n"                                                          \
    "    route: [ { if: \"rcpt_domain == 'one.example'\", use: one }, { use: two } ]\n"

static void turns_test(struct yard *y)
{
    for (int i = 0; i < 8; i++) {
        yard_send(y, "", "u@one.example");
        yard_send(y, "", "u@two.example");
    }
    yard_wait(y, 20000);
    YARD_CHECK(y, y->hosts[0].contents == 8);
    YARD_CHECK(y, y->hosts[1].contents == 8);
    YARD_CHECK(y, y->hosts[0].connections >= 4); /* two messages each, but for the last */
    YARD_CHECK(y, y->hosts[1].connections >= 3);
}

static void a_connection_object_says_how_long_a_turn_is(void **state)
{
    struct yard_host hosts[] = {{.ip = ONE}, {.ip = TWO}};
    struct yard y = {.config = TURNS, .hosts = hosts, .host_count = 2, .test = turns_test};

    yard_run(&y);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_takes_the_routes),
        cmocka_unit_test(hosts_get_no_more_than_they_take),
        cmocka_unit_test(relays_are_told_who_we_are),
        cmocka_unit_test(a_connection_serves_only_mail_with_its_credentials),
        cmocka_unit_test(programs_take_mail_and_their_exit_says_how),
        cmocka_unit_test(both_sources_are_used_each_with_its_name),
        cmocka_unit_test(a_source_that_is_missing_is_told_and_never_replaced),
        cmocka_unit_test(a_host_that_is_away_costs_one_time_out_in_five_minutes),
        cmocka_unit_test(recipients_with_different_hosts_do_not_wait_for_each_other),
        cmocka_unit_test(a_connection_object_says_how_long_a_turn_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
