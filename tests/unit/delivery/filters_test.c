/*
 * Filters are asked about leaving mail, in the words of draft-01 and -02 but for HTTP: cases DR-56
 * to DR-64 of the reference of MTA Hooks.
 */
#include "base/mem.h"
#include "delivery/filters.h"
#include "hooks/draft.h"
#include "store/parcel.h"
#include "yard_rows.h"

#define FIRST "192.0.2.1"

#define NOBODY "if: \"sender == 'nobody@b.example'\", use: "
#define CONFIG                                                                                     \
    "queue:\n"                                                                                     \
    "  virtual: { special: { concurrency: 5 } }\n"                                                 \
    "  schedule:\n"                                                                                \
    "    remote: { queue-name: remote, retry: [%s], expire: 1m }\n"                                \
    "    special: { queue-name: special, retry: [10s], expire: 1m }\n"                             \
    "    dsn: { queue-name: dsn, retry: [10s], expire: 1m }\n"                                     \
    "  route:\n"                                                                                   \
    "    way: { type: relay, address: 192.0.2.1 }\n"                                               \
    "    hub: { type: relay, address: 192.0.2.9 }\n"                                               \
    "  connection: { default: {}, named: { ehlo-hostname: named.here.example } }\n"                \
    "  tls:\n"                                                                                     \
    "    default: {}\n"                                                                            \
    "    never: { starttls: disable, dane: disable, mta-sts: disable }\n"                          \
    "    must: { starttls: require }\n"                                                            \
    "  strategy:\n"                                                                                \
    "    schedule: [ { if: \"source == 'dsn'\", use: dsn }, { " NOBODY "special }, "               \
    "{ use: remote } ]\n"                                                                          \
    "    route: [ { if: \"source == 'dsn'\", use: hub }, { use: way } ]\n"                         \
    "    connection: [ { " NOBODY "named }, { use: default } ]\n"                                  \
    "    tls: [ { " NOBODY "never }, { if: \"sender == 'any@b.example'\", use: must }, "           \
    "{ use: default } ]\n"

enum { ANSWERS = 4, LINES = 8 };

/* What the filter says when it is asked at a stage, the first time; then, and elsewhere: nothing.
 */
struct says {
    const char *stage, *answer;
    int64_t ms;   /* it takes its time */
    bool is_away; /* and then there is no answer */
};

struct telling {
    const char *name, *to;
    struct says says[ANSWERS];
    const char *rcpt, *retry;
    int64_t wait_ms, all_ms;   /* all_ms: each answer takes so long */
    unsigned at_first, at_hub; /* contents */
    unsigned delivery, defer, dsn, route;
    const char *heard;
    const char *asked[LINES], *not_asked[LINES];
    const char *log[LINES], *not_log[LINES], *hub[LINES];
};

static const struct telling *row;
static struct buf asked;
static unsigned counts[HOOK_STAGES];
static bool was_said[ANSWERS];
static uint64_t body_bytes; /* that were read */
static struct hook_terms terms;
static struct hook_dialect const *dialect = &hook_draft_01;

static void *begin(const void *filter, const struct hook_view *view)
{
    (void)filter, (void)view;
    return NULL;
}

static void nothing(const void *filter, void *session)
{
    (void)filter, (void)session;
}

static const char *answer_at(enum hook_stage stage, const struct says **ret)
{
    for (size_t i = 0; i < ANSWERS && row->says[i].stage != NULL; i++) {
        if (!was_said[i] && str_eq(hook_stage_name(stage), str_of(row->says[i].stage))) {
            was_said[i] = true;
            *ret = &row->says[i];
            return row->says[i].answer != NULL ? row->says[i].answer : "{}";
        }
    }
    return "{}";
}

static bool read_body(const struct hook_view *view, struct when by)
{
    const struct hook_bytes *b = &view->body;
    struct buf room BUF_LOCAL = {0};
    struct str run;

    for (uint64_t at = 0; b->read != NULL && at < b->size; at += run.len) {
        if (b->read(b->ctx, at, &room, &run, by).code != OK) {
            return false;
        }
        body_bytes += run.len;
    }
    return view->has_message;
}

static struct err ask(const void *filter, void *session, const struct hook_view *view,
                      struct arena *a, struct hook_outcome *ret, struct buf *why, struct when by)
{
    struct hook_answer answer = {200, STR("application/json"), STR_EMPTY};
    struct hook_request request = {0};
    const struct says *says = &(struct says){0};

    (void)filter, (void)session;
    counts[view->stage]++;
    dialect->encode(view, &terms, a, &request);
    buf_put(&asked, hook_stage_name(view->stage));
    buf_byte(&asked, ' ');
    buf_put(&asked, buf_str(&request.before));
    buf_put(&asked, buf_str(&request.after));
    buf_byte(&asked, '\n');
    buf_done(&request.before);
    buf_done(&request.after);
    answer.body = str_of(answer_at(view->stage, &says));
    if (!read_body(view, by)) {
        buf_put(why, STR("the message could not be read again"));
        return err_of(ERR_CORRUPT);
    }
    if (says->ms + row->all_ms > 0) {
        struct err e = fiber_sleep(when_after(says->ms + row->all_ms), by);

        if (e.code != OK) {
            return e;
        }
    }
    if (says->is_away) {
        buf_put(why, STR("it is away"));
        return err_of(ERR_NETWORK);
    }
    return dialect->decode(&answer, view, &terms, NULL, a, ret, why);
}

static const struct filter_kind kind = {
    .name = "fake", .begin = begin, .ask = ask, .reset = nothing, .end = nothing};

static struct chain_item item = {
    .name = STR_INIT("scan"), .kind = &kind, .stages = ~0U << HOOK_DELIVERY, .timeout_ms = 5000};

static void tell_test(struct yard *y)
{
    struct buf id BUF_LOCAL = {0};

    /* The id that the filters of arriving mail saw (DR-64). */
    buf_printf(&id, "\"queue\":{\"id\":\"%016llx\"",
               (unsigned long long)yard_send(y, "a@b.example", row->to));
    buf_byte(&id, '\0');
    yard_wait(y, row->wait_ms ? row->wait_ms : 200000);
    (void)fiber_sleep(when_after(1000), WHEN_NEVER);
    expect_text(y, buf_str(&asked), id.ptr, true);
    YARD_CHECK(y, y->hosts[0].contents == row->at_first);
    YARD_CHECK(y, y->hosts[1].contents == row->at_hub);
    YARD_CHECK(y, counts[HOOK_DELIVERY] == row->delivery);
    YARD_CHECK(y, counts[HOOK_DEFER] == row->defer);
    YARD_CHECK(y, counts[HOOK_DSN] == row->dsn);
    YARD_CHECK(y, row->route == 0 || counts[HOOK_ROUTE] == row->route);
    expect_text(y, buf_str(&y->hosts[1].heard), row->heard, true);
    for (size_t i = 0; i < LINES; i++) {
        expect_text(y, buf_str(&asked), row->asked[i], true);
        expect_text(y, buf_str(&asked), row->not_asked[i], false);
        expect_text(y, sim_log(y->world), row->log[i], true);
        expect_text(y, sim_log(y->world), row->not_log[i], false);
        expect_text(y, buf_str(&y->hosts[1].content), row->hub[i], true);
    }
}

static void use_terms(void)
{
    static const struct str updates[] = {STR_INIT("/action"), STR_INIT("/envelope"),
                                         STR_INIT("/message"), STR_INIT("/rawMessage")};
    static struct str properties[32];

    terms = (struct hook_terms){.stages = ~0U, .updates = {updates, COUNT_OF(updates)}};
    for (const char *const *p = draft_properties(true); *p != NULL; p++) {
        properties[terms.properties.count++] = str_of(*p);
    }
    terms.properties.items = properties;
}

static void play_one(const struct telling *one, void (*test)(struct yard *y), size_t lines)
{
    struct yard_host hosts[] = {{.ip = FIRST, .rcpt = one->rcpt}, {.ip = "192.0.2.9"}};
    struct chain chain = {.items = &item, .count = 1, .stages = item.stages};
    struct buf config BUF_LOCAL = {0};
    struct yard y = {.hosts = hosts,
                     .host_count = COUNT_OF(hosts),
                     .chain = &chain,
                     .test = test,
                     .lines = lines};

    buf_printf(&config, CONFIG, one->retry ? one->retry : "10s");
    buf_byte(&config, '\0');
    y.config = config.ptr;
    atomic_init(&chain.references, 1);
    use_terms();
    memset(counts, 0, sizeof counts);
    memset(was_said, 0, sizeof was_said);
    body_bytes = 0;
    row = one;
    yard_run(&y);
    buf_done(&asked);
}

static void play_telling(const struct telling *rows, size_t count, unsigned stages)
{
    item.stages = stages;
    for (size_t i = 0; i < count; i++) {
        print_message("  %s\n", rows[i].name);
        play_one(&rows[i], tell_test, 0);
    }
}

#define THREE          "u@far.example v@far.example w@far.example"
#define GOOD_LATER_BAD "250 ok|451 4.2.1 later|550 5.1.1 no|250 ok"

static void what_became_of_an_attempt_is_told(void **state)
{
    static const struct telling rows[] = {
        {.name = "one question for a job of three: delivered, deferred, failed (DR-56), and one at "
                 "defer (DR-57)",
         .to = THREE,
         .rcpt = GOOD_LATER_BAD,
         .at_first = 2,
         .at_hub = 1,
         .delivery = 3, /* the second attempt of v, and the notice's own */
         .defer = 1,
         .dsn = 1,
         .asked = {"delivery {\"stage\":\"delivery\",\"action\":\"continue\"",
                   "\"address\":\"u@far.example\",\"parameters\":{},\"status\":\"delivered\","
                   "\"attempt\":1",
                   "\"address\":\"v@far.example\",\"parameters\":{},\"status\":\"deferred\","
                   "\"attempt\":1,\"lastResponse\":{\"code\":451,\"enhancedCode\":\"4.2.1\"",
                   "\"address\":\"w@far.example\",\"parameters\":{},\"status\":\"failed\","
                   "\"attempt\":1,\"lastResponse\":{\"code\":550,\"enhancedCode\":\"5.1.1\"",
                   "defer {\"stage\":\"defer\"", "\"queueName\":\"remote\"",
                   "\"address\":\"v@far.example\",\"parameters\":{},\"status\":\"delivered\","
                   "\"attempt\":2"}},
        {.name = "nobody is deferred: nothing is asked at defer (DR-57)",
         .to = "u@far.example",
         .at_first = 1,
         .delivery = 1,
         .log = {"\"event\":\"delivery_done\""}},
        {.name = "a failed recipient that it makes failed-silent: no notice, now or later (DR-58)",
         .to = THREE,
         .rcpt = GOOD_LATER_BAD,
         .says =
             {{.stage = "delivery",
               .answer =
                   "{\"set\":[{\"path\":\"/envelope/to/2/status\",\"value\":\"failed-silent\"}]}"}},
         .at_first = 2,
         .delivery = 2,
         .defer = 1,
         .log = {"\"event\":\"rcpt_filtered\"", "\"action\":\"dropped\"", "\"name\":\"scan\""},
         .not_log = {"report_made"}},
        {.name = "a deferred one that it makes failed-silent is not tried again (DR-58)",
         .to = THREE,
         .rcpt = "250 ok|451 4.2.1 later|250 ok",
         .says =
             {{.stage = "delivery",
               .answer =
                   "{\"set\":[{\"path\":\"/envelope/to/1/status\",\"value\":\"failed-silent\"}]}"}},
         .at_first = 1,
         .delivery = 1,
         .log = {"\"action\":\"dropped\""},
         .not_log = {"report_made"}},
        {.name = "a deferred one that it makes failed is told of",
         .to = "u@far.example",
         .rcpt = "451 4.2.1 later",
         .says = {{.stage = "defer",
                   .answer =
                       "{\"set\":[{\"path\":\"/envelope/to/0/status\",\"value\":\"failed\"}]}"}},
         .at_hub = 1,
         .delivery = 2,
         .defer = 1,
         .dsn = 1,
         .log = {"\"action\":\"failed\""},
         .hub = {"given up by the filter scan"}},
        {.name = "a failed one that it defers is tried again, and not told of",
         .to = "u@far.example",
         .rcpt = "550 5.1.1 no|250 ok",
         .says = {{.stage = "delivery",
                   .answer =
                       "{\"set\":[{\"path\":\"/envelope/to/0/status\",\"value\":\"deferred\"}]}"}},
         .at_first = 1,
         .delivery = 2,
         .defer = 1,
         .log = {"\"action\":\"deferred\"", "\"event\":\"delivery_done\""},
         .not_log = {"report_made"}},
        {.name = "what was not delivered is not delivered by its word (DR-59)",
         .to = "u@far.example",
         .rcpt = "451 4.2.1 later|250 ok",
         .says = {{.stage = "delivery",
                   .answer =
                       "{\"set\":[{\"path\":\"/envelope/to/0/status\",\"value\":\"delivered\"}]}"}},
         .at_first = 1,
         .delivery = 2,
         .defer = 1,
         .log = {"\"event\":\"delivery_done\""},
         .not_log = {"rcpt_filtered"}},
    };

    (void)state;
    play_telling(rows, COUNT_OF(rows), ~0U << HOOK_DELIVERY);
}

static void what_it_wants_is_kept_within_bounds(void **state)
{
    static const struct telling rows[] = {
        {.name = "a time a year ahead is the end of its time (DR-60)",
         .to = "u@far.example",
         .rcpt = "451 4.2.1 later",
         .says = {{.stage = "defer",
                   .answer = "{\"set\":[{\"path\":\"/envelope/to/0/nextAttemptAt\","
                             "\"value\":\"2099-01-01T00:00:00Z\"}]}"}},
         .at_hub = 1,
         .delivery = 2,
         .defer = 1,
         .dsn = 1,
         .log = {"\"action\":\"deferred\"", "\"event\":\"delivery_failed\""}},
        {.name = "a time that is past is soon",
         .to = "u@far.example",
         .rcpt = "451 4.2.1 later|250 ok",
         .wait_ms = 3000,
         .says = {{.stage = "defer",
                   .answer = "{\"set\":[{\"path\":\"/envelope/to/0/nextAttemptAt\","
                             "\"value\":\"2001-01-01T00:00:00Z\"}]}"}},
         .at_first = 1,
         .delivery = 2,
         .defer = 1},
        {.name = "cancel: who is left is removed, and nobody is told (DR-61)",
         .to = THREE,
         .rcpt = GOOD_LATER_BAD,
         .says = {{.stage = "defer",
                   .answer = "{\"set\":[{\"path\":\"/action\",\"value\":\"cancel\"}]}"}},
         .at_first = 1,
         .delivery = 1,
         .defer = 1,
         .log = {"\"event\":\"filter_cancelled\"", "\"action\":\"dropped\""},
         .not_log = {"report_made"}},
        {.name = "a notice whose message it deletes is not made (DR-62)",
         .to = "u@far.example",
         .rcpt = "550 5.1.1 no",
         .says = {{.stage = "dsn", .answer = "{\"delete\":[{\"path\":\"/message\"}]}"}},
         .delivery = 1,
         .dsn = 1,
         .log = {"\"event\":\"report_dropped\"", "\"event\":\"delivery_failed\""},
         .not_log = {"report_made"}},
        {.name = "cancel at dsn drops the notice alone (DR-62)",
         .to = "u@far.example v@far.example",
         .rcpt = "550 5.1.1 no|451 4.2.1 later|250 ok",
         .says = {{.stage = "dsn",
                   .answer = "{\"set\":[{\"path\":\"/action\",\"value\":\"cancel\"}]}"}},
         .at_first = 1,
         .delivery = 2,
         .defer = 1,
         .dsn = 1,
         .log = {"\"event\":\"report_dropped\"", "\"event\":\"delivery_done\""},
         .not_log = {"report_made"}},
        {.name = "a notice with a field more, its sender still null",
         .to = "u@far.example",
         .rcpt = "550 5.1.1 no",
         .says = {{.stage = "dsn",
                   .answer =
                       "{\"add\":[{\"path\":\"/message/headers\",\"value\":{\"name\":\"X-Scan\","
                       "\"value\":\" seen\"},\"index\":0}]}"}},
         .at_hub = 1,
         .delivery = 2,
         .dsn = 1,
         .asked = {"dsn {\"stage\":\"dsn\"", "\"from\":{\"address\":null"},
         .hub = {"X-Scan: seen\r\n", "Final-Recipient: rfc822;u@far.example"}},
        {.name = "a recipient that it adds gets a message of its own, and no filter adds to that",
         .to = "u@far.example",
         .says = {{.stage = "delivery",
                   .answer = "{\"add\":[{\"path\":\"/envelope/to\",\"value\":"
                             "{\"address\":\"copy@far.example\",\"parameters\":{}}}]}"},
                  {.stage = "delivery",
                   .answer = "{\"add\":[{\"path\":\"/envelope/to\",\"value\":"
                             "{\"address\":\"more@far.example\",\"parameters\":{}}}]}"}},
         .at_first = 2,
         .delivery = 2,
         .asked = {"\"address\":\"copy@far.example\""},
         .log = {"\"event\":\"rcpt_added\"", "\"event\":\"rcpt_add_refused\"",
                 "a filter has added this message itself"}},
        {.name = "one that we would not take is not added",
         .to = "u@far.example",
         .says = {{.stage = "delivery",
                   .answer = "{\"add\":[{\"path\":\"/envelope/to\",\"value\":"
                             "{\"address\":\"x@refused.example\",\"parameters\":{}}}]}"}},
         .at_first = 1,
         .delivery = 1,
         .log = {"\"event\":\"rcpt_add_refused\"", "relaying denied"}},
    };

    (void)state;
    play_telling(rows, COUNT_OF(rows), ~0U << HOOK_DELIVERY);
}

static void many_test(struct yard *y)
{
    for (int i = 0; i < FILTERS_ASKING_MAX + 6; i++) {
        yard_send(y, "a@b.example", "u@far.example");
    }
    yard_wait(y, 3000);
    YARD_CHECK(y, y->hosts[0].contents == FILTERS_ASKING_MAX + 6);
    YARD_CHECK(y, delivery_counts(y->delivery).unasked == 6);
    YARD_CHECK(y, yard_logged(y, "\"event\":\"filters_unasked\""));
    (void)fiber_sleep(when_after(5000), WHEN_NEVER);
    YARD_CHECK(y, counts[HOOK_DELIVERY] == FILTERS_ASKING_MAX);
    yard_send(y, "a@b.example", "u@far.example");
    yard_wait(y, 3000);
    YARD_CHECK(y, counts[HOOK_DELIVERY] == FILTERS_ASKING_MAX + 1);
}

static void beyond_the_bound_mail_goes_and_nobody_is_asked(void **state)
{
    static const struct telling slow = {.all_ms = 4000};

    (void)state;
    play_one(&slow, many_test, 0);
}

static void large_test(struct yard *y)
{
    yard_send(y, "a@b.example", "u@far.example v@far.example");
    yard_wait(y, 60000);
    YARD_CHECK(y, counts[HOOK_DELIVERY] == 2);
    YARD_CHECK(y, body_bytes > 2 * PARCEL_HEAD_MAX);
}

static void a_large_message_is_read_while_it_is_stored(void **state)
{
    static const struct telling later = {.rcpt = "250 ok|451 later|250 ok"};

    (void)state;
    play_one(&later, large_test, 2000);
}

static void mail_goes_on_whatever_it_does(void **state)
{
    static const struct telling rows[] = {
        {.name = "it is away: the queue does not mind (DR-63)",
         .to = "u@far.example",
         .rcpt = "451 4.2.1 later|250 ok",
         .says = {{.stage = "delivery", .is_away = true}, {.stage = "defer", .is_away = true}},
         .at_first = 1,
         .delivery = 2,
         .defer = 1,
         .log = {"\"event\":\"filter_failed\"", "\"event\":\"delivery_done\""}},
        {.name = "it says nothing for longer than the retry takes: that is made in time, and what "
                 "it says then is late (DR-63)",
         .to = "u@far.example",
         .rcpt = "451 4.2.1 later|250 ok",
         .retry = "1s",
         .says = {{.stage = "delivery",
                   .answer =
                       "{\"set\":[{\"path\":\"/envelope/to/0/status\",\"value\":\"failed\"}]}",
                   .ms = 4000}},
         .wait_ms = 2500,
         .at_first = 1,
         .delivery = 2,
         .log = {"\"event\":\"delivery_done\""},
         .not_log = {"rcpt_filtered", "report_made"}},
        {.name = "nonsense changes nothing",
         .to = "u@far.example",
         .says = {{.stage = "delivery", .answer = "[[["}},
         .at_first = 1,
         .delivery = 1,
         .log = {"\"event\":\"filter_failed\"", "\"event\":\"delivery_done\""}},
        {.name = "a notice is made without it",
         .to = "u@far.example",
         .rcpt = "550 5.1.1 no",
         .says = {{.stage = "dsn", .is_away = true}},
         .at_hub = 1,
         .delivery = 2,
         .dsn = 1,
         .log = {"\"event\":\"report_made\""}},
    };

    (void)state;
    play_telling(rows, COUNT_OF(rows), ~0U << HOOK_DELIVERY);
}

#define ROUTE(n, value)                                                                            \
    "{\"op\":\"add\",\"path\":\"/envelope/to/" #n "/route\",\"value\":" value "}"
#define TO_HUB "{\"route\":\"hub\"}"
#define STATUS(n, value)                                                                           \
    "[{\"op\":\"replace\",\"path\":\"/envelope/to/" #n "/status\",\"value\":\"" value "\"}]"

static void the_way_is_chosen_for_each_recipient(void **state)
{
    static const struct telling rows[] = {
        {.name = "two of three go another way: a transaction each way (PT-11)",
         .to = THREE,
         .says = {{.stage = "route", .answer = "[" ROUTE(0, TO_HUB) "," ROUTE(2, TO_HUB) "]"},
                  {.stage = "route", .answer = "[" ROUTE(0, TO_HUB) "," ROUTE(1, TO_HUB) "]"}},
         .at_first = 1,
         .at_hub = 1,
         .route = 3, /* all, and then each part */
         .asked = {"\"status\":\"pending\",\"attempt\":1"},
         .log = {"\"event\":\"filter_routed\"", "route hub"},
         .not_log = {"delivery_deferred"}},
        {.name = "a connection by its name",
         .to = "u@far.example",
         .says = {{.stage = "route",
                   .answer = "[" ROUTE(0, "{\"route\":\"hub\",\"connection\":\"named\"}") "]"}},
         .at_hub = 1,
         .route = 1,
         .heard = "EHLO named.here.example"},
        {.name = "names that nobody knows: left aside",
         .to = "u@far.example",
         .says = {{.stage = "route",
                   .answer = "[" ROUTE(0, "{\"route\":\"gone\",\"queue\":\"none\"}") "]"}},
         .at_first = 1,
         .route = 1,
         .log = {"there is no route \\\"gone\\\"", "there is no virtual queue \\\"none\\\""}},
        {.name = "a queue is kept, and the job goes on in it",
         .to = "u@far.example",
         .says = {{.stage = "route", .answer = "[" ROUTE(0, "{\"queue\":\"special\"}") "]"}},
         .at_first = 1,
         .route = 2,
         .log = {"\"queue\":\"special\""}},
        {.name = "tls is not made weaker (P8), and may be made stronger",
         .to = "u@far.example",
         .says = {{.stage = "route", .answer = "[" ROUTE(0, "{\"tls\":\"never\"}") "]"}},
         .at_first = 1,
         .route = 1,
         .log = {"weaker than what the strategy asks for"}},
        {.name = "stronger tls that the host does not have: no mail in the clear",
         .to = "u@far.example",
         .says = {{.stage = "route", .answer = "[" ROUTE(0, "{\"tls\":\"must\"}") "]"}},
         .at_hub = 1,
         .log = {"\"event\":\"delivery_failed\"", "\"event\":\"report_made\""}},
        {.name = "a message of one's own is refused (PT-12), the mail goes",
         .to = "u@far.example",
         .says = {{.stage = "route",
                   .answer = "[{\"op\":\"add\",\"path\":\"/envelope/to/0/rawMessage\","
                             "\"value\":\"QTogYg0KDQpjDQo=\"}]"}},
         .at_first = 1,
         .route = 1,
         .log = {"\"event\":\"filter_unmade\""}},
        {.name = "given up before it is tried",
         .to = "u@far.example v@far.example",
         .says = {{.stage = "route", .answer = STATUS(0, "failed")}},
         .at_first = 1,
         .at_hub = 1,
         .hub = {"given up by the filter scan"}},
        {.name = "given up in silence",
         .to = "u@far.example",
         .says = {{.stage = "route", .answer = STATUS(0, "failed-silent")}},
         .route = 1,
         .not_log = {"report_made"}},
        {.name = "put off",
         .to = "u@far.example",
         .says = {{.stage = "route",
                   .answer = "[{\"op\":\"replace\",\"path\":\"/envelope/to/0/status\","
                             "\"value\":\"deferred\"}]"}},
         .wait_ms = 20000,
         .route = 1,
         .log = {"not now"}},
        {.name = "cancelled before it is tried",
         .to = THREE,
         .says = {{.stage = "route",
                   .answer = "[{\"op\":\"replace\",\"path\":\"/action\",\"value\":\"cancel\"}]"}},
         .route = 1,
         .log = {"\"event\":\"filter_cancelled\""},
         .not_log = {"report_made"}},
        {.name = "it is away: the strategies choose",
         .to = "u@far.example",
         .says = {{.stage = "route", .is_away = true}},
         .at_first = 1,
         .route = 1},
    };

    (void)state;
    dialect = &hook_draft_02;
    play_telling(rows, COUNT_OF(rows), 1U << HOOK_ROUTE);
    dialect = &hook_draft_01;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_became_of_an_attempt_is_told),
        cmocka_unit_test(what_it_wants_is_kept_within_bounds),
        cmocka_unit_test(beyond_the_bound_mail_goes_and_nobody_is_asked),
        cmocka_unit_test(a_large_message_is_read_while_it_is_stored),
        cmocka_unit_test(mail_goes_on_whatever_it_does),
        cmocka_unit_test(the_way_is_chosen_for_each_recipient),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
