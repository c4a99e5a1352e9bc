/*
 * setting: a configuration key as one row of a table: type, bounds, default, unit, effect of a
 * reload, prose. The parser, `check`, the JSON Schema and the reference manual all come from it.
 *
 * Owns      Nothing: tables are static const in the folder whose keys they are.
 * Limits    Object names: 1 to 32 letters, digits, '.', '_', '-' (NAME_BYTES_MAX).
 * Errors    None here; config_load answers them.
 *
 * A folder writes a table in three steps. Its settings.h says what the program reads:
 *
 *     struct log_settings {
 *         int format;                  CHOICE: an enum or int
 *         uint32_t lines_max;          U32
 *         int64_t flush_ms;            DURATION, in milliseconds
 *         struct addr_list bind;       a list of ADDRESS
 *     };
 *     extern const struct setting_table log_table;
 *
 * Its settings.def says how people write it (min and max count in the stored unit; 0, 0: any;
 * n, 0: at least n; for text they bound the bytes, in a list they bound each item):
 *
 *     (key, type, member, default, min, max, unit, applies, what it means)
 *     SETTING_CHOICE("format", log_formats, format, "json", RELOAD, "how lines look")
 *     SETTING("lines-max", U32, lines_max, "10000", 1, 1000000, "lines", RESTART, "…")
 *     SETTING("flush", DURATION, flush_ms, "100ms", 1, 60000, "", RELOAD, "…")
 *     SETTING_LIST("bind", ADDRESS, bind, "[\"127.0.0.1:8025\"]", 0, 0, "", RESTART, "…")
 *     SETTING("tls.key", FILE, tls_key, "", 0, 0, "", RELOAD, "…")         nested: tls: { key: … }
 *     ALIAS("max-lines", "lines-max")
 *     RESERVED("syslog", "it comes with a later release")
 *
 * Its settings.c joins the two:
 *
 *     static const struct setting_choice log_formats[] = {{"json", LOG_JSON}, {"text", LOG_TEXT},
 *                                                         {NULL, 0}};
 *     #define SETTINGS_OF struct log_settings
 *     static const struct setting rows[] = {
 *     #include "log/settings.def"
 *     };
 *     #undef SETTINGS_OF
 *     const struct setting_table log_table = {
 *         .key = "log", .kind = TABLE_ONE, .prose = "The log.",
 *         .rows = rows, .row_count = COUNT_OF(rows), .size = sizeof(struct log_settings)};
 *
 * A default is written as in the file (YAML). "" means not set: the member stays all zero and no
 * bound is checked. NULL means that the key must be given. Whether it was given, and where, says
 * config_where (config/config.h).
 *
 * A table of named objects (TABLE_NAMED: queue.virtual.NAME, listeners.NAME) or a list of objects
 * (TABLE_LIST: hooks, each with `name`) fills one struct an object. `builtin` is YAML for objects
 * that stand wherever no object of that name is declared. `check` is called once all tables are
 * filled, for what concerns more than one key.
 */
#pragma once

#include "base/addr.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NAME_BYTES_MAX = 32, SETTING_ITEMS_MAX = 1000, SETTING_OBJECTS_MAX = 1000 };

/* Where something stands. line 0: nowhere, it is built in. Columns count characters from 1. */
struct position {
    struct str file;
    uint32_t line, col;
};

/* The text of an expression; strategy/ and others compile it. `at` is its first character. */
struct expression {
    struct str text; /* empty: none was given */
    struct position at;
};

/* One rule of a list: `if` C `use` NAME, `if` C `then` EXPRESSION; without `if` it is the last.
 * `else` EXPRESSION is read as `then` without `if`, and a text in place of the list as one rule. */
struct rule {
    struct position at;
    struct expression condition; /* text empty: unconditional */
    struct str use;              /* empty: `value` computes the name */
    struct position use_at;
    struct expression value;
};

struct secret {
    struct str text; /* from the file, the environment or the configuration itself */
    bool is_given;
};

/* One of several hosts that serve the same: a name, or { address, port, priority, weight }. */
struct target {
    struct str host;
    uint32_t port;     /* 0: not given */
    uint32_t priority; /* the smallest first */
    uint32_t weight;   /* among those of one priority; 0: only after all others */
};

/* So many in that time; count 0: no limit. */
struct rate {
    uint64_t count;
    int64_t period_ms;
};

/* All lists look alike: items, count. */
struct str_list {
    const struct str *items;
    size_t count;
};
struct addr_list {
    const struct addr *items;
    size_t count;
};
struct cidr_list {
    const struct cidr *items;
    size_t count;
};
struct duration_list { /* milliseconds */
    const int64_t *items;
    size_t count;
};
struct target_list {
    const struct target *items;
    size_t count;
};
struct rules {
    const struct rule *items;
    size_t count;
};

/* How a value is written, and the C type of its member. */
enum setting_type {
    SETTING_BOOL,       /* true false                                       bool */
    SETTING_U32,        /* a whole number                                   uint32_t */
    SETTING_U64,        /*                                                  uint64_t */
    SETTING_I64,        /*                                                  int64_t */
    SETTING_DURATION,   /* 90s 5m 1d12h 250ms                               int64_t, ms */
    SETTING_SIZE,       /* 64KiB 25MB 100B                                  uint64_t, bytes */
    SETTING_RATE,       /* 100/1m: so many in that time; none               struct rate */
    SETTING_STRING,     /* any text                                         struct str */
    SETTING_NAME,       /* the name of an object                            struct str */
    SETTING_HOSTNAME,   /* mx.example.org, lower-cased                      struct str */
    SETTING_DOMAIN,     /* example.org, lower-cased                         struct str */
    SETTING_HOST,       /* a host name or an IP address                     struct str */
    SETTING_MAILBOX,    /* local-part@domain                                struct str */
    SETTING_CHOICE,     /* one word of a table                              enum or int */
    SETTING_ADDRESS,    /* 127.0.0.1:25 or [::1]:25                         struct addr */
    SETTING_IP,         /* 127.0.0.1 or ::1                                 struct addr */
    SETTING_CIDR,       /* 10.0.0.0/8                                       struct cidr */
    SETTING_FILE,       /* a file to be read: a warning when it is missing  struct str */
    SETTING_PATH,       /* a path that need not exist                       struct str */
    SETTING_TARGET,     /* a host, or {address, port, priority, weight}     struct target */
    SETTING_SECRET,     /* text, {file: PATH} or {env: NAME}                struct secret */
    SETTING_EXPRESSION, /* see design section 8                             struct expression */
    SETTING_RULES,      /* a list of if, use, then, else                    struct rules */
    SETTING_IS_ALIAS,   /* another name of a row */
    SETTING_IS_RESERVED /* refused by name: not built yet */
};

/* Relative paths (FILE, PATH) are taken from the directory of the file that names them. */

enum setting_applies {
    APPLIES_RELOAD, /* to whatever begins after a reload */
    APPLIES_RESTART /* only when the server starts; a reload says so when it changed */
};

struct setting_choice {
    const char *word; /* NULL ends the table; several words may share a value, the first is shown */
    int value;
};

struct setting {
    const char *key; /* below the table's key or the object; dots are nesting */
    enum setting_type type;
    bool is_list;
    size_t offset;
    const char *standard; /* the default, as in the file; "" not set, NULL required */
    int64_t min, max;
    const char *unit; /* "" when the type says it */
    enum setting_applies applies;
    const char *prose;                    /* ALIAS: the key it stands for */
    const struct setting_choice *choices; /* CHOICE only */
};

enum table_kind { TABLE_ONE, TABLE_NAMED, TABLE_LIST };

struct config;
struct faults;

struct setting_table {
    const char *key; /* "server", "queue.virtual"; "" for keys at the top */
    enum table_kind kind;
    const char *prose;   /* for the manual, a sentence or more */
    const char *builtin; /* NAMED: YAML of objects for names that are not declared, or NULL */
    const struct setting *rows;
    size_t row_count;
    size_t size;           /* of the struct */
    bool is_by_ip;         /* NAMED: each name is an IP address, and stands in its usual spelling */
    const char *short_row; /* NAMED: a text in place of an object is this key of it; or NULL */
    /* What concerns several keys or tables, or NULL. Called also when other tables have errors
     * (their members then hold defaults). */
    void (*check)(const struct config *cfg, struct faults *faults);
};

/* What follows turns a row into a struct setting, and refuses to compile when the member's type is
 * not the row's. */
#define SETTING_C_BOOL          bool
#define SETTING_C_U32           uint32_t
#define SETTING_C_U64           uint64_t
#define SETTING_C_I64           int64_t
#define SETTING_C_DURATION      int64_t
#define SETTING_C_SIZE          uint64_t
#define SETTING_C_RATE          struct rate
#define SETTING_C_STRING        struct str
#define SETTING_C_NAME          struct str
#define SETTING_C_HOSTNAME      struct str
#define SETTING_C_DOMAIN        struct str
#define SETTING_C_HOST          struct str
#define SETTING_C_MAILBOX       struct str
#define SETTING_C_ADDRESS       struct addr
#define SETTING_C_IP            struct addr
#define SETTING_C_CIDR          struct cidr
#define SETTING_C_FILE          struct str
#define SETTING_C_PATH          struct str
#define SETTING_C_TARGET        struct target
#define SETTING_C_SECRET        struct secret
#define SETTING_C_EXPRESSION    struct expression
#define SETTING_C_RULES         struct rules
#define SETTING_LIST_C_DURATION struct duration_list
#define SETTING_LIST_C_STRING   struct str_list
#define SETTING_LIST_C_NAME     struct str_list
#define SETTING_LIST_C_HOSTNAME struct str_list
#define SETTING_LIST_C_DOMAIN   struct str_list
#define SETTING_LIST_C_HOST     struct str_list
#define SETTING_LIST_C_MAILBOX  struct str_list
#define SETTING_LIST_C_ADDRESS  struct addr_list
#define SETTING_LIST_C_IP       struct addr_list
#define SETTING_LIST_C_CIDR     struct cidr_list
#define SETTING_LIST_C_TARGET   struct target_list
#define SETTING_LIST_C_FILE     struct str_list
#define SETTING_LIST_C_PATH     struct str_list

#define SETTING_AT(member, ctype)                                                                  \
    (offsetof(SETTINGS_OF, member) +                                                               \
     0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((SETTINGS_OF *)0)->member), ctype)   \
                         ? 1                                                                       \
                         : -1]))
#define SETTING_AT_ENUM(member)                                                                    \
    (offsetof(SETTINGS_OF, member) +                                                               \
     0 * sizeof(char[sizeof(((SETTINGS_OF *)0)->member) == sizeof(int) ? 1 : -1]))

#define SETTING(key, type, member, standard, min, max, unit, applies, prose)                       \
    {key,                                                                                          \
     SETTING_##type,                                                                               \
     false,                                                                                        \
     SETTING_AT(member, SETTING_C_##type),                                                         \
     standard,                                                                                     \
     min,                                                                                          \
     max,                                                                                          \
     unit,                                                                                         \
     APPLIES_##applies,                                                                            \
     prose,                                                                                        \
     NULL},
#define SETTING_LIST(key, type, member, standard, min, max, unit, applies, prose)                  \
    {key,                                                                                          \
     SETTING_##type,                                                                               \
     true,                                                                                         \
     SETTING_AT(member, SETTING_LIST_C_##type),                                                    \
     standard,                                                                                     \
     min,                                                                                          \
     max,                                                                                          \
     unit,                                                                                         \
     APPLIES_##applies,                                                                            \
     prose,                                                                                        \
     NULL},
#define SETTING_CHOICE(key, choices, member, standard, applies, prose)                             \
    {key,   SETTING_CHOICE, false, SETTING_AT_ENUM(member), standard, 0, 0, "", APPLIES_##applies, \
     prose, choices},
#define ALIAS(key, of) {key, SETTING_IS_ALIAS, false, 0, "", 0, 0, "", APPLIES_RELOAD, of, NULL},
#define RESERVED(key, when)                                                                        \
    {key, SETTING_IS_RESERVED, false, 0, "", 0, 0, "", APPLIES_RELOAD, when, NULL},
