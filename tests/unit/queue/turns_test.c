#include "../unit.h"
#include "base/mem.h"
#include "queue/site.h"
#include "queue/turns.h"

enum { JOBS = 60 };

struct yard {
    struct sites sites;
    struct turns turns;
    struct link jobs[JOBS];
    int used;
};

static void put(struct yard *y, const char *lane, const char *site, int count)
{
    for (int i = 0; i < count; i++) {
        turns_add(&y->turns, str_of(lane), site_take(&y->sites, str_of(site)), &y->jobs[y->used++]);
    }
}

/* Takes the next job, bills it, and says of which lane's site it was. */
static const char *take(struct yard *y, int64_t cost_ms)
{
    struct berth *b = turns_next(&y->turns);
    const char *site;

    if (b == NULL) {
        return "nobody";
    }
    site = b->site->name;
    berth_claim(b);
    turns_remove(b, list_first(&b->jobs));
    berth_charge(b, cost_ms);
    return site;
}

static void empty(struct yard *y)
{
    while (strcmp(take(y, 1), "nobody") != 0) {
    }
    turns_done(&y->turns);
    sites_done(&y->sites);
}

static void sites_of_a_lane_alternate(void **state)
{
    struct yard y = {0};

    turns_init(&y.turns, false);
    put(&y, "", "big", 10);
    put(&y, "", "small", 2);
    assert_string_equal(take(&y, 1), "big");
    assert_string_equal(take(&y, 1), "small");
    assert_string_equal(take(&y, 1), "big");
    assert_string_equal(take(&y, 1), "small");
    assert_string_equal(take(&y, 1), "big");
    empty(&y);
    (void)state;
}

/* Ten messages of one tenant leave within one round although the other has fifty. */
static void lanes_share_whatever_their_depth(void **state)
{
    struct yard y = {0};
    int of_small = 0;

    turns_init(&y.turns, false);
    put(&y, "large tenant", "mx a.example", 50);
    put(&y, "small tenant", "mx b.example", 10);
    for (int i = 0; i < 20; i++) {
        of_small += strcmp(take(&y, 1), "mx b.example") == 0;
    }
    assert_int_equal(of_small, 10);
    empty(&y);
    (void)state;
}

/* A site whose jobs cost twenty times as much gets a turn in twenty. */
static void turns_are_paid_in_time(void **state)
{
    struct yard y = {0};
    int slow = 0, fast = 0;

    turns_init(&y.turns, false);
    put(&y, "", "slow", 20);
    put(&y, "", "fast", 40);
    for (int i = 0; i < 42; i++) {
        struct berth *b = turns_next(&y.turns);
        bool is_slow = strcmp(b->site->name, "slow") == 0;

        slow += is_slow;
        fast += !is_slow;
        berth_claim(b);
        turns_remove(b, list_first(&b->jobs));
        berth_charge(b, is_slow ? 2000 : 100);
        if (fast == 39) {
            break;
        }
    }
    assert_in_range(slow, 1, 4);
    empty(&y);
    (void)state;
}

static void one_job_scouts_for_a_site_that_is_probed(void **state)
{
    struct sites sites = {0};
    struct site *s = site_take(&sites, STR("down"));
    struct duration_list none = {0};
    struct date now = {1000000};

    for (int i = 0; i < SITE_FAILURES_MAX; i++) {
        site_failed(&sites, s, STR("refused"), none, now, 0);
    }
    assert_ptr_equal(site_rested(&sites, (struct date){now.ms + 60000}), s);
    assert_true(site_admits(s));
    s->scouting = true;
    assert_false(site_admits(s));
    s->scouting = false;
    assert_true(site_proved(&sites, s, true, now));
    s->scouting = true; /* still on its way when another connection proved the site */
    assert_true(site_admits(s));
    sites_done(&sites);
    (void)state;
}

static void what_is_put_back_comes_before_what_came_later(void **state)
{
    struct turns t;
    struct sites sites = {0};
    struct site *s = site_take(&sites, STR("x"));
    struct link jobs[3] = {0};
    struct berth *b;

    turns_init(&t, false);
    turns_add(&t, STR(""), s, &jobs[1]);
    turns_add(&t, STR(""), s, &jobs[2]);
    turns_add_first(&t, STR(""), s, &jobs[0]);
    assert_int_equal(t.jobs, 3);
    for (int i = 0; i < 3; i++) {
        b = turns_next(&t);
        assert_ptr_equal(list_first(&b->jobs), &jobs[i]);
        turns_remove(b, &jobs[i]);
    }
    turns_done(&t);
    sites_done(&sites);
    (void)state;
}

static void a_resting_site_takes_no_turn_and_keeps_its_jobs(void **state)
{
    struct yard y = {0};
    struct site *s;
    struct duration_list none = {0};
    struct date now = {1000000};

    turns_init(&y.turns, false);
    put(&y, "", "down", 2);
    s = site_take(&y.sites, STR("down"));
    s->jobs = 2;
    assert_false(site_failed(&y.sites, s, STR("refused"), none, now, 0));
    assert_false(site_failed(&y.sites, s, STR("refused"), none, now, 0));
    assert_true(site_failed(&y.sites, s, STR("connection refused"), none, now, 0));
    assert_string_equal(s->text, "connection refused");
    assert_int_equal(s->rest_until.ms, now.ms + 60000);
    berth_park(turns_find(&y.turns, STR(""), s));
    put(&y, "", "down", 1); /* what comes later is parked too */
    put(&y, "", "up", 1);
    assert_string_equal(take(&y, 1), "up");
    assert_string_equal(take(&y, 1), "nobody");
    assert_int_equal(y.turns.jobs, 3);
    assert_int_equal(y.turns.parked, 3);

    /* The rest ends; one connection may probe, and while it does no other. */
    assert_null(site_rested(&y.sites, (struct date){now.ms + 59999}));
    assert_ptr_equal(site_rested(&y.sites, (struct date){now.ms + 60000}), s);
    assert_true(site_admits(s));
    s->connections = 1;
    assert_false(site_admits(s));
    s->connections = 0;

    /* The probe fails: at once a longer rest, up to 10 % more by chance. */
    assert_true(site_failed(&y.sites, s, STR("again"), none, now, 99));
    assert_int_equal(s->rest_until.ms, now.ms + 120000 + 11880);
    assert_true(site_wake(&y.sites, s));
    assert_true(site_proved(&y.sites, s, true, now));
    assert_false(site_proved(&y.sites, s, true, now));
    berth_unpark(turns_find(&y.turns, STR(""), s));
    assert_int_equal(y.turns.parked, 0);
    assert_string_equal(take(&y, 1), "down");
    s->jobs = 0;
    empty(&y);
    (void)state;
}

static void a_site_is_forgotten_when_nothing_is_left_of_it(void **state)
{
    struct sites sites = {0};
    struct site *s = site_take(&sites, STR("mx x.example"));

    s->jobs = 1;
    site_forget(&sites, s);
    assert_ptr_equal(site_take(&sites, STR("mx x.example")), s);
    s->jobs = 0;
    site_forget(&sites, s);
    assert_int_equal(sites.by_name.count, 0);
    sites_done(&sites);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sites_of_a_lane_alternate),
        cmocka_unit_test(lanes_share_whatever_their_depth),
        cmocka_unit_test(turns_are_paid_in_time),
        cmocka_unit_test(one_job_scouts_for_a_site_that_is_probed),
        cmocka_unit_test(what_is_put_back_comes_before_what_came_later),
        cmocka_unit_test(a_resting_site_takes_no_turn_and_keeps_its_jobs),
        cmocka_unit_test(a_site_is_forgotten_when_nothing_is_left_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
