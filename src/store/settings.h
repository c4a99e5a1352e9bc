/*
 * settings: the keys below `store`, and the store's options from them.
 *
 * Owns      Nothing: the struct belongs to its configuration snapshot.
 */
#pragma once

#include "config/setting.h"
#include "store/store.h"

struct store_settings {
    struct str path;
    uint64_t segment_bytes;
    uint64_t min_free_bytes;
    uint64_t cache_bytes;
    uint32_t node;
};

extern const struct setting_table store_table;

struct store_options store_options_of(const struct store_settings *s);
