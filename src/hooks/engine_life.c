/* The engine over all sessions: its states by name, and the connections of each loop. */
#include "base/map.h"
#include "base/mem.h"
#include "hooks/engine.h"
#include "hooks/events.h"
#include "hooks/registry.h"
#include "runtime/log.h"
#include "tls/tls.h"

struct engine_pool {
    struct engine_pool *next;
    struct fetch_pool *pool;
    struct tls_trust *trust;
    struct str name, key;
    struct arena arena;
    uint32_t users;
};

struct engine_loop {
    struct loop *loop;
    struct engine_pool *pools; /* its own: made, used and given up there */
};

struct engine {
    struct loop *home;
    struct filter_world world;
    _Atomic(struct filter_state *) states; /* newest first; only home adds, none goes */
    struct engine_loop *loops;
    unsigned loop_count;
};

static void registry_told(void *ctx, struct str name, enum registry_told what, struct str text,
                          int64_t next_ms)
{
    static const struct event_kind *const kinds[] = {
        [REGISTRY_HAD] = &ev_hook_registered,
        [REGISTRY_IS_SUSPENDED] = &ev_hook_suspended,
        [REGISTRY_NOT_HAD] = &ev_hook_not_registered,
        [REGISTRY_GIVEN_BACK] = &ev_hook_deregistered,
    };

    (void)ctx;
    event_raise(kinds[what], f_name(name), f_text(text), f_duration(next_ms * 1000));
}

struct engine *engine_new(const struct engine_options *o)
{
    struct engine *e = MEM_NEW(struct engine);

    e->home = o->home;
    e->world.engine = e;
    e->world.registries = registries_new(o->home, o->told != NULL ? o->told : registry_told,
                                         o->told_ctx);
    e->loop_count = o->loop_count;
    e->loops = mem_array(o->loop_count, sizeof *e->loops);
    for (unsigned i = 0; i < o->loop_count; i++) {
        e->loops[i].loop = o->loops[i];
    }
    return e;
}

void engine_use_dns(struct engine *e, struct dns *dns)
{
    e->world.dns = dns;
}

static struct filter_state *state_for(struct engine *e, const struct chain_item *item)
{
    struct filter_state *first = atomic_load(&e->states), *s;

    for (s = first; s != NULL; s = s->next) {
        if (str_eq(s->name, item->name) && s->kind == item->kind->name) {
            return s;
        }
    }
    s = MEM_NEW(struct filter_state);
    s->name = str_make(mem_dup_z(item->name.ptr, item->name.len), item->name.len);
    s->kind = item->kind->name;
    s->home = e->home;
    gate_init(&s->gate);
    s->next = first;
    atomic_store(&e->states, s);
    return s;
}

void engine_use(struct engine *e, struct chain *c)
{
    must(loop_self() == e->home);
    registries_begin(e->world.registries);
    for (uint32_t i = 0; c != NULL && i < c->count; i++) {
        struct chain_item *item = &c->items[i];

        item->state = state_for(e, item);
        item->state->limits = item->limits;
        if (item->kind->attach != NULL) {
            item->kind->attach(item->filter, &e->world);
        }
    }
    registries_end(e->world.registries);
}

void engine_home_stop(struct engine *e, struct when by)
{
    registries_stop(e->world.registries, by);
}

unsigned engine_registrations(const struct engine *e)
{
    return registries_count(e->world.registries);
}

void engine_each(const struct engine *e, void (*fn)(void *ctx, const struct filter_state *s),
                 void *ctx)
{
    for (struct filter_state *s = atomic_load(&e->states); s != NULL; s = s->next) {
        fn(ctx, s);
    }
}

/* ---- connections ---- */

static struct engine_loop *here(struct engine *e)
{
    for (unsigned i = 0; i < e->loop_count; i++) {
        if (e->loops[i].loop == loop_self()) {
            return &e->loops[i];
        }
    }
    never("filters are asked on the loops that were named");
}

static void pool_free(struct engine_pool *p, struct when by)
{
    fetch_pool_free(p->pool, by);
    tls_trust_drop(p->trust);
    arena_done(&p->arena);
    mem_free(p);
}

/* What an older configuration led to, once nobody uses it. */
static void drop_old(struct engine_loop *l, struct str name, struct str key, struct when by)
{
    struct engine_pool **at = &l->pools;

    while (*at != NULL) {
        struct engine_pool *p = *at;

        if (str_eq(p->name, name) && !str_eq(p->key, key) && p->users == 0) {
            *at = p->next;
            pool_free(p, by);
            at = &l->pools; /* freeing may have waited */
        } else {
            at = &p->next;
        }
    }
}

static struct engine_pool *find(const struct engine_loop *l, struct str name, struct str key)
{
    for (struct engine_pool *p = l->pools; p != NULL; p = p->next) {
        if (str_eq(p->name, name) && str_eq(p->key, key)) {
            return p;
        }
    }
    return NULL;
}

struct engine_pool *engine_pool_take(struct engine *e, struct str name, struct str key,
                                     const struct fetch_pool_options *options,
                                     struct tls_trust *trust, struct fetch_pool **ret,
                                     struct buf *why, struct when by)
{
    struct engine_loop *l = here(e);
    struct engine_pool *p = find(l, name, key);

    if (p == NULL) {
        p = MEM_NEW(struct engine_pool);
        if (fetch_pool_new(options, &p->pool, why).code != OK) {
            mem_free(p);
            return NULL;
        }
        p->trust = trust != NULL ? tls_trust_keep(trust) : NULL;
        p->name = arena_dup(&p->arena, name);
        p->key = arena_dup(&p->arena, key);
        p->next = l->pools;
        l->pools = p;
        p->users++;
        drop_old(l, p->name, p->key, by);
        p->users--;
    }
    p->users++;
    *ret = p->pool;
    return p;
}

void engine_pool_give(struct engine_pool *p)
{
    must(p->users > 0);
    p->users--;
}

void engine_loop_stop(struct engine *e, struct when by)
{
    struct engine_loop *l = here(e);

    while (l->pools != NULL) {
        struct engine_pool *p = l->pools;

        l->pools = p->next;
        pool_free(p, by);
    }
}

void engine_free(struct engine *e)
{
    struct filter_state *s = atomic_load(&e->states);

    for (unsigned i = 0; i < e->loop_count; i++) {
        must(e->loops[i].pools == NULL);
    }
    while (s != NULL) {
        struct filter_state *next = s->next;

        mem_free((void *)(uintptr_t)s->name.ptr);
        mem_free(s);
        s = next;
    }
    registries_free(e->world.registries);
    mem_free(e->loops);
    mem_free(e);
}
