#include "queue/shares.h"

#include "base/mem.h"

/* Of a new site: one to run and one to follow it. */
enum { HAND_NEW_MAX = 2 };

/* One site's part, and who waits for it to grow. */
struct share {
    uint32_t slots, hand;
    struct list wait_slot, wait_hand;
};

static uint64_t key_of(const struct site *site)
{
    return (uint64_t)(uintptr_t)site;
}

static uint32_t part_of(uint32_t all, uint32_t percent)
{
    uint32_t part = (uint32_t)((uint64_t)all * percent / 100);

    return part > 0 ? part : 1;
}

void shares_set(struct shares *s, uint32_t slots, uint32_t hand, uint32_t site_percent,
                int64_t slow_after_ms)
{
    s->slots = slots;
    s->hand = hand;
    s->site_percent = site_percent;
    s->slow_after_ms = slow_after_ms;
}

void shares_done(struct shares *s)
{
    must(s->by_site.count == 0);
    map_done(&s->by_site);
}

bool shares_saw(struct shares *s, const struct site *site, struct date now)
{
    bool held = shares_hold(s, now);
    uint64_t name = site->name_hash | 1;

    if (s->seen != name) {
        if (s->seen != 0) {
            s->mixed_until = date_add(now, SHARES_MIXED_MS);
        }
        s->seen = name;
    }
    return !held && shares_hold(s, now);
}

bool shares_hold(const struct shares *s, struct date now)
{
    return s->slots >= SHARES_SLOTS_MIN && now.ms < s->mixed_until.ms;
}

static const struct share *share_of(const struct shares *s, const struct site *site)
{
    static const struct share none = {0};
    const struct share *found = map_get_num(&s->by_site, key_of(site));

    return found ? found : &none;
}

bool shares_has_hand(const struct shares *s, struct date now)
{
    return !shares_hold(s, now) || s->hand_new < part_of(s->hand, SHARES_CLASS_PERCENT);
}

bool shares_has_slot(const struct shares *s, struct date now)
{
    return !shares_hold(s, now) || s->slots_new < part_of(s->slots, SHARES_CLASS_PERCENT);
}

enum berth_block shares_ask_hand(const struct shares *s, const struct site *site, struct date now)
{
    uint32_t has = share_of(s, site)->hand;

    if (!shares_hold(s, now)) {
        return BERTH_OPEN;
    }
    if (site_is_proven(site, now)) {
        return has < part_of(s->hand, s->site_percent) ? BERTH_OPEN : BERTH_SITE_FULL;
    }
    if (has >= HAND_NEW_MAX) {
        return BERTH_SITE_FULL;
    }
    return shares_has_hand(s, now) ? BERTH_OPEN : BERTH_CLASS_FULL;
}

bool shares_is_over_hand(const struct shares *s, const struct site *site, struct date now)
{
    uint32_t has = share_of(s, site)->hand;

    if (!shares_hold(s, now)) {
        return false;
    }
    if (site_is_proven(site, now)) {
        return has > part_of(s->hand, s->site_percent);
    }
    return has > HAND_NEW_MAX || s->hand_new > part_of(s->hand, SHARES_CLASS_PERCENT);
}

enum berth_block shares_ask_slot(const struct shares *s, const struct site *site, struct date now)
{
    uint32_t has = share_of(s, site)->slots;

    if (!shares_hold(s, now)) {
        return BERTH_OPEN;
    }
    if (site_is_proven(site, now)) {
        return has < part_of(s->slots, s->site_percent) ? BERTH_OPEN : BERTH_SITE_FULL;
    }
    if (has >= 1) {
        return BERTH_SITE_FULL;
    }
    return shares_has_slot(s, now) ? BERTH_OPEN : BERTH_CLASS_FULL;
}

static struct share *share_take(struct shares *s, const struct site *site)
{
    struct share *found = map_get_num(&s->by_site, key_of(site));

    if (found == NULL) {
        found = MEM_NEW(struct share);
        list_init(&found->wait_slot);
        list_init(&found->wait_hand);
        map_put_num(&s->by_site, key_of(site), found);
    }
    return found;
}

/* One that waits may be asked again, or all. */
static void ask_again(struct list *waiting, bool all)
{
    struct link *k;

    while ((k = list_first(waiting)) != NULL) {
        struct berth *b = CONTAINER_OF(k, struct berth, in_why);

        berth_unblock(b);
        if (!all && berth_is_active(b)) {
            return;
        }
    }
}

static void forget(struct shares *s, const struct site *site, struct share *share)
{
    if (share->slots == 0 && share->hand == 0) {
        must(list_is_empty(&share->wait_slot) && list_is_empty(&share->wait_hand));
        map_take_num(&s->by_site, key_of(site));
        mem_free(share);
    }
}

void shares_ask_others(struct shares *s, const struct site *site)
{
    struct share *share = map_get_num(&s->by_site, key_of(site));

    if (share != NULL) {
        ask_again(&share->wait_hand, false);
        ask_again(&share->wait_slot, false);
    }
}

void shares_keep_hand(struct shares *s, struct berth *b, enum berth_block why)
{
    berth_block(b, why, why == BERTH_SITE_FULL ? &share_take(s, b->site)->wait_hand : NULL);
}

void shares_keep_slot(struct shares *s, struct berth *b, enum berth_block why)
{
    berth_block(b, why, why == BERTH_SITE_FULL ? &share_take(s, b->site)->wait_slot : NULL);
}

bool shares_take_hand(struct shares *s, const struct site *site, struct date now)
{
    bool is_new = !site_is_proven(site, now);

    share_take(s, site)->hand++;
    s->hand_new += is_new;
    return is_new;
}

void shares_give_hand(struct shares *s, const struct site *site, bool counted_new)
{
    struct share *share = map_get_num(&s->by_site, key_of(site));

    must(share != NULL);
    must(share->hand > 0);
    share->hand--;
    s->hand_new -= counted_new;
    ask_again(&share->wait_hand, share->hand == 0);
    forget(s, site, share);
}

bool shares_take_slot(struct shares *s, const struct site *site, struct date now)
{
    bool is_new = !site_is_proven(site, now);

    share_take(s, site)->slots++;
    s->slots_new += is_new;
    return is_new;
}

void shares_give_slot(struct shares *s, const struct site *site, bool counted_new)
{
    struct share *share = map_get_num(&s->by_site, key_of(site));

    must(share != NULL);
    must(share->slots > 0);
    share->slots--;
    s->slots_new -= counted_new;
    ask_again(&share->wait_slot, share->slots == 0);
    forget(s, site, share);
}

void shares_prove_slot(struct shares *s)
{
    must(s->slots_new > 0);
    s->slots_new--;
}

bool shares_slow(struct shares *s, struct date now)
{
    s->slow++;
    return !shares_hold(s, now) || s->slow <= part_of(s->slots, SHARES_CLASS_PERCENT);
}

void shares_quick(struct shares *s)
{
    must(s->slow > 0);
    s->slow--;
}
