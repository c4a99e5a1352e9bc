/*
 * settings: admin.* and log.*, as the program reads them.
 *
 * Source    Design section 10; settings_admin.def and settings_log.def have a row for each.
 * Owns      Nothing: all belongs to a struct config.
 * Errors    admin_table.check reports what concerns several keys.
 */
#pragma once

#include "config/setting.h"

struct admin_settings {
    struct addr_list bind;
    struct str socket;   /* empty: none */
    int socket_group;    /* whether the group may use the socket too */
    struct secret token; /* for changes over TCP, and for everything off loopback */
};

struct log_settings {
    int format; /* enum log_format (runtime/log.h) */
    int level;  /* enum event_level (base/event.h) */
};

extern const struct setting_table admin_table;
extern const struct setting_table log_table;
