/*
 * yaml: the text of a configuration file as a tree with positions.
 *
 * Source    YAML 1.2.2, without tags (kept for the error about them), anchors, aliases and second
 *           documents. libfyaml reads; it stays inside yaml.c.
 * Owns      The tree lives in the caller's arena.
 * Limits    YAML_BYTES_MAX, YAML_DEPTH_MAX; yaml_read counts *nodes_left down over several files.
 * Errors    In struct faults: bytes that are not UTF-8, NUL, syntax, duplicate keys, limits. NULL
 *           when no tree could be made; duplicate keys and aliases leave a tree.
 */
#pragma once

#include "base/arena.h"
#include "config/fault.h"

enum { YAML_BYTES_MAX = 4 << 20, YAML_DEPTH_MAX = 32, YAML_NODES_MAX = 100000 };

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };
enum yaml_style { YAML_PLAIN, YAML_SINGLE, YAML_DOUBLE, YAML_BLOCK };

struct yaml;

struct yaml_pair {
    struct str key;
    struct position at; /* of the key */
    struct yaml *value;
};

struct yaml {
    enum yaml_kind kind;
    enum yaml_style style; /* of text */
    struct position at;    /* of the first character, inside quotes when there are any */
    struct str tag;        /* "!local", as written; empty: none */
    struct str text;       /* TEXT */
    union {
        struct yaml **items;     /* LIST */
        struct yaml_pair *pairs; /* MAP */
    };
    size_t count; /* of items or pairs */
};

/* `name` is copied into the arena and stands in all positions. An empty text is an empty map. */
struct yaml *yaml_read(struct arena *a, struct str name, struct str text, size_t *nodes_left,
                       struct faults *faults);

/* Nothing was written: an empty plain text, "~" or "null". */
bool yaml_is_null(const struct yaml *node);
const struct yaml_pair *yaml_get(const struct yaml *map, struct str key); /* NULL when absent */
const char *yaml_kind_name(const struct yaml *node); /* "a text", "a list", "a map" */
