/* What becomes of mail, told as tables: who answers what, and what the hosts and the log then hold.
 */
#include "config.h"
#include "yard.h"

/* The first mail exchanger must encrypt. */
#define LATE                                                                                       \
    "queue:\n"                                                                                     \
    "  route: { mx: { type: mx } }\n"                                                              \
    "  tls: { hard: { starttls: require, allow-invalid-certs: true }, default: {} }\n"             \
    "  strategy:\n"                                                                                \
    "    route: [ { use: mx } ]\n"                                                                 \
    "    tls: [ { if: \"mx == 'one.test'\", use: hard }, { use: default } ]\n"

#define TWO_MX                                                                                     \
    "far.example MX 10 one.test", "far.example MX 20 two.test", "one.test A " ONE, "two.test A " TWO

enum { HOSTS = 3, TEXTS = 6 };

struct row {
    const char *name;
    const char *to;
    const char *from; /* NULL: a@b.example */
    const char *config;
    int64_t wait_ms; /* 0: 30 s */
    const char *names[8];
    struct yard_host hosts[HOSTS];
    unsigned contents[HOSTS];
    const char *log[TEXTS];      /* must be there */
    const char *not_log[TEXTS];  /* must not */
    const char *content0[TEXTS]; /* in what the first host took */
    const char *heard0;          /* all of its commands */
    const char *own_name, *own_address;
    enum body_class body;
    bool smtputf8;
};

static struct row rows[] = {
    {.name = "a message goes to the relay",
     .to = "u@hub.example",
     .hosts = {{.ip = HUB}},
     .contents = {1},
     .log = {"\"event\":\"delivery_done\"", "\"host\":\"192.0.2.9\"", "\"text\":\"taken\""},
     .heard0 = "EHLO mx.here.example\nMAIL FROM:<a@b.example>\nRCPT TO:<u@hub.example>\nDATA\n"},
    {.name = "recipients of one relay share a transaction",
     .to = "u@hub.example v@hub.example",
     .hosts = {{.ip = HUB, .ehlo = "250 host/250 PIPELINING"}},
     .contents = {1},
     .heard0 = "EHLO mx.here.example\nMAIL FROM:<a@b.example>\nRCPT TO:<u@hub.example>\n"
               "RCPT TO:<v@hub.example>\nDATA\n"},
    {.name = "a relay by name, on its port",
     .to = "u@named.example",
     .names = {"hub.test A 192.0.2.9"},
     .hosts = {{.ip = HUB, .port = 2525}},
     .contents = {1},
     .log = {"\"event\":\"delivery_done\"", "\"host\":\"hub.test\""}},
    {.name = "refused for now, taken later",
     .to = "u@hub.example",
     .hosts = {{.ip = HUB, .rcpt = "451 4.7.1 come back|250 ok"}},
     .contents = {1},
     .log = {"\"event\":\"delivery_deferred\"", "come back", "\"event\":\"delivery_done\""}},
    {.name = "refused for good: the sender is told",
     .to = "u@far.example",
     .names = {TWO_MX},
     .hosts = {{.ip = HUB}, {.ip = ONE, .rcpt = "550 5.1.1 no such user"}, {.ip = TWO}},
     .contents = {1, 0, 0},
     .log = {"\"event\":\"delivery_failed\"", "\"event\":\"report_made\""},
     .not_log = {"double_bounce"},
     .content0 = {"Action: failed", "Status: 5.1.1", "no such user", "To: <a@b.example>",
                  "Remote-MTA: dns; one.test", ".hello"}},
    {.name = "refused for good, and nobody to tell",
     .to = "u@hub.example",
     .from = "",
     .hosts = {{.ip = HUB, .mail = "554 go away"}},
     .contents = {0},
     .log = {"\"event\":\"delivery_failed\"", "\"event\":\"double_bounce\""},
     .not_log = {"report_made"}},
    {.name = "NOTIFY=NEVER is kept",
     .to = "u@hub.example!N",
     .hosts = {{.ip = HUB, .rcpt = "550 no"}},
     .contents = {0},
     .log = {"\"event\":\"delivery_failed\""},
     .not_log = {"report_made", "double_bounce"}},
    {.name = "one is taken, one refused",
     .to = "u@far.example v@far.example",
     .names = {TWO_MX},
     .hosts = {{.ip = HUB}, {.ip = ONE, .rcpt = "250 ok|550 5.1.1 who?"}},
     .contents = {1, 1},
     .log = {"\"event\":\"delivery_done\"", "\"event\":\"delivery_failed\""},
     .content0 = {"Final-Recipient: rfc822;v@far.example", "550 5.1.1 who?"}},
    {.name = "nobody listens at the first, the second takes it",
     .to = "u@far.example",
     .names = {TWO_MX},
     .hosts = {{.ip = TWO}},
     .contents = {1},
     .log = {"\"event\":\"connection_failed\"", "\"event\":\"delivery_done\""},
     .not_log = {"delivery_deferred"}},
    {.name = "the first has no time, the second takes it",
     .to = "u@far.example",
     .names = {TWO_MX},
     .hosts = {{.ip = ONE, .greeting = "421 busy"}, {.ip = TWO}},
     .contents = {0, 1},
     .log = {"\"event\":\"connection_failed\"", "busy", "\"event\":\"delivery_done\""},
     .not_log = {"delivery_deferred"}},
    {.name = "the first wants nothing, the second takes it",
     .to = "u@far.example",
     .names = {TWO_MX},
     .hosts = {{.ip = ONE, .greeting = "554 no service"}, {.ip = TWO}},
     .contents = {0, 1},
     .not_log = {"delivery_failed"}},
    {.name = "421 at MAIL and a lost connection at RCPT go to the next host",
     .to = "u@far.example",
     .names = {TWO_MX, "far.example MX 30 three.test", "three.test A " THREE},
     .hosts = {{.ip = ONE, .mail = "421 busy"}, {.ip = TWO, .rcpt = "X"}, {.ip = THREE}},
     .contents = {0, 0, 1},
     .not_log = {"delivery_deferred"}},
    {.name = "a recipient refused for now is asked at the next host",
     .to = "u@far.example v@far.example",
     .names = {TWO_MX},
     .hosts = {{.ip = ONE, .rcpt = "250 ok|450 not yet"}, {.ip = TWO}},
     .contents = {1, 1},
     .not_log = {"delivery_deferred"}},
    {.name = "a failure for now outranks a host that can never be (PY-08)",
     .to = "u@far.example",
     .wait_ms = 5000,
     .names = {"far.example MX 10 one.test", "far.example MX 20 gone.test", "one.test A " ONE},
     .hosts = {{.ip = ONE, .mail = "451 later"}},
     .contents = {0},
     .log = {"\"event\":\"delivery_deferred\"", "\"text\":\"later\""},
     .not_log = {"delivery_failed"}},
    {.name = "no host has an address",
     .to = "u@far.example",
     .names = {"far.example MX 10 gone.test", "far.example MX 20 lost.test"},
     .hosts = {{.ip = HUB}},
     .contents = {1},
     .content0 = {"Status: 5.4.4", "lost.test has no address"}},
    {.name = "a domain that says no by null MX",
     .to = "u@far.example",
     .names = {"far.example MX 0 ."},
     .hosts = {{.ip = HUB}},
     .contents = {1},
     .content0 = {"Status: 5.1.10", "takes no mail"}},
    {.name = "a domain that does not exist",
     .to = "u@nowhere.example",
     .hosts = {{.ip = HUB}},
     .contents = {1},
     .content0 = {"Status: 5.1.2"}},
    {.name = "without MX the domain itself",
     .to = "u@far.example",
     .names = {"far.example A " ONE},
     .hosts = {{.ip = ONE}},
     .contents = {1}},
    {.name = "name servers that fail: later",
     .to = "u@far.example",
     .wait_ms = 5000,
     .names = {"far.example MX !"},
     .log = {"\"event\":\"delivery_deferred\"", "\"status\":\"4.4.3\"", "SERVFAIL"},
     .not_log = {"delivery_failed"}},
    {.name = "an address literal", .to = "u@[192.0.2.1]", .hosts = {{.ip = ONE}}, .contents = {1}},
    {.name = "a mail exchanger on loopback is none",
     .to = "u@far.example",
     .names = {"far.example MX 10 one.test", "one.test A 127.0.0.1"},
     .hosts = {{.ip = HUB}, {.ip = "127.0.0.1"}},
     .contents = {1, 0},
     .content0 = {"Status: 5.4.4", "loopback"}},
    {.name = "ourselves by name: only those before us",
     .to = "u@far.example",
     .names = {TWO_MX},
     .own_name = "two.test",
     .hosts = {{.ip = ONE}, {.ip = TWO}},
     .contents = {1, 0}},
    {.name = "ourselves by address: nobody is left",
     .to = "u@far.example",
     .names = {TWO_MX},
     .own_address = "192.0.2.1:25",
     .hosts = {{.ip = HUB}, {.ip = ONE}, {.ip = TWO}},
     .contents = {1, 0, 0},
     .content0 = {"Status: 5.4.6", "loops back"}},
    {.name = "too many recipients go in a second transaction",
     .to = "u@hub.example v@hub.example w@hub.example",
     .hosts = {{.ip = HUB, .rcpt = "250 ok|452 4.5.3 enough|452 4.5.3 enough|250 ok"}},
     .contents = {2},
     .not_log = {"delivery_deferred"}},
    {.name = "our own cap on recipients",
     .to = "u@hub.example v@hub.example w@hub.example",
     .config = CONFIG("rcpts-per-transaction: 2", "starttls: optional"),
     .hosts = {{.ip = HUB}},
     .contents = {2}},
    {.name = "the peer's cap on recipients",
     .to = "u@hub.example v@hub.example w@hub.example",
     .hosts = {{.ip = HUB, .ehlo = "250 host/250 LIMITS RCPTMAX=1"}},
     .contents = {3}},
    {.name = "no answer to the end of data: those not yet asked go by another connection",
     .to = "u@hub.example v@hub.example w@hub.example",
     .config = CONFIG("rcpts-per-transaction: 1", "starttls: optional"),
     .wait_ms = 500,
     .hosts = {{.ip = HUB, .end = "X|250 ok"}},
     .contents = {2},
     .log = {"\"rcpt\":\"u@hub.example\",\"sender\":\"a@b.example\",\"queue\":\"remote\",\"host\":"
             "\"192.0.2.9\",\"code\":0",
             "\"event\":\"delivery_done\""}},
    {.name = "hung up on at MAIL: those not yet asked share that",
     .to = "u@hub.example v@hub.example",
     .config = CONFIG("rcpts-per-transaction: 1", "starttls: optional"),
     .wait_ms = 500,
     .hosts = {{.ip = HUB, .mail = "X"}},
     .contents = {0},
     .log = {"\"event\":\"delivery_deferred\"", "\"rcpt\":\"v@hub.example\""}},
    {.name = "no answer to the end of data: no other host in this attempt",
     .to = "u@far.example",
     .wait_ms = 5000,
     .names = {TWO_MX},
     .hosts = {{.ip = ONE, .end = "X"}, {.ip = TWO}},
     .contents = {0, 0},
     .log = {"\"event\":\"delivery_deferred\"", "may have been taken"}},
    {.name = "refused for now after the content: no other host in this attempt",
     .to = "u@far.example",
     .wait_ms = 5000,
     .names = {TWO_MX},
     .hosts = {{.ip = ONE, .end = "451 scanner is down"}, {.ip = TWO}},
     .contents = {0, 0},
     .log = {"\"event\":\"delivery_deferred\"", "scanner is down"}},
    {.name = "a host that is out of step refuses nobody for good",
     .to = "u@hub.example",
     .hosts = {{.ip = HUB, .rcpt = "503 5.5.1 MAIL first|250 ok"}},
     .contents = {1},
     .log = {"\"event\":\"delivery_deferred\"", "\"event\":\"delivery_done\""},
     .not_log = {"delivery_failed"}},
    {.name = "a silent host meets the time-out",
     .to = "u@hub.example",
     .config = CONFIG("timeout: { mail-from: 3s }", "starttls: optional"),
     .wait_ms = 9000,
     .hosts = {{.ip = HUB, .mail = "-"}},
     .contents = {0},
     .log = {"\"event\":\"delivery_deferred\"", "MAIL: timed out"}},
    {.name = "by chunk, all in haste",
     .to = "u@hub.example",
     .hosts = {{.ip = HUB, .ehlo = "250 host/250 PIPELINING/250 CHUNKING/250 SIZE 1000"}},
     .contents = {1},
     .heard0 = "EHLO mx.here.example\nMAIL FROM:<a@b.example> SIZE=41\n"
               "RCPT TO:<u@hub.example>\nBDAT 41 LAST\n"},
    {.name = "larger than the host takes",
     .to = "u@far.example",
     .names = {TWO_MX},
     .hosts = {{.ip = HUB},
               {.ip = ONE, .ehlo = "250 host/250 SIZE 40"},
               {.ip = TWO, .ehlo = "250 host/250 SIZE 40"}},
     .contents = {1, 0, 0},
     .content0 = {"Status: 5.3.4"}},
    {.name = "LMTP answers for each; success is delivery",
     .to = "u@here.example!S v@here.example w@here.example!SF",
     .hosts = {{.ip = HUB},
               {.ip = "192.0.2.24",
                .port = 24,
                .lmtp = true,
                .end = "250 2.1.5 kept|250 2.1.5 kept|552 5.2.2 full"}},
     .contents = {1, 2},
     .log = {"\"event\":\"delivery_done\"", "\"event\":\"delivery_failed\""},
     .content0 = {"Action: delivered", "Action: failed", "Status: 5.2.2"}},
    {.name = "success at a host without DSN is relayed",
     .to = "u@far.example!S",
     .names = {TWO_MX},
     .hosts = {{.ip = HUB}, {.ip = ONE}},
     .contents = {1, 1},
     .content0 = {"Action: relayed", "Status: 2.0.0"}},
    {.name = "success at a host with DSN is its own matter",
     .to = "u@far.example!S",
     .names = {TWO_MX},
     .hosts = {{.ip = HUB}, {.ip = ONE, .ehlo = "250 host/250 DSN"}},
     .contents = {0, 1},
     .not_log = {"report_made"}},
    {.name = "a delay is told, then the end",
     .to = "u@far.example",
     .wait_ms = 200000,
     .names = {"far.example MX 10 one.test", "one.test A " ONE},
     .hosts = {{.ip = HUB}, {.ip = ONE, .rcpt = "450 4.2.1 asleep"}},
     .contents = {2, 0},
     .log = {"\"event\":\"delivery_delayed\"", "\"event\":\"delivery_failed\""},
     .content0 = {"Action: delayed", "Will-Retry-Until: ", "Action: failed", "asleep"}},
    {.name = "TLS where it is offered",
     .to = "u@hub.example",
     .hosts = {{.ip = HUB, .ehlo = "250 host/250 STARTTLS|250 host", .tls_names = "hub.test"}},
     .contents = {1},
     .heard0 = "EHLO mx.here.example\nSTARTTLS\nEHLO mx.here.example\nMAIL FROM:<a@b.example>\n"
               "RCPT TO:<u@hub.example>\nDATA\n"},
    {.name = "TLS that breaks, in the clear then where that is allowed",
     .to = "u@hub.example",
     .hosts = {{.ip = HUB,
                .ehlo = "250 host/250 STARTTLS",
                .tls_names = "hub.test",
                .broken_tls = true}},
     .contents = {1},
     .log = {"\"event\":\"tls_failed\"", "\"event\":\"delivery_done\""}},
    {.name = "TLS required and not offered",
     .to = "u@far.example",
     .config = CONFIG("idle: 5s", "starttls: require, allow-invalid-certs: true"),
     .names = {TWO_MX},
     .hosts = {{.ip = ONE}, {.ip = TWO}},
     .contents = {0, 0},
     .wait_ms = 5000,
     .log = {"\"event\":\"delivery_failed\"", "\"status\":\"5.7.4\"", "STARTTLS is required"}},
    {.name = "TLS required and broken: never in the clear",
     .to = "u@hub.example",
     .config = CONFIG("idle: 5s", "starttls: require, allow-invalid-certs: true"),
     .hosts = {{.ip = HUB,
                .ehlo = "250 host/250 STARTTLS",
                .tls_names = "hub.test",
                .broken_tls = true}},
     .contents = {0},
     .wait_ms = 5000,
     .log = {"\"event\":\"delivery_deferred\""},
     .not_log = {"\"event\":\"tls_failed\"", "delivery_done"}},
    {.name = "TLS required and not for that name: never in the clear",
     .to = "u@hub.example",
     .config = CONFIG("idle: 5s", "starttls: require"),
     .hosts = {{.ip = HUB, .ehlo = "250 host/250 STARTTLS", .tls_names = "hub.test"}},
     .contents = {0},
     .wait_ms = 5000,
     .log = {"\"event\":\"delivery_deferred\"", "TLS"},
     .not_log = {"\"event\":\"tls_failed\"", "delivery_done"}},
    {.name = "TLS required and verified",
     .to = "u@far.example",
     .config = CONFIG("idle: 5s", "starttls: require"),
     .names = {TWO_MX},
     .hosts = {{.ip = ONE,
                .ehlo = "250 host/250 STARTTLS|250 host",
                .tls_names = "x.test one.test"}},
     .contents = {1}},
    {.name = "TLS required of one host only",
     .to = "u@far.example",
     .config = LATE,
     .names = {TWO_MX},
     .hosts = {{.ip = ONE}, {.ip = TWO}},
     .contents = {0, 1},
     .log = {"\"event\":\"connection_failed\"", "STARTTLS is required"}},
    {.name = "8-bit content and a host of seven bits",
     .to = "u@far.example",
     .body = BODY_8BIT,
     .names = {"far.example MX 10 one.test", "one.test A " ONE},
     .hosts = {{.ip = HUB, .ehlo = "250 host/250 8BITMIME"}, {.ip = ONE}},
     .contents = {1, 0},
     .content0 = {"Status: 5.6.3"}},
    {.name = "8-bit content goes to the host that takes it",
     .to = "u@far.example",
     .body = BODY_8BIT,
     .names = {TWO_MX},
     .hosts = {{.ip = TWO, .ehlo = "250 host/250 8BITMIME"}, {.ip = ONE}},
     .contents = {1, 0},
     .heard0 = "MAIL FROM:<a@b.example> BODY=8BITMIME\n"},
    {.name = "8-bit content all the same, where that is asked for",
     .to = "u@hub.example",
     .config = CONFIG("eight-bit: send", "starttls: optional"),
     .body = BODY_8BIT,
     .hosts = {{.ip = HUB}},
     .contents = {1},
     .heard0 = "MAIL FROM:<a@b.example>\n"},
    {.name = "binary content and a host without BINARYMIME",
     .to = "u@far.example",
     .body = BODY_BINARY,
     .names = {"far.example MX 10 one.test", "one.test A " ONE},
     .hosts = {{.ip = HUB}, {.ip = ONE, .ehlo = "250 host/250 CHUNKING/250 8BITMIME"}},
     .contents = {1, 0},
     .content0 = {"Status: 5.6.1"}},
    {.name = "binary content by chunk",
     .to = "u@hub.example",
     .body = BODY_BINARY,
     .hosts = {{.ip = HUB, .ehlo = "250 host/250 CHUNKING/250 BINARYMIME"}},
     .contents = {1},
     .heard0 = "MAIL FROM:<a@b.example> BODY=BINARYMIME\nRCPT TO:<u@hub.example>\nBDAT 41 LAST\n"},
    {.name = "an address in UTF-8, its domain as A-labels to the name servers",
     .to = "\xc3\xbc@b\xc3\xbc"
           "cher.example",
     .smtputf8 = true,
     .names = {"xn--bcher-kva.example MX 10 one.test", "one.test A " ONE},
     .hosts = {{.ip = ONE, .ehlo = "250 host/250 SMTPUTF8/250 8BITMIME"}},
     .contents = {1},
     .heard0 = "MAIL FROM:<a@b.example> SMTPUTF8\nRCPT TO:<\xc3\xbc@b\xc3\xbc"
               "cher.example>\n"},
    {.name = "an address in UTF-8 and a host that cannot",
     .to = "\xc3\xbc@hub.example u@hub.example",
     .smtputf8 = true,
     .hosts = {{.ip = HUB, .ehlo = "250 host/250 8BITMIME"}},
     .contents = {2},
     .log = {"\"event\":\"delivery_done\"", "\"status\":\"5.6.7\""}},
};

static const struct row *playing;

static void expect_text(struct yard *y, struct str in, const char *text, bool wanted)
{
    if (text != NULL && (str_find_str(in, str_of(text)) != STR_NONE) != wanted) {
        fprintf(stderr, "%s\"%s\" in\n%.*s\n", wanted ? "no " : "", text, STR_ARG(in));
        y->failures++;
    }
}

static void row_test(struct yard *y)
{
    struct yard_host *first = &y->hosts[0];

    yard_send(y, playing->from ? playing->from : "a@b.example", playing->to);
    yard_wait(y, playing->wait_ms ? playing->wait_ms : 30000);
    for (size_t i = 0; i < HOSTS; i++) {
        YARD_CHECK(y, y->hosts[i].contents == playing->contents[i]);
    }
    for (size_t i = 0; i < TEXTS; i++) {
        expect_text(y, buf_str(&first->content), playing->content0[i], true);
        expect_text(y, sim_log(y->world), playing->log[i], true);
        expect_text(y, sim_log(y->world), playing->not_log[i], false);
    }
    if (playing->heard0 != NULL) {
        expect_text(y, buf_str(&first->heard), playing->heard0, true);
    }
}

static void mail_goes_as_the_hosts_will(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct yard y = {.config = rows[i].config ? rows[i].config : PLAIN,
                         .names = rows[i].names,
                         .hosts = rows[i].hosts,
                         .test = row_test,
                         .own_name = rows[i].own_name,
                         .own_address = rows[i].own_address,
                         .body = rows[i].body,
                         .smtputf8 = rows[i].smtputf8};

        print_message("  %s\n", rows[i].name);
        while (y.host_count < HOSTS && rows[i].hosts[y.host_count].ip != NULL) {
            y.host_count++;
        }
        playing = &rows[i];
        yard_run(&y);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_goes_as_the_hosts_will),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
