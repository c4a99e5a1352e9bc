/* FUTURERELEASE, DELIVERBY and MT-PRIORITY: who is offered them, within which bounds, and what the
 * queue is given of them. */
#include "scene.h"

#define HELLO                                                                                      \
    "S: 220 mx.example.org ESMTP Postyard\nC: EHLO client.example\nS: 250-mx.example.org\n"        \
    "S: 250-PIPELINING\nS: 250-8BITMIME\nS: 250-SMTPUTF8\nS: 250-CHUNKING\nS: 250-BINARYMIME\n"    \
    "S: 250-ENHANCEDSTATUSCODES\nS: 250-DSN\n"
#define SIZE "S: 250 SIZE 104857600\n"

static void send(struct stream *s, const char *mail)
{
    struct buf script BUF_LOCAL = {0};

    buf_printf(&script,
               "C: MAIL FROM:<a@b.example> %s\nS: 250 2.1.0 Sender ok\n" RCPT_OK GO
               "C: x\nC: .\nS: 250 2.0.0 Ok: queued as %016llx\n",
               mail, (unsigned long long)fake.ids + 1);
    buf_byte(&script, 0);
    talk(s, script.ptr);
}

static const struct message *last(void)
{
    return &fake.last->message;
}

static void wishes(struct scene *scene)
{
    struct stream *s = client(scene);
    int64_t now;

    talk(s, HELLO "S: 250-FUTURERELEASE 86400 2026-01-02T00:00:00Z\nS: 250-DELIVERBY 60\n"
                  "S: 250-MT-PRIORITY\n" SIZE);
    send(s, "HOLDFOR=60 BY=3600;R MT-PRIORITY=4");
    assert_int_equal(last()->to[0].state.hold_end.ms, last()->arrived.ms + 60000);
    assert_int_equal(last()->by, BY_RETURN);
    assert_int_equal(last()->by_date.ms, last()->arrived.ms + 3600000);
    assert_int_equal(last()->priority, 4);
    send(s, "HOLDUNTIL=2026-01-01T12:00:00Z BY=-30;NT MT-PRIORITY=-9");
    now = last()->arrived.ms;
    assert_int_equal(last()->to[0].state.hold_end.ms % 86400000, 12 * 3600000);
    assert_true(last()->by == BY_NOTIFY && last()->by_trace);
    assert_int_equal(last()->by_date.ms, now - 30000);
    assert_int_equal(last()->priority, -9);
    /* They are of one transaction. */
    send(s, "");
    assert_true(last()->by == BY_NONE && last()->priority == 0 && last()->by_date.ms == 0);
    assert_int_equal(last()->to[0].state.hold_end.ms, 0);

    talk(s, "C: MAIL FROM:<a@b.example> HOLDFOR=86401\n"
            "S: 501 5.5.4 The message would be held for longer than is allowed here\n"
            "C: MAIL FROM:<a@b.example> HOLDUNTIL=2026-01-02T00:00:10Z\n"
            "S: 501 5.5.4 The message would be held for longer than is allowed here\n"
            "C: MAIL FROM:<a@b.example> HOLDUNTIL=2025-12-31T23:59:59Z\n"
            "S: 501 5.5.4 The time of HOLDUNTIL is past\n"
            "C: MAIL FROM:<a@b.example> HOLDFOR=1 HOLDUNTIL=1900000000\n"
            "S: 501 5.5.4 Parameter given twice: HOLDUNTIL\n"
            "C: MAIL FROM:<a@b.example> BY=59;R\n"
            "S: 501 5.5.4 BY asks for less time than the least that is accepted here\n"
            "C: MAIL FROM:<a@b.example> BY=60;R HOLDFOR=60\n"
            "S: 501 5.5.4 The time of BY would be over before the hold\n"
            "C: MAIL FROM:<a@b.example> MT-PRIORITY=10\n"
            "S: 501 5.5.4 Wrong value of parameter: MT-PRIORITY\n"
            "C: MAIL FROM:<a@b.example> BY=1;N HOLDFOR=60\nS: 250 2.1.0 Sender ok\n" QUIT);
    hear_end(s);
}

static void those_who_are_trusted_may_wish(void **state)
{
    scene_listener = "";
    play_sim("  limits: { future-release: 1d, deliver-by-min: 60s }\n", wishes);
    (void)state;
}

static void no_wishes(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, HELLO SIZE
         "C: MAIL FROM:<a@b.example> HOLDFOR=60\nS: 555 5.5.4 Unknown parameter: HOLDFOR\n"
         "C: MAIL FROM:<a@b.example> HOLDUNTIL=1900000000\n"
         "S: 555 5.5.4 Unknown parameter: HOLDUNTIL\n"
         "C: MAIL FROM:<a@b.example> BY=60;R\nS: 555 5.5.4 Unknown parameter: BY\n"
         "C: MAIL FROM:<a@b.example> MT-PRIORITY=0\n"
         "S: 555 5.5.4 Unknown parameter: MT-PRIORITY\n" QUIT);
    hear_end(s);
}

static void strangers_may_not(void **state)
{
    scene_listener = "";
    play_sim("  trusted-networks: []\n", no_wishes);
    (void)state;
}

static void nobody_may_where_it_is_switched_off(void **state)
{
    scene_listener = "future-release: never, deliver-by: never, mt-priority: never";
    play_sim("", no_wishes);
    (void)state;
}

static void some_wishes(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, HELLO "S: 250-DELIVERBY\n" SIZE
                  "C: MAIL FROM:<a@b.example> BY=1;R\nS: 250 2.1.0 Sender ok\n" QUIT);
    hear_end(s);
}

static void each_may_be_given_to_all(void **state)
{
    scene_listener = "deliver-by: all";
    play_sim("  trusted-networks: []\n  open-relay: true\n", some_wishes);
    (void)state;
}

static void old_ways(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, "S: 220 mx.example.org ESMTP Postyard\nC: HELO client.example\nS: 250 mx.example.org\n"
            "C: MAIL FROM:<a@b.example> MT-PRIORITY=1\n"
            "S: 555 5.5.4 Unknown parameter: MT-PRIORITY\n" QUIT);
    hear_end(s);
}

static void helo_offers_nothing(void **state)
{
    scene_listener = "";
    play_sim("", old_ways);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_who_are_trusted_may_wish),
        cmocka_unit_test(strangers_may_not),
        cmocka_unit_test(nobody_may_where_it_is_switched_off),
        cmocka_unit_test(each_may_be_given_to_all),
        cmocka_unit_test(helo_offers_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
