/*
 * settings: the keys below `queue.quarantine`.
 *
 * Owns      Nothing: the struct belongs to its configuration snapshot.
 */
#pragma once

#include "config/setting.h"

struct quarantine_settings {
    int64_t hold_max_ms;
};

extern const struct setting_table quarantine_table;
