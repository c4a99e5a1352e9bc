/*
 * milter_settings: one entry of `milters`; settings_milter.def has the rows.
 *
 * Owns      Nothing: each struct lives in the snapshot (config/config.h).
 */
#pragma once

#include "hooks/settings.h"

struct milter_settings { /* milters */
    struct str name;
    struct str address;
    struct str_list stages;
    struct expression enable;
    enum filter_failure on_failure;
    uint32_t protocol;
    int64_t connect_timeout_ms, timeout_ms, message_timeout_ms, stage_timeout_ms;
    uint64_t response_bytes_max;
    uint32_t concurrency, queue;
    uint32_t breaker_failures;
    int64_t breaker_pause_ms;
    bool shadow;
    int64_t order;
    struct str description;
};

extern const struct setting_table milters_table;
