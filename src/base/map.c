#include "base/map.h"

#include "base/mem.h"

static uint64_t hash_number(uint64_t key, uint64_t seed)
{
    uint64_t h = (key ^ seed) * 0x9e3779b97f4a7c15u;

    h ^= h >> 32;
    h *= 0xff51afd7ed558ccdu;
    return h ^ h >> 29;
}

static struct str number_key(uint64_t key)
{
    return (struct str){NULL, (size_t)key};
}

static bool same(const struct map_slot *s, struct str key, uint64_t hash)
{
    if (s->hash != hash || s->key.len != key.len) {
        return false;
    }
    if (s->key.ptr == NULL || key.ptr == NULL) {
        return s->key.ptr == key.ptr;
    }
    return str_eq(s->key, key);
}

/* The slot that holds key, or the free one where it would go. Needs a free slot. */
static struct map_slot *find(const struct map *m, struct str key, uint64_t hash)
{
    size_t at = hash & (m->size - 1);

    while (m->slots[at].value != NULL && !same(&m->slots[at], key, hash)) {
        at = (at + 1) & (m->size - 1);
    }
    return &m->slots[at];
}

static void grow(struct map *m)
{
    struct map old = *m;

    m->size = old.size ? old.size * 2 : 16;
    m->slots = mem_array(m->size, sizeof *m->slots);
    for (size_t i = 0; i < old.size; i++) {
        if (old.slots[i].value != NULL) {
            *find(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
        }
    }
    mem_free(old.slots);
}

static void put(struct map *m, struct str key, uint64_t hash, void *value)
{
    struct map_slot *s;

    must(value != NULL);
    if (m->count * 4 >= m->size * 3) {
        grow(m);
    }
    s = find(m, key, hash);
    m->count += s->value == NULL;
    *s = (struct map_slot){key, hash, value};
}

static void *take(struct map *m, struct str key, uint64_t hash)
{
    struct map_slot *s = m->size ? find(m, key, hash) : NULL;
    void *value = s ? s->value : NULL;
    size_t hole, at;

    if (value == NULL) {
        return NULL;
    }
    /* Close the gap: move back each later entry of the run that may stand in the hole. */
    hole = at = (size_t)(s - m->slots);
    for (;;) {
        size_t home;

        at = (at + 1) & (m->size - 1);
        if (m->slots[at].value == NULL) {
            break;
        }
        home = m->slots[at].hash & (m->size - 1);
        if (((at - home) & (m->size - 1)) >= ((at - hole) & (m->size - 1))) {
            m->slots[hole] = m->slots[at];
            hole = at;
        }
    }
    m->slots[hole] = (struct map_slot){0};
    m->count--;
    return value;
}

void *map_get(const struct map *m, struct str key)
{
    return m->size ? find(m, key, str_hash(key, m->seed))->value : NULL;
}

void map_put(struct map *m, struct str key, void *value)
{
    put(m, key, str_hash(key, m->seed), value);
}

void *map_take(struct map *m, struct str key)
{
    return take(m, key, str_hash(key, m->seed));
}

void *map_get_num(const struct map *m, uint64_t key)
{
    return m->size ? find(m, number_key(key), hash_number(key, m->seed))->value : NULL;
}

void map_put_num(struct map *m, uint64_t key, void *value)
{
    put(m, number_key(key), hash_number(key, m->seed), value);
}

void *map_take_num(struct map *m, uint64_t key)
{
    return take(m, number_key(key), hash_number(key, m->seed));
}

void *map_each(const struct map *m, size_t *at)
{
    while (*at < m->size) {
        void *value = m->slots[(*at)++].value;

        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}

void map_done(struct map *m)
{
    mem_free(m->slots);
    *m = (struct map){.seed = m->seed};
}
