#include "lookup/cache.h"

#include "base/mem.h"
#include "lookup/answer.h"

struct entry {
    struct link used;
    struct str key; /* in the arena */
    struct when until;
    size_t bytes;
    struct arena arena;
    struct lookup_answer answer;
};

void cache_init(struct cache *c, size_t entries_max, size_t bytes_max)
{
    *c = (struct cache){.entries_max = entries_max, .bytes_max = bytes_max};
    list_init(&c->used);
}

static void drop(struct cache *c, struct entry *e)
{
    must(map_take(&c->map, e->key) == e);
    list_remove(&e->used);
    c->bytes -= e->bytes;
    arena_done(&e->arena);
    mem_free(e);
}

void cache_done(struct cache *c)
{
    struct link *k;

    while ((k = list_first(&c->used)) != NULL) {
        drop(c, CONTAINER_OF(k, struct entry, used));
    }
    map_done(&c->map);
}

const struct lookup_answer *cache_get(struct cache *c, struct str key, struct when now)
{
    struct entry *e = map_get(&c->map, key);

    if (e == NULL) {
        return NULL;
    }
    if (e->until.ns <= now.ns) {
        drop(c, e);
        return NULL;
    }
    list_remove(&e->used);
    list_push(&c->used, &e->used);
    return &e->answer;
}

void cache_put(struct cache *c, struct str key, const struct lookup_answer *answer,
               struct when until)
{
    size_t bytes = sizeof(struct entry) + sizeof(struct map_slot) * 2 + key.len +
                   answer_bytes(answer);
    struct entry *e;

    cache_forget(c, key);
    if (bytes > c->bytes_max) {
        return;
    }
    while (c->map.count >= c->entries_max || c->bytes + bytes > c->bytes_max) {
        drop(c, CONTAINER_OF(list_first(&c->used), struct entry, used));
    }
    e = MEM_NEW(struct entry);
    e->key = arena_dup(&e->arena, key);
    e->until = until;
    e->bytes = bytes;
    answer_copy(&e->arena, &e->answer, answer);
    c->bytes += bytes;
    list_push(&c->used, &e->used);
    map_put(&c->map, e->key, e);
}

void cache_forget(struct cache *c, struct str key)
{
    struct entry *e = map_get(&c->map, key);

    if (e != NULL) {
        drop(c, e);
    }
}
