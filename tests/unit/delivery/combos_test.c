/*
 * One message to five recipients that go different ways, and every combination of what may become
 * of them: each is asked as often as it must be, ends once, and is told of once (PY-04, 07, 37).
 *
 * a and b share everything, and so a transaction. c has another connection object, d another TLS
 * object, for the same host; e has another queue and another route.
 */
#include "yard.h"

#define CONFIG                                                                                     \
    "queue:\n"                                                                                     \
    "  virtual: { one: { concurrency: 4 }, two: { concurrency: 1 } }\n"                            \
    "  schedule:\n"                                                                                \
    "    one: { queue-name: one, retry: [10s], expire: 35s }\n"                                    \
    "    two: { queue-name: two, retry: [7s], expire: 35s }\n"                                     \
    "    dsn: { queue-name: dsn, retry: [10s], expire: 1m }\n"                                     \
    "  route:\n"                                                                                   \
    "    hub: { type: relay, address: 192.0.2.9 }\n"                                               \
    "    one: { type: relay, address: 192.0.2.1 }\n"                                               \
    "    two: { type: relay, address: 192.0.2.2 }\n"                                               \
    "  connection: { plain: {}, other: { ehlo-hostname: other.here.example } }\n"                  \
    "  tls:\n"                                                                                     \
    "    none: { starttls: disable, dane: disable, mta-sts: disable }\n"                           \
    "    must: { starttls: require }\n"                                                            \
    "  strategy:\n"                                                                                \
    "    schedule: [ { if: \"source == 'dsn'\", use: dsn },\n"                                     \
    "                { if: \"starts_with(rcpt, 'e')\", use: two }, { use: one } ]\n"               \
    "    route: [ { if: \"source == 'dsn'\", use: hub },\n"                                        \
    "             { if: \"starts_with(rcpt, 'e')\", use: two }, { use: one } ]\n"                  \
    "    connection: [ { if: \"starts_with(rcpt, 'c')\", use: other }, { use: plain } ]\n"         \
    "    tls: [ { if: \"starts_with(rcpt, 'd')\", use: must }, { use: none } ]\n"

enum fate { TAKEN, LATER, NEVER, GONE, FATES };

/* What the host says to RCPT: the first time, and from then on. */
static const struct {
    const char *first, *then;
    unsigned asked; /* so often */
    bool is_taken;
} fates[FATES] = {
    [TAKEN] = {"250 ok", "250 ok", 1, true},
    [LATER] = {"450 4.2.1 not yet", "250 ok", 2, true},
    [NEVER] = {"550 5.1.1 nobody", "250 ok", 1, false},
    [GONE] = {"X", "X", 4, false}, /* until the time is over */
};

enum { RCPTS = 5 };

static enum fate combo[RCPTS];
static unsigned asked[RCPTS];

static const char *answer_to(struct str line)
{
    size_t i = (size_t)(line.ptr[strlen("RCPT TO:<")] - 'a');
    const char *ret;

    must(i < RCPTS);
    ret = asked[i] == 0 ? fates[combo[i]].first : fates[combo[i]].then;
    asked[i]++;
    return ret;
}

static unsigned count_of(struct str in, struct str text)
{
    unsigned n = 0;

    for (size_t at; (at = str_find_str(in, text)) != STR_NONE; n++) {
        in = str_skip(in, at + 1);
    }
    return n;
}

static unsigned reports_of(struct str in, char who)
{
    char text[] = "Final-Recipient: rfc822;?@x.example";

    text[strlen("Final-Recipient: rfc822;")] = who;
    return count_of(in, str_of(text));
}

/* Lines of the log with this event about this recipient. */
static unsigned events_of(struct yard *y, const char *event, char who)
{
    struct str log = sim_log(y->world), line;
    char address[16], name[40];
    unsigned n = 0;

    (void)snprintf(address, sizeof address, "\"%c@x.example\"", who);
    (void)snprintf(name, sizeof name, "\"event\":\"%s\"", event);
    while (log.len > 0) {
        str_cut(&log, '\n', &line);
        n += str_find_str(line, str_of(name)) != STR_NONE &&
             str_find_str(line, str_of(address)) != STR_NONE;
    }
    return n;
}

static void combo_test(struct yard *y)
{
    struct str reports;

    yard_send(y, "s@b.example",
              "a@x.example!SF b@x.example!SF c@x.example!SF d@x.example!SF e@x.example!SF");
    yard_wait(y, 120000);
    YARD_CHECK(y, yard_jobs(y) == 0);
    reports = buf_str(&y->hosts[0].content);
    for (unsigned i = 0; i < RCPTS; i++) {
        char who = (char)('a' + i);
        bool is_taken = fates[combo[i]].is_taken;

        YARD_CHECK(y, asked[i] == fates[combo[i]].asked || combo[i] == GONE);
        YARD_CHECK(y, events_of(y, "delivery_done", who) == is_taken);
        YARD_CHECK(y, events_of(y, "delivery_failed", who) == !is_taken);
        YARD_CHECK(y, reports_of(reports, who) == 1);
    }
    /* c said another name, d spoke under TLS, the others did neither. */
    YARD_CHECK(y, count_of(buf_str(&y->hosts[1].heard), STR("EHLO other.here.example")) >= 1);
    YARD_CHECK(y, count_of(buf_str(&y->hosts[1].heard), STR("STARTTLS")) >= 1);
    YARD_CHECK(y, count_of(buf_str(&y->hosts[2].heard), STR("STARTTLS")) == 0);
    YARD_CHECK(y, !yard_logged(y, "double_bounce"));
}

static void run_combo(void)
{
    struct yard_host hosts[] = {
        {.ip = "192.0.2.9"},
        {.ip = "192.0.2.1",
         .ehlo = "250 host/250 PIPELINING/250 STARTTLS",
         .tls_names = "192.0.2.1",
         .rcpt_says = answer_to},
        {.ip = "192.0.2.2", .ehlo = "250 host/250 STARTTLS", .rcpt_says = answer_to}};
    struct yard y = {.config = CONFIG, .hosts = hosts, .host_count = 3, .test = combo_test};

    memset(asked, 0, sizeof asked);
    yard_run(&y);
}

static void each_recipient_ends_once_and_is_told_of_once(void **state)
{
    unsigned runs = 0;

    /* Who shares a transaction with one that breaks the connection fails with it, so a and b do
     * not. */
    for (unsigned n = 0; n < 3 * 3 * FATES * FATES * FATES; n++) {
        unsigned rest = n;

        for (unsigned i = 0; i < RCPTS; i++) {
            unsigned base = i < 2 ? 3 : FATES;

            combo[i] = (enum fate)(rest % base);
            rest /= base;
        }
        run_combo();
        runs++;
    }
    print_message("  %u combinations\n", runs);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_recipient_ends_once_and_is_told_of_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
