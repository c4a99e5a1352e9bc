#include "../unit.h"
#include "base/mem.h"
#include "queue/site.h"
#include "queue/turns.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { JOBS = 500, LANES = 8, MINUTE_MS = 60 * 1000 };

struct waiting {
    struct link link;
    struct date since;
};

struct yard {
    struct sites sites;
    struct slab berths;
    struct turns turns;
    struct lane lanes[LANES];
    struct waiting *jobs;
    int used, lanes_used;
    struct date now;
};

static struct waiting all_jobs[JOBS]; /* of the test that runs */

static struct date since(struct link *job)
{
    return CONTAINER_OF(job, struct waiting, link)->since;
}

static void begin(struct yard *y)
{
    memset(all_jobs, 0, sizeof all_jobs);
    y->jobs = all_jobs;
    y->berths.item = sizeof(struct berth);
    turns_init(&y->turns, &y->berths, false, since);
    y->turns.aging_ms = 10 * MINUTE_MS;
    y->now = (struct date){1000LL * MINUTE_MS};
}

static struct lane *lane_named(struct yard *y, const char *name)
{
    for (int i = 0; i < y->lanes_used; i++) {
        if (str_eq(y->lanes[i].name, str_of(name))) {
            return &y->lanes[i];
        }
    }
    y->lanes[y->lanes_used] = (struct lane){.name = str_of(name), .weight = 1};
    return &y->lanes[y->lanes_used++];
}

static void put_with(struct yard *y, const char *lane, const char *site, int priority,
                     int64_t waits_ms, int count)
{
    for (int i = 0; i < count; i++) {
        struct waiting *w = &y->jobs[y->used++];

        w->since = date_add(y->now, -waits_ms);
        turns_add(&y->turns, lane_named(y, lane), priority, site_take(&y->sites, str_of(site)),
                  &w->link);
    }
}

static void put(struct yard *y, const char *lane, const char *site, int count)
{
    put_with(y, lane, site, 0, 0, count);
}

/* Takes the next job, bills it, and says of which lane's site it was. */
static const char *take(struct yard *y, int64_t cost_ms)
{
    struct berth *b = turns_next(&y->turns, y->now);
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
    slab_done(&y->berths);
    sites_done(&y->sites);
}

static void sites_of_a_lane_alternate(void **state)
{
    struct yard y = {0};

    begin(&y);
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

    begin(&y);
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

    begin(&y);
    put(&y, "", "slow", 20);
    put(&y, "", "fast", 45);
    while (fast < 40) {
        struct berth *b = turns_next(&y.turns, y.now);
        bool is_slow = strcmp(b->site->name, "slow") == 0;

        slow += is_slow;
        fast += !is_slow;
        berth_claim(b);
        turns_remove(b, list_first(&b->jobs));
        berth_charge(b, is_slow ? 2000 : 100);
    }
    assert_in_range(slow, 2, 3);
    empty(&y);
    (void)state;
}

/* Slots that are out have not been charged: until then each counts as a usual turn, so that free
 * slots are not all given to the same lane. */
static void slots_that_are_out_count(void **state)
{
    struct yard y = {0};
    struct berth *out[20];
    int of_a = 0;

    begin(&y);
    put(&y, "a", "x", 30);
    put(&y, "b", "y", 30);
    for (int i = 0; i < 20; i++) {
        out[i] = turns_next(&y.turns, y.now);
        of_a += strcmp(out[i]->site->name, "x") == 0;
        berth_claim(out[i]);
        turns_remove(out[i], list_first(&out[i]->jobs));
    }
    assert_int_equal(of_a, 10);
    for (int i = 0; i < 20; i++) {
        berth_charge(out[i], 5);
    }
    empty(&y);
    (void)state;
}

static void a_lane_of_weight_four_gets_four_times_the_time(void **state)
{
    struct yard y = {0};
    int heavy = 0;

    begin(&y);
    lane_named(&y, "gold")->weight = 4;
    put(&y, "gold", "g", 90);
    put(&y, "other", "o", 90);
    for (int i = 0; i < 100; i++) {
        heavy += strcmp(take(&y, 10), "g") == 0;
    }
    assert_in_range(heavy, 79, 81);
    empty(&y);
    (void)state;
}

static void a_weight_that_changes_holds_from_the_next_turn(void **state)
{
    struct yard y = {0};
    int of_a = 0;

    begin(&y);
    put(&y, "a", "x", 150);
    put(&y, "b", "y", 150);
    for (int i = 0; i < 20; i++) {
        (void)take(&y, 10);
    }
    lane_named(&y, "a")->weight = 9;
    for (int i = 0; i < 100; i++) {
        of_a += strcmp(take(&y, 10), "x") == 0;
    }
    assert_in_range(of_a, 86, 94);
    empty(&y);
    (void)state;
}

/* The time that nobody else wanted is not held against a lane, and an empty one saves up none. */
static void nobody_owes_for_idle_time_or_saves_it_up(void **state)
{
    struct yard y = {0};
    int early = 0;

    begin(&y);
    put(&y, "alone", "x", 60);
    for (int i = 0; i < 20; i++) {
        (void)take(&y, 60 * 1000); /* twenty minutes of slot time */
    }
    put(&y, "new", "y", 40);
    for (int i = 0; i < 20; i++) {
        early += strcmp(take(&y, 10), "x") == 0;
    }
    assert_in_range(early, 9, 11);
    empty(&y);
    (void)state;
}

static int64_t takes_cost_us(int sites, int each, int takes)
{
    struct yard y = {0};
    clock_t from, to;

    begin(&y);
    y.jobs = mem_array((size_t)sites * (size_t)each, sizeof *y.jobs);
    for (int i = 0; i < sites; i++) {
        char site[24];

        (void)snprintf(site, sizeof site, "site %d", i);
        put(&y, "", site, each);
    }
    from = clock();
    for (int i = 0; i < takes; i++) {
        (void)take(&y, 1);
    }
    to = clock();
    empty(&y);
    mem_free(y.jobs);
    return (int64_t)(to - from) * 1000000 / CLOCKS_PER_SEC;
}

/* a scan of what waits would make a turn two hundred times as dear. bench/scheduling has the
 * figures of the whole queue. */
static void a_turn_costs_the_same_however_much_waits(void **state)
{
    int64_t few_us = takes_cost_us(10, 100, 900), many_us = takes_cost_us(10, 20000, 900);

    assert_true(many_us <= 20 * few_us + 2000);
    (void)state;
}

/* Sites that come once and go never keep back one that has used its share. */
static void a_stream_of_newcomers_starves_nobody(void **state)
{
    struct yard y = {0};
    int newcomers = 0;

    begin(&y);
    put(&y, "", "old", 3);
    put(&y, "", "another", 1);
    assert_string_equal(take(&y, 1000), "old");
    assert_string_equal(take(&y, 10), "another");
    for (; newcomers < 400; newcomers++) {
        char name[16];

        snprintf(name, sizeof name, "new-%d", newcomers);
        put(&y, "", name, 1);
        if (strcmp(take(&y, 10), "old") == 0) {
            break;
        }
    }
    assert_in_range(newcomers, 2, 399);
    empty(&y);
    (void)state;
}

/* Q-041, PY-17. */
static void the_highest_priority_goes_first_in_its_lane(void **state)
{
    struct yard y = {0};

    begin(&y);
    put_with(&y, "", "low", -3, 0, 1);
    put_with(&y, "", "usual", 0, 0, 2);
    put_with(&y, "", "high", 4, 0, 2);
    assert_string_equal(take(&y, 50), "high");
    assert_string_equal(take(&y, 50), "high");
    assert_string_equal(take(&y, 50), "usual");
    assert_string_equal(take(&y, 50), "usual");
    assert_string_equal(take(&y, 50), "low");
    empty(&y);
    (void)state;
}

/* Priority is a matter inside a lane: a tenant cannot buy another's turn with it. */
static void priority_does_not_reach_over_lanes(void **state)
{
    struct yard y = {0};
    int loud = 0;

    begin(&y);
    put_with(&y, "loud", "x", 9, 0, 20);
    put_with(&y, "quiet", "y", 0, 0, 20);
    for (int i = 0; i < 20; i++) {
        loud += strcmp(take(&y, 10), "x") == 0;
    }
    assert_int_equal(loud, 10);
    empty(&y);
    (void)state;
}

/* A step for each ten minutes: what has waited long enough takes turns with the highest. */
static void waiting_raises(void **state)
{
    static const struct {
        int low, high;
        int64_t waited_min;
        bool takes_turns;
    } rows[] = {
        {0, 4, 0, false}, {0, 4, 39, false}, {0, 4, 40, true},    {0, 4, 500, true},
        {0, 1, 9, false}, {0, 1, 10, true},  {-9, 9, 179, false}, {-9, 9, 180, true},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct yard y = {0};
        int low = 0;

        begin(&y);
        put_with(&y, "", "low", rows[i].low, rows[i].waited_min * MINUTE_MS, 10);
        put_with(&y, "", "high", rows[i].high, 0, 10);
        for (int n = 0; n < 10; n++) {
            low += strcmp(take(&y, 10), "low") == 0;
        }
        assert_int_equal(low, rows[i].takes_turns ? 5 : 0);
        empty(&y);
    }
    (void)state;
}

/* Mail of one priority takes turns by site however long some of it has waited: an old backlog of
 * one site does not keep back what is new for another. */
static void age_alone_does_not_jump_the_queue(void **state)
{
    struct yard y = {0};
    int fresh = 0;

    begin(&y);
    put_with(&y, "", "backlog", 0, 300 * MINUTE_MS, 40);
    put_with(&y, "", "fresh", 0, 0, 10);
    for (int i = 0; i < 20; i++) {
        fresh += strcmp(take(&y, 10), "fresh") == 0;
    }
    assert_int_equal(fresh, 10);
    empty(&y);
    (void)state;
}

static void a_blocked_berth_waits_in_its_list(void **state)
{
    struct yard y = {0};
    struct list waiting;
    struct berth *b;

    begin(&y);
    list_init(&waiting);
    put(&y, "", "full", 1);
    put(&y, "", "open", 2);
    b = turns_find(&y.turns, lane_named(&y, ""), 0, site_take(&y.sites, STR("full")));
    berth_block(b, BERTH_SITE_FULL, &waiting);
    assert_false(berth_is_active(b));
    assert_string_equal(take(&y, 10), "open");
    assert_string_equal(take(&y, 10), "open");
    assert_string_equal(take(&y, 10), "nobody");
    assert_ptr_equal(list_first(&waiting), &b->in_why);
    berth_unblock(b);
    assert_true(list_is_empty(&waiting));
    assert_string_equal(take(&y, 10), "full");
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
    struct yard y = {0};
    struct site *s = site_take(&y.sites, STR("x"));
    struct lane *lane = lane_named(&y, "");
    struct berth *b;

    begin(&y);
    turns_add(&y.turns, lane, 0, s, &y.jobs[1].link);
    turns_add(&y.turns, lane, 0, s, &y.jobs[2].link);
    turns_add_first(&y.turns, lane, 0, s, &y.jobs[0].link);
    assert_int_equal(y.turns.jobs, 3);
    for (int i = 0; i < 3; i++) {
        b = turns_next(&y.turns, y.now);
        assert_ptr_equal(list_first(&b->jobs), &y.jobs[i].link);
        turns_remove(b, &y.jobs[i].link);
    }
    empty(&y);
    (void)state;
}

static void a_resting_site_takes_no_turn_and_keeps_its_jobs(void **state)
{
    struct yard y = {0};
    struct site *s;
    struct duration_list none = {0};
    struct date now = {1000000};

    begin(&y);
    put(&y, "", "down", 2);
    s = site_take(&y.sites, STR("down"));
    s->jobs = 2;
    assert_false(site_failed(&y.sites, s, STR("refused"), none, now, 0));
    assert_false(site_failed(&y.sites, s, STR("refused"), none, now, 0));
    assert_true(site_failed(&y.sites, s, STR("connection refused"), none, now, 0));
    assert_string_equal(s->text, "connection refused");
    assert_int_equal(s->rest_until.ms, now.ms + 60000);
    berth_park(turns_find(&y.turns, lane_named(&y, ""), 0, s));
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
    berth_unpark(turns_find(&y.turns, lane_named(&y, ""), 0, s));
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

/* That it is quick is remembered for its hour: mail for it comes in drops. */
static void a_site_that_is_forgotten_is_still_known_to_be_quick(void **state)
{
    struct sites sites = {0};
    struct site *s = site_take(&sites, STR("mx x.example"));
    struct date now = {1000000};

    assert_false(site_is_proven(s, now));
    site_proved(&sites, s, true, now);
    site_forget(&sites, s);
    assert_int_equal(sites.by_name.count, 0);
    s = site_take(&sites, STR("mx x.example"));
    assert_true(site_is_proven(s, (struct date){now.ms + SITE_PROVEN_MS - 1}));
    assert_false(site_is_proven(s, (struct date){now.ms + SITE_PROVEN_MS}));
    site_rest(&sites, s, STR("slow"), (struct duration_list){0}, now, 0);
    site_wake(&sites, s);
    site_forget(&sites, s);
    s = site_take(&sites, STR("mx x.example"));
    assert_false(site_is_proven(s, now));
    site_forget(&sites, s);
    sites_done(&sites);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sites_of_a_lane_alternate),
        cmocka_unit_test(lanes_share_whatever_their_depth),
        cmocka_unit_test(turns_are_paid_in_time),
        cmocka_unit_test(slots_that_are_out_count),
        cmocka_unit_test(a_lane_of_weight_four_gets_four_times_the_time),
        cmocka_unit_test(a_weight_that_changes_holds_from_the_next_turn),
        cmocka_unit_test(nobody_owes_for_idle_time_or_saves_it_up),
        cmocka_unit_test(a_turn_costs_the_same_however_much_waits),
        cmocka_unit_test(a_stream_of_newcomers_starves_nobody),
        cmocka_unit_test(the_highest_priority_goes_first_in_its_lane),
        cmocka_unit_test(priority_does_not_reach_over_lanes),
        cmocka_unit_test(waiting_raises),
        cmocka_unit_test(age_alone_does_not_jump_the_queue),
        cmocka_unit_test(a_blocked_berth_waits_in_its_list),
        cmocka_unit_test(one_job_scouts_for_a_site_that_is_probed),
        cmocka_unit_test(what_is_put_back_comes_before_what_came_later),
        cmocka_unit_test(a_resting_site_takes_no_turn_and_keeps_its_jobs),
        cmocka_unit_test(a_site_is_forgotten_when_nothing_is_left_of_it),
        cmocka_unit_test(a_site_that_is_forgotten_is_still_known_to_be_quick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
