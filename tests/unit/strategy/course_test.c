#include "../unit.h"
#include "base/check.h"
#include "strategy/course.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };

static const struct setting_table *const tables[] = {
    &virtual_table,         &schedule_table, &route_table,    &connection_table,
    &source_ip_table,       &tls_table,      &strategy_table, &limiter_table,
    &visitor_limiter_table, &quota_table,    &meta_table};

static enum expr_local is_local(void *ctx, struct str directory, struct str domain)
{
    (void)ctx, (void)directory, (void)domain;
    return EXPR_LOCAL_NO;
}

static struct strategy_services services = {.expr.is_local_domain = is_local,
                                            .hostname = STR_INIT("mx.here.example")};

static struct plan *compile(const char *text)
{
    struct config_options o = {.tables = tables, .table_count = COUNT_OF(tables), .number = 1};
    struct faults faults = {0};
    struct config *cfg = config_parse(&o, STR("f"), str_of(text), &faults);
    struct plan *p = cfg == NULL ? NULL : strategy_compile(cfg, &services, &faults);
    struct buf out BUF_LOCAL = {0};

    faults_print(&faults, &out);
    EXPECT_STR(buf_str(&out), "");
    config_give(cfg);
    assert_non_null(p);
    faults_done(&faults);
    return p;
}

/* "attempt 1 remote +0, notice 1 …": times in minutes. */
static void expect_course(const char *config, const char *expected)
{
    static const char *const kinds[] = {
        [COURSE_ATTEMPT] = "attempt", [COURSE_NOTICE] = "notice", [COURSE_END] = "end"};
    struct arena a ARENA_LOCAL = {0};
    struct buf out BUF_LOCAL = {0};
    struct plan *p = compile(config);
    struct recipient r = {.address = STR("x@c.example")};
    struct message m = {.sender = STR("a@b.example"), .arrived = {1000}, .to = &r, .to_count = 1};
    struct subject s = {.message = &m, .recipient = &r};
    struct last_result failure = {.error = LAST_CONNECTION, .text = STR("no"), .host = STR("h")};
    struct course c;
    struct course_step step;

    course_begin(&c, p, &s, &failure, &a);
    while (course_next(&c, &step)) {
        buf_printf(&out, "%s%s %u %.*s +%lld", out.len > 0 ? ", " : "", kinds[step.kind],
                   step.number, STR_ARG(step.queue),
                   (long long)((step.at.ms - m.arrived.ms) / MINUTE_MS));
    }
    EXPECT_STR(buf_str(&out), expected);
    plan_give(p);
}

static void attempts_notices_and_the_end_come_in_order(void **state)
{
    (void)state;
    expect_course("queue:\n"
                  "  schedule:\n"
                  "    s: { queue-name: remote, retry: [10m, 20m], notify: [15m], expire: 1h }\n"
                  "  strategy: { schedule: [ { use: s } ] }\n",
                  "attempt 1 remote +0, attempt 2 remote +10, notice 1 remote +15, "
                  "attempt 3 remote +30, attempt 4 remote +50, end 4 remote +60");
}

/* */
static void the_strategy_is_asked_after_each_failure(void **state)
{
    (void)state;
    expect_course("queue:\n"
                  "  virtual: { slow: { concurrency: 9 } }\n"
                  "  schedule:\n"
                  "    s: { queue-name: remote, retry: [10m], expire: 1h }\n"
                  "    t: { queue-name: slow, retry: [25m], expire: 1h }\n"
                  "  strategy:\n"
                  "    schedule:\n"
                  "      - { if: \"retry_num >= 2 && last_error == 'connection'\", use: t }\n"
                  "      - { use: s }\n",
                  "attempt 1 remote +0, attempt 2 remote +10, attempt 3 remote +20, "
                  "attempt 4 slow +45, end 4 slow +60");
}

/* Q-047, with the days of RFC 5321 section 4.5.4.1: five, not three. */
static void without_an_end_it_ends_after_five_days(void **state)
{
    (void)state;
    expect_course("queue:\n"
                  "  schedule:\n"
                  "    s: { queue-name: remote, retry: [4d] }\n"
                  "  strategy: { schedule: [ { use: s } ] }\n",
                  "attempt 1 remote +0, attempt 2 remote +5760, end 2 remote +7200");
}

static void one_by_attempts_ends_with_the_failure_that_fills_them(void **state)
{
    (void)state;
    expect_course("queue:\n"
                  "  schedule:\n"
                  "    s: { queue-name: remote, retry: [10m], max-attempts: 3 }\n"
                  "  strategy: { schedule: [ { use: s } ] }\n",
                  "attempt 1 remote +0, attempt 2 remote +10, attempt 3 remote +20, "
                  "end 3 remote +20");
}

/* As acceptance and delivery do it: a lane is chosen when the queue is new, and kept then. */
static void the_lane_is_chosen_with_the_queue(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf out BUF_LOCAL = {0};
    struct plan *p = compile(
        "queue:\n"
        "  virtual:\n"
        "    fast: { concurrency: 9, fair-by: 'sender_domain + retry_num' }\n"
        "    slow: { concurrency: 9, fair-by: 'rcpt_domain + retry_num' }\n"
        "  schedule:\n"
        "    s: { queue-name: fast, retry: [10m], expire: 1h }\n"
        "    t: { queue-name: slow, retry: [10m], expire: 1h }\n"
        "  strategy: { schedule: [ { if: 'retry_num > 0', use: t }, { use: s } ] }\n");
    struct recipient r = {.address = STR("x@c.example")};
    struct message m = {.sender = STR("a@b.example"), .arrived = {1000}, .to = &r, .to_count = 1};
    struct subject s = {.message = &m, .recipient = &r};
    struct last_result failure = {.error = LAST_CONNECTION, .text = STR("no"), .host = STR("h")};
    struct course c;
    struct course_step step;

    (void)state;
    course_begin(&c, p, &s, &failure, &a);
    while (course_next(&c, &step) && step.number < 5) {
        buf_printf(&out, "%.*s ", STR_ARG(c.recipient.state.lane));
    }
    EXPECT_STR(buf_str(&out), "b.example0 b.example0 c.example2 c.example2 ");
    plan_give(p);
}

struct seen {
    struct buf out;
};

static void look(void *ctx, const struct rule_look *l)
{
    static const char *const words[] = {
        [RULE_PASSED] = "no", [RULE_CHOSE] = "yes", [RULE_STUCK] = "stuck"};
    struct seen *seen = ctx;

    buf_printf(&seen->out, "%u %s [%.*s]; ", l->at.line, words[l->result], STR_ARG(l->condition));
}

static void a_watch_sees_each_rule_that_was_looked_at(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct plan *p = compile("queue:\n"
                             "  route: { a: { type: mx }, b: { type: mx } }\n"
                             "  strategy:\n"
                             "    route:\n"
                             "      - { if: \"rcpt == 'never@c.example'\", use: a }\n"
                             "      - { if: \"rcpt_domain == 'c.example'\", use: b }\n"
                             "      - { use: a }\n");
    struct recipient r = {.address = STR("x@c.example")};
    struct message m = {.to = &r, .to_count = 1};
    struct seen seen = {0};
    struct decision_watch watch = {look, &seen};
    struct subject s = {.message = &m, .recipient = &r, .watch = &watch};
    struct decision d;

    (void)state;
    EXPECT_STR(decide_route(p, &s, &a, &d)->name, "b");
    EXPECT_STR(buf_str(&seen.out),
               "5 no [rcpt == 'never@c.example']; 6 yes [rcpt_domain == 'c.example']; ");
    buf_done(&seen.out);
    plan_give(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attempts_notices_and_the_end_come_in_order),
        cmocka_unit_test(the_strategy_is_asked_after_each_failure),
        cmocka_unit_test(without_an_end_it_ends_after_five_days),
        cmocka_unit_test(one_by_attempts_ends_with_the_failure_that_fills_them),
        cmocka_unit_test(the_lane_is_chosen_with_the_queue),
        cmocka_unit_test(a_watch_sees_each_rule_that_was_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
