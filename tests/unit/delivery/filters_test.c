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

#define CONFIG                                                                                     \
    "queue:\n"                                                                                     \
    "  schedule:\n"                                                                                \
    "    remote: { queue-name: remote, retry: [%s], expire: 1m }\n"                                \
    "    dsn: { queue-name: dsn, retry: [10s], expire: 1m }\n"                                     \
    "  route:\n"                                                                                   \
    "    way: { type: relay, address: 192.0.2.1 }\n"                                               \
    "    hub: { type: relay, address: 192.0.2.9 }\n"                                               \
    "  strategy:\n"                                                                                \
    "    schedule: [ { if: \"source == 'dsn'\", use: dsn }, { use: remote } ]\n"                   \
    "    route: [ { if: \"source == 'dsn'\", use: hub }, { use: way } ]\n"

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
    unsigned delivery, defer, dsn;
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

static void play_telling(const struct telling *rows, size_t count)
{
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
         .says = {{"delivery",
                   "{\"set\":[{\"path\":\"/envelope/to/2/status\",\"value\":\"failed-silent\"}]}"}},
         .at_first = 2,
         .delivery = 2,
         .defer = 1,
         .log = {"\"event\":\"rcpt_filtered\"", "\"action\":\"dropped\"", "\"name\":\"scan\""},
         .not_log = {"report_made"}},
        {.name = "a deferred one that it makes failed-silent is not tried again (DR-58)",
         .to = THREE,
         .rcpt = "250 ok|451 4.2.1 later|250 ok",
         .says = {{"delivery",
                   "{\"set\":[{\"path\":\"/envelope/to/1/status\",\"value\":\"failed-silent\"}]}"}},
         .at_first = 1,
         .delivery = 1,
         .log = {"\"action\":\"dropped\""},
         .not_log = {"report_made"}},
        {.name = "a deferred one that it makes failed is told of",
         .to = "u@far.example",
         .rcpt = "451 4.2.1 later",
         .says = {{"defer",
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
         .says = {{"delivery",
                   "{\"set\":[{\"path\":\"/envelope/to/0/status\",\"value\":\"deferred\"}]}"}},
         .at_first = 1,
         .delivery = 2,
         .defer = 1,
         .log = {"\"action\":\"deferred\"", "\"event\":\"delivery_done\""},
         .not_log = {"report_made"}},
        {.name = "what was not delivered is not delivered by its word (DR-59)",
         .to = "u@far.example",
         .rcpt = "451 4.2.1 later|250 ok",
         .says = {{"delivery",
                   "{\"set\":[{\"path\":\"/envelope/to/0/status\",\"value\":\"delivered\"}]}"}},
         .at_first = 1,
         .delivery = 2,
         .defer = 1,
         .log = {"\"event\":\"delivery_done\""},
         .not_log = {"rcpt_filtered"}},
    };

    (void)state;
    play_telling(rows, COUNT_OF(rows));
}

static void what_it_wants_is_kept_within_bounds(void **state)
{
    static const struct telling rows[] = {
        {.name = "a time a year ahead is the end of its time (DR-60)",
         .to = "u@far.example",
         .rcpt = "451 4.2.1 later",
         .says = {{"defer", "{\"set\":[{\"path\":\"/envelope/to/0/nextAttemptAt\","
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
         .says = {{"defer", "{\"set\":[{\"path\":\"/envelope/to/0/nextAttemptAt\","
                            "\"value\":\"2001-01-01T00:00:00Z\"}]}"}},
         .at_first = 1,
         .delivery = 2,
         .defer = 1},
        {.name = "cancel: who is left is removed, and nobody is told (DR-61)",
         .to = THREE,
         .rcpt = GOOD_LATER_BAD,
         .says = {{"defer", "{\"set\":[{\"path\":\"/action\",\"value\":\"cancel\"}]}"}},
         .at_first = 1,
         .delivery = 1,
         .defer = 1,
         .log = {"\"event\":\"filter_cancelled\"", "\"action\":\"dropped\""},
         .not_log = {"report_made"}},
        {.name = "a notice whose message it deletes is not made (DR-62)",
         .to = "u@far.example",
         .rcpt = "550 5.1.1 no",
         .says = {{"dsn", "{\"delete\":[{\"path\":\"/message\"}]}"}},
         .delivery = 1,
         .dsn = 1,
         .log = {"\"event\":\"report_dropped\"", "\"event\":\"delivery_failed\""},
         .not_log = {"report_made"}},
        {.name = "cancel at dsn drops the notice alone (DR-62)",
         .to = "u@far.example v@far.example",
         .rcpt = "550 5.1.1 no|451 4.2.1 later|250 ok",
         .says = {{"dsn", "{\"set\":[{\"path\":\"/action\",\"value\":\"cancel\"}]}"}},
         .at_first = 1,
         .delivery = 2,
         .defer = 1,
         .dsn = 1,
         .log = {"\"event\":\"report_dropped\"", "\"event\":\"delivery_done\""},
         .not_log = {"report_made"}},
        {.name = "a notice with a field more, its sender still null",
         .to = "u@far.example",
         .rcpt = "550 5.1.1 no",
         .says = {{"dsn", "{\"add\":[{\"path\":\"/message/headers\",\"value\":{\"name\":\"X-Scan\","
                          "\"value\":\" seen\"},\"index\":0}]}"}},
         .at_hub = 1,
         .delivery = 2,
         .dsn = 1,
         .asked = {"dsn {\"stage\":\"dsn\"", "\"from\":{\"address\":null"},
         .hub = {"X-Scan: seen\r\n", "Final-Recipient: rfc822;u@far.example"}},
        {.name = "a recipient that it adds gets a message of its own, and no filter adds to that",
         .to = "u@far.example",
         .says = {{"delivery", "{\"add\":[{\"path\":\"/envelope/to\",\"value\":"
                               "{\"address\":\"copy@far.example\",\"parameters\":{}}}]}"},
                  {"delivery", "{\"add\":[{\"path\":\"/envelope/to\",\"value\":"
                               "{\"address\":\"more@far.example\",\"parameters\":{}}}]}"}},
         .at_first = 2,
         .delivery = 2,
         .asked = {"\"address\":\"copy@far.example\""},
         .log = {"\"event\":\"rcpt_added\"", "\"event\":\"rcpt_add_refused\"",
                 "a filter has added this message itself"}},
        {.name = "one that we would not take is not added",
         .to = "u@far.example",
         .says = {{"delivery", "{\"add\":[{\"path\":\"/envelope/to\",\"value\":"
                               "{\"address\":\"x@refused.example\",\"parameters\":{}}}]}"}},
         .at_first = 1,
         .delivery = 1,
         .log = {"\"event\":\"rcpt_add_refused\"", "relaying denied"}},
    };

    (void)state;
    play_telling(rows, COUNT_OF(rows));
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
         .says = {{"delivery", .is_away = true}, {"defer", .is_away = true}},
         .at_first = 1,
         .delivery = 2,
         .defer = 1,
         .log = {"\"event\":\"filter_failed\"", "\"event\":\"delivery_done\""}},
        {.name = "it says nothing for longer than the retry takes: that is made in time, and what "
                 "it says then is late (DR-63)",
         .to = "u@far.example",
         .rcpt = "451 4.2.1 later|250 ok",
         .retry = "1s",
         .says = {{"delivery",
                   "{\"set\":[{\"path\":\"/envelope/to/0/status\",\"value\":\"failed\"}]}",
                   .ms = 4000}},
         .wait_ms = 2500,
         .at_first = 1,
         .delivery = 2,
         .log = {"\"event\":\"delivery_done\""},
         .not_log = {"rcpt_filtered", "report_made"}},
        {.name = "nonsense changes nothing",
         .to = "u@far.example",
         .says = {{"delivery", "[[["}},
         .at_first = 1,
         .delivery = 1,
         .log = {"\"event\":\"filter_failed\"", "\"event\":\"delivery_done\""}},
        {.name = "a notice is made without it",
         .to = "u@far.example",
         .rcpt = "550 5.1.1 no",
         .says = {{"dsn", .is_away = true}},
         .at_hub = 1,
         .delivery = 2,
         .dsn = 1,
         .log = {"\"event\":\"report_made\""}},
    };

    (void)state;
    play_telling(rows, COUNT_OF(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_became_of_an_attempt_is_told),
        cmocka_unit_test(what_it_wants_is_kept_within_bounds),
        cmocka_unit_test(beyond_the_bound_mail_goes_and_nobody_is_asked),
        cmocka_unit_test(a_large_message_is_read_while_it_is_stored),
        cmocka_unit_test(mail_goes_on_whatever_it_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
