/*
 * value: one node of the file as the value of one row.
 *
 * Owns      Text goes to the arena of the reading.
 * Errors    In its faults, then false and *member unchanged.
 */
#pragma once

#include "config/config.h"
#include "config/yaml.h"

struct value_reading {
    struct arena *arena;
    struct faults *faults;
    const struct config_options *options;
    struct str key; /* as written, for messages */
};

bool value_read(struct value_reading *v, const struct setting *row, const struct yaml *node,
                void *member);
/* The same for `if`, `use`, `then` and `else` (rules.c). */
bool rules_read(struct value_reading *v, const struct yaml *node, struct rules *ret);
/* A text that is an expression; anything else gets the hint about quotes. */
bool expression_read(struct value_reading *v, const struct yaml *node, struct expression *ret);

/* Bytes of a member of this type; 0 for rows that have none. */
size_t value_size(const struct setting *row);
/* Whether two members hold the same. */
bool value_same(const struct setting *row, const void *a, const void *b);
/* "a duration such as 90s, 5m or 1d12h" */
const char *value_called(enum setting_type type);
/* A number of the row's type as people write it: min and max. */
void value_print_number(const struct setting *row, int64_t n, struct buf *out);
void value_print_bounds(const struct setting *row, struct buf *out);
bool value_has_bounds(const struct setting *row);
bool value_is_open(const struct setting *row); /* a least value, no greatest */

/* 1 to NAME_BYTES_MAX letters, digits, '.', '_', '-'. */
bool name_is_good(struct str s);
