#include "../unit.h"
#include "base/check.h"
#include "queue/shares.h"

static const struct date now = {1000000000};

struct yard {
    struct sites sites;
    struct shares shares;
};

static struct site *site(struct yard *y, const char *name)
{
    return site_take(&y->sites, str_of(name));
}

static void open_yard(struct yard *y, uint32_t slots)
{
    *y = (struct yard){0};
    shares_set(&y->shares, slots, 2 * slots + 64, 50, 2000);
    shares_saw(&y->shares, site(y, "one"), now);
}

/* Takes as many slots as the shares allow. */
static int fill(struct yard *y, struct site *s)
{
    int count = 0;

    while (count < 1000 && shares_ask_slot(&y->shares, s, now) == BERTH_OPEN) {
        (void)shares_take_slot(&y->shares, s, now);
        count++;
    }
    return count;
}

static void empty(struct yard *y, struct site *s, int count, bool counted_new)
{
    while (count-- > 0) {
        shares_give_slot(&y->shares, s, counted_new);
    }
}

static void a_queue_for_one_site_knows_no_shares(void **state)
{
    struct yard y;

    open_yard(&y, 100);
    assert_false(shares_hold(&y.shares, now));
    assert_int_equal(shares_ask_slot(&y.shares, site(&y, "one"), now), BERTH_OPEN);
    shares_saw(&y.shares, site(&y, "one"), now);
    assert_false(shares_hold(&y.shares, now));
    /* Mail for a second site: for ten minutes they hold. */
    shares_saw(&y.shares, site(&y, "two"), now);
    assert_true(shares_hold(&y.shares, now));
    assert_false(shares_hold(&y.shares, (struct date){now.ms + SHARES_MIXED_MS}));
    shares_done(&y.shares);
    sites_done(&y.sites);
    (void)state;
}

static void a_site_that_was_forgotten_is_the_same_when_it_comes_again(void **state)
{
    struct yard y;
    struct site *held;

    open_yard(&y, 100);
    site_forget(&y.sites, site(&y, "one"));
    held = site(&y, "holds the place where it was");
    shares_saw(&y.shares, site(&y, "one"), now);
    assert_false(shares_hold(&y.shares, now));
    site_forget(&y.sites, held);
    shares_done(&y.shares);
    sites_done(&y.sites);
    (void)state;
}

static void new_sites_get_one_connection_each_and_a_quarter_in_all(void **state)
{
    struct yard y;
    char name[16];
    int full = 0;

    open_yard(&y, 100);
    shares_saw(&y.shares, site(&y, "two"), now);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "tarpit %d", i);
        full += fill(&y, site(&y, name));
    }
    assert_int_equal(full, 25);
    assert_int_equal(shares_ask_slot(&y.shares, site(&y, "tarpit 0"), now), BERTH_SITE_FULL);
    assert_int_equal(shares_ask_slot(&y.shares, site(&y, "tarpit 39"), now), BERTH_CLASS_FULL);
    /* One proves itself: it takes no place of a new one any more, and may have half of all. */
    shares_prove_slot(&y.shares);
    assert_true(site_proved(&y.sites, site(&y, "tarpit 0"), true, now) == false);
    assert_int_equal(fill(&y, site(&y, "tarpit 0")), 49);
    assert_int_equal(shares_ask_slot(&y.shares, site(&y, "tarpit 39"), now), BERTH_OPEN);
    empty(&y, site(&y, "tarpit 0"), 50, false);
    for (int i = 1; i < 25; i++) {
        snprintf(name, sizeof name, "tarpit %d", i);
        empty(&y, site(&y, name), 1, true);
    }
    shares_done(&y.shares);
    sites_done(&y.sites);
    (void)state;
}

static void a_quarter_may_be_slow_and_the_next_is_closed(void **state)
{
    struct yard y;

    open_yard(&y, 8);
    shares_saw(&y.shares, site(&y, "two"), now);
    assert_true(shares_slow(&y.shares, now));
    assert_true(shares_slow(&y.shares, now));
    assert_false(shares_slow(&y.shares, now));
    shares_quick(&y.shares);
    shares_quick(&y.shares);
    assert_true(shares_slow(&y.shares, now));
    shares_quick(&y.shares);
    shares_quick(&y.shares);
    /* In a queue for one site a slow connection is nobody's trouble. */
    for (int i = 0; i < 8; i++) {
        assert_true(shares_slow(&y.shares, (struct date){now.ms + SHARES_MIXED_MS}));
    }
    for (int i = 0; i < 8; i++) {
        shares_quick(&y.shares);
    }
    shares_done(&y.shares);
    sites_done(&y.sites);
    (void)state;
}

static void the_ready_set_has_the_same_shares(void **state)
{
    struct yard y;
    struct site *s;
    int count = 0;

    open_yard(&y, 4); /* 72 places */
    s = site(&y, "two");
    shares_saw(&y.shares, s, now);
    while (shares_ask_hand(&y.shares, s, now) == BERTH_OPEN) {
        assert_true(shares_take_hand(&y.shares, s, now));
        count++;
    }
    assert_int_equal(count, 2);
    (void)site_proved(&y.sites, s, true, now);
    while (shares_ask_hand(&y.shares, s, now) == BERTH_OPEN) {
        assert_false(shares_take_hand(&y.shares, s, now));
        count++;
    }
    assert_int_equal(count, 36);
    for (int i = 0; i < count; i++) {
        shares_give_hand(&y.shares, s, i < 2);
    }
    assert_int_equal(y.shares.hand_new, 0);
    shares_done(&y.shares);
    sites_done(&y.sites);
    (void)state;
}

static void three_slots_are_too_few_to_share(void **state)
{
    struct yard y;

    open_yard(&y, 3);
    shares_saw(&y.shares, site(&y, "two"), now);
    assert_false(shares_hold(&y.shares, now));
    shares_done(&y.shares);
    sites_done(&y.sites);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_for_one_site_knows_no_shares),
        cmocka_unit_test(a_site_that_was_forgotten_is_the_same_when_it_comes_again),
        cmocka_unit_test(new_sites_get_one_connection_each_and_a_quarter_in_all),
        cmocka_unit_test(a_quarter_may_be_slow_and_the_next_is_closed),
        cmocka_unit_test(the_ready_set_has_the_same_shares),
        cmocka_unit_test(three_slots_are_too_few_to_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
