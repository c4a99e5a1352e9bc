/* Which hosts of a domain are asked, in which order, and what their answers come to (Q-058
 * to Q-084). */
#include "yard_rows.h"

#define HUB   "192.0.2.9"
#define ONE   "192.0.2.1"
#define TWO   "192.0.2.2"
#define THREE "192.0.2.3"

/* By MX; reports are taken by 192.0.2.9. */
#define MX(route, more)                                                                            \
    "queue:\n"                                                                                     \
    "  schedule:\n"                                                                                \
    "    remote: { queue-name: remote, retry: [10s], expire: 1m }\n"                               \
    "    dsn: { queue-name: dsn, retry: [10s], expire: 1m }\n"                                     \
    "  route:\n"                                                                                   \
    "    hub: { type: relay, address: 192.0.2.9 }\n"                                               \
    "    store: { type: relay, address: 192.0.2.3, protocol: lmtp }\n"                             \
    "    mx: { type: mx" route " }\n"                                                              \
    "  strategy:\n"                                                                                \
    "    schedule: [ { if: \"source == 'dsn'\", use: dsn }, { use: remote } ]\n"                   \
    "    route: [ { if: \"source == 'dsn'\", use: hub },\n"                                        \
    "             { if: \"starts_with(rcpt, 'l')\", use: store }, { use: mx } ]\n" more

#define TWO_MX                                                                                     \
    "far.example MX 10 one.test", "far.example MX 20 two.test", "one.test A " ONE, "two.test A " TWO
#define MANY_A                                                                                     \
    "far.example MX 10 one.test", "one.test A " ONE, "one.test A " TWO, "one.test A " THREE,       \
        "one.test AAAA 2001:db8::1"

static struct row rows[] = {
    {.name = "Q-058 the first refuses TCP: the second in the same attempt",
     .config = MX("", ""),
     .names = {TWO_MX},
     .hosts = {{.ip = TWO}},
     .contents = {1},
     .not_log = {"delivery_deferred"}},
    {.name = "Q-060 of eight hosts five are asked in one attempt",
     .config = MX("", ""),
     .wait_ms = 5000,
     .names = {"far.example MX 1 h1.test", "far.example MX 2 h2.test", "far.example MX 3 h3.test",
               "far.example MX 4 h4.test", "far.example MX 5 h5.test", "far.example MX 6 h6.test",
               "far.example MX 7 h7.test", "far.example MX 8 h8.test", "h1.test A 192.0.2.1",
               "h2.test A 192.0.2.2", "h3.test A 192.0.2.3", "h4.test A 192.0.2.4",
               "h5.test A 192.0.2.5", "h6.test A 192.0.2.6", "h7.test A 192.0.2.7",
               "h8.test A 192.0.2.8"},
     .log = {"connect to 192.0.2.1:25", "connect to 192.0.2.5:25"},
     .not_log = {"connect to 192.0.2.6:25", "connect to 192.0.2.8:25"}},
    {.name = "Q-061 two addresses of a host, both families together",
     .config = MX("", ""),
     .wait_ms = 5000,
     .names = {MANY_A},
     .log = {"connect to 192.0.2.1:25", "connect to 192.0.2.2:25"},
     .not_log = {"connect to 192.0.2.3:25", "connect to [2001"}},
    {.name = "Q-061 the other family first",
     .config = MX(", ip-lookup: ipv6_then_ipv4", ""),
     .wait_ms = 5000,
     .names = {MANY_A},
     .log = {"connect to [2001:db8::1]:25", "connect to 192.0.2.1:25"},
     .not_log = {"connect to 192.0.2.2:25"}},
    {.name = "Q-061 three when three are allowed, of one family when only that is",
     .config = MX(", ip-lookup: ipv4_only, limits: { multihomed: 9 }", ""),
     .wait_ms = 5000,
     .names = {MANY_A},
     .log = {"connect to 192.0.2.3:25"},
     .not_log = {"connect to [2001"}},
    {.name = "Q-062 no MX but an address",
     .config = MX("", ""),
     .names = {"far.example A " ONE},
     .hosts = {{.ip = ONE}},
     .contents = {1}},
    {.name = "Q-063 neither MX nor address: for good",
     .config = MX("", ""),
     .hosts = {{.ip = HUB}},
     .contents = {1},
     .content0 = {"Status: 5.1.2"}},
    {.name = "Q-064 null MX: for good, without a connection",
     .config = MX("", ""),
     .names = {"far.example MX 0 .", "far.example A " ONE},
     .hosts = {{.ip = HUB}, {.ip = ONE}},
     .contents = {1, 0},
     .content0 = {"Status: 5.1.10"}},
    {.name = "Q-065 the name server fails: for now, without a connection",
     .config = MX("", ""),
     .wait_ms = 5000,
     .names = {"far.example MX !", "far.example A " ONE},
     .hosts = {{.ip = ONE}},
     .contents = {0},
     .log = {"\"event\":\"delivery_deferred\"", "\"status\":\"4.4.3\""}},
    {.name = "PY-09 no A, and AAAA that cannot be asked: for now",
     .config = MX("", ""),
     .wait_ms = 5000,
     .names = {"far.example MX 10 one.test", "one.test AAAA !"},
     .log = {"\"event\":\"delivery_deferred\""},
     .not_log = {"delivery_failed"}},
    {.name = "PY-09 A that cannot be asked, and no AAAA: for now",
     .config = MX("", ""),
     .wait_ms = 5000,
     .names = {"far.example MX 10 one.test", "one.test A !"},
     .log = {"\"event\":\"delivery_deferred\""},
     .not_log = {"delivery_failed"}},
    {.name = "Q-066 loopback beside a true address: only that is used",
     .config = MX("", ""),
     .names = {"far.example MX 10 one.test", "one.test A 127.0.0.1", "one.test A " ONE},
     .hosts = {{.ip = ONE}, {.ip = "127.0.0.1"}},
     .contents = {1, 0}},
    {.name = "Q-069 421 as a greeting: the next host",
     .config = MX("", ""),
     .names = {TWO_MX},
     .hosts = {{.ip = ONE, .greeting = "421 busy"}, {.ip = TWO}},
     .contents = {0, 1},
     .not_log = {"delivery_deferred"}},
    {.name = "Q-070 all greet with 554: for good, by the last of them",
     .config = MX("", ""),
     .names = {TWO_MX},
     .hosts = {{.ip = HUB}, {.ip = ONE, .greeting = "554 no"}, {.ip = TWO, .greeting = "554 no"}},
     .contents = {1, 0, 0},
     .content0 = {"Remote-MTA: dns; two.test", "554 no"}},
    {.name = "Q-071 closed after MAIL: the next host in the same attempt",
     .config = MX("", ""),
     .names = {TWO_MX},
     .hosts = {{.ip = ONE, .mail = "X"}, {.ip = TWO}},
     .contents = {0, 1},
     .not_log = {"delivery_deferred"}},
    {.name = "Q-072 closed after the final dot: nobody else in this attempt",
     .config = MX("", ""),
     .wait_ms = 5000,
     .names = {TWO_MX},
     .hosts = {{.ip = ONE, .end = "X"}, {.ip = TWO}},
     .contents = {0, 0},
     .log = {"\"event\":\"delivery_deferred\""}},
    {.name = "Q-073 a black hole is left after timeout.connect",
     .config = MX("", "  connection: { default: { timeout: { connect: 2s } } }\n"),
     .wait_ms = 3000,
     .names = {"far.example MX 10 one.test", "one.test A " ONE, "one.test A " TWO},
     .silent = ONE,
     .hosts = {{.ip = TWO}},
     .contents = {1},
     .not_log = {"delivery_deferred"}},
    {.name = "Q-075 LMTP answers for each recipient",
     .config = MX("", ""),
     .to = "l1@far.example l2@far.example l3@far.example",
     .wait_ms = 5000,
     .hosts =
         {{.ip = HUB},
          {.ip = THREE, .port = 24, .lmtp = true, .end = "250 ok|450 4.2.1 later|550 5.1.1 no"}},
     .contents = {1, 1},
     .log = {"\"rcpt\":\"l1@far.example\"", "\"event\":\"delivery_done\"",
             "\"event\":\"delivery_deferred\""},
     .content0 = {"Final-Recipient: rfc822;l3@far.example"}},
    {.name = "Q-076 two recipients of one domain, one of them by relay: two sessions",
     .config = MX("", ""),
     .to = "l1@far.example u@far.example",
     .names = {"far.example MX 10 one.test", "one.test A " ONE},
     .hosts = {{.ip = ONE}, {.ip = THREE, .port = 24, .lmtp = true}},
     .contents = {1, 1}},
    {.name = "Q-078 RCPT 250, 450, 550: delivered, later, failed; one report",
     .config = MX("", ""),
     .to = "u@far.example v@far.example w@far.example",
     .wait_ms = 5000,
     .names = {"far.example MX 10 one.test", "one.test A " ONE},
     .hosts = {{.ip = HUB}, {.ip = ONE, .rcpt = "250 ok|450 4.2.1 later|550 5.1.1 no"}},
     .contents = {1, 1},
     .content0 = {"Final-Recipient: rfc822;w@far.example"},
     .log = {"\"event\":\"delivery_deferred\""}},
    {.name = "Q-079 the final reply does not touch who has an answer (PY-07)",
     .config = MX("", ""),
     .to = "u@far.example v@far.example",
     .wait_ms = 5000,
     .names = {"far.example MX 10 one.test", "one.test A " ONE},
     .hosts = {{.ip = HUB}, {.ip = ONE, .rcpt = "250 ok|550 5.1.1 no", .end = "451 4.3.0 later"}},
     .contents = {1, 0},
     .content0 = {"Final-Recipient: rfc822;v@far.example", "550 5.1.1 no"},
     .log = {"\"event\":\"delivery_deferred\"", "\"code\":451"}},
    {.name = "Q-080 nobody is wanted: no DATA",
     .config = MX("", "  connection: { default: { idle: 0s } }\n"),
     .names = {"far.example MX 10 one.test", "one.test A " ONE},
     .wait_ms = 9000,
     .hosts = {{.ip = ONE, .rcpt = "550 no"}, {.ip = HUB}},
     .contents = {0, 1},
     .heard0 = "RCPT TO:<u@far.example>\nQUIT\n"},
    {.name = "Q-081 251 after the content says taken, as any 2xx does: RFC 5321 section 4.2.1",
     .config = MX("", ""),
     .names = {"far.example MX 10 one.test", "one.test A " ONE},
     .hosts = {{.ip = ONE, .end = "251 ok"}},
     .contents = {1},
     .log = {"\"event\":\"delivery_done\""}},
    {.name = "Q-082 354 never comes: timeout.data, for now",
     .config = MX("", "  connection: { default: { timeout: { data: 3s } } }\n"),
     .wait_ms = 4000,
     .names = {"far.example MX 10 one.test", "one.test A " ONE},
     .hosts = {{.ip = ONE, .data = "-"}},
     .contents = {0},
     .log = {"\"event\":\"delivery_deferred\"", "DATA: timed out"}},
    {.name = "Q-083, Q-084 a code alone, in two lines: its status, one line",
     .config = MX("", ""),
     .names = {"far.example MX 10 one.test", "one.test A " ONE},
     .hosts = {{.ip = HUB}, {.ip = ONE, .rcpt = "550 never/550 ever"}},
     .contents = {1, 0},
     .content0 = {"Status: 5.5.0", "Diagnostic-Code: smtp; 550 never ever\r\n"}},
};

static void mail_goes_as_the_cases_say(void **state)
{
    play(rows, COUNT_OF(rows));
    (void)state;
}

/* ---- a host that is away ---- */

static void order_test(struct yard *y)
{
    struct str log;

    for (int i = 0; i < 5; i++) {
        yard_send(y, "", "u@far.example");
        yard_wait(y, 3000);
    }
    log = sim_log(y->world);
    YARD_CHECK(y, y->hosts[0].contents == 5);
    /* The first is asked each time: the second is no neighbour of it but comes after it. */
    for (int i = 0; i < 5; i++) {
        size_t at = str_find_str(log, STR("connect to 192.0.2.1:25"));

        YARD_CHECK(y, at != STR_NONE);
        log = at == STR_NONE ? STR_EMPTY : str_skip(log, at + 1);
    }
}

static void preferences_are_kept_when_a_host_is_away(void **state)
{
    static const char *const names[] = {TWO_MX, NULL};
    struct yard_host hosts[] = {{.ip = TWO}};
    struct yard y = {.config = MX("", "  connection: { default: { idle: 0s } }\n"),
                     .names = names,
                     .hosts = hosts,
                     .host_count = 1,
                     .test = order_test};

    yard_run(&y);
    (void)state;
}

/* ---- many ---- */

static void equals_test(struct yard *y)
{
    for (int i = 0; i < 200; i++) {
        yard_send(y, "", "u@far.example");
        yard_wait(y, 3000);
    }
    YARD_CHECK(y, y->hosts[0].contents + y->hosts[1].contents == 200);
    YARD_CHECK(y, y->hosts[0].contents > 60 && y->hosts[1].contents > 60);
}

/* */
static void hosts_of_equal_preference_share_the_mail(void **state)
{
    static const char *const names[] = {"far.example MX 10 one.test", "far.example MX 10 two.test",
                                        "one.test A " ONE, "two.test A " TWO, NULL};
    struct yard_host hosts[] = {{.ip = ONE}, {.ip = TWO}};
    struct yard y = {.config = MX("", "  connection: { default: { idle: 0s } }\n"),
                     .names = names,
                     .hosts = hosts,
                     .host_count = 2,
                     .test = equals_test};

    yard_run(&y);
    (void)state;
}

static void crowd_test(struct yard *y)
{
    struct buf to BUF_LOCAL = {0};
    struct yard_host *h = &y->hosts[0];
    struct str rest, line;
    unsigned batch = 0, batches[4] = {0};

    for (int i = 0; i < 250; i++) {
        buf_printf(&to, "u%d@far.example ", i);
    }
    to.ptr[to.len - 1] = '\0';
    yard_send(y, "", to.ptr);
    yard_wait(y, 20000);
    YARD_CHECK(y, h->connections == 1);
    YARD_CHECK(y, h->contents == 3);
    rest = buf_str(&h->heard);
    while (rest.len > 0) {
        str_cut(&rest, '\n', &line);
        batch += str_starts(line, STR("MAIL "));
        if (str_starts(line, STR("RCPT ")) && batch < COUNT_OF(batches)) {
            batches[batch]++;
        }
    }
    YARD_CHECK(y, batches[1] == 100 && batches[2] == 100 && batches[3] == 50);
}

/* */
static void a_crowd_goes_in_transactions_of_a_hundred_on_one_connection(void **state)
{
    static const char *const names[] = {"far.example MX 10 one.test", "one.test A " ONE, NULL};
    struct yard_host hosts[] = {{.ip = ONE, .ehlo = "250 host/250 PIPELINING"}};
    struct yard y = {
        .config = MX("", ""), .names = names, .hosts = hosts, .host_count = 1, .test = crowd_test};

    yard_run(&y);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_goes_as_the_cases_say),
        cmocka_unit_test(preferences_are_kept_when_a_host_is_away),
        cmocka_unit_test(hosts_of_equal_preference_share_the_mail),
        cmocka_unit_test(a_crowd_goes_in_transactions_of_a_hundred_on_one_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
