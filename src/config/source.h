/*
 * source: the file and what it includes, as one tree.
 *
 * `include` at the top of a file names files (one or a list, relative to the including one) whose
 * keys join those of the file; maps are merged, anything else given twice is an error.
 *
 * Owns      The tree lives in the caller's arena.
 * Limits    INCLUDE_DEPTH_MAX, INCLUDE_FILES_MAX, and those of yaml.h for all files together.
 * Errors    In struct faults; NULL when there is no tree at all.
 */
#pragma once

#include "config/config.h"
#include "config/yaml.h"

enum { INCLUDE_DEPTH_MAX = 8, INCLUDE_FILES_MAX = 100 };

struct yaml *source_file(const struct config_options *o, struct str path, struct arena *a,
                         struct faults *faults);
struct yaml *source_text(const struct config_options *o, struct str name, struct str text,
                         struct arena *a, struct faults *faults);
/* All of a file of at most YAML_BYTES_MAX, by the options' way of reading. */
struct err source_bytes(const struct config_options *o, struct str path, struct arena *a,
                        struct str *ret);
/* A file relative to the directory of the file that names it. */
struct str source_beside(struct arena *a, struct str file, struct str path);
