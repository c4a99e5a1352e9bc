/*
 * settings: what the configuration says about queues, schedules, routes, connections, TLS and the
 * strategies that choose among them. settings.def has the rows.
 *
 * Owns      Nothing: each struct lives in the snapshot (config/config.h).
 */
#pragma once

#include "config/setting.h"
#include "mail/envelope.h"

struct virtual_settings { /* queue.virtual.NAME */
    uint32_t concurrency;
    struct str description;
    uint32_t max_share_percent;
    int64_t slow_after_ms;
    struct rules fair_by, weight;
    uint32_t lanes_max;
    int64_t aging_ms;
    struct rate rate;
    bool hold;
};

enum notify_mode { NOTIFY_RELATIVE, NOTIFY_ABSOLUTE };

struct schedule_settings { /* queue.schedule.NAME */
    struct str queue_name;
    struct duration_list retry, notify;
    enum notify_mode notify_mode;
    int64_t expire_ms;     /* 0: not given */
    uint32_t max_attempts; /* 0: not given */
    uint32_t retry_jitter_percent;
    struct str description;
};

enum route_type { ROUTE_MX, ROUTE_RELAY, ROUTE_LOCAL, ROUTE_DISCARD, ROUTE_REJECT };
enum route_protocol { PROTOCOL_SMTP, PROTOCOL_LMTP };
enum route_deliver { DELIVER_LMTP, DELIVER_MAILDIR, DELIVER_PIPE };
enum ip_lookup { IP_V4_THEN_V6, IP_V6_THEN_V4, IP_V4_ONLY, IP_V6_ONLY };

struct route_settings { /* queue.route.NAME */
    enum route_type type;
    struct str address;           /* relay, local by LMTP */
    struct target_list addresses; /* relay, in place of address; see plan_route.targets */
    uint32_t port;                /* 0: 25, or 24 for LMTP; see plan_route.port */
    bool allow_loopback;          /* mx */
    enum ip_lookup ip_lookup;
    uint32_t hosts_max, addresses_max; /* mx */
    enum route_protocol protocol;      /* relay */
    bool tls_implicit;                 /* relay */
    bool tls_allow_invalid_certs;      /* relay */
    enum route_deliver deliver;        /* local */
    struct str path;                   /* local by maildir */
    struct str_list command;           /* local by pipe; see plan_route.command */
    int64_t command_ms;
    struct str auth_username; /* relay */
    struct secret auth_secret;
    bool allow_plaintext_auth;
    uint32_t reply_code; /* reject */
    struct str reply_text;
    struct str description;
};

enum eight_bit { EIGHT_BIT_BOUNCE, EIGHT_BIT_SEND };

struct source_ip_settings {   /* queue.source-ip.ADDRESS */
    struct str ehlo_hostname; /* empty: the connection's */
    uint32_t weight;
    struct str description;
};

struct connection_settings {     /* queue.connection.NAME */
    struct addr_list source_ips; /* see plan_connection.sources */
    struct str ehlo_hostname;    /* empty: plan_connection.ehlo_hostname has the server's */
    int64_t connect_ms, greeting_ms, ehlo_ms, mail_from_ms, rcpt_to_ms, data_ms;
    struct duration_list rest;
    enum eight_bit eight_bit;
    int64_t idle_ms;
    uint32_t rcpts_per_transaction;
    uint32_t turn_messages; /* what a slot may carry before others have their turn */
    int64_t turn_ms;
    struct str description;
};

/* From weak to strong. IF_OFFERED is for starttls alone. */
enum tls_policy { TLS_DISABLE, TLS_OPTIONAL, TLS_IF_OFFERED, TLS_REQUIRE };

struct tls_settings { /* queue.tls.NAME */
    enum tls_policy starttls, dane, mta_sts;
    bool allow_invalid_certs;
    int64_t handshake_ms, mta_sts_ms;
    struct str description;
};

struct limiter_settings { /* queue.limiter.outbound.NAME, queue.limiter.inbound.NAME */
    bool enable;
    struct expression match; /* empty: always */
    struct str_list key;
    struct rate rate;
    uint32_t concurrency;
    bool include_local; /* outbound */
    struct str description;
};

struct quota_settings { /* queue.quota.NAME */
    bool enable;
    struct expression match; /* empty: always (PY-24) */
    struct str_list key;
    uint64_t messages_max, bytes_max; /* 0: not given */
    struct str description;
};

struct meta_settings { /* meta.NAME */
    enum meta_kind kind;
    struct str description;
};

struct strategy_settings { /* queue.strategy */
    struct rules schedule, route, connection, tls;
};

extern const struct setting_table virtual_table, schedule_table, route_table, connection_table,
    source_ip_table, tls_table, strategy_table, limiter_table, visitor_limiter_table, quota_table,
    meta_table;

void meta_check(const struct config *cfg, struct faults *faults);
