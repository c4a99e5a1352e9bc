#include "queue/turns.h"

#include "base/mem.h"
#include "queue/site.h"

enum { US_PER_MS = 1000, TURN_US = TURN_MS * US_PER_MS };

/* A berth is found by its level and its site. */
struct berth_key {
    const struct turn_level *level;
    const struct site *site;
};

static bool berth_is(const void *berth, const void *key)
{
    const struct berth *b = berth;
    const struct berth_key *k = key;

    return b->level == k->level && b->site == k->site;
}

static uint64_t key_hash(const struct berth_key *k)
{
    return places_mix((uintptr_t)k->level, (uintptr_t)k->site);
}

static uint64_t berth_hash(const void *berth)
{
    const struct berth *b = berth;

    return key_hash(&(struct berth_key){b->level, b->site});
}

static const struct places_keys kind = {berth_is, berth_hash};

static void lane_init(struct turn_lane *l, struct lane *lane)
{
    l->lane = lane;
    l->level0.lane = l;
    l->levels = &l->level0;
}

static void lane_done(struct turn_lane *l)
{
    must(l->levels == &l->level0 && l->level0.lower == NULL);
    heap_done(&l->level0.by_turn);
    heap_done(&l->level0.by_age);
}

void turns_init(struct turns *t, struct slab *slab, bool holds_works,
                struct date (*since)(struct link *job))
{
    *t = (struct turns){
        .slab = slab, .holds_works = holds_works, .since = since, .aging_ms = INT64_MAX};
    list_init(&t->lanes);
    list_init(&t->blocked);
    list_init(&t->blocked_class);
    lane_init(&t->unnamed, NULL);
}

void turns_done(struct turns *t)
{
    must(t->jobs == 0);
    must(list_is_empty(&t->lanes) && t->unnamed.berths == 0);
    lane_done(&t->unnamed);
    places_done(&t->berths);
    heap_done(&t->active);
}

/* ---- who takes turns ---- */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void lane_weigh(struct turns *t, struct turn_lane *l)
{
    if (l->active > 0) {
        t->weights += l->lane->weight;
        t->weights -= l->weight;
    }
    l->weight = l->lane->weight;
}

static void activate(struct berth *b)
{
    struct turn_level *level = b->level;
    struct turn_lane *l = level->lane;
    struct turns *t = b->turns;

    if (berth_is_active(b) || b->parked || b->blocked != BERTH_OPEN || b->count == 0) {
        return;
    }
    b->used_us = later(b->used_us, l->clock_us);
    heap_put(&level->by_turn, &b->turn, b->used_us);
    heap_put(&level->by_age, &b->age, t->since(list_first(&b->jobs)).ms);
    if (l->active++ == 0) {
        l->weight = l->lane->weight;
        t->weights += l->weight;
        l->used_us = later(l->used_us, t->clock_us);
        heap_put(&t->active, &l->turn, l->used_us);
    }
}

static void deactivate(struct berth *b)
{
    struct turn_lane *l = b->level->lane;

    if (!berth_is_active(b)) {
        return;
    }
    heap_remove(&b->level->by_turn, &b->turn);
    heap_remove(&b->level->by_age, &b->age);
    if (--l->active == 0) {
        b->turns->weights -= l->weight;
        heap_remove(&b->turns->active, &l->turn);
    }
}

/* Its clock and its lane's go on by so much, back when it is below 0. */
static void use(struct berth *b, int64_t us)
{
    struct turn_lane *l = b->level->lane;

    b->used_us += us;
    l->used_us += us / l->weight;
    if (berth_is_active(b)) {
        heap_put(&b->level->by_turn, &b->turn, b->used_us);
    }
    if (l->active > 0) {
        heap_put(&b->turns->active, &l->turn, l->used_us);
    }
}

/* What everybody's fair share has grown by when so much was used. */
static void pass(struct berth *b, int64_t us)
{
    struct turn_lane *l = b->level->lane;
    struct turns *t = b->turns;
    uint64_t weights = t->weights + (l->active > 0 ? 0 : l->weight);

    l->clock_us += us / (l->active + !berth_is_active(b));
    t->clock_us += us / (int64_t)weights;
}

/* ---- berths ---- */

static struct turn_lane *lane_take(struct turns *t, struct lane *lane)
{
    struct turn_lane **l = &lane->in[t->holds_works];

    if (lane->name.len == 0) {
        t->unnamed.lane = lane;
        return &t->unnamed;
    }
    if (*l == NULL) {
        *l = MEM_NEW(struct turn_lane);
        lane_init(*l, lane);
        list_push(&t->lanes, &(*l)->in_turns);
    }
    return *l;
}

void turns_lane_ends(struct lane *lane)
{
    for (size_t i = 0; i < COUNT_OF(lane->in); i++) {
        if (lane->in[i] != NULL) {
            lane->in[i]->lane = NULL;
            lane->in[i] = NULL;
        }
    }
}

static void lane_forget(struct turns *t, struct turn_lane *l)
{
    if (l->lane != NULL) {
        l->lane->in[t->holds_works] = NULL;
    }
    list_remove(&l->in_turns);
    lane_done(l);
    mem_free(l);
}

static struct turn_level *level_take(struct turn_lane *l, int priority)
{
    struct turn_level **at = &l->levels, *level;

    while (*at != NULL && (*at)->priority > priority) {
        at = &(*at)->lower;
    }
    if (*at != NULL && (*at)->priority == priority) {
        return *at;
    }
    level = MEM_NEW(struct turn_level);
    level->lane = l;
    level->priority = priority;
    level->lower = *at;
    *at = level;
    return level;
}

static void level_forget(struct turn_level *level)
{
    struct turn_level **at = &level->lane->levels;

    if (level->priority == 0 || level->berths > 0) {
        return;
    }
    while (*at != level) {
        at = &(*at)->lower;
    }
    *at = level->lower;
    heap_done(&level->by_turn);
    heap_done(&level->by_age);
    mem_free(level);
}

static void forget(struct berth *b)
{
    struct turns *t = b->turns;
    struct turn_lane *l = b->level->lane;
    struct berth_key key = {b->level, b->site};

    if (b->count > 0 || b->claims > 0) {
        return;
    }
    must_not(berth_is_active(b));
    list_remove(&b->in_site);
    list_remove(&b->in_blocked);
    list_remove(&b->in_why);
    must(places_take(&t->berths, &kind, key_hash(&key), &key) == b);
    b->level->berths--;
    level_forget(b->level);
    slab_give(t->slab, b);
    if (--l->berths == 0 && l != &t->unnamed) {
        lane_forget(t, l);
    }
}

struct berth *turns_find(const struct turns *t, const struct lane *lane, int priority,
                         const struct site *site)
{
    const struct turn_lane *l = lane->name.len == 0 ? &t->unnamed : lane->in[t->holds_works];
    const struct turn_level *level = l ? l->levels : NULL;
    struct berth_key key;

    while (level != NULL && level->priority != priority) {
        level = level->lower;
    }
    key = (struct berth_key){level, site};
    return level ? places_get(&t->berths, &kind, key_hash(&key), &key) : NULL;
}

static struct berth *berth_take(struct turns *t, struct lane *lane, int priority, struct site *site)
{
    struct turn_lane *l = lane_take(t, lane);
    struct turn_level *level = level_take(l, priority);
    struct berth_key key = {level, site};
    uint64_t hash = key_hash(&key);
    struct berth *b = places_get(&t->berths, &kind, hash, &key);

    if (b == NULL) {
        b = slab_take(t->slab);
        b->turns = t;
        b->level = level;
        b->site = site;
        b->parked = !site_admits(site);
        list_init(&b->jobs);
        list_push(&site->berths, &b->in_site);
        places_put(&t->berths, &kind, hash, &key, b);
        level->berths++;
        l->berths++;
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

struct berth *turns_add(struct turns *t, struct lane *lane, int priority, struct site *site,
                        struct link *job)
{
    struct berth *b = berth_take(t, lane, priority, site);

    list_push(&b->jobs, job);
    count_one(b);
    return b;
}

/* Another job is its oldest. */
static void age(struct berth *b)
{
    if (berth_is_active(b)) {
        heap_put(&b->level->by_age, &b->age, b->turns->since(list_first(&b->jobs)).ms);
    }
}

struct berth *turns_add_first(struct turns *t, struct lane *lane, int priority, struct site *site,
                              struct link *job)
{
    struct berth *b = berth_take(t, lane, priority, site);

    list_push_front(&b->jobs, job);
    count_one(b);
    age(b);
    return b;
}

void turns_remove(struct berth *b, struct link *job)
{
    struct turns *t = b->turns;
    bool was_first = list_first(&b->jobs) == job;

    list_remove(job);
    must(b->count > 0);
    b->count--;
    t->jobs--;
    t->parked -= b->parked;
    if (b->count == 0) {
        deactivate(b);
    } else if (was_first) {
        age(b);
    }
    forget(b);
}

/* ---- turns ---- */

static struct berth *least_used(const struct turn_level *level)
{
    return CONTAINER_OF(heap_least(&level->by_turn), struct berth, turn);
}

struct berth *turns_next(const struct turns *t, struct date now)
{
    struct heap_node *n = heap_least(&t->active);
    const struct turn_level *top, *level;
    struct berth *b;

    if (n == NULL) {
        return NULL;
    }
    top = CONTAINER_OF(n, struct turn_lane, turn)->levels;
    while (top->by_turn.count == 0) {
        top = top->lower;
    }
    b = least_used(top);
    for (level = top->lower; level != NULL; level = level->lower) {
        int64_t since = heap_least_key(&level->by_age);

        if (level->by_age.count > 0 &&
            (now.ms - since) / t->aging_ms >= top->priority - level->priority) {
            struct berth *old = CONTAINER_OF(heap_least(&level->by_age), struct berth, age);

            b = old->used_us < b->used_us ? old : b;
        }
    }
    return b;
}

void berth_claim(struct berth *b)
{
    lane_weigh(b->turns, b->level->lane);
    b->claims++;
    use(b, TURN_US);
}

/* Removed before the clocks go on: a berth that is empty then has no place to be moved to. */
void turns_start(struct berth *b)
{
    b->claims++;
    turns_remove(b, list_first(&b->jobs));
    lane_weigh(b->turns, b->level->lane);
    use(b, TURN_US);
}

void berth_charge(struct berth *b, int64_t ms)
{
    must(b->claims > 0);
    must(ms >= 0);
    b->claims--;
    use(b, ms * US_PER_MS - TURN_US);
    pass(b, ms * US_PER_MS);
    forget(b);
}

void berth_park(struct berth *b)
{
    if (!b->parked) {
        b->parked = true;
        b->turns->parked += b->count;
        deactivate(b);
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

void berth_block(struct berth *b, enum berth_block why, struct list *at)
{
    must(b->blocked == BERTH_OPEN);
    b->blocked = why;
    list_push(&b->turns->blocked, &b->in_blocked);
    list_push(at ? at : &b->turns->blocked_class, &b->in_why);
    deactivate(b);
}

void berth_unblock(struct berth *b)
{
    if (b->blocked != BERTH_OPEN) {
        b->blocked = BERTH_OPEN;
        list_remove(&b->in_blocked);
        list_remove(&b->in_why);
        activate(b);
    }
}
