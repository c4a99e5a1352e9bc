#include "queue/turns.h"

#include "base/mem.h"
#include "queue/site.h"

struct lane {
    char *name;
    struct str name_str;
    struct list berths;   /* ring of those that take turns */
    uint32_t berth_count; /* all */
    int64_t deficit_ms;
    struct map by_site; /* site pointer to berth */
    struct link in_turns;
};

static uint64_t key_of(const struct site *site)
{
    return (uint64_t)(uintptr_t)site;
}

void turns_init(struct turns *t, bool holds_works)
{
    *t = (struct turns){.holds_works = holds_works};
    list_init(&t->active);
    for (int i = 0; i < BERTH_BLOCK_COUNT; i++) {
        list_init(&t->blocked[i]);
    }
}

void turns_done(struct turns *t)
{
    must(t->jobs == 0);
    must(t->lanes.count == 0);
    map_done(&t->lanes);
}

static struct lane *lane_take(struct turns *t, struct str name)
{
    struct lane *lane = map_get(&t->lanes, name);

    if (lane == NULL) {
        lane = MEM_NEW(struct lane);
        lane->name = mem_dup_z(name.ptr, name.len);
        lane->name_str = (struct str){lane->name, name.len};
        list_init(&lane->berths);
        map_put(&t->lanes, lane->name_str, lane);
    }
    return lane;
}

static void activate(struct berth *b)
{
    struct lane *lane = b->lane;

    if (link_is_in(&b->in_lane) || b->parked || b->blocked != BERTH_OPEN || b->count == 0) {
        return;
    }
    b->deficit_ms = TURN_QUANTUM_MS;
    list_push(&lane->berths, &b->in_lane);
    if (!link_is_in(&lane->in_turns)) {
        lane->deficit_ms = TURN_QUANTUM_MS;
        list_push(&b->turns->active, &lane->in_turns);
    }
}

static void deactivate(struct berth *b)
{
    list_remove(&b->in_lane);
    if (list_is_empty(&b->lane->berths)) {
        list_remove(&b->lane->in_turns);
    }
}

static void forget(struct berth *b)
{
    struct lane *lane = b->lane;

    if (b->count > 0 || b->claims > 0) {
        return;
    }
    list_remove(&b->in_site);
    list_remove(&b->in_blocked);
    map_take_num(&lane->by_site, key_of(b->site));
    if (--lane->berth_count == 0) {
        must_not(link_is_in(&lane->in_turns));
        map_take(&b->turns->lanes, lane->name_str);
        map_done(&lane->by_site);
        mem_free(lane->name);
        mem_free(lane);
    }
    mem_free(b);
}

struct berth *turns_find(struct turns *t, struct str lane, const struct site *site)
{
    struct lane *l = map_get(&t->lanes, lane);

    return l ? map_get_num(&l->by_site, key_of(site)) : NULL;
}

static struct berth *berth_take(struct turns *t, struct str lane_name, struct site *site)
{
    struct lane *lane = lane_take(t, lane_name);
    struct berth *b = map_get_num(&lane->by_site, key_of(site));

    if (b == NULL) {
        b = MEM_NEW(struct berth);
        b->turns = t;
        b->holds_works = t->holds_works;
        b->lane = lane;
        b->site = site;
        b->parked = !site_admits(site);
        list_init(&b->jobs);
        list_push(&site->berths, &b->in_site);
        map_put_num(&lane->by_site, key_of(site), b);
        lane->berth_count++;
    }
    return b;
}

static void count_one(struct berth *b)
{
    b->count++;
    b->turns->jobs++;
    b->turns->parked += b->parked;
    activate(b);
}

void turns_add(struct turns *t, struct str lane, struct site *site, struct link *job)
{
    struct berth *b = berth_take(t, lane, site);

    list_push(&b->jobs, job);
    count_one(b);
}

void turns_add_first(struct turns *t, struct str lane, struct site *site, struct link *job)
{
    struct berth *b = berth_take(t, lane, site);

    list_push_front(&b->jobs, job);
    count_one(b);
}

void turns_remove(struct berth *b, struct link *job)
{
    struct turns *t = b->turns;

    list_remove(job);
    must(b->count > 0);
    b->count--;
    t->jobs--;
    t->parked -= b->parked;
    if (b->count == 0 && link_is_in(&b->in_lane)) {
        deactivate(b);
    }
    forget(b);
}

/* The first of a ring that has credit; those it passes get a quantum and go to the end. */
#define WITH_CREDIT(ring, type, member, ret)                                                       \
    for (;;) {                                                                                     \
        struct type *first_ = CONTAINER_OF(list_first(ring), struct type, member);                 \
                                                                                                   \
        if (first_->deficit_ms > 0) {                                                              \
            (ret) = first_;                                                                        \
            break;                                                                                 \
        }                                                                                          \
        first_->deficit_ms += TURN_QUANTUM_MS;                                                     \
        list_remove(&first_->member);                                                              \
        list_push((ring), &first_->member);                                                        \
    }

struct berth *turns_next(struct turns *t)
{
    struct lane *lane;
    struct berth *b;

    if (list_is_empty(&t->active)) {
        return NULL;
    }
    WITH_CREDIT(&t->active, lane, in_turns, lane)
    WITH_CREDIT(&lane->berths, berth, in_lane, b)
    /* One job a turn: equals alternate, and what a turn cost is charged when it is known. */
    list_remove(&b->in_lane);
    list_push(&lane->berths, &b->in_lane);
    list_remove(&lane->in_turns);
    list_push(&t->active, &lane->in_turns);
    return b;
}

struct berth *turns_peek(const struct turns *t)
{
    struct lane *lane;

    if (list_is_empty(&t->active)) {
        return NULL;
    }
    lane = CONTAINER_OF(list_first(&t->active), struct lane, in_turns);
    return CONTAINER_OF(list_first(&lane->berths), struct berth, in_lane);
}

void berth_claim(struct berth *b)
{
    b->claims++;
}

void berth_charge(struct berth *b, int64_t ms)
{
    must(b->claims > 0);
    b->claims--;
    b->deficit_ms -= ms;
    b->lane->deficit_ms -= ms;
    forget(b);
}

void berth_park(struct berth *b)
{
    if (!b->parked) {
        b->parked = true;
        b->turns->parked += b->count;
        if (link_is_in(&b->in_lane)) {
            deactivate(b);
        }
    }
}

void berth_unpark(struct berth *b)
{
    if (b->parked) {
        b->parked = false;
        b->turns->parked -= b->count;
        activate(b);
    }
}

void berth_block(struct berth *b, enum berth_block why)
{
    must(b->blocked == BERTH_OPEN);
    b->blocked = why;
    list_push(&b->turns->blocked[why], &b->in_blocked);
    if (link_is_in(&b->in_lane)) {
        deactivate(b);
    }
}

void berth_unblock(struct berth *b)
{
    if (b->blocked != BERTH_OPEN) {
        b->blocked = BERTH_OPEN;
        list_remove(&b->in_blocked);
        activate(b);
    }
}
