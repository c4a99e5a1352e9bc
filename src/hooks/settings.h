/*
 * settings: hooks, the programs over HTTP that are asked about mail. settings.def has the rows.
 *
 * Owns      Nothing: each struct lives in the snapshot (config/config.h).
 * Errors    hooks_table.check reports what concerns several keys; chain_load (chain.h) the
 *           expressions.
 */
#pragma once

#include "config/setting.h"
#include "hooks/model.h"

/* What is done when a filter gives no answer. */
enum filter_failure {
    FAILURE_UNSAID, /* as `tempfail-on-error` says */
    FAILURE_ACCEPT, /* as if it were not there */
    FAILURE_TEMPFAIL,
    FAILURE_REJECT,
    FAILURE_QUARANTINE
};
extern const struct setting_choice filter_failures[];

enum hook_dialect_name { DIALECT_CLASSIC, DIALECT_DRAFT_01, DIALECT_DRAFT_02 };

enum hook_format { FORMAT_JSON, FORMAT_CBOR };

/* What a draft hook's answer that cannot be used counts as. */
enum malformed_answer { MALFORMED_NONE, MALFORMED_FAILURE };

struct hook_settings { /* hooks, each with a name */
    struct str name;
    struct str url;
    enum hook_dialect_name dialect;
    struct str_list stages;
    struct expression enable;
    int64_t timeout_ms;
    bool tempfail_on_error;
    enum filter_failure on_connect, on_ehlo, on_mail, on_rcpt, on_data;
    uint64_t response_bytes_max;
    uint32_t concurrency, queue, connections;
    int64_t idle_ms;
    struct str basic_user;
    struct secret basic_secret, bearer_token;
    struct str_list headers;
    struct str tls_ca, tls_certificate, tls_key;
    bool tls_allow_invalid_certs;
    struct str_list allow;
    bool shadow, allow_plain, classic_strict, dialect_extensions;
    enum hook_format format;
    bool discover, require_all_stages, strict, may_weaken, disclose_filter;
    struct str_list properties;
    enum malformed_answer on_malformed;
    struct str filter;
    uint32_t breaker_failures;
    int64_t breaker_pause_ms;
    int64_t order;
    struct str description;
};

extern const struct setting_table hooks_table;

/* Bits of the stages named. */
unsigned filter_stages(const struct str_list *names);
/* The same for `check`: 0 and a fault when one is no stage, or none of those `offered`. `of`:
 * "hooks" or "milters". */
enum { STAGES_INBOUND = (1 << HOOK_ROUTE) - 1 };
unsigned filter_stages_check(const struct str_list *names, unsigned offered, const char *of,
                             struct str name, struct position at, struct faults *faults);
