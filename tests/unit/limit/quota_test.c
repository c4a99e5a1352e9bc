#include "../unit.h"
#include "base/check.h"
#include "limit/quota.h"

static const struct quota_rule rules[] = {
    {.name = STR_INIT("sender"), .messages_max = 2},
    {.name = STR_INIT("domain"), .messages_max = 3, .bytes_max = 1000},
    {.name = STR_INIT("all"), .bytes_max = 2000},
};

static struct quotas *begin(void)
{
    struct quotas *q = quotas_new(7);

    quotas_use(q, rules, COUNT_OF(rules));
    return q;
}

static bool take(struct quotas *q, uint64_t message, uint64_t bytes, const struct quota_part *parts,
                 uint32_t count, uint32_t *refused)
{
    struct quota_claim c = {
        .message = message, .bytes = bytes, .parts = parts, .part_count = count};
    uint32_t at;

    return quotas_take(q, &c, refused ? refused : &at);
}

static bool take_sender(struct quotas *q, uint64_t message, const char *sender)
{
    struct quota_part part = {STR_INIT("sender"), str_of(sender), true};

    return take(q, message, 100, &part, 1, NULL);
}

static void expect_sum(const struct quotas *q, uint32_t rule, uint64_t messages, uint64_t bytes,
                       uint64_t keys)
{
    const struct quota_sum *sums;

    assert_true(quotas_sums(q, &sums) > rule);
    assert_int_equal(sums[rule].messages, messages);
    assert_int_equal(sums[rule].bytes, bytes);
    assert_int_equal(sums[rule].keys, keys);
}

static void the_third_of_two_has_no_room_until_one_has_ended(void **state)
{
    struct quotas *q = begin();

    assert_true(take_sender(q, 1, "a"));
    assert_true(take_sender(q, 2, "a"));
    assert_false(take_sender(q, 3, "a"));
    assert_true(take_sender(q, 4, "b"));
    expect_sum(q, 0, 3, 300, 2);
    quotas_drop(q, 1);
    quotas_drop(q, 1); /* twice is once */
    assert_true(take_sender(q, 3, "a"));
    quotas_drop(q, 2);
    quotas_drop(q, 3);
    quotas_drop(q, 4);
    expect_sum(q, 0, 0, 0, 0);
    quotas_free(q);
    (void)state;
}

static void nothing_is_used_unless_all_have_room(void **state)
{
    struct quotas *q = begin();
    const struct quota_part both[] = {{STR_INIT("sender"), STR_INIT("a"), true},
                                      {STR_INIT("all"), STR_INIT(""), true}};
    uint32_t refused = 9;

    assert_true(take(q, 1, 1500, both, 2, NULL));
    assert_false(take(q, 2, 501, both, 2, &refused));
    assert_int_equal(refused, 1);
    expect_sum(q, 0, 1, 1500, 1);
    assert_true(take(q, 2, 500, both, 2, NULL));
    assert_false(take(q, 3, 0, both, 2, &refused));
    assert_int_equal(refused, 0);
    expect_sum(q, 2, 2, 2000, 1);
    quotas_free(q);
    (void)state;
}

static void one_message_is_counted_as_often_as_it_counts(void **state)
{
    /* Four recipients count each, under one key that has room for three. */
    struct quotas *q = begin();
    const struct quota_part parts[] = {{STR_INIT("domain"), STR_INIT("x"), false},
                                       {STR_INIT("domain"), STR_INIT("x"), false},
                                       {STR_INIT("domain"), STR_INIT("x"), false},
                                       {STR_INIT("domain"), STR_INIT("x"), false}};
    const uint32_t of[] = {0, 1, 2, 3};
    struct quota_claim c = {.message = 1,
                            .bytes = 10,
                            .parts = parts,
                            .part_count = 4,
                            .of = of,
                            .to_count = 4,
                            .width = 1};
    uint32_t refused;

    assert_false(quotas_take(q, &c, &refused));
    expect_sum(q, 1, 0, 0, 0);
    c.part_count = c.to_count = 3;
    assert_true(quotas_take(q, &c, &refused));
    expect_sum(q, 1, 3, 30, 1);
    quotas_end(q, 1, 1);
    quotas_end(q, 1, 1);
    expect_sum(q, 1, 2, 20, 1);
    quotas_end(q, 1, 0);
    quotas_end(q, 1, 2);
    quotas_end(q, 1, 77);
    expect_sum(q, 1, 0, 0, 0);
    quotas_drop(q, 1);
    quotas_free(q);
    (void)state;
}

static void a_part_is_held_for_the_last_of_its_recipients(void **state)
{
    struct quotas *q = begin();
    const struct quota_part parts[] = {{STR_INIT("domain"), STR_INIT("x"), false},
                                       {STR_INIT("domain"), STR_INIT("y"), false},
                                       {STR_INIT("all"), STR_INIT(""), true},
                                       {STR_INIT("domain"), STR_INIT("nobody"), false}};
    const uint32_t of[] = {0, 1, 0, QUOTA_NO_PART};
    struct quota_claim c = {.message = 1,
                            .bytes = 10,
                            .parts = parts,
                            .part_count = 4,
                            .of = of,
                            .to_count = 4,
                            .width = 1};
    uint32_t refused;

    assert_true(quotas_take(q, &c, &refused));
    expect_sum(q, 1, 2, 20, 2);
    quotas_end(q, 1, 0);
    quotas_end(q, 1, 3);
    expect_sum(q, 1, 2, 20, 2);
    quotas_end(q, 1, 2);
    expect_sum(q, 1, 1, 10, 1);
    quotas_end(q, 1, 1);
    expect_sum(q, 1, 0, 0, 0);
    expect_sum(q, 2, 1, 10, 1);
    quotas_drop(q, 1);
    expect_sum(q, 2, 0, 0, 0);
    quotas_free(q);
    (void)state;
}

static void what_is_stored_counts_even_where_there_is_no_room(void **state)
{
    struct quotas *q = begin();
    struct quota_part part = {STR_INIT("sender"), STR_INIT("a"), true};
    struct quota_claim c = {
        .message = 0, .bytes = 5, .version = 4, .parts = &part, .part_count = 1};
    uint64_t version = 0;

    for (c.message = 1; c.message <= 5; c.message++) {
        quotas_put(q, &c);
    }
    expect_sum(q, 0, 5, 25, 1);
    assert_true(quotas_holds(q, 5, &version));
    assert_int_equal(version, 4);
    assert_false(quotas_holds(q, 6, &version));
    c.message = 5; /* again, in place of it */
    c.bytes = 7;
    part.values = STR("b");
    quotas_put(q, &c);
    expect_sum(q, 0, 5, 27, 2);
    for (uint64_t id = 1; id <= 3; id++) {
        assert_false(take_sender(q, 9, "a"));
        quotas_drop(q, id);
    }
    assert_true(take_sender(q, 9, "a"));
    quotas_free(q);
    (void)state;
}

static void rules_may_change_while_mail_is_held(void **state)
{
    struct quotas *q = begin();
    static const struct quota_rule others[] = {{.name = STR_INIT("new"), .messages_max = 1},
                                               {.name = STR_INIT("sender"), .messages_max = 3}};
    struct quota_part gone = {STR_INIT("domain"), STR_INIT("x"), true};
    const struct quota_sum *sums;

    assert_true(take_sender(q, 1, "a"));
    assert_true(take_sender(q, 2, "a"));
    assert_false(take_sender(q, 3, "a"));
    assert_true(take(q, 4, 10, &gone, 1, NULL));
    quotas_use(q, others, COUNT_OF(others));
    expect_sum(q, 0, 0, 0, 0);
    expect_sum(q, 1, 2, 200, 1);
    assert_int_equal(quotas_sums(q, &sums), 2);
    assert_int_equal(sums[1].refused, 1);
    assert_true(take_sender(q, 3, "a"));
    assert_true(take(q, 5, 10, &gone, 1, NULL)); /* a rule that is gone counts nothing */
    /* And when it comes back, what was held under it of old does not count. */
    quotas_use(q, rules, COUNT_OF(rules));
    expect_sum(q, 1, 0, 0, 0);
    assert_true(take(q, 6, 10, &gone, 1, NULL));
    expect_sum(q, 1, 1, 10, 1);
    quotas_drop(q, 4);
    expect_sum(q, 1, 1, 10, 1);
    quotas_free(q);
    (void)state;
}

static void sizes_do_not_overflow(void **state)
{
    struct quotas *q = begin();
    struct quota_part part = {STR_INIT("all"), STR_INIT(""), true};

    assert_false(take(q, 1, UINT64_MAX, &part, 1, NULL));
    assert_true(take(q, 1, 2000, &part, 1, NULL));
    assert_false(take(q, 2, UINT64_MAX - 1000, &part, 1, NULL));
    quotas_free(q);
    (void)state;
}

struct model {
    uint64_t messages, bytes;
    bool held, open[4];
    uint32_t sender, domain[4];
    uint64_t size;
};

/* What is used is the sum of what is held, whatever happens in whatever order. */
static void what_is_used_is_what_is_held(void **state)
{
    struct quotas *q = begin();
    struct model all[40] = {0};
    static const char *const names[] = {"a", "b", "c", "d"};
    uint64_t rng = 1;

    for (unsigned step = 0; step < 20000; step++) {
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        uint64_t dice = rng >> 33;
        unsigned at = (unsigned)(dice % COUNT_OF(all));
        struct model *m = &all[at];
        uint64_t bytes[3] = {0}, messages[3] = {0};

        if (!m->held) {
            struct quota_part parts[5] = {{STR_INIT("sender"), str_of(names[dice / 64 % 4]), true}};
            uint32_t of[4], count = 1, refused;

            m->size = dice % 300;
            for (unsigned i = 0; i < 4; i++) {
                m->domain[i] = (uint32_t)(dice >> (8 + i)) % 4;
                of[i] = count;
                parts[count++] = (struct quota_part){STR_INIT("domain"),
                                                     str_of(names[m->domain[i]]), false};
                m->open[i] = true;
            }
            struct quota_claim c = {.message = at + 1,
                                    .bytes = m->size,
                                    .parts = parts,
                                    .part_count = count,
                                    .of = of,
                                    .to_count = 4,
                                    .width = 1};

            if (dice / 1024 % 4 == 0) {
                quotas_put(q, &c);
                m->held = true;
            } else {
                m->held = quotas_take(q, &c, &refused);
            }
        } else if (dice / 1024 % 3 == 0) {
            quotas_drop(q, at + 1);
            m->held = false;
        } else {
            quotas_end(q, at + 1, (uint32_t)(dice / 4096 % 4));
            m->open[dice / 4096 % 4] = false;
        }
        for (unsigned i = 0; i < COUNT_OF(all); i++) {
            messages[0] += all[i].held;
            bytes[0] += all[i].held ? all[i].size : 0;
            for (unsigned k = 0; k < 4 && all[i].held; k++) {
                messages[1] += all[i].open[k];
                bytes[1] += all[i].open[k] ? all[i].size : 0;
            }
        }
        const struct quota_sum *sums;

        assert_int_equal(quotas_sums(q, &sums), 3);
        assert_int_equal(sums[0].messages, messages[0]);
        assert_int_equal(sums[0].bytes, bytes[0]);
        assert_int_equal(sums[1].messages, messages[1]);
        assert_int_equal(sums[1].bytes, bytes[1]);
    }
    quotas_free(q);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_third_of_two_has_no_room_until_one_has_ended),
        cmocka_unit_test(nothing_is_used_unless_all_have_room),
        cmocka_unit_test(one_message_is_counted_as_often_as_it_counts),
        cmocka_unit_test(a_part_is_held_for_the_last_of_its_recipients),
        cmocka_unit_test(what_is_stored_counts_even_where_there_is_no_room),
        cmocka_unit_test(rules_may_change_while_mail_is_held),
        cmocka_unit_test(sizes_do_not_overflow),
        cmocka_unit_test(what_is_used_is_what_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
