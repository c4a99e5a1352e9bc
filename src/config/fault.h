/*
 * fault: what is wrong with a configuration, all of it, each with its place.
 *
 * Printed as
 *     file:line:col: message
 *       12 |   virtual: { remote: { concurency: 100 } }
 *          |                        ^
 *       hint: did you mean concurrency?
 * where a warning's message begins with "warning: " and a note's with "note: ". Of the line the
 * values of passwords, secrets and tokens are shown as stars: it may be a log that it goes to.
 *
 * Owns      Everything added is copied; faults_done frees it. A zeroed struct faults is ready.
 * Limits    FAULTS_MAX are kept; what comes after is counted.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "config/setting.h"

enum { FAULTS_MAX = 200 };

enum fault_level { FAULT_ERROR, FAULT_WARNING, FAULT_NOTE };

struct fault {
    enum fault_level level;
    struct position at;
    struct str text, hint, source; /* hint may be empty; source: the line of the file */
};

struct faults {
    struct arena arena;
    struct fault *items;
    size_t count, size;
    size_t errors, warnings, dropped;
    const struct fault_file *files; /* whose lines can be shown */
};

#define FAULT_FORMAT(format_at) __attribute__((format(printf, format_at, format_at + 1)))

void fault_error(struct faults *f, struct position at, const char *format, ...) FAULT_FORMAT(3);
void fault_warn(struct faults *f, struct position at, const char *format, ...) FAULT_FORMAT(3);
void fault_note(struct faults *f, struct position at, const char *format, ...) FAULT_FORMAT(3);
/* Says how to put the latest fault right. */
void fault_hint(struct faults *f, const char *format, ...) FAULT_FORMAT(2);

/* Lets faults show lines of this text (copied), which is the file `name`. */
void faults_know_file(struct faults *f, struct str name, struct str text);
/* Line `line` of a known file, without its end; empty when there is none. */
struct str faults_line(const struct faults *f, struct str name, uint32_t line);

void fault_print(const struct fault *f, struct buf *out); /* several lines, each ended */
void faults_print(const struct faults *f, struct buf *out);
void position_print(struct position at, struct buf *out); /* "file:line:col", "(built in)" */
void faults_done(struct faults *f);
