/*
 * directory_file: the two files behind a directory, line by line.
 *
 *     # a comment
 *     name: address, name,            a continuation begins with a blank
 *         address
 *     name@example.org: address
 *
 * and for recipients `name@example.org` or `@example.org`, one a line. Lines end with LF or CR LF;
 * a '#' begins a comment at the start of a line or behind a blank.
 *
 * Owns      Nothing: what the callbacks are given lives until they return.
 * Limits    DIRECTORY_FILE_BYTES_MAX (directory.h); 1,000 targets of one alias.
 * Errors    In *faults, with file and line; a wrong line is left out.
 */
#pragma once

#include "base/arena.h"
#include "config/fault.h"

#include <stdbool.h>

struct alias_line {
    struct position at;
    struct str name;           /* an address, or a bare local part */
    const struct str *targets; /* likewise */
    size_t target_count;
};

typedef void alias_line_fn(void *ctx, const struct alias_line *line);
typedef void recipient_line_fn(void *ctx, struct str address, struct position at);

void aliases_read(struct str file, struct str text, alias_line_fn *fn, void *ctx,
                  struct faults *faults);
/* For "@example.org" the address is that. */
void recipients_read(struct str file, struct str text, recipient_line_fn *fn, void *ctx,
                     struct faults *faults);

/* All of a file into `a`. An empty path is an empty text. A file that cannot be read is an error
 * and false; with may_miss an empty text, if it is not there. */
bool directory_file_read(struct str path, bool may_miss, struct arena *a, struct str *ret,
                         struct faults *faults);
