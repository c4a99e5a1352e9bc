/*
 * config: a configuration read, checked and frozen: an immutable numbered snapshot of all tables.
 *
 * Source    Design sections 8 and 10; reference sections 2 and 3.1; PY-35, PY-45. YAML 1.2 without
 *           tags, anchors, aliases and merge keys.
 * Owns      A struct config owns all it hands out until its last reference is given back. Any
 *           thread may read it, take and give references.
 * Limits    A file 4 MiB, nesting 32, 100,000 nodes in all, `include` 8 deep and 100 files.
 * Errors    All at once, in struct faults: config_load answers NULL when there is an error.
 *
 * No function here suspends; reading files blocks. Parsing wants 256 KiB of stack: call it on a
 * thread of the system's, not on a fiber.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "config/fault.h"
#include "config/setting.h"

struct config;

struct config_options {
    const struct setting_table *const *tables;
    size_t table_count;
    uint64_t number; /* of the snapshot */
    bool is_check;   /* named files and secrets may be missing: warnings. And with errors there
                        is a snapshot all the same, for the checks of others only: see faults */
    /* How files are read; NULL: from the file system. *ret lives in `a`. */
    struct err (*read)(void *arg, struct str path, struct arena *a, struct str *ret);
    void *read_arg;
};

struct config_object {
    struct str name;
    struct position at;
    bool is_builtin;
    const void *settings; /* the table's struct */
};

/* Reads the file at `path`, or nothing when `path` is empty: then all is default. */
struct config *config_load(const struct config_options *o, struct str path, struct faults *faults);
/* The same for text at hand, called `name` in positions. */
struct config *config_parse(const struct config_options *o, struct str name, struct str text,
                            struct faults *faults);

struct config *config_take(struct config *cfg); /* one more reference */
void config_give(struct config *cfg);           /* NULL is harmless */
uint64_t config_number(const struct config *cfg);
struct str config_file(const struct config *cfg); /* as it was named; empty: none */

/* The struct of a TABLE_ONE. The table must have been among the options. */
const void *config_settings(const struct config *cfg, const struct setting_table *table);
/* The objects of a TABLE_NAMED or TABLE_LIST: declared ones in the order of the file, then those
 * built in. */
const struct config_object *config_objects(const struct config *cfg,
                                           const struct setting_table *table, size_t *count);
const struct config_object *config_object(const struct config *cfg,
                                          const struct setting_table *table, struct str name);

/* Whether the file gives `key` (not an alias) of the struct `settings`, and where. When it does
 * not, *at is where the object or file stands; `at` may be NULL. */
bool config_where(const struct config *cfg, const void *settings, const char *key,
                  struct position *at);

/* Notes each RESTART setting that differs between two snapshots of the same tables. */
void config_compare(const struct config *old, const struct config *new, struct faults *notes);

/* The reference page (Markdown) and the JSON Schema (draft 2020-12) of the tables. */
void config_manual(const struct setting_table *const *tables, size_t count, struct buf *out);
/* The tables alone, without what the page says before them. */
void config_manual_of(const struct setting_table *const *tables, size_t count, struct buf *out);
void config_schema(const struct setting_table *const *tables, size_t count, struct buf *out);

/* Whether all defaults and built-in objects of the tables are themselves valid: for tests. */
bool config_tables_are_sound(const struct setting_table *const *tables, size_t count,
                             struct faults *faults);
