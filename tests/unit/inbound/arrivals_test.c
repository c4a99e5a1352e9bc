/* Limits on arriving mail, in virtual time: who is told to come later, when, and for how long. */
#include "runtime/log.h"
#include "scene.h"

#define LIMITERS(text) "queue:\n  limiter:\n    inbound:\n" text

#define HELLO                                                                                      \
    "S: 220 mx.example.org ESMTP Postyard\nC: HELO client.example\nS: 250 mx.example.org\n"
#define FULL  "S: 421 4.7.0 Too many connections for now, try again later\n"
#define LATER "S: 452 4.4.5 Too much mail for now, try again later\n"
#define RSET  "C: RSET\nS: 250 2.0.0 Reset\n"
#define FROM(a)                                                                                    \
    "C: MAIL FROM:<" a ">\n"                                                                       \
    "S: 250 2.1.0 Sender ok\n"
#define TO(a)                                                                                      \
    "C: RCPT TO:<" a ">\n"                                                                         \
    "S: 250 2.1.5 Recipient ok\n"
#define TO_LATER(a) "C: RCPT TO:<" a ">\n" LATER
#define CONTENT(id) GO "C: x\nC: .\nS: 250 2.0.0 Ok: queued as " id "\n"

/* ---- what was logged ---- */

static struct buf logged;

static void keep(void *ctx, const struct event_kind *kind, const struct event_field *fields,
                 size_t count)
{
    (void)ctx;
    if (str_starts(str_of(kind->name), STR("arrival_"))) {
        buf_printf(&logged, "%s", kind->name);
        for (size_t i = 0; i < count; i++) {
            const char *key = fields[i].name;

            if (str_eq(str_of(key), STR("stage")) || str_eq(str_of(key), STR("name"))) {
                buf_printf(&logged, " %.*s", STR_ARG(fields[i].str));
            }
        }
        buf_byte(&logged, '\n');
    }
}

static void expect_log(const char *want)
{
    EXPECT_STR(buf_str(&logged), want);
    buf_clear(&logged);
}

/* ---- steps ---- */

static void pass(int64_t ms)
{
    (void)fiber_sleep(when_after(ms), WHEN_NEVER);
}

static struct stream *greeted(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, HELLO);
    return s;
}

static void leave(struct stream *s)
{
    talk(s, QUIT);
    hear_end(s);
}

/* A client that is told to come later, and whose connection is closed. */
static void turned_away(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, FULL);
    hear_end(s);
}

static void use(struct scene *scene, const char *extra)
{
    struct faults faults = {0};
    struct buf why BUF_LOCAL = {0};
    struct policy *p = policy_of(extra, scene->at.port, &faults);

    must_load(p, &faults);
    assert_int_equal(inbound_use(scene->in, p, &why, WHEN_NEVER).code, OK);
}

static void play_limits(const char *limiters, void (*act)(struct scene *))
{
    buf_clear(&logged);
    play_sim(limiters, act);
}

/* ---- connections ---- */

static void two_a_minute(struct scene *scene)
{
    struct stream *a = greeted(scene), *b = greeted(scene);

    turned_away(scene);
    expect_log("arrival_limited CONNECT each\n");
    leave(a);
    leave(b);
    turned_away(scene); /* what has ended has come all the same */
    pass(30000);
    leave(greeted(scene));
    turned_away(scene);
}

static void the_third_connection_of_two_a_minute_is_closed(void **state)
{
    play_limits(LIMITERS("      each: { key: [remote_ip], rate: 2/1m }\n"), two_a_minute);
    (void)state;
}

static void one_at_a_time(struct scene *scene)
{
    struct stream *s = greeted(scene);

    turned_away(scene);
    leave(s);
    pass(100);
    s = greeted(scene);
    stream_close(s); /* without goodbye */
    pass(100);
    s = greeted(scene);
    talk(s, FROM("a@b.example"));
    turned_away(scene);
    leave(s);
}

static void a_session_counts_until_it_ends_however_that_is(void **state)
{
    play_limits(LIMITERS("      one: { key: [listener, local_ip], concurrency: 1 }\n"),
                one_at_a_time);
    (void)state;
}

static void trusted_too(struct scene *scene)
{
    leave(greeted(scene)); /* of 127.0.0.0/8 */
    turned_away(scene);
    use(scene, LIMITERS("      strangers: { match: '!is_trusted', rate: 1/1m }\n"));
    leave(greeted(scene));
    leave(greeted(scene));
}

static void trusted_networks_are_limited_unless_match_leaves_them_out(void **state)
{
    play_limits(LIMITERS("      all: { rate: 1/1m }\n"), trusted_too);
    (void)state;
}

/* ---- senders ---- */

static void by_sender(struct scene *scene)
{
    struct stream *s = greeted(scene);

    talk(s, FROM("A@b.example") RSET "C: MAIL FROM:<a@B.example>\n" LATER FROM("c@b.example") RSET);
    expect_log("arrival_limited MAIL each\n");
    talk(s, FROM("") RSET "C: MAIL FROM:<>\n" LATER);
    pass(60000);
    talk(s, FROM("a@b.example"));
    leave(s);
}

static void a_sender_that_sends_too_much_is_told_to_come_later(void **state)
{
    play_limits(LIMITERS("      each: { key: [sender], rate: 1/1m }\n"), by_sender);
    (void)state;
}

static void open_transactions(struct scene *scene)
{
    struct stream *a = greeted(scene), *b = greeted(scene);

    talk(a, FROM("a@b.example"));
    talk(b, "C: MAIL FROM:<a@b.example>\n" LATER);
    talk(a, TO("x@y.example") CONTENT("0000000000000001"));
    talk(b, FROM("a@b.example") RSET);
    talk(a, FROM("a@b.example"));
    stream_close(a); /* in the middle of it */
    pass(100);
    talk(b, FROM("a@b.example") TO("x@y.example") GO "C: half a message\n");
    a = greeted(scene);
    talk(a, "C: MAIL FROM:<a@b.example>\n" LATER);
    stream_close(b); /* in the middle of its content */
    pass(100);
    talk(a, FROM("a@b.example") "C: HELO again\nS: 250 mx.example.org\n" FROM("a@b.example"));
    leave(a);
}

static void a_transaction_counts_until_it_ends_however_that_is(void **state)
{
    play_limits(LIMITERS("      one: { key: [sender_domain, helo_domain], concurrency: 1 }\n"),
                open_transactions);
    (void)state;
}

/* ---- recipients ---- */

static void pairs(struct scene *scene)
{
    struct stream *s = greeted(scene);

    talk(s, FROM("a@b.example") TO("x@y.example") CONTENT("0000000000000001"));
    talk(s, FROM("other@b.example") TO_LATER("X@y.example") TO("z@y.example")
                CONTENT("0000000000000002"));
    assert_int_equal(fake.last->message.to_count, 1);
    EXPECT_STR(fake.last->message.to[0].address, "z@y.example");
    talk(s, FROM("a@c.example") TO("x@y.example") RSET);
    expect_log("arrival_limited RCPT pair\n");
    pass(3600000 - 1000);
    talk(s, FROM("a@b.example") TO_LATER("x@y.example"));
    pass(1000);
    talk(s, TO("x@y.example"));
    leave(s);
}

/* */
static void the_second_rcpt_of_a_pair_is_put_off_and_no_other(void **state)
{
    play_limits("  limits: { idle: 2h }\n" LIMITERS(
                    "      pair: { key: [sender_domain, rcpt], rate: 1/1h }\n"),
                pairs);
    (void)state;
}

static void domains(struct scene *scene)
{
    struct stream *s = greeted(scene);

    talk(s, FROM("a@b.example") TO("x@y.example") TO("z@Y.example") TO("x@w.example")
                CONTENT("0000000000000001"));
    talk(s, FROM("a@b.example") TO_LATER("u@y.example") TO("x@v.example") RSET);
    leave(s);
}

static void a_domain_counts_once_for_each_message(void **state)
{
    play_limits(LIMITERS("      domain: { key: [rcpt_domain], rate: 1/1m }\n"), domains);
    (void)state;
}

static void at_once(struct scene *scene)
{
    struct stream *a = greeted(scene), *b = greeted(scene);

    talk(a, FROM("a@b.example") TO("x@y.example") TO("z@y.example"));
    talk(b, FROM("a@b.example") TO_LATER("u@y.example"));
    talk(a, RSET);
    talk(b, TO("u@y.example") RSET);
    leave(a);
    leave(b);
}

static void recipients_count_as_long_as_their_transaction_is_open(void **state)
{
    play_limits(LIMITERS("      two: { match: 'rcpt_domain == \"y.example\"', concurrency: 2 }\n"),
                at_once);
    (void)state;
}

static void unknown_people(struct scene *scene)
{
    struct stream *s = greeted(scene);

    talk(s, FROM("a@b.example"));
    for (int i = 0; i < 3; i++) {
        talk(s, "C: RCPT TO:<x@z.example>\nS: 550 5.7.1 Relaying denied\n");
    }
    talk(s, TO("x@y.example") TO_LATER("z@y.example"));
    leave(s);
}

static void who_is_refused_for_another_reason_does_not_count(void **state)
{
    play_limits("  local-domains: [y.example]\n  postmaster: admin@y.example\n"
                "  trusted-networks: []\n" LIMITERS("      one: { key: [rcpt_domain, rcpt], rate: "
                                                    "10/1m }\n      all: { key: [sender], match: "
                                                    "'rcpt != \"\"', rate: 1/1m }\n"),
                unknown_people);
    (void)state;
}

/* ---- all of them ---- */

static void check_all_then_use(struct scene *scene)
{
    struct stream *s = greeted(scene);

    talk(s, FROM("a@b.example") RSET);
    for (int i = 0; i < 3; i++) {
        talk(s, "C: MAIL FROM:<a@b.example>\n" LATER);
    }
    expect_log("arrival_limited MAIL narrow\narrival_limited MAIL narrow\n"
               "arrival_limited MAIL narrow\n");
    talk(s, FROM("c@b.example") RSET "C: MAIL FROM:<d@b.example>\n" LATER);
    expect_log("arrival_limited MAIL wide\n");
    leave(s);
}

/* PY-31 */
static void what_one_limiter_refuses_uses_nothing_of_another(void **state)
{
    play_limits(LIMITERS("      wide: { key: [sender_domain], rate: 2/1m }\n"
                         "      narrow: { key: [sender], rate: 1/1m }\n"),
                check_all_then_use);
    (void)state;
}

static void no_value(struct scene *scene)
{
    struct stream *s = greeted(scene);

    for (int i = 0; i < 3; i++) {
        talk(s, FROM("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!@b.example") RSET);
    }
    expect_log("arrival_unmatched some\n"); /* once a minute */
    leave(s);
}

/* the pattern takes more steps than one may. */
static void a_match_without_value_limits_nothing_and_says_so(void **state)
{
    play_limits(LIMITERS("      some: { match: 'matches(\"^((a+)+)+@\", sender)', rate: 1/1m }\n"),
                no_value);
    (void)state;
}

static void reloads(struct scene *scene)
{
    const struct limit_count *counts;
    struct stream *s = greeted(scene);

    talk(s, FROM("a@b.example") RSET "C: MAIL FROM:<a@b.example>\n" LATER);
    use(scene,
        LIMITERS("      each: { key: [sender], rate: 1/1m }\n      other: { rate: 9/1m }\n"));
    talk(s, "C: MAIL FROM:<a@b.example>\n" LATER);
    assert_int_equal(inbound_refusals(scene->in, &counts), 2);
    EXPECT_STR(counts[0].rule, "each");
    assert_int_equal(counts[0].refused, 2);
    assert_int_equal(counts[1].refused, 0);
    use(scene, LIMITERS("      each: { key: [sender], rate: 2/1m }\n"));
    talk(s, FROM("a@b.example") RSET FROM("a@b.example") RSET "C: MAIL FROM:<a@b.example>\n" LATER);
    use(scene, "");
    talk(s, FROM("a@b.example") RSET FROM("a@b.example"));
    leave(s);
}

static void a_reload_keeps_what_was_counted_by_limiters_that_stay(void **state)
{
    play_limits(LIMITERS("      each: { key: [sender], rate: 1/1m }\n"), reloads);
    (void)state;
}

static void ends_meanwhile(struct scene *scene)
{
    struct stream *s = greeted(scene);

    talk(s, FROM("a@b.example") TO("x@y.example"));
    use(scene, ""); /* what it holds is of a limiter that is gone, and given back all the same */
    talk(s, RSET);
    leave(s);
    use(scene,
        LIMITERS("      one: { concurrency: 1 }\n      two: { key: [rcpt], concurrency: 1 }\n"));
    s = greeted(scene);
    talk(s, FROM("a@b.example") TO("x@y.example"));
    inbound_stop(scene->in, 100, WHEN_NEVER); /* with this one open */
    stream_close(s);
}

static void what_is_held_when_limiters_go_or_the_server_ends_is_no_leak(void **state)
{
    play_limits(
        LIMITERS("      one: { concurrency: 1 }\n      two: { key: [rcpt], concurrency: 1 }\n"),
        ends_meanwhile);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_third_connection_of_two_a_minute_is_closed),
        cmocka_unit_test(a_session_counts_until_it_ends_however_that_is),
        cmocka_unit_test(trusted_networks_are_limited_unless_match_leaves_them_out),
        cmocka_unit_test(a_sender_that_sends_too_much_is_told_to_come_later),
        cmocka_unit_test(a_transaction_counts_until_it_ends_however_that_is),
        cmocka_unit_test(the_second_rcpt_of_a_pair_is_put_off_and_no_other),
        cmocka_unit_test(a_domain_counts_once_for_each_message),
        cmocka_unit_test(recipients_count_as_long_as_their_transaction_is_open),
        cmocka_unit_test(who_is_refused_for_another_reason_does_not_count),
        cmocka_unit_test(what_one_limiter_refuses_uses_nothing_of_another),
        cmocka_unit_test(a_match_without_value_limits_nothing_and_says_so),
        cmocka_unit_test(a_reload_keeps_what_was_counted_by_limiters_that_stay),
        cmocka_unit_test(what_is_held_when_limiters_go_or_the_server_ends_is_no_leak),
    };

    scene_has_plan = true;
    log_tap(keep, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
