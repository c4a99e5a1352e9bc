/*
 * settings: lookup.NAME, the stores that expressions may ask. settings.def has the rows.
 *
 * Owns      Nothing: each struct lives in the snapshot (config/config.h).
 */
#pragma once

#include "config/setting.h"
#include "lookup/lookup.h"

enum store_type { STORE_FILE, STORE_REDIS, STORE_SQLITE, STORE_POSTGRESQL, STORE_TYPES };

struct lookup_settings { /* lookup.NAME */
    enum store_type type;
    struct str path;     /* file, sqlite */
    struct addr address; /* redis, postgresql; family 0: by `socket` */
    uint32_t port;       /* 0: the type's own */
    struct str socket;   /* redis: the socket; postgresql: its folder */
    struct str username;
    struct secret password;
    struct str database; /* redis: a number; postgresql: a name */
    struct str prefix;   /* redis */
    struct str query;    /* sqlite, postgresql: what key_get asks */
    int64_t timeout_ms;
    uint32_t pool;
    int64_t ttl_ms, negative_ttl_ms;
    uint32_t cache_entries;
    uint64_t cache_bytes;
    struct str description;
};

extern const struct setting_table lookup_table;

const char *store_type_name(enum store_type type); /* "redis" */
/* LOOKUP_VERB_BITs of what such a store can be asked. */
unsigned lookup_verbs(const struct lookup_settings *s);
