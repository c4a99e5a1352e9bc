/* settings: the keys under `resolver`. */
#pragma once

#include "config/setting.h"

struct resolver_settings {
    struct addr_list servers;
    struct str trust_anchor;
    int64_t timeout_ms;
    uint64_t cache_bytes;
};

extern const struct setting_table resolver_table;
