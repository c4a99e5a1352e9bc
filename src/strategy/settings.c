#include "strategy/settings.h"

#include "base/check.h"

static const struct setting_choice notify_modes[] = {
    {"relative", NOTIFY_RELATIVE}, {"absolute", NOTIFY_ABSOLUTE}, {NULL, 0}};
static const struct setting_choice route_types[] = {
    {"mx", ROUTE_MX},           {"relay", ROUTE_RELAY},   {"local", ROUTE_LOCAL},
    {"discard", ROUTE_DISCARD}, {"reject", ROUTE_REJECT}, {NULL, 0}};
static const struct setting_choice route_protocols[] = {
    {"smtp", PROTOCOL_SMTP}, {"lmtp", PROTOCOL_LMTP}, {NULL, 0}};
static const struct setting_choice route_delivers[] = {
    {"lmtp", DELIVER_LMTP}, {"maildir", DELIVER_MAILDIR}, {"pipe", DELIVER_PIPE}, {NULL, 0}};
static const struct setting_choice ip_lookups[] = {{"ipv4_then_ipv6", IP_V4_THEN_V6},
                                                   {"ipv6_then_ipv4", IP_V6_THEN_V4},
                                                   {"ipv4_only", IP_V4_ONLY},
                                                   {"ipv6_only", IP_V6_ONLY},
                                                   {NULL, 0}};
static const struct setting_choice eight_bits[] = {
    {"bounce", EIGHT_BIT_BOUNCE}, {"send", EIGHT_BIT_SEND}, {NULL, 0}};
static const struct setting_choice starttls_policies[] = {
    {"optional", TLS_OPTIONAL}, {"if-offered", TLS_IF_OFFERED}, {"require", TLS_REQUIRE},
    {"disable", TLS_DISABLE},   {"required", TLS_REQUIRE},      {"disabled", TLS_DISABLE},
    {"none", TLS_DISABLE},      {"false", TLS_DISABLE},         {NULL, 0}};
/* The words of Stalwart for the same three. */
static const struct setting_choice tls_policies[] = {
    {"optional", TLS_OPTIONAL}, {"require", TLS_REQUIRE},
    {"disable", TLS_DISABLE},   {"required", TLS_REQUIRE},
    {"disabled", TLS_DISABLE},  {"none", TLS_DISABLE},
    {"false", TLS_DISABLE},     {NULL, 0}};

#define SETTINGS_OF struct virtual_settings
static const struct setting virtual_rows[] = {
#define SECTION_VIRTUAL
#include "strategy/settings.def"
#undef SECTION_VIRTUAL
};
#undef SETTINGS_OF

#define SETTINGS_OF struct schedule_settings
static const struct setting schedule_rows[] = {
#define SECTION_SCHEDULE
#include "strategy/settings.def"
#undef SECTION_SCHEDULE
};
#undef SETTINGS_OF

#define SETTINGS_OF struct route_settings
static const struct setting route_rows[] = {
#define SECTION_ROUTE
#include "strategy/settings.def"
#undef SECTION_ROUTE
};
#undef SETTINGS_OF

#define SETTINGS_OF struct connection_settings
static const struct setting connection_rows[] = {
#define SECTION_CONNECTION
#include "strategy/settings.def"
#undef SECTION_CONNECTION
};
#undef SETTINGS_OF

#define SETTINGS_OF struct source_ip_settings
static const struct setting source_ip_rows[] = {
#define SECTION_SOURCE_IP
#include "strategy/settings.def"
#undef SECTION_SOURCE_IP
};
#undef SETTINGS_OF

#define SETTINGS_OF struct tls_settings
static const struct setting tls_rows[] = {
#define SECTION_TLS
#include "strategy/settings.def"
#undef SECTION_TLS
};
#undef SETTINGS_OF

#define SETTINGS_OF struct limiter_settings
static const struct setting limiter_rows[] = {
#define SECTION_LIMITER
#include "strategy/settings.def"
#undef SECTION_LIMITER
};
#undef SETTINGS_OF

#define SETTINGS_OF struct limiter_settings
static const struct setting visitor_limiter_rows[] = {
#define SECTION_VISITOR_LIMITER
#include "strategy/settings.def"
#undef SECTION_VISITOR_LIMITER
};
#undef SETTINGS_OF

#define SETTINGS_OF struct quota_settings
static const struct setting quota_rows[] = {
#define SECTION_QUOTA
#include "strategy/settings.def"
#undef SECTION_QUOTA
};
#undef SETTINGS_OF

static const struct setting_choice meta_kinds[] = {
    {"string", META_STRING}, {"integer", META_INTEGER}, {"boolean", META_BOOLEAN}, {NULL, 0}};

#define SETTINGS_OF struct meta_settings
static const struct setting meta_rows[] = {
#define SECTION_META
#include "strategy/settings.def"
#undef SECTION_META
};
#undef SETTINGS_OF

#define SETTINGS_OF struct strategy_settings
static const struct setting strategy_rows[] = {
#define SECTION_STRATEGY
#include "strategy/settings.def"
#undef SECTION_STRATEGY
};
#undef SETTINGS_OF

const struct setting_table virtual_table = {
    .key = "queue.virtual",
    .kind = TABLE_NAMED,
    .prose = "A virtual queue: a named set of slots with its own waiting mail. Its backlog never "
             "delays another queue's.",
    .builtin = "local: { concurrency: 25 }\n"
               "remote: { concurrency: 100 }\n"
               "dsn: { concurrency: 10 }\n"
               "report: { concurrency: 5 }\n"
               "default: { concurrency: 25 }\n",
    .rows = virtual_rows,
    .row_count = COUNT_OF(virtual_rows),
    .size = sizeof(struct virtual_settings),
};

const struct setting_table schedule_table = {
    .key = "queue.schedule",
    .kind = TABLE_NAMED,
    .prose = "A schedule: when a recipient is tried again, when its sender is told, when we give "
             "up, and in which virtual queue it waits. `default` serves where the strategy fails.",
    .builtin = "local: { queue-name: local, retry: [2m, 5m, 10m, 15m, 30m, 1h, 2h], "
               "notify: [1d, 2d], expire: 5d }\n"
               "remote: { queue-name: remote, retry: [2m, 5m, 10m, 15m, 30m, 1h, 2h], "
               "notify: [1d, 2d], expire: 5d }\n"
               "dsn: { queue-name: dsn, retry: [15m, 30m, 1h, 2h], max-attempts: 10 }\n"
               "report: { queue-name: report, retry: [30m, 1h, 2h], max-attempts: 8 }\n"
               "default: { queue-name: default, retry: [2m, 5m, 10m, 15m, 30m, 1h, 2h], "
               "notify: [1d, 2d], expire: 5d }\n",
    .rows = schedule_rows,
    .row_count = COUNT_OF(schedule_rows),
    .size = sizeof(struct schedule_settings),
};

const struct setting_table route_table = {
    .key = "queue.route",
    .kind = TABLE_NAMED,
    .prose = "A route: where mail goes.",
    .builtin = "mx: { type: mx }\n",
    .rows = route_rows,
    .row_count = COUNT_OF(route_rows),
    .size = sizeof(struct route_settings),
};

const struct setting_table connection_table = {
    .key = "queue.connection",
    .kind = TABLE_NAMED,
    .prose = "How a connection to another host is made, and how long each step may take.",
    .builtin = "default: {}\n",
    .rows = connection_rows,
    .row_count = COUNT_OF(connection_rows),
    .size = sizeof(struct connection_settings),
};

const struct setting_table source_ip_table = {
    .key = "queue.source-ip",
    .kind = TABLE_NAMED,
    .is_by_ip = true,
    .prose = "What is particular about one of the addresses that `source-ips` of connections name.",
    .rows = source_ip_rows,
    .row_count = COUNT_OF(source_ip_rows),
    .size = sizeof(struct source_ip_settings),
};

const struct setting_table tls_table = {
    .key = "queue.tls",
    .kind = TABLE_NAMED,
    .prose = "What a host must offer before mail is sent to it. To try once with care and then as "
             "it comes, let a rule choose: `{ if: \"retry_num > 0 && last_error == 'tls'\", use: "
             "invalid-tls }` before one that uses an object with `starttls: if-offered`.",
    .builtin = "default: {}\n"
               "invalid-tls: { starttls: optional, allow-invalid-certs: true }\n",
    .rows = tls_rows,
    .row_count = COUNT_OF(tls_rows),
    .size = sizeof(struct tls_settings),
};

const struct setting_table limiter_table = {
    .key = "queue.limiter.outbound",
    .kind = TABLE_NAMED,
    .prose = "A limit on mail that leaves: how much in a time, or at once. All limits that count a "
             "message must have room before any is used; one that spans virtual queues is shared "
             "by turns among those that wait for it.",
    .rows = limiter_rows,
    .row_count = COUNT_OF(limiter_rows),
    .size = sizeof(struct limiter_settings),
};

const struct setting_table visitor_limiter_table = {
    .key = "queue.limiter.inbound",
    .kind = TABLE_NAMED,
    .prose =
        "A limit on mail that arrives: how much in a time, or at once. All limits that count a "
        "client, a sender or a recipient must have room before any is used; else it is told to "
        "come later. A reload keeps what was counted by those that stay as they are.",
    .rows = visitor_limiter_rows,
    .row_count = COUNT_OF(visitor_limiter_rows),
    .size = sizeof(struct limiter_settings),
};

const struct setting_table quota_table = {
    .key = "queue.quota",
    .kind = TABLE_NAMED,
    .prose =
        "How much mail may wait. A message that one of its quotas has no room for is put off at "
        "the end of data (452 4.3.1); what was let in counts until it has ended, over restarts "
        "too. Reports are not counted.",
    .rows = quota_rows,
    .row_count = COUNT_OF(quota_rows),
    .size = sizeof(struct quota_settings),
};

const struct setting_table meta_table = {
    .key = "meta",
    .kind = TABLE_NAMED,
    .short_row = "type",
    .prose =
        "Values that filters may give a message at the end of its data, which expressions about "
        "queued mail then read as `meta.NAME`: strategies, lanes, limiters and quotas, `queue "
        "--where`. A message that was given none has an empty text, 0 or false. At most 32 names, "
        "of small letters, digits and `_`.",
    .rows = meta_rows,
    .row_count = COUNT_OF(meta_rows),
    .size = sizeof(struct meta_settings),
    .check = meta_check,
};

const struct setting_table strategy_table = {
    .key = "queue.strategy",
    .kind = TABLE_ONE,
    .prose = "The rules that choose among the objects above for each recipient. A rule is `if`, "
             "an expression, with `use`, a name, or `then`, an expression that yields a name; the "
             "last rule has no `if`.",
    .rows = strategy_rows,
    .row_count = COUNT_OF(strategy_rows),
    .size = sizeof(struct strategy_settings),
};
