/*
 * value_kinds: how one item of a type is read; the inside of value.c, cut in two. Nobody else
 * includes this.
 */
#pragma once

#include "config/value.h"

/* node, whose kind has been checked, as a member; false after a fault. */
typedef bool value_reader(struct value_reading *v, const struct setting *row,
                          const struct yaml *node, void *member);

value_reader value_read_text, value_read_name, value_read_hostname, value_read_mailbox,
    value_read_path, value_read_secret, value_read_target;

/* The fault "KEY must be A DURATION, not THIS"; answers false. */
bool value_wrong(struct value_reading *v, const struct yaml *node, enum setting_type type);
