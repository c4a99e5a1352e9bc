/*
 * settings: server.* and listeners.*, as the program reads them.
 *
 * Source    Design section 10; settings.def and settings_listener.def have a row for each.
 * Owns      Nothing: all belongs to a struct config.
 * Errors    server_table.check and listeners_table.check report what concerns several keys.
 */
#pragma once

#include "config/setting.h"

/* Of one header section, whatever its size: each field is work for every filter. No setting. */
enum { INTAKE_FIELDS_MAX = 20000 };

struct server_settings {
    struct str hostname; /* empty: the system's */
    struct str_list local_domains;
    struct str local_recipients, aliases; /* files; empty: none */
    struct str recipient_delimiter;       /* a set of bytes */
    struct str postmaster;
    struct cidr_list trusted_networks;
    bool open_relay;
    struct str tls_certificate, tls_key;
    uint64_t memory_bytes; /* 0: not set */

    uint32_t sessions_max, sessions_per_address;
    uint64_t message_bytes_max, header_bytes_max;
    int64_t hold_ms_max, deliver_by_ms_min; /* the latter 0: none */
    uint32_t recipients_max, received_max;
    uint64_t line_bytes_max;
    uint32_t errors_max, refusals_max, commands_max;
    int64_t idle_ms, data_ms, message_ms;
};

enum submission { SUBMISSION_AUTO, SUBMISSION_TRUE, SUBMISSION_FALSE };

/* Who may wish for something. */
enum wishers { WISHERS_TRUSTED, WISHERS_ALL, WISHERS_NONE };

struct wishes {
    enum wishers future_release, deliver_by, mt_priority;
};

struct listener_settings {
    struct addr_list bind;
    enum submission submission;
    bool starttls;
    struct wishes wishes;
};

extern const struct setting_table server_table;
extern const struct setting_table
    listeners_table; /* built-in ones count only if none is declared */
