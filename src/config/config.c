#include "config/config.h"

#include "base/mem.h"
#include "config/snapshot.h"
#include "config/value.h"

struct config *config_take(struct config *cfg)
{
    atomic_fetch_add_explicit(&cfg->references, 1, memory_order_relaxed);
    return cfg;
}

void config_give(struct config *cfg)
{
    if (cfg == NULL || atomic_fetch_sub_explicit(&cfg->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    map_done(&cfg->filled);
    arena_done(&cfg->arena);
    mem_free(cfg);
}

uint64_t config_number(const struct config *cfg)
{
    return cfg->number;
}

struct str config_file(const struct config *cfg)
{
    return cfg->file;
}

struct table_state *config_state(const struct config *cfg, const struct setting_table *table)
{
    for (size_t i = 0; i < cfg->state_count; i++) {
        if (cfg->states[i].table == table) {
            return &cfg->states[i];
        }
    }
    never("a table that was not among the options");
}

const void *config_settings(const struct config *cfg, const struct setting_table *table)
{
    must(table->kind == TABLE_ONE);
    return config_state(cfg, table)->one->settings;
}

const struct config_object *config_objects(const struct config *cfg,
                                           const struct setting_table *table, size_t *count)
{
    const struct table_state *state = config_state(cfg, table);

    must(table->kind != TABLE_ONE);
    *count = state->count;
    return state->objects;
}

const struct config_object *config_object(const struct config *cfg,
                                          const struct setting_table *table, struct str name)
{
    size_t count;
    const struct config_object *objects = config_objects(cfg, table, &count);

    for (size_t i = 0; i < count; i++) {
        if (str_eq(objects[i].name, name)) {
            return &objects[i];
        }
    }
    return NULL;
}

bool config_where(const struct config *cfg, const void *settings, const char *key,
                  struct position *at)
{
    const struct filled *f = map_get_num(&cfg->filled, (uintptr_t)settings);

    must(f != NULL);
    for (size_t i = 0; i < f->table->row_count; i++) {
        if (strcmp(f->table->rows[i].key, key) == 0) {
            if (at != NULL) {
                *at = f->given[i] ? f->where[i] : f->at;
            }
            return f->given[i];
        }
    }
    never("a key that the table does not have");
}

static void compare_struct(const struct config *new, const struct setting_table *table,
                           struct str name, const void *before, const void *now,
                           struct faults *notes)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const struct setting *row = &table->rows[i];
        struct position at;

        if (row->applies != APPLIES_RESTART || value_size(row) == 0 ||
            value_same(row, (const char *)before + row->offset, (const char *)now + row->offset)) {
            continue;
        }
        config_where(new, now, row->key, &at);
        fault_note(notes, at, "%s%s%.*s%s%s changed: this takes effect when the server restarts",
                   table->key, name.len > 0 ? "." : "", STR_ARG(name),
                   table->key[0] != '\0' ? "." : "", row->key);
    }
}

void config_compare(const struct config *old, const struct config *new, struct faults *notes)
{
    for (size_t i = 0; i < new->state_count; i++) {
        const struct table_state *now = &new->states[i];
        const struct setting_table *table = now->table;

        if (table->kind == TABLE_ONE) {
            compare_struct(new, table, STR_EMPTY, config_settings(old, table), now->one->settings,
                           notes);
        }
        for (size_t k = 0; k < now->count; k++) {
            const struct config_object *before = config_object(old, table, now->objects[k].name);

            if (before != NULL) {
                compare_struct(new, table, before->name, before->settings, now->objects[k].settings,
                               notes);
            }
        }
    }
}
