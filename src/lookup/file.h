/*
 * file: a look-up file, read whole: one line for each key, `key` or `key value`, divided by blanks.
 *
 * Source    The manual's chapter on expressions.
 * Owns      A table owns its texts until table_drop.
 * Limits    FILE_BYTES_MAX of file, FILE_LINE_MAX of line. Lines that are empty or begin with '#'
 *           say nothing. Keys are compared byte by byte; a value may hold blanks within.
 * Errors    Not UTF-8, a control character, a key that is there twice with different values: the
 *           line is told, and there is no table.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "config/fault.h"

#include <sys/types.h>

enum { FILE_BYTES_MAX = 64 * 1024 * 1024, FILE_LINE_MAX = 64 * 1024 };

struct table;

/* Never suspends. NULL: *line is the number of the line in error (0: the whole), *why a literal. */
struct table *table_parse(struct str text, size_t *line, const char **why);
void table_drop(struct table *t); /* NULL is harmless */
size_t table_count(const struct table *t);
/* False: there is no such key. *ret lives as long as the table; empty for a key without value. */
bool table_get(const struct table *t, struct str key, struct str *ret);

/* What tells whether a file is another than before. */
struct file_mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

/* These block: through offload, or while a configuration is read. */
bool file_mark(const char *path, struct file_mark *ret); /* false: errno */
bool file_mark_eq(const struct file_mark *a, const struct file_mark *b);
/* NULL: *why says it. *mark is of what was read. */
struct table *file_read(const char *path, struct file_mark *mark, struct buf *why);
/* Tells what is wrong with a file that can be read. */
void file_check(struct str path, struct faults *faults);
