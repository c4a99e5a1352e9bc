#include "queue/site.h"

#include "base/mem.h"

#include <string.h>

static const int64_t rests_ms[] = {60000, 120000, 300000, 600000, 900000};

/* ---- what is remembered of sites that are forgotten ---- */

static struct known_site *known_set(const struct sites *s, uint64_t hash)
{
    return &s->known[hash % SITES_KNOWN_SETS * SITES_KNOWN_WAYS];
}

/* In the place of the one whose time is over first. */
static void know(struct sites *s, const struct site *site)
{
    struct known_site *set, *at;

    if (site->proven_until.ms == 0) {
        return;
    }
    if (s->known == NULL) {
        s->known = mem_array(SITES_KNOWN, sizeof *s->known);
    }
    at = set = known_set(s, site->name_hash);
    for (int i = 1; i < SITES_KNOWN_WAYS; i++) {
        at = set[i].proven_until.ms < at->proven_until.ms ? &set[i] : at;
    }
    *at = (struct known_site){site->name_hash, site->proven_until};
}

/* It is known by its site again. */
static struct date recall(struct sites *s, uint64_t hash)
{
    struct known_site *set = s->known ? known_set(s, hash) : NULL;

    for (int i = 0; set != NULL && i < SITES_KNOWN_WAYS; i++) {
        if (set[i].hash == hash && set[i].proven_until.ms > 0) {
            struct date until = set[i].proven_until;

            set[i] = (struct known_site){0};
            return until;
        }
    }
    return (struct date){0};
}

/* ---- sites ---- */

static bool site_is(const void *site, const void *name)
{
    return str_eq(str_of(((const struct site *)site)->name), *(const struct str *)name);
}

static uint64_t site_hash(const void *site)
{
    return ((const struct site *)site)->name_hash;
}

static const struct places_keys kind = {site_is, site_hash};

struct site *site_take(struct sites *s, struct str name)
{
    uint64_t hash = str_hash(name, s->seed);
    struct site *site = places_get(&s->by_name, &kind, hash, &name);

    if (site == NULL) {
        s->slab.item = sizeof *site;
        site = slab_take(&s->slab);
        site->name = site->near;
        if (name.len >= sizeof site->near) {
            site->name = mem_dup_z(name.ptr, name.len);
        } else if (name.len > 0) {                  /* none yet: its route is not known */
            memcpy(site->near, name.ptr, name.len); /* zeroed behind it */
        }
        site->name_hash = hash;
        site->proven_until = recall(s, hash);
        list_init(&site->berths);
        places_put(&s->by_name, &kind, hash, &name, site);
    }
    return site;
}

static void free_site(struct sites *s, struct site *site)
{
    heap_remove(&s->waking, &site->wake);
    if (site->name != site->near) {
        mem_free(site->name);
    }
    mem_free(site->text);
    slab_give(&s->slab, site);
}

void site_forget(struct sites *s, struct site *site)
{
    if (site->jobs == 0 && site->connections == 0 && !site->resting) {
        struct str name = str_of(site->name);

        must(list_is_empty(&site->berths));
        know(s, site);
        must(places_take(&s->by_name, &kind, site->name_hash, &name) == site);
        free_site(s, site);
    }
}

void sites_done(struct sites *s)
{
    struct site *site;

    for (size_t at = 0; (site = places_any(&s->by_name, &at)) != NULL; at++) {
        must(list_is_empty(&site->berths));
        free_site(s, site);
    }
    places_done(&s->by_name);
    heap_done(&s->waking);
    mem_free(s->known);
    s->known = NULL;
}

static int64_t rest_ms(const struct site *site, struct duration_list rests, unsigned jitter)
{
    const int64_t *list = rests.count ? rests.items : rests_ms;
    size_t last = (rests.count ? rests.count : COUNT_OF(rests_ms)) - 1;
    int64_t ms = list[site->rests < last ? site->rests : last];

    return ms + ms * (int64_t)jitter / 1000;
}

static void note_text(struct site *site, struct str why)
{
    struct str shown = str_head(why, SITE_TEXT_MAX - 1);

    mem_free(site->text);
    site->text = shown.len > 0 ? mem_dup_z(shown.ptr, shown.len) : NULL;
}

static void begin_rest(struct sites *s, struct site *site, struct duration_list rests,
                       struct date now, unsigned jitter)
{
    int64_t ms = rest_ms(site, rests, jitter);

    site->rest_until = date_add(now, ms);
    must(ms <= UINT32_MAX);
    site->rest_ms = (uint32_t)ms;
    site->rests++;
    site->resting = true;
    site->probing = false;
    heap_put(&s->waking, &site->wake, site->rest_until.ms);
}

bool site_failed(struct sites *s, struct site *site, struct str why, struct duration_list rests,
                 struct date now, unsigned jitter)
{
    note_text(site, why);
    site->failures++;
    site->proven_until = (struct date){0};
    if (site->resting || (!site->probing && site->failures < SITE_FAILURES_MAX)) {
        return false;
    }
    site->rests_slow = false;
    begin_rest(s, site, rests, now, jitter);
    return true;
}

void site_rest(struct sites *s, struct site *site, struct str why, struct duration_list rests,
               struct date now, unsigned jitter)
{
    site->proven_until = (struct date){0};
    if (!site->resting) {
        note_text(site, why);
        site->rests_slow = true;
        begin_rest(s, site, rests, now, jitter);
    }
}

bool site_proved(struct sites *s, struct site *site, bool is_quick, struct date now)
{
    bool rested = site->resting || site->probing;

    site->proven_until = is_quick ? date_add(now, SITE_PROVEN_MS) : (struct date){0};
    site->failures = 0;
    site->rests = 0;
    site->resting = site->probing = site->rests_slow = false;
    heap_remove(&s->waking, &site->wake);
    return rested;
}

struct site *site_rested(struct sites *s, struct date now)
{
    struct heap_node *n = heap_due(&s->waking, now.ms);
    struct site *site;

    if (n == NULL) {
        return NULL;
    }
    site = CONTAINER_OF(n, struct site, wake);
    heap_remove(&s->waking, n);
    site->resting = false;
    site->probing = true;
    return site;
}

bool site_wake(struct sites *s, struct site *site)
{
    if (!site->resting) {
        return false;
    }
    heap_remove(&s->waking, &site->wake);
    site->resting = false;
    site->probing = true;
    return true;
}

bool site_admits(const struct site *site)
{
    return !site->paused && !site->resting &&
           (!site->probing || (site->connections == 0 && !site->scouting));
}
