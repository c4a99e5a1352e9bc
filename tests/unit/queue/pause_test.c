#include "../unit.h"
#include "base/check.h"
#include "mail/envelope.h"
#include "queue/pause.h"

enum { NOW = 1000000 };

static const struct pause pauses[] = {
    {.name = STR_INIT("q"),
     .which.queue = STR_INIT("remote"),
     .who = STR_INIT("ann"),
     .why = STR_INIT("maintenance"),
     .since = {5},
     .until = {INT64_MAX}},
    {.name = STR_INIT("s"), .which.site = STR_INIT("a.example"), .since = {6}, .until = {NOW + 10}},
    {.name = STR_INIT("w"),
     .which.text = STR_INIT("size > 10"),
     .since = {7},
     .until = {INT64_MAX}},
    {.name = STR_INIT("qs"),
     .which.queue = STR_INIT("slow"),
     .which.sender = STR_INIT("@x.example"),
     .since = {8},
     .until = {INT64_MAX}},
    {.name = STR_INIT("old"), .all = true, .since = {9}, .until = {NOW}},
};

static struct pauses *made(struct date now)
{
    struct pauses *p = NULL;

    for (size_t i = 0; i < COUNT_OF(pauses); i++) {
        struct buf bytes BUF_LOCAL = {0};
        struct pauses *next;

        pauses_encode(p, STR_EMPTY, &pauses[i], now, &bytes);
        assert_int_equal(pauses_decode(buf_str(&bytes), &next).code, OK);
        pauses_give(p);
        p = next;
    }
    return p;
}

static void what_is_stored_is_read_again(void **state)
{
    struct pauses *p = made((struct date){0});

    assert_int_equal(p->count, COUNT_OF(pauses));
    for (size_t i = 0; i < COUNT_OF(pauses); i++) {
        const struct pause *got = &p->items[i], *want = &pauses[i];

        assert_true(str_eq(got->name, want->name) && str_eq(got->who, want->who) &&
                    str_eq(got->why, want->why) && str_eq(got->which.text, want->which.text) &&
                    str_eq(got->which.queue, want->which.queue) && got->all == want->all &&
                    got->since.ms == want->since.ms && got->until.ms == want->until.ms);
    }
    assert_int_equal(pauses_end(p).ms, NOW);
    pauses_give(p);
    (void)state;
}

static void what_is_over_or_resumed_is_stored_no_more(void **state)
{
    struct pauses *p = made((struct date){0}), *left;
    struct buf bytes BUF_LOCAL = {0};

    pauses_encode(p, STR("w"), NULL, (struct date){NOW}, &bytes);
    assert_int_equal(pauses_decode(buf_str(&bytes), &left).code, OK);
    assert_int_equal(left->count, 3);
    assert_null(pauses_find(left, STR("w")));
    assert_null(pauses_find(left, STR("old")));
    assert_non_null(pauses_find(left, STR("qs")));
    pauses_give(left);
    pauses_give(p);
    (void)state;
}

static const char *name_of(const struct pause *p)
{
    static char at[PAUSE_NAME_MAX + 1];

    snprintf(at, sizeof at, "%.*s", p != NULL ? (int)p->name.len : 0, p != NULL ? p->name.ptr : "");
    return at;
}

static void a_pause_covers_what_it_says(void **state)
{
    struct pauses *p = made((struct date){0});
    struct recipient to = {.address = STR("b@b.example"),
                           .state = {.queue = STR("slow"), .site = STR("mx b.example")}};
    struct message m = {.sender = STR("ann@x.example"), .size = 5, .to = &to, .to_count = 1};
    struct date now = {NOW};
    struct arena a = {0};

    assert_string_equal(name_of(pauses_queue(p, STR("remote"), now)), "q");
    assert_string_equal(name_of(pauses_queue(p, STR("slow"), now)), "");
    assert_string_equal(name_of(pauses_queue(p, STR("slow"), (struct date){NOW - 1})), "old");
    assert_string_equal(name_of(pauses_site(p, STR("mx a.example"), now)), "s");
    assert_string_equal(name_of(pauses_site(p, STR("mx a.example"), (struct date){NOW + 10})), "");
    assert_true(p->has_narrow);
    assert_string_equal(name_of(pauses_match(p, &m, &to, now, &a)), "qs");
    m.sender = STR("ann@y.example");
    assert_string_equal(name_of(pauses_match(p, &m, &to, now, &a)), "");
    m.size = 11;
    assert_string_equal(name_of(pauses_match(p, &m, &to, now, &a)), "w");
    arena_done(&a);
    pauses_give(p);
    (void)state;
}

static void an_expression_that_cannot_be_read_covers_everything(void **state)
{
    const struct pause bad = {
        .name = STR("bad"), .which.text = STR("no_such_thing == 1"), .until = DATE_NEVER};
    struct buf bytes BUF_LOCAL = {0};
    struct pauses *p;

    pauses_encode(NULL, STR_EMPTY, &bad, (struct date){NOW}, &bytes);
    assert_int_equal(pauses_decode(buf_str(&bytes), &p).code, OK);
    assert_string_equal(name_of(pauses_queue(p, STR("any"), (struct date){NOW})), "bad");
    pauses_give(p);
    (void)state;
}

static void damaged_bytes_are_refused(void **state)
{
    struct pauses *p = made((struct date){0});
    struct buf bytes BUF_LOCAL = {0};

    pauses_encode(p, STR_EMPTY, NULL, (struct date){0}, &bytes);
    pauses_give(p);
    for (size_t len = 1; len < bytes.len; len++) {
        if (pauses_decode(str_head(buf_str(&bytes), len), &p).code == OK) {
            assert_true(p->count < COUNT_OF(pauses)); /* cut between two of them */
            pauses_give(p);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_stored_is_read_again),
        cmocka_unit_test(what_is_over_or_resumed_is_stored_no_more),
        cmocka_unit_test(a_pause_covers_what_it_says),
        cmocka_unit_test(an_expression_that_cannot_be_read_covers_everything),
        cmocka_unit_test(damaged_bytes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
