/*
 * shares: how many slots of a virtual queue which sites may hold. They are reservations, because a
 * slot given to a tarpit cannot be taken back for minutes (P2, P3).
 *
 * Rules     A site is *proven* for an hour after a transaction in which no wait took longer than
 *           slow-after; else it is *new*. A connection that has waited that long for one event is
 *           *slow*, and makes its site new again.
 *           1. At most a quarter of the slots serve new sites, one connection each.
 *           2. At most a quarter of the slots are slow; when that share is taken, a connection that
 *              turns slow is closed, unless it has sent the end of data.
 *           3. No site holds more than max-share-per-site of the slots.
 *           4. The same holds for the ready set, so that what may not run leaves room for what may.
 *           5. All of it only in a queue that has had mail for a second site within the last ten
 *              minutes, and of at least SHARES_SLOTS_MIN slots; each share is at least one.
 * Owns      What it counts for each site, while that is not zero.
 * Source    The design, section 7.
 */
#pragma once

#include "base/map.h"
#include "queue/site.h"
#include "queue/turns.h"

enum { SHARES_SLOTS_MIN = 4, SHARES_MIXED_MS = 10 * 60 * 1000, SHARES_CLASS_PERCENT = 25 };

struct shares {
    struct map by_site;
    uint32_t slots, hand; /* what there is: slots, places in the ready set */
    uint32_t site_percent;
    int64_t slow_after_ms;
    uint32_t slots_new, hand_new, slow; /* taken */
    uint64_t seen; /* hash of its name: the site that mail came for last, which may be
                      forgotten since; 0: none */
    struct date mixed_until;
};

void shares_set(struct shares *s, uint32_t slots, uint32_t hand, uint32_t site_percent,
                int64_t slow_after_ms);
void shares_done(struct shares *s);

/* Mail for this site is due. True: from now on they hold. */
bool shares_saw(struct shares *s, const struct site *site, struct date now);
bool shares_hold(const struct shares *s, struct date now);

/* May the site take one more place in the ready set, or one more slot? */
enum berth_block shares_ask_hand(const struct shares *s, const struct site *site, struct date now);
enum berth_block shares_ask_slot(const struct shares *s, const struct site *site, struct date now);

/* Has it more places in the ready set than its share is? */
bool shares_is_over_hand(const struct shares *s, const struct site *site, struct date now);
/* Is there a place for one more new site? */
bool shares_has_hand(const struct shares *s, struct date now);
bool shares_has_slot(const struct shares *s, struct date now);

/* It takes one. True: it counts among the new ones; say so when it is given back. */
bool shares_take_hand(struct shares *s, const struct site *site, struct date now);
bool shares_take_slot(struct shares *s, const struct site *site, struct date now);
/* It gives it back: the longest waiting of the berths that its share kept back may be asked again,
 * or all of them when it holds nothing more. */
void shares_give_hand(struct shares *s, const struct site *site, bool counted_new);
void shares_give_slot(struct shares *s, const struct site *site, bool counted_new);
/* A berth of a site that is full, or of a class that is, waits until there is room. */
void shares_keep_hand(struct shares *s, struct berth *b, enum berth_block why);
void shares_keep_slot(struct shares *s, struct berth *b, enum berth_block why);
/* One that was to be asked again has gone: another may be. */
void shares_ask_others(struct shares *s, const struct site *site);
/* A slot that counted among the new ones no longer does: its site was proven on it. */
void shares_prove_slot(struct shares *s);

/* A connection turned slow. False: the share of such is taken, and it shall be closed. In both
 * cases shares_quick when it ends. */
bool shares_slow(struct shares *s, struct date now);
void shares_quick(struct shares *s);
