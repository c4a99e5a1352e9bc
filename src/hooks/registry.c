#include "hooks/registry.h"

#include "base/mem.h"
#include "doc/doc.h"
#include "hooks/registry_part.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "tls/tls.h"

int64_t registry_renewal_ms(struct date now, struct date expires, uint64_t chance)
{
    int64_t left = expires.ms - now.ms, ms = left / 100 * REGISTRY_RENEW_PERCENT;
    int64_t jitter = left / 20; /* earlier by up to a twentieth: not all at once */

    if (jitter > 0) {
        ms -= (int64_t)(chance % (uint64_t)jitter);
    }
    return ms > 0 ? ms : 0;
}

#define REGISTRY_OF(k) CONTAINER_OF(k, struct registry, link)

/* ---- its memory ---- */

void registry_drop(struct registry *r)
{
    if (r == NULL || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    must(r->pool == NULL);
    must(list_is_empty(&r->waiting));
    tls_trust_drop(r->o.trust);
    buf_done(&r->why);
    arena_done(&r->held);
    arena_done(&r->arena);
    mem_free(r);
}

/* One that has ended is not taken any more, so nobody joins those who keep it. */
static void forget_ended(struct registries *all)
{
    struct link *k = list_first(&all->all), *next;

    for (; k != NULL; k = next) {
        struct registry *r = REGISTRY_OF(k);

        next = list_next(&all->all, k);
        if (r->is_done && r->pool == NULL &&
            atomic_load_explicit(&r->refs, memory_order_acquire) == 1) {
            list_remove(&r->link);
            registry_drop(r);
        }
    }
}

/* ---- the fiber ---- */

static void tell(struct registry *r, enum registry_told what, struct str text, int64_t next_ms)
{
    if (r->all->told != NULL) {
        r->all->told(r->all->ctx, r->o.name, what, text, next_ms);
    }
}

static void hold_news(struct registry *r, struct arena *a, const struct registry_news *news)
{
    struct date expires = news->pass.grant.expires, now = clock_date();

    arena_done(&r->held);
    r->held = *a;
    *a = (struct arena){0};
    r->pass = news->pass;
    r->deregistration = news->deregistration;
    r->has_pass = true;
    r->is_lost = false;
    r->is_wanted = false; /* who lost the one before is served by this one */
    r->failures = 0;
    r->renew = expires.ms == 0 ? DATE_NEVER
                               : date_add(now, registry_renewal_ms(now, expires, random_u64()));
}

static int64_t pause_ms(struct registry *r, enum registry_result result, int64_t wished_ms)
{
    int64_t ms = REGISTRY_BACKOFF_MS_FIRST;

    if (result == REGISTRY_REFUSED) {
        r->failures = 0;
        return REGISTRY_BLOCKED_MS;
    }
    for (unsigned i = 0; i < r->failures && ms < REGISTRY_BACKOFF_MS_MAX; i++) {
        ms *= 2;
    }
    r->failures++;
    ms = ms < REGISTRY_BACKOFF_MS_MAX ? ms : REGISTRY_BACKOFF_MS_MAX;
    ms = ms > wished_ms ? ms : wished_ms;
    return ms + (int64_t)random_below((uint64_t)ms / 10 + 1);
}

/* Until `ms` are over, or somebody has lost the registration, or it is not wanted any more. */
static struct err wait_for(struct registry *r, const char *what, int64_t ms)
{
    struct when until = when_after(ms);
    struct err e = ERR_OK;

    while (!e.code && !r->is_wanted && !r->is_retired) {
        e = signal_wait(&r->changed, what, until);
    }
    return e.code == ERR_TIMEOUT ? ERR_OK : e;
}

/* One attempt, and the pause that follows when it failed. */
static struct err start(struct registry *r)
{
    struct arena a ARENA_LOCAL = {0};
    struct registry_news news;
    enum registry_result result;
    int64_t ms;

    r->is_wanted = false;
    r->is_starting = true;
    buf_clear(&r->why);
    result = registry_ask(r, &a, &news, &r->why, WHEN_NEVER);
    r->is_starting = false;
    if (result == REGISTRY_OK) {
        hold_news(r, &a, &news);
        tell(r, r->pass.grant.is_suspended ? REGISTRY_IS_SUSPENDED : REGISTRY_HAD, r->pass.grant.id,
             0);
        registry_answer(r);
        return ERR_OK;
    }
    if (result == REGISTRY_CANCELLED) {
        return err_of(ERR_CANCELLED);
    }
    r->has_pass = r->has_pass && !r->is_lost;
    r->is_wanted = false;
    ms = pause_ms(r, result, news.retry_ms);
    tell(r, REGISTRY_NOT_HAD, buf_str(&r->why), ms);
    registry_answer(r);
    return wait_for(r, "time to register again", ms);
}

static struct err poll_suspended(struct registry *r)
{
    enum registry_status status = REGISTRY_SUSPENDED;

    if (registry_poll(r, &status, WHEN_NEVER) == REGISTRY_CANCELLED) {
        return err_of(ERR_CANCELLED);
    }
    if (status == REGISTRY_ACTIVE) {
        r->pass.grant.is_suspended = false;
        tell(r, REGISTRY_HAD, r->pass.grant.id, 0);
    } else if (status == REGISTRY_DEREGISTERED) {
        r->is_lost = true;
        r->is_wanted = true;
    }
    return ERR_OK;
}

/* There is one: until it is to be renewed, or was lost. */
static struct err keep(struct registry *r)
{
    struct err e = ERR_OK;

    while (!e.code && !r->is_wanted && !r->is_retired) {
        int64_t ms = date_is_never(r->renew) ? REGISTRY_BLOCKED_MS : r->renew.ms - clock_date().ms;

        if (ms <= 0) {
            return ERR_OK;
        }
        if (r->pass.grant.is_suspended && ms > REGISTRY_POLL_MS) {
            ms = REGISTRY_POLL_MS;
        }
        e = wait_for(r, "end of a registration", ms);
        if (!e.code && r->pass.grant.is_suspended && !r->is_wanted && !r->is_retired) {
            e = poll_suspended(r);
        }
    }
    return e;
}

static void give_back(struct registry *r)
{
    if (r->has_pass && !r->is_lost && r->deregistration.len > 0 &&
        registry_give_back(r, when_after(REGISTRY_END_MS))) {
        tell(r, REGISTRY_GIVEN_BACK, r->pass.grant.id, 0);
    }
    r->has_pass = false;
}

static void end(struct registry *r)
{
    r->is_starting = false;
    r->is_done = true;
    registry_answer(r);
}

static struct err live(struct registry *r)
{
    struct err e = ERR_OK;

    while (!e.code && !r->is_retired) {
        bool has_one = r->has_pass && !r->is_lost && r->renew.ms > clock_date().ms;

        e = has_one ? keep(r) : start(r);
    }
    r->is_starting = false;
    registry_answer(r);
    return e;
}

/* Calls of an older configuration go on; a newer one may want it again. */
static struct err linger(struct registry *r)
{
    struct when until = when_after(REGISTRY_RETIRE_MS);
    struct err e = ERR_OK;

    while (!e.code && r->is_retired) {
        e = signal_wait(&r->changed, "calls under a registration", until);
    }
    return e.code == ERR_TIMEOUT ? ERR_OK : e;
}

static void run(void *arg)
{
    struct registry *r = arg;
    struct registries *all = r->all;
    struct err e = fetch_pool_new(&r->o.pool, &r->pool, &r->why);

    if (e.code) {
        tell(r, REGISTRY_NOT_HAD, buf_str(&r->why), 0);
    }
    do {
        if (!e.code) {
            e = live(r);
        }
        if (!e.code) {
            e = linger(r);
        }
    } while (!e.code && !r->is_retired);
    r->is_done = true; /* nobody takes it any more */
    if (!e.code) {
        give_back(r);
        fetch_pool_free(r->pool, WHEN_NEVER);
        r->pool = NULL;
    }
    end(r);
    forget_ended(all); /* perhaps this one */
}

static void farewell(void *arg)
{
    give_back(arg);
}

/* ---- all of them ---- */

struct registries *registries_new(struct loop *home, registry_told_fn *told, void *ctx)
{
    struct registries *all = MEM_NEW(struct registries);

    all->home = home;
    all->told = told;
    all->ctx = ctx;
    list_init(&all->all);
    group_init(&all->fibers, "registrations", 0);
    group_init(&all->farewells, "ends of registrations", 0);
    return all;
}

void registries_begin(struct registries *all)
{
    LIST_EACH (&all->all, k) {
        REGISTRY_OF(k)->is_marked = false;
    }
}

void registries_end(struct registries *all)
{
    LIST_EACH (&all->all, k) {
        struct registry *r = REGISTRY_OF(k);

        if (!r->is_marked && !r->is_retired) {
            r->is_retired = true;
            signal_raise(&r->changed);
        }
    }
    forget_ended(all);
}

unsigned registries_count(const struct registries *all)
{
    unsigned count = 0;

    LIST_EACH (&all->all, k) {
        count++;
    }
    return count;
}

static struct str_set copy_set(const struct str_set *set, struct arena *a)
{
    struct str *items = arena_array(a, set->count, sizeof(*items));

    for (uint32_t i = 0; i < set->count; i++) {
        items[i] = arena_dup(a, set->items[i]);
    }
    return (struct str_set){items, set->count};
}

static void copy_options(struct registry *r, const struct registry_options *o)
{
    struct arena *a = &r->arena;
    struct fetch_field *fields = arena_array(a, o->field_count, sizeof(*fields));

    r->o = *o;
    r->o.trust = o->trust != NULL ? tls_trust_keep(o->trust) : NULL;
    r->o.name = arena_dup(a, o->name);
    r->o.key = arena_dup(a, o->key);
    r->o.url = arena_dup(a, o->url);
    r->o.offer.name = arena_dup(a, o->offer.name);
    r->o.offer.version = arena_dup(a, o->offer.version);
    for (int n = 0; n < REGISTRY_DIRECTIONS; n++) {
        r->o.offer.properties[n] = copy_set(&o->offer.properties[n], a);
    }
    if (o->offer.filter != NULL) {
        struct doc *filter = ARENA_NEW(a, struct doc);

        *filter = doc_copy(o->offer.filter, a);
        r->o.offer.filter = filter;
    }
    for (size_t i = 0; i < o->field_count; i++) {
        fields[i] = (struct fetch_field){arena_dup(a, o->fields[i].name),
                                         arena_dup(a, o->fields[i].value)};
    }
    r->o.fields = fields;
    r->o.pool.ca_file = arena_dup(a, o->pool.ca_file);
    r->o.pool.certificate = arena_dup(a, o->pool.certificate);
    r->o.pool.key = arena_dup(a, o->pool.key);
    r->o.pool.socket = arena_dup(a, o->pool.socket);
}

struct registry *registries_take(struct registries *all, const struct registry_options *o)
{
    struct buf why BUF_LOCAL = {0};
    struct registry *r;

    must(loop_self() == all->home);
    LIST_EACH (&all->all, k) {
        r = REGISTRY_OF(k);
        if (str_eq(r->o.key, o->key) && !r->is_done) {
            r->is_marked = true;
            r->is_retired = false;
            atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
            signal_raise(&r->changed);
            return r;
        }
    }
    r = MEM_NEW(struct registry);
    r->all = all;
    atomic_init(&r->refs, 2); /* ours, and the caller's */
    r->is_marked = true;
    r->is_starting = true;
    copy_options(r, o);
    must(fetch_target_parse(r->o.url, &r->arena, &r->target, &why).code == OK);
    signal_init(&r->changed);
    list_init(&r->waiting);
    list_push(&all->all, &r->link);
    if (group_spawn_now(&all->fibers, "registration", run, r).code != OK) {
        buf_put(&r->why, STR("there is no fiber for its registration"));
        end(r);
    }
    return r;
}

void registries_stop(struct registries *all, struct when by)
{
    LIST_EACH (&all->all, k) {
        REGISTRY_OF(k)->is_retired = true;
    }
    group_cancel(&all->fibers);
    (void)group_join(&all->fibers, WHEN_NEVER);
    LIST_EACH (&all->all, k) {
        struct registry *r = REGISTRY_OF(k);

        if (r->has_pass && r->pool != NULL) {
            (void)group_spawn_now(&all->farewells, "end of a registration", farewell, r);
        }
    }
    (void)group_join(&all->farewells, WHEN_NEVER); /* each has REGISTRY_END_MS */
    LIST_EACH (&all->all, k) {
        struct registry *r = REGISTRY_OF(k);

        if (r->pool != NULL) {
            fetch_pool_free(r->pool, by);
            r->pool = NULL;
        }
    }
}

void registries_free(struct registries *all)
{
    struct link *k;

    while ((k = list_pop(&all->all)) != NULL) {
        struct registry *r = REGISTRY_OF(k);

        must(r->pool == NULL);
        registry_drop(r);
    }
    mem_free(all);
}
