/*
 * snapshot: the body of struct config, shared by load.c, which fills it, and config.c, which hands
 * it out. Nobody else includes this.
 */
#pragma once

#include "base/map.h"
#include "config/config.h"

#include <stdatomic.h>

/* One struct of settings, and which of its rows the file gives where. */
struct filled {
    const struct setting_table *table;
    void *settings;
    struct position at;
    struct position *where; /* one a row */
    bool *given;
};

struct table_state {
    const struct setting_table *table;
    struct filled *one;            /* TABLE_ONE */
    struct config_object *objects; /* the others */
    size_t count, size;
};

struct config {
    struct arena arena;
    _Atomic uint64_t references;
    uint64_t number;
    struct str file;
    struct table_state *states;
    size_t state_count;
    struct map filled; /* by the address of `settings` */
};

struct table_state *config_state(const struct config *cfg, const struct setting_table *table);
